/*
 * Counters of failed logins, in authd.  Names and addresses are strangers': they
 * are found by a keyed hash, in sets of a few places of which the one unused for
 * longest is given away; their beginning is kept for the admin.
 */
#include <stdlib.h>

#include "authd/failures.h"
#include "authd/hash.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"

#define SETS 1024 /* a power of two */
#define WAYS 8
#define DELAY_MAX_MS 30000
#define DOUBLINGS_MAX 16
#define ROUNDS_MAX 5              /* doublings of a block */
#define SOON 4                    /* within so many blocks it is another round */
#define REMEMBER_MS 300000       /* at least, also without a block */
#define FRIEND_MS 2592000000     /* 30 days */

struct counter {
	uint64_t key;     /* 0: free */
	int64_t last_ms;
	uint32_t count;
	uint32_t rounds;  /* blocks that followed each other soon */
	uint8_t nname;
	char name[FAILURES_NAME_MAX]; /* user; address: struct ip */
};

struct table {
	struct counter v[SETS][WAYS];
};

struct failures {
	const struct conf *conf; /* borrowed */
	struct hash_key hash;
	struct table addresses, users;
	struct table friends; /* user and address of correct passwords */
};

struct failures *
failures_new(const struct conf *conf)
{
	struct failures *f = mem_alloc(sizeof(*f));

	f->conf = conf;
	f->hash = hash_key_new();
	return f;
}

void
failures_free(struct failures **f)
{
	free(*f);
	*f = NULL;
}

static uint64_t
key_of(const struct failures *f, char kind, struct slice s)
{
	uint64_t key = hash_slice(&f->hash, kind, s);

	return key != 0 ? key : 1;
}

static uint64_t
key_of_ip(const struct failures *f, const struct ip *ip)
{
	struct ip unit = ip_unit(ip);

	return key_of(f, 'i', slice_mem(unit.a, sizeof(unit.a)));
}

static uint64_t
key_of_friend(const struct failures *f, const struct ip *ip, struct slice user)
{
	return key_of_ip(f, ip) ^ key_of(f, 'f', user);
}

