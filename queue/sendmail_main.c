/* sendmail, mailq, newaliases: main. */
#include <sysexits.h>

#include "common/sys/proc.h"
#include "queue/sendmail.h"

int
main(int argc, char *argv[], char *envp[])
{
	struct sendmail_options o;

	proc_start(argc, argv, envp, "sendmail");
	return sendmail_options(argc, argv, &o) ? sendmail_run(&o) : EX_USAGE;
}
