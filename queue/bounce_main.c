/* bounce: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "queue/bounce.h"
#include "queue/counters.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct bounce b;
	const char *file;

	proc_start(argc, argv, envp, "bounce");
	file = conf_options(argc, argv, "bounce [-v] [-c file] [-d fd]");
	conf_load(&b.conf, file);
	conf_keep(file);
	stats_open(b.conf.run_dir, "bounce", bounce_counters,
	    COUNT_BOUNCE_ALL);
	bounce_open(&b);
	return bounce_run(&b);
}
