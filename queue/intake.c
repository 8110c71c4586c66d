/*
 * One message being received: its envelope, copied from the channel, and its
 * content on the way from the pipe to the queue file.  In queued's workers; the
 * octets are whatever the network sent.
 *
 * A small message is kept in memory until it is complete and then written with
 * one writev: envelope, content, trailer.  A large one goes to the disk as it
 * comes, and the length is filled in at the end.
 */
#include <sys/file.h>
#include <sys/uio.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/durable.h"
#include "common/mail/envelope.h"
#include "common/mail/qfile.h"
#include "queue/queued.h"

/* Content up to this size waits in memory. */
#define SMALL_MAX 32768u
/* Of a large one, so much is written before its write-back is begun. */
#define EARLY_WRITE (1024u * 1024)

/* Strings of the envelope live in blocks that never move. */
struct block {
	struct block *next;
	char s[];
};

struct intake {
	struct envelope env;
	struct env_recipient *rcpts; /* env.recipients.v */
	size_t cap;
	struct env_edit *edits;      /* of the content; owned */
	size_t nedits;
	struct block *blocks;
	size_t memory;               /* octets of blocks and rcpts */
	struct durable file;
	bool open;                   /* file is in use */
	struct buf head;             /* the envelope's text */
	size_t content_at;
	struct buf small;            /* content not yet written */
	size_t unstarted;            /* octets whose write-back is to be begun */
	uint64_t octets;
	uint32_t sum;
};

static struct slice
keep(char **at, struct slice s)
{
	char *p = *at;

	if (s.len == 0)
		return SLICE_EMPTY;
	memcpy(p, s.p, s.len);
	*at = p + s.len;
	return slice_mem(p, s.len);
}

static char *
block_new(struct intake *m, size_t n)
{
	struct block *b;

	b = mem_alloc(sizeof(*b) + n + 1);
	b->next = m->blocks;
	m->blocks = b;
	m->memory += sizeof(*b) + n + 1;
	return b->s;
}

struct intake *
intake_new(const struct envelope *env)
{
	struct intake *m;
	char *at;

	m = mem_alloc(sizeof(*m));
	m->env = *env;
	m->env.recipients.v = NULL;
	m->env.recipients.n = 0;
	buf_init(&m->head, SIZE_MAX / 2);
	buf_init(&m->small, SMALL_MAX);
	at = block_new(m, env->id.len + env->from.len + env->envid.len +
	    env->client_ip.len + env->client_helo.len + env->protocol.len +
	    env->login.len + env->sid.len + env->prepend.len);
	m->env.id = keep(&at, env->id);
	m->env.from = keep(&at, env->from);
	m->env.envid = keep(&at, env->envid);
	m->env.client_ip = keep(&at, env->client_ip);
	m->env.client_helo = keep(&at, env->client_helo);
	m->env.protocol = keep(&at, env->protocol);
	m->env.login = keep(&at, env->login);
	m->env.sid = keep(&at, env->sid);
	m->env.prepend = keep(&at, env->prepend);
	intake_add_recipients(m, &env->recipients);
	return m;
}

void
intake_free(struct intake **mp)
{
	struct intake *m = *mp;
	struct block *b, *next;

	if (m == NULL)
		return;
	if (m->open)
		durable_drop(&m->file, NULL);
	for (b = m->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(m->rcpts);
	free(m->edits);
	buf_free(&m->head);
	buf_free(&m->small);
	free(m);
	*mp = NULL;
}

bool
intake_add_recipients(struct intake *m, const struct chan_list *more)
{
	const struct env_recipient *from = more->v;
	struct env_recipient *r;
	size_t i, n = m->env.recipients.n, total = 0;
	char *at;

	/* The envelope of a large message may be on the disk already. */
	if (m->open || more->n > ENV_RECIPIENTS_MAX - n)
		return false;
	if (more->n == 0)
		return true;
	for (i = 0; i < more->n; i++)
		total += from[i].address.len + from[i].orcpt.len;
	at = block_new(m, total);
	if (n + more->n > m->cap) {
		m->memory -= m->cap * sizeof(*m->rcpts);
		m->cap = n + more->n > 2 * m->cap ? n + more->n : 2 * m->cap;
		m->memory += m->cap * sizeof(*m->rcpts);
		m->rcpts = mem_grow(m->rcpts, m->cap, sizeof(*m->rcpts));
	}
	for (i = 0; i < more->n; i++) {
		r = &m->rcpts[n + i];
		*r = from[i];
		r->address = keep(&at, from[i].address);
		r->orcpt = keep(&at, from[i].orcpt);
	}
	m->env.recipients.v = m->rcpts;
	m->env.recipients.n = n + more->n;
	return true;
}

/* Complete lines, as all of the message is. */
static bool
is_lines(struct slice s)
{
	bool cr = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\0' || (s.p[i] == '\n') != cr)
			return false;
		cr = s.p[i] == '\r';
	}
	return !cr && (s.len == 0 || s.p[s.len - 1] == '\n');
}

