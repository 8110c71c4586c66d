/*
 * Waiting messages: entries of 32 octets in blocks, found by id through a hash
 * table of 32-bit indexes, ordered by two heaps of such indexes.  Runs in qmgr;
 * the ids come from names in the queue directory and from queued.
 *
 * Blocks never move, so that growing to a million entries copies indexes only.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "qmgr/wait.h"

#define BLOCK 1024u /* entries in one */
#define NONE UINT32_MAX
#define HALF_BITS 50
#define HALF_MASK ((UINT64_C(1) << HALF_BITS) - 1)
#define TABLE_LEAST 1024u

/* The id is two halves of 50 bits; flags stand above the first. */
struct entry {
	uint64_t time;   /* flags << 50 | milliseconds of the id */
	uint64_t random; /* the id's other half */
	int64_t next_ms;
	uint32_t heap_at;   /* index in its heap; free entries: the next free */
	uint32_t unused;
};

struct heap {
	uint32_t *v;
	size_t n, cap;
};

struct wait {
	struct entry **blocks;
	size_t nblocks, blocks_cap;
	uint32_t free; /* first free entry, or NONE */
	size_t count, shelved;
	uint32_t *table; /* entry number + 1; 0 where empty */
	uint32_t mask;   /* table size - 1 */
	struct heap heaps[2]; /* deferred, fresh */
};

static struct entry *
entry_at(const struct wait *w, uint32_t n)
{
	return &w->blocks[n / BLOCK][n % BLOCK];
}

static unsigned
entry_flags(const struct entry *e)
{
	return (unsigned)(e->time >> HALF_BITS);
}

/* The id as numbers: "0-9a-v" are the digits of base 32. */

static uint64_t
half_parse(const char *s)
{
	uint64_t half = 0;

	for (int i = 0; i < ID_LEN / 2; i++)
		half = half << 5 | (uint64_t)(s[i] <= '9' ? s[i] - '0' :
		    s[i] - 'a' + 10);
	return half & HALF_MASK;
}

static void
half_print(uint64_t half, char *s)
{
	for (int i = ID_LEN / 2 - 1; i >= 0; i--, half >>= 5)
		s[i] = "0123456789abcdefghijklmnopqrstuv"[half & 31];
}

static void
entry_info(const struct entry *e, struct wait_info *out)
{
	half_print(e->time & HALF_MASK, out->id.s);
	half_print(e->random, out->id.s + ID_LEN / 2);
	out->id.s[ID_LEN] = '\0';
	out->next_ms = e->next_ms;
	out->flags = entry_flags(e);
}

/* Heaps */

static bool
entry_before(const struct entry *a, const struct entry *b)
{
	if (a->next_ms != b->next_ms)
		return a->next_ms < b->next_ms;
	return (a->time & HALF_MASK) < (b->time & HALF_MASK);
}

static void
heap_place(struct wait *w, struct heap *h, size_t at, uint32_t n)
{
	h->v[at] = n;
	entry_at(w, n)->heap_at = (uint32_t)at;
}

/* Moves entry n from the hole at `at` to where it belongs, closing the hole. */
static void
heap_settle(struct wait *w, struct heap *h, size_t at, uint32_t n)
{
	const struct entry *e = entry_at(w, n);
	size_t up, down;

	while (at > 0) {
		up = (at - 1) / 2;
		if (!entry_before(e, entry_at(w, h->v[up])))
			break;
		heap_place(w, h, at, h->v[up]);
		at = up;
	}
	for (;;) {
		down = 2 * at + 1;
		if (down >= h->n)
			break;
		if (down + 1 < h->n && entry_before(
		    entry_at(w, h->v[down + 1]), entry_at(w, h->v[down])))
			down++;
		if (!entry_before(entry_at(w, h->v[down]), e))
			break;
		heap_place(w, h, at, h->v[down]);
		at = down;
	}
	heap_place(w, h, at, n);
}

