/*
 * SCRAM-SHA-256 and SCRAM-SHA-1 with and without channel binding (RFC 5802,
 * RFC 7677, RFC 9266).  In authd, on a stranger's octets.
 *
 * Application passwords take part: they are stored with one salt and number of
 * iterations for the account, so that the one salt sent fits all, and the
 * client's proof is tried with the keys of each.  A name that is nobody's, or
 * has no keys, gets a salt made of the name and a key on disk: the same one
 * each time.
 */
#include <string.h>

#include "authd/sasl.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/password.h"
#include "common/conf/secrets.h"
#include "common/mime/base64.h"

#define NONCE_OCTETS 18
#define NONCE_MAX 512 /* of the client's */
#define MESSAGE_MAX 4096

enum { FIRST, FINAL, SAID };

/* "a=value" up to the next comma; *rest behind it. */
static bool
take(struct slice *rest, char letter, struct slice *value)
{
	struct slice part;

	if (!slice_cut(rest, ',', &part) || part.len < 2 ||
	    part.p[0] != letter || part.p[1] != '=')
		return false;
	*value = slice_sub(part, 2, part.len);
	return true;
}

/* saslname: =2C is a comma, =3D an equals sign, any other '=' is wrong. */
static bool
take_name(struct sasl *x, struct slice s, struct slice *name)
{
	size_t from = x->text.len, i;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] != '=') {
			buf_addc(&x->text, s.p[i]);
			continue;
		}
		if (slice_prefix(slice_sub(s, i, s.len), SLICE("=2C")))
			buf_addc(&x->text, ',');
		else if (slice_prefix(slice_sub(s, i, s.len), SLICE("=3D")))
			buf_addc(&x->text, '=');
		else
			return false;
		i += 2;
	}
	*name = slice_sub(buf_slice(&x->text), from, x->text.len);
	return name->len > 0;
}

static bool
printable(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] < '!' || s.p[i] > '~')
			return false;
	return s.len > 0;
}

/* RFC 5802 6: the flag in front.  y: the client could bind but thinks that we
 * cannot; where we have said that we can, somebody between has hidden it. */
static bool
flag_allowed(const struct sasl *x, struct slice flag)
{
	bool plus = (x->mech->needs & SASL_BINDS) != 0;

	if (plus)
		return (slice_eq(flag, SLICE("p=tls-exporter")) &&
		    x->facts.exporter.len > 0) ||
		    (slice_eq(flag, SLICE("p=tls-server-end-point")) &&
		    x->facts.end_point.len > 0);
	return slice_eq(flag, SLICE("n")) ||
	    (slice_eq(flag, SLICE("y")) && !x->facts.plus_offered);
}

static enum sasl_result
client_first(struct sasl *x, struct slice in)
{
	struct slice rest = in, flag, authzid, bare, name, nonce;

	if (in.len > MESSAGE_MAX || slice_find(in, '\0', 0) < in.len ||
	    !slice_cut(&rest, ',', &flag) ||
	    !slice_cut(&rest, ',', &authzid) || rest.p == NULL ||
	    !flag_allowed(x, flag))
		return SASL_BROKEN;
	bare = rest;
	if (authzid.len > 0 && (!slice_prefix(authzid, SLICE("a=")) ||
	    !take_name(x, slice_sub(authzid, 2, authzid.len), &x->authzid)))
		return SASL_BROKEN;
	/* m= is a mandatory extension nobody has defined yet. */
	if (!take(&rest, 'n', &name) || !take(&rest, 'r', &nonce) ||
	    !take_name(x, name, &x->name) || !printable(nonce) ||
	    nonce.len > NONCE_MAX)
		return SASL_BROKEN;
	x->header = sasl_keep(x, slice_sub(in, 0, in.len - bare.len));
	x->first_bare = sasl_keep(x, bare);
	x->nonce = sasl_keep(x, nonce);
	x->at = FINAL;
	return SASL_ACCOUNT;
}

/* Which of the account's secrets says salt and iterations: SCRAM keys, else a
 * plain password, else none. */
static void
choose(struct sasl *x)
{
	const struct secrets *s = x->secrets;
	struct scram_keys keys;
	struct slice plain;
	int found = -1;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if ((s->v[i].scopes & x->facts.scope) == 0)
			continue;
		if (scram_parse(s->v[i].stored, &keys) &&
		    keys.hash == x->mech->hash) {
			x->which = (int)i;
			x->keys = keys;
			return;
		}
		if (found < 0 && password_plain(s->v[i].stored, &plain))
			found = (int)i;
	}
	x->which = found;
	x->keys = (struct scram_keys){.hash = x->mech->hash,
	    .iterations = x->facts.iterations, .nsalt = SCRAM_SALT_LEN};
	sasl_salt(x->facts.salt_key, x->name, x->keys.salt);
}

enum sasl_result
sasl_scram_account(struct sasl *x)
{
	unsigned char octets[NONCE_OCTETS];
	size_t from;

	choose(x);
	random_bytes(octets, sizeof(octets));
	from = x->text.len;
	buf_addslice(&x->text, x->nonce);
	scram_base64(slice_mem(octets, sizeof(octets)), &x->text);
	x->nonce = slice_sub(buf_slice(&x->text), from, x->text.len);
	buf_reset(&x->out);
	buf_adds(&x->out, "r=");
	buf_addslice(&x->out, x->nonce);
	buf_adds(&x->out, ",s=");
	scram_base64(slice_mem(x->keys.salt, x->keys.nsalt), &x->out);
	buf_printf(&x->out, ",i=%u", (unsigned)x->keys.iterations);
	x->server_first = sasl_keep(x, buf_slice(&x->out));
	return SASL_MORE;
}

