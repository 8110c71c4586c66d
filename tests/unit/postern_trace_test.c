/* Unit tests of postern/trace.c, trace_sum.c and logfile.c: lines of several
 * logs become lives. */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/mail/id.h"
#include "postern/names.h"
#include "postern/trace.h"
#include "postern/trace_sum.h"

Suite *postern_trace_suite(void);

/* Messages A, B ... born a second apart at 2026-11-22T19:20:51Z */
#define BORN INT64_C(1795375251000)
#define SID "sid0sid0sid00"

static char dir[64];
static char ids[4][ID_SIZE];

static void
setup(void)
{
	setenv("TZ", "UTC0", 1);
	snprintf(dir, sizeof(dir), "/tmp/trace-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (int i = 0; i < 4; i++) {
		struct mail_id id = id_new(BORN + 1000 * i);

		memcpy(ids[i], id.s, sizeof(ids[i]));
	}
}

static void
teardown(void)
{
	char command[128];
	static const char *const names[] = {"log", "smtpd", "qmgr",
	    "logs/smtpd/current", "logs/smtpd/@400000006b0340dd075bcd15.s",
	    "logs/smtpd/lock", "logs/smtpd", "logs/empty", "logs", ""};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(command, sizeof(command), "%s/%s", dir, names[i]);
		(void)remove(command);
	}
	unsetenv("TZ");
}

/* A file of these lines; $A to $D are ids, $S the session. */
static const char *
put(const char *name, const char *text)
{
	static char path[4][128];
	static unsigned turn;
	char *at = path[turn++ % 4];
	FILE *f;

	snprintf(at, sizeof(path[0]), "%s/%s", dir, name);
	f = fopen(at, "we");
	ck_assert_ptr_nonnull(f);
	for (; *text != '\0'; text++) {
		if (*text != '$') {
			fputc(*text, f);
			continue;
		}
		text++;
		fputs(*text == 'S' ? SID : ids[*text - 'A'], f);
	}
	ck_assert_int_eq(fclose(f), 0);
	return at;
}

static struct trace
trace(const char *what, const char *first, const char *second)
{
	struct trace t = {.now_ms = BORN + 1000000};
	struct logfiles files = {.v = NULL};

	ck_assert(trace_what(what, &t.what));
	ck_assert(logfiles_add(&files, first));
	if (second != NULL)
		ck_assert(logfiles_add(&files, second));
	ck_assert(trace_read(&t, &files));
	logfiles_free(&files);
	return t;
}

/* "A:accepted,delivered S:session": each life with its events. */
static void
lives_are(const struct trace *t, const char *want)
{
	struct buf out = BUF_INIT(65536);

	for (size_t i = 0; i < t->nmessages; i++) {
		const struct trace_message *m = &t->messages[i];
		int letter = 'S';

		for (int k = 0; k < 4; k++)
			if (strcmp(ids[k], m->id) == 0)
				letter = 'A' + k;
		buf_printf(&out, "%s%c%s:", i > 0 ? " " : "", letter,
		    m->cause ? "'" : "");
		for (size_t k = 0; k < m->n; k++)
			buf_printf(&out, "%s%.*s", k > 0 ? "," : "", SLICE_FMT(
			    t->events[t->order[m->from + k]].verb));
	}
	ck_assert_str_eq(out.s, want);
	buf_free(&out);
}

static const char smtpd_log[] =
    "smtpd[1]: session sid=othersid00000 ip=192.0.2.9\n"
    "smtpd[2]: refused sid=$S command=MAIL arg=\"FROM:<eve@x.example>\"\n"
    "smtpd[2]: accepted sid=$S id=$A from=ann@a.example to=bob@b.example "
    "rcpts=2 size=12 msgid=\"<m1@a.example>\" ip=192.0.2.1\n"
    "smtpd[2]: accepted sid=$S id=$C from=cat@a.example to=dan@b.example "
    "msgid=<m2@a.example>\n"
    "smtpd[2]: session sid=$S ip=192.0.2.1 messages=2\n"
    "not ours at all id=$A\n";
