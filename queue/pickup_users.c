/*
 * Who of the host's users has files in the drop directory, and whose turn it
 * is.  In pickup's parent; names and owners come from the directory, where
 * every user may leave as much as the disk takes.  So each has a bounded list,
 * and the lists take turns: nobody's files stand in front of another's.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/pickup.h"

#define USERS_MAX 4096
#define NAMES_MAX 100000 /* of all users: 2 MB */

void
pickup_users_free(struct pickup_users *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->v[i].names);
	free(u->v);
	u->v = NULL;
	u->n = u->cap = u->names = u->turn = 0;
}

void
pickup_users_begin(struct pickup_users *u, int64_t now_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->n; i++) {
		struct pickup_user *p = &u->v[i];

		if (p->running > 0 || p->next < p->n ||
		    p->pause_ms + p->wait_ms > now_ms)
			u->v[kept++] = *p;
		else
			free(p->names);
	}
	u->n = kept;
	u->turn = 0;
	u->more = false;
}

struct pickup_user *
pickup_users_find(struct pickup_users *u, uid_t uid)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].uid == uid)
			return &u->v[i];
	return NULL;
}

bool
pickup_users_add(struct pickup_users *u, uid_t uid,
    const struct mail_id *name)
{
	struct pickup_user *p = pickup_users_find(u, uid);
	struct pickup_user fresh = {.uid = uid};

	if (u->names >= NAMES_MAX || (p == NULL && u->n >= USERS_MAX) ||
	    (p != NULL && p->n - p->next >= u->user_max)) {
		u->more = true;
		return false;
	}
	if (p == NULL) {
		MEM_PUSH(u->v, u->n, u->cap, fresh);
		p = &u->v[u->n - 1];
	}
	if (p->next > 0 && p->n == p->cap) {
		memmove(p->names, p->names + p->next, (p->n - p->next) *
		    sizeof(*p->names));
		p->n -= p->next;
		p->next = 0;
	}
	MEM_PUSH(p->names, p->n, p->cap, *name);
	u->names++;
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct mail_id *x = a, *y = b;

	return memcmp(x->s, y->s, ID_LEN);
}

void
pickup_users_end(struct pickup_users *u)
{
	for (size_t i = 0; i < u->n; i++) {
		struct pickup_user *p = &u->v[i];
		size_t kept = p->next;

		if (p->next == p->n)
			continue;
		qsort(p->names + p->next, p->n - p->next, sizeof(*p->names),
		    compare);
		for (size_t k = p->next; k < p->n; k++)
			if (k == p->next || compare(&p->names[k],
			    &p->names[kept - 1]) != 0)
				p->names[kept++] = p->names[k];
		u->names -= p->n - kept;
		p->n = kept;
	}
}

struct pickup_user *
pickup_users_next(struct pickup_users *u, int64_t now_ms, unsigned most,
    struct mail_id *name)
{
	struct pickup_user *p, *best = NULL;

	for (size_t k = 0; k < u->n; k++) {
		p = &u->v[(u->turn + k) % u->n];
		if (p->next < p->n && p->pause_ms <= now_ms &&
		    p->running < most &&
		    (best == NULL || p->running < best->running))
			best = p;
	}
	if (best == NULL)
		return NULL;
	*name = best->names[best->next++];
	u->names--;
	best->running++;
	u->turn = ((size_t)(best - u->v) + 1) % u->n;
	return best;
}

int64_t
pickup_users_wake(const struct pickup_users *u, unsigned most)
{
	int64_t at = CLOCK_NEVER;

	for (size_t i = 0; i < u->n; i++)
		if (u->v[i].next < u->v[i].n && u->v[i].running < most &&
		    u->v[i].pause_ms < at)
			at = u->v[i].pause_ms;
	return at;
}
