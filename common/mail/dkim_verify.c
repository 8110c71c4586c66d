/*
 * Verifies DKIM signatures: the message, the signatures in it and the keys are
 * all strangers'.  Work is bounded: signatures, fields, names in h=, octets of
 * the header.  A body is hashed once for all signatures that want it in the
 * same form.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/dkim_verify.h"
#include "common/mime/header.h"

#define COVERED_MAX 1000u
#define RSA_BITS_LEAST 1024u /* RFC 8301 3.2 */
#define SIGNATURE_OCTETS_MAX 4096u
#define TIME_MOST 999999999999 /* RFC 6376 3.5: twelve digits */

/* A body in one form, of which up to `limit` octets are hashed. */
struct body {
	struct dkim_body form;
	struct crypto_hash *hash; /* owned */
	bool limited;
	uint64_t limit, left;
	unsigned char sum[CRYPTO_HASH_MAX];
};

struct signature {
	size_t field;              /* where it stands */
	struct dkim_tags tags;     /* slices of the fields' text */
	struct dkim_result result;
	bool open;                 /* no verdict yet */
	enum crypto_kind kind;
	enum dkim_canon header;
	struct body *body;
	struct slice covered;      /* h= */
};

struct dkim_verifier {
	int64_t now_s;
	struct header_scan *scan;
	struct dkim_fields fields;
	bool begun;                /* the header is complete */
	struct signature v[DKIM_SIGNATURES_MAX];
	size_t n;
	struct dkim_result results[DKIM_SIGNATURES_MAX];
	struct body bodies[DKIM_SIGNATURES_MAX];
	size_t nbodies;
};

const char *
dkim_verdict_name(enum dkim_verdict v)
{
	static const char *const names[] = {"pass", "fail", "policy",
	    "neutral", "temperror", "permerror"};

	return names[v];
}

static void
judge(struct signature *s, enum dkim_verdict verdict, const char *why)
{
	s->open = false;
	s->result.verdict = verdict;
	s->result.why = why;
}

/* ---- signatures ---- */

static struct slice
tag_value(const struct signature *s, const char *name)
{
	const struct dkim_tag *t = dkim_tags_find(&s->tags, name);

	return t != NULL ? t->value : SLICE_EMPTY;
}

/* domain is parent, or below it */
static bool
is_below(struct slice domain, struct slice parent)
{
	return slice_ieq(domain, parent) || (domain.len > parent.len + 1 &&
	    domain.p[domain.len - parent.len - 1] == '.' &&
	    slice_ieq(slice_sub(domain, domain.len - parent.len, domain.len),
	    parent));
}

static struct slice
domain_of(struct slice identity)
{
	size_t at = identity.len;

	while (at > 0 && identity.p[at - 1] != '@')
		at--;
	return slice_sub(identity, at, identity.len);
}

static const char *
read_algorithm(struct signature *s)
{
	struct slice a = s->result.algorithm;

	if (slice_ieq(a, SLICE("rsa-sha256")))
		s->kind = CRYPTO_RSA;
	else if (slice_ieq(a, SLICE("ed25519-sha256")))
		s->kind = CRYPTO_ED25519;
	else
		return slice_ieq(a, SLICE("rsa-sha1")) /* RFC 8301 3.1 */
		    ? "SHA-1 is no longer good for signatures"
		    : "the algorithm is unknown";
	return NULL;
}

