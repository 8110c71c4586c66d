/* common/mail/qreader: the effective message. */
#include <errno.h>

#include "common/mail/qfile_int.h"
#include "tests/unit/qfile_sample.h"

Suite *qreader_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define SMALL "0123456789"

/* A file whose trailer has these edit lines, rightly summed. */
static struct buf
image_with(struct slice content, const char *edits)
{
	struct envelope env = sample_env();
	struct buf image, trailer = BUF_INIT(IMAGE_MAX);
	size_t at, end;

	env.prepend = SLICE_EMPTY;
	image = sample_image(&env, content);
	end = image.len - QFILE_TRAILER_END_LEN;
	at = end - QFILE_TRAILER_START_LEN;
	buf_printf(&trailer, "\ntrailer %010zu\n%s",
	    QFILE_TRAILER_START_LEN + strlen(edits) + QFILE_TRAILER_END_LEN,
	    edits);
	buf_add(&trailer, image.s + end,
	    QFILE_TRAILER_END_LEN - sizeof("xxxxxxxx\nend\n") + 1);
	buf_printf(&trailer, "%08x\nend\n",
	    (unsigned)qfile_sum(0, trailer.s, trailer.len));
	image.len = at;
	buf_addslice(&image, buf_slice(&trailer));
	buf_free(&trailer);
	return image;
}

static const struct {
	const char *name, *edits, *want; /* NULL: corrupt */
} edit_cases[] = {
	{"none", "", SMALL},
	{"insert in front", "insert 0 3\nabc\n", "abc" SMALL},
	{"insert within", "insert 4 3\na\nb\n", "0123a\nb456789"},
	{"insert at the end", "insert 10 1\nx\n", SMALL "x"},
	{"two inserts at one place", "insert 5 1\na\ninsert 5 1\nb\n",
	    "01234ab56789"},
	{"skip in front", "skip 0 2\n", "23456789"},
	{"skip all", "skip 0 10\n", ""},
	{"skip the end", "skip 9 1\n", "012345678"},
	{"replace", "insert 2 2\nXY\nskip 2 3\n", "01XY56789"},
	{"replace, skip first", "skip 2 3\ninsert 5 2\nXY\n", "01XY56789"},
	{"skips side by side", "skip 2 1\nskip 3 1\n", "01456789"},
	{"replace all", "skip 0 10\ninsert 10 1\nz\n", "z"},
	{"looks like an edit", "insert 0 9\nskip 0 1\n\n",
	    "skip 0 1\n" SMALL},
	{"unknown line", "colour red\ninsert 0 1\na\n", "a" SMALL},
	{"behind the end", "insert 11 1\nx\n", NULL},
	{"skip beyond the end", "skip 9 2\n", NULL},
	{"skip far beyond", "skip 1 9223372036854775807\n", NULL},
	{"out of order", "insert 5 1\na\ninsert 4 1\nb\n", NULL},
	{"insert into a skip", "skip 2 3\ninsert 4 1\na\n", NULL},
	{"skips overlap", "skip 2 3\nskip 4 1\n", NULL},
	{"octets missing", "insert 0 9\nabc\n", NULL},
	{"no newline behind", "insert 0 2\nabc\n", NULL},
	{"length 0", "insert 0 0\n\n", NULL},
	{"no length", "insert 0\n", NULL},
	{"third number", "skip 0 1 2\n", NULL},
	{"negative", "skip -1 1\n", NULL},
	{"too large a number", "skip 0 18446744073709551617\n", NULL},
};

static const size_t bufsizes[] = {0, 1, 2, 3, 7, 10, 65536};

