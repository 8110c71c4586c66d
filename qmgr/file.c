/*
 * The files of active messages: opened when something is to be written, kept
 * open for a while, synced in batches.  Runs in qmgr.  The files were written
 * by queued and by qmgr and lay on a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/loop.h"
#include "qmgr/qmgr.h"

#define OPEN_MAX_FILES 256
#define OPEN_MAX_RCPTS 500000 /* recipients in memory because of open files,
                               * some 180 octets each */
#define RECORD_MS 20   /* a message that ends sooner needs no record */
#define SYNC_MS 500    /* "within a second" */
#define SYNC_MAX 256   /* descriptors waiting for it */

/* ---- open files ---- */

void
file_close(struct qmgr *qm, struct message *m)
{
	if (m->q == NULL)
		return;
	TAILQ_REMOVE(&qm->open, m, open);
	qm->nopen--;
	qm->open_rcpts -= m->open_rcpts;
	qfile_free(&m->q);
}

/* Closes the least recently used ones as long as there are too many. */
static void
make_room(struct qmgr *qm, size_t files)
{
	struct message *m, *next;

	for (m = TAILQ_FIRST(&qm->open); m != NULL && (qm->nopen > files ||
	    qm->open_rcpts > OPEN_MAX_RCPTS); m = next) {
		next = TAILQ_NEXT(m, open);
		if (!m->pinned)
			file_close(qm, m);
	}
}

static enum verdict
verdict_of(const struct message *m, enum qfile_result result, const char *why)
{
	switch (result) {
	case QFILE_CORRUPT:
		LOG_ERROR("corrupt", LS("id", m->id.s),
		    LS("dir", qdir_names[m->dir]), LS("why", why));
		return VERDICT_CORRUPT;
	case QFILE_NEWER:
		LOG_ERROR("newer-queue-file", LS("id", m->id.s),
		    LS("dir", qdir_names[m->dir]), LS("why", why));
		return VERDICT_NEWER;
	default:
		break;
	}
	if (errno == ENOENT)
		return VERDICT_GONE;
	if (!m->told)
		LOG_ERROR("queue-file-unreadable", LS("id", m->id.s),
		    LS("dir", qdir_names[m->dir]), LS("why", why));
	return VERDICT_FAULT;
}

bool
file_need(struct qmgr *qm, struct message *m)
{
	char why[STATUS_TEXT_MAX] = "";
	enum qfile_result result;

	if (m->q != NULL) {
		TAILQ_REMOVE(&qm->open, m, open);
		TAILQ_INSERT_TAIL(&qm->open, m, open);
		return true;
	}
	make_room(qm, OPEN_MAX_FILES - 1);
	result = qfile_open(qm->dirs[m->dir], m->id.s, true, m->suspect,
	    &m->q, why);
	if (result == QFILE_ERROR && (errno == EMFILE || errno == ENFILE)) {
		make_room(qm, 0);
		result = qfile_open(qm->dirs[m->dir], m->id.s, true,
		    m->suspect, &m->q, why);
	}
	if (result != QFILE_OK) {
		m->q = NULL;
		m->verdict = verdict_of(m, result, why);
		return false;
	}
	m->suspect = false;
	m->open_rcpts = qfile_nrcpts(m->q);
	qm->open_rcpts += m->open_rcpts;
	qm->nopen++;
	TAILQ_INSERT_TAIL(&qm->open, m, open);
	return true;
}

/* ---- outcomes ---- */

void
file_record_later(struct qmgr *qm, struct message *m, bool now)
{
	if (TAILQ_EMPTY(&qm->record))
		loop_timer_in(qm->record_timer, RECORD_MS);
	if (!m->on_record)
		TAILQ_INSERT_TAIL(&qm->record, m, soon);
	m->on_record = true;
	if (now)
		qm->record_now = true;
}

/* The attempts that did not succeed, in one record of the journal. */
static int
record_attempts(struct message *m)
{
	struct qattempt *v = NULL;
	const struct outcome *o;
	size_t n = 0, cap = 0;
	struct rcpt *r;
	int result;

	TAILQ_FOREACH(r, &m->ended, list) {
		struct qattempt a = {.number = r->number};

		if ((o = r->outcome) == NULL)
			continue;
		a.at_ms = o->at_ms;
		a.next_ms = o->next_ms;
		a.outcome = o->what;
		a.host = slice_of(o->host);
		a.status = &o->status;
		a.rule = o->rule;
		a.remote = o->remote;
		MEM_PUSH(v, n, cap, a);
	}
	result = qfile_add_attempts(m->q, v, n);
	free(v);
	return result;
}

