/*
 * Joins lines to lives (postern/trace.h), in the admin's command.  The lines
 * are read again until no further id or session is found, and only those that
 * belong to what is looked for are kept.  Log files may hold anybody's lines:
 * what grows with them has a limit.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/mail/id.h"
#include "postern/logline.h"
#include "postern/match.h"
#include "postern/names.h"
#include "postern/trace.h"

#define ROUNDS_MAX 10
#define START_MIN 8      /* characters of an id's start */
#define VALUE_MAX 4096
#define LEAP_SLACK_US INT64_C(2000000)

/* A session had to do with a message. */
struct link {
	size_t sid, id;
};
/* An event belongs to a message (index of ids), or only to a session. */
struct belongs {
	size_t message, event;
};

struct tracing {
	struct trace *t;
	struct names ids, sids;
	bool *cause;         /* of ids: found by a link; owned */
	size_t cause_cap;
	struct link *links;  /* owned */
	size_t nlinks, links_cap;
	bool seeding;        /* the first round: what is looked for */
	bool grew;           /* a name was found in this round */
	bool leap;           /* TAI stamps count leap seconds */
	size_t seq;
	int64_t last_us;     /* of this file */
	struct buf value;    /* scratch */
};

/* What a line says of whom it belongs to. */
struct facts {
	struct name id, sid, notice; /* "": none */
	int64_t after_ms;            /* behind the id's birth; -1: not said */
	bool wanted;                 /* holds what is looked for */
};

/* ---- what is looked for ---- */

bool
trace_what(const char *text, struct trace_what *out)
{
	struct trace_what w = {.text = slice_trim(slice_of(text))};
	struct mail_id id;

	if (w.text.len > 2 && w.text.p[0] == '<' &&
	    w.text.p[w.text.len - 1] == '>')
		w.text = slice_sub(w.text, 1, w.text.len - 1);
	w.id = id_parse(w.text, &id) ||
	    (name_valid(w.text) && w.text.len >= START_MIN &&
	    w.text.len < ID_LEN);
	w.sid = name_valid(w.text) && w.text.len >= START_MIN;
	w.address = slice_find(w.text, '@', 0) < w.text.len ||
	    slice_find(w.text, '*', 0) < w.text.len;
	*out = w;
	return w.id || w.sid || w.address;
}

static bool
holds_address(struct slice key, struct slice value, struct slice what)
{
	static const char *const keys[] = {"from", "to", "first", "msgid",
	    "orcpt", "sender", "address"};
	size_t open, close;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (slice_eq(key, slice_of(keys[i])))
			return match_pattern(value, what);
	/* "TO:<ann@example.org> NOTIFY=NEVER" */
	if (!slice_eq(key, SLICE("arg")))
		return false;
	open = slice_find(value, '<', 0);
	close = slice_find(value, '>', open);
	return close < value.len &&
	    match_pattern(slice_sub(value, open + 1, close), what);
}

static void
take_name(struct name *to, struct slice value)
{
	if (!name_valid(value))
		return;
	memcpy(to->s, value.p, value.len);
	to->s[value.len] = '\0';
}

static bool
is_wanted(const struct trace_what *w, struct slice key, struct slice value)
{
	if ((w->id && (slice_eq(key, SLICE("id")) ||
	    slice_eq(key, SLICE("notice"))) && slice_prefix(value, w->text)) ||
	    (w->sid && slice_eq(key, SLICE("sid")) &&
	    slice_eq(value, w->text)))
		return true;
	if (!w->address)
		return false;
	if (value.len > 2 && value.p[0] == '<')
		value = slice_sub(value, 1, value.len - 1);
	return holds_address(key, value, w->text);
}

static void
read_facts(struct tracing *g, const struct logline *l, struct facts *f)
{
	struct slice rest = l->fields, key;
	uint64_t ms;

	*f = (struct facts){.after_ms = -1};
	while (logline_field(&rest, &key, &g->value)) {
		struct slice value = buf_slice(&g->value);

		if (slice_eq(key, SLICE("id")))
			take_name(&f->id, value);
		else if (slice_eq(key, SLICE("sid")))
			take_name(&f->sid, value);
		else if (slice_eq(key, SLICE("notice")))
			take_name(&f->notice, value);
		else if ((slice_eq(key, SLICE("delay")) ||
		    slice_eq(key, SLICE("age"))) &&
		    num_u64(value, 0, INT64_MAX / 2000000, &ms))
			f->after_ms = (int64_t)ms;
		if (g->seeding && is_wanted(&g->t->what, key, value))
			f->wanted = true;
	}
}

