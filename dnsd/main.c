/* dnsd: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "dnsd/counters.h"
#include "dnsd/dnsd.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct dnsd d;
	const char *file;

	proc_start(argc, argv, envp, "dnsd");
	file = conf_options(argc, argv, "usage: dnsd [-v] [-c file] [-d fd]");
	conf_load(&d.conf, file);
	conf_keep(file);
	stats_open(d.conf.run_dir, "dnsd", dnsd_counters, COUNT_ALL);
	sandbox_require(d.conf.require_sandbox);
	dnsd_open(&d);
	return dnsd_run(&d);
}
