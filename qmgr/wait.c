/*
 * Waiting messages: entries of 40 octets in blocks, found by id through a hash
 * table of 32-bit indexes, ordered by two heaps of such indexes and chained in
 * lines.  Runs in qmgr; the ids come from names in the queue directory and from
 * queued.
 *
 * Blocks never move, so that growing to a million entries copies indexes only,
 * and those of the hash table a few with each change: fresh mail does not wait
 * for it.
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
#define MOVES 8u /* slots of the old table emptied with each change */
#define FREE UINT64_MAX

/* The id is two halves of 50 bits; flags stand above the first. */
struct entry {
	uint64_t time;      /* flags << 50 | milliseconds of the id; FREE */
	uint64_t random;    /* the id's other half */
	int64_t next_ms;
	uint32_t heap_at;   /* index in its heap; free entries: the next free */
	uint32_t line;      /* number, or 0 */
	uint32_t next, prev; /* in that line; NONE at its ends */
};

struct heap {
	uint32_t *v;
	size_t n, cap;
};

struct table {
	uint32_t *v;   /* entry number + 1; 0 where empty */
	uint32_t mask; /* size - 1 */
};

struct line {
	struct {
		uint32_t first, last, n;
	} list[2]; /* who has a time of its own; who is parked */
	uint32_t next_free;
	void *owner;
};

struct wait {
	struct entry **blocks;
	size_t nblocks, blocks_cap;
	uint32_t free; /* first free entry, or NONE */
	size_t count, unknown;
	struct table table;
	struct table old;   /* v is NULL, or it is being emptied: */
	uint32_t old_at;    /* nothing is in front of this slot */
	struct heap heaps[2]; /* deferred, fresh */
	struct line *lines; /* number 0 is nobody's */
	size_t nlines, lines_cap;
	uint32_t free_line; /* or NONE */
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
	out->line = e->line;
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
slot_of(const struct table *t, uint64_t time, uint64_t random)
{
	/* The random half alone would do; made-up names may share it. */
	uint64_t h = (random ^ (time & HALF_MASK) << 7) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32) & t->mask;
}

/* The slot of this id, or the empty one where it would stand. */
static uint32_t
table_find(const struct wait *w, const struct table *t, uint64_t time,
    uint64_t random)
{
	uint32_t slot = slot_of(t, time, random);
	const struct entry *e;

	for (; t->v[slot] != 0; slot = (slot + 1) & t->mask) {
		e = entry_at(w, t->v[slot] - 1);
		if (e->random == random && (e->time & HALF_MASK) ==
		    (time & HALF_MASK))
			break;
	}
	return slot;
}

/* Empties a slot and moves those behind it that would no longer be found. */
static void
table_clear(const struct wait *w, struct table *t, uint32_t hole)
{
	uint32_t slot = hole, home;
	const struct entry *e;

	for (;;) {
		slot = (slot + 1) & t->mask;
		if (t->v[slot] == 0)
			break;
		e = entry_at(w, t->v[slot] - 1);
		home = slot_of(t, e->time, e->random);
		if (((slot - home) & t->mask) < ((slot - hole) & t->mask))
			continue;
		t->v[hole] = t->v[slot];
		hole = slot;
	}
	t->v[hole] = 0;
}

/* Moves some of the old table into the new one. */
static void
table_move(struct wait *w, uint32_t slots)
{
	struct table *old = &w->old;
	const struct entry *e;
	uint32_t n;

	if (old->v == NULL)
		return;
	while (slots-- > 0) {
		/* What takes the emptied slot goes, too. */
		while ((n = old->v[w->old_at]) != 0) {
			table_clear(w, old, w->old_at);
			e = entry_at(w, n - 1);
			w->table.v[table_find(w, &w->table, e->time,
			    e->random)] = n;
		}
		if (w->old_at++ == old->mask) {
			free(old->v);
			old->v = NULL;
			return;
		}
	}
}

