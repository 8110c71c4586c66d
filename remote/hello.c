/*
 * The beginning and the end of a connection, in a remote process: greeting,
 * EHLO with its offers, HELO for hosts that know no better, QUIT.
 */
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "remote/session.h"

/* The last reply, kept for who waits for it. */
struct answer {
	enum step step;
	struct reply r;
	bool there;
};

static bool
on_answer(void *arg, enum step step, size_t index, const struct reply *r)
{
	struct answer *a = arg;

	(void)index;
	if (step == STEP_NONE)
		return false;
	a->step = step;
	a->r = *r;
	a->there = true;
	return true;
}

/* Sends a command (or none) and waits for its answer; false: none came. */
static bool
ask(struct session *s, enum step step, const char *verb, const char *name,
    struct answer *a)
{
	a->there = false;
	if (verb != NULL) {
		session_put(s, slice_of(verb));
		session_put(s, slice_of(name));
		session_put(s, SLICE("\r\n"));
	}
	session_expect(s, step, 0);
	(void)session_settle(s);
	return a->there && a->step == step;
}

static enum hello
refused(const struct reply *r, uint32_t detail, bool final,
    struct status *st, bool *own)
{
	*own = false;
	if (reply_class(r) == 5 && final) {
		reply_as_status(r, st);
		return HELLO_REFUSED;
	}
	reply_as_temporary(r, 3, detail, st);
	return reply_class(r) == 4 ? HELLO_BUSY : HELLO_FAILED;
}

static enum hello
hello(struct session *s, const char *name, struct status *st, bool *own)
{
	struct answer a = {.there = false};
	const char *verb = s->lmtp ? "LHLO " : "EHLO ";

	s->reply = on_answer;
	/* cppcheck-suppress autoVariables ; taken back below */
	s->arg = &a;
	if (!ask(s, STEP_GREETING, NULL, NULL, &a))
		goto fault;
	/* RFC 7504 2: 521 says that no mail is taken, ever; after another 5xx
	 * a later try may find somebody else there. */
	if (reply_class(&a.r) != 2)
		return refused(&a.r, 2, a.r.code == 521, st, own);
	/* TLS comes behind this EHLO: stream_set_io, and EHLO once more. */
	if (!ask(s, STEP_EHLO, verb, name, &a))
		goto fault;
	if (reply_class(&a.r) == 2)
		return HELLO_OK;
	s->offers = (struct offers){.pipelining = false};
	/* RFC 5321 3.2; RFC 2033 4.1: LMTP knows no HELO */
	if (reply_class(&a.r) == 5 && !s->lmtp) {
		if (!ask(s, STEP_HELO, "HELO ", name, &a))
			goto fault;
		if (reply_class(&a.r) == 2)
			return HELLO_OK;
	}
	return refused(&a.r, 2, true, st, own);
fault:
	*own = true;
	session_fault_status(s, st);
	return HELLO_FAILED;
}

enum hello
session_hello(struct session *s, const char *name, struct status *st,
    bool *own)
{
	enum hello h = hello(s, name, st, own);

	s->reply = NULL;
	s->arg = NULL;
	return h;
}

void
session_quit(struct session *s)
{
	struct answer a = {.there = false};

	if (!session_alive(s) || s->nowed > 0)
		return;
	s->reply = on_answer;
	/* cppcheck-suppress autoVariables ; taken back below */
	s->arg = &a;
	s->deadline_ms = clock_mono_ms() +
	    (int64_t)s->conf->remote_quit_timeout_ms;
	(void)ask(s, STEP_QUIT, "QUIT", "", &a);
	s->reply = NULL;
	s->arg = NULL;
}