/* ---- names ---- */

static void
add_id(struct tracing *g, const struct name *name, bool cause)
{
	bool fresh;
	size_t i;

	if (name->s[0] == '\0')
		return;
	if (g->ids.n >= TRACE_MESSAGES_MAX) {
		g->t->more |= names_find(&g->ids, slice_of(name->s)) ==
		    NAMES_NONE;
		return;
	}
	i = names_add(&g->ids, slice_of(name->s), &fresh);
	if (!fresh)
		return;
	if (i >= g->cause_cap) {
		g->cause_cap = g->cause_cap > 0 ? 2 * g->cause_cap : 64;
		g->cause = mem_grow(g->cause, g->cause_cap,
		    sizeof(*g->cause));
	}
	g->cause[i] = cause;
	g->grew = true;
}

static void
add_sid(struct tracing *g, const struct name *name)
{
	bool fresh;

	if (name->s[0] == '\0')
		return;
	if (g->sids.n >= TRACE_MESSAGES_MAX) {
		g->t->more |= names_find(&g->sids, slice_of(name->s)) ==
		    NAMES_NONE;
		return;
	}
	(void)names_add(&g->sids, slice_of(name->s), &fresh);
	g->grew |= fresh;
}

static void
seed(struct tracing *g, const struct facts *f)
{
	const struct trace_what *w = &g->t->what;

	if (!f->wanted)
		return;
	/* What caused it is found behind it. */
	if (w->id && f->notice.s[0] != '\0' &&
	    slice_prefix(slice_of(f->notice.s), w->text))
		add_id(g, &f->notice, false);
	else if (f->id.s[0] != '\0')
		add_id(g, &f->id, false);
	else
		add_sid(g, &f->sid);
	/* All messages of a session that was asked for. */
	if (w->sid && slice_eq(slice_of(f->sid.s), w->text))
		add_sid(g, &f->sid);
}

static bool
knows_id(const struct tracing *g, const struct name *name)
{
	return names_find(&g->ids, slice_of(name->s)) != NAMES_NONE;
}

static bool
knows_sid(const struct tracing *g, const struct name *name)
{
	return names_find(&g->sids, slice_of(name->s)) != NAMES_NONE;
}

/* ---- events ---- */

/* When it was, where no logger says so: the id knows its birth, and many lines
 * how long ago that is. */
static int64_t
guess_us(const struct tracing *g, const struct logline *l,
    const struct facts *f)
{
	struct mail_id id;
	int64_t us;

	/* A notice is born when it is written. */
	if (id_parse(slice_of(f->notice.s), &id))
		return id_time_ms(&id) * 1000;
	if (!id_parse(slice_of(f->id.s), &id))
		return g->last_us;
	us = id_time_ms(&id) * 1000;
	if (f->after_ms >= 0)
		return us + f->after_ms * 1000;
	return slice_eq(l->verb, SLICE("accepted")) ? us : us + 1;
}

/* s6-log's TAI stamps are ahead of multilog's. */
static void
look_for_leap(struct tracing *g, const struct logline *l,
    const struct facts *f)
{
	struct mail_id id;
	int64_t ahead;

	if (l->kind != LOGTIME_TAI || f->after_ms < 0 ||
	    !id_parse(slice_of(f->id.s), &id))
		return;
	ahead = l->us - (id_time_ms(&id) + f->after_ms) * 1000;
	g->leap |= ahead > LOGTIME_LEAP_US - LEAP_SLACK_US &&
	    ahead < LOGTIME_LEAP_US + LEAP_SLACK_US;
}

static struct slice
moved(struct slice s, const char *from, const char *to)
{
	return slice_mem(to + (s.p - from), s.len);
}

