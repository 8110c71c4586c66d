/*
 * The store of TLS sessions.  Runs in keyd's workers, which share it; a session
 * holds the secrets of past connections, and so stays where keys are.  Ids are
 * made by sessions, and asked for by clients of the network.
 *
 * Sets of a few slots; one lock a set, which is its holder's process id, so
 * that the parent can take away what a dead worker held.
 */
#include <sys/mman.h>

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/proto/key.h"
#include "keyd/cache.h"

#define WAYS 8
#define PATIENCE 10000 /* looks at a lock before it is let be */

struct slot {
	int64_t end_ms;   /* 0: free */
	uid_t owner;
	uint16_t len;
	uint8_t idlen, contextlen;
	unsigned char id[KEY_SESSION_ID_MAX];
	char context[KEY_CONTEXT_MAX];
	unsigned char session[KEY_SESSION_MAX];
};

struct set {
	pid_t lock; /* 0: open */
	struct slot v[WAYS];
};

struct cache {
	size_t nsets;
	int64_t life_ms;
	struct set *sets; /* shared */
};

struct cache *
cache_new(size_t sessions, int64_t life_ms)
{
	struct cache *c;

	if (sessions == 0)
		return NULL;
	c = mem_alloc(sizeof(*c));
	c->nsets = (sessions + WAYS - 1) / WAYS;
	c->life_ms = life_ms;
	c->sets = mem_shared(c->nsets * sizeof(*c->sets));
	(void)madvise(c->sets, c->nsets * sizeof(*c->sets), MADV_DONTDUMP);
	return c;
}

void
cache_life(struct cache *c, int64_t life_ms)
{
	if (c != NULL)
		c->life_ms = life_ms;
}

static struct set *
set_of(struct cache *c, struct slice id)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.p[i]) * 1099511628211u;
	return &c->sets[h % c->nsets];
}

static bool
lock(struct set *s)
{
	pid_t open, me = getpid();

	for (int i = 0; i < PATIENCE; i++) {
		open = 0;
		if (__atomic_compare_exchange_n(&s->lock, &open, me, false,
		    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
		sched_yield();
	}
	return false; /* its holder died and nobody has seen it yet */
}

static void
unlock(struct set *s)
{
	__atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE);
}

static void
wipe(struct slot *slot)
{
	explicit_bzero(slot, sizeof(*slot));
}

static bool
is_it(const struct slot *slot, uid_t owner, struct slice context,
    struct slice id)
{
	return slot->end_ms != 0 && slot->owner == owner &&
	    slot->idlen == id.len &&
	    mem_equal_ct(slot->id, id.p, id.len) &&
	    slice_eq(context, slice_mem(slot->context, slot->contextlen));
}

/* A free one, or the one that ends first: all live equally long. */
static struct slot *
place_for(struct set *s, int64_t now_ms)
{
	struct slot *best = &s->v[0];

	for (size_t i = 0; i < WAYS; i++) {
		if (s->v[i].end_ms <= now_ms)
			wipe(&s->v[i]);
		if (s->v[i].end_ms < best->end_ms)
			best = &s->v[i];
	}
	return best;
}

bool
cache_put(struct cache *c, uid_t owner, struct slice context, struct slice id,
    struct slice session, int64_t now_ms)
{
	struct set *s;
	struct slot *slot;
	bool there = false;

	if (c == NULL || id.len == 0 || session.len == 0 ||
	    id.len > KEY_SESSION_ID_MAX || context.len > KEY_CONTEXT_MAX ||
	    session.len > KEY_SESSION_MAX)
		return false;
	s = set_of(c, id);
	if (!lock(s))
		return false;
	for (size_t i = 0; i < WAYS; i++)
		there = there || is_it(&s->v[i], owner, context, id);
	if (!there) { /* nobody's session is replaced by another */
		slot = place_for(s, now_ms);
		wipe(slot);
		slot->end_ms = now_ms + c->life_ms;
		slot->owner = owner;
		slot->idlen = (uint8_t)id.len;
		memcpy(slot->id, id.p, id.len);
		slot->contextlen = (uint8_t)context.len;
		memcpy(slot->context, context.p, context.len);
		slot->len = (uint16_t)session.len;
		memcpy(slot->session, session.p, session.len);
	}
	unlock(s);
	return !there;
}

bool
cache_take(struct cache *c, uid_t owner, struct slice context,
    struct slice id, int64_t now_ms, struct buf *out)
{
	bool found = false;
	struct set *s;

	if (c == NULL || id.len == 0)
		return false;
	s = set_of(c, id);
	if (!lock(s))
		return false;
	for (size_t i = 0; i < WAYS && !found; i++) {
		struct slot *slot = &s->v[i];

		if (!is_it(slot, owner, context, id))
			continue;
		found = slot->end_ms > now_ms;
		if (found)
			buf_add(out, slot->session, slot->len);
		wipe(slot);
	}
	unlock(s);
	return found;
}

void
cache_release(struct cache *c, pid_t dead)
{
	for (size_t i = 0; c != NULL && i < c->nsets; i++) {
		struct set *s = &c->sets[i];

		if (__atomic_load_n(&s->lock, __ATOMIC_ACQUIRE) != dead)
			continue;
		explicit_bzero(s->v, sizeof(s->v));
		unlock(s);
	}
}
