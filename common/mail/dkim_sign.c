/*
 * DKIM-Signature fields.  In remote's processes, on mail that begins its way
 * here: what its author wrote is not trusted to be well-formed.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/mail/addrlist.h"
#include "common/mail/dkim_sign.h"
#include "common/mail/domain.h"
#include "common/mime/base64.h"
#include "common/mime/header.h"

#define ADDRESS_OCTETS_MAX 1024
#define LINE_COLUMNS 76u
#define TAB_COLUMNS 8u

/* ---- which header fields ---- */

static bool
name_known(const struct dkim_names *names, struct slice name)
{
	for (size_t i = 0; i < names->n; i++)
		if (slice_ieq(names->v[i].name, name))
			return true;
	return false;
}

/* RFC 5322 3.6.8, without what would end an entry of h= */
static bool
name_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == ':' ||
		    s.p[i] == ';')
			return false;
	return s.len > 0;
}

/* text has its whole room, so that nothing in it moves. */
static bool
name_add(struct dkim_names *names, struct slice word)
{
	struct dkim_name n = {.over = word.len > 1 &&
	    word.p[word.len - 1] == '+'};
	size_t at = names->text.len;

	if (n.over)
		word.len--;
	if (!name_ok(word) || name_known(names, word) ||
	    slice_ieq(word, SLICE("DKIM-Signature")) ||
	    names->n == DKIM_NAMES_MAX)
		return false;
	for (size_t i = 0; i < word.len; i++)
		buf_addc(&names->text, word.p[i] >= 'A' && word.p[i] <= 'Z'
		    ? (char)(word.p[i] | 0x20) : word.p[i]);
	n.name = slice_sub(buf_slice(&names->text), at, names->text.len);
	names->v[names->n++] = n;
	return true;
}

bool
dkim_names_read(const char *const *words, size_t n, struct dkim_names *out,
    const char **bad)
{
	struct dkim_names names = {.n = 0};
	size_t room = 8;

	for (size_t i = 0; i < n; i++)
		room += strlen(words[i]);
	buf_init(&names.text, room);
	(void)buf_room(&names.text, room);
	for (size_t i = 0; i < n; i++)
		if (!name_add(&names, slice_of(words[i]))) {
			*bad = words[i];
			dkim_names_free(&names);
			return false;
		}
	if (!name_known(&names, SLICE("from")) &&
	    !name_add(&names, SLICE("from+"))) {
		*bad = words[n - 1];
		dkim_names_free(&names);
		return false;
	}
	*out = names;
	return true;
}

void
dkim_names_free(struct dkim_names *names)
{
	buf_free(&names->text);
	names->n = 0;
}

/* ---- the message ---- */

struct dkim_signer {
	const struct dkim_names *names;
	enum dkim_canon header, body;
	struct header_scan *scan;
	struct dkim_fields fields;
	size_t nfrom;
	struct dkim_body form;
	struct crypto_hash *body_hash, *hash;
	unsigned char body_sum[CRYPTO_SHA256_LEN];
};

static void
on_field(void *arg, const struct header_field *f)
{
	struct dkim_signer *s = arg;

	if (f->name.len == 0 || !name_known(s->names, f->name))
		return;
	s->nfrom += header_is(f, "From");
	dkim_fields_add(&s->fields, f);
}

static void
on_body(void *arg, const char *p, size_t n)
{
	crypto_hash_add(arg, p, n);
}

struct dkim_signer *
dkim_signer_new(const struct dkim_names *names, enum dkim_canon header,
    enum dkim_canon body)
{
	struct dkim_signer *s = mem_alloc(sizeof(*s));

	s->names = names;
	s->header = header;
	s->body = body;
	s->scan = header_scan_new(DKIM_HEADER_MAX, on_field, s);
	s->fields = (struct dkim_fields)DKIM_FIELDS_INIT;
	s->body_hash = crypto_hash_new(CRYPTO_SHA256);
	s->hash = crypto_hash_new(CRYPTO_SHA256);
	s->form = (struct dkim_body){.canon = body, .out = on_body,
	    .arg = s->body_hash};
	return s;
}

void
dkim_signer_free(struct dkim_signer **sp)
{
	struct dkim_signer *s = *sp;

	if (s == NULL)
		return;
	header_scan_free(&s->scan);
	dkim_fields_free(&s->fields);
	crypto_hash_free(&s->body_hash);
	crypto_hash_free(&s->hash);
	free(s);
	*sp = NULL;
}

