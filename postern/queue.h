/*
 * The queue, as the admin's command sees it: files below queue_dir, read with
 * common/mail/qfile.h.  Root becomes user_queue first, because what is in there
 * came from strangers.
 */
#ifndef POSTERN_QUEUE_H
#define POSTERN_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mail/qfile.h"
#include "postern/postern.h"

struct queue {
	struct postern *p;
	int dirfd;           /* queue_dir */
	int dirs[QDIR_COUNT];
	int64_t now_ms;      /* wall clock, the same for the whole command */
};

/* One message's file. */
struct queue_item {
	struct mail_id id;
	enum qdir dir;
};
struct queue_items {
	struct queue_item *v;
	size_t n, cap;
};

/* Which messages; all conditions must hold. */
struct queue_filter {
	/* Options, or NULL */
	const char *state, *sender, *recipient, *dest, *older, *age, *newer;
	const char *limit;
	bool all;          /* --all: whatever the rest allows */
	int dir;           /* from state, -1: any */
	int64_t older_ms, newer_ms;
	uint64_t most;     /* from limit */
};
#define QUEUE_FILTER_OPTIONS(f)                                                \
	{"state", 0, NULL, &(f).state},                                        \
	{"sender", 0, NULL, &(f).sender},                                      \
	{"recipient", 0, NULL, &(f).recipient},                                \
	{"dest", 0, NULL, &(f).dest},                                          \
	{"older", 0, NULL, &(f).older},                                        \
	{"age", 0, NULL, &(f).age},                                            \
	{"newer", 0, NULL, &(f).newer},                                        \
	{"limit", 0, NULL, &(f).limit}

/* All say what went wrong and return an exit code. */
int queue_open(struct postern *p, struct queue *q);
void queue_close(struct queue *q);
int queue_filter_parse(struct queue_filter *f);
/* Any condition at all? */
bool queue_filter_given(const struct queue_filter *f);

/* Every message, oldest first.  The caller frees v. */
int queue_scan(struct queue *q, struct queue_items *items);
/* The one message whose id starts with text. */
int queue_find(struct queue *q, const char *text, struct queue_item *item);

/* NULL: *why says it; *gone: it left meanwhile.  verify: the content, too. */
struct qfile *queue_read(struct queue *q, const struct queue_item *item,
    bool verify, char why[STATUS_TEXT_MAX], bool *gone);
/* By what its name tells; then by what is in it.  file NULL: it cannot be read,
 * and the name is all that counts. */
bool queue_may_match(const struct queue *q, const struct queue_filter *f,
    const struct queue_item *item);
bool queue_matches(const struct queue_filter *f, struct qfile *file);

/* Still to be delivered, or somebody still to be told. */
bool queue_is_open(const struct qrcpt *r);
const char *queue_state_name(char state); /* "todo", "done" ... */
/* The earliest next attempt of what is to do, 0: at once; -1: none. */
int64_t queue_next(struct qfile *file);

#endif
