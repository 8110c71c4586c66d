/*
 * Reads and writes the text of a counters' file.  Runs in daemons at their
 * start and in postern(8).  The file is root's, but every process of a daemon
 * can write into its values, and an older or newer release may have written
 * all of it: nothing is believed before it is checked.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/sys/stats_file.h"

#define MAGIC "postern-stats 1\n"
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ORDER "little"
#else
#define ORDER "big"
#endif
#define END_LEN (sizeof("end 0123abcd\n") - 1)

static const char *const kinds[] = {
	[STATS_COUNTER] = "counter",
	[STATS_GAUGE] = "gauge",
	[STATS_HISTOGRAM] = "histogram",
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

size_t
stats_slots(enum stats_kind kind, size_t bounds)
{
	return kind == STATS_HISTOGRAM ? bounds + 2 : 1;
}

/* FNV-1a: finds what a crash tore, and is no more than that. */
static uint32_t
sum(struct slice text)
{
	uint32_t h = UINT32_C(2166136261);

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (unsigned char)text.p[i]) * UINT32_C(16777619);
	return h;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || c == '_';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters, digits and `more` from position i on; where they end. */
static size_t
word_end(struct slice s, size_t i, char more)
{
	while (i < s.len && (is_letter(s.p[i]) || is_digit(s.p[i]) ||
	    s.p[i] == more))
		i++;
	return i;
}

/* key="value" from position i on; behind it, or 0. */
static size_t
label_end(struct slice s, size_t i)
{
	size_t at = i;

	if (at >= s.len || !is_letter(s.p[at]))
		return 0;
	i = word_end(s, at, '_');
	if (i + 2 > s.len || s.p[i] != '=' || s.p[i + 1] != '"')
		return 0;
	i = word_end(s, i + 2, '-');
	return i < s.len && s.p[i] == '"' ? i + 1 : 0;
}

static bool
well_formed(struct slice s)
{
	size_t i;

	if (s.len == 0 || s.len > STATS_NAME_MAX || !is_letter(s.p[0]))
		return false;
	i = word_end(s, 0, '_');
	if (i == s.len)
		return true;
	if (s.p[i] != '{')
		return false;
	do
		i = label_end(s, i + 1);
	while (i > 0 && i < s.len && s.p[i] == ',');
	return i > 0 && i + 1 == s.len && s.p[i] == '}';
}

static bool
ends_in(struct slice s, struct slice end)
{
	return s.len > end.len &&
	    slice_eq(slice_sub(s, s.len - end.len, s.len), end);
}

/* What OpenMetrics puts behind names of counters and histograms must not stand
 * at the end of others. */
bool
stats_name_valid(enum stats_kind kind, struct slice s)
{
	struct slice name = slice_sub(s, 0, slice_find(s, '{', 0));

	if (!well_formed(s))
		return false;
	if (kind == STATS_COUNTER)
		return ends_in(name, SLICE("_total"));
	if (kind == STATS_HISTOGRAM)
		return ends_in(name, SLICE("_seconds"));
	return !ends_in(name, SLICE("_total")) &&
	    !ends_in(name, SLICE("_count")) && !ends_in(name, SLICE("_sum")) &&
	    !ends_in(name, SLICE("_bucket")) &&
	    !ends_in(name, SLICE("_created"));
}

struct slice
stats_family(enum stats_kind kind, struct slice s)
{
	size_t end = slice_find(s, '{', 0);

	return slice_sub(s, 0, kind == STATS_COUNTER
	    ? end - (sizeof("_total") - 1) : end);
}

struct slice
stats_labels(struct slice s)
{
	size_t at = slice_find(s, '{', 0);

	return at < s.len ? slice_sub(s, at + 1, s.len - 1) : SLICE_EMPTY;
}

bool
stats_program_valid(struct slice s)
{
	return s.len > 0 && s.len <= 40 && is_letter(s.p[0]) &&
	    word_end(s, 0, '-') == s.len;
}

