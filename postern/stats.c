/*
 * `postern stats`: the figures of all daemons, from the files in run_dir/stats
 * (common/sys/stats_file.h).  Needs no daemon: what was counted stays there
 * when one is stopped.  Runs as root or as a member of the daemons' group; the
 * values may have been written by a daemon's process that was taken over, and
 * are nothing but numbers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/sys/stats_file.h"
#include "postern/args.h"
#include "postern/out.h"
#include "postern/stats.h"

#define PATH_SIZE 4200

static uint64_t
value(const struct stats_file *f, const struct stats_entry *e, size_t more)
{
	return f->values[e->slot + more];
}

static uint64_t
bound_us(const struct stats_file *f, size_t i)
{
	return f->first_us << i;
}

/* How many there are, and of those below or at bound i. */
static uint64_t
count_to(const struct stats_file *f, const struct stats_entry *e, size_t i)
{
	uint64_t n = 0;

	for (size_t k = 0; k <= i; k++)
		n += value(f, e, k);
	return n;
}

/* ---- text ---- */

static void
put_us(uint64_t us, char out[OUT_DURATION_SIZE])
{
	if (us < 1000)
		snprintf(out, OUT_DURATION_SIZE, "%" PRIu64 " us", us);
	else if (us < 10000)
		snprintf(out, OUT_DURATION_SIZE, "%" PRIu64 ".%" PRIu64 " ms",
		    us / 1000, us % 1000 / 100);
	else if (us < 1000000)
		snprintf(out, OUT_DURATION_SIZE, "%" PRIu64 " ms", us / 1000);
	else if (us < 60000000)
		snprintf(out, OUT_DURATION_SIZE, "%" PRIu64 ".%" PRIu64 " s",
		    us / 1000000, us % 1000000 / 100000);
	else
		out_duration((int64_t)(us / 1000), out);
}

/* "half within 12 ms": the bound that `part` of 100 are not above. */
static void
put_part(const struct stats_file *f, const struct stats_entry *e,
    unsigned part, const char *words)
{
	uint64_t all = count_to(f, e, f->bounds), n = 0;
	char text[OUT_DURATION_SIZE];
	size_t i = 0;

	while (i < f->bounds) {
		n += value(f, e, i);
		if (n >= all - all / 100 * (100 - part) -
		    all % 100 * (100 - part) / 100)
			break;
		i++;
	}
	if (i == f->bounds) {
		put_us(bound_us(f, f->bounds - 1), text);
		out_printf(", %s above %s", words, text);
		return;
	}
	put_us(bound_us(f, i), text);
	out_printf(", %s within %s", words, text);
}

static void
text_histogram(const struct stats_file *f, const struct stats_entry *e)
{
	uint64_t n = count_to(f, e, f->bounds);
	char mean[OUT_DURATION_SIZE];

	if (n == 0)
		return;
	put_us(value(f, e, f->bounds + 1) / n, mean);
	out_printf("  %44s  mean %s", "", mean);
	put_part(f, e, 50, "half");
	put_part(f, e, 99, "99 %");
	out_printf("\n");
}

static bool
same_family(const struct stats_entry *a, const struct stats_entry *b)
{
	return slice_eq(stats_family(a->kind, a->name),
	    stats_family(b->kind, b->name));
}

static void
text_file(const struct stats_file *f)
{
	char span[OUT_DURATION_SIZE], date[CLOCK_DATE_SIZE];
	int64_t start = (int64_t)f->values[STATS_SLOT_START];

	clock_rfc5322(start, date);
	out_duration(clock_real_ms() - start, span);
	if (f->running)
		out_printf("%.*s: running since %s (%s)\n",
		    SLICE_FMT(f->program), date, span);
	else
		out_printf("%.*s: stopped; last started %s (%s ago)\n",
		    SLICE_FMT(f->program), date, span);
	for (size_t i = 0; i < f->n; i++) {
		const struct stats_entry *e = &f->v[i];
		bool histogram = e->kind == STATS_HISTOGRAM;
		uint64_t n = histogram ? count_to(f, e, f->bounds)
		    : value(f, e, 0);

		out_printf("  %-44.*s  ", SLICE_FMT(e->name));
		if (e->kind == STATS_GAUGE)
			out_printf("%12" PRId64, (int64_t)n);
		else
			out_printf("%12" PRIu64, n);
		/* Once for a family. */
		out_printf("  %.*s\n", SLICE_FMT(i > 0 &&
		    same_family(e, &f->v[i - 1]) ? SLICE_EMPTY : e->help));
		if (histogram)
			text_histogram(f, e);
	}
}

/* ---- JSON ---- */

static void
json_labels(struct json *j, struct slice rest)
{
	struct slice label, key;
	char name[STATS_NAME_MAX + 1];

	json_key(j, "labels");
	json_object(j);
	while (rest.len > 0 && slice_cut(&rest, ',', &label)) {
		slice_cut(&label, '=', &key);
		snprintf(name, sizeof(name), "%.*s", SLICE_FMT(key));
		json_key_str(j, name, slice_sub(label, 1, label.len - 1));
	}
	json_end(j);
}

/* JSON's numbers end where a double is exact no more. */
static int64_t
number(uint64_t n)
{
	return n < UINT64_C(1) << 53 ? (int64_t)n : INT64_C(1) << 53;
}

