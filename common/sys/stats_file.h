/*
 * The file of a program's counters: text that says what there is, and behind
 * it, on pages of their own, the values, 64 bits each in the machine's order.
 *
 *	postern-stats 1
 *	program smtpd
 *	order little
 *	values 4096 512             offset, how many (slots)
 *	bounds 100 32               of histograms: the first in microseconds,
 *	                            how many, each twice the one before
 *	counter 2 smtp_sessions_total Sessions that began.
 *	gauge 3 smtp_sessions Sessions now.
 *	histogram 4 smtp_session_seconds How long sessions lasted.
 *	end 0123abcd
 *
 * The number behind the kind is the slot.  A histogram has a slot for each
 * bound (what is not above it and above the bound before), one for what is
 * above all of them, and the sum.  Slots 0 and 1 are when the program was
 * started (milliseconds since 1970) and its process id.  What follows "end" is
 * the FNV-1a sum of the text in front.  No name stands twice, and a family
 * (stats_family) is of one kind.
 */
#ifndef COMMON_SYS_STATS_FILE_H
#define COMMON_SYS_STATS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/sys/stats.h"

#define STATS_VERSION 1
#define STATS_BOUNDS 32
#define STATS_BOUND_FIRST_US 100
#define STATS_SLOT_START 0
#define STATS_SLOT_PID 1
#define STATS_SLOTS_FIXED 2
/* What no file exceeds */
#define STATS_TEXT_MAX 65536
#define STATS_SLOTS_MAX 16384
#define STATS_NAME_MAX 120

struct stats_entry {
	struct slice name, help; /* in text */
	enum stats_kind kind;
	size_t slot;
};

struct stats_file {
	char *text;           /* owned */
	size_t text_len;
	struct slice program;
	uint64_t *values;     /* owned: a copy of nvalues slots */
	size_t nvalues;
	uint64_t offset;      /* of the values in the file */
	uint64_t first_us;    /* bounds of histograms */
	size_t bounds;
	struct stats_entry *v; /* owned */
	size_t n, cap;
	bool running;         /* the program holds its lock */
};

enum stats_result {
	STATS_FILE_OK,
	STATS_FILE_BAD,   /* torn, or none of ours: *why */
	STATS_FILE_ERROR  /* errno */
};

/* Slots of an entry of this kind with so many bounds. */
size_t stats_slots(enum stats_kind kind, size_t bounds);
/* NAME as in struct stats_row for this kind; program names are of the same
 * letters and '-'. */
bool stats_name_valid(enum stats_kind kind, struct slice name);
bool stats_program_valid(struct slice name);
/* "smtp_refused" and "class=\"4\"" of smtp_refused_total{class="4"}: what
 * OpenMetrics calls the family, and the labels, or "". */
struct slice stats_family(enum stats_kind kind, struct slice name);
struct slice stats_labels(struct slice name);

/* What a file is to be: the text, and behind it, at offset, so many slots. */
struct stats_layout {
	struct buf text; /* overflow: more than the limits allow */
	uint64_t offset; /* a multiple of align */
	size_t nvalues;
};
/* Initializes *out, whose text is to be freed. */
void stats_file_text(const char *program, const struct stats_row *rows,
    size_t n, size_t align, struct stats_layout *out);
/* Reads the file behind fd; *out is to be freed after STATS_FILE_OK. */
enum stats_result stats_file_read(int fd, struct stats_file *out,
    const char **why);
void stats_file_free(struct stats_file *f);

#endif