/* ---- writing ---- */

static void
put_rows(const struct stats_row *rows, size_t n, struct buf *out)
{
	size_t slot = STATS_SLOTS_FIXED;

	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s %zu %s %s\n", kinds[rows[i].kind], slot,
		    rows[i].name, rows[i].help);
		slot += stats_slots(rows[i].kind, STATS_BOUNDS);
	}
}

void
stats_file_text(const char *program, const struct stats_row *rows, size_t n,
    size_t align, struct stats_layout *out)
{
	struct buf body = BUF_INIT(STATS_TEXT_MAX), *text = &out->text;
	size_t slots = STATS_SLOTS_FIXED, length;

	for (size_t i = 0; i < n; i++)
		slots += stats_slots(rows[i].kind, STATS_BOUNDS);
	/* Whole pages. */
	slots = (slots * sizeof(uint64_t) + align - 1) / align * align /
	    sizeof(uint64_t);
	put_rows(rows, n, &body);
	/* 200: the other lines, with room to spare. */
	length = body.len + strlen(program) + 200;
	*out = (struct stats_layout){.text = BUF_INIT(STATS_TEXT_MAX)};
	out->offset = (length + align - 1) / align * align;
	out->nvalues = slots;
	buf_printf(text, MAGIC "program %s\norder " ORDER "\nvalues %llu %zu\n"
	    "bounds %d %d\n", program, (unsigned long long)out->offset, slots,
	    STATS_BOUND_FIRST_US, STATS_BOUNDS);
	buf_addslice(text, buf_slice(&body));
	buf_printf(text, "end %08x\n", (unsigned)sum(buf_slice(text)));
	if (body.overflow || slots > STATS_SLOTS_MAX)
		text->overflow = true;
	buf_free(&body);
}

/* ---- reading ---- */

static ssize_t
read_at(int fd, void *p, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (char *)p + done, n - done,
		    (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static bool
printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] >= 0x7f)
			return false;
	return true;
}

/* "4096 512" */
static bool
take_values(struct stats_file *f, struct slice rest)
{
	struct slice word;
	uint64_t n;

	if (!slice_cut(&rest, ' ', &word) ||
	    !num_u64(word, f->text_len, UINT64_C(1) << 24, &f->offset) ||
	    !num_u64(rest, STATS_SLOTS_FIXED, STATS_SLOTS_MAX, &n))
		return false;
	f->nvalues = (size_t)n;
	return true;
}

static bool
take_bounds(struct stats_file *f, struct slice rest)
{
	struct slice word;
	uint64_t n;

	if (!slice_cut(&rest, ' ', &word) ||
	    !num_u64(word, 1, 1000000, &f->first_us) ||
	    !num_u64(rest, 1, 40, &n))
		return false;
	f->bounds = (size_t)n;
	return true;
}

/* No second one of this name, none of its family of another kind. */
static bool
agrees(const struct stats_file *f, const struct stats_entry *e)
{
	struct slice family = stats_family(e->kind, e->name);

	for (size_t i = 0; i < f->n; i++) {
		const struct stats_entry *o = &f->v[i];

		if (slice_eq(family, stats_family(o->kind, o->name)) &&
		    (e->kind != o->kind || slice_eq(e->name, o->name)))
			return false;
	}
	return true;
}

static bool
take_entry(struct stats_file *f, enum stats_kind kind, struct slice rest)
{
	struct stats_entry e = {.kind = kind};
	struct slice word;
	uint64_t slot;

	if (!slice_cut(&rest, ' ', &word) ||
	    !num_u64(word, STATS_SLOTS_FIXED, STATS_SLOTS_MAX, &slot) ||
	    !slice_cut(&rest, ' ', &e.name) || rest.p == NULL ||
	    !stats_name_valid(kind, e.name) || f->n == STATS_ROWS_MAX ||
	    f->bounds == 0 ||
	    slot + stats_slots(kind, f->bounds) > f->nvalues)
		return false;
	e.slot = (size_t)slot;
	e.help = rest;
	if (!agrees(f, &e))
		return false;
	MEM_PUSH(f->v, f->n, f->cap, e);
	return true;
}

