/*
 * Who is connected.  Runs in the parents of network daemons, fed with addresses
 * from the kernel.  A chain per hash of the address keeps the count of one
 * address cheap while thousands are connected.
 */
#include <sys/mman.h>

#include <string.h>

#include "common/base/log.h"
#include "common/front/front_int.h"

#define NONE UINT32_MAX

static size_t
table_size(size_t max)
{
	return sizeof(struct front_clients) + max * sizeof(struct front_slot);
}

struct front_clients *
front_clients_new(size_t max)
{
	struct front_clients *c = mmap(NULL, table_size(max),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED || madvise(c, table_size(max), MADV_DONTFORK) != 0)
		die_errno(EXIT_TEMPORARY, "no memory for %zu sessions", max);
	c->max = max;
	c->free = NONE;
	for (size_t i = 0; i < FRONT_CHAINS; i++)
		c->chains[i] = NONE;
	return c;
}

void
front_clients_free(struct front_clients **c)
{
	if (*c != NULL)
		munmap(*c, table_size((*c)->max));
	*c = NULL;
}

struct ip
front_unit(const struct front_client *client)
{
	struct ip unit = {{0}};
	uint32_t uid = client->uid;

	if (!client->user)
		return ip_unit(&client->ip);
	/* The lower half of an IPv6 unit is 0, an IPv4 address has ffff there:
	 * 1, and the uid. */
	unit.a[8] = 1;
	memcpy(unit.a + 12, &uid, sizeof(uid));
	return unit;
}

/* FNV-1a.  Who makes addresses collide gains nothing: a chain has at most as
 * many links as there are sessions. */
static size_t
chain_of(const struct ip *unit)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(unit->a); i++)
		h = (h ^ unit->a[i]) * 16777619u;
	return (h ^ h >> 16) & (FRONT_CHAINS - 1);
}

size_t
front_clients_count(const struct front_clients *c, const struct ip *unit)
{
	size_t n = 0;

	for (uint32_t i = c->chains[chain_of(unit)]; i != NONE;
	    i = c->v[i].next)
		n += c->v[i].counted && ip_equal(&c->v[i].unit, unit);
	return n;
}

struct front_slot *
front_clients_add(struct front_clients *c, const struct ip *unit, bool counted)
{
	uint32_t *chain = &c->chains[chain_of(unit)];
	uint32_t at = c->free;

	if (at != NONE)
		c->free = c->v[at].next;
	else if (c->used < c->max)
		at = (uint32_t)c->used++;
	else
		return NULL;
	c->v[at] = (struct front_slot){.unit = *unit, .counted = counted,
	    .next = *chain};
	*chain = at;
	c->n++;
	return &c->v[at];
}

void
front_clients_remove(struct front_clients *c, struct front_slot *slot)
{
	uint32_t at = (uint32_t)(slot - c->v);
	uint32_t *link = &c->chains[chain_of(&slot->unit)];

	while (*link != at)
		link = &c->v[*link].next;
	*link = slot->next;
	slot->pid = 0;
	slot->next = c->free;
	c->free = at;
	c->n--;
}

struct front_slot *
front_clients_find(struct front_clients *c, pid_t pid)
{
	for (size_t i = 0; i < c->used; i++)
		if (c->v[i].pid == pid)
			return &c->v[i];
	return NULL;
}
