/*
 * APOP, in authd's verifying children.  Challenge and digest are a stranger's.
 * MD5 is no longer good for much; that the challenge is used once and begins
 * with our own text keeps this use of it alive.
 */
#include <stdlib.h>

#include "authd/apop.h"
#include "common/base/crypto.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct apop {
	struct crypto_hash *md5; /* NULL: not to be had */
};

struct apop *
apop_new(void)
{
	struct apop *a = mem_alloc(sizeof(*a));

	a->md5 = crypto_hash_new(CRYPTO_MD5);
	if (a->md5 == NULL)
		log_warnx("libcrypto offers no MD5 here: APOP logins fail");
	return a;
}

void
apop_free(struct apop **a)
{
	if (*a == NULL)
		return;
	crypto_hash_free(&(*a)->md5);
	free(*a);
	*a = NULL;
}

bool
apop_verify(const struct apop *a, struct slice challenge, struct slice secret,
    struct slice digest)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[CRYPTO_HASH_MAX];
	char text[2 * CRYPTO_MD5_LEN], given[2 * CRYPTO_MD5_LEN];
	bool ok;
	size_t i;

	if (a->md5 == NULL || digest.len != sizeof(text))
		return false;
	crypto_hash_add(a->md5, challenge.p, challenge.len);
	crypto_hash_add(a->md5, secret.p, secret.len);
	(void)crypto_hash_end(a->md5, sum);
	for (i = 0; i < CRYPTO_MD5_LEN; i++) {
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
