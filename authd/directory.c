/*
 * The tables behind every look-up, in authd.  Keys are made of what a client
 * sent (RCPT, USER) and are asked as they stand; in paths its octets are
 * escaped, so that no name leaves the directory of its domain.
 */
#include <stdlib.h>

#include "authd/directory.h"
#include "authd/include.h"
#include "authd/name.h"
#include "authd/system.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/conf/password.h"
#include "common/conf/route.h"
#include "common/conf/scram.h"
#include "common/conf/secrets.h"
#include "common/conf/table.h"
#include "common/mail/address.h"
#include "common/mail/domain.h"
#include "common/proto/delivery.h"

#define KEY_MAX 1024
#define MAILBOX_TEXT_MAX (2 * DELIVERY_PATH_MAX + 2048)

struct directory {
	const struct conf *conf; /* borrowed */
	struct table *domains, *aliases, *users, *routes;
	struct system_users *sysusers; /* NULL: none */
	struct include_dirs *includes;
	struct sys_user virtual_user, pipe_user;
	struct buf key, plain; /* scratch */
	uint64_t forms_seen;     /* table_generation that forms speak of */
	unsigned forms;
};

struct directory *
directory_new(const struct directory_args *args)
{
	const struct conf *c = args->conf;
	struct directory *d = mem_alloc(sizeof(*d));
	int64_t check_ms = (int64_t)c->table_check_ms;

	d->conf = c;
	d->domains = table_open(args->table_fd, c->table_dir, TABLE_DOMAINS,
	    check_ms);
	d->aliases = table_open(args->table_fd, c->table_dir, TABLE_ALIASES,
	    check_ms);
	d->users = table_open(args->table_fd, c->table_dir, TABLE_USERS,
	    check_ms);
	d->routes = table_open(args->table_fd, c->table_dir, TABLE_ROUTES,
	    check_ms);
	if (args->etc_fd >= 0)
		d->sysusers = system_new(args->etc_fd,
		    (uid_t)c->mailbox_uid_min);
	d->includes = include_new(&c->include_dirs);
	d->virtual_user = args->virtual_user;
	d->pipe_user = args->pipe_user;
	buf_init(&d->key, KEY_MAX);
	buf_init(&d->plain, KEY_MAX);
	return d;
}

void
directory_free(struct directory **dp)
{
	struct directory *d = *dp;

	if (d == NULL)
		return;
	table_close(&d->domains);
	table_close(&d->aliases);
	table_close(&d->users);
	table_close(&d->routes);
	system_free(&d->sysusers);
	include_free(&d->includes);
	buf_free(&d->key);
	buf_free(&d->plain);
	free(d);
	*dp = NULL;
}

static bool
add_forms(void *arg, struct slice key, struct slice value)
{
	unsigned *forms = arg;
	struct scram_keys keys;
	struct secrets secrets;
	struct table_user u;
	struct slice plain;
	const char *why;
	size_t i;

	(void)key;
	if (!table_user_parse(value, &u, &why))
		return true;
	(void)secrets_parse(u.password, u.extra, &secrets, &why);
	for (i = 0; i < secrets.n; i++) {
		if (password_plain(secrets.v[i].stored, &plain))
			*forms |= DIRECTORY_PLAIN;
		else if (scram_parse(secrets.v[i].stored, &keys))
			*forms |= keys.hash == SCRAM_SHA1
			    ? DIRECTORY_SCRAM_SHA1 : DIRECTORY_SCRAM_SHA256;
	}
	return *forms != (DIRECTORY_PLAIN | DIRECTORY_SCRAM_SHA256 |
	    DIRECTORY_SCRAM_SHA1);
}

unsigned
directory_forms(struct directory *d)
{
	uint64_t now = table_generation(d->users);

	if (now != d->forms_seen) {
		d->forms_seen = now;
		d->forms = 0;
		if (now != 0)
			(void)table_each(d->users, add_forms, &d->forms);
	}
	return d->forms;
}

const struct conf *
directory_conf(const struct directory *d)
{
	return d->conf;
}

struct sys_user
directory_pipe_user(const struct directory *d)
{
	return d->pipe_user;
}

struct include_dirs *
directory_includes(struct directory *d)
{
	return d->includes;
}

struct slice
directory_local_domain(const struct directory *d)
{
	return slice_of(d->conf->local_domain);
}

static enum directory_result
from_table(enum table_result r)
{
	return r == TABLE_FOUND ? DIRECTORY_FOUND
	    : r == TABLE_NONE   ? DIRECTORY_NONE
	                        : DIRECTORY_ERROR;
}

