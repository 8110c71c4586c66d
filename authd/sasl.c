/*
 * SASL mechanisms: their table, and those that are short: PLAIN (RFC 4616),
 * LOGIN (draft-murchison-sasl-login), CRAM-MD5 (RFC 2195), EXTERNAL (RFC 4422
 * appendix A), OAUTHBEARER (RFC 7628) and XOAUTH2.  In authd; what comes in is
 * a stranger's, handed through by a session.
 */
#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "authd/sasl.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/password.h"
#include "common/conf/secrets.h"

#define OUT_MAX 8192
#define MD5_OCTETS 16

struct slice
sasl_keep(struct sasl *x, struct slice s)
{
	size_t from = x->text.len;

	buf_addslice(&x->text, s);
	return slice_sub(buf_slice(&x->text), from, x->text.len);
}

/* ---- PLAIN ---- */

static enum sasl_result
plain_step(struct sasl *x, struct slice in)
{
	struct slice rest = in, authzid, name;

	if (!slice_cut(&rest, '\0', &authzid) ||
	    !slice_cut(&rest, '\0', &name) || rest.p == NULL ||
	    name.len == 0 || slice_find(rest, '\0', 0) < rest.len)
		return SASL_BROKEN;
	x->authzid = sasl_keep(x, authzid);
	x->name = sasl_keep(x, name);
	x->password = sasl_keep(x, rest);
	return SASL_ACCOUNT;
}

static enum sasl_result
password_account(struct sasl *x)
{
	(void)x;
	return SASL_PASSWORD;
}

/* ---- LOGIN ---- */

static enum sasl_result
login_step(struct sasl *x, struct slice in)
{
	if (x->at++ == 0) {
		if (in.len == 0 || slice_find(in, '\0', 0) < in.len)
			return SASL_BROKEN;
		x->name = sasl_keep(x, in);
		buf_adds(&x->out, "Password:");
		return SASL_MORE;
	}
	x->password = sasl_keep(x, in);
	return SASL_ACCOUNT;
}

/* ---- CRAM-MD5 ---- */

static enum sasl_result
cram_step(struct sasl *x, struct slice in)
{
	size_t space;

	if (x->at++ == 0) {
		buf_printf(&x->out, "<%016" PRIx64 "%016" PRIx64 ".%" PRId64
		    "@%.*s>", random_u64(), random_u64(), clock_real_ms(),
		    SLICE_FMT(x->facts.hostname));
		x->server_first = sasl_keep(x, buf_slice(&x->out));
		return SASL_MORE;
	}
	/* The name may hold spaces. */
	for (space = in.len; space > 0 && in.p[space - 1] != ' '; space--)
		continue;
	if (space < 2 || in.len - space != (size_t)2 * MD5_OCTETS ||
	    slice_find(in, '\0', 0) < in.len)
		return SASL_BROKEN;
	x->name = sasl_keep(x, slice_sub(in, 0, space - 1));
	x->password = sasl_keep(x, slice_sub(in, space, in.len));
	return SASL_ACCOUNT;
}

static bool
cram_matches(const struct sasl *x, struct slice secret)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * MD5_OCTETS];
	size_t i;
	bool same;

	if (HMAC(EVP_md5(), secret.p, (int)secret.len,
	    (const unsigned char *)x->server_first.p, x->server_first.len,
	    sum, NULL) == NULL)
		return false;
	for (i = 0; i < MD5_OCTETS; i++) {
		text[2 * i] = hex[sum[i] >> 4];
		text[2 * i + 1] = hex[sum[i] & 15];
	}
	same = mem_equal_ct(text, x->password.p, sizeof(text)) != 0;
	explicit_bzero(sum, sizeof(sum));
	explicit_bzero(text, sizeof(text));
	return same;
}

static enum sasl_result
cram_account(struct sasl *x)
{
	enum sasl_result result = SASL_WRONG;
	struct slice plain;
	size_t i;

	for (i = 0; i < x->secrets->n; i++)
		if ((x->secrets->v[i].scopes & x->facts.scope) != 0 &&
		    password_plain(x->secrets->v[i].stored, &plain) &&
		    cram_matches(x, plain)) {
			x->which = (int)i;
			result = SASL_GOOD;
		}
	if (x->secrets->n == 0)
		(void)cram_matches(x, SLICE("the same work"));
	return result;
}