static void
json_histogram(struct json *j, const struct stats_file *f,
    const struct stats_entry *e)
{
	json_key_num(j, "count", number(count_to(f, e, f->bounds)));
	json_key_num(j, "sum_us", number(value(f, e, f->bounds + 1)));
	json_key(j, "buckets");
	json_array(j);
	for (size_t i = 0; i < f->bounds; i++) {
		if (value(f, e, i) == 0)
			continue;
		json_object(j);
		json_key_num(j, "to_us", number(bound_us(f, i)));
		json_key_num(j, "count", number(value(f, e, i)));
		json_end(j);
	}
	json_end(j);
	json_key_num(j, "above", number(value(f, e, f->bounds)));
}

static void
json_file(struct json *j, const struct stats_file *f)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	json_object(j);
	json_key_str(j, "program", f->program);
	json_key_bool(j, "running", f->running);
	json_key_time(j, "started", (int64_t)f->values[STATS_SLOT_START]);
	json_key_num(j, "pid", number(f->values[STATS_SLOT_PID]));
	json_key(j, "figures");
	json_array(j);
	for (size_t i = 0; i < f->n; i++) {
		const struct stats_entry *e = &f->v[i];
		int64_t n = (int64_t)value(f, e, 0);

		json_object(j);
		json_key_str(j, "name", slice_sub(e->name, 0,
		    slice_find(e->name, '{', 0)));
		json_labels(j, stats_labels(e->name));
		json_key_str(j, "kind", slice_of(kinds[e->kind]));
		json_key_str(j, "help", e->help);
		if (e->kind == STATS_HISTOGRAM)
			json_histogram(j, f, e);
		else
			json_key_num(j, "value", e->kind == STATS_GAUGE ? n
			    : number((uint64_t)n));
		json_end(j);
	}
	json_end(j);
	json_end(j);
}

/* ---- the files ---- */

struct figures {
	struct stats_file *v;
	size_t n, cap;
};

static int
read_one(int dirfd, const char *dir, const char *name, struct figures *all)
{
	struct stats_file f;
	const char *why = "";
	enum stats_result r = STATS_FILE_ERROR;
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		r = stats_file_read(fd, &f, &why);
	if (r == STATS_FILE_OK && !slice_eq(f.program, slice_of(name))) {
		stats_file_free(&f);
		r = STATS_FILE_BAD;
		why = "is another program's";
	}
	if (r == STATS_FILE_OK)
		MEM_PUSH(all->v, all->n, all->cap, f);
	else
		out_error("%s/%s: %s", dir, name, r == STATS_FILE_BAD ? why
		    : strerror(errno));
	if (fd >= 0)
		close(fd);
	return r == STATS_FILE_OK ? 0 : EXIT_TEMPORARY;
}

static bool
wanted(const char *name, int argc, char *argv[])
{
	for (int i = 0; i < argc; i++)
		if (strcmp(name, argv[i]) == 0)
			return true;
	return argc == 0 && stats_program_valid(slice_of(name));
}

static int
by_program(const void *a, const void *b)
{
	return slice_cmp(((const struct stats_file *)a)->program,
	    ((const struct stats_file *)b)->program);
}

static int
read_all(const char *dir, int argc, char *argv[], struct figures *all)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int code = 0, one;

	if (d == NULL) {
		out_error("%s: %s; %s", dir, strerror(errno), errno == ENOENT
		    ? "`postern setup` makes it" : "run this as root");
		return EXIT_PERMANENT;
	}
	while ((e = readdir(d)) != NULL) {
		if (!wanted(e->d_name, argc, argv))
			continue;
		one = read_one(dirfd(d), dir, e->d_name, all);
		code = one > code ? one : code;
	}
	closedir(d);
	if (all->n > 1)
		qsort(all->v, all->n, sizeof(*all->v), by_program);
	return code;
}

static int
check_names(const struct figures *all, const char *dir, int argc,
    char *argv[])
{
	for (int i = 0; i < argc; i++) {
		size_t k = 0;

		while (k < all->n && !slice_eq(all->v[k].program,
		    slice_of(argv[i])))
			k++;
		if (k == all->n) {
			out_error("%s/%s: no figures: was that program ever "
			    "started?", dir, argv[i]);
			return EXIT_PERMANENT;
		}
	}
	return 0;
}

static void
print(const struct postern *p, const struct figures *all, bool openmetrics)
{
	struct json j = {.depth = 0};

	if (openmetrics) {
		stats_openmetrics(all->v, all->n);
		return;
	}
	if (p->json)
		json_array(&j);
	for (size_t i = 0; i < all->n; i++) {
		if (p->json) {
			json_file(&j, &all->v[i]);
			continue;
		}
		if (i > 0)
			out_printf("\n");
		text_file(&all->v[i]);
	}
	if (p->json)
		json_end(&j);
	else if (all->n == 0)
		out_printf("no daemon was started yet\n");
}

int
stats_command(struct postern *p, int argc, char *argv[])
{
	bool openmetrics = false;
	struct args_option options[] = {
	    {"openmetrics", 0, &openmetrics, NULL}, ARGS_END};
	struct figures all = {.v = NULL};
	char dir[PATH_SIZE];
	int code;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (openmetrics && p->json)
		return command_usage(stats_command);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	snprintf(dir, sizeof(dir), "%s/%s", p->conf.run_dir, STATS_DIR);
	code = read_all(dir, argc, argv, &all);
	if (code != EXIT_PERMANENT && check_names(&all, dir, argc, argv) != 0)
		code = EXIT_PERMANENT;
	if (code != EXIT_PERMANENT)
		print(p, &all, openmetrics);
	for (size_t i = 0; i < all.n; i++)
		stats_file_free(&all.v[i]);
	free(all.v);
	return code;
}
