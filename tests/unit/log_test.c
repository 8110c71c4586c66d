/*
 * The log: what arrives on descriptor 2 for each event, how foreign octets look
 * there, and that neither errno nor memory is touched.  Each case runs in a
 * child whose standard error is a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "common/base/log.h"
#include "common/base/mem.h"

Suite *log_suite(void);

#define OUT_SIZE 16384

/* Runs fn in a child; out gets what it wrote, with "[pid]" instead of the
 * number.  Returns the child's exit code. */
static int
capture(void (*fn)(void), char out[OUT_SIZE])
{
	int fds[2], wstatus;
	char raw[OUT_SIZE], pid_text[32];
	size_t len = 0, n;
	ssize_t got;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		log_open("test");
		fn();
		_exit(0);
	}
	close(fds[1]);
	while ((got = read(fds[0], raw + len, sizeof(raw) - 1 - len)) > 0)
		len += (size_t)got;
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert_msg(WIFEXITED(wstatus), "wait status %d", wstatus);
	raw[len] = '\0';
	snprintf(pid_text, sizeof(pid_text), "[%ld]", (long)pid);
	n = strlen(pid_text);
	for (char *from = raw, *at; ; from = at + n) {
		at = strstr(from, pid_text);
		snprintf(out, OUT_SIZE, "%.*s%s", at != NULL ?
		    (int)(at - from) : (int)strlen(from), from,
		    at != NULL ? "[pid]" : "");
		out += strlen(out);
		if (at == NULL)
			break;
	}
	return WEXITSTATUS(wstatus);
}

/* What one value looks like. */
static const struct {
	struct slice in;
	const char *want;
} values[] = {
	{{"plain", 5}, "k=plain"},
	{{"a@b.example", 11}, "k=a@b.example"},
	{{"<a+b@[IPv6:::1]>", 16}, "k=<a+b@[IPv6:::1]>"},
	{{"", 0}, "k=\"\""},
	{{NULL, 0}, "k=\"\""},
	{{"two words", 9}, "k=\"two words\""},
	{{"a=b", 3}, "k=\"a=b\""},
	{{"say \"hi\"", 8}, "k=\"say \\\"hi\\\"\""},
	{{"back\\slash", 10}, "k=\"back\\\\slash\""},
	{{"x\r\nsmtpd[1]: forged id=1", 24},
	    "k=\"x\\x0d\\x0asmtpd[1]: forged id=1\""},
	{{"\0\x01\x1b[1m\x7f", 7}, "k=\"\\x00\\x01\\x1b[1m\\x7f\""},
	{{"\xc3\xbc\xff", 3}, "k=\"\\xc3\\xbc\\xff\""},
	{{"x\" id=forged", 12}, "k=\"x\\\" id=forged\""},
};

static int value_index;

static void
emit_value(void)
{
	LOG_INFO("seen", LB("k", values[value_index].in), LU("end", 1));
}

START_TEST(test_value)
{
	char got[OUT_SIZE], want[256];

	value_index = _i;
	snprintf(want, sizeof(want), "test[pid]: seen %s end=1\n",
	    values[_i].want);
	ck_assert_int_eq(capture(emit_value, got), 0);
	ck_assert_str_eq(got, want);
}
END_TEST

static void
emit_kinds(void)
{
	const char *none = NULL;

	log_event(LOG_INFO_LEVEL, "ready", NULL);
	LOG_WARN("slow", LU("big", UINT64_MAX), LI("low", INT64_MIN),
	    LI("neg", -7), LI("pos", 7), LU("zero", 0), LS("none", none));
	errno = ENOENT;
	LOG_ERROR("failed", LS("path", "/a b"), LE());
	LOG_DEBUG("unheard", LU("n", 1));
	log_event(LOG_DEBUG_LEVEL, "unheard", NULL);
	log_debug_set(1);
	LOG_DEBUG("heard", LU("n", 2));
	log_forked("s\n1");
	LOG_INFO("session", LU("n", 3));
	log_warnx("odd %s", "line\r\nfake \\ \"q\"");
	log_forked("0123456789012345678901234567890123456789");
	LOG_INFO("long", LU("n", 4));
	log_forked(NULL);
	LOG_INFO("parent", LU("n", 5));
	errno = EACCES;
	log_warn("cannot open %s", "x");
	errno = 12345;
	log_warn("strange");
}

START_TEST(test_kinds)
{
	char got[OUT_SIZE];

	ck_assert_int_eq(capture(emit_kinds, got), 0);
	ck_assert_str_eq(got,
	    "test[pid]: ready\n"
	    "test[pid]: slow level=warn big=18446744073709551615 "
	    "low=-9223372036854775808 neg=-7 pos=7 zero=0 none=\"\"\n"
	    "test[pid]: failed level=error path=\"/a b\" "
	    "error=\"No such file or directory\"\n"
	    "test[pid]: heard level=debug n=2\n"
	    "test[pid]: session sid=\"s\\x0a1\" n=3\n"
	    "test[pid]: warning: sid=\"s\\x0a1\" "
	    "odd line\\x0d\\x0afake \\\\ \"q\"\n"
	    "test[pid]: long sid=0123456789012345678901234567890 n=4\n"
	    "test[pid]: parent n=5\n"
	    "test[pid]: warning: cannot open x: Permission denied\n"
	    "test[pid]: warning: strange: Unknown error 12345\n");
}
END_TEST

