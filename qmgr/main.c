/* qmgr: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "qmgr/counters.h"
#include "qmgr/qmgr.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct qmgr qm;
	const char *file;

	proc_start(argc, argv, envp, "qmgr");
	file = conf_options(argc, argv, "qmgr [-v] [-c file] [-d fd]");
	conf_load(&qm.conf, file);
	conf_keep(file);
	stats_open(qm.conf.run_dir, "qmgr", qmgr_counters, COUNT_ALL);
	qmgr_open(&qm);
	qmgr_cage(&qm);
	return qmgr_run(&qm);
}
