/*
 * Flows by sender.  Runs in qmgr; the reverse-paths are SMTP clients', any
 * octets within their limit.
 *
 * A list that puts a different word into each reverse-path (VERP) is one
 * sender all the same: of the local part only what stands in front of the first
 * '+', '=' or '-' counts.  Two people who look alike that way share turns,
 * which costs them nothing but that.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "qmgr/flow.h"
#include "qmgr/qmgr.h"

#define FLOWS 4096 /* buckets */
#define KEY_MAX ENV_ADDRESS_MAX

/* What of the reverse-path counts, in lower case; returns its length. */
static uint32_t
key_of(const struct message *m, char key[KEY_MAX])
{
	bool skip = false, domain = false;
	uint32_t n = 0;

	for (size_t i = 0; i < m->from_len && n < KEY_MAX; i++) {
		char c = (char)tolower((unsigned char)m->from[i]);

		if (c == '@')
			domain = true;
		else if (!domain && i > 0 && (c == '+' || c == '=' || c == '-'))
			skip = true;
		if (domain || !skip)
			key[n++] = c;
	}
	return n;
}

static struct flow_bucket *
bucket_of(struct qmgr *qm, uint8_t turn, const char *key, uint32_t len)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ turn;

	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)key[i]) * UINT64_C(1099511628211);
	return &qm->flows[(h >> 32) % FLOWS];
}

void
flow_init(struct qmgr *qm)
{
	qm->flows = mem_array(FLOWS, sizeof(*qm->flows));
}

static struct flow *
find(const struct flow_bucket *bucket, uint8_t turn, const char *key,
    uint32_t len)
{
	struct flow *f;

	LIST_FOREACH(f, bucket, hash)
		if (f->turn == turn && f->len == len &&
		    memcmp(f->key, key, len) == 0)
			return f;
	return NULL;
}

void
flow_join(struct qmgr *qm, struct message *m)
{
	char key[KEY_MAX];
	uint32_t len = key_of(m, key);
	uint8_t turn = (uint8_t)m->turn;
	struct flow_bucket *bucket = bucket_of(qm, turn, key, len);
	struct flow *f = find(bucket, turn, key, len);

	if (f == NULL) {
		f = mem_alloc(sizeof(*f) + len);
		f->turn = turn;
		f->len = len;
		memcpy(f->key, key, len);
		for (int i = 0; i < LANE_COUNT; i++)
			TAILQ_INIT(&f->queue[i]);
		LIST_INSERT_HEAD(bucket, f, hash);
	}
	f->users++;
	m->flow = f;
}

void
flow_leave(struct message *m)
{
	struct flow *f = m->flow;

	m->flow = NULL;
	if (f == NULL || --f->users > 0)
		return;
	LIST_REMOVE(f, hash);
	free(f);
}
