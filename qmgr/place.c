/*
 * Places and their form in the queue file.  Runs in qmgr; the input comes from
 * authd, from local (a user's forward file, checked there) and from the journal
 * of queue files.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/proto/address.h"
#include "common/proto/delivery.h"
#include "qmgr/place.h"

#define NO_FORWARD SLICE("noforward")
#define EXTENSION SLICE("extension\t")

static struct slice
keep(char **at, struct slice s)
{
	struct slice kept = {*at, s.len};

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return kept;
}

/* A copy in one piece. */
static struct place *
place_copy(const struct place *from)
{
	size_t need = from->address.len + from->user.len + from->home.len +
	    from->extension.len + from->maildir.len + from->program.len +
	    from->sender.len;
	struct place *p = mem_alloc(sizeof(*p) + need + 1);
	char *at = p->room;

	p->kind = from->kind;
	p->uid = from->uid;
	p->gid = from->gid;
	p->no_forward = from->no_forward;
	p->forward = from->forward;
	p->address = keep(&at, from->address);
	p->user = keep(&at, from->user);
	p->home = keep(&at, from->home);
	p->extension = keep(&at, from->extension);
	p->maildir = keep(&at, from->maildir);
	p->program = keep(&at, from->program);
	p->sender = keep(&at, from->sender);
	return p;
}

struct place *
place_of_target(const struct address_target *t)
{
	struct place p = {.kind = t->kind,
	    .uid = t->uid,
	    .gid = t->gid,
	    .address = t->address,
	    .user = t->user,
	    .home = t->home,
	    .extension = t->extension,
	    .maildir = t->maildir,
	    .program = t->program,
	    .sender = t->sender};

	return place_copy(&p);
}

struct place *
place_of_expansion(const struct delivery_expansion *e,
    const struct place *owner)
{
	struct place p = {.kind = e->kind, .address = e->address};

	switch (e->kind) {
	case DELIVERY_MAILBOX:
		p.no_forward = true;
		break;
	case DELIVERY_ADDRESS:
		p.forward = true;
		break;
	case DELIVERY_PROGRAM:
	case DELIVERY_MAILDIR:
		p.uid = owner->uid;
		p.gid = owner->gid;
		p.user = owner->user;
		p.home = owner->home;
		p.extension = owner->extension;
		if (e->kind == DELIVERY_PROGRAM)
			p.program = e->target;
		else
			p.maildir = e->target;
		break;
	default:
		break;
	}
	return place_copy(&p);
}

static bool
has_tab(struct slice s)
{
	return slice_find(s, '\t', 0) != s.len;
}

/* One column of the target. */
static void
put_column(struct buf *out, struct slice s)
{
	buf_addslice(out, s);
	buf_addc(out, '\t');
}

static void
put_mailbox(const struct place *p, struct buf *out)
{
	if (p->no_forward)
		buf_addslice(out, NO_FORWARD);
	else if (p->extension.len > 0) {
		buf_addslice(out, EXTENSION);
		buf_addslice(out, p->extension);
	}
}

bool
place_put_target(const struct place *p, struct buf *out)
{
	/* The last column may hold tabs, the others would shift it. */
	if (has_tab(p->user) || has_tab(p->home) || has_tab(p->extension))
		return false;
	switch (p->kind) {
	case DELIVERY_MAILBOX:
		put_mailbox(p, out);
		break;
	case DELIVERY_ADDRESS:
		if (p->forward)
			buf_addslice(out, PLACE_TARGET_FORWARD);
		break;
	default:
		buf_addu(out, p->uid);
		buf_addc(out, '\t');
		buf_addu(out, p->gid);
		buf_addc(out, '\t');
		put_column(out, p->user);
		put_column(out, p->home);
		put_column(out, p->extension);
		buf_addslice(out, p->kind == DELIVERY_PROGRAM ? p->program :
		    p->maildir);
		break;
	}
	return !out->overflow;
}

struct place *
place_parse(uint32_t kind, struct slice address, struct slice target)
{
	struct place p = {.kind = kind, .address = address};
	struct slice rest = target, uid, gid;

	if (!slice_cut(&rest, '\t', &uid) || !slice_cut(&rest, '\t', &gid) ||
	    !slice_cut(&rest, '\t', &p.user) ||
	    !slice_cut(&rest, '\t', &p.home) ||
	    !slice_cut(&rest, '\t', &p.extension) || rest.p == NULL ||
	    rest.len == 0 || !num_u32(uid, 0, UINT32_MAX, &p.uid) ||
	    !num_u32(gid, 0, UINT32_MAX, &p.gid))
		return NULL;
	if (kind == DELIVERY_PROGRAM)
		p.program = rest;
	else
		p.maildir = rest;
	return place_copy(&p);
}

void
place_apply_target(struct place *p, struct slice target)
{
	p->no_forward = slice_eq(target, NO_FORWARD);
	if (slice_prefix(target, EXTENSION))
		p->extension = slice_sub(target, EXTENSION.len, target.len);
}
