/*
 * A parent's questions to keyd: which certificates will most sessions need?  In
 * the parent's loop, never blocking; the answers are keyd's.  What sessions wish
 * for is theirs, and no more than a name to ask keyd about.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/tls/keys.h"

#define PAUSE_MS 1000 /* between two questions */
#define WAIT_MS 5000  /* for an answer */
#define START_MS 300  /* likewise, before anybody is served */
#define SETTLES_MAX 8

struct keys_watch {
	struct loop *loop;
	struct tls_context *ctx;
	const char *path;
	struct chan *chan;        /* a question is under way; or NULL */
	struct loop_io *io;
	struct loop_timer *timer; /* the next question, or too long a wait */
	int64_t asked_ms;
	unsigned settles;
	bool have_first;          /* asked for nobody's, and answered */
	bool first;               /* the question under way is that */
	char name[TLS_NAME_SIZE]; /* and otherwise this; "": none */
};

static void
hang_up(struct keys_watch *w)
{
	loop_io_free(&w->io);
	chan_free(&w->chan);
}

/* The end of one question; another one where there is a reason. */
static void
done(struct keys_watch *w)
{
	hang_up(w);
	w->name[0] = '\0';
	if (w->have_first)
		loop_timer_stop(w->timer);
	else
		loop_timer_in(w->timer, PAUSE_MS);
}

static void
take_answer(struct keys_watch *w, const struct key_certs *c)
{
	/* Without certificates for clients that name nobody there is nothing
	 * to come back for. */
	if (w->first && c->result != KEY_TEMP)
		w->have_first = true;
	if (c->result != KEY_OK)
		return;
	if (!tls_context_preload(w->ctx, w->first, c))
		LOG_WARN("certificate-not-parsed", LB("folder", c->folder));
	else
		LOG_DEBUG("certificate-preloaded", LB("folder", c->folder));
	/* What was parsed left holes, on pages that children would copy. */
	if (w->settles++ < SETTLES_MAX)
		mem_settle();
}

static void
on_answer(void *arg, unsigned events)
{
	struct keys_watch *w = arg;
	union key_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	(void)events;
	switch (chan_recv(w->chan, &type, &msg, sizeof(msg), fds, &nfds)) {
	case CHAN_AGAIN:
		return;
	case CHAN_OK:
		if (type == KEY_CERTS)
			take_answer(w, &msg.certs);
		break;
	default:
		break;
	}
	done(w);
}

static bool
begin(struct keys_watch *w)
{
	struct key_cert q = {.known = {NULL, 0}};

	w->first = !w->have_first;
	q.name = w->first ? SLICE_EMPTY : slice_of(w->name);
	w->chan = chan_connect(w->path, &key_contract);
	if (w->chan == NULL)
		return false;
	chan_send(w->chan, KEY_CERT, &q);
	return true;
}

static void
ask(struct keys_watch *w)
{
	w->asked_ms = loop_now(w->loop);
	if (!begin(w)) {
		done(w);
		return;
	}
	w->io = loop_io_new(w->loop, chan_fd(w->chan), LOOP_READ, on_answer,
	    w);
	loop_timer_in(w->timer, WAIT_MS);
}

/* Before the first client: a keyd that runs answers at once, and sessions are
 * forked from memory that is settled then. */
static void
ask_and_wait(struct keys_watch *w)
{
	union key_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	if (begin(w) && chan_wait(w->chan, &type, &msg, sizeof(msg), fds,
	    &nfds, clock_mono_ms() + START_MS) == CHAN_OK &&
	    type == KEY_CERTS)
		take_answer(w, &msg.certs);
	done(w);
}

static void
on_timer(void *arg)
{
	struct keys_watch *w = arg;

	if (w->chan != NULL)
		done(w);
	else
		ask(w);
}

void
keys_watch_look(struct keys_watch *w)
{
	if (w == NULL || w->chan != NULL || !w->have_first ||
	    loop_now(w->loop) - w->asked_ms < PAUSE_MS ||
	    !tls_context_wish(w->ctx, w->name))
		return;
	/* Nobody's are asked for as such. */
	if (w->name[0] == '\0')
		w->have_first = false;
	ask(w);
}

struct keys_watch *
keys_watch_new(struct loop *l, struct tls_context *ctx, const char *path)
{
	struct keys_watch *w = mem_alloc(sizeof(*w));

	w->loop = l;
	w->ctx = ctx;
	w->path = path;
	w->timer = loop_timer_new(l, on_timer, w);
	ask_and_wait(w);
	return w;
}

void
keys_watch_free(struct keys_watch **wp)
{
	struct keys_watch *w = *wp;

	if (w == NULL)
		return;
	hang_up(w);
	loop_timer_free(&w->timer);
	free(w);
	*wp = NULL;
}
