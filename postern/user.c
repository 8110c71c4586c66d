/*
 * `postern user`: mailboxes of the users table.  Runs on the admin's files and
 * words.  A mailbox itself is made at its first delivery.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/num.h"
#include "common/conf/password.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/secret.h"
#include "postern/tables.h"
#include "postern/user.h"

static bool
parse_id(struct postern *p, const char *option, const char *text,
    uint32_t *out)
{
	if (text == NULL)
		return true;
	if (num_u32(slice_of(text), (uint32_t)p->conf.mailbox_uid_min,
	    UINT32_MAX - 1, out))
		return true;
	out_error("--%s %s: not a number from mailbox_uid_min (%u) on", option,
	    text, (unsigned)p->conf.mailbox_uid_min);
	return false;
}

int
user_put(struct postern *p, const struct table_user *u, bool replace,
    const char *done)
{
	struct buf line = BUF_INIT(USER_LINE_MAX);
	int code = EXIT_PERMANENT;

	if (table_user_format(u, &line) && !line.overflow)
		code = tables_edit(p, TABLE_USERS, u->name, line.s, replace);
	else
		out_error("%.*s: home and Maildir must not hold colons, "
		    "spaces or control characters", SLICE_FMT(u->name));
	if (code == 0 && done != NULL)
		tables_say(p, done, "user", u->name);
	buf_wipe(&line);
	return code;
}

static int
add(struct postern *p, const char *address, struct table_user *u,
    const struct secret_options *secret)
{
	struct buf name = BUF_INIT(1000);
	struct buf stored = BUF_INIT(PASSWORD_STORED_MAX);
	bool there = false;
	struct buf old = BUF_INIT(USER_LINE_MAX);
	int code = tables_own_address(p, address, &name);

	if (code == 0)
		code = tables_get(p, TABLE_USERS, buf_slice(&name), &old,
		    &there);
	/* Before anybody types a password. */
	if (code == 0 && there) {
		out_error("%s: is there already; `postern user passwd` "
		    "changes the password", name.s);
		code = EXIT_PERMANENT;
	}
	if (code == 0)
		code = secret_make(p, secret, &stored);
	if (code == 0) {
		u->name = buf_slice(&name);
		u->password = buf_slice(&stored);
		code = user_put(p, u, false, "added");
	}
	buf_free(&name);
	buf_wipe(&stored);
	buf_wipe(&old);
	return code;
}

int
user_add(struct postern *p, int argc, char *argv[])
{
	struct secret_options secret = {.file = NULL};
	const char *uid = NULL, *gid = NULL, *home = "", *maildir = "";
	struct args_option options[] = {SECRET_OPTIONS(secret),
	    {"uid", 0, NULL, &uid}, {"gid", 0, NULL, &gid},
	    {"home", 0, NULL, &home}, {"maildir", 0, NULL, &maildir},
	    ARGS_END};
	struct table_user u = {.gecos = SLICE_EMPTY, .shell = SLICE_EMPTY,
	    .extra = SLICE_EMPTY};

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(user_add);
	if (!command_conf(p) || !parse_id(p, "uid", uid, &u.uid) ||
	    !parse_id(p, "gid", gid, &u.gid))
		return EXIT_PERMANENT;
	if (home[0] != '\0' && home[0] != '/') {
		out_error("--home %s: not an absolute path", home);
		return EXIT_PERMANENT;
	}
	if (maildir[0] != '\0' && maildir[0] != '/' &&
	    strncmp(maildir, "~/", 2) != 0) {
		out_error("--maildir %s: neither an absolute path nor one "
		    "below ~/", maildir);
		return EXIT_PERMANENT;
	}
	u.home = slice_of(home);
	u.maildir = slice_of(maildir);
	return add(p, argv[0], &u, &secret);
}

int
user_find_entry(struct postern *p, const char *text, struct buf *name,
    struct buf *value)
{
	struct slice full, at_local = slice_of(p->conf.local_domain);
	bool found = false;
	int code = tables_own_address(p, text, name);
	size_t at;

	if (code == 0)
		code = tables_get(p, TABLE_USERS, buf_slice(name), value,
		    &found);
	full = buf_slice(name);
	at = full.len > at_local.len ? full.len - at_local.len - 1 : 0;
	if (code == 0 && !found && at > 0 && full.p[at] == '@' &&
	    slice_ieq(slice_sub(full, at + 1, full.len), at_local))
		code = tables_get(p, TABLE_USERS, slice_sub(full, 0, at),
		    value, &found);
	if (code == 0 && !found) {
		out_error("%s: no such user", text);
		code = EXIT_PERMANENT;
	}
	return code;
}

