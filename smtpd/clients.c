/*
 * The table of sessions.  Runs in smtpd's parent, fed with addresses from the
 * kernel.  A chain per hash of the address keeps the count of one address cheap
 * while thousands are connected.
 */
#include <sys/mman.h>

#include "common/base/log.h"
#include "smtpd/clients.h"

static size_t
table_size(size_t max)
{
	return sizeof(struct clients) + max * sizeof(struct client);
}

struct clients *
clients_new(size_t max)
{
	struct clients *c = mmap(NULL, table_size(max), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED || madvise(c, table_size(max), MADV_DONTFORK) != 0)
		die_errno(EXIT_TEMPORARY, "no memory for %zu sessions", max);
	c->max = max;
	c->free = CLIENT_NONE;
	for (size_t i = 0; i < CLIENTS_CHAINS; i++)
		c->chains[i] = CLIENT_NONE;
	return c;
}

void
clients_free(struct clients **c)
{
	if (*c != NULL)
		munmap(*c, table_size((*c)->max));
	*c = NULL;
}

/* FNV-1a.  Whoever makes addresses collide gains nothing: a chain has at most
 * as many links as there are sessions. */
static size_t
chain_of(const struct ip *unit)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(unit->a); i++)
		h = (h ^ unit->a[i]) * 16777619u;
	return (h ^ h >> 16) & (CLIENTS_CHAINS - 1);
}

size_t
clients_count(const struct clients *c, const struct ip *unit)
{
	size_t n = 0;

	for (uint32_t i = c->chains[chain_of(unit)]; i != CLIENT_NONE;
	    i = c->v[i].next)
		n += c->v[i].counted && ip_equal(&c->v[i].unit, unit);
	return n;
}

struct client *
clients_add(struct clients *c, const struct ip *unit, bool counted)
{
	uint32_t *chain = &c->chains[chain_of(unit)];
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
	    .fd = -1, .next = *chain};
	*chain = slot;
	c->n++;
	return client;
}

void
clients_remove(struct clients *c, struct client *client)
{
	uint32_t slot = (uint32_t)(client - c->v);
	uint32_t *link = &c->chains[chain_of(&client->unit)];

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
