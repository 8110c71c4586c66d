/*
 * APOP, in authd's verifying children.  Challenge and digest are a stranger's.
 * MD5 is no longer good for much; that the challenge is used once and begins
 * with our own text keeps this use of it alive.
 */
#include <stdlib.h>

#include <openssl/evp.h>

#include "authd/apop.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define MD5_OCTETS 16

struct apop {
	EVP_MD *md5; /* NULL: not to be had */
};

struct apop *
apop_new(void)
{
	struct apop *a = mem_alloc(sizeof(*a));

	a->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	if (a->md5 == NULL)
		log_warnx("libcrypto offers no MD5 here: APOP logins fail");
	return a;
}

void
apop_free(struct apop **a)
{
	if (*a == NULL)
		return;
	EVP_MD_free((*a)->md5);
	free(*a);
	*a = NULL;
}

bool
apop_verify(const struct apop *a, struct slice challenge, struct slice secret,
    struct slice digest)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * MD5_OCTETS], given[2 * MD5_OCTETS];
	EVP_MD_CTX *ctx;
	bool ok;
	size_t i;

	if (a->md5 == NULL || digest.len != sizeof(text))
		return false;
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		return false;
	ok = EVP_DigestInit_ex(ctx, a->md5, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, challenge.p, challenge.len) == 1 &&
	    EVP_DigestUpdate(ctx, secret.p, secret.len) == 1 &&
	    EVP_DigestFinal_ex(ctx, sum, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	for (i = 0; i < MD5_OCTETS; i++) {
		text[2 * i] = hex[sum[i] >> 4];
		text[2 * i + 1] = hex[sum[i] & 15];
	}
	/* RFC 1939 wants lower case; clients that shout mean the same. */
	for (i = 0; i < sizeof(given); i++)
		given[i] = digest.p[i] >= 'A' && digest.p[i] <= 'F'
		    ? (char)(digest.p[i] | 0x20) : digest.p[i];
	ok = mem_equal_ct(text, given, sizeof(text)) != 0;
	explicit_bzero(sum, sizeof(sum));
	explicit_bzero(text, sizeof(text));
	return ok;
}