static const char qmgr_log[] =
    "qmgr[4]: deferred id=$A to=carl@b.example delay=20 status=4.4.1 why=x\n"
    "qmgr[4]: delivered id=$A to=bob@b.example delay=10 status=2.0.0\n"
    "qmgr[4]: delivered id=$C to=dan@b.example delay=10\n"
    "qmgr[4]: failed id=$A to=carl@b.example delay=900 status=5.1.1 "
    "why=\"no such user\"\n"
    "qmgr[4]: removed id=$A age=1100\n"
    "bounce[5]: notice id=$A notice=$B to=ann@a.example\n"
    "qmgr[4]: delivered id=$B to=ann@a.example delay=5\n";

#define LIFE_A "refused,accepted,session,delivered,deferred,failed,notice,"    \
	"removed"
#define LIFE_C "refused,accepted,session,delivered"

/* Without times of a logger: smtpd's lines are at the birth of a message,
 * qmgr's say how old it is, and a session's are where its log has them. */
static const struct {
	const char *what; /* "A", "B": their ids */
	const char *want;
} cases[] = {
	{"A", "A:" LIFE_A " B':notice,delivered"},
	{"B", "A':" LIFE_A " B:notice,delivered"},
	{"<m1@a.example>", "A:" LIFE_A " B':notice,delivered"},
	{"m1@a.example", "A:" LIFE_A " B':notice,delivered"},
	{"carl@b.example", "A:" LIFE_A " B':notice,delivered"},
	{"DAN@b.example", "C:" LIFE_C},
	{"<dan@b.example>", "C:" LIFE_C},
	{"dan@*", "C:" LIFE_C},
	{"an@b.example", ""},
	{"eve@x.example", "S:refused,session"},
	{SID, "A:refused,accepted,delivered,deferred,failed,notice,removed,"
	    "session C:" LIFE_C " B':notice,delivered"},
	{"nobody@x.example", ""},
};

static const char *
case_what(int i)
{
	const char *what = cases[i].what;

	return what[1] == '\0' ? ids[what[0] - 'A'] : what;
}

START_TEST(finds)
{
	const char *a = put("smtpd", smtpd_log), *b = put("qmgr", qmgr_log);
	struct trace t = trace(case_what(_i), a, b), u;

	ck_assert(!t.more);
	lives_are(&t, cases[_i].want);
	/* In the other order of files the same messages are found. */
	u = trace(case_what(_i), b, a);
	ck_assert_uint_eq(t.nmessages, u.nmessages);
	ck_assert_uint_eq(t.nevents, u.nevents);
	trace_free(&t);
	trace_free(&u);
}
END_TEST

/* Whose events are whose, times being logged. */
START_TEST(joins)
{
	static const char stamped[] =
	    "2026-11-22T19:20:50Z smtpd[2]: refused sid=$S command=MAIL "
	    "arg=\"FROM:<eve@x.example>\"\n"
	    "2026-11-22T19:20:51Z smtpd[2]: accepted sid=$S id=$A "
	    "from=ann@a.example to=bob@b.example\n"
	    "2026-11-22T19:20:53.1Z smtpd[2]: accepted sid=$S id=$C "
	    "from=cat@a.example to=dan@b.example\n"
	    "2026-11-22T19:20:59Z smtpd[2]: session sid=$S\n";
	static const char other[] =
	    "2026-11-22T19:20:55Z bounce[5]: notice id=$A notice=$B\n"
	    "2026-11-22T19:20:56Z qmgr[4]: delivered id=$B to=ann@a.example\n"
	    "2026-11-22T19:20:54Z qmgr[4]: failed id=$A to=bob@b.example\n"
	    "2026-11-22T19:20:54Z qmgr[4]: delivered id=$C to=dan@b.example\n";
	const char *a = put("smtpd", stamped), *b = put("qmgr", other);
	struct trace t = trace(ids[0], b, a);

	lives_are(&t, "A:refused,accepted,failed,notice,session "
	    "B':notice,delivered");
	ck_assert_str_eq(t.messages[0].sid, SID);
	ck_assert_int_eq(t.events[t.order[t.messages[0].from]].us,
	    (BORN - 1000) * 1000);
	trace_free(&t);
	t = trace(SID, a, b);
	lives_are(&t, "A:refused,accepted,failed,notice,session "
	    "C:refused,accepted,delivered,session B':notice,delivered");
	trace_free(&t);
	t = trace("eve@x.example", a, b);
	lives_are(&t, "S:refused,session");
	trace_free(&t);
}
END_TEST

