/* pop3d: main. */
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/front/front.h"
#include "common/io/stream.h"
#include "common/proto/session.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "pop3d/counters.h"
#include "pop3d/login.h"
#include "pop3d/session.h"

#define BACKLOG 1024

static void
limits(const struct conf *c, struct front_limits *out)
{
	out->sessions = c->pop3_sessions_max;
	out->sessions_per_client = c->pop3_sessions_per_client_max;
}

static void
refuse(const struct conf *c, enum front_refusal why, struct stream *s)
{
	(void)c;
	stream_puts(s, why == FRONT_TOO_MANY_YOURS
	    ? "-ERR [SYS/TEMP] Too many connections of yours\r\n"
	    : "-ERR [SYS/TEMP] Too many connections, try again later\r\n");
}

int
main(int argc, char *argv[], char *envp[])
{
	static struct conf conf;
	static struct front_args args = {
		.protocol = "pop3",
		.user_key = "user_pop3d",
		.parent = ROLE_POP3D_PARENT,
		.session = ROLE_POP3D_SESSION,
		.backlog = BACKLOG,
		.in_max = SESSION_LEFTOVER_MAX,
		.out_max = LOGIN_OUT_MAX,
		.services = {
			/* get_channel knows their order */
			{SERVICE_LOGIN, SOCKET_LOGIN, true},
			{SERVICE_MAILBOX, SOCKET_POP3_MAILBOX, true},
		},
		.counters = {COUNT_SESSIONS, COUNT_SESSIONS_OPEN,
		    COUNT_REFUSED},
		.limits = limits,
		.refuse = refuse,
		.run = login_run,
	};
	const char *file;

	proc_start(argc, argv, envp, "pop3d");
	file = conf_options(argc, argv, "pop3d [-v] [-c file] [-d fd]");
	conf_load(&conf, file);
	conf_keep(file);
	stats_open(conf.run_dir, "pop3d", pop3d_counters, COUNT_ALL);
	args.user = conf.user_pop3d;
	args.arg = mem_shared(sizeof(struct login_hint));
	return front_run(front_open(&conf, &args));
}
