/*
 * Aliases followed to their ends, in authd.  Addresses are clients', aliases
 * the admins', the files of :include: perhaps list owners'.  A stack of texts
 * that are being read stands for the recursion: its height is alias_depth_max,
 * it is what a loop is recognized by, and what was met before is remembered by
 * two keyed hashes of 64 bits.
 *
 * An alias that leads back to itself means the mailbox of that name, as with
 * sendmail; where there is none, that branch ends.  Faults of this host (a file
 * that cannot be read) make the whole answer temporary.  A member that does not
 * exist, or is no target at all, is handed on as an address, so that it fails
 * for itself, visibly, and the others get their mail.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "authd/hash.h"
#include "authd/include.h"
#include "authd/lookup.h"
#include "authd/resolve.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/route.h"
#include "common/mail/target.h"

#define SEEN_LEAST 64
#define SEEN_KEEP 4096
#define FILL_NUMERATOR 2 /* the set is at most two thirds full */
#define FILL_DENOMINATOR 3
#define LOGGED_MAX 10 /* complaints a resolution */

struct mark {
	uint64_t a, b;
};

struct seen {
	struct hash_key ka, kb;
	struct mark *v;
	size_t n, cap; /* cap is a power of two, or 0 */
};

/* A text that is being read: the targets of an alias, or a file. */
struct source {
	char *text;        /* owned */
	struct slice rest; /* of text */
	char *name;        /* owned: the alias's address, or the file's path */
	char *sender;      /* owned: the owner's address, or NULL */
	char *asked;       /* owned: the address that led to the alias, */
	char *extension;   /* owned: and what it has behind the delimiter */
	bool file;
};

struct resolve {
	struct directory *d; /* borrowed */
	struct name name;
	struct lookup found;
	struct source *stack;
	size_t depth, cap;
	struct seen seen;
	struct slice wrong; /* the target at hand as it is written */
	uint32_t flags;
	bool started;      /* the first name has been looked at */
	bool ended;
	uint64_t members;  /* targets read, for expansion_max */
	uint64_t shown;    /* targets handed out */
	unsigned loops, logged;
	enum address_result result;
	struct status why;
	struct slice route; /* of the table; REMOTE */
};

struct resolve *
resolve_new(struct directory *d)
{
	struct resolve *r = mem_alloc(sizeof(*r));

	r->d = d;
	name_init(&r->name);
	lookup_init(&r->found);
	r->seen.ka = hash_key_new();
	r->seen.kb = hash_key_new();
	r->ended = true;
	return r;
}

static void
source_free(struct source *s)
{
	free(s->text);
	free(s->name);
	free(s->sender);
	free(s->asked);
	free(s->extension);
}

static void
pop(struct resolve *r)
{
	struct source *s = &r->stack[--r->depth];

	source_free(s);
}

void
resolve_rest(struct resolve *r)
{
	while (r->depth > 0)
		pop(r);
	if (r->seen.cap > SEEN_KEEP) {
		free(r->seen.v);
		r->seen.v = NULL;
		r->seen.cap = 0;
	} else if (r->seen.n > 0) {
		memset(r->seen.v, 0, r->seen.cap * sizeof(*r->seen.v));
	}
	r->seen.n = 0;
}

void
resolve_free(struct resolve **rp)
{
	struct resolve *r = *rp;

	if (r == NULL)
		return;
	resolve_rest(r);
	name_free(&r->name);
	lookup_free(&r->found);
	free(r->stack);
	free(r->seen.v);
	free(r);
	*rp = NULL;
}

/* ---- what was met before ---- */

static bool
seen_put(struct seen *s, struct mark m)
{
	size_t i;

	for (i = m.a & (s->cap - 1); s->v[i].a != 0 || s->v[i].b != 0;
	    i = (i + 1) & (s->cap - 1))
		if (s->v[i].a == m.a && s->v[i].b == m.b)
			return false;
	s->v[i] = m;
	s->n++;
	return true;
}