static void
keep_event(struct tracing *g, const struct logline *l, const struct facts *f)
{
	struct trace *t = g->t;
	struct trace_event e = {.kind = l->kind, .us = l->us, .seq = g->seq,
	    .pid = l->pid};
	const char *start = l->program.p;
	size_t len = (size_t)(l->fields.p + l->fields.len - start);

	if (t->nevents >= TRACE_EVENTS_MAX) {
		t->more = true;
		return;
	}
	if (l->kind == LOGTIME_NONE)
		e.us = guess_us(g, l, f);
	look_for_leap(g, l, f);
	e.line = slice_dup(slice_mem(start, len));
	e.program = moved(l->program, start, e.line);
	e.verb = moved(l->verb, start, e.line);
	e.fields = moved(l->fields, start, e.line);
	MEM_PUSH(t->events, t->nevents, t->events_cap, e);
	g->last_us = e.us;
}

static void
drop_events(struct trace *t)
{
	while (t->nevents > 0)
		free(t->events[--t->nevents].line);
}

/* A round behind the first: follows links, keeps what belongs. */
static void
follow(struct tracing *g, const struct logline *l, const struct facts *f)
{
	bool whole = g->t->what.sid &&
	    slice_eq(slice_of(f->sid.s), g->t->what.text);
	struct link link;

	if (!knows_id(g, &f->id) && !knows_id(g, &f->notice) && !whole) {
		if (f->id.s[0] == '\0' && knows_sid(g, &f->sid))
			keep_event(g, l, f);
		return;
	}
	add_id(g, &f->id, !whole);
	add_id(g, &f->notice, true);
	add_sid(g, &f->sid);
	link.sid = names_find(&g->sids, slice_of(f->sid.s));
	link.id = names_find(&g->ids, slice_of(f->id.s));
	if (link.sid != NAMES_NONE && link.id != NAMES_NONE &&
	    g->nlinks < TRACE_EVENTS_MAX)
		MEM_PUSH(g->links, g->nlinks, g->links_cap, link);
	keep_event(g, l, f);
}

static void
on_line(void *arg, struct slice text)
{
	struct tracing *g = arg;
	struct logline line;
	struct facts f;

	g->seq++;
	if (!logline_parse(text, g->t->now_ms, &line))
		return;
	read_facts(g, &line, &f);
	if (g->seeding)
		seed(g, &f);
	else
		follow(g, &line, &f);
}

/* ---- lives ---- */

static int
by_both(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->sid != y->sid)
		return x->sid < y->sid ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Sorted, each once. */
static void
settle_links(struct tracing *g)
{
	size_t kept = 0;

	if (g->nlinks > 1)
		qsort(g->links, g->nlinks, sizeof(*g->links), by_both);
	for (size_t i = 0; i < g->nlinks; i++)
		if (kept == 0 || by_both(&g->links[kept - 1], &g->links[i]) != 0)
			g->links[kept++] = g->links[i];
	g->nlinks = kept;
}

