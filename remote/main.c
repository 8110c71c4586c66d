/* remote: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "remote/counters.h"
#include "remote/remote.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct remote r;
	const char *file;

	proc_start(argc, argv, envp, "remote");
	file = conf_options(argc, argv, "remote [-v] [-c file] [-d fd]");
	conf_load(&r.conf, file);
	conf_keep(file);
	stats_open(r.conf.run_dir, "remote", remote_counters, COUNT_ALL);
	remote_open(&r);
	return remote_run(&r);
}
