/*
 * Hints about addresses, written by all remote processes without locks: one
 * word a slot, so that none is ever half written.
 */
#include <stdatomic.h>

#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/net.h"
#include "remote/health.h"

#define SLOTS 4096u
#define FAMILY_FAILURES 3 /* one after the other, none worked between */
#define UNIT_MS 100

/* High half: the rest of the address's hash; low half: when, in UNIT_MS + 1. */
struct family {
	_Atomic uint32_t failures;
	_Atomic uint32_t when;
};

struct health {
	uint64_t seed;
	struct family family[2]; /* IPv4, IPv6 */
	_Atomic uint64_t slot[SLOTS];
};

struct health *
health_new(void)
{
	struct health *h = mem_shared(sizeof(*h));

	h->seed = random_u64();
	return h;
}

static uint64_t
hash(const struct health *h, const struct ip *ip)
{
	uint64_t n = h->seed ^ UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < sizeof(ip->a); i++)
		n = (n ^ ip->a[i]) * UINT64_C(0x100000001b3);
	return n ^ n >> 29;
}

static uint32_t
units(int64_t now_ms)
{
	return (uint32_t)(now_ms / UNIT_MS) | 1u;
}

static bool
lately(uint32_t when, int64_t now_ms, int64_t memory_ms)
{
	uint32_t age = units(now_ms) - when;

	return when != 0 && (int64_t)age * UNIT_MS < memory_ms;
}

static struct family *
family_of(struct health *h, const struct ip *ip)
{
	return &h->family[ip_is_v4(ip) ? 0 : 1];
}

void
health_failed(struct health *h, const struct ip *ip, int64_t now_ms)
{
	struct family *f = family_of(h, ip);
	uint64_t n = hash(h, ip);

	atomic_store(&h->slot[n % SLOTS], n >> 32 << 32 | units(now_ms));
	atomic_store(&f->when, units(now_ms));
	if (atomic_load(&f->failures) < FAMILY_FAILURES)
		atomic_fetch_add(&f->failures, 1);
}

void
health_worked(struct health *h, const struct ip *ip)
{
	struct family *f = family_of(h, ip);
	uint64_t n = hash(h, ip);

	/* Looked at first: the page stays unwritten while all is well. */
	if (atomic_load(&f->failures) != 0)
		atomic_store(&f->failures, 0);
	if (atomic_load(&h->slot[n % SLOTS]) >> 32 == n >> 32)
		atomic_store(&h->slot[n % SLOTS], 0);
}

static bool
family_doubtful(const struct family *f, int64_t now_ms, int64_t memory_ms)
{
	return atomic_load(&f->failures) >= FAMILY_FAILURES &&
	    lately(atomic_load(&f->when), now_ms, memory_ms);
}

bool
health_v6_doubtful(const struct health *h, int64_t now_ms, int64_t memory_ms)
{
	/* Where both fail it is not the family. */
	return family_doubtful(&h->family[1], now_ms, memory_ms) &&
	    !family_doubtful(&h->family[0], now_ms, memory_ms);
}

bool
health_doubtful(const struct health *h, const struct ip *ip, int64_t now_ms,
    int64_t memory_ms)
{
	uint64_t n = hash(h, ip), word = atomic_load(&h->slot[n % SLOTS]);

	if (word >> 32 == n >> 32 &&
	    lately((uint32_t)word, now_ms, memory_ms))
		return true;
	return !ip_is_v4(ip) && health_v6_doubtful(h, now_ms, memory_ms);
}
