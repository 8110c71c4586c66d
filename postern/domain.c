/*
 * `postern domain`: the domains whose mail is for here, beside local_domain.
 * Runs on the admin's files and words.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/mail/address.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/tables.h"

static bool
check_name(const char *name)
{
	const char *why;

	if (address_domain(slice_of(name), true, &why))
		return true;
	out_error("%s: no domain: %s", name, why);
	return false;
}

int
domain_add(struct postern *p, int argc, char *argv[])
{
	struct buf line = BUF_INIT(300), name = BUF_INIT(300);
	bool relay = false;
	struct args_option options[] = {{"relay", 'r', &relay, NULL},
	    ARGS_END};
	size_t i;
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(domain_add);
	if (!check_name(argv[0]) || !command_conf(p))
		return EXIT_PERMANENT;
	for (i = 0; argv[0][i] != '\0'; i++)
		buf_addc(&name, argv[0][i] >= 'A' && argv[0][i] <= 'Z'
		    ? (char)(argv[0][i] | 0x20) : argv[0][i]);
	buf_addslice(&line, buf_slice(&name));
	if (relay) {
		buf_addc(&line, ' ');
		buf_addslice(&line, TABLE_RELAY);
	}
	code = tables_edit(p, TABLE_DOMAINS, buf_slice(&name), line.s, false);
	if (code == 0)
		tables_say(p, "added", "domain", buf_slice(&name));
	buf_free(&line);
	buf_free(&name);
	return code;
}

struct listing {
	struct postern *p;
	struct json j;
};

static bool
list_one(void *arg, struct slice key, struct slice value)
{
	struct listing *l = arg;

	if (l->p->json) {
		json_str(&l->j, key);
		return true;
	}
	out_text(key);
	if (value.len > 0) {
		out_printf(" ");
		out_text(value);
	}
	out_printf("\n");
	return true;
}

int
domain_list(struct postern *p, int argc, char *argv[])
{
	struct listing l = {.p = p};
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(domain_list);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	if (p->json)
		json_array(&l.j);
	code = tables_each(p, TABLE_DOMAINS, list_one, &l);
	if (p->json)
		json_end(&l.j);
	return code;
}

struct count {
	struct slice domain;
	unsigned n;
};

static bool
count_one(void *arg, struct slice key, struct slice value)
{
	struct count *c = arg;
	size_t len = c->domain.len;

	(void)value;
	if (key.len > len && key.p[key.len - len - 1] == '@' &&
	    slice_ieq(slice_sub(key, key.len - len, key.len), c->domain))
		c->n++;
	return true;
}

/* What would no longer get mail. */
static int
refuse_used(struct postern *p, struct slice domain)
{
	struct count users = {domain, 0}, aliases = {domain, 0};
	int code;

	code = tables_each(p, TABLE_USERS, count_one, &users);
	if (code == 0)
		code = tables_each(p, TABLE_ALIASES, count_one, &aliases);
	if (code == 0 && users.n + aliases.n > 0) {
		out_error("%.*s: %u users and %u aliases are in it; remove "
		    "them first, or say --force", SLICE_FMT(domain), users.n,
		    aliases.n);
		code = EXIT_PERMANENT;
	}
	return code;
}

int
domain_remove(struct postern *p, int argc, char *argv[])
{
	bool force = false;
	struct args_option options[] = {{"force", 'f', &force, NULL},
	    ARGS_END};
	int code = 0;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 1)
		return command_usage(domain_remove);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	if (!force)
		code = refuse_used(p, slice_of(argv[0]));
	if (code == 0)
		code = tables_edit(p, TABLE_DOMAINS, slice_of(argv[0]), NULL,
		    false);
	if (code == 0)
		tables_say(p, "removed", "domain", slice_of(argv[0]));
	return code;
}
