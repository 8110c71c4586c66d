/*
 * What the commands for users, aliases and domains share, and `postern table`.
 * Runs as root, or as the one user a suite belongs to, on the admin's files.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/mail/address.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/tables.h"

#define ERRORS_MAX 65536

static const enum table_kind kinds[] = {TABLE_DOMAINS, TABLE_ALIASES,
    TABLE_USERS, TABLE_ROUTES};

int
tables_compile(struct postern *p, enum table_kind kind)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	bool ok = table_compile(p->conf.table_dir, kind, &errors);

	out_errors(buf_slice(&errors));
	buf_free(&errors);
	return ok ? 0 : EXIT_PERMANENT;
}

/* Compiles what was changed by hand. */
static void
refresh(struct postern *p, enum table_kind kind)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	bool ok = true;

	switch (table_check(p->conf.table_dir, kind, &errors)) {
	case TABLE_CURRENT:
		break;
	case TABLE_STALE:
		ok = table_compile(p->conf.table_dir, kind, &errors);
		break;
	case TABLE_WRONG:
		ok = false;
		break;
	}
	if (!ok) {
		out_errors(buf_slice(&errors));
		out_error("%s: the text was changed and not compiled since; "
		    "what is in force is shown", table_name(kind));
	}
	buf_free(&errors);
}

static struct table *
open_table(struct postern *p, enum table_kind kind)
{
	int dirfd = open(p->conf.table_dir,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct table *t;

	if (dirfd < 0) {
		out_error("%s: %s; `postern setup` makes it",
		    p->conf.table_dir, strerror(errno));
		return NULL;
	}
	refresh(p, kind);
	t = table_open(dirfd, p->conf.table_dir, kind, 0);
	close(dirfd);
	return t;
}

int
tables_each(struct postern *p, enum table_kind kind,
    bool (*fn)(void *arg, struct slice key, struct slice value), void *arg)
{
	struct table *t = open_table(p, kind);
	enum table_result r;

	if (t == NULL)
		return EXIT_PERMANENT;
	r = table_each(t, fn, arg);
	table_close(&t);
	return r == TABLE_ERROR ? EXIT_TEMPORARY : 0;
}

int
tables_get(struct postern *p, enum table_kind kind, struct slice key,
    struct buf *out, bool *found)
{
	struct table *t = open_table(p, kind);
	enum table_result r;
	struct slice value;

	if (t == NULL)
		return EXIT_PERMANENT;
	r = table_get(t, key, &value);
	if (r == TABLE_FOUND)
		buf_addslice(out, value);
	*found = r == TABLE_FOUND;
	table_close(&t);
	return r == TABLE_ERROR ? EXIT_TEMPORARY : 0;
}

int
tables_edit(struct postern *p, enum table_kind kind, struct slice key,
    const char *line, bool may_replace)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	enum table_edit result = table_edit(p->conf.table_dir, kind, key, line,
	    may_replace, &errors);

	out_errors(buf_slice(&errors));
	buf_free(&errors);
	if (result == TABLE_MISSING)
		out_error("%.*s: no such entry in %s/%s", SLICE_FMT(key),
		    p->conf.table_dir, table_name(kind));
	return result == TABLE_MISSING || result == TABLE_FAILED
	    ? EXIT_PERMANENT : 0;
}

int
tables_own_domain(struct postern *p, struct slice domain, bool *ours)
{
	struct buf value = BUF_INIT(1000);
	int code = 0;

	*ours = slice_ieq(domain, slice_of(p->conf.local_domain)) ||
	    slice_ieq(domain, slice_of(p->conf.hostname));
	if (!*ours)
		code = tables_get(p, TABLE_DOMAINS, domain, &value, ours);
	buf_free(&value);
	return code;
}

int
tables_own_address(struct postern *p, const char *text, struct buf *out)
{
	struct slice s = slice_of(text);
	struct address a = {.domain = slice_of(p->conf.local_domain)};
	const char *why = NULL;
	bool ours;
	int code;

	if (address_local(s, true, &why))
		a.local = s;
	else if (!address_parse(s, true, &a, &why)) {
		out_error("%s: no address: %s", text, why);
		return EXIT_PERMANENT;
	}
	if (a.literal) {
		out_error("%s: an address in brackets is no mailbox here; name "
		    "the domain", text);
		return EXIT_PERMANENT;
	}
	buf_reset(out);
	address_canonical(&a, out);
	code = tables_own_domain(p, a.domain, &ours);
	if (code == 0 && !ours) {
		out_error("%s: %.*s is not a domain of this host; `postern "
		    "domain add %.*s` makes it one", text,
		    SLICE_FMT(a.domain), SLICE_FMT(a.domain));
		code = EXIT_PERMANENT;
	}
	return code;
}

void
tables_say(struct postern *p, const char *done, const char *what,
    struct slice name)
{
	struct json j = {.depth = 0};

	if (p->json) {
		json_object(&j);
		json_key_str(&j, "done", slice_of(done));
		json_key_str(&j, what, name);
		json_end(&j);
		return;
	}
	out_printf("%s %s ", done, what);
	out_text(name);
	out_printf("\n");
}

int
table_command(struct postern *p, int argc, char *argv[])
{
	bool known = false;
	int code = 0, result;
	size_t i;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc > 1)
		return command_usage(table_command);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (argc == 1 && strcmp(argv[0], table_name(kinds[i])) != 0)
			continue;
		known = true;
		result = tables_compile(p, kinds[i]);
		if (result == 0)
			tables_say(p, "compiled", "table",
			    slice_of(table_name(kinds[i])));
		else
			code = result;
	}
	if (!known) {
		out_error("%s: no such table; there are domains, aliases, "
		    "users and routes", argv[0]);
		return EXIT_PERMANENT;
	}
	return code;
}
