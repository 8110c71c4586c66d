/* smtpd: main. */
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "smtpd/parent.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct smtpd d;
	const char *file;

	proc_start(argc, argv, envp, "smtpd");
	file = conf_options(argc, argv, "smtpd [-v] [-c file] [-d fd]");
	conf_load(&d.conf, file);
	conf_keep(file);
	parent_open(&d);
	return parent_run(&d);
}