/* ---- EXTERNAL ---- */

/* The certificate says who somebody is not by a name in it but by being pinned
 * in an account, which the client therefore has to name. */
static enum sasl_result
external_step(struct sasl *x, struct slice in)
{
	if (in.len == 0 || slice_find(in, '\0', 0) < in.len)
		return SASL_BROKEN;
	x->name = sasl_keep(x, in);
	return SASL_ACCOUNT;
}

static enum sasl_result
external_account(struct sasl *x)
{
	enum sasl_result result = SASL_WRONG;
	size_t i;

	for (i = 0; i < x->secrets->ncerts; i++)
		if (x->facts.cert.len == SECRETS_CERT_LEN &&
		    mem_equal_ct(x->secrets->certs[i], x->facts.cert.p,
		    SECRETS_CERT_LEN))
			result = SASL_GOOD;
	return result;
}

/* ---- OAUTHBEARER, XOAUTH2 ---- */

/* key=value pairs, each ended by ^A, an empty one at the end. */
static bool
take_token(struct sasl *x, struct slice pairs, struct slice *user)
{
	struct slice pair;

	while (slice_cut(&pairs, '\1', &pair) && pair.len > 0) {
		if (slice_iprefix(pair, SLICE("user=")))
			*user = slice_sub(pair, 5, pair.len);
		if (!slice_iprefix(pair, SLICE("auth=")))
			continue;
		pair = slice_sub(pair, 5, pair.len);
		if (!slice_iprefix(pair, SLICE("Bearer ")))
			return false;
		x->password = sasl_keep(x, slice_trim(slice_sub(pair, 7,
		    pair.len)));
	}
	return x->password.len > 0;
}

/* RFC 6750 2.1, b64token: nothing in it can upset the hook's protocol. */
static bool
is_token(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.len > 0;
}

static enum sasl_result
bearer_step(struct sasl *x, struct slice in)
{
	struct slice user = SLICE_EMPTY, header, rest = in;

	if (x->doomed)
		return SASL_WRONG;
	if (x->mech->hash == SCRAM_SHA1) { /* XOAUTH2 */
		if (!take_token(x, in, &user))
			return SASL_BROKEN;
	} else {
		/* RFC 7628 3.1: gs2-header, ^A, pairs */
		if (!slice_cut(&rest, '\1', &header) || rest.p == NULL ||
		    !slice_prefix(header, SLICE("n,")) ||
		    !slice_prefix(SLICE(","), slice_sub(header,
		    header.len - 1, header.len)))
			return SASL_BROKEN;
		header = slice_sub(header, 2, header.len - 1);
		if (slice_prefix(header, SLICE("a=")))
			user = slice_sub(header, 2, header.len);
		else if (header.len > 0)
			return SASL_BROKEN;
		if (!take_token(x, rest, &user))
			return SASL_BROKEN;
	}
	if (!is_token(x->password) || slice_find(user, '\0', 0) < user.len)
		return SASL_BROKEN;
	x->authzid = sasl_keep(x, user);
	x->name = x->authzid;
	return SASL_TOKEN;
}

enum sasl_result
sasl_token(struct sasl *x, bool good)
{
	if (good)
		return SASL_GOOD;
	x->doomed = true;
	buf_reset(&x->out);
	buf_adds(&x->out, x->mech->hash == SCRAM_SHA1
	    ? "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}"
	    : "{\"status\":\"invalid_token\"}");
	return SASL_MORE;
}

/* ---- all ---- */