static struct counter *
find(struct table *t, uint64_t key)
{
	struct counter *set = t->v[key & (SETS - 1)];
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

/* The counter of key, perhaps in the place of another. */
static struct counter *
take(struct table *t, uint64_t key)
{
	struct counter *c = find(t, key), *set = t->v[key & (SETS - 1)];
	size_t i;

	if (c != NULL)
		return c;
	for (c = set, i = 0; i < WAYS; i++) {
		if (set[i].key == 0) {
			c = &set[i];
			break;
		}
		if (set[i].last_ms < c->last_ms)
			c = &set[i];
	}
	*c = (struct counter){.key = key};
	return c;
}

static int64_t
block_ms(const struct failures *f, const struct counter *c)
{
	return (int64_t)f->conf->auth_block_ms
	    << (c->rounds < ROUNDS_MAX ? c->rounds : ROUNDS_MAX);
}

static int64_t
remember_ms(const struct failures *f, const struct counter *c)
{
	int64_t block = block_ms(f, c);

	return block > REMEMBER_MS ? block : REMEMBER_MS;
}

/* What is left of its block; 0: none. */
static int64_t
block_left(const struct failures *f, const struct counter *c, int64_t now_ms)
{
	int64_t left = c->last_ms + block_ms(f, c) - now_ms;

	return c->count >= f->conf->auth_failures_max && left > 0 ? left : 0;
}

static bool
is_blocked(const struct failures *f, struct table *t, uint64_t key,
    int64_t now_ms)
{
	const struct counter *c = find(t, key);

	return c != NULL && block_left(f, c, now_ms) > 0;
}

bool
failures_blocked(struct failures *f, const struct ip *ip, struct slice user,
    int64_t now_ms)
{
	const struct counter *c;

	if (is_blocked(f, &f->addresses, key_of_ip(f, ip), now_ms))
		return true;
	if (!is_blocked(f, &f->users, key_of(f, 'u', user), now_ms))
		return false;
	c = find(&f->friends, key_of_friend(f, ip, user));
	return c == NULL || now_ms - c->last_ms >= FRIEND_MS;
}

/* A block that is over is a new start, and so is a long peace. */
static void
start_afresh(const struct failures *f, struct counter *c, int64_t now_ms)
{
	int64_t age = now_ms - c->last_ms, block = block_ms(f, c);
	bool over = c->count >= f->conf->auth_failures_max && block > 0 &&
	    age >= block;

	if (c->count == 0 || (!over && age < remember_ms(f, c)))
		return;
	if (over && age < SOON * block)
		c->rounds++;
	else
		c->rounds = 0;
	c->count = 0;
}

static uint32_t
count_one(const struct failures *f, struct table *t, uint64_t key,
    struct slice name, int64_t now_ms)
{
	struct counter *c = take(t, key);

	start_afresh(f, c, now_ms);
	c->last_ms = now_ms;
	if (c->count < UINT32_MAX)
		c->count++;
	c->nname = (uint8_t)(name.len < sizeof(c->name) ? name.len
	    : sizeof(c->name));
	memcpy(c->name, name.p, c->nname);
	return c->count;
}

int64_t
failures_add(struct failures *f, const struct ip *ip, struct slice user,
    int64_t now_ms)
{
	struct ip unit = ip_unit(ip);
	uint32_t a = count_one(f, &f->addresses, key_of_ip(f, ip),
	    slice_mem(unit.a, sizeof(unit.a)), now_ms);
	uint32_t b = count_one(f, &f->users, key_of(f, 'u', user), user,
	    now_ms);
	uint32_t n = (a > b ? a : b) - 1;
	int64_t base = (int64_t)f->conf->auth_failure_delay_ms;
	int64_t most = base > DELAY_MAX_MS ? base : DELAY_MAX_MS;
	int64_t delay = base << (n < DOUBLINGS_MAX ? n : DOUBLINGS_MAX);

	return delay < most ? delay : most;
}

void
failures_forgive(struct failures *f, const struct ip *ip, struct slice user,
    int64_t now_ms)
{
	struct counter *c = find(&f->users, key_of(f, 'u', user));

	if (c != NULL)
		*c = (struct counter){.key = 0};
	take(&f->friends, key_of_friend(f, ip, user))->last_ms = now_ms;
}

static void
each(const struct failures *f, struct table *t, bool is_user, int64_t now_ms,
    void (*fn)(void *arg, const struct failures_entry *e), void *arg)
{
	const struct counter *c = t->v[0], *end = t->v[0] + (size_t)SETS * WAYS;
	char text[IP_TEXT_SIZE];
	struct ip ip;

	for (; c < end; c++) {
		struct failures_entry e = {.is_user = is_user,
		    .name = slice_mem(c->name, c->nname), .count = c->count,
		    .age_ms = now_ms - c->last_ms,
		    .left_ms = block_left(f, c, now_ms)};

		if (c->count == 0 || (e.left_ms == 0 &&
		    e.age_ms >= remember_ms(f, c)))
			continue;
		if (!is_user) {
			memcpy(ip.a, c->name, sizeof(ip.a));
			ip_text(&ip, text);
			e.name = slice_of(text);
		}
		fn(arg, &e);
	}
}

void
failures_each(struct failures *f, int64_t now_ms,
    void (*fn)(void *arg, const struct failures_entry *e), void *arg)
{
	each(f, &f->addresses, false, now_ms, fn, arg);
	each(f, &f->users, true, now_ms, fn, arg);
}

static uint32_t
forget_all(struct table *t)
{
	struct counter *c = t->v[0], *end = t->v[0] + (size_t)SETS * WAYS;
	uint32_t n = 0;

	for (; c < end; c++) {
		n += c->count > 0;
		*c = (struct counter){.key = 0};
	}
	return n;
}

uint32_t
failures_forget(struct failures *f, struct slice name)
{
	struct counter *c;
	struct ip ip;

	if (name.len == 0)
		return forget_all(&f->addresses) + forget_all(&f->users);
	c = ip_parse(name, &ip) ? find(&f->addresses, key_of_ip(f, &ip))
	    : find(&f->users, key_of(f, 'u', name));
	if (c == NULL || c->count == 0)
		return 0;
	*c = (struct counter){.key = 0};
	return 1;
}