static bool
edits_fit(const struct env_edit *e, size_t n, uint64_t content)
{
	uint64_t done = 0;

	for (size_t i = 0; i < n; i++) {
		if (e[i].offset < done || e[i].offset > content ||
		    e[i].skip > content - e[i].offset ||
		    e[i].skip + e[i].text.len == 0 || !is_lines(e[i].text))
			return false;
		done = e[i].offset + e[i].skip;
	}
	return true;
}

bool
intake_set_edits(struct intake *m, const struct chan_list *edits)
{
	const struct env_edit *from = edits->v;
	size_t texts = 0, i;
	char *at;

	if (!edits_fit(from, edits->n, m->octets))
		return false;
	if (edits->n == 0)
		return true;
	for (i = 0; i < edits->n; i++)
		texts += from[i].text.len;
	m->edits = mem_array(edits->n, sizeof(*m->edits));
	m->nedits = edits->n;
	at = block_new(m, texts);
	for (i = 0; i < edits->n; i++) {
		m->edits[i] = from[i];
		m->edits[i].text = keep(&at, from[i].text);
	}
	return true;
}

const struct envelope *
intake_env(const struct intake *m)
{
	return &m->env;
}

uint64_t
intake_octets(const struct intake *m)
{
	return m->octets;
}

bool
intake_begun(const struct intake *m)
{
	return m->open;
}

size_t
intake_memory(const struct intake *m)
{
	return m->memory;
}

static int
write_all(int fd, struct iovec *v, int n)
{
	ssize_t w;

	while (n > 0) {
		w = writev(fd, v, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		while (n > 0 && (size_t)w >= v->iov_len) {
			w -= (ssize_t)v->iov_len;
			v++;
			n--;
		}
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + w;
			v->iov_len -= (size_t)w;
		}
	}
	return 0;
}

static struct iovec
iov(const struct buf *b)
{
	return (struct iovec){b->s, b->len};
}

/* Opens the file and builds the envelope's text; the content's length is still
 * unknown when the message is large. */
static int
begin(struct intake *m, int dirfd)
{
	if (durable_open(&m->file, dirfd, 0600) != 0)
		return -1;
	m->open = true;
	qfile_envelope(&m->env, clock_real_ms(), &m->head, &m->content_at);
	if (!m->head.overflow)
		return 0;
	errno = EMSGSIZE;
	return -1;
}

int
intake_content(struct intake *m, int dirfd, const char *p, size_t n)
{
	struct iovec v[3];
	bool first = !m->open;

	m->sum = qfile_sum(m->sum, p, n);
	m->octets += n;
	if (first && m->small.len + n <= SMALL_MAX) {
		buf_add(&m->small, p, n);
		return 0;
	}
	if (first && begin(m, dirfd) != 0)
		return -1;
	v[0] = first ? iov(&m->head) : (struct iovec){buf_nothing, 0};
	v[1] = iov(&m->small);
	v[2] = (struct iovec){(char *)(uintptr_t)p, n};
	if (write_all(m->file.fd, v, 3) != 0)
		return -1;
	buf_reset(&m->small);
	/* The disk works while the rest comes. */
	m->unstarted += n;
	if (m->unstarted < EARLY_WRITE)
		return 0;
	m->unstarted = 0;
	return durable_start(&m->file, DURABLE_ORDERED);
}

int
intake_write(struct intake *m, int dirfd)
{
	struct buf trailer = BUF_INIT(SIZE_MAX / 2);
	struct iovec v[3];
	bool first = !m->open;
	int result = -1;

	if (first && begin(m, dirfd) != 0)
		return -1;
	qfile_content_field(m->head.len, m->octets, m->head.s + m->content_at);
	qfile_trailer(buf_slice(&m->head), &m->env, m->edits, m->nedits,
	    m->sum, m->octets, &trailer);
	if (trailer.overflow) {
		errno = EMSGSIZE;
		goto out;
	}
	v[0] = first ? iov(&m->head) : (struct iovec){buf_nothing, 0};
	v[1] = iov(&m->small);
	v[2] = iov(&trailer);
	/* qmgr's scan leaves alone what is still locked: not yet durable. */
	if (flock(m->file.fd, LOCK_EX | LOCK_NB) != 0)
		goto out;
	if (write_all(m->file.fd, v, 3) != 0)
		goto out;
	if (!first && pwrite(m->file.fd, m->head.s + m->content_at,
	    QFILE_CONTENT_WIDTH, (off_t)m->content_at) != QFILE_CONTENT_WIDTH)
		goto out;
	result = 0;
out:
	buf_free(&trailer);
	return result;
}

int
intake_start(struct intake *m, enum durable_mode mode)
{
	return durable_start(&m->file, mode);
}

int
intake_link(struct intake *m, enum durable_mode mode)
{
	char name[ID_SIZE] = "";

	assert(m->env.id.len == ID_LEN);
	memcpy(name, m->env.id.p, ID_LEN);
	if (durable_flush(&m->file, mode) != 0)
		return -1;
	return durable_link(&m->file, name);
}

struct durable *
intake_file(struct intake *m)
{
	return &m->file;
}

void
intake_discard(struct intake *m)
{
	char name[ID_SIZE] = "";

	if (!m->open)
		return;
	memcpy(name, m->env.id.p, ID_LEN);
	durable_drop(&m->file, m->file.linked ? name : NULL);
	m->open = false;
}
