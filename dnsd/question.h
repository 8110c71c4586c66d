/* The questions of other daemons (contract "dns"): who asked what, how many at
 * a time, and for how long. */
#ifndef DNSD_QUESTION_H
#define DNSD_QUESTION_H

#include <stddef.h>
#include <sys/types.h>

struct conf;
struct loop;
struct questions;
struct resolver;

struct questions_args {
	struct loop *loop;
	const struct conf *conf;   /* may change its content */
	struct resolver *resolver; /* from now on owned by questions */
	int listen_fd;             /* the caller's */
	const uid_t *uids;         /* who may ask */
	size_t nuids;
};

struct questions *questions_new(const struct questions_args *args);
/* Another resolver in place of the one before: all questions under way are
 * asked again, with the time that is left to them. */
void questions_resolver(struct questions *qs, struct resolver *r);
/* Takes no further connection. */
void questions_pause(struct questions *qs);
/* Questions that somebody waits for. */
size_t questions_busy(const struct questions *qs);
void questions_free(struct questions **qs);

#endif
