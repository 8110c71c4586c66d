/*
 * `postern auth`: failed logins and blocks, which live in authd's memory
 * (contract "authadmin").  The names shown are strangers'.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/io/chan.h"
#include "common/proto/authadmin.h"
#include "common/proto/sockets.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/postern.h"

#define ANSWER_MS 10000

static struct chan *
reach(struct postern *p)
{
	struct chan *c = NULL;

	if (chdir(p->conf.run_dir) == 0)
		c = chan_connect(SOCKET_AUTH_ADMIN, &authadmin_contract);
	if (c == NULL)
		out_error("%s/%s: %s; does authd run?", p->conf.run_dir,
		    SOCKET_AUTH_ADMIN, strerror(errno));
	return c;
}

static bool
answer(struct chan *c, uint16_t want, union authadmin_msg *msg)
{
	int fds[CHAN_MAX_FDS];
	uint16_t type;
	size_t nfds;

	if (chan_wait(c, &type, msg, sizeof(*msg), fds, &nfds,
	    clock_mono_ms() + ANSWER_MS) == CHAN_OK && type == want)
		return true;
	out_error("authd did not answer; look at its log");
	return false;
}

static void
show(struct postern *p, struct json *j, const struct authadmin_entry *e)
{
	const char *kind = e->kind == AUTHADMIN_USER ? "user" : "address";
	unsigned long long age = e->age_ms / 1000, left;

	left = (e->left_ms + 999) / 1000;
	if (p->json) {
		json_object(j);
		json_key_str(j, "kind", slice_of(kind));
		json_key_str(j, "name", e->name);
		json_key_num(j, "failures", e->count);
		json_key_num(j, "last_seconds_ago", (int64_t)age);
		json_key_num(j, "blocked_seconds", (int64_t)left);
		json_end(j);
		return;
	}
	out_printf("%-7s  %5u failed, last %llus ago", kind,
	    (unsigned)e->count, age);
	if (left > 0)
		out_printf(", blocked for %llus", left);
	out_printf("  ");
	out_text(e->name);
	out_printf("\n");
}

int
auth_list(struct postern *p, int argc, char *argv[])
{
	struct authadmin_list list = {0};
	struct json j = {.depth = 0};
	union authadmin_msg msg;
	bool blocked = false, good;
	struct args_option options[] = {{"blocked", 0, &blocked, NULL},
	    ARGS_END};
	struct chan *c;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(auth_list);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	c = reach(p);
	if (c == NULL)
		return EXIT_TEMPORARY;
	list.blocked = blocked;
	chan_send(c, AUTHADMIN_LIST, &list);
	if (p->json)
		json_array(&j);
	while ((good = answer(c, AUTHADMIN_ENTRY, &msg)) &&
	    msg.entry.last == 0)
		show(p, &j, &msg.entry);
	if (p->json)
		json_end(&j);
	chan_free(&c);
	return good ? 0 : EXIT_TEMPORARY;
}

static int
unblock(struct chan *c, const char *name)
{
	struct authadmin_unblock ask = {.name = slice_of(name)};
	union authadmin_msg msg;

	if (ask.name.len > 1000) {
		out_error("that is no name");
		return EXIT_PERMANENT;
	}
	chan_send(c, AUTHADMIN_UNBLOCK, &ask);
	if (!answer(c, AUTHADMIN_UNBLOCKED, &msg))
		return EXIT_TEMPORARY;
	if (name[0] == '\0') {
		out_printf("forgotten: %u\n", (unsigned)msg.unblocked.n);
		return 0;
	}
	if (msg.unblocked.n == 0) {
		out_error("%s: no failures are known", name);
		return EXIT_PERMANENT;
	}
	out_printf("forgotten: %s\n", name);
	return 0;
}

int
auth_unblock(struct postern *p, int argc, char *argv[])
{
	bool all = false;
	struct args_option options[] = {{"all", 0, &all, NULL}, ARGS_END};
	struct chan *c;
	int code = 0, i, one;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (all ? argc != 0 : argc == 0)
		return command_usage(auth_unblock);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	c = reach(p);
	if (c == NULL)
		return EXIT_TEMPORARY;
	if (all)
		code = unblock(c, "");
	for (i = 0; i < argc && code != EXIT_TEMPORARY; i++) {
		one = argv[i][0] == '\0' ? EXIT_PERMANENT
		    : unblock(c, argv[i]);
		if (one != 0)
			code = one;
	}
	chan_free(&c);
	return code;
}
