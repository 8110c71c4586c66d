/*
 * Counters of failed logins, in authd.  Names and addresses are strangers': of
 * each only a keyed hash is kept, in sets of a few places of which the one
 * unused for longest is given away.
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
#define REMEMBER_MS 300000       /* at least, also without a block */
#define FRIEND_MS 2592000000     /* 30 days */

struct counter {
	uint64_t key;     /* 0: free */
	int64_t last_ms;
	uint32_t count;
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
remember_ms(const struct failures *f)
{
	return f->conf->auth_block_ms > REMEMBER_MS
	    ? (int64_t)f->conf->auth_block_ms : REMEMBER_MS;
}

static bool
is_blocked(const struct failures *f, struct table *t, uint64_t key,
    int64_t now_ms)
{
	const struct counter *c = find(t, key);

	return c != NULL && c->count >= f->conf->auth_failures_max &&
	    now_ms - c->last_ms < (int64_t)f->conf->auth_block_ms;
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

static uint32_t
count_one(const struct failures *f, struct table *t, uint64_t key,
    int64_t now_ms)
{
	struct counter *c = take(t, key);

	/* A block that is over is a new start, and so is a long peace. */
	if (c->count > 0 && (now_ms - c->last_ms >= remember_ms(f) ||
	    (c->count >= f->conf->auth_failures_max &&
	    now_ms - c->last_ms >= (int64_t)f->conf->auth_block_ms &&
	    f->conf->auth_block_ms > 0)))
		c->count = 0;
	c->last_ms = now_ms;
	if (c->count < UINT32_MAX)
		c->count++;
	return c->count;
}

int64_t
failures_add(struct failures *f, const struct ip *ip, struct slice user,
    int64_t now_ms)
{
	uint32_t a = count_one(f, &f->addresses, key_of_ip(f, ip), now_ms);
	uint32_t b = count_one(f, &f->users, key_of(f, 'u', user), now_ms);
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