static void
table_grow(struct wait *w)
{
	size_t size = w->table.v == NULL ? TABLE_LEAST :
	    ((size_t)w->table.mask + 1) * 2;

	table_move(w, UINT32_MAX); /* long done */
	w->old = w->table;
	w->old_at = 0;
	w->table.v = mem_array(size, sizeof(*w->table.v));
	w->table.mask = (uint32_t)(size - 1);
}

/* The table and the slot that has this id; NULL: none has. */
static struct table *
table_look(struct wait *w, uint64_t time, uint64_t random, uint32_t *slot)
{
	*slot = table_find(w, &w->table, time, random);
	if (w->table.v[*slot] != 0)
		return &w->table;
	if (w->old.v == NULL)
		return NULL;
	*slot = table_find(w, &w->old, time, random);
	return w->old.v[*slot] != 0 ? &w->old : NULL;
}

/* Lines */

static void
line_join(struct wait *w, uint32_t n)
{
	struct entry *e = entry_at(w, n);
	bool parked = (entry_flags(e) & WAIT_PARKED) != 0;
	struct line *line = &w->lines[e->line];

	e->next = NONE;
	e->prev = line->list[parked].last;
	if (e->prev == NONE)
		line->list[parked].first = n;
	else
		entry_at(w, e->prev)->next = n;
	line->list[parked].last = n;
	line->list[parked].n++;
}

static void
line_leave(struct wait *w, const struct entry *e)
{
	bool parked = (entry_flags(e) & WAIT_PARKED) != 0;
	struct line *line = &w->lines[e->line];

	if (e->prev == NONE)
		line->list[parked].first = e->next;
	else
		entry_at(w, e->prev)->next = e->next;
	if (e->next == NONE)
		line->list[parked].last = e->prev;
	else
		entry_at(w, e->next)->prev = e->prev;
	line->list[parked].n--;
}

static void
line_clear(struct line *line)
{
	for (int i = 0; i < 2; i++) {
		line->list[i].first = line->list[i].last = NONE;
		line->list[i].n = 0;
	}
}

void *
wait_line_owner(const struct wait *w, uint32_t line)
{
	return w->lines[line].owner;
}

uint32_t
wait_line_new(struct wait *w, void *owner)
{
	struct line line;
	uint32_t n = w->free_line;

	line_clear(&line);
	line.next_free = NONE;
	line.owner = owner;
	if (n == NONE) {
		n = (uint32_t)w->nlines;
		MEM_PUSH(w->lines, w->nlines, w->lines_cap, line);
		return n;
	}
	w->free_line = w->lines[n].next_free;
	w->lines[n] = line;
	return n;
}

size_t
wait_line_count(const struct wait *w, uint32_t line, bool parked)
{
	return w->lines[line].list[parked].n;
}

bool
wait_line_take(struct wait *w, uint32_t line, bool parked,
    struct wait_info *out)
{
	uint32_t n = w->lines[line].list[parked].first;
	struct wait_info first;

	if (n == NONE)
		return false;
	entry_info(entry_at(w, n), &first);
	return wait_take(w, &first.id, out);
}

void
wait_line_free(struct wait *w, uint32_t number, int64_t at_ms)
{
	struct wait_info info;

	for (int parked = 0; parked < 2; parked++)
		while (wait_line_take(w, number, parked, &info)) {
			info.line = 0;
			info.flags &= ~WAIT_PARKED;
			if (parked && info.next_ms > at_ms)
				info.next_ms = at_ms;
			wait_put(w, &info);
		}
	w->lines[number].next_free = w->free_line;
	w->free_line = number;
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
		for (uint32_t i = 0; i < BLOCK; i++) {
			block[i].time = FREE;
			block[i].heap_at = i + 1 < BLOCK ? n + i + 1 : NONE;
		}
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

	w->free = w->free_line = NONE;
	table_grow(w);
	(void)wait_line_new(w, NULL);
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
	free(w->table.v);
	free(w->old.v);
	free(w->heaps[0].v);
	free(w->heaps[1].v);
	free(w->lines);
	free(w);
	*wp = NULL;
}

