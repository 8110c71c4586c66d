/*
 * How long to wait for company before a commit.  A commit costs the disk and
 * the kernel much the same for one file as for ten; when many come anyway, a
 * few milliseconds make one commit of several.  A file that comes alone never
 * waits.
 */
#ifndef COMMON_MAIL_PACE_H
#define COMMON_MAIL_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_WAIT_MS 4   /* the longest wait of a complete file */
#define PACE_WINDOW_MS 20

/* Zeroed at the start. */
struct pace {
	int64_t window_ms;   /* when the window under way began */
	size_t now, before;  /* files in it, and in the one before */
};

/* n files are complete and are committed now (clock_mono_ms). */
void pace_commit(struct pace *p, size_t n, int64_t now_ms);
/* The size of batch to wait for, at most PACE_WAIT_MS from its first file: what
 * the last window lets expect in that time, and never more than half of those
 * who could send; 0 or 1: do not wait. */
size_t pace_batch(struct pace *p, size_t senders, int64_t now_ms);

#endif
