/*
 * Finds messages nobody told us of: incoming/ at the start, whenever a worker
 * of queued connects and when one says so; deferred/ at the start.  Runs in
 * qmgr, in slices between the events, so that fresh mail does not wait for it.
 * The names are whatever lies in the queue directory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/loop.h"
#include "qmgr/counters.h"
#include "qmgr/qmgr.h"
#include "qmgr/wait.h"

#define SLICE_ENTRIES 200
#define SLICE_MS 2
#define AGAIN_MS 1000 /* after one that could not be done */
#define INCOMING_MS 60000 /* what nobody told of is not forgotten */
#define HINT_SLACK_MS 60000

void
scan_within(struct qmgr *qm, enum qdir dir, int64_t ms)
{
	struct scan *s = &qm->scans[dir];
	int64_t at_ms = clock_mono_ms() + ms;

	if (at_ms >= s->next_ms)
		return;
	s->next_ms = at_ms;
	loop_timer_set(s->next, at_ms);
}

/*
 * A deferred message's time as its mtime says.  One that no attempt has set
 * means that somebody touched the file: it is read, and the record in it wins.
 */
static int64_t
hint_of(const struct qmgr *qm, const struct stat *st)
{
	int64_t ms = (int64_t)st->st_mtim.tv_sec * 1000 +
	    st->st_mtim.tv_nsec / 1000000;
	int64_t wait_ms = ms - clock_real_ms();

	if (wait_ms > qm->retry.max_ms + qm->retry.max_ms / 8 + HINT_SLACK_MS)
		return 0;
	return ms;
}

static void
found(struct qmgr *qm, struct scan *s, enum qdir dir, const char *name)
{
	struct wait_info w = {.flags = WAIT_UNSURE}, known;
	struct stat st;

	if (name[0] == '.')
		return;
	s->seen++;
	if (!id_parse(slice_of(name), &w.id)) {
		s->strange++;
		return;
	}
	if (message_find(qm, &w.id) != NULL ||
	    wait_get(qm->wait, &w.id, &known))
		return;
	if (dir == QDIR_INCOMING)
		w.flags |= WAIT_FRESH;
	else {
		if (fstatat(qm->dirs[dir], name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return; /* gone again */
		w.next_ms = hint_of(qm, &st);
	}
	s->found++;
	stats_add(COUNT_FOUND, 1);
	wait_put(qm->wait, &w);
}

static void
scan_end(struct qmgr *qm, struct scan *s, enum qdir dir)
{
	s->running = false;
	if (errno != 0) {
		LOG_ERROR("scan-failed", LS("dir", qdir_names[dir]), LE());
		scan_within(qm, dir, AGAIN_MS);
		return;
	}
	if (s->strange > 0 && s->strange != s->told)
		LOG_WARN("no-queue-files", LS("dir", qdir_names[dir]),
		    LU("count", s->strange),
		    LS("mend", "move away what is not named by an id"));
	s->told = s->strange;
	stats_add(COUNT_SCANS, 1);
	stats_observe(COUNT_SCAN_TIME, (clock_mono_ms() - s->start_ms) * 1000);
	if (s->found > 0 || dir == QDIR_DEFERRED)
		LOG_INFO("scanned", LS("dir", qdir_names[dir]),
		    LU("files", s->seen), LU("found", s->found),
		    LI("ms", clock_mono_ms() - s->start_ms));
	if (s->again)
		scan_start(qm, dir);
	if (dir == QDIR_INCOMING)
		scan_within(qm, dir, INCOMING_MS);
}

static void
scan_slice(struct qmgr *qm, enum qdir dir)
{
	struct scan *s = &qm->scans[dir];
	int64_t end = clock_mono_ms() + SLICE_MS;
	struct dirent *e;

	/* Inodes that are in no cache cost a hundred times those that are. */
	for (int i = 0; i < SLICE_ENTRIES; i++) {
		if (i % 16 == 15 && clock_mono_ms() >= end)
			return;
		errno = 0;
		e = readdir(s->dir);
		if (e == NULL) {
			scan_end(qm, s, dir);
			return;
		}
		found(qm, s, dir, e->d_name);
	}
}

bool
scan_some(struct qmgr *qm)
{
	/* incoming/ first: what was accepted last has waited for nothing. */
	for (int dir = QDIR_INCOMING; dir <= QDIR_DEFERRED; dir++)
		if (qm->scans[dir].running) {
			scan_slice(qm, (enum qdir)dir);
			break;
		}
	return qm->scans[QDIR_INCOMING].running ||
	    qm->scans[QDIR_DEFERRED].running;
}

void
scan_start(struct qmgr *qm, enum qdir dir)
{
	struct scan *s = &qm->scans[dir];

	if (s->running) {
		s->again = true;
		return;
	}
	s->again = false;
	s->next_ms = CLOCK_NEVER;
	s->seen = s->found = s->strange = 0;
	s->start_ms = clock_mono_ms();
	rewinddir(s->dir);
	s->running = true;
}

static void
next_incoming(void *arg)
{
	scan_start(arg, QDIR_INCOMING);
}

static void
next_deferred(void *arg)
{
	scan_start(arg, QDIR_DEFERRED);
}

/* A descriptor with an offset of its own. */
static void
scan_open(struct qmgr *qm, enum qdir dir, loop_fn *next)
{
	struct scan *s = &qm->scans[dir];
	int fd = openat(qm->dirs[dir], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || (s->dir = fdopendir(fd)) == NULL)
		die_errno(EXIT_TEMPORARY, "cannot read %s", qdir_names[dir]);
	s->next = loop_timer_new(qm->loop, next, qm);
	scan_start(qm, dir);
}

void
scan_init(struct qmgr *qm)
{
	scan_open(qm, QDIR_INCOMING, next_incoming);
	scan_open(qm, QDIR_DEFERRED, next_deferred);
}

void
scan_free(struct qmgr *qm)
{
	closedir(qm->scans[QDIR_INCOMING].dir);
	closedir(qm->scans[QDIR_DEFERRED].dir);
}
