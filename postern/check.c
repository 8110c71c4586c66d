/*
 * `postern check`: the configuration and the whole installation.  Changes
 * nothing.  Best run as root: others do not see owners' directories.
 */
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/sys/sandbox.h"
#include "postern/args.h"
#include "postern/check.h"

#define ERRORS_MAX 65536

void
check_finding(struct check *c, enum check_level level, const char *mend,
    const char *fmt, ...)
{
	static const char *const names[] = {"note", "warning", "error"};
	const char *name = names[level];
	char what[2048];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	if (level == CHECK_ERROR)
		c->errors++;
	else if (level == CHECK_WARNING)
		c->warnings++;
	if (c->p->json) {
		json_object(&c->j);
		json_key_str(&c->j, "level", slice_of(name));
		json_key_str(&c->j, "what", slice_of(what));
		json_key_str(&c->j, "mend", slice_of(mend));
		json_end(&c->j);
		return;
	}
	out_printf("%s: ", name);
	out_text(slice_of(what));
	if (mend[0] != '\0') {
		out_printf("; ");
		out_text(slice_of(mend));
	}
	out_printf("\n");
}

/* Each line of the reader already says what would be right. */
static bool
check_conf(struct check *c)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	struct slice rest, line;

	if (!c->p->conf_read)
		c->p->conf_read = conf_read(c->p->file, &c->p->conf, &errors);
	rest = buf_slice(&errors);
	while (slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			check_finding(c, CHECK_ERROR, "", "%.*s",
			    SLICE_FMT(line));
	buf_free(&errors);
	return c->p->conf_read;
}

static void
check_names(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	size_t i, k, smtp = 0;

	if (strchr(conf->hostname, '.') == NULL)
		check_finding(c, CHECK_WARNING, "set hostname to the name that "
		    "DNS knows, like mx.example.org",
		    "hostname %s: has no domain, other hosts will not accept "
		    "it in greetings", conf->hostname);
	for (i = 0; i < conf->nlisten; i++) {
		smtp += strcmp(conf->listen[i].protocol, "smtp") == 0;
		for (k = 0; k < i; k++)
			if (strcmp(conf->listen[i].name,
			    conf->listen[k].name) == 0)
				check_finding(c, CHECK_ERROR, "rename one",
				    "%s: two sections [listen %s]", conf->file,
				    conf->listen[i].name);
	}
	if (smtp == 0)
		check_finding(c, CHECK_WARNING, "add [listen smtp] with "
		    "protocol = smtp and address = *:25, [::]:25",
		    "%s: no section [listen ...] takes SMTP in", conf->file);
	if (conf->system_users && conf->virtual_only)
		check_finding(c, CHECK_ERROR, "set one of them to no",
		    "%s: system_users and virtual_only exclude each other",
		    conf->file);
}

void
check_kernel(struct check *c)
{
	uint32_t kill = SECCOMP_RET_KILL_PROCESS;
	enum check_level level = c->p->conf.require_sandbox ? CHECK_ERROR
	    : CHECK_WARNING;

	if (sandbox_landlock_abi() == 0)
		check_finding(c, level, "boot a kernel with "
		    "CONFIG_SECURITY_LANDLOCK and landlock in lsm=",
		    "the kernel has no Landlock: daemons see more of the file "
		    "system than they need");
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) != 0)
		check_finding(c, level, "boot a kernel with "
		    "CONFIG_SECCOMP_FILTER", "the kernel has no seccomp "
		    "filters: daemons may use every system call");
}

static void
finish(struct check *c)
{
	if (c->p->json) {
		json_end(&c->j);
		json_key_num(&c->j, "errors", c->errors);
		json_key_num(&c->j, "warnings", c->warnings);
		json_end(&c->j);
	} else if (c->errors + c->warnings == 0) {
		out_printf("all is well\n");
	} else {
		out_printf("%u error%s, %u warning%s\n", c->errors,
		    c->errors == 1 ? "" : "s", c->warnings,
		    c->warnings == 1 ? "" : "s");
	}
}

int
check_command(struct postern *p, int argc, char *argv[])
{
	struct check c = {.p = p, .root = geteuid() == 0};

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc != 0)
		return command_usage(check_command);
	if (p->json) {
		json_object(&c.j);
		json_key(&c.j, "findings");
		json_array(&c.j);
	}
	if (check_conf(&c)) {
		check_names(&c);
		check_users(&c);
		check_places(&c);
		check_tables(&c);
		check_dns(&c);
		check_tls(&c);
		check_dkim(&c);
		check_running(&c);
		check_kernel(&c);
	}
	finish(&c);
	return c.errors > 0 ? EXIT_PERMANENT : 0;
}
