/* keyd: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "keyd/counters.h"
#include "keyd/keyd.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct keyd k;
	const char *file;

	proc_start(argc, argv, envp, "keyd");
	file = conf_options(argc, argv, "usage: keyd [-v] [-c file] [-d fd]");
	conf_load(&k.conf, file);
	conf_keep(file);
	stats_open(k.conf.run_dir, "keyd", keyd_counters, COUNT_ALL);
	sandbox_require(k.conf.require_sandbox);
	keyd_open(&k);
	return keyd_run(&k);
}
