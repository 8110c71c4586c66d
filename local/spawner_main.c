/* spawner: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "local/counters.h"
#include "local/spawner.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct spawner s;
	const char *file;

	proc_start(argc, argv, envp, "spawner");
	file = conf_options(argc, argv, "spawner [-v] [-c file] [-d fd]");
	conf_load(&s.conf, file);
	conf_keep(file);
	stats_open(s.conf.run_dir, "spawner", spawner_counters,
	    COUNT_SPAWNER_ALL);
	spawner_open(&s);
	return spawner_run(&s);
}