static int
change_password(struct postern *p, const char *address,
    const struct secret_options *secret)
{
	struct buf name = BUF_INIT(1000), value = BUF_INIT(USER_LINE_MAX);
	struct buf stored = BUF_INIT(PASSWORD_STORED_MAX);
	struct table_user u;
	const char *why;
	int code = user_find_entry(p, address, &name, &value);

	if (code == 0 && !table_user_parse(buf_slice(&value), &u, &why)) {
		out_error("%s: %s", address, why);
		code = EXIT_PERMANENT;
	}
	if (code == 0)
		code = secret_make(p, secret, &stored);
	if (code == 0) {
		u.password = buf_slice(&stored);
		code = user_put(p, &u, true, "changed");
	}
	buf_free(&name);
	buf_wipe(&value);
	buf_wipe(&stored);
	return code;
}

int
user_passwd(struct postern *p, int argc, char *argv[])
{
	struct secret_options secret = {.file = NULL};
	struct args_option options[] = {SECRET_OPTIONS(secret), ARGS_END};

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(user_passwd);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	return change_password(p, argv[0], &secret);
}

int
user_remove(struct postern *p, int argc, char *argv[])
{
	struct buf name = BUF_INIT(1000), value = BUF_INIT(USER_LINE_MAX);
	struct table_user u;
	const char *why;
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(user_remove);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	code = user_find_entry(p, argv[0], &name, &value);
	if (code == 0 && !table_user_parse(buf_slice(&value), &u, &why)) {
		out_error("%s: %s", argv[0], why);
		code = EXIT_PERMANENT;
	}
	if (code == 0)
		code = tables_edit(p, TABLE_USERS, u.name, NULL, false);
	if (code == 0)
		tables_say(p, "removed", "user", u.name);
	buf_free(&name);
	buf_wipe(&value);
	return code;
}

struct listing {
	struct postern *p;
	struct slice part;
	struct json j;
};

/* What can be done with the password, not what it is. */
static const char *
password_state(struct slice stored)
{
	struct slice plain;
	const char *why;

	if (stored.len == 0)
		return "none";
	if (!password_usable(stored))
		return "locked";
	if (password_plain(stored, &plain))
		return "plain";
	return password_known(stored, &why) ? "hash" : "unknown";
}

static void
list_json(struct json *j, const struct table_user *u)
{
	json_object(j);
	json_key_str(j, "user", u->name);
	json_key_str(j, "password", slice_of(password_state(u->password)));
	if (u->uid != 0) {
		json_key_num(j, "uid", u->uid);
		json_key_num(j, "gid", u->gid != 0 ? u->gid : u->uid);
	}
	if (u->home.len > 0)
		json_key_str(j, "home", u->home);
	if (u->maildir.len > 0)
		json_key_str(j, "maildir", u->maildir);
	json_end(j);
}

static bool
list_one(void *arg, struct slice key, struct slice value)
{
	struct listing *l = arg;
	struct table_user u;
	const char *why;

	if (!out_contains(key, l->part))
		return true;
	if (!table_user_parse(value, &u, &why)) {
		out_error("%.*s: %s", SLICE_FMT(key), why);
		return true;
	}
	if (l->p->json) {
		list_json(&l->j, &u);
		return true;
	}
	out_text(u.name);
	out_printf("%*s  %-7s", u.name.len < 32 ? (int)(32 - u.name.len) : 0,
	    "", password_state(u.password));
	if (u.uid != 0)
		out_printf("  uid=%u", u.uid);
	if (u.home.len > 0) {
		out_printf("  home=");
		out_text(u.home);
	}
	if (u.maildir.len > 0) {
		out_printf("  maildir=");
		out_text(u.maildir);
	}
	out_printf("\n");
	return true;
}

int
user_list(struct postern *p, int argc, char *argv[])
{
	struct listing l = {.p = p, .part = SLICE_EMPTY};
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc > 1)
		return command_usage(user_list);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	if (argc == 1)
		l.part = slice_of(argv[0]);
	if (p->json)
		json_array(&l.j);
	code = tables_each(p, TABLE_USERS, list_one, &l);
	if (p->json)
		json_end(&l.j);
	return code;
}
