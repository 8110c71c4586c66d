/*
 * The tag=value lists of DKIM, and key records among them: strangers wrote
 * them, into header fields and into their DNS.
 */
#include "common/mail/dkim_verify.h"
#include "common/mime/base64.h"

#define KEY_OCTETS_MAX 8192u

/* FWS is taken for any run of blanks and line ends. */
static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && is_space(s.p[0]))
		s = slice_sub(s, 1, s.len);
	while (s.len > 0 && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* 3.2: ALPHA *ALNUMPUNC */
static bool
tag_name_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_letter(s.p[i]) && (i == 0 || ((s.p[i] < '0' ||
		    s.p[i] > '9') && s.p[i] != '_')))
			return false;
	return s.len > 0;
}

bool
dkim_tags_read(struct slice text, struct dkim_tags *out)
{
	size_t at = 0, end, equal;

	out->n = 0;
	for (; at < text.len; at = end + 1) {
		struct dkim_tag t;

		end = slice_find(text, ';', at);
		if (trim(slice_sub(text, at, end)).len == 0) {
			/* Only behind the last one. */
			if (trim(slice_sub(text, end, text.len)).len > 1)
				return false;
			break;
		}
		equal = slice_find(text, '=', at);
		if (equal >= end || out->n == DKIM_TAGS_MAX)
			return false;
		t.name = trim(slice_sub(text, at, equal));
		t.from = equal + 1;
		t.to = end;
		t.value = trim(slice_sub(text, t.from, t.to));
		if (!tag_name_ok(t.name))
			return false;
		for (size_t i = 0; i < out->n; i++)
			if (slice_eq(out->v[i].name, t.name))
				return false;
		out->v[out->n++] = t;
	}
	return out->n > 0;
}

const struct dkim_tag *
dkim_tags_find(const struct dkim_tags *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_eq(t->v[i].name, slice_of(name)))
			return &t->v[i];
	return NULL;
}

bool
dkim_list_next(struct slice *rest, struct slice *word)
{
	if (!slice_cut(rest, ':', word))
		return false;
	*word = trim(*word);
	return true;
}

bool
dkim_list_has(struct slice list, const char *word)
{
	struct slice w;

	while (dkim_list_next(&list, &w))
		if (slice_ieq(w, slice_of(word)))
			return true;
	return false;
}

bool
dkim_base64(struct slice text, struct buf *out)
{
	struct base64_decoder d = {.strict = true};
	struct buf plain = BUF_INIT(text.len + 1);
	bool good;

	for (size_t i = 0; i < text.len; i++)
		if (!is_space(text.p[i]))
			buf_addc(&plain, text.p[i]);
	good = plain.len > 0 && base64_decode(&d, buf_slice(&plain), out) &&
	    base64_decode_end(&d, out) && !out->overflow;
	buf_free(&plain);
	return good;
}

static bool
record_key(const struct dkim_tags *t, struct dkim_record *r, const char **why)
{
	const struct dkim_tag *k = dkim_tags_find(t, "k");
	const struct dkim_tag *p = dkim_tags_find(t, "p");

	r->kind = CRYPTO_RSA;
	if (k != NULL && slice_eq(k->value, SLICE("ed25519")))
		r->kind = CRYPTO_ED25519;
	else if (k != NULL && !slice_eq(k->value, SLICE("rsa"))) {
		*why = "the key is of an unknown kind";
		return false;
	}
	if (p == NULL) {
		*why = "the key record has no key";
		return false;
	}
	if (p->value.len > 0 && !dkim_base64(p->value, &r->key)) {
		*why = "the key record's key is no base64";
		return false;
	}
	return true;
}

bool
dkim_record_read(struct slice text, struct dkim_record *out, const char **why)
{
	struct dkim_record r = {.kind = CRYPTO_RSA, .sha256 = true,
	    .email = true};
	const struct dkim_tag *v;
	struct dkim_tags t;

	if (!dkim_tags_read(text, &t)) {
		*why = "the key record cannot be read";
		return false;
	}
	v = dkim_tags_find(&t, "v");
	if (v != NULL && (v != &t.v[0] ||
	    !slice_eq(v->value, SLICE("DKIM1")))) {
		*why = "the key record is of another version";
		return false;
	}
	buf_init(&r.key, KEY_OCTETS_MAX);
	if (!record_key(&t, &r, why)) {
		buf_free(&r.key);
		return false;
	}
	v = dkim_tags_find(&t, "h");
	if (v != NULL)
		r.sha256 = dkim_list_has(v->value, "sha256");
	v = dkim_tags_find(&t, "s");
	if (v != NULL)
		r.email = dkim_list_has(v->value, "*") ||
		    dkim_list_has(v->value, "email");
	v = dkim_tags_find(&t, "t");
	if (v != NULL) {
		r.testing = dkim_list_has(v->value, "y");
		r.strict = dkim_list_has(v->value, "s");
	}
	*out = r;
	return true;
}

void
dkim_record_free(struct dkim_record *r)
{
	buf_free(&r->key);
}