static void
seen_grow(struct seen *s)
{
	struct mark *old = s->v;
	size_t cap = s->cap, i;

	s->cap = cap == 0 ? SEEN_LEAST : cap * 2;
	s->v = mem_array(s->cap, sizeof(*s->v));
	s->n = 0;
	for (i = 0; i < cap; i++)
		if (old[i].a != 0 || old[i].b != 0)
			seen_put(s, old[i]);
	free(old);
}

/* False when it was there already. */
static bool
first_time(struct resolve *r, char kind, struct slice what)
{
	struct seen *s = &r->seen;
	struct mark m;

	if (s->n * FILL_DENOMINATOR >= s->cap * FILL_NUMERATOR)
		seen_grow(s);
	m.a = hash_slice(&s->ka, kind, what);
	m.b = hash_slice(&s->kb, kind, what);
	if (m.a == 0 && m.b == 0)
		m.b = 1;
	return seen_put(s, m);
}

/* ---- ends ---- */

static enum resolve_step
end(struct resolve *r, enum address_result result)
{
	r->result = result;
	r->ended = true;
	return RESOLVE_STEP_END;
}

static enum resolve_step
end_temp(struct resolve *r)
{
	status_set(&r->why, 451, 3, 0, "the address cannot be looked up now; "
	    "try again later");
	return end(r, ADDRESS_TEMP);
}

static enum resolve_step
end_none(struct resolve *r)
{
	status_set(&r->why, 550, 1, 1, "no such mailbox here");
	return end(r, ADDRESS_NONE);
}

/* The stack is read to its end. */
static enum resolve_step
end_list(struct resolve *r)
{
	if (r->shown > 0)
		return end(r, ADDRESS_LOCAL);
	if (r->loops > 0)
		status_set(&r->why, 550, 4, 6, "the alias leads back to "
		    "itself");
	else
		status_set(&r->why, 550, 2, 4, "the alias leads to no "
		    "existing recipient");
	return end(r, ADDRESS_BROKEN);
}

/* What an alias has wrong, in the log; not more often than anybody reads. */
static void
complain(struct resolve *r, const char *verb, struct slice what,
    const char *why)
{
	const struct source *s = r->depth > 0 ? &r->stack[r->depth - 1] : NULL;

	if ((r->flags & (RESOLVE_PROBE | RESOLVE_MEMBERS)) != 0 ||
	    r->logged++ >= LOGGED_MAX)
		return;
	LOG_WARN(verb, LS(s != NULL && s->file ? "file" : "alias",
	    s != NULL ? s->name : "-"), LB("target", what), LS("why", why));
}

/* ---- the stack ---- */

static bool
on_stack(const struct resolve *r, bool file, struct slice name)
{
	size_t i;

	for (i = 0; i < r->depth; i++)
		if (r->stack[i].file == file &&
		    slice_eq(slice_of(r->stack[i].name), name))
			return true;
	return false;
}

/* Takes text, name and sender over.  False: too deep. */
static bool
push(struct resolve *r, struct source s)
{
	if (r->depth >= directory_conf(r->d)->alias_depth_max) {
		source_free(&s);
		return false;
	}
	MEM_PUSH(r->stack, r->depth, r->cap, s);
	return true;
}

static enum resolve_step
end_deep(struct resolve *r)
{
	complain(r, "alias-too-deep", SLICE_EMPTY,
	    "nested deeper than alias_depth_max");
	status_set(&r->why, 550, 4, 6, "the alias is nested too deeply");
	return end(r, ADDRESS_BROKEN);
}

static const char *
inherited_sender(const struct resolve *r)
{
	return r->depth > 0 ? r->stack[r->depth - 1].sender : NULL;
}

/* ---- what a target is ---- */

static void
show(struct resolve *r, struct address_target *out, uint32_t kind)
{
	const char *sender = inherited_sender(r);

	*out = (struct address_target){.kind = kind, .address = SLICE_EMPTY,
	    .user = SLICE_EMPTY, .home = SLICE_EMPTY, .maildir = SLICE_EMPTY,
	    .extension = SLICE_EMPTY, .program = SLICE_EMPTY,
	    .sender = SLICE_EMPTY};
	if (sender != NULL)
		out->sender = slice_of(sender);
	r->shown++;
}

