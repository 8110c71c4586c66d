/*
 * The table of subcommands, and how one is found.  Runs as whoever calls it,
 * mostly root; the arguments are the admin's.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/postern.h"
#include "postern/setup.h"

#define ERRORS_MAX 65536

const struct command commands[] = {
	{"check", NULL, "", "the configuration and the whole installation",
	    check_command},
	{"setup", NULL, "", "make and mend the directories", setup_command},
	{"table", NULL, "[name]", "compile domains, aliases, users, routes after "
	    "changes by hand", table_command},
	{"user", "add", "[options] address", "a mailbox", user_add},
	{"user", "passwd", "[options] address", "another password",
	    user_passwd},
	{"user", "list", "[text]", "all, or those that contain text",
	    user_list},
	{"user", "app-password", "add [--scope imap+pop3+submission] address "
	    "name | list address | remove address name", "passwords for one "
	    "program each", user_app_password},
	{"user", "upgrade", "", "take over the better hashes that authd noted",
	    user_upgrade},
	{"user", "remove", "address", "the entry; its mail stays",
	    user_remove},
	{"alias", "add", "[--replace] name target ...", "an alias", alias_add},
	{"alias", "list", "[text]", "all, or those that contain text",
	    alias_list},
	{"alias", "remove", "name", "an alias", alias_remove},
	{"domain", "add", "[--relay] name", "a domain whose mail is for here",
	    domain_add},
	{"domain", "list", "", "all", domain_list},
	{"domain", "remove", "[--force] name", "no longer ours",
	    domain_remove},
	{"dkim", "key", "[--ed25519 | --rsa bits] domain [selector]",
	    "a new key for signatures, and its DNS record", dkim_key},
	{"dkim", "show", "domain [selector]", "the DNS records of its keys",
	    dkim_show},
	{"dkim", "check", "domain [selector]", "does DNS have them?",
	    dkim_check},
	{"auth", "list", "[--blocked]", "whose logins failed, who is blocked",
	    auth_list},
	{"auth", "unblock", "--all | address|user ...", "their failures are "
	    "forgotten", auth_unblock},
	{"queue", "list", "[filter]", "one line a message", queue_list},
	{"queue", "show", "[--message] id ...", "all that is known of one",
	    queue_show},
	{"queue", "explain", "id ...", "the same in sentences",
	    queue_explain},
	{"queue", "dest", "[pattern] | pause name [reason] | resume name | "
	    "retry name", "where mail goes: how many at once, what waits, "
	    "what went wrong", queue_dest},
	{"queue", "hold", "[--reason text] id ... | --all [filter]",
	    "no delivery until released", queue_hold},
	{"queue", "release", "[--reason text] id ... | --all [filter]",
	    "no longer held, tried now", queue_release},
	{"queue", "retry", "[--reason text] id ... | --all [filter]",
	    "tried now", queue_retry},
	{"queue", "remove", "[--reason text] id ... | --all [filter]",
	    "gone, nobody is told", queue_remove},
	{"explain", NULL, "id ...", "short for queue explain", queue_explain},
	{"trace", NULL, "[--all] id|address|message-id [log ...]",
	    "the life of a message, from the logs", trace_command},
	{"stats", NULL, "[--openmetrics] [program ...]",
	    "what the daemons have counted", stats_command},
	{NULL, NULL, NULL, NULL, NULL},
};

static void
help(FILE *to)
{
	const struct command *c;
	char head[100];

	fprintf(to, "usage: postern [-c file] [--json] command ...\n\n");
	for (c = commands; c->group != NULL; c++) {
		snprintf(head, sizeof(head), "%s%s%s %s", c->group,
		    c->name != NULL ? " " : "",
		    c->name != NULL ? c->name : "", c->usage);
		fprintf(to, "  %-32s  %s\n", head, c->what);
	}
	fprintf(to, "\nfilter: --state incoming|deferred|hold|corrupt, "
	    "--sender text, --recipient text,\n        --dest domain|host, "
	    "--older time, --newer time, --limit number; text may\n"
	    "        have '*'.  postern(8) has the rest.\n");
}

int
command_usage(int (*run)(struct postern *, int, char *[]))
{
	const struct command *c;

	for (c = commands; c->group != NULL; c++)
		if (c->run == run)
			out_error("usage: postern %s%s%s %s", c->group,
			    c->name != NULL ? " " : "",
			    c->name != NULL ? c->name : "", c->usage);
	return EXIT_PERMANENT;
}

bool
command_conf(struct postern *p)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);

	if (p->conf_read)
		return true;
	p->conf_read = conf_read(p->file, &p->conf, &errors);
	out_errors(buf_slice(&errors));
	buf_free(&errors);
	return p->conf_read;
}

static const struct command *
find(int argc, char *argv[])
{
	const struct command *c;

	for (c = commands; c->group != NULL; c++) {
		if (strcmp(c->group, argv[0]) != 0)
			continue;
		if (c->name == NULL)
			return c;
		if (argc > 1 && strcmp(c->name, argv[1]) == 0)
			return c;
	}
	return NULL;
}

static int
unknown(int argc, char *argv[])
{
	const struct command *c;
	int n = 0;

	for (c = commands; c->group != NULL; c++)
		if (strcmp(c->group, argv[0]) == 0)
			n++;
	if (n == 0)
		out_error("%s: unknown command; `postern help` shows all",
		    argv[0]);
	else
		out_error("%s %s: unknown; `postern help` shows all", argv[0],
		    argc > 1 ? argv[1] : "");
	return EXIT_PERMANENT;
}

int
command_run(int argc, char *argv[])
{
	struct postern p = {.file = CONF_DEFAULT_FILE};
	const struct command *c;
	bool want_help = false;
	struct args_option options[] = {{"help", 'h', &want_help, NULL},
	    ARGS_END};
	int code, words;

	argc--;
	argv++;
	if (!args_take(&p, &argc, argv, options, true))
		return EXIT_PERMANENT;
	if (want_help || (argc > 0 && strcmp(argv[0], "help") == 0)) {
		help(stdout);
		return 0;
	}
	if (argc == 0) {
		help(stderr);
		return EXIT_PERMANENT;
	}
	c = find(argc, argv);
	if (c == NULL)
		return unknown(argc, argv);
	words = c->name != NULL ? 2 : 1;
	code = c->run(&p, argc - words, argv + words);
	if (p.conf_read)
		conf_free(&p.conf);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		out_error("cannot write to standard output");
		return EXIT_TEMPORARY;
	}
	return code;
}

int
setup_command(struct postern *p, int argc, char *argv[])
{
	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(setup_command);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	return setup_run(&p->conf);
}