START_TEST(edits)
{
	struct buf image = image_with(SLICE(SMALL), edit_cases[_i].edits);
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	int error;
	enum qfile_result r = sample_try(buf_slice(&image), &q, why);

	if (edit_cases[_i].want == NULL) {
		ck_assert_msg(r == QFILE_CORRUPT, "%s", edit_cases[_i].name);
		ck_assert_ptr_nonnull(strstr(why, "bad edit"));
		buf_free(&image);
		return;
	}
	ck_assert_msg(r == QFILE_OK, "%s: %s", edit_cases[_i].name, why);
	for (int kept = 0; kept < 2; kept++) {
		for (int b = 0; b < COUNT(bufsizes); b++) {
			struct buf got;

			if (kept == 0)
				q->content = NULL; /* read it from the file */
			got = sample_message(q, bufsizes[b], &error);
			ck_assert_int_eq(error, 0);
			CK_SLICE(buf_slice(&got), edit_cases[_i].want);
			ck_assert_uint_eq(qfile_message_length(q), got.len);
			buf_free(&got);
		}
		qfile_free(&q);
		if (kept == 0)
			q = sample_open(buf_slice(&image));
	}
	buf_free(&image);
}
END_TEST

START_TEST(critical_edit)
{
	struct buf image = image_with(SLICE(SMALL), "Encrypt all\n");
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;

	ck_assert_int_eq(sample_try(buf_slice(&image), &q, why), QFILE_NEWER);
	ck_assert_ptr_nonnull(strstr(why, "Encrypt"));
	buf_free(&image);
}
END_TEST

/* A trailer larger than what is read of it at first. */
START_TEST(large_trailer)
{
	const size_t n = 300000, size = 200000;
	struct buf lines = BUF_INIT(IMAGE_MAX), image, got;
	char *content = malloc(size);
	struct qfile *q;
	int error;

	ck_assert_ptr_nonnull(content);
	memset(content, 'c', size);
	buf_printf(&lines, "insert 100 %zu\n", n);
	for (size_t i = 0; i < n; i++)
		buf_addc(&lines, 'i');
	buf_addc(&lines, '\n');
	image = image_with(slice_mem(content, size), lines.s);
	q = sample_open(buf_slice(&image));
	got = sample_message(q, 4096, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_eq(got.len, n + size);
	ck_assert_int_eq(got.s[99], 'c');
	ck_assert_int_eq(got.s[100], 'i');
	ck_assert_int_eq(got.s[100 + n - 1], 'i');
	ck_assert_int_eq(got.s[100 + n], 'c');
	buf_free(&got);
	qfile_free(&q);
	buf_free(&image);
	buf_free(&lines);
	free(content);
}
END_TEST

/* What changes between opening and reading is not published. */
START_TEST(changed_meanwhile)
{
	const size_t size = 200000;
	struct envelope env = sample_env();
	char *content = malloc(size);
	struct qreader *r;
	struct buf image, got;
	struct qfile *q;
	const char *p;
	int error, fd;

	ck_assert_ptr_nonnull(content);
	memset(content, 'c', size);
	image = sample_image(&env, slice_mem(content, size));
	q = sample_open(buf_slice(&image));
	fd = qfile_fd(q);
	ck_assert_int_eq(pwrite(fd, "d", 1,
	    (off_t)qfile_content_offset(q) + 150000), 1);
	got = sample_message(q, 4096, &error);
	ck_assert_int_eq(error, EBADMSG);
	buf_free(&got);
	ck_assert_int_eq(ftruncate(fd, 100000), 0);
	r = qreader_new(q, 4096);
	while (qreader_next(r, &p) > 0)
		continue;
	/* And it stays so. */
	ck_assert_int_eq(qreader_next(r, &p), -1);
	ck_assert_int_eq(errno, EBADMSG);
	qreader_free(&r);
	/* A read error is another thing. */
	ck_assert_int_eq(close(fd), 0);
	got = sample_message(q, 4096, &error);
	ck_assert_int_eq(error, EBADF);
	q->fd = dup(0);
	buf_free(&got);
	qfile_free(&q);
	buf_free(&image);
	free(content);
}
END_TEST

Suite *
qreader_suite(void)
{
	Suite *s = suite_create("qreader");
	TCase *t = tcase_create("qreader");

	tcase_add_loop_test(t, edits, 0, COUNT(edit_cases));
	tcase_add_test(t, critical_edit);
	tcase_add_test(t, large_trailer);
	tcase_add_test(t, changed_meanwhile);
	suite_add_tcase(s, t);
	return s;
}
