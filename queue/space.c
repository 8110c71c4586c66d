/*
 * Is there room for one more message?  In queued's workers.  The file system is
 * asked at most every 50 ms; in between, what was promised to messages under
 * way is counted against the last answer.
 */
#include <sys/statvfs.h>

#include <errno.h>

#include "common/base/log.h"
#include "queue/queued.h"

#define LOOK_EVERY_MS 50
/* With a full disk every client is refused: the log need not hear of each. */
#define TELL_EVERY_MS 1000

void
space_init(struct space *s, int dirfd, uint64_t reserve,
    uint64_t reserve_inodes)
{
	*s = (struct space){.dirfd = dirfd,
	    .reserve = reserve,
	    .reserve_inodes = reserve_inodes,
	    .looked_ms = INT64_MIN,
	    .told_ms = INT64_MIN};
}

static void
look(struct space *s, int64_t now_ms)
{
	struct statvfs v;

	s->looked_ms = now_ms;
	if (fstatvfs(s->dirfd, &v) != 0) {
		if (!s->failed)
			LOG_ERROR("space-unknown", LS("dir", "queue_dir"), LE());
		s->failed = true;
		return;
	}
	s->failed = false;
	s->free_octets = (uint64_t)v.f_bavail * v.f_frsize;
	/* File systems without a fixed inode table report none at all. */
	s->free_inodes = v.f_files == 0 ? UINT64_MAX : (uint64_t)v.f_favail;
}

/* A fresh enough look; false: nobody knows. */
static bool
known(struct space *s, int64_t now_ms, struct status *st)
{
	if (s->looked_ms == INT64_MIN || now_ms - s->looked_ms >= LOOK_EVERY_MS)
		look(s, now_ms);
	if (s->failed)
		status_set(st, 451, 3, 0, "Queue not readable, try later");
	return !s->failed;
}

static bool
tell(struct space *s, int64_t now_ms)
{
	if (s->told_ms != INT64_MIN && now_ms - s->told_ms < TELL_EVERY_MS)
		return false;
	s->told_ms = now_ms;
	return true;
}

static void
no_octets(struct space *s, uint64_t wanted, int64_t now_ms, struct status *st)
{
	status_set(st, 452, 3, 1, "Not enough space in the queue, try later");
	if (tell(s, now_ms))
		LOG_WARN("queue-full", LU("free", s->free_octets),
		    LU("reserve", s->reserve), LU("promised", s->promised),
		    LU("wanted", wanted),
		    LS("mend", "free space below queue_dir or lower "
			"queue_reserve"));
}

bool
space_ask(struct space *s, uint64_t size, int64_t now_ms, struct status *st)
{
	uint64_t wanted = size > 0 ? size : SPACE_UNKNOWN;

	if (!known(s, now_ms, st))
		return false;
	if (s->free_octets < s->reserve ||
	    s->free_octets - s->reserve < s->promised ||
	    s->free_octets - s->reserve - s->promised < wanted) {
		no_octets(s, wanted, now_ms, st);
		return false;
	}
	if (s->free_inodes <= s->reserve_inodes) {
		status_set(st, 452, 3, 1,
		    "Not enough files left in the queue, try later");
		if (tell(s, now_ms))
			LOG_WARN("queue-full",
			    LU("free_inodes", s->free_inodes),
			    LU("reserve", s->reserve_inodes),
			    LS("mend", "remove files on the file system of "
				"queue_dir or lower queue_reserve_inodes"));
		return false;
	}
	return true;
}

bool
space_left(struct space *s, int64_t now_ms, struct status *st)
{
	if (!known(s, now_ms, st))
		return false;
	if (s->free_octets >= s->reserve)
		return true;
	no_octets(s, 0, now_ms, st);
	return false;
}

void
space_write_failed(int error, struct status *st)
{
	if (error == ENOSPC || error == EDQUOT)
		status_set(st, 452, 3, 1,
		    "Not enough space in the queue, try later");
	else
		status_set(st, 451, 3, 0, "Queue file not written, try later");
}