const struct sasl_mechanism sasl_mechanisms[] = {
	{SLICE_INIT("SCRAM-SHA-256-PLUS"), SASL_BINDS | SASL_NEEDS_KEYS,
	    SCRAM_SHA256, sasl_scram_step, sasl_scram_account, true},
	{SLICE_INIT("SCRAM-SHA-256"), SASL_NEEDS_KEYS, SCRAM_SHA256,
	    sasl_scram_step, sasl_scram_account, true},
	{SLICE_INIT("SCRAM-SHA-1-PLUS"), SASL_BINDS | SASL_NEEDS_KEYS,
	    SCRAM_SHA1, sasl_scram_step, sasl_scram_account, true},
	{SLICE_INIT("SCRAM-SHA-1"), SASL_NEEDS_KEYS, SCRAM_SHA1,
	    sasl_scram_step, sasl_scram_account, true},
	{SLICE_INIT("EXTERNAL"), SASL_CERTIFICATE, SCRAM_SHA256,
	    external_step, external_account, true},
	{SLICE_INIT("OAUTHBEARER"), SASL_EXPOSES | SASL_NEEDS_HOOK,
	    SCRAM_SHA256, bearer_step, NULL, true},
	{SLICE_INIT("XOAUTH2"), SASL_EXPOSES | SASL_NEEDS_HOOK,
	    SCRAM_SHA1, bearer_step, NULL, true},
	{SLICE_INIT("CRAM-MD5"), SASL_NEEDS_PLAIN, SCRAM_SHA256, cram_step,
	    cram_account, false},
	{SLICE_INIT("PLAIN"), SASL_EXPOSES, SCRAM_SHA256, plain_step,
	    password_account, true},
	{SLICE_INIT("LOGIN"), SASL_EXPOSES, SCRAM_SHA256, login_step,
	    password_account, true},
};
const size_t sasl_nmechanisms =
    sizeof(sasl_mechanisms) / sizeof(sasl_mechanisms[0]);

const struct sasl_mechanism *
sasl_find(struct slice name)
{
	size_t i;

	for (i = 0; i < sasl_nmechanisms; i++)
		if (slice_ieq(name, sasl_mechanisms[i].name))
			return &sasl_mechanisms[i];
	return NULL;
}

void
sasl_salt(struct slice key, struct slice name,
    unsigned char out[SCRAM_SALT_LEN])
{
	unsigned char sum[SCRAM_KEY_MAX] = {0};

	(void)scram_hmac(SCRAM_SHA256, key, name, sum);
	memcpy(out, sum, SCRAM_SALT_LEN);
}

void
sasl_init(struct sasl *x, const struct sasl_mechanism *mech,
    const struct sasl_facts *facts)
{
	memset(x, 0, sizeof(*x));
	x->mech = mech;
	x->facts = *facts;
	x->which = -1;
	x->name = x->authzid = x->password = SLICE_EMPTY;
	x->first_bare = x->server_first = x->without_proof = SLICE_EMPTY;
	x->nonce = x->header = SLICE_EMPTY;
	buf_init(&x->out, OUT_MAX);
	buf_init(&x->text, SASL_TEXT_MAX);
	(void)buf_room(&x->text, SASL_TEXT_MAX);
}

void
sasl_free(struct sasl *x)
{
	buf_wipe(&x->text);
	buf_wipe(&x->out);
	explicit_bzero(&x->keys, sizeof(x->keys));
}

/* What did not fit was not meant for this mechanism. */
static enum sasl_result
checked(const struct sasl *x, enum sasl_result result)
{
	return x->text.overflow || x->out.overflow ? SASL_BROKEN : result;
}

enum sasl_result
sasl_start(struct sasl *x, bool has_in, struct slice in)
{
	buf_reset(&x->out);
	if (!x->mech->client_first) {
		/* RFC 4954 4: no initial response where the server begins */
		if (has_in && in.len > 0)
			return SASL_BROKEN;
		return checked(x, x->mech->step(x, SLICE_EMPTY));
	}
	if (has_in)
		return checked(x, x->mech->step(x, in));
	x->asked = true;
	if (slice_eq(x->mech->name, SLICE("LOGIN")))
		buf_adds(&x->out, "Username:");
	return SASL_MORE;
}

enum sasl_result
sasl_step(struct sasl *x, struct slice in)
{
	buf_reset(&x->out);
	return checked(x, x->mech->step(x, in));
}

enum sasl_result
sasl_account(struct sasl *x, const struct secrets *secrets)
{
	x->secrets = secrets;
	return checked(x, x->mech->account(x));
}
