/* `postern setup`: makes the directories of an installation. */
#ifndef POSTERN_SETUP_H
#define POSTERN_SETUP_H

#include "common/conf/conf.h"

/* Creates what is missing with the owner and mode it must have, and mends owner
 * and mode of what is there and empty of risk: run_dir with its empty
 * directory, the queue's directories, the table directory with empty tables,
 * mail_root.  Says on stderr what could not be done; the exit code. */
int setup_run(const struct conf *c);

#endif
