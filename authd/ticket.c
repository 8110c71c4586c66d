/*
 * Tickets, in authd.  Issued to login sessions, which parse the network;
 * redeemed by mailbox parents alone.  The first two octets of a ticket say its
 * place, the other thirty are random and compared in constant time.
 */
#include <stdlib.h>

#include "authd/ticket.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/random.h"

#define TEXT_MAX ((size_t)32 * 1024)

struct ticket {
	bool used; /* the place, not the ticket */
	unsigned char octets[TICKET_LEN];
	int64_t until_ms;
	uint32_t uid, gid;
	/* one after the other in text: service, sid, user, home, maildir */
	size_t len[5];
	char *text; /* owned */
};

struct tickets {
	struct ticket v[TICKETS_MAX];
	size_t next;     /* where to look for a free place first */
	char *redeemed;  /* owned: the text of the last one */
};

struct tickets *
tickets_new(void)
{
	return mem_alloc(sizeof(struct tickets));
}

static void
clear(struct ticket *k)
{
	free(k->text);
	explicit_bzero(k, sizeof(*k));
}

void
tickets_wipe(struct tickets *t)
{
	size_t i;

	for (i = 0; i < TICKETS_MAX; i++)
		if (t->v[i].used)
			clear(&t->v[i]);
}

void
tickets_free(struct tickets **t)
{
	if (*t == NULL)
		return;
	tickets_wipe(*t);
	free((*t)->redeemed);
	free(*t);
	*t = NULL;
}

/* A place that is free, or whose ticket nobody came for in time. */
static struct ticket *
free_place(struct tickets *t, int64_t now_ms)
{
	struct ticket *k;
	size_t i;

	for (i = 0; i < TICKETS_MAX; i++) {
		k = &t->v[t->next];
		t->next = (t->next + 1) % TICKETS_MAX;
		if (k->used && k->until_ms <= now_ms)
			clear(k);
		if (!k->used)
			return k;
	}
	return NULL;
}

bool
ticket_issue(struct tickets *t, const struct ticket_owner *owner,
    int64_t now_ms, int64_t life_ms, unsigned char out[TICKET_LEN])
{
	const struct slice parts[5] = {owner->service, owner->sid, owner->user,
	    owner->home, owner->maildir};
	struct ticket *k = free_place(t, now_ms);
	struct buf text = BUF_INIT(TEXT_MAX), taken;
	size_t i, place;

	if (k == NULL)
		return false;
	for (i = 0; i < 5; i++) {
		buf_addslice(&text, parts[i]);
		k->len[i] = parts[i].len;
	}
	if (text.overflow) {
		buf_free(&text);
		return false;
	}
	buf_addc(&text, '\0'); /* never without memory of its own */
	taken = buf_take(&text);
	k->text = taken.s;
	place = (size_t)(k - t->v);
	random_bytes(k->octets, sizeof(k->octets));
	k->octets[0] = (unsigned char)(place & 0xff);
	k->octets[1] = (unsigned char)(place >> 8);
	k->uid = owner->uid;
	k->gid = owner->gid;
	k->until_ms = now_ms + life_ms;
	k->used = true;
	memcpy(out, k->octets, sizeof(k->octets));
	return true;
}

static struct ticket *
find(struct tickets *t, struct slice ticket)
{
	const unsigned char *octets;
	struct ticket *k;
	size_t place;

	if (ticket.len != TICKET_LEN)
		return NULL;
	octets = (const unsigned char *)ticket.p;
	place = (size_t)octets[0] | (size_t)octets[1] << 8;
	if (place >= TICKETS_MAX)
		return NULL;
	k = &t->v[place];
	if (!k->used || !mem_equal_ct(k->octets, ticket.p, TICKET_LEN))
		return NULL;
	return k;
}

bool
ticket_redeem(struct tickets *t, const struct ticket_redeem *msg,
    int64_t now_ms, struct ticket_owner *owner)
{
	struct ticket *k = find(t, msg->ticket);
	struct slice part[5];
	bool good;
	size_t i, at = 0;

	if (k == NULL)
		return false;
	for (i = 0; i < 5; i++) {
		part[i] = slice_mem(k->text + at, k->len[i]);
		at += k->len[i];
	}
	good = k->until_ms > now_ms && slice_eq(part[0], msg->service) &&
	    slice_eq(part[1], msg->sid);
	if (good)
		*owner = (struct ticket_owner){part[0], part[1], part[2],
		    k->uid, k->gid, part[3], part[4]};
	free(t->redeemed);
	t->redeemed = k->text;
	k->text = NULL;
	clear(k);
	return good;
}
