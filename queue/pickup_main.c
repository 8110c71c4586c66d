/* pickup: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "queue/counters.h"
#include "queue/pickup.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct pickup p;
	const char *file;

	proc_start(argc, argv, envp, "pickup");
	file = conf_options(argc, argv, "pickup [-v] [-c file] [-d fd]");
	conf_load(&p.conf, file);
	conf_keep(file);
	stats_open(p.conf.run_dir, "pickup", pickup_counters,
	    COUNT_PICKUP_ALL);
	pickup_open(&p);
	return pickup_run(&p);
}