/* Those that will not be tried again get their states; *any: there were some.
 * The rows rise nearly always: sorting costs nothing then. */
struct mark {
	size_t row;
	char state;
};

static int
by_row(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return x->row < y->row ? -1 : x->row > y->row;
}

static int
write_marks(struct qfile *q, struct mark *v, size_t n)
{
	size_t *rows = mem_array(n, sizeof(*rows));
	char *states = mem_array(n, 1);
	int result;

	qsort(v, n, sizeof(*v), by_row);
	for (size_t i = 0; i < n; i++) {
		rows[i] = v[i].row;
		states[i] = v[i].state;
	}
	result = qfile_set_states(q, rows, states, n);
	free(rows);
	free(states);
	return result;
}

static int
record_states(struct message *m, bool *any)
{
	struct mark *v = NULL, mark;
	size_t n = 0, cap = 0;
	struct rcpt *r;
	int result = 0;

	TAILQ_FOREACH(r, &m->ended, list) {
		if (r->state == QSTATE_TODO)
			continue;
		mark.state = r->state;
		if (qfile_find(m->q, r->number, &mark.row))
			MEM_PUSH(v, n, cap, mark);
		else
			result = -1;
	}
	*any = n > 0;
	if (n > 0 && result == 0)
		result = write_marks(m->q, v, n);
	free(v);
	return result;
}

/* Repeating it after a failure does not write attempts twice. */
static void
forget_outcomes(struct message *m)
{
	struct rcpt *r;

	TAILQ_FOREACH(r, &m->ended, list) {
		free(r->outcome);
		r->outcome = NULL;
	}
}

static int
record_all(struct qmgr *qm, struct message *m, bool *any)
{
	struct rcpt *r;

	if (record_attempts(m) != 0)
		return -1;
	forget_outcomes(m);
	if (record_states(m, any) != 0)
		return -1;
	while ((r = TAILQ_FIRST(&m->ended)) != NULL)
		message_drop_rcpt(qm, r);
	return 0;
}

bool
file_record(struct qmgr *qm, struct message *m)
{
	bool any = false;

	if (m->on_record)
		TAILQ_REMOVE(&qm->record, m, soon);
	m->on_record = false;
	if (TAILQ_EMPTY(&m->ended))
		return true;
	if (!file_need(qm, m))
		return false;
	if (record_all(qm, m, &any) != 0) {
		if (!m->told)
			LOG_ERROR("outcome-not-written", LS("id", m->id.s),
			    LS("dir", qdir_names[m->dir]), LE());
		m->told = true;
		return false;
	}
	/* To lose an attempt that failed for now costs an attempt; to lose a
	 * delivery is to repeat it. */
	if (any)
		file_sync_later(qm, m);
	return true;
}

void
file_record_all(struct qmgr *qm)
{
	struct message *m;

	qm->record_now = false;
	loop_timer_stop(qm->record_timer);
	while ((m = TAILQ_FIRST(&qm->record)) != NULL)
		if (!file_record(qm, m))
			message_stop(qm, m);
}

/* ---- syncing ---- */

void
file_sync_later(struct qmgr *qm, struct message *m)
{
	int fd;

	if (m->synced == qm->sync_round)
		return;
	if (qm->nsync == SYNC_MAX)
		(void)file_sync_one(qm);
	fd = fcntl(qfile_fd(m->q), F_DUPFD_CLOEXEC, 3);
	if (fd == -1) {
		if (qfile_sync(m->q) != 0)
			LOG_ERROR("queue-file-not-synced", LS("id", m->id.s),
			    LE());
		return;
	}
	if (qm->nsync == 0)
		loop_timer_in(qm->sync_timer, SYNC_MS);
	MEM_PUSH(qm->sync_fds, qm->nsync, qm->sync_cap, fd);
	m->synced = qm->sync_round;
}

bool
file_sync_one(struct qmgr *qm)
{
	int fd;

	/* What is written from now on is of the next round. */
	qm->sync_round++;
	if (qm->nsync > 0) {
		fd = qm->sync_fds[--qm->nsync];
		if (fdatasync(fd) != 0)
			LOG_ERROR("queue-file-not-synced", LI("fd", fd), LE());
		close(fd);
	}
	return qm->nsync > 0;
}

/* ---- directories ---- */

int
file_move(struct qmgr *qm, const char *id, enum qdir from, enum qdir to)
{
	struct stat st;

	if (renameat2(qm->dirs[from], id, qm->dirs[to], id,
	    RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system that cannot: nobody else moves files here. */
	if (fstatat(qm->dirs[to], id, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(qm->dirs[from], id, qm->dirs[to], id);
}
