/* authd: main. */
#include "authd/authd.h"
#include "authd/counters.h"
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct authd a;
	const char *file;

	proc_start(argc, argv, envp, "authd");
	file = conf_options(argc, argv, "usage: authd [-v] [-c file] [-d fd]");
	conf_load(&a.conf, file);
	conf_keep(file);
	stats_open(a.conf.run_dir, "authd", authd_counters, COUNT_ALL);
	sandbox_require(a.conf.require_sandbox);
	authd_open(&a);
	return authd_run(&a);
}
