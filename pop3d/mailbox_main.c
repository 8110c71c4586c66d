/* pop3d-mailbox: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "pop3d/counters.h"
#include "pop3d/keeper.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct conf conf;
	const char *file;

	proc_start(argc, argv, envp, "pop3d-mailbox");
	file = conf_options(argc, argv, "pop3d-mailbox [-v] [-c file] [-d fd]");
	conf_load(&conf, file);
	conf_keep(file);
	stats_open(conf.run_dir, "pop3d-mailbox", mailbox_counters,
	    COUNT_MAILBOX_ALL);
	return keeper_run(keeper_open(&conf));
}