static struct heap *
heap_of(struct wait *w, const struct entry *e)
{
	return &w->heaps[(entry_flags(e) & WAIT_FRESH) != 0];
}

static void
heap_add(struct wait *w, uint32_t n)
{
	struct heap *h = heap_of(w, entry_at(w, n));

	MEM_PUSH(h->v, h->n, h->cap, n);
	heap_settle(w, h, h->n - 1, n);
}

static void
heap_remove(struct wait *w, uint32_t n)
{
	struct heap *h = heap_of(w, entry_at(w, n));
	size_t at = entry_at(w, n)->heap_at;
	uint32_t last = h->v[--h->n];

	if (last != n)
		heap_settle(w, h, at, last);
}

/* Table: open addressing, the next slot on collision */

static uint32_t
slot_of(const struct wait *w, uint64_t time, uint64_t random)
{
	/* The random half alone would do; made-up names may share it. */
	uint64_t h = (random ^ (time & HALF_MASK) << 7) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & w->mask;
}

/* The slot of this id, or the empty one where it would stand. */
static uint32_t
table_find(const struct wait *w, uint64_t time, uint64_t random)
{
	uint32_t slot = slot_of(w, time, random);
	const struct entry *e;

	for (; w->table[slot] != 0; slot = (slot + 1) & w->mask) {
		e = entry_at(w, w->table[slot] - 1);
		if (e->random == random && (e->time & HALF_MASK) ==
		    (time & HALF_MASK))
			break;
	}
	return slot;
}

static void
table_grow(struct wait *w)
{
	uint32_t *old = w->table;
	size_t size = old == NULL ? 0 : (size_t)w->mask + 1;
	size_t larger = size == 0 ? TABLE_LEAST : size * 2;
	const struct entry *e;

	w->table = mem_array(larger, sizeof(*w->table));
	w->mask = (uint32_t)(larger - 1);
	for (size_t i = 0; i < size; i++)
		if (old[i] != 0) {
			e = entry_at(w, old[i] - 1);
			w->table[table_find(w, e->time, e->random)] = old[i];
		}
	free(old);
}

/* Empties a slot and moves those behind it that would no longer be found. */
static void
table_clear(struct wait *w, uint32_t hole)
{
	uint32_t slot = hole, home;
	const struct entry *e;

	for (;;) {
		slot = (slot + 1) & w->mask;
		if (w->table[slot] == 0)
			break;
		e = entry_at(w, w->table[slot] - 1);
		home = slot_of(w, e->time, e->random);
		if (((slot - home) & w->mask) < ((slot - hole) & w->mask))
			continue;
		w->table[hole] = w->table[slot];
		hole = slot;
	}
	w->table[hole] = 0;
}

/* Entries */

static uint32_t
entry_new(struct wait *w)
{
	struct entry *block;
	uint32_t n;

	if (w->free == NONE) {
		block = mem_array(BLOCK, sizeof(*block));
		n = (uint32_t)(w->nblocks * BLOCK);
		MEM_PUSH(w->blocks, w->nblocks, w->blocks_cap, block);
		for (uint32_t i = 0; i < BLOCK; i++)
			block[i].heap_at = i + 1 < BLOCK ? n + i + 1 : NONE;
		w->free = n;
	}
	n = w->free;
	w->free = entry_at(w, n)->heap_at;
	return n;
}

struct wait *
wait_new(void)
{
	struct wait *w = mem_alloc(sizeof(*w));

	w->free = NONE;
	table_grow(w);
	return w;
}

void
wait_free(struct wait **wp)
{
	struct wait *w = *wp;

	if (w == NULL)
		return;
	for (size_t i = 0; i < w->nblocks; i++)
		free(w->blocks[i]);
	free(w->blocks);
	free(w->table);
	free(w->heaps[0].v);
	free(w->heaps[1].v);
	free(w);
	*wp = NULL;
}