/* A value's size, and whether it is of octets that take four. */
static const struct {
	size_t n;
	char c;
	size_t want; /* octets between the quotes, or without quotes */
	bool cut;
} sizes[] = {
	{999, 'a', 999, false},
	{1000, 'a', 1000, false},
	{1001, 'a', 1000, true},
	{100000, 'a', 1000, true},
	{249, '\n', 996, false},
	{250, '\n', 1000, false},
	{251, '\n', 999, true},
	{500, '"', 1000, false},
	{501, '"', 999, true},
};

static int size_index;

static void
emit_size(void)
{
	char *s = mem_alloc(sizes[size_index].n);

	memset(s, sizes[size_index].c, sizes[size_index].n);
	LOG_INFO("v", LB("k", slice_mem(s, sizes[size_index].n)),
	    LU("end", 1));
	free(s);
}

START_TEST(test_size)
{
	static const char head[] = "test[pid]: v k=";
	char got[OUT_SIZE], *value, *end;
	size_t n;

	size_index = _i;
	ck_assert_int_eq(capture(emit_size, got), 0);
	value = got + sizeof(head) - 1;
	ck_assert_mem_eq(got, head, sizeof(head) - 1);
	end = strstr(got, " end=1\n");
	ck_assert_ptr_nonnull(end);
	n = (size_t)(end - value);
	if (*value == '"') {
		ck_assert_int_eq(end[-1], '"');
		n -= 2;
		end--;
	}
	ck_assert_uint_eq(n, sizes[_i].want);
	ck_assert_int_eq(memcmp(end - 3, "...", 3) == 0, sizes[_i].cut);
}
END_TEST

static void
emit_full(void)
{
	char s[900];

	memset(s, 'a', sizeof(s));
	LOG_INFO("v", LB("k1", slice_mem(s, 900)), LB("k2", slice_mem(s, 900)),
	    LB("k3", slice_mem(s, 900)), LB("k4", slice_mem(s, 900)),
	    LB("k5", slice_mem(s, 900)), LU("id", 7));
}

static void
emit_long_sentence(void)
{
	char s[20001];

	memset(s, '\n', sizeof(s));
	s[20000] = '\0';
	errno = ENOSPC;
	log_warn("%s", s);
	memset(s, 'a', 20000);
	log_warn("%s", s);
}

START_TEST(test_full)
{
	char got[OUT_SIZE], *second;

	/* What has no room is left out whole; what comes later and is small
	 * still stands there. */
	ck_assert_int_eq(capture(emit_full, got), 0);
	ck_assert_uint_lt(strlen(got), 4096);
	ck_assert_ptr_nonnull(strstr(got, " k4="));
	ck_assert_ptr_null(strstr(got, "k5"));
	ck_assert_ptr_nonnull(strstr(got, "a id=7 cut=yes\n"));

	ck_assert_int_eq(capture(emit_long_sentence, got), 0);
	second = strchr(got, '\n');
	ck_assert_ptr_nonnull(second);
	ck_assert_int_le(second - got, 4096);
	ck_assert_uint_le(strlen(second), 4096);
	ck_assert_mem_eq(second - 28, "...: No space left on device", 28);
	ck_assert_ptr_nonnull(strstr(second, "aaa...: No space"));
}
END_TEST

static void
emit_die(void)
{
	errno = EMFILE;
	die(EXIT_PERMANENT, "line %d: bad", 3);
}

static void
emit_die_errno(void)
{
	log_forked("s1");
	errno = EMFILE;
	die_errno(EXIT_TEMPORARY, "open %s", "f");
}

static void
emit_overflow(void)
{
	/* volatile: or the compiler says what it sees. */
	volatile size_t n = (size_t)-1 / 2;

	free(mem_grow(NULL, n, 4));
}

START_TEST(test_die)
{
	char got[OUT_SIZE];

	ck_assert_int_eq(capture(emit_die, got), 100);
	ck_assert_str_eq(got, "test[pid]: fatal: line 3: bad\n");
	ck_assert_int_eq(capture(emit_die_errno, got), 111);
	ck_assert_str_eq(got,
	    "test[pid]: fatal: sid=s1 open f: Too many open files\n");
	ck_assert_int_eq(capture(emit_overflow, got), 111);
	ck_assert_ptr_nonnull(strstr(got, "fatal: out of memory"));
}
END_TEST

static void
all_kinds_of_calls(void)
{
	errno = EXDEV;
	LOG_INFO("x", LU("n", 1), LE());
	if (errno != EXDEV)
		_exit(1);
	log_warn("x");
	if (errno != EXDEV)
		_exit(2);
	log_warnx("x");
	if (errno != EXDEV)
		_exit(3);
}

static void
emit_nowhere(void)
{
	close(STDERR_FILENO);
	all_kinds_of_calls();
}

static void
emit_refused(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	dup2(fd, STDERR_FILENO);
	all_kinds_of_calls();
}

START_TEST(test_errno)
{
	char got[OUT_SIZE];

	ck_assert_int_eq(capture(all_kinds_of_calls, got), 0);
	ck_assert_int_eq(capture(emit_nowhere, got), 0);
	ck_assert_int_eq(capture(emit_refused, got), 0);
}
END_TEST

Suite *
log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_loop_test(t, test_value, 0,
	    sizeof(values) / sizeof(values[0]));
	tcase_add_test(t, test_kinds);
	tcase_add_loop_test(t, test_size, 0, sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_test(t, test_full);
	tcase_add_test(t, test_die);
	tcase_add_test(t, test_errno);
	suite_add_tcase(s, t);
	return s;
}