static bool
read_canon(struct slice word, enum dkim_canon *out)
{
	*out = slice_ieq(word, SLICE("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
	return *out == DKIM_RELAXED || slice_ieq(word, SLICE("simple"));
}

static const char *
read_canons(struct signature *s, enum dkim_canon *body)
{
	struct slice c = tag_value(s, "c");
	size_t slash = slice_find(c, '/', 0);

	s->header = *body = DKIM_SIMPLE;
	if (c.len == 0)
		return NULL;
	if (!read_canon(slice_sub(c, 0, slash), &s->header) ||
	    (slash < c.len &&
	    !read_canon(slice_sub(c, slash + 1, c.len), body)))
		return "the canonicalisation is unknown";
	return NULL;
}

static const char *
read_times(const struct signature *s, int64_t now_s)
{
	const struct dkim_tag *t = dkim_tags_find(&s->tags, "t");
	const struct dkim_tag *x = dkim_tags_find(&s->tags, "x");
	uint64_t made = 0, expires = 0;

	if (t != NULL && !num_u64(t->value, 0, TIME_MOST, &made))
		return "t= is no time";
	if (x != NULL && !num_u64(x->value, 0, TIME_MOST, &expires))
		return "x= is no time";
	if (t != NULL && x != NULL && expires < made)
		return "it expired before it was made";
	if (x != NULL && now_s > 0 && (int64_t)expires < now_s)
		return "the signature expired";
	return NULL;
}

/* The body's form and limit, shared with an earlier signature's. */
static const char *
need_body(struct dkim_verifier *v, struct signature *s, enum dkim_canon canon)
{
	const struct dkim_tag *l = dkim_tags_find(&s->tags, "l");
	uint64_t limit = 0;
	struct body *b;

	if (l != NULL && !num_u64(l->value, 0, UINT64_MAX, &limit))
		return "l= is no number";
	s->result.part = l != NULL;
	for (b = v->bodies; b < v->bodies + v->nbodies; b++)
		if (b->form.canon == canon && b->limited == (l != NULL) &&
		    b->limit == limit) {
			s->body = b;
			return NULL;
		}
	v->nbodies++;
	s->body = b;
	b->form.canon = canon;
	b->limited = l != NULL;
	b->limit = b->left = limit;
	b->hash = crypto_hash_new(CRYPTO_SHA256);
	return NULL;
}

static bool
has_all(const struct signature *s)
{
	static const char *const required[] = {"v", "a", "b", "bh", "d", "h",
	    "s"};

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		if (tag_value(s, required[i]).len == 0)
			return false;
	return true;
}

/* What is wrong with its tags, or NULL (6.1.1). */
static const char *
read_tags(struct dkim_verifier *v, struct signature *s)
{
	struct dkim_result *r = &s->result;
	enum dkim_canon body;
	struct slice q;
	const char *why;

	if (!dkim_tags_read(dkim_fields_value(&v->fields, s->field), &s->tags))
		return "the signature cannot be read";
	r->domain = tag_value(s, "d");
	r->selector = tag_value(s, "s");
	r->identity = tag_value(s, "i");
	r->algorithm = tag_value(s, "a");
	r->b = tag_value(s, "b");
	if (!has_all(s))
		return "the signature lacks a required tag";
	if (!slice_eq(tag_value(s, "v"), SLICE("1")))
		return "the signature is of another version";
	s->covered = tag_value(s, "h");
	if (!dkim_list_has(s->covered, "from"))
		return "From is not signed";
	if (r->identity.len > 0 && !is_below(domain_of(r->identity),
	    r->domain))
		return "i= is not of the domain d=";
	q = tag_value(s, "q");
	if (q.len > 0 && !dkim_list_has(q, "dns/txt"))
		return "q= has no known way to the key";
	why = read_algorithm(s);
	if (why == NULL)
		why = read_canons(s, &body);
	if (why == NULL)
		why = read_times(s, v->now_s);
	return why != NULL ? why : need_body(v, s, body);
}

static void
on_field(void *arg, const struct header_field *f)
{
	struct dkim_verifier *v = arg;

	dkim_fields_add(&v->fields, f);
}

static void
on_body(void *arg, const char *p, size_t n)
{
	struct body *b = arg;

	if (b->limited && n > b->left)
		n = (size_t)b->left;
	if (b->limited)
		b->left -= n;
	crypto_hash_add(b->hash, p, n);
}

/* The header is complete: what is to be done with the body? */
static void
begin(struct dkim_verifier *v)
{
	const char *why;

	v->begun = true;
	for (size_t i = 0; i < v->fields.n &&
	    v->n < DKIM_SIGNATURES_MAX; i++) {
		struct signature *s = &v->v[v->n];

		if (!slice_ieq(dkim_fields_name(&v->fields, i),
		    SLICE("DKIM-Signature")))
			continue;
		v->n++;
		s->field = i;
		s->open = true;
		s->result = (struct dkim_result){.why = "",
		    .domain = SLICE_EMPTY, .selector = SLICE_EMPTY,
		    .identity = SLICE_EMPTY, .algorithm = SLICE_EMPTY,
		    .b = SLICE_EMPTY};
		if (v->fields.overflow) {
			judge(s, DKIM_PERMERROR, "the header is too large");
			continue;
		}
		why = read_tags(v, s);
		if (why != NULL)
			judge(s, s->tags.n == 0 ? DKIM_NEUTRAL
			    : DKIM_PERMERROR, why);
	}
	for (size_t i = 0; i < v->nbodies; i++) {
		v->bodies[i].form.out = on_body;
		v->bodies[i].form.arg = &v->bodies[i];
	}
}

/* ---- the message ---- */

struct dkim_verifier *
dkim_verifier_new(int64_t now_s)
{
	struct dkim_verifier *v = mem_alloc(sizeof(*v));

	v->now_s = now_s;
	v->scan = header_scan_new(DKIM_HEADER_MAX, on_field, v);
	v->fields = (struct dkim_fields)DKIM_FIELDS_INIT;
	return v;
}

void
dkim_verifier_free(struct dkim_verifier **vp)
{
	struct dkim_verifier *v = *vp;

	if (v == NULL)
		return;
	header_scan_free(&v->scan);
	dkim_fields_free(&v->fields);
	for (size_t i = 0; i < v->nbodies; i++)
		crypto_hash_free(&v->bodies[i].hash);
	free(v);
	*vp = NULL;
}

void
dkim_verifier_feed(struct dkim_verifier *v, const char *p, size_t n)
{
	size_t header = 0;

	if (!v->begun)
		header = header_scan_feed(v->scan, p, n);
	if (!v->begun && header_scan_done(v->scan))
		begin(v);
	for (size_t i = 0; i < v->nbodies && header < n; i++)
		dkim_body_feed(&v->bodies[i].form, p + header, n - header);
}

/* ---- verdicts ---- */

/* The value of the field itself without what stands in b= (3.5). */
static void
hash_self(const struct dkim_verifier *v, const struct signature *s,
    struct crypto_hash *h)
{
	const struct dkim_field *f = &v->fields.v[s->field];
	const struct dkim_tag *b = dkim_tags_find(&s->tags, "b");
	struct slice value = dkim_fields_value(&v->fields, s->field);
	struct buf rest = BUF_INIT(DKIM_HEADER_MAX);
	struct buf form = BUF_INIT(DKIM_HEADER_MAX);

	buf_addslice(&rest, slice_sub(value, 0, b->from));
	buf_addslice(&rest, slice_sub(value, b->to, value.len));
	if (s->header == DKIM_SIMPLE) {
		crypto_hash_add(h, v->fields.text.s + f->at, f->value_at -
		    f->at);
		crypto_hash_add(h, rest.s, rest.len);
	} else {
		dkim_relaxed(dkim_fields_name(&v->fields, s->field),
		    buf_slice(&rest), &form);
		crypto_hash_add(h, form.s, form.len);
	}
	buf_free(&rest);
	buf_free(&form);
}

static bool
hash_header(struct dkim_verifier *v, struct signature *s,
    unsigned char sum[CRYPTO_HASH_MAX])
{
	struct crypto_hash *h = crypto_hash_new(CRYPTO_SHA256);
	struct slice rest = s->covered, name;
	size_t n = 0, i;

	dkim_fields_untake(&v->fields);
	/* 3.7: the signature in hand is not among them. */
	v->fields.v[s->field].taken = true;
	while (dkim_list_next(&rest, &name) && n++ < COVERED_MAX)
		if (dkim_fields_take(&v->fields, name, &i))
			dkim_fields_hash(&v->fields, i, s->header, h);
	hash_self(v, s, h);
	(void)crypto_hash_end(h, sum);
	crypto_hash_free(&h);
	return n <= COVERED_MAX;
}

static void
check_body(struct signature *s)
{
	struct buf bh = BUF_INIT(256);

	if (!dkim_base64(tag_value(s, "bh"), &bh))
		judge(s, DKIM_PERMERROR, "bh= is no base64");
	else if (s->body->limited && s->body->left > 0)
		judge(s, DKIM_PERMERROR, "the body is shorter than l=");
	else if (bh.len != CRYPTO_SHA256_LEN ||
	    memcmp(bh.s, s->body->sum, bh.len) != 0)
		judge(s, DKIM_FAIL, "the body was changed");
	buf_free(&bh);
}

/* What keeps this key from this signature, or NULL (6.1.2). */
static const char *
unfit(const struct signature *s, const struct dkim_record *r)
{
	if (r->key.len == 0)
		return "the key was revoked";
	if (r->kind != s->kind)
		return "the key is of another kind";
	if (!r->sha256)
		return "the key is not for SHA-256";
	if (!r->email)
		return "the key is not for mail";
	if (r->strict && s->result.identity.len > 0 &&
	    !slice_ieq(domain_of(s->result.identity), s->result.domain))
		return "the key is not for domains below";
	return NULL;
}

static void
try_key(struct dkim_verifier *v, struct signature *s,
    const struct dkim_record *r)
{
	struct crypto_public *key = crypto_public_new(r->kind,
	    buf_slice(&r->key));
	struct buf b = BUF_INIT(SIGNATURE_OCTETS_MAX);
	unsigned char sum[CRYPTO_HASH_MAX];

	if (key == NULL) {
		judge(s, DKIM_PERMERROR, "the key cannot be read");
		return;
	}
	s->result.bits = crypto_public_bits(key);
	s->result.testing = r->testing;
	if (s->kind == CRYPTO_RSA && s->result.bits < RSA_BITS_LEAST)
		judge(s, DKIM_PERMERROR, "the key is too short");
	else if (!dkim_base64(tag_value(s, "b"), &b))
		judge(s, DKIM_PERMERROR, "b= is no base64");
	else if (!hash_header(v, s, sum))
		judge(s, DKIM_PERMERROR, "h= is too long");
	else if (crypto_public_verify(key, slice_mem(sum, CRYPTO_SHA256_LEN),
	    buf_slice(&b)))
		judge(s, DKIM_PASS, "");
	else
		judge(s, DKIM_FAIL, "the signature does not match");
	crypto_public_free(&key);
	buf_free(&b);
}

/* 3.6.2.2: of several records the first that can be used. */
static void
check_key(struct dkim_verifier *v, struct signature *s, dkim_find_fn *find,
    void *arg)
{
	struct buf name = BUF_INIT(1024);
	struct slices records = {NULL, 0};
	const char *why = "there is no key";
	struct dkim_record r;
	enum dkim_find found;

	buf_addslice(&name, s->result.selector);
	buf_adds(&name, "._domainkey.");
	buf_addslice(&name, s->result.domain);
	found = name.overflow ? DKIM_FIND_NONE
	    : find(arg, buf_slice(&name), &records);
	buf_free(&name);
	if (found == DKIM_FIND_TEMP) {
		judge(s, DKIM_TEMPERROR, "the key cannot be had for now");
		return;
	}
	for (size_t i = 0; found == DKIM_FIND_OK && s->open &&
	    i < records.n; i++) {
		const char *no = "";

		if (!dkim_record_read(records.v[i], &r, &no)) {
			why = no;
			continue;
		}
		no = unfit(s, &r);
		if (no == NULL)
			try_key(v, s, &r);
		else
			why = no;
		dkim_record_free(&r);
	}
	if (s->open)
		judge(s, DKIM_PERMERROR, why);
}

size_t
dkim_verifier_end(struct dkim_verifier *v, dkim_find_fn *find, void *arg,
    const struct dkim_result **out)
{
	header_scan_end(v->scan);
	if (!v->begun)
		begin(v);
	for (size_t i = 0; i < v->nbodies; i++) {
		dkim_body_end(&v->bodies[i].form);
		(void)crypto_hash_end(v->bodies[i].hash, v->bodies[i].sum);
	}
	for (size_t i = 0; i < v->n; i++) {
		struct signature *s = &v->v[i];

		if (s->open)
			check_body(s);
		if (s->open)
			check_key(v, s, find, arg);
		v->results[i] = s->result;
	}
	*out = v->results;
	return v->n;
}