void
dkim_signer_feed(struct dkim_signer *s, const char *p, size_t n)
{
	size_t header = 0;

	if (!header_scan_done(s->scan))
		header = header_scan_feed(s->scan, p, n);
	if (header < n)
		dkim_body_feed(&s->form, p + header, n - header);
}

void
dkim_signer_end(struct dkim_signer *s)
{
	unsigned char sum[CRYPTO_HASH_MAX];

	header_scan_end(s->scan);
	dkim_body_end(&s->form);
	(void)crypto_hash_end(s->body_hash, sum);
	memcpy(s->body_sum, sum, sizeof(s->body_sum));
}

bool
dkim_signer_header_done(const struct dkim_signer *s)
{
	return header_scan_done(s->scan);
}

static bool
author_domain(struct slice address, struct buf *domain, const char **why)
{
	size_t at = address.len;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	if (at == 0) {
		*why = "its From has no domain";
		return false;
	}
	address = slice_sub(address, at, address.len);
	if (address.len > 0 && address.p[0] == '[') {
		*why = "its From has an address literal";
		return false;
	}
	return domain_wire(address, domain, why);
}

bool
dkim_signer_author(const struct dkim_signer *s, struct buf *address,
    struct buf *domain, const char **why)
{
	struct addrlist list;
	size_t i;

	if (s->nfrom != 1 || s->fields.overflow) {
		*why = s->fields.overflow ? "its header is too large"
		    : s->nfrom == 0 ? "it has no From" : "it has several From";
		return false;
	}
	for (i = 0; !slice_ieq(dkim_fields_name(&s->fields, i),
	    SLICE("from")); i++)
		;
	list = addrlist_of(dkim_fields_value(&s->fields, i));
	*why = "its From is empty";
	if (addrlist_next(&list, address, why) != 1)
		return false;
	buf_reset(domain);
	return author_domain(buf_slice(address), domain, why);
}

/* ---- signatures ---- */

/* A field under way, folded between words (RFC 5322 2.1.1: 78 columns). */
struct folded {
	struct buf *out;
	size_t column;
};

static void
fold(struct folded *f)
{
	buf_adds(f->out, "\r\n\t");
	f->column = TAB_COLUMNS;
}

/* space: in front of it, where the line goes on. */
static void
put(struct folded *f, struct slice word, bool space)
{
	if (f->column > TAB_COLUMNS &&
	    f->column + space + word.len > LINE_COLUMNS)
		fold(f);
	else if (space) {
		buf_addc(f->out, ' ');
		f->column++;
	}
	buf_addslice(f->out, word);
	f->column += word.len;
}

static void
put_tag(struct folded *f, const char *tag, struct slice value)
{
	struct buf word = BUF_INIT(8192);

	buf_printf(&word, "%s=", tag);
	buf_addslice(&word, value);
	buf_addc(&word, ';');
	put(f, buf_slice(&word), true);
	buf_free(&word);
}

static void
put_number(struct folded *f, const char *tag, int64_t n)
{
	struct buf text = BUF_INIT(32);

	buf_addu(&text, (unsigned long long)n);
	put_tag(f, tag, buf_slice(&text));
	buf_free(&text);
}

static void
put_base64(struct folded *f, struct slice octets)
{
	struct base64_encoder e = {.lines = false};
	struct buf text = BUF_INIT(BASE64_ENCODED_MAX(octets.len));
	struct slice rest, part;

	base64_encode(&e, octets, &text);
	base64_encode_end(&e, &text);
	for (rest = buf_slice(&text); rest.len > 0;
	    rest = slice_sub(rest, part.len, rest.len)) {
		if (f->column >= LINE_COLUMNS)
			fold(f);
		part = slice_sub(rest, 0, LINE_COLUMNS - f->column);
		buf_addslice(f->out, part);
		f->column += part.len;
	}
	buf_free(&text);
}

/* RFC 6376 2.11 dkim-quoted-printable */
static void
put_identity(struct folded *f, struct slice identity)
{
	struct buf text = BUF_INIT(ADDRESS_OCTETS_MAX * 3);

	for (size_t i = 0; i < identity.len; i++) {
		unsigned char c = (unsigned char)identity.p[i];

		if (c > ' ' && c < 127 && c != ';' && c != '=')
			buf_addc(&text, (char)c);
		else
			buf_printf(&text, "=%02X", c);
	}
	if (!text.overflow)
		put_tag(f, "i", buf_slice(&text));
	buf_free(&text);
}

