/* Unit tests of postern/logline.c: lines of common/base/log.c come back as they
 * were meant, whatever a logger put in front. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "postern/logline.h"

Suite *postern_logline_suite(void);

static const struct {
	const char *line;
	const char *program; /* NULL: no event */
	uint32_t pid;
	const char *verb, *fields;
} cases[] = {
	{"smtpd[312]: accepted id=a size=1", "smtpd", 312, "accepted",
	    "id=a size=1"},
	{"pop3d-mailbox[1]: session", "pop3d-mailbox", 1, "session", ""},
	{"qmgr[4]: queue-file-unreadable level=error id=x", "qmgr", 4,
	    "queue-file-unreadable", "level=error id=x"},
	{"host smtpd[3]: accepted a=b", "smtpd", 3, "accepted", "a=b"},
	{"host smtpd[3]: smtpd[5]: accepted a=b", "smtpd", 5, "accepted",
	    "a=b"},
	{"Nov 22 19:20:51 host postern: smtpd[3]: accepted a=b", "smtpd", 3,
	    "accepted", "a=b"},
	{"a b c d smtpd[3]: accepted a=b", NULL, 0, NULL, NULL},
	{"smtpd[312]: warning: cannot open x", NULL, 0, NULL, NULL},
	{"smtpd[312]: ready", "smtpd", 312, "ready", ""},
	{"smtpd[312]:", NULL, 0, NULL, NULL},
	{"smtpd[312]: ", NULL, 0, NULL, NULL},
	{"smtpd[]: accepted", NULL, 0, NULL, NULL},
	{"[1]: accepted", NULL, 0, NULL, NULL},
	{"smtpd[4294967296]: accepted", NULL, 0, NULL, NULL},
	{"smtpd[1]: Accepted", NULL, 0, NULL, NULL},
	{"", NULL, 0, NULL, NULL}, {" ", NULL, 0, NULL, NULL},
	{"kernel: something happened", NULL, 0, NULL, NULL},
};

START_TEST(lines)
{
	struct logline l;
	bool good = logline_parse(slice_of(cases[_i].line), 0, &l);

	ck_assert_msg(good == (cases[_i].program != NULL), "%s",
	    cases[_i].line);
	if (!good)
		return;
	ck_assert(slice_eq(l.program, slice_of(cases[_i].program)));
	ck_assert_uint_eq(l.pid, cases[_i].pid);
	ck_assert(slice_eq(l.verb, slice_of(cases[_i].verb)));
	ck_assert(slice_eq(l.fields, slice_of(cases[_i].fields)));
}
END_TEST

static const struct {
	const char *in, *out; /* "key[value]" for each */
} fields[] = {
	{"", ""}, {"a=b", "a[b]"}, {"a=b c=d", "a[b]c[d]"},
	{"a=\"b c\" d=e", "a[b c]d[e]"}, {"a=\"\"", "a[]"},
	{"a= b=c", "a[]b[c]"}, {"a=\"\\\"\\\\\" b=c", "a[\"\\]b[c]"},
	{"a=\"\\x41\\xff\"", "a[A\xff]"}, {"a=\"b", ""}, {"a=\"\\x4\"", ""},
	{"a=\"\\xg0\"", ""}, {"a=\"b\"c d=e", ""}, {"a", ""}, {"=b", ""},
	{"A=b", ""}, {"a=b c", "a[b]"}, {"a=b  c=d", "a[b]"},
	{"a=b=c", "a[b=c]"}, {"a=\"\\", ""}, {"client-sid=1", "client-sid[1]"},
	{"a=\"b c=d\" c=e", "a[b c=d]c[e]"},
};

START_TEST(values)
{
	struct slice rest = slice_of(fields[_i].in), key;
	struct buf value = BUF_INIT(100), out = BUF_INIT(1000);

	while (logline_field(&rest, &key, &value))
		buf_printf(&out, "%.*s[%.*s]", SLICE_FMT(key),
		    SLICE_FMT(buf_slice(&value)));
	ck_assert_str_eq(out.s, fields[_i].out);
	buf_free(&out);
	buf_free(&value);
}
END_TEST

/* Every octet, as log.c writes it. */
START_TEST(what_log_writes)
{
	struct buf value = BUF_INIT(4096);
	char path[] = "/tmp/logline-XXXXXX", all[256], line[4096];
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	struct logline l;
	ssize_t n;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	unlink(path);
	dup2(fd, STDERR_FILENO);
	log_open("smtpd");
	LOG_INFO("accepted", LS("id", "a b"), LB("octets",
	    slice_mem(all, sizeof(all))), LU("size", 7), LS("none", ""));
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fd, line, sizeof(line), 0);
	close(fd);
	ck_assert_int_gt(n, 1);
	ck_assert(logline_parse(slice_mem(line, (size_t)n - 1), 0, &l));
	ck_assert_uint_eq(l.pid, (uint32_t)getpid());
	ck_assert(logline_get(&l, "octets", &value));
	ck_assert(slice_eq(buf_slice(&value), slice_mem(all, sizeof(all))));
	ck_assert(logline_get(&l, "id", &value));
	ck_assert_str_eq(value.s, "a b");
	ck_assert(logline_get(&l, "none", &value));
	ck_assert_str_eq(value.s, "");
	ck_assert(!logline_get(&l, "other", &value));
	buf_free(&value);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *
postern_logline_suite(void)
{
	Suite *s = suite_create("postern_logline");
	TCase *t = tcase_create("lines");

	tcase_add_loop_test(t, lines, 0, N(cases));
	tcase_add_loop_test(t, values, 0, N(fields));
	tcase_add_test(t, what_log_writes);
	suite_add_tcase(s, t);
	return s;
}
