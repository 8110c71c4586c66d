/*
 * How many jobs a destination gets at once, and when one that is down is tried
 * again: a pure function of what was heard from it.
 */
#ifndef QMGR_ADAPT_H
#define QMGR_ADAPT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/proto/transfer.h"

struct adapt_conf {
	uint32_t first, most;  /* jobs at once: at the start, ever */
	int64_t probe_first_ms, probe_max_ms; /* pauses while it is down */
};

struct adapt {
	uint32_t limit;   /* jobs at once now */
	uint32_t good;    /* successes since it last rose */
	uint32_t busy;    /* times in a row it was too busy for a single one */
	uint32_t probes;  /* failed in a row */
	bool down;
	bool well;        /* it was, when it was last heard of */
	int64_t fine_ms;  /* last success */
	int64_t cut_ms;   /* when it was halved */
	int64_t down_ms;  /* since when it is down */
	int64_t tried_ms; /* begin of the last job that ended */
	int64_t next_ms;  /* of the next probe, while down */
};

enum adapt_change { ADAPT_SAME, ADAPT_UP, ADAPT_DOWN };

void adapt_init(struct adapt *a, const struct adapt_conf *c);
/* A job begun at started_ms has ended; all times on one clock.  random: any
 * number.  DOWN also when a probe has failed. */
enum adapt_change adapt_result(struct adapt *a, const struct adapt_conf *c,
    enum transfer_dest what, int64_t started_ms, int64_t now_ms,
    uint32_t random);

#endif