/* One entry of h=; the colon stands with what follows it. */
static bool
cover(struct folded *f, struct slice name, size_t *n)
{
	struct buf word = BUF_INIT(DKIM_HEADER_MAX);

	if (*n == DKIM_COVERED_MAX)
		return false;
	buf_adds(&word, *n == 0 ? "h=" : ":");
	buf_addslice(&word, name);
	put(f, buf_slice(&word), *n == 0);
	buf_free(&word);
	++*n;
	return true;
}

/* h=, and the fields into the hash, in its order: those of one name from the
 * last to the first, then once what is not there. */
static bool
put_covered(struct dkim_signer *s, struct folded *f)
{
	size_t n = 0, i;

	dkim_fields_untake(&s->fields);
	for (size_t k = 0; k < s->names->n; k++) {
		const struct dkim_name *name = &s->names->v[k];

		while (dkim_fields_take(&s->fields, name->name, &i)) {
			if (!cover(f, name->name, &n))
				return false;
			dkim_fields_hash(&s->fields, i, s->header, s->hash);
		}
		if (name->over && !cover(f, name->name, &n))
			return false;
	}
	buf_addc(f->out, ';');
	f->column++;
	return true;
}

/* The field itself, with an empty b= and no CRLF (3.7). */
static void
hash_self(struct dkim_signer *s, struct slice field)
{
	struct buf form = BUF_INIT(DKIM_HEADER_MAX);
	size_t colon = slice_find(field, ':', 0);

	if (s->header == DKIM_SIMPLE) {
		crypto_hash_add(s->hash, field.p, field.len);
		return;
	}
	dkim_relaxed(slice_sub(field, 0, colon), slice_sub(field, colon + 1,
	    field.len), &form);
	crypto_hash_add(s->hash, form.s, form.len);
	buf_free(&form);
}

bool
dkim_signer_field(struct dkim_signer *s, const struct dkim_signature *sig,
    struct buf *field, unsigned char sum[CRYPTO_SHA256_LEN], const char **why)
{
	static const char *const canons[] = {"simple", "relaxed"};
	unsigned char out[CRYPTO_HASH_MAX];
	struct folded f = {.out = field};
	struct buf c = BUF_INIT(32);
	size_t from = field->len;
	bool good;

	buf_printf(&c, "%s/%s", canons[s->header], canons[s->body]);
	buf_adds(field, "DKIM-Signature:");
	f.column = field->len - from;
	put_tag(&f, "v", SLICE("1"));
	put_tag(&f, "a", sig->kind == CRYPTO_RSA ? SLICE("rsa-sha256")
	    : SLICE("ed25519-sha256"));
	put_tag(&f, "c", buf_slice(&c));
	put_tag(&f, "d", sig->domain);
	put_tag(&f, "s", sig->selector);
	if (sig->identity.len > 0)
		put_identity(&f, sig->identity);
	if (sig->time > 0)
		put_number(&f, "t", sig->time);
	if (sig->expires > 0)
		put_number(&f, "x", sig->expires);
	good = put_covered(s, &f);
	put(&f, SLICE("bh="), true);
	put_base64(&f, slice_mem(s->body_sum, sizeof(s->body_sum)));
	buf_addc(field, ';');
	f.column++;
	put(&f, SLICE("b="), true);
	good = good && !field->overflow;
	if (good)
		hash_self(s, slice_sub(buf_slice(field), from, field->len));
	/* Also where it failed: the next one begins anew. */
	(void)crypto_hash_end(s->hash, out);
	memcpy(sum, out, CRYPTO_SHA256_LEN);
	if (!good)
		*why = "it has too many header fields to be covered";
	buf_free(&c);
	return good;
}

void
dkim_signature_add(struct slice signature, struct buf *field)
{
	struct folded f = {.out = field};
	size_t at = field->len;

	while (at > 0 && field->s[at - 1] != '\n') {
		at--;
		f.column += field->s[at] == '\t' ? TAB_COLUMNS : 1;
	}
	put_base64(&f, signature);
	buf_adds(field, "\r\n");
}