static void
entry_remove(struct wait *w, struct table *t, uint32_t slot,
    struct wait_info *out)
{
	uint32_t n = t->v[slot] - 1;
	struct entry *e = entry_at(w, n);

	entry_info(e, out);
	heap_remove(w, n);
	table_clear(w, t, slot);
	if (e->line != 0)
		line_leave(w, e);
	else if ((out->flags & WAIT_FRESH) == 0)
		w->unknown--;
	w->count--;
	e->time = FREE;
	e->heap_at = w->free;
	w->free = n;
	table_move(w, MOVES);
}

bool
wait_take(struct wait *w, const struct mail_id *id, struct wait_info *out)
{
	uint32_t slot;
	struct table *t = table_look(w, half_parse(id->s),
	    half_parse(id->s + ID_LEN / 2), &slot);

	if (t == NULL)
		return false;
	entry_remove(w, t, slot, out);
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

	assert((info->flags & ~WAIT_FLAGS) == 0 && info->line < w->nlines);
	(void)wait_take(w, &info->id, &old);
	/* Never more than three quarters full. */
	if (w->count + 1 > ((size_t)w->table.mask + 1) / 4 * 3)
		table_grow(w);
	n = entry_new(w);
	e = entry_at(w, n);
	e->time = (uint64_t)info->flags << HALF_BITS | time;
	e->random = random;
	e->next_ms = info->next_ms;
	e->line = info->line;
	w->table.v[table_find(w, &w->table, time, random)] = n + 1;
	heap_add(w, n);
	if (e->line != 0)
		line_join(w, n);
	else if ((info->flags & WAIT_FRESH) == 0)
		w->unknown++;
	w->count++;
	table_move(w, MOVES);
}

bool
wait_get(const struct wait *w, const struct mail_id *id, struct wait_info *out)
{
	uint64_t time = half_parse(id->s);
	uint64_t random = half_parse(id->s + ID_LEN / 2);
	const struct table *t = &w->table;
	uint32_t slot = table_find(w, t, time, random);

	if (t->v[slot] == 0 && w->old.v != NULL) {
		t = &w->old;
		slot = table_find(w, t, time, random);
	}
	if (t->v[slot] == 0)
		return false;
	entry_info(entry_at(w, t->v[slot] - 1), out);
	return true;
}

bool
wait_take_due(struct wait *w, bool fresh, int64_t now_ms,
    struct wait_info *out)
{
	const struct heap *h = &w->heaps[fresh];
	const struct entry *e;
	struct wait_info first;

	if (h->n == 0)
		return false;
	e = entry_at(w, h->v[0]);
	if (e->next_ms > now_ms)
		return false;
	entry_info(e, &first);
	return wait_take(w, &first.id, out);
}

int64_t
wait_next_ms(const struct wait *w, bool fresh)
{
	const struct heap *h = &w->heaps[fresh];

	return h->n == 0 ? WAIT_NEVER : entry_at(w, h->v[0])->next_ms;
}

bool
wait_walk(const struct wait *w, uint32_t *at, uint32_t most,
    struct wait_info *out)
{
	const struct entry *e;

	for (; most > 0; most--) {
		if (*at >= w->nblocks * BLOCK) {
			*at = WAIT_END;
			return false;
		}
		e = entry_at(w, (*at)++);
		if (e->time != FREE) {
			entry_info(e, out);
			return true;
		}
	}
	return false;
}

size_t
wait_count(const struct wait *w)
{
	return w->count;
}

size_t
wait_unknown(const struct wait *w)
{
	return w->unknown;
}

size_t
wait_memory(const struct wait *w)
{
	return sizeof(*w) + w->nblocks * BLOCK * sizeof(struct entry) +
	    w->blocks_cap * sizeof(*w->blocks) +
	    ((size_t)w->table.mask + 1) * sizeof(*w->table.v) +
	    (w->old.v == NULL ? 0 :
	    ((size_t)w->old.mask + 1) * sizeof(*w->old.v)) +
	    w->lines_cap * sizeof(*w->lines) +
	    (w->heaps[0].cap + w->heaps[1].cap) * sizeof(uint32_t);
}