/* c= is base64 of the header and the binding data, to the octet. */
static bool
binding_right(struct sasl *x, struct slice given)
{
	struct buf want = BUF_INIT(MESSAGE_MAX), text = BUF_INIT(2 *
	    MESSAGE_MAX);
	bool right;

	buf_addslice(&want, x->header);
	if ((x->mech->needs & SASL_BINDS) != 0)
		buf_addslice(&want, slice_prefix(x->header,
		    SLICE("p=tls-exporter,")) ? x->facts.exporter
		    : x->facts.end_point);
	scram_base64(buf_slice(&want), &text);
	right = !want.overflow && slice_eq(buf_slice(&text), given);
	buf_free(&want);
	buf_free(&text);
	return right;
}

static bool
take_proof(struct sasl *x, struct slice text)
{
	struct base64_decoder d = {.strict = true};
	struct buf out = BUF_INIT(128);
	size_t n = scram_size(x->mech->hash);
	bool good;

	if (text.len > 64)
		return false;
	good = base64_decode(&d, text, &out) && base64_decode_end(&d, &out) &&
	    !out.overflow && out.len == n;
	if (good)
		memcpy(x->proof, out.s, n);
	buf_free(&out);
	return good;
}

static enum sasl_result finish(struct sasl *x);

static enum sasl_result
client_final(struct sasl *x, struct slice in)
{
	struct slice rest = in, binding, nonce, proof = SLICE_EMPTY;
	size_t at = in.len;

	if (in.len > MESSAGE_MAX || slice_find(in, '\0', 0) < in.len ||
	    !take(&rest, 'c', &binding) || !take(&rest, 'r', &nonce) ||
	    rest.p == NULL)
		return SASL_BROKEN;
	/* The proof is the last; extensions may stand before it. */
	while (at > 0 && in.p[at - 1] != ',')
		at--;
	if (!slice_prefix(slice_sub(in, at, in.len), SLICE("p=")))
		return SASL_BROKEN;
	proof = slice_sub(in, at + 2, in.len);
	if (!take_proof(x, proof))
		return SASL_BROKEN;
	x->without_proof = sasl_keep(x, slice_sub(in, 0, at - 1));
	if (!slice_eq(nonce, x->nonce) || !binding_right(x, binding))
		return SASL_WRONG;
	return x->secrets->n == 0 || x->which < 0 ||
	    !scram_parse(x->secrets->v[x->which].stored, &x->keys)
	    ? SASL_DERIVE : finish(x);
}

static bool
auth_message(const struct sasl *x, struct buf *out)
{
	buf_addslice(out, x->first_bare);
	buf_addc(out, ',');
	buf_addslice(out, x->server_first);
	buf_addc(out, ',');
	buf_addslice(out, x->without_proof);
	return !out->overflow;
}

/* RFC 5802 3: ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage), and
 * its sum must be StoredKey. */
static bool
proof_fits(const struct sasl *x, const struct scram_keys *k,
    struct slice message)
{
	unsigned char client[SCRAM_KEY_MAX], sum[SCRAM_KEY_MAX];
	size_t n = scram_size(k->hash), i;
	bool fits;

	if (!scram_hmac(k->hash, slice_mem(k->stored, n), message, client))
		return false;
	for (i = 0; i < n; i++)
		client[i] ^= x->proof[i];
	fits = scram_digest(k->hash, slice_mem(client, n), sum) &&
	    mem_equal_ct(sum, k->stored, n) != 0;
	explicit_bzero(client, sizeof(client));
	return fits;
}

static bool
same_salt(const struct scram_keys *a, const struct scram_keys *b)
{
	return a->hash == b->hash && a->iterations == b->iterations &&
	    a->nsalt == b->nsalt && memcmp(a->salt, b->salt, a->nsalt) == 0;
}

/* x->keys and x->which: whose proof it is. */
static bool
find_keys(struct sasl *x, struct slice message)
{
	struct scram_keys first = x->keys, k;
	bool found = x->which >= 0 && proof_fits(x, &first, message);
	size_t i;

	for (i = 0; i < x->secrets->n && !found; i++) {
		if ((x->secrets->v[i].scopes & x->facts.scope) == 0 ||
		    !scram_parse(x->secrets->v[i].stored, &k) ||
		    !same_salt(&k, &first) || !proof_fits(x, &k, message))
			continue;
		x->keys = k;
		x->which = (int)i;
		found = true;
	}
	return found;
}

static enum sasl_result
finish(struct sasl *x)
{
	struct buf message = BUF_INIT(3 * MESSAGE_MAX);
	unsigned char signature[SCRAM_KEY_MAX];
	size_t n = scram_size(x->mech->hash);
	enum sasl_result result = SASL_WRONG;

	buf_reset(&x->out);
	if (auth_message(x, &message) && find_keys(x, buf_slice(&message)) &&
	    scram_hmac(x->keys.hash, slice_mem(x->keys.server, n),
	    buf_slice(&message), signature)) {
		buf_adds(&x->out, "v=");
		scram_base64(slice_mem(signature, n), &x->out);
		x->at = SAID;
		result = SASL_MORE;
	}
	buf_free(&message);
	return result;
}

enum sasl_result
sasl_derived(struct sasl *x, bool ok)
{
	if (!ok || x->which < 0)
		return SASL_WRONG;
	return finish(x);
}

enum sasl_result
sasl_scram_step(struct sasl *x, struct slice in)
{
	switch (x->at) {
	case FIRST:
		return client_first(x, in);
	case FINAL:
		return client_final(x, in);
	default:
		/* The client has seen that we know the keys, too. */
		return in.len == 0 ? SASL_GOOD : SASL_BROKEN;
	}
}
