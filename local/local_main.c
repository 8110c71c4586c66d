/* local: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "local/counters.h"
#include "local/local.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct local l;
	const char *file;

	proc_start(argc, argv, envp, "local");
	file = conf_options(argc, argv, "local [-v] [-c file] [-d fd]");
	conf_load(&l.conf, file);
	conf_keep(file);
	stats_open(l.conf.run_dir, "local", local_counters, COUNT_LOCAL_ALL);
	local_open(&l);
	return local_run(&l);
}
