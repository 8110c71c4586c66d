/*
 * Counts files in windows of time, for queued's workers and delivery
 * processes.
 */
#include "common/mail/pace.h"

static void
turn(struct pace *p, int64_t now_ms)
{
	int64_t passed = now_ms - p->window_ms;

	if (passed < PACE_WINDOW_MS)
		return;
	p->before = passed < 2 * PACE_WINDOW_MS ? p->now : 0;
	p->now = 0;
	p->window_ms = now_ms;
}

void
pace_commit(struct pace *p, size_t n, int64_t now_ms)
{
	turn(p, now_ms);
	p->now += n;
}

size_t
pace_batch(struct pace *p, size_t senders, int64_t now_ms)
{
	size_t expected, most = senders / 2;

	turn(p, now_ms);
	expected = (p->now > p->before ? p->now : p->before) * PACE_WAIT_MS /
	    PACE_WINDOW_MS;
	return expected < most ? expected : most;
}