START_TEST(sums_up)
{
	const char *a = put("smtpd", smtpd_log), *b = put("qmgr", qmgr_log);
	struct trace t = trace(ids[0], a, b);
	struct trace_sum s;

	ck_assert_uint_eq(t.nmessages, 2);
	trace_sum(&t, &t.messages[0], &s);
	ck_assert_str_eq(s.from.s, "ann@a.example");
	ck_assert_str_eq(s.to.s, "bob@b.example");
	ck_assert_str_eq(s.msgid.s, "<m1@a.example>");
	ck_assert_str_eq(s.size.s, "12");
	ck_assert_uint_eq(s.refused, 1);
	ck_assert(slice_eq(s.end, SLICE("removed")));
	ck_assert_uint_eq(s.n, 2);
	ck_assert_str_eq(s.v[0].to.s, "bob@b.example");
	ck_assert(slice_eq(s.v[0].verb, SLICE("delivered")));
	ck_assert_str_eq(s.v[1].to.s, "carl@b.example");
	ck_assert(slice_eq(s.v[1].verb, SLICE("failed")));
	ck_assert_str_eq(s.v[1].why.s, "no such user");
	trace_sum_free(&s);
	trace_sum(&t, &t.messages[1], &s);
	ck_assert_str_eq(s.to.s, "ann@a.example");
	ck_assert_uint_eq(s.n, 1);
	trace_sum_free(&s);
	trace_free(&t);
}
END_TEST

/* s6-log counts leap seconds in its labels; the lines tell. */
START_TEST(leap_seconds)
{
	char text[512];
	struct trace t;
	int64_t second = BORN / 1000 + 10 + 27 * (_i != 0);

	snprintf(text, sizeof(text), "@40000000%08llx00000000 smtpd[1]: "
	    "accepted id=$A sid=$S\n@40000000%08llx00000000 qmgr[1]: "
	    "delivered id=$A to=x@y.example delay=1000\n",
	    (unsigned long long)second, (unsigned long long)second + 1);
	t = trace(ids[0], put("log", text), NULL);
	lives_are(&t, "A:accepted,delivered");
	ck_assert_int_eq(t.events[t.order[0]].us, BORN * 1000);
	ck_assert_int_eq(t.events[t.order[1]].us, BORN * 1000 + 1000000);
	trace_free(&t);
}
END_TEST

/* A start of an id is enough, not too short a one. */
START_TEST(starts)
{
	const char *log = put("log", "qmgr[1]: delivered id=$A to=x@y.example\n");
	struct trace_what w;
	char start[ID_SIZE];
	struct trace t;

	snprintf(start, sizeof(start), "%.12s", ids[0]);
	t = trace(start, log, NULL);
	lives_are(&t, "A:delivered");
	trace_free(&t);
	start[7] = '\0';
	ck_assert(!trace_what(start, &w));
	ck_assert(!trace_what("", &w));
	ck_assert(!trace_what("<>", &w));
	ck_assert(!trace_what("Upper CASE", &w));
	ck_assert(trace_what(" <a@b> ", &w));
	ck_assert(slice_eq(w.text, SLICE("a@b")));
}
END_TEST

