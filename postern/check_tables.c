/* `postern check`: do the tables compile, are they compiled, who may read them,
 * and does every entry lead somewhere. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/password.h"
#include "common/conf/table.h"
#include "common/mail/target.h"
#include "postern/check.h"

#define PATH_SIZE 4200
#define ERRORS_MAX 65536
#define SHOWN_MAX 20 /* findings of one kind */

static void
check_text(struct check *c, enum table_kind kind)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	struct slice rest, line;

	switch (table_check(c->p->conf.table_dir, kind, &errors)) {
	case TABLE_CURRENT:
		break;
	case TABLE_STALE:
		check_finding(c, CHECK_ERROR, "say `postern table`",
		    "%s/%s: was changed and not compiled since",
		    c->p->conf.table_dir, table_name(kind));
		break;
	case TABLE_WRONG:
		rest = buf_slice(&errors);
		while (slice_cut(&rest, '\n', &line))
			if (line.len > 0)
				check_finding(c, CHECK_ERROR, "", "%.*s",
				    SLICE_FMT(line));
		break;
	}
	buf_free(&errors);
}

/* authd reads all; passwords are for nobody else. */
static void
check_file(struct check *c, enum table_kind kind, const char *suffix)
{
	mode_t never = kind == TABLE_USERS ? 037 : 022;
	char path[PATH_SIZE];
	struct stat st;
	bool readable;

	snprintf(path, sizeof(path), "%s/%s%s", c->p->conf.table_dir,
	    table_name(kind), suffix);
	if (stat(path, &st) != 0)
		return; /* said before */
	if ((st.st_mode & never) != 0)
		check_finding(c, CHECK_ERROR, kind == TABLE_USERS
		    ? "chown it to user_auth and chmod it to 0600"
		    : "chmod it to 0644", "%s: mode %04o lets others %s",
		    path, (unsigned)(st.st_mode & 07777),
		    st.st_mode & never & 022 ? "change it"
		    : "see password hashes");
	if (!c->root || !c->users_known)
		return;
	readable = st.st_uid == c->auth.uid ? st.st_mode & 0400
	    : st.st_gid == c->auth.gid      ? st.st_mode & 0040
	                                    : st.st_mode & 0004;
	if (!readable)
		check_finding(c, CHECK_ERROR, "chown it to user_auth",
		    "%s: user_auth (%s) may not read it", path,
		    c->p->conf.user_auth);
}

/* A walk over one table's entries. */
struct walk {
	struct check *c;
	struct table *domains, *aliases, *users, *routes;
	unsigned found; /* findings so far */
};

static bool
is_ours(struct walk *w, struct slice domain)
{
	const struct conf *conf = &w->c->p->conf;
	struct slice value;

	return slice_ieq(domain, slice_of(conf->local_domain)) ||
	    slice_ieq(domain, slice_of(conf->hostname)) ||
	    table_get(w->domains, domain, &value) != TABLE_NONE;
}

/* The domain of a key, "" for a bare name. */
static struct slice
domain_of(struct slice key)
{
	size_t at = key.len;

	while (at > 0 && key.p[at - 1] != '@')
		at--;
	return at > 0 ? slice_sub(key, at, key.len) : SLICE_EMPTY;
}

static void
check_domain_of(struct walk *w, const char *table, struct slice key)
{
	struct slice domain = domain_of(key);

	if (domain.len == 0 || is_ours(w, domain) || w->found++ >= SHOWN_MAX)
		return;
	check_finding(w->c, CHECK_WARNING, "`postern domain add` it, or remove "
	    "the entry", "%s: %.*s gets no mail, %.*s is not a domain of this "
	    "host", table, SLICE_FMT(key), SLICE_FMT(domain));
}

static bool
walk_user(void *arg, struct slice key, struct slice value)
{
	struct walk *w = arg;
	const struct conf *conf = &w->c->p->conf;
	struct table_user u;
	const char *why;

	check_domain_of(w, "users", key);
	if (!table_user_parse(value, &u, &why))
		return true; /* said with the text */
	if (u.uid != 0 && u.uid < conf->mailbox_uid_min && !conf->virtual_only
	    && w->found++ < SHOWN_MAX)
		check_finding(w->c, CHECK_ERROR, "give another uid, or none",
		    "users: %.*s: uid %u is below mailbox_uid_min (%u), its "
		    "mail waits", SLICE_FMT(key), u.uid,
		    (unsigned)conf->mailbox_uid_min);
	if (password_usable(u.password) && !password_known(u.password, &why) &&
	    w->found++ < SHOWN_MAX)
		check_finding(w->c, CHECK_WARNING, "`postern user passwd` "
		    "gives a new one", "users: %.*s cannot log in: the stored "
		    "password has %s", SLICE_FMT(key), why);
	return true;
}

