/*
 * The configuration in the life of a program: the options that name it, the
 * first reading, which ends the program when it fails, and the readings at
 * SIGHUP, which do not.  Runs in every daemon.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/sys/proc.h"

#define ERRORS_MAX (64 * 1024)

/* The directory of the file, for SIGHUP inside the cage: once a process, from
 * conf_keep to the end. */
static struct {
	int fd;
	const char *name;  /* within the directory */
	const char *shown;
} kept = {-1, NULL, NULL};

static void
log_lines(struct slice text)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line))
		if (line.len > 0)
			log_warnx("%.*s", SLICE_FMT(line));
}

void
conf_load(struct conf *c, const char *file)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);

	if (!conf_read(file, c, &errors)) {
		log_lines(buf_slice(&errors));
		die(EXIT_PERMANENT, "%s: not usable; mend the lines named "
		    "above", file);
	}
	buf_free(&errors);
	if (c->log_debug)
		log_debug_set(1);
}

void
conf_keep(const char *file)
{
	const char *slash = strrchr(file, '/');
	char *dir = slash == NULL ? mem_dup(".") : mem_dup(file);

	if (slash == file)
		dir[1] = '\0';
	else if (slash != NULL)
		dir[slash - file] = '\0';
	kept.fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kept.fd < 0)
		die_errno(EXIT_PERMANENT, "%s: cannot open the directory", dir);
	kept.name = slash == NULL ? file : slash + 1;
	kept.shown = file;
	free(dir);
}

int
conf_keep_fd(void)
{
	return kept.fd;
}

bool
conf_reload(struct conf *c)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	struct conf fresh;

	assert(kept.fd >= 0);
	if (!conf_read_at(kept.fd, kept.name, kept.shown, &fresh, &errors)) {
		log_lines(buf_slice(&errors));
		log_warnx("%s: not usable; the configuration read before "
		    "stays in force", kept.shown);
		buf_free(&errors);
		return false;
	}
	buf_free(&errors);
	conf_free(c);
	*c = fresh;
	return true;
}

static _Noreturn void
wrong_usage(const char *usage)
{
	fprintf(stderr, "%s\n", usage);
	exit(EXIT_PERMANENT);
}

const char *
conf_options(int argc, char *argv[], const char *usage)
{
	const char *file = CONF_DEFAULT_FILE;
	uint32_t fd;
	int opt;

	while ((opt = getopt(argc, argv, "c:d:v")) != -1)
		switch (opt) {
		case 'c':
			file = optarg;
			break;
		case 'd':
			if (!num_u32(slice_of(optarg), 3, 65535, &fd))
				wrong_usage(usage);
			proc_ready_fd((int)fd);
			break;
		case 'v':
			log_debug_set(1);
			break;
		default:
			wrong_usage(usage);
		}
	if (optind != argc)
		wrong_usage(usage);
	return file;
}