enum directory_domain
directory_domain(struct directory *d, struct name *n)
{
	struct slice value, local = directory_local_domain(d);
	bool is_local;

	/* smtpd says local_domain where a literal is one of ours. */
	if (n->literal)
		return DOMAIN_REMOTE;
	for (;;) {
		is_local = slice_ieq(n->domain, local);
		switch (table_get(d->domains, n->domain, &value)) {
		case TABLE_FOUND:
			if (slice_eq(value, TABLE_RELAY))
				return is_local ? DOMAIN_LOCAL_RELAY
				    : DOMAIN_RELAY;
			return is_local ? DOMAIN_LOCAL : DOMAIN_VIRTUAL;
		case TABLE_ERROR:
			return DOMAIN_ERROR;
		case TABLE_NONE:
			break;
		}
		if (is_local)
			return DOMAIN_LOCAL;
		if (!slice_ieq(n->domain, slice_of(d->conf->hostname)))
			return DOMAIN_REMOTE;
		name_move(n, local);
	}
}

/* The domain as DNS and the table of routes know it. */
static struct slice
wire_domain(struct directory *d, struct slice domain)
{
	const char *why;

	buf_reset(&d->plain);
	return domain_wire(domain, &d->plain, &why) ? buf_slice(&d->plain)
	    : domain;
}

static enum table_result
route_of_domain(struct directory *d, struct slice domain, struct slice *route)
{
	enum table_result r = table_get(d->routes, domain, route);
	size_t dot = 0;

	/* Of an address literal no part is a name. */
	if (r != TABLE_NONE || slice_prefix(domain, SLICE("[")))
		return r;
	while (r == TABLE_NONE &&
	    (dot = slice_find(domain, '.', dot + 1)) < domain.len)
		r = table_get(d->routes, slice_sub(domain, dot, domain.len),
		    route);
	return r;
}

enum directory_result
directory_route(struct directory *d, const struct name *n,
    struct slice *route)
{
	enum table_result r = table_get(d->routes, n->full, route);
	struct slice wire;

	if (r == TABLE_NONE)
		r = route_of_domain(d, n->domain, route);
	if (r == TABLE_NONE) {
		wire = wire_domain(d, n->domain);
		if (!slice_eq(wire, n->domain))
			r = route_of_domain(d, wire, route);
	}
	if (r == TABLE_NONE)
		r = table_get(d->routes, SLICE("*"), route);
	if (r == TABLE_FOUND && route->len > ROUTE_TEXT_MAX) {
		LOG_WARN("wrong-entry", LS("table", table_name(TABLE_ROUTES)),
		    LB("address", n->full), LS("why", "the route is too long"));
		return DIRECTORY_ERROR;
	}
	return from_table(r);
}

/* "local@domain", or "local" alone; in one buffer for all questions. */
static struct slice
make_key(struct directory *d, struct slice local, struct slice domain,
    bool bare)
{
	buf_reset(&d->key);
	buf_addslice(&d->key, local);
	if (!bare) {
		buf_addc(&d->key, '@');
		buf_addslice(&d->key, domain);
	}
	return buf_slice(&d->key);
}

enum directory_result
directory_alias(struct directory *d, struct slice local, struct slice domain,
    bool bare, struct slice *targets)
{
	return from_table(table_get(d->aliases,
	    make_key(d, local, domain, bare), targets));
}

void
mailbox_init(struct mailbox *m)
{
	*m = (struct mailbox){.address = SLICE_EMPTY, .user = SLICE_EMPTY,
	    .home = SLICE_EMPTY, .maildir = SLICE_EMPTY,
	    .password = SLICE_EMPTY, .extra = SLICE_EMPTY};
	buf_init(&m->text, MAILBOX_TEXT_MAX);
	(void)buf_room(&m->text, MAILBOX_TEXT_MAX);
}

void
mailbox_free(struct mailbox *m)
{
	buf_free(&m->text);
}

/* What was appended since the octet `from`. */
static struct slice
since(const struct mailbox *m, size_t from)
{
	return slice_sub(buf_slice(&m->text), from, m->text.len);
}

/* One name within a path: nothing in it goes up, down or into hiding, and
 * different names stay different. */
static void
add_path_part(struct buf *out, struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f || c == '/' || c == '%' ||
		    (c == '.' && i == 0))
			buf_printf(out, "%%%02x", c);
		else
			buf_addc(out, (char)c);
	}
}

static void
add_slash(struct buf *out)
{
	if (out->len == 0 || out->s[out->len - 1] != '/')
		buf_addc(out, '/');
}

static void
set_home(struct directory *d, struct mailbox *m, struct slice home,
    struct slice local, struct slice domain)
{
	size_t from = m->text.len;

	if (home.len > 0) {
		buf_addslice(&m->text, home);
	} else {
		buf_reset(&d->plain);
		address_local_plain(local, &d->plain);
		buf_adds(&m->text, d->conf->mail_root);
		add_slash(&m->text);
		add_path_part(&m->text, domain);
		buf_addc(&m->text, '/');
		add_path_part(&m->text, buf_slice(&d->plain));
	}
	m->home = since(m, from);
}