static bool
walk_alias(void *arg, struct slice key, struct slice value)
{
	struct walk *w = arg;
	struct slice rest = value;
	const char *why = "";
	struct target t;
	int r;

	check_domain_of(w, "aliases", key);
	while ((r = target_next(&rest, &t, &why)) != 0) {
		if (r > 0 && t.kind == TARGET_MAILDIR)
			why = "a Maildir may stand in a forward file only";
		else if (r > 0)
			continue;
		if (w->found++ < SHOWN_MAX)
			check_finding(w->c, CHECK_WARNING, "mend the entry",
			    "aliases: %.*s: a target is ignored: %s",
			    SLICE_FMT(key), why);
	}
	return true;
}

/* What is delivered here is never routed. */
static bool
walk_route(void *arg, struct slice key, struct slice value)
{
	struct walk *w = arg;
	struct slice domain = domain_of(key), kind;
	const struct conf *conf = &w->c->p->conf;

	(void)value;
	if (domain.len == 0)
		domain = key;
	if (table_get(w->domains, domain, &kind) == TABLE_FOUND
	    ? slice_eq(kind, TABLE_RELAY)
	    : !slice_ieq(domain, slice_of(conf->local_domain)))
		return true;
	if (w->found++ >= SHOWN_MAX)
		return true;
	check_finding(w->c, CHECK_WARNING, "write \"relay\" behind the domain "
	    "in the table domains, or remove the route", "routes: %.*s is "
	    "never used, mail for %.*s is delivered here", SLICE_FMT(key),
	    SLICE_FMT(domain));
	return true;
}

/* RFC 5321 4.5.1: postmaster has to be somebody. */
static void
check_postmaster(struct walk *w)
{
	const struct conf *conf = &w->c->p->conf;
	struct buf key = BUF_INIT(1000);
	struct slice value;
	bool there;

	buf_printf(&key, "postmaster@%s", conf->local_domain);
	there = table_get(w->aliases, SLICE("postmaster"), &value) !=
	    TABLE_NONE ||
	    table_get(w->aliases, buf_slice(&key), &value) != TABLE_NONE ||
	    table_get(w->users, SLICE("postmaster"), &value) != TABLE_NONE ||
	    table_get(w->users, buf_slice(&key), &value) != TABLE_NONE;
	if (!there)
		check_finding(w->c, CHECK_WARNING, "say `postern alias add "
		    "postmaster YOU`", "nobody reads the mail of postmaster "
		    "in %s, which every domain falls back to",
		    conf->local_domain);
	buf_free(&key);
}

void
check_tables(struct check *c)
{
	static const enum table_kind kinds[] = {TABLE_DOMAINS, TABLE_ALIASES,
	    TABLE_USERS, TABLE_ROUTES};
	unsigned before = c->errors;
	struct walk w = {.c = c};
	size_t i;
	int fd;

	fd = open(c->p->conf.table_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return; /* said before */
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		check_text(c, kinds[i]);
		check_file(c, kinds[i], "");
		check_file(c, kinds[i], ".cdb");
	}
	if (c->errors == before) {
		w.domains = table_open(fd, c->p->conf.table_dir,
		    TABLE_DOMAINS, 0);
		w.aliases = table_open(fd, c->p->conf.table_dir,
		    TABLE_ALIASES, 0);
		w.users = table_open(fd, c->p->conf.table_dir, TABLE_USERS, 0);
		(void)table_each(w.users, walk_user, &w);
		(void)table_each(w.aliases, walk_alias, &w);
		w.routes = table_open(fd, c->p->conf.table_dir, TABLE_ROUTES,
		    0);
		(void)table_each(w.routes, walk_route, &w);
		table_close(&w.routes);
		check_postmaster(&w);
		table_close(&w.domains);
		table_close(&w.aliases);
		table_close(&w.users);
	}
	close(fd);
}