static enum resolve_step
show_address(struct resolve *r, struct slice address,
    struct address_target *out)
{
	if (!first_time(r, 'a', r->name.full))
		return RESOLVE_STEP_WORKED;
	show(r, out, DELIVERY_ADDRESS);
	out->address = address;
	return RESOLVE_STEP_TARGET;
}

/* What can only fail, as it is written there. */
static enum resolve_step
show_wrong(struct resolve *r, struct slice written, const char *why,
    struct address_target *out)
{
	written = slice_sub(written, 0, ENV_ADDRESS_MAX);
	complain(r, "target-refused", written, why);
	if ((r->flags & (RESOLVE_PROBE | RESOLVE_MEMBERS)) != 0 ||
	    !first_time(r, 'x', written))
		return RESOLVE_STEP_WORKED;
	show(r, out, DELIVERY_ADDRESS);
	out->address = written;
	return RESOLVE_STEP_TARGET;
}

static enum resolve_step
show_mailbox(struct resolve *r, struct address_target *out)
{
	const struct mailbox *m = &r->found.mailbox;

	if (r->depth > 0 && !first_time(r, 'm', m->address))
		return RESOLVE_STEP_WORKED;
	show(r, out, DELIVERY_MAILBOX);
	out->address = m->address;
	out->user = m->user;
	out->uid = m->uid;
	out->gid = m->gid;
	out->home = m->home;
	out->maildir = m->maildir;
	out->extension = r->found.extension;
	return RESOLVE_STEP_TARGET;
}

static enum resolve_step
show_program(struct resolve *r, struct slice program,
    struct address_target *out)
{
	const struct source *s = &r->stack[r->depth - 1];
	struct sys_user user = directory_pipe_user(r->d);

	if (s->file)
		return show_wrong(r, r->wrong, "programs may stand in aliases "
		    "only, not in the files they include", out);
	if (program.len > DELIVERY_PROGRAM_MAX)
		return show_wrong(r, r->wrong, "the command line is too long",
		    out);
	if (!first_time(r, 'p', program))
		return RESOLVE_STEP_WORKED;
	show(r, out, DELIVERY_PROGRAM);
	/* The whole of it: list+subscribe@ is what the list's program needs. */
	out->address = slice_of(s->asked);
	out->extension = slice_of(s->extension);
	out->user = slice_of(directory_conf(r->d)->user_pipe);
	out->uid = user.uid;
	out->gid = user.gid;
	out->program = program;
	return RESOLVE_STEP_TARGET;
}

/* The address itself is delivered elsewhere.  CHECK hears here already that its
 * route leads nowhere. */
static enum resolve_step
end_elsewhere(struct resolve *r)
{
	bool relay = r->found.kind == LOOKUP_RELAY;
	const char *why = "";
	struct route route;

	switch (directory_route(r->d, &r->name, &r->route)) {
	case DIRECTORY_ERROR:
		return end_temp(r);
	case DIRECTORY_NONE:
		r->route = SLICE_EMPTY;
		break;
	case DIRECTORY_FOUND:
		break;
	}
	if ((r->flags & RESOLVE_PROBE) == 0)
		return end(r, ADDRESS_REMOTE);
	if (route_parse(r->route, &route, &why) && route.kind == ROUTE_ERROR) {
		status_set(&r->why, 550, 1, 2, "%.*s",
		    SLICE_FMT(route.text.len > 0 ? route.text
		    : SLICE("No mail is sent there")));
		return end(r, relay ? ADDRESS_NONE : ADDRESS_REMOTE);
	}
	return end(r, relay ? ADDRESS_LOCAL : ADDRESS_REMOTE);
}

