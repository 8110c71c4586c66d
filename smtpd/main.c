/* smtpd: main. */
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/front/front.h"
#include "common/io/stream.h"
#include "common/proto/session.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "smtpd/counters.h"
#include "smtpd/session.h"

static void
limits(const struct conf *c, struct front_limits *out)
{
	out->sessions = c->smtp_sessions_max;
	out->sessions_per_client = c->smtp_sessions_per_client_max;
}

static void
refuse(const struct conf *c, enum front_refusal why, struct stream *s)
{
	static const char *const words[][2] = {
		[FRONT_TOO_MANY] = {"4.3.2", "too many connections"},
		[FRONT_TOO_MANY_YOURS] = {"4.7.0",
		    "too many connections of yours"},
		[FRONT_NO_ROOM] = {"4.3.0", "no room for a session now"},
	};

	stream_printf(s, "421 %s %s: %s\r\n", words[why][0], c->hostname,
	    words[why][1]);
}

int
main(int argc, char *argv[], char *envp[])
{
	static struct conf conf;
	static struct front_args args = {
		.protocol = "smtp",
		.user_key = "user_smtpd",
		.parent = ROLE_SMTPD_PARENT,
		.session = ROLE_SMTPD_SESSION,
		.users = true,
		.in_max = SESSION_IN_SIZE,
		.out_max = SESSION_OUT_SIZE,
		.services = {
			/* session_channel knows their order */
			{SERVICE_QUEUE, SOCKET_QUEUE, true},
			{SERVICE_ADDRESS, SOCKET_ADDRESS, true},
			{SERVICE_ETRN, SOCKET_ETRN, false},
		},
		.counters = {COUNT_SESSIONS, COUNT_SESSIONS_OPEN,
		    COUNT_REFUSED},
		.limits = limits,
		.refuse = refuse,
		.run = session_run,
	};
	const char *file;

	proc_start(argc, argv, envp, "smtpd");
	file = conf_options(argc, argv, "smtpd [-v] [-c file] [-d fd]");
	conf_load(&conf, file);
	conf_keep(file);
	stats_open(conf.run_dir, "smtpd", smtpd_counters, COUNT_ALL);
	args.user = conf.user_smtpd;
	args.backlog = (int)conf.smtp_backlog;
	args.arg = mem_shared(sizeof(int64_t)); /* enqueue.c: room */
	return front_run(front_open(&conf, &args));
}
