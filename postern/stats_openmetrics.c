/*
 * `postern stats --openmetrics`: OpenMetrics text 1.0, which Prometheus and its
 * like read.  All samples of a family stand together, whichever programs they
 * are from; names and labels were checked when the files were read.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/sys/stats_file.h"
#include "postern/out.h"
#include "postern/stats.h"

#define PREFIX "postern_"

/* A family's kind, name and unit were seen in one program's file. */
struct family {
	enum stats_kind kind;
	struct slice name, help;
};

static void
put_help(struct slice help)
{
	for (size_t i = 0; i < help.len; i++) {
		if (help.p[i] == '\\' || help.p[i] == '"')
			out_printf("\\");
		out_printf("%c", help.p[i]);
	}
	out_printf("\n");
}

static void
put_unit(struct slice name)
{
	static const char *const units[] = {"seconds", "bytes"};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t n = strlen(units[i]);

		if (name.len > n && name.p[name.len - n - 1] == '_' &&
		    slice_eq(slice_sub(name, name.len - n, name.len),
		    slice_of(units[i])))
			out_printf("# UNIT " PREFIX "%.*s %s\n",
			    SLICE_FMT(name), units[i]);
	}
}

static void
put_head(const struct family *f)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	out_printf("# TYPE " PREFIX "%.*s %s\n", SLICE_FMT(f->name),
	    types[f->kind]);
	put_unit(f->name);
	out_printf("# HELP " PREFIX "%.*s ", SLICE_FMT(f->name));
	put_help(f->help);
}

/* "0.0001", "1.6384", "2.0": seconds without a float's rounding. */
static void
put_seconds(uint64_t us)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64,
	    us / 1000000, us % 1000000);

	while (text[n - 1] == '0' && text[n - 2] != '.')
		n--;
	out_printf("%.*s", n, text);
}

/* The name with what stands behind it, and its labels with one more. */
static void
put_name(struct slice name, const char *behind, struct slice labels)
{
	out_printf(PREFIX "%.*s%s", SLICE_FMT(name), behind);
	if (labels.len > 0)
		out_printf("{%.*s}", SLICE_FMT(labels));
	out_printf(" ");
}

static void
put_histogram(const struct stats_file *f, const struct stats_entry *e)
{
	struct slice name = stats_family(e->kind, e->name);
	struct slice labels = stats_labels(e->name);
	uint64_t n = 0;

	for (size_t i = 0; i <= f->bounds; i++) {
		n += f->values[e->slot + i];
		out_printf(PREFIX "%.*s_bucket{%.*s%sle=\"", SLICE_FMT(name),
		    SLICE_FMT(labels), labels.len > 0 ? "," : "");
		if (i < f->bounds)
			put_seconds(f->first_us << i);
		else
			out_printf("+Inf");
		out_printf("\"} %" PRIu64 "\n", n);
	}
	put_name(name, "_count", labels);
	out_printf("%" PRIu64 "\n", n);
	put_name(name, "_sum", labels);
	put_seconds(f->values[e->slot + f->bounds + 1]);
	out_printf("\n");
}

static void
put_sample(const struct stats_file *f, const struct stats_entry *e)
{
	struct slice name = stats_family(e->kind, e->name);
	struct slice labels = stats_labels(e->name);
	uint64_t n = f->values[e->slot];

	switch (e->kind) {
	case STATS_COUNTER:
		put_name(name, "_total", labels);
		out_printf("%" PRIu64 "\n", n);
		break;
	case STATS_GAUGE:
		put_name(name, "", labels);
		out_printf("%" PRId64 "\n", (int64_t)n);
		break;
	case STATS_HISTOGRAM:
		put_histogram(f, e);
		break;
	}
}

static bool
is_of(const struct family *family, const struct stats_entry *e)
{
	return slice_eq(stats_family(e->kind, e->name), family->name);
}

/* A family belongs to the program that comes first with it. */
static bool
seen(const struct stats_file *v, size_t at, const struct family *family)
{
	for (size_t i = 0; i < at; i++)
		for (size_t k = 0; k < v[i].n; k++)
			if (is_of(family, &v[i].v[k]))
				return true;
	return slice_eq(family->name, SLICE("up")) ||
	    slice_eq(family->name, SLICE("start_time_seconds"));
}

static void
put_family(const struct stats_file *f, size_t first,
    const struct family *family)
{
	put_head(family);
	for (size_t k = first; k < f->n; k++)
		if (is_of(family, &f->v[k]))
			put_sample(f, &f->v[k]);
}

static void
put_programs(const struct stats_file *v, size_t n)
{
	static const struct family up = {STATS_GAUGE, {"up", 2},
	    SLICE_INIT("Whether the program runs.")};
	static const struct family start = {STATS_GAUGE,
	    SLICE_INIT("start_time_seconds"),
	    SLICE_INIT("When the program was last started.")};

	put_head(&up);
	for (size_t i = 0; i < n; i++)
		out_printf(PREFIX "up{program=\"%.*s\"} %d\n",
		    SLICE_FMT(v[i].program), v[i].running ? 1 : 0);
	put_head(&start);
	for (size_t i = 0; i < n; i++) {
		out_printf(PREFIX "start_time_seconds{program=\"%.*s\"} ",
		    SLICE_FMT(v[i].program));
		put_seconds(v[i].values[STATS_SLOT_START] % (UINT64_C(1) << 50)
		    * 1000);
		out_printf("\n");
	}
}

void
stats_openmetrics(const struct stats_file *v, size_t n)
{
	put_programs(v, n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n; k++) {
			const struct stats_entry *e = &v[i].v[k];
			struct family family = {e->kind,
			    stats_family(e->kind, e->name), e->help};
			size_t before = 0;

			while (before < k && !is_of(&family, &v[i].v[before]))
				before++;
			if (before == k && !seen(v, i, &family))
				put_family(&v[i], k, &family);
		}
	}
	out_printf("# EOF\n");
}
