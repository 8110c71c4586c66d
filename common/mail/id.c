/*
 * The id of a message.  Made by smtpd's sessions and by whoever else hands in
 * mail; parsed by everybody who reads queue file names, channel records or
 * commands.  The random half keeps two processes apart without a word between
 * them, and does not tell how much mail passes.
 */
#include <string.h>

#include "common/base/random.h"
#include "common/mail/id.h"

#define HALF_CHARS 10
#define HALF_BITS 50
#define HALF_MASK ((UINT64_C(1) << HALF_BITS) - 1)

/* RFC 4648 7, lower case: the digits stand in the order of their values. */
static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";

/* Five bits a character, the highest first, so that text order is time
 * order. */
static void
put_half(char *at, uint64_t half)
{
	for (size_t i = HALF_CHARS; i-- > 0; half >>= 5)
		at[i] = alphabet[half & 31];
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'v')
		return c - 'a' + 10;
	return -1;
}

struct mail_id
id_made(int64_t real_ms, uint64_t bits)
{
	struct mail_id id;

	put_half(id.s, real_ms > 0 ? (uint64_t)real_ms & HALF_MASK : 0);
	put_half(id.s + HALF_CHARS, bits & HALF_MASK);
	id.s[ID_LEN] = '\0';
	return id;
}

struct mail_id
id_new(int64_t real_ms)
{
	return id_made(real_ms, random_u64());
}

bool
id_parse(struct slice s, struct mail_id *out)
{
	if (s.len != ID_LEN)
		return false;
	for (size_t i = 0; i < ID_LEN; i++)
		if (digit(s.p[i]) < 0)
			return false;
	memcpy(out->s, s.p, ID_LEN);
	out->s[ID_LEN] = '\0';
	return true;
}

int64_t
id_time_ms(const struct mail_id *id)
{
	int64_t ms = 0;

	for (size_t i = 0; i < HALF_CHARS; i++) {
		int d = digit(id->s[i]);

		if (d < 0)
			return 0; /* not made here, nor by id_parse */
		ms = ms * 32 + d;
	}
	return ms;
}