/* ---- files ---- */

static void
count_line(void *arg, struct slice line)
{
	struct buf *out = arg;

	buf_printf(out, "%zu%c ", line.len, line.len > 0 ? line.p[0] : '-');
}

START_TEST(long_lines)
{
	struct logfiles files = {.v = NULL};
	struct buf text = BUF_INIT(1 << 22), out = BUF_INIT(1000);
	static const size_t lengths[] = {0, 1, LOGFILE_LINE_MAX,
	    LOGFILE_LINE_MAX + 1, 300000, 1000000, 5};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (size_t k = 0; k < lengths[i]; k++)
			buf_addc(&text, (char)('a' + i));
		buf_addc(&text, '\n');
	}
	buf_adds(&text, "end");
	ck_assert(logfiles_add(&files, put("log", text.s)));
	ck_assert(logfile_lines(&files.v[0], count_line, &out));
	ck_assert_str_eq(out.s, "0- 1b 16384c 16384d 16384e 16384f 5g 3e ");
	logfiles_free(&files);
	buf_free(&text);
	buf_free(&out);
}
END_TEST

START_TEST(directories)
{
	struct logfiles files = {.v = NULL};
	char path[128];

	snprintf(path, sizeof(path), "%s/logs", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!logfiles_add(&files, path));
	snprintf(path, sizeof(path), "%s/logs/empty", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!logfiles_add(&files, path));
	snprintf(path, sizeof(path), "%s/logs/smtpd", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	put("logs/smtpd/current", "x\n");
	put("logs/smtpd/@400000006b0340dd075bcd15.s", "x\n");
	put("logs/smtpd/lock", "x\n");
	ck_assert(logfiles_add(&files, path));
	ck_assert_uint_eq(files.n, 2);
	ck_assert_ptr_nonnull(strstr(files.v[0].name, ".s"));
	ck_assert_ptr_nonnull(strstr(files.v[1].name, "/current"));
	logfiles_free(&files);
	snprintf(path, sizeof(path), "%s/logs", dir);
	ck_assert(logfiles_add(&files, path));
	ck_assert_uint_eq(files.n, 2);
	logfiles_free(&files);
	ck_assert(!logfiles_add(&files, "/nonexistent"));
	ck_assert(!logfiles_add(&files, "/dev/null"));
	ck_assert_uint_eq(files.n, 0);
}
END_TEST

START_TEST(names)
{
	struct names v = {.v = NULL};
	char text[NAME_SIZE];
	bool fresh;

	ck_assert(names_find(&v, SLICE("a")) == NAMES_NONE);
	for (size_t i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "name%zu", i);
		ck_assert_uint_eq(names_add(&v, slice_of(text), &fresh), i);
		ck_assert(fresh);
	}
	for (size_t i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "name%zu", i);
		ck_assert_uint_eq(names_find(&v, slice_of(text)), i);
		ck_assert_uint_eq(names_add(&v, slice_of(text), &fresh), i);
		ck_assert(!fresh);
	}
	ck_assert(names_find(&v, SLICE("name5000")) == NAMES_NONE);
	ck_assert(!name_valid(SLICE("")));
	ck_assert(!name_valid(SLICE("a b")));
	ck_assert(!name_valid(SLICE("0123456789012345678901234567890x")));
	ck_assert(name_valid(SLICE("012345678901234567890123456789x")));
	names_free(&v);
}
END_TEST

Suite *
postern_trace_suite(void)
{
	Suite *s = suite_create("postern_trace");
	TCase *t = tcase_create("trace");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, finds, 0,
	    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, joins);
	tcase_add_test(t, sums_up);
	tcase_add_loop_test(t, leap_seconds, 0, 2);
	tcase_add_test(t, starts);
	tcase_add_test(t, long_lines);
	tcase_add_test(t, directories);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return s;
}
