/* sendmail, mailq, newaliases: main. */
#include <sysexits.h>

#include "common/base/mem.h"
#include "common/sys/proc.h"
#include "queue/sendmail.h"

int
main(int argc, char *argv[], char *envp[])
{
	struct sendmail_options o;
	char *name = argc > 0 ? mem_dup(argv[0]) : NULL;

	proc_start(argc, argv, envp, "sendmail");
	/* It says what is wanted, and its place now holds the title. */
	if (argc > 0)
		argv[0] = name;
	return sendmail_options(argc, argv, &o) ? sendmail_run(&o) : EX_USAGE;
}
