/* Right passwords, remembered.  In authd; what goes in is a stranger's, and has
 * just been found right. */
#include <stdlib.h>

#include "authd/remember.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/scram.h"
#include "common/conf/secrets.h"

#define SETS 2048 /* a power of two */
#define WAYS 4
#define TEXT_MAX ((size_t)64 * 1024)

struct entry {
	unsigned char sum[REMEMBER_SUM];
	int64_t at_ms; /* 0: free */
	unsigned which;
};

struct remember {
	unsigned char key[32];
	struct entry v[SETS][WAYS];
};

struct remember *
remember_new(void)
{
	struct remember *r = mem_alloc(sizeof(*r));

	random_bytes(r->key, sizeof(r->key));
	return r;
}

void
remember_wipe(struct remember *r)
{
	explicit_bzero(r->key, sizeof(r->key));
}

void
remember_free(struct remember **r)
{
	if (*r == NULL)
		return;
	explicit_bzero(*r, sizeof(**r));
	free(*r);
	*r = NULL;
}

/* Lengths in front keep "ab" + "c" and "a" + "bc" apart. */
static void
add(struct buf *b, struct slice s)
{
	uint64_t len = s.len;

	buf_add(b, &len, sizeof(len));
	buf_addslice(b, s);
}

bool
remember_sum(const struct remember *r, struct slice user,
    struct slice password, const struct secrets *secrets,
    unsigned char sum[REMEMBER_SUM])
{
	size_t room = user.len + password.len + 64, i;
	struct buf text;
	bool good;

	for (i = 0; i < secrets->n; i++)
		room += secrets->v[i].stored.len + secrets->v[i].name.len + 32;
	if (room > TEXT_MAX)
		return false;
	buf_init(&text, room);
	(void)buf_room(&text, room);
	add(&text, user);
	add(&text, password);
	for (i = 0; i < secrets->n; i++) {
		add(&text, secrets->v[i].stored);
		add(&text, secrets->v[i].name);
		buf_addc(&text, (char)secrets->v[i].scopes);
	}
	good = !text.overflow && scram_hmac(SCRAM_SHA256,
	    slice_mem(r->key, sizeof(r->key)), buf_slice(&text), sum);
	buf_wipe(&text);
	return good;
}

static struct entry *
set_of(struct remember *r, const unsigned char sum[REMEMBER_SUM])
{
	return r->v[(sum[0] | (size_t)sum[1] << 8) & (SETS - 1)];
}

bool
remember_has(struct remember *r, const unsigned char sum[REMEMBER_SUM],
    int64_t now_ms, int64_t life_ms, unsigned *which)
{
	struct entry *set = set_of(r, sum);
	bool found = false;
	size_t i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].at_ms == 0)
			continue;
		if (now_ms - set[i].at_ms >= life_ms) {
			explicit_bzero(&set[i], sizeof(set[i]));
		} else if (mem_equal_ct(set[i].sum, sum, REMEMBER_SUM)) {
			*which = set[i].which;
			found = true;
		}
	}
	return found;
}

void
remember_put(struct remember *r, const unsigned char sum[REMEMBER_SUM],
    int64_t now_ms, unsigned which)
{
	struct entry *set = set_of(r, sum), *e = set;
	size_t i;

	for (i = 0; i < WAYS; i++)
		if (set[i].at_ms < e->at_ms)
			e = &set[i];
	memcpy(e->sum, sum, REMEMBER_SUM);
	e->at_ms = now_ms > 0 ? now_ms : 1;
	e->which = which;
}