/* The first link of a session. */
static size_t
first_link(const struct tracing *g, size_t sid)
{
	size_t low = 0, high = g->nlinks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->links[middle].sid < sid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Messages are those of ids and, behind them, sessions without any. */
static void
make_messages(struct tracing *g, size_t *of_sid)
{
	struct trace *t = g->t;

	for (size_t i = 0; i < g->ids.n; i++) {
		struct trace_message m = {.cause = g->cause[i]};

		memcpy(m.id, g->ids.v[i].s, sizeof(m.id));
		MEM_PUSH(t->messages, t->nmessages, t->messages_cap, m);
	}
	for (size_t i = 0; i < g->sids.n; i++) {
		size_t at = first_link(g, i);
		struct trace_message m = {.id = ""};

		of_sid[i] = NAMES_NONE;
		memcpy(m.sid, g->sids.v[i].s, sizeof(m.sid));
		if (at < g->nlinks && g->links[at].sid == i) {
			for (; at < g->nlinks && g->links[at].sid == i; at++)
				if (t->messages[g->links[at].id].sid[0] == '\0')
					memcpy(t->messages[g->links[at].id].sid,
					    m.sid, sizeof(m.sid));
			continue;
		}
		of_sid[i] = t->nmessages;
		MEM_PUSH(t->messages, t->nmessages, t->messages_cap, m);
	}
}

struct belongings {
	struct belongs *v;
	size_t n, cap;
};

static void
belong(struct belongings *b, size_t message, size_t event)
{
	struct belongs one = {message, event};

	if (message != NAMES_NONE)
		MEM_PUSH(b->v, b->n, b->cap, one);
}

/* Whose an event is. */
static void
place_event(struct tracing *g, size_t event, const size_t *of_sid,
    struct belongings *b)
{
	const struct trace_event *e = &g->t->events[event];
	struct logline l = {.fields = e->fields};
	struct facts f;
	size_t sid;

	read_facts(g, &l, &f);
	belong(b, names_find(&g->ids, slice_of(f.id.s)), event);
	belong(b, names_find(&g->ids, slice_of(f.notice.s)), event);
	sid = names_find(&g->sids, slice_of(f.sid.s));
	if (f.id.s[0] != '\0' || sid == NAMES_NONE)
		return;
	belong(b, of_sid[sid], event);
	for (size_t i = first_link(g, sid); i < g->nlinks &&
	    g->links[i].sid == sid && b->n < 4 * (size_t)TRACE_EVENTS_MAX; i++)
		belong(b, g->links[i].id, event);
}

static int
by_time(const void *a, const void *b, void *arg)
{
	const struct belongs *x = a, *y = b;
	const struct trace *t = arg;
	const struct trace_event *e = &t->events[x->event];
	const struct trace_event *f = &t->events[y->event];

	if (x->message != y->message)
		return x->message < y->message ? -1 : 1;
	if (e->us != f->us)
		return e->us < f->us ? -1 : 1;
	return e->seq < f->seq ? -1 : e->seq > f->seq;
}

static int
by_start(const void *a, const void *b, void *arg)
{
	const struct trace_message *x = a, *y = b;
	const struct trace *t = arg;
	int64_t s = x->n > 0 ? t->events[t->order[x->from]].us : 0;
	int64_t u = y->n > 0 ? t->events[t->order[y->from]].us : 0;

	return s != u ? (s < u ? -1 : 1) : strcmp(x->id, y->id);
}

static void
put_in_order(struct trace *t, struct belongings *b)
{
	if (b->n > 1)
		qsort_r(b->v, b->n, sizeof(*b->v), by_time, t);
	t->order = mem_array(b->n + 1, sizeof(*t->order));
	for (size_t i = 0; i < b->n; i++) {
		struct trace_message *m = &t->messages[b->v[i].message];

		t->order[i] = b->v[i].event;
		if (m->n++ == 0)
			m->from = i;
	}
	if (t->nmessages > 1)
		qsort_r(t->messages, t->nmessages, sizeof(*t->messages),
		    by_start, t);
}

static void
join(struct tracing *g)
{
	size_t *of_sid = mem_array(g->sids.n + 1, sizeof(*of_sid));
	struct belongings b = {.v = NULL};
	struct trace *t = g->t;

	for (size_t i = 0; i < t->nevents; i++)
		if (t->events[i].kind == LOGTIME_TAI && g->leap)
			t->events[i].us -= LOGTIME_LEAP_US;
	settle_links(g);
	make_messages(g, of_sid);
	for (size_t i = 0; i < t->nevents; i++)
		place_event(g, i, of_sid, &b);
	put_in_order(t, &b);
	free(b.v);
	free(of_sid);
}

/* ---- all ---- */

static bool
read_round(struct tracing *g, const struct logfiles *files)
{
	bool good = true;

	drop_events(g->t);
	g->nlinks = 0;
	g->seq = 0;
	g->grew = false;
	for (size_t i = 0; i < files->n; i++) {
		g->last_us = 0;
		good = logfile_lines(&files->v[i], on_line, g) && good;
	}
	return good;
}

bool
trace_read(struct trace *t, const struct logfiles *files)
{
	struct tracing g = {.t = t, .seeding = true,
	    .value = BUF_INIT(VALUE_MAX)};
	bool good = read_round(&g, files);

	g.seeding = false;
	for (int i = 0; i < ROUNDS_MAX && good &&
	    g.ids.n + g.sids.n > 0; i++) {
		good = read_round(&g, files);
		if (!g.grew)
			break;
		t->more |= i + 1 == ROUNDS_MAX;
	}
	join(&g);
	names_free(&g.ids);
	names_free(&g.sids);
	free(g.cause);
	free(g.links);
	buf_free(&g.value);
	return good;
}

void
trace_free(struct trace *t)
{
	drop_events(t);
	free(t->events);
	free(t->messages);
	free(t->order);
	*t = (struct trace){.now_ms = 0};
}