/* "": HOME/name; "~/x": HOME/x; else absolute. */
static bool
set_maildir(struct mailbox *m, struct slice maildir, struct slice name)
{
	size_t from = m->text.len;

	if (maildir.len == 0 || slice_prefix(maildir, SLICE("~/"))) {
		buf_addslice(&m->text, m->home);
		add_slash(&m->text);
		buf_addslice(&m->text, maildir.len == 0 ? name
		    : slice_sub(maildir, 2, maildir.len));
	} else if (maildir.p[0] == '/') {
		buf_addslice(&m->text, maildir);
	} else {
		return false;
	}
	m->maildir = since(m, from);
	return true;
}

static void
start_mailbox(struct mailbox *m, struct slice local, struct slice domain)
{
	buf_reset(&m->text);
	buf_addslice(&m->text, local);
	buf_addc(&m->text, '@');
	buf_addslice(&m->text, domain);
	m->address = since(m, 0);
	m->user = m->address;
	m->password = m->extra = SLICE_EMPTY;
}

static enum directory_result
wrong_entry(const struct directory *d, struct slice address, const char *why)
{
	LOG_WARN("wrong-entry", LS("table", table_name(TABLE_USERS)),
	    LS("dir", d->conf->table_dir), LB("user", address),
	    LS("why", why));
	return DIRECTORY_ERROR;
}

/* A mailbox of the users table; value as the table has it. */
static enum directory_result
virtual_mailbox(struct directory *d, struct slice value, struct slice local,
    struct slice domain, struct mailbox *m)
{
	struct table_user u;
	const char *why;

	start_mailbox(m, local, domain);
	if (!table_user_parse(value, &u, &why))
		return wrong_entry(d, m->address, why);
	if (d->conf->virtual_only || u.uid == 0) {
		m->uid = d->virtual_user.uid;
		m->gid = d->virtual_user.gid;
	} else {
		if (u.uid < d->conf->mailbox_uid_min)
			return wrong_entry(d, m->address, "the uid is below "
			    "mailbox_uid_min; give another or leave it empty");
		m->uid = u.uid;
		m->gid = u.gid != 0 ? u.gid : u.uid;
	}
	if (u.home.len > 0 && u.home.p[0] != '/')
		return wrong_entry(d, m->address, "the home directory is not "
		    "an absolute path");
	set_home(d, m, u.home, local, domain);
	if (!set_maildir(m, u.maildir, SLICE("Maildir")))
		return wrong_entry(d, m->address, "mail=maildir: is neither "
		    "an absolute path nor below ~/");
	if (m->text.overflow || m->home.len > DELIVERY_PATH_MAX ||
	    m->maildir.len > DELIVERY_PATH_MAX)
		return wrong_entry(d, m->address, "the path is too long");
	m->password = u.password;
	m->extra = u.extra;
	return DIRECTORY_FOUND;
}

static enum directory_result
system_mailbox(struct directory *d, struct slice local, struct slice domain,
    struct mailbox *m)
{
	enum directory_result r;
	struct system_user u;
	size_t from;

	if (d->sysusers == NULL || !d->conf->system_users ||
	    d->conf->virtual_only)
		return DIRECTORY_NONE;
	r = system_find(d->sysusers, local, (int64_t)d->conf->table_check_ms,
	    &u);
	if (r != DIRECTORY_FOUND)
		return r;
	start_mailbox(m, local, domain);
	from = m->text.len;
	buf_addslice(&m->text, u.name);
	m->user = since(m, from);
	m->uid = u.uid;
	m->gid = u.gid;
	set_home(d, m, u.home, local, domain);
	if (!set_maildir(m, SLICE_EMPTY, slice_of(d->conf->system_maildir)) ||
	    m->text.overflow || m->maildir.len > DELIVERY_PATH_MAX) {
		LOG_WARN("wrong-entry", LS("table", "/etc/passwd"),
		    LB("user", u.name), LS("why", "the home directory's path "
		    "is too long"));
		return DIRECTORY_ERROR;
	}
	return DIRECTORY_FOUND;
}

enum directory_result
directory_mailbox(struct directory *d, struct slice local, struct slice domain,
    bool local_domain, struct mailbox *out)
{
	enum table_result r;
	struct slice value;

	r = table_get(d->users, make_key(d, local, domain, false), &value);
	if (r == TABLE_NONE && local_domain)
		r = table_get(d->users, make_key(d, local, domain, true),
		    &value);
	if (r == TABLE_FOUND)
		return virtual_mailbox(d, value, local, domain, out);
	if (r == TABLE_NONE && local_domain)
		return system_mailbox(d, local, domain, out);
	return from_table(r);
}

enum directory_result
directory_login(struct directory *d, uid_t uid, struct slice *name,
    struct slice *gecos)
{
	if (d->sysusers == NULL)
		return DIRECTORY_NONE;
	return system_name(d->sysusers, uid, (int64_t)d->conf->table_check_ms,
	    name, gecos);
}