/* The alias found is on the stack or was read before. */
static enum resolve_step
met_again(struct resolve *r, bool loop, struct address_target *out)
{
	if (!loop)
		return RESOLVE_STEP_WORKED;
	lookup_name(r->d, &r->name, true, &r->found);
	if (r->found.kind == LOOKUP_ERROR)
		return end_temp(r);
	if (r->found.kind == LOOKUP_MAILBOX)
		return show_mailbox(r, out);
	if (r->found.kind == LOOKUP_RELAY)
		return show_address(r, r->name.full, out);
	r->loops++;
	complain(r, "alias-loop", r->name.full, "leads back to itself, and "
	    "there is no mailbox of that name");
	return RESOLVE_STEP_WORKED;
}

static char *
join(struct slice local, struct slice domain)
{
	char *s = mem_array(local.len + domain.len + 2, 1);

	memcpy(s, local.p, local.len);
	s[local.len] = '@';
	memcpy(s + local.len + 1, domain.p, domain.len);
	return s;
}

/* Begins to read the alias found. */
static enum resolve_step
enter_alias(struct resolve *r, struct address_target *out)
{
	struct lookup *l = &r->found;
	struct buf owner = BUF_INIT(1024);
	const char *inherited = inherited_sender(r);
	struct source s = {.name = join(l->local, l->domain)};
	struct slice name = slice_of(s.name);
	bool again;

	if ((again = on_stack(r, false, name)) ||
	    !first_time(r, 'l', name)) {
		free(s.name);
		return met_again(r, again, out);
	}
	s.text = slice_dup(l->targets);
	s.rest = slice_mem(s.text, l->targets.len);
	s.asked = slice_dup(r->name.full);
	s.extension = slice_dup(l->extension);
	if (lookup_owner(r->d, l, &owner) == DIRECTORY_ERROR) {
		buf_free(&owner);
		source_free(&s);
		return end_temp(r);
	}
	if (owner.len > 0)
		s.sender = slice_dup(buf_slice(&owner));
	else if (inherited != NULL)
		s.sender = mem_dup(inherited);
	buf_free(&owner);
	return push(r, s) ? RESOLVE_STEP_WORKED : end_deep(r);
}

static enum resolve_step
enter_file(struct resolve *r, struct slice path, struct address_target *out)
{
	struct source s = {.file = true};
	const char *why, *inherited = inherited_sender(r);
	size_t len;

	if ((r->flags & RESOLVE_PROBE) != 0) {
		show(r, out, DELIVERY_ADDRESS);
		return RESOLVE_STEP_TARGET;
	}
	if (!first_time(r, 'f', path))
		return RESOLVE_STEP_WORKED;
	s.text = include_read(directory_includes(r->d), path, &len, &why);
	if (s.text == NULL) {
		LOG_WARN("include-failed", LB("file", path), LS("why", why),
		    LS("alias", r->stack[r->depth - 1].name),
		    errno != 0 ? LE() : LS("mend", "see postern-tables(5)"));
		return end_temp(r);
	}
	s.rest = slice_mem(s.text, len);
	s.name = slice_dup(path);
	if (inherited != NULL)
		s.sender = mem_dup(inherited);
	return push(r, s) ? RESOLVE_STEP_WORKED : end_deep(r);
}

/* A member's name, or the first address; written: as it stands there. */
static enum resolve_step
take_name(struct resolve *r, struct slice written, bool mailbox_only,
    struct address_target *out)
{
	/* The octets of a foreign local part are not ours to change. */
	struct slice whole = r->name.bare ? r->name.full : written;

	if ((r->flags & RESOLVE_MEMBERS) != 0 && r->started)
		return show_address(r, whole, out);
	lookup_name(r->d, &r->name, mailbox_only, &r->found);
	switch (r->found.kind) {
	case LOOKUP_ERROR:
		return end_temp(r);
	case LOOKUP_MAILBOX:
		if ((r->flags & RESOLVE_MEMBERS) == 0)
			return show_mailbox(r, out);
		/* RFC 5321 3.5.1: a user is no list */
		status_set(&r->why, 550, 2, 4, "a mailbox, not a list");
		return end(r, ADDRESS_NONE);
	case LOOKUP_ALIAS:
		return enter_alias(r, out);
	case LOOKUP_REMOTE:
	case LOOKUP_RELAY:
		if (!r->started)
			return end_elsewhere(r);
		return show_address(r, whole, out);
	case LOOKUP_NONE:
		break;
	}
	if (!r->started)
		return end_none(r);
	if (mailbox_only)
		return show_wrong(r, r->wrong, "no such mailbox", out);
	complain(r, "no-such-member", r->name.full,
	    "no such mailbox or alias");
	if ((r->flags & RESOLVE_PROBE) != 0)
		return RESOLVE_STEP_WORKED;
	return show_address(r, whole, out);
}