static void
entry_remove(struct wait *w, uint32_t slot, struct wait_info *out)
{
	uint32_t n = w->table[slot] - 1;
	struct entry *e = entry_at(w, n);

	entry_info(e, out);
	heap_remove(w, n);
	table_clear(w, slot);
	if (out->flags & WAIT_SHELVED)
		w->shelved--;
	w->count--;
	e->heap_at = w->free;
	w->free = n;
}

bool
wait_take(struct wait *w, const struct mail_id *id, struct wait_info *out)
{
	uint32_t slot = table_find(w, half_parse(id->s),
	    half_parse(id->s + ID_LEN / 2));

	if (w->table[slot] == 0)
		return false;
	entry_remove(w, slot, out);
	return true;
}

void
wait_put(struct wait *w, const struct wait_info *info)
{
	uint64_t time = half_parse(info->id.s);
	uint64_t random = half_parse(info->id.s + ID_LEN / 2);
	struct wait_info old;
	struct entry *e;
	uint32_t n;

	assert((info->flags & ~WAIT_FLAGS) == 0);
	(void)wait_take(w, &info->id, &old);
	/* Never more than three quarters full. */
	if (w->count + 1 > ((size_t)w->mask + 1) / 4 * 3)
		table_grow(w);
	n = entry_new(w);
	e = entry_at(w, n);
	e->time = (uint64_t)info->flags << HALF_BITS | time;
	e->random = random;
	e->next_ms = info->next_ms;
	w->table[table_find(w, time, random)] = n + 1;
	heap_add(w, n);
	w->count++;
	if (info->flags & WAIT_SHELVED)
		w->shelved++;
}

bool
wait_get(const struct wait *w, const struct mail_id *id, struct wait_info *out)
{
	uint32_t slot = table_find(w, half_parse(id->s),
	    half_parse(id->s + ID_LEN / 2));

	if (w->table[slot] == 0)
		return false;
	entry_info(entry_at(w, w->table[slot] - 1), out);
	return true;
}

bool
wait_take_due(struct wait *w, bool fresh, int64_t now_ms,
    struct wait_info *out)
{
	const struct heap *h = &w->heaps[fresh];
	const struct entry *e;

	if (h->n == 0)
		return false;
	e = entry_at(w, h->v[0]);
	if (e->next_ms > now_ms)
		return false;
	entry_remove(w, table_find(w, e->time, e->random), out);
	return true;
}

int64_t
wait_next_ms(const struct wait *w, bool fresh)
{
	const struct heap *h = &w->heaps[fresh];

	return h->n == 0 ? WAIT_NEVER : entry_at(w, h->v[0])->next_ms;
}

void
wait_unshelve(struct wait *w, int64_t now_ms)
{
	struct wait_info *found, info;
	size_t nfound = 0;

	if (w->shelved == 0)
		return;
	found = mem_array(w->shelved, sizeof(*found));
	for (size_t i = 0; i <= w->mask; i++)
		if (w->table[i] != 0) {
			entry_info(entry_at(w, w->table[i] - 1), &info);
			if (info.flags & WAIT_SHELVED)
				found[nfound++] = info;
		}
	for (size_t i = 0; i < nfound; i++) {
		found[i].flags &= ~WAIT_SHELVED;
		if (found[i].next_ms > now_ms)
			found[i].next_ms = now_ms;
		wait_put(w, &found[i]);
	}
	free(found);
}

size_t
wait_count(const struct wait *w)
{
	return w->count;
}

size_t
wait_memory(const struct wait *w)
{
	return sizeof(*w) + w->nblocks * BLOCK * sizeof(struct entry) +
	    w->blocks_cap * sizeof(*w->blocks) +
	    ((size_t)w->mask + 1) * sizeof(*w->table) +
	    (w->heaps[0].cap + w->heaps[1].cap) * sizeof(uint32_t);
}
