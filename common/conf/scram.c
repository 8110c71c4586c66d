/*
 * SCRAM's keys: made by the postern command and in authd's verifying children,
 * read in authd.  Stored values are the admin's, passwords are strangers'.
 */
#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/buf.h"
#include "common/base/num.h"
#include "common/conf/scram.h"

#define BASE64_MAX (4 * ((SCRAM_SALT_MAX + 2) / 3)) /* of one part */

static const struct {
	struct slice prefix;
	size_t size;
} hashes[] = {
	[SCRAM_SHA256] = {SLICE_INIT("{SCRAM-SHA-256}"), 32},
	[SCRAM_SHA1] = {SLICE_INIT("{SCRAM-SHA-1}"), 20},
};

static const EVP_MD *
md(enum scram_hash hash)
{
	return hash == SCRAM_SHA1 ? EVP_sha1() : EVP_sha256();
}

size_t
scram_size(enum scram_hash hash)
{
	return hashes[hash].size;
}

void
scram_warm(void)
{
	struct scram_keys k = {.hash = SCRAM_SHA256, .iterations = 1,
	    .nsalt = 1};

	(void)scram_derive(&k, SLICE("x"));
	k.hash = SCRAM_SHA1;
	(void)scram_derive(&k, SLICE("x"));
}

bool
scram_hmac(enum scram_hash hash, struct slice key, struct slice data,
    unsigned char out[SCRAM_KEY_MAX])
{
	return key.len <= INT_MAX && HMAC(md(hash), key.p, (int)key.len,
	    (const unsigned char *)data.p, data.len, out, NULL) != NULL;
}

bool
scram_digest(enum scram_hash hash, struct slice data,
    unsigned char out[SCRAM_KEY_MAX])
{
	return EVP_Digest(data.p, data.len, out, NULL, md(hash), NULL) == 1;
}

bool
scram_derive(struct scram_keys *k, struct slice secret)
{
	unsigned char salted[SCRAM_KEY_MAX], client[SCRAM_KEY_MAX];
	size_t n = scram_size(k->hash);
	bool ok;

	if (secret.len > INT_MAX || k->iterations > INT_MAX)
		return false;
	/* RFC 5802 3: Hi() is PBKDF2 of one block */
	ok = PKCS5_PBKDF2_HMAC(secret.p, (int)secret.len, k->salt,
	    (int)k->nsalt, (int)k->iterations, md(k->hash), (int)n,
	    salted) == 1 &&
	    scram_hmac(k->hash, slice_mem(salted, n), SLICE("Client Key"),
	    client) &&
	    scram_digest(k->hash, slice_mem(client, n), k->stored) &&
	    scram_hmac(k->hash, slice_mem(salted, n), SLICE("Server Key"),
	    k->server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return ok;
}

/* Strict: whole groups, padding at the end only.  The octets' number, or -1. */
static int
decode(struct slice text, unsigned char *out, size_t room)
{
	unsigned char octets[BASE64_MAX];
	size_t i, pads = 0;
	int n;

	if (text.len == 0 || text.len > BASE64_MAX || text.len % 4 != 0)
		return -1;
	while (pads < 2 && text.p[text.len - 1 - pads] == '=')
		pads++;
	for (i = 0; i < text.len - pads; i++) {
		char c = text.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '+' || c == '/'))
			return -1;
	}
	n = EVP_DecodeBlock(octets, (const unsigned char *)text.p,
	    (int)text.len) - (int)pads;
	if (n <= 0 || (size_t)n > room)
		return -1;
	memcpy(out, octets, (size_t)n);
	return n;
}

bool
scram_parse(struct slice stored, struct scram_keys *out)
{
	struct scram_keys k = {.hash = SCRAM_SHA256};
	struct slice rest, part[4];
	size_t i;
	int n;

	if (!slice_iprefix(stored, hashes[k.hash].prefix)) {
		k.hash = SCRAM_SHA1;
		if (!slice_iprefix(stored, hashes[k.hash].prefix))
			return false;
	}
	rest = slice_sub(stored, hashes[k.hash].prefix.len, stored.len);
	for (i = 0; i < 4; i++)
		if (!slice_cut(&rest, ',', &part[i]))
			return false;
	if (rest.p != NULL || !num_u32(part[0], SCRAM_ITERATIONS_MIN,
	    SCRAM_ITERATIONS_MAX, &k.iterations))
		return false;
	n = decode(part[1], k.salt, sizeof(k.salt));
	if (n < 0)
		return false;
	k.nsalt = (size_t)n;
	if (decode(part[2], k.stored, sizeof(k.stored)) !=
	    (int)scram_size(k.hash) ||
	    decode(part[3], k.server, sizeof(k.server)) !=
	    (int)scram_size(k.hash))
		return false;
	*out = k;
	return true;
}

void
scram_base64(struct slice octets, struct buf *out)
{
	unsigned char text[BASE64_MAX + 1];
	size_t at, n;

	for (at = 0; at < octets.len; at += n) {
		n = octets.len - at < 48 ? octets.len - at : 48;
		buf_add(out, text, (size_t)EVP_EncodeBlock(text,
		    (const unsigned char *)octets.p + at, (int)n));
	}
}

void
scram_format(const struct scram_keys *k, struct buf *out)
{
	size_t n = scram_size(k->hash);

	buf_addslice(out, hashes[k->hash].prefix);
	buf_addu(out, k->iterations);
	buf_addc(out, ',');
	scram_base64(slice_mem(k->salt, k->nsalt), out);
	buf_addc(out, ',');
	scram_base64(slice_mem(k->stored, n), out);
	buf_addc(out, ',');
	scram_base64(slice_mem(k->server, n), out);
}
