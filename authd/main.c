/* authd: main. */
#include "authd/authd.h"
#include "common/conf/conf.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"

int
main(int argc, char *argv[], char *envp[])
{
	static struct authd a;
	const char *file;

	proc_start(argc, argv, envp, "authd");
	file = conf_options(argc, argv, "usage: authd [-v] [-c file] [-d fd]");
	conf_load(&a.conf, file);
	conf_keep(file);
	sandbox_require(a.conf.require_sandbox);
	authd_open(&a);
	return authd_run(&a);
}
