/* Where `postern trace` finds lines: files, directories of a logger, standard
 * input.  All are opened at once and may then be read several times. */
#ifndef POSTERN_LOGFILE_H
#define POSTERN_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define LOGFILE_LINE_MAX 16384 /* longer lines are cut */

struct logfile {
	char *name;    /* owned */
	int fd;
	uint64_t size; /* when it was opened: what comes later is not read */
};
struct logfiles {
	struct logfile *v; /* owned; oldest first of a directory */
	size_t n, cap;
};

/*
 * A file; "-": standard input; a directory of s6-log, svlogd or multilog
 * (`current` and its archives); or a directory of such directories.  False:
 * said what is wrong.
 */
bool logfiles_add(struct logfiles *l, const char *path);
void logfiles_free(struct logfiles *l);

/* Every line, without its newline; false: said that it cannot be read. */
bool logfile_lines(const struct logfile *f,
    void (*fn)(void *arg, struct slice line), void *arg);

#endif
