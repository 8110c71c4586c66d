/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012).  In authd, over user names,
 * client addresses and list members: anybody's input.
 */
#include "authd/hash.h"
#include "common/base/random.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t
rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void
round_once(struct state *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static void
absorb(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	round_once(s);
	round_once(s);
	s->v0 ^= word;
}

struct hash_key
hash_key_new(void)
{
	return (struct hash_key){random_u64(), random_u64()};
}

/* Eight octets in front of s are a word of their own: the kind. */
uint64_t
hash_slice(const struct hash_key *key, char kind, struct slice s)
{
	struct state st = {key->k0 ^ UINT64_C(0x736f6d6570736575),
	    key->k1 ^ UINT64_C(0x646f72616e646f6d),
	    key->k0 ^ UINT64_C(0x6c7967656e657261),
	    key->k1 ^ UINT64_C(0x7465646279746573)};
	uint64_t word;
	size_t i, j;

	absorb(&st, (unsigned char)kind);
	for (i = 0; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.p + i, sizeof(word));
		absorb(&st, word);
	}
	word = (uint64_t)s.len << 56;
	for (j = 0; i + j < s.len; j++)
		word |= (uint64_t)(unsigned char)s.p[i + j] << (8 * j);
	absorb(&st, word);
	st.v2 ^= 0xff;
	for (i = 0; i < 4; i++)
		round_once(&st);
	return st.v0 ^ st.v1 ^ st.v2 ^ st.v3;
}
