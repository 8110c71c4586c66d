/*
 * The table of sessions.  Runs in smtpd's parent, fed with addresses from the
 * kernel.  A chain per hash of the address keeps the count of one address cheap
 * while thousands are connected.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/clients.h"

void
clients_init(struct clients *c, size_t max)
{
	*c = (struct clients){.max = max, .free = CLIENT_NONE};
	c->v = mem_array(max, sizeof(*c->v));
	for (size_t i = 0; i < CLIENTS_CHAINS; i++)
		c->chains[i] = CLIENT_NONE;
}

void
clients_free(struct clients *c)
{
	free(c->v);
	c->v = NULL;
	c->max = c->n = c->used = 0;
}

/* FNV-1a.  Whoever makes addresses collide gains nothing: a chain has at most
 * as many links as there are sessions. */
static uint32_t *
chain_of(struct clients *c, const struct ip *unit)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(unit->a); i++)
		h = (h ^ unit->a[i]) * 16777619u;
	return &c->chains[(h ^ h >> 16) & (CLIENTS_CHAINS - 1)];
}

size_t
clients_count(const struct clients *c, const struct ip *unit)
{
	struct clients *mutable = (struct clients *)(uintptr_t)c;
	size_t n = 0;

	for (uint32_t i = *chain_of(mutable, unit); i != CLIENT_NONE;
	    i = c->v[i].next)
		n += c->v[i].counted && ip_equal(&c->v[i].unit, unit);
	return n;
}

struct client *
clients_add(struct clients *c, const struct ip *unit, bool counted)
{
	uint32_t *chain = chain_of(c, unit);
	struct client *client;
	uint32_t slot = c->free;

	if (slot != CLIENT_NONE)
		c->free = c->v[slot].next;
	else if (c->used < c->max)
		slot = (uint32_t)c->used++;
	else
		return NULL;
	client = &c->v[slot];
	*client = (struct client){.unit = *unit, .counted = counted,
	    .next = *chain};
	*chain = slot;
	c->n++;
	return client;
}

void
clients_remove(struct clients *c, struct client *client)
{
	uint32_t slot = (uint32_t)(client - c->v);
	uint32_t *link = chain_of(c, &client->unit);

	while (*link != slot)
		link = &c->v[*link].next;
	*link = client->next;
	client->pid = 0;
	client->next = c->free;
	c->free = slot;
	c->n--;
}

struct client *
clients_find(struct clients *c, pid_t pid)
{
	for (size_t i = 0; i < c->used; i++)
		if (c->v[i].pid == pid)
			return &c->v[i];
	return NULL;
}
