/*
 * Counters of a program, in a file of run_dir/stats that postern(8) reads: one
 * file a program, mapped and shared by all its processes, which add without
 * locks.  The file says names, kinds and help itself (stats_file.h), so that
 * its reader needs no knowledge of the program, of another release either.  No
 * counter is on the way of an error: without the file all calls do nothing.
 *
 * Nothing may be decided by what is counted: every process of the program can
 * write there, one that an attacker took over, too.
 */
#ifndef COMMON_SYS_STATS_H
#define COMMON_SYS_STATS_H

#include <stddef.h>
#include <stdint.h>

/* The directory below run_dir, root's, and what may read there: root and the
 * group of the daemons.  The figures tell the volume of mail, which is nobody
 * else's business. */
#define STATS_DIR "stats"
#define STATS_DIR_MODE 02750
#define STATS_ROWS_MAX 128

enum stats_kind {
	STATS_COUNTER,  /* only rises */
	STATS_GAUGE,    /* set, or added to and taken from; 0 at the start */
	STATS_HISTOGRAM /* of microseconds: fixed bounds, doubling from 100 us */
};

struct stats_row {
	const char *name;  /* "smtp_sessions_total": lower case, as OpenMetrics
	                    * has it without the prefix postern_; histograms
	                    * end in _seconds.  Labels may follow:
	                    * "smtp_refused_total{class=\"4\"}", rows of one
	                    * family side by side and of one kind */
	enum stats_kind kind;
	const char *help;  /* one sentence */
};

/* Before the cage, with the working directory run_dir or anywhere (run_dir is
 * a path): makes or keeps the file of `program`; counters of an earlier run go
 * on where rows are the same.  The rows' index is what the others take.  As
 * long as this process lives the file says that the program runs. */
void stats_open(const char *run_dir, const char *program,
    const struct stats_row *rows, size_t n);
void stats_add(size_t row, uint64_t n);
void stats_sub(size_t row, uint64_t n);  /* gauges */
void stats_set(size_t row, uint64_t n);  /* gauges */
void stats_observe(size_t row, int64_t us); /* histograms */

#endif