/* Lines that a later release may add are passed over. */
static bool
take_line(struct stats_file *f, struct slice line)
{
	struct slice word;

	if (!printable(line) || !slice_cut(&line, ' ', &word) ||
	    line.p == NULL)
		return false;
	if (slice_eq(word, SLICE("program"))) {
		f->program = line;
		return stats_program_valid(line);
	}
	if (slice_eq(word, SLICE("order")))
		return slice_eq(line, SLICE(ORDER));
	if (slice_eq(word, SLICE("values")))
		return take_values(f, line);
	if (slice_eq(word, SLICE("bounds")))
		return take_bounds(f, line);
	for (size_t k = 0; k < NKINDS; k++)
		if (slice_eq(word, slice_of(kinds[k])))
			return take_entry(f, (enum stats_kind)k, line);
	return true;
}

/* The text up to and with its last line, whose sum must be right. */
static bool
find_end(struct stats_file *f, size_t got)
{
	static const char mark[] = "\nend ";
	struct slice all = slice_mem(f->text, got), last;
	const char *p = memmem(f->text, got, mark, sizeof(mark) - 1);
	uint64_t n;

	if (p == NULL || !slice_prefix(all, SLICE(MAGIC)))
		return false;
	f->text_len = (size_t)(p + 1 - f->text) + END_LEN;
	if (f->text_len > got || f->text[f->text_len - 1] != '\n')
		return false;
	last = slice_sub(all, f->text_len - END_LEN + 4, f->text_len - 1);
	return num_u64_hex(last, 0, UINT32_MAX, &n) &&
	    n == sum(slice_sub(all, 0, f->text_len - END_LEN));
}

static bool
parse(struct stats_file *f, size_t got)
{
	struct slice rest, line;

	if (!find_end(f, got))
		return false;
	rest = slice_sub(slice_mem(f->text, f->text_len), sizeof(MAGIC) - 1,
	    f->text_len - END_LEN);
	while (slice_cut(&rest, '\n', &line) && rest.p != NULL)
		if (!take_line(f, line))
			return false;
	return f->program.len > 0 && f->nvalues > 0;
}

static bool
locked(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static enum stats_result
load(int fd, struct stats_file *f, const char **why)
{
	struct stat st;
	ssize_t got;
	size_t size;

	if (fstat(fd, &st) != 0)
		return STATS_FILE_ERROR;
	*why = "is no regular file";
	if (!S_ISREG(st.st_mode))
		return STATS_FILE_BAD;
	f->text = mem_alloc(STATS_TEXT_MAX);
	got = read_at(fd, f->text, STATS_TEXT_MAX, 0);
	if (got < 0)
		return STATS_FILE_ERROR;
	*why = "is torn, or no file of counters";
	if (!parse(f, (size_t)got))
		return STATS_FILE_BAD;
	size = f->nvalues * sizeof(uint64_t);
	f->values = mem_alloc(size);
	got = read_at(fd, f->values, size, f->offset);
	if (got < 0)
		return STATS_FILE_ERROR;
	*why = "is cut short";
	if ((size_t)got < size)
		return STATS_FILE_BAD;
	f->running = locked(fd);
	return STATS_FILE_OK;
}

enum stats_result
stats_file_read(int fd, struct stats_file *out, const char **why)
{
	struct stats_file f = {.program = SLICE_EMPTY};
	enum stats_result r = load(fd, &f, why);

	if (r == STATS_FILE_OK)
		*out = f;
	else
		stats_file_free(&f);
	return r;
}

void
stats_file_free(struct stats_file *f)
{
	int saved = errno;

	free(f->text);
	free(f->values);
	free(f->v);
	*f = (struct stats_file){.program = SLICE_EMPTY};
	errno = saved;
}
