/*
 * `postern alias`: names that stand for others.  Runs on the admin's files and
 * words; what authd would refuse later is refused here.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/conf/table.h"
#include "common/mail/address.h"
#include "common/mail/target.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/tables.h"

#define LINE_MAX_OCTETS ((size_t)1024 * 1024)

/* The key: user@domain of ours, @domain, or a bare name. */
static int
alias_key(struct postern *p, const char *text, struct buf *out)
{
	const char *why;
	bool ours;
	int code;

	if (text[0] != '@' && address_local(slice_of(text), true, &why)) {
		buf_adds(out, text);
		return 0;
	}
	if (text[0] != '@')
		return tables_own_address(p, text, out);
	if (!address_domain(slice_of(text + 1), true, &why)) {
		out_error("%s: no domain: %s", text, why);
		return EXIT_PERMANENT;
	}
	code = tables_own_domain(p, slice_of(text + 1), &ours);
	if (code == 0 && !ours) {
		out_error("%s: not a domain of this host; `postern domain add "
		    "%s` makes it one", text, text + 1);
		return EXIT_PERMANENT;
	}
	buf_adds(out, text);
	return code;
}

/* One target of the command line must be one target of the table. */
static bool
check_target(const char *text)
{
	struct slice rest = slice_of(text);
	const char *why = "it is empty";
	struct target t, more;

	if (target_next(&rest, &t, &why) != 1) {
		out_error("%s: no target: %s", text, why);
		return false;
	}
	if (target_next(&rest, &more, &why) != 0) {
		out_error("%s: one target at a time, please", text);
		return false;
	}
	if (t.kind == TARGET_MAILDIR) {
		out_error("%s: a Maildir may stand in a forward file only; "
		    "give the user a mailbox", text);
		return false;
	}
	return true;
}

/* A program with a comma is quoted; one with quotes must come last, because
 * unquoted it goes on to the end. */
static bool
add_target(struct buf *line, const char *text, bool last)
{
	bool program = text[0] == '|';

	if (program && strchr(text, '"') != NULL && !last) {
		out_error("%s: a program with double quotes must be the last "
		    "target", text);
		return false;
	}
	if (program && strchr(text, '"') == NULL)
		buf_printf(line, "\"%s\"", text);
	else
		buf_adds(line, text);
	if (!last)
		buf_adds(line, ", ");
	return true;
}

static int
add(struct postern *p, int argc, char *argv[], bool replace)
{
	struct buf line = BUF_INIT(LINE_MAX_OCTETS), key = BUF_INIT(2000);
	int code = alias_key(p, argv[0], &key), i;

	buf_addslice(&line, buf_slice(&key));
	buf_adds(&line, ": ");
	for (i = 1; code == 0 && i < argc; i++)
		if (!check_target(argv[i]) ||
		    !add_target(&line, argv[i], i + 1 == argc))
			code = EXIT_PERMANENT;
	if (code == 0 && line.overflow) {
		out_error("%s: too many targets for one line; put them in a "
		    "file and name it with :include:", argv[0]);
		code = EXIT_PERMANENT;
	}
	if (code == 0)
		code = tables_edit(p, TABLE_ALIASES, buf_slice(&key), line.s,
		    replace);
	if (code == 0)
		tables_say(p, "added", "alias", buf_slice(&key));
	buf_free(&line);
	buf_free(&key);
	return code;
}

int
alias_add(struct postern *p, int argc, char *argv[])
{
	bool replace = false;
	struct args_option options[] = {{"replace", 0, &replace, NULL},
	    ARGS_END};

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc < 2)
		return command_usage(alias_add);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	return add(p, argc, argv, replace);
}

struct listing {
	struct postern *p;
	struct slice part;
	struct json j;
};

static void
list_targets(struct json *j, struct slice rest)
{
	static const char *const kinds[] = {"address", "mailbox", "program",
	    "include", "maildir"};
	const char *why = "";
	struct target t;
	int r;

	json_array(j);
	while ((r = target_next(&rest, &t, &why)) != 0) {
		json_object(j);
		if (r == 1) {
			json_key_str(j, "kind", slice_of(kinds[t.kind]));
			json_key_str(j, "target", t.text);
		} else {
			json_key_str(j, "kind", SLICE("wrong"));
			json_key_str(j, "why", slice_of(why));
		}
		json_end(j);
	}
	json_end(j);
}

static bool
list_one(void *arg, struct slice key, struct slice value)
{
	struct listing *l = arg;

	if (!out_contains(key, l->part) && !out_contains(value, l->part))
		return true;
	if (l->p->json) {
		json_object(&l->j);
		json_key_str(&l->j, "alias", key);
		json_key(&l->j, "targets");
		list_targets(&l->j, value);
		json_end(&l->j);
		return true;
	}
	out_text(key);
	out_printf(": ");
	out_text(value);
	out_printf("\n");
	return true;
}

int
alias_list(struct postern *p, int argc, char *argv[])
{
	struct listing l = {.p = p, .part = SLICE_EMPTY};
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc > 1)
		return command_usage(alias_list);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	if (argc == 1)
		l.part = slice_of(argv[0]);
	if (p->json)
		json_array(&l.j);
	code = tables_each(p, TABLE_ALIASES, list_one, &l);
	if (p->json)
		json_end(&l.j);
	return code;
}

int
alias_remove(struct postern *p, int argc, char *argv[])
{
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(alias_remove);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	code = tables_edit(p, TABLE_ALIASES, slice_of(argv[0]), NULL, false);
	if (code == 0)
		tables_say(p, "removed", "alias", slice_of(argv[0]));
	return code;
}
