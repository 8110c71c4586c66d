/* postern: main. */
#include <signal.h>

#include "common/sys/proc.h"
#include "postern/postern.h"

int
main(int argc, char *argv[], char *envp[])
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	proc_start(argc, argv, envp, "postern");
	sigaction(SIGPIPE, &dfl, NULL); /* postern queue list | head */
	return command_run(argc, argv);
}