static enum resolve_step
take_target(struct resolve *r, const struct target *t,
    struct address_target *out)
{
	const char *why;

	switch (t->kind) {
	case TARGET_ADDRESS:
	case TARGET_MAILBOX:
		if (!name_parse(&r->name, t->text,
		    directory_local_domain(r->d), &why))
			return show_wrong(r, r->wrong, why, out);
		return take_name(r, t->text, t->kind == TARGET_MAILBOX, out);
	case TARGET_PROGRAM:
		/* RFC 5321 7.3: what is behind a list is nobody's business */
		if ((r->flags & RESOLVE_MEMBERS) != 0)
			return RESOLVE_STEP_WORKED;
		return show_program(r, t->text, out);
	case TARGET_INCLUDE:
		return enter_file(r, t->text, out);
	case TARGET_MAILDIR:
		return show_wrong(r, r->wrong, "a Maildir may stand in a "
		    "forward file only; give the user a mailbox", out);
	}
	assert(0);
	return RESOLVE_STEP_WORKED;
}

/* What target_next went over to reach the target. */
static struct slice
without_separators(struct slice s)
{
	while (s.len > 0 && (s.p[0] == ',' || s.p[0] == '\n' ||
	    s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\r'))
		s = slice_sub(s, 1, s.len);
	return slice_trim(s);
}

static enum resolve_step
next_target(struct resolve *r, struct address_target *out)
{
	struct source *s = &r->stack[r->depth - 1];
	uint64_t most = directory_conf(r->d)->expansion_max;
	struct slice before = s->rest;
	const char *why = "";
	struct target t;
	int got = target_next(&s->rest, &t, &why);

	if (got == 0) {
		pop(r);
		return RESOLVE_STEP_WORKED;
	}
	r->wrong = without_separators(slice_sub(before, 0,
	    before.len - s->rest.len));
	if (++r->members > most) {
		complain(r, "alias-too-long", SLICE_EMPTY,
		    "more members than expansion_max");
		status_set(&r->why, 550, 2, 4, "the alias has more than "
		    "%" PRIu64 " members", most);
		return end(r, ADDRESS_BROKEN);
	}
	if (got < 0)
		return show_wrong(r, r->wrong, why, out);
	return take_target(r, &t, out);
}

/* ---- interface ---- */

void
resolve_start(struct resolve *r, struct slice address, uint32_t flags)
{
	const char *why;

	resolve_rest(r);
	r->flags = flags;
	r->started = r->ended = false;
	r->members = r->shown = 0;
	r->loops = r->logged = 0;
	r->why.code = r->why.subject = r->why.detail = 0;
	r->why.text[0] = '\0';
	r->route = SLICE_EMPTY;
	if (!name_parse(&r->name, address, directory_local_domain(r->d),
	    &why)) {
		status_set(&r->why, 553, 1, 3, "%s", why);
		(void)end(r, ADDRESS_NONE);
	}
}

enum resolve_step
resolve_next(struct resolve *r, struct address_target *out)
{
	enum resolve_step step;

	if (r->ended)
		return RESOLVE_STEP_END;
	if (r->started)
		return r->depth > 0 ? next_target(r, out) : end_list(r);
	step = take_name(r, r->name.full,
	    (r->flags & RESOLVE_MAILBOX) != 0, out);
	r->started = true;
	return step;
}

enum address_result
resolve_result(const struct resolve *r, const struct status **why)
{
	*why = &r->why;
	return r->result;
}

struct slice
resolve_route(const struct resolve *r)
{
	return r->route;
}
