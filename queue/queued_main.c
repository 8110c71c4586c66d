/* queued: main. */
#include <string.h>

#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "queue/counters.h"
#include "queue/queued.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct queued q;
	const char *file;

	proc_start(argc, argv, envp, "queued");
	file = conf_options(argc, argv, "queued [-v] [-c file] [-d fd]");
	conf_load(&q.conf, file);
	conf_keep(file);
	stats_open(q.conf.run_dir, "queued", queued_counters,
	    COUNT_QUEUED_ALL);
	queued_open(&q);
	return queued_run(&q);
}
