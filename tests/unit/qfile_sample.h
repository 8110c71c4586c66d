/*
 * Sample queue files for the suites of common/mail/qfile: built in memory by
 * the writer's functions, opened through a memfd.
 */
#ifndef TESTS_UNIT_QFILE_SAMPLE_H
#define TESTS_UNIT_QFILE_SAMPLE_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "common/base/buf.h"
#include "common/mail/qfile.h"

#define SAMPLE_ID "01jar9fq3raaaaaaaaaa"
#define SAMPLE_MS INT64_C(1764000000123)
#define IMAGE_MAX (256 * 1024 * 1024)

static struct env_recipient sample_rcpts[] = {
	{{"ann@example.org", 15}, {"", 0}, 0},
	{{"bob@example.org", 15}, {"rfc822;bob+2B@example.org", 25},
	    NOTIFY_FAILURE | NOTIFY_DELAY},
};

static inline struct envelope
sample_env(void)
{
	return (struct envelope){
		.id = SLICE(SAMPLE_ID), .from = SLICE("sender@example.net"),
		.flags = ENV_8BITMIME, .envid = SLICE_EMPTY,
		.client_ip = SLICE("192.0.2.7"),
		.client_helo = SLICE("client.example"),
		.protocol = SLICE("ESMTP"), .login = SLICE_EMPTY,
		.sid = SLICE("s1"), .prepend = SLICE("Received: here\r\n"),
		.recipients = {sample_rcpts, 2}};
}

/* A whole file: what queued writes. */
static inline struct buf
sample_image(const struct envelope *env, struct slice content)
{
	struct buf image = BUF_INIT(IMAGE_MAX), text = BUF_INIT(IMAGE_MAX);
	size_t at;

	qfile_envelope(env, SAMPLE_MS, &text, &at);
	ck_assert(!text.overflow);
	qfile_content_field(text.len, content.len, text.s + at);
	buf_addslice(&image, buf_slice(&text));
	buf_addslice(&image, content);
	qfile_trailer(buf_slice(&text), env,
	    NULL, 0, qfile_sum(0, content.p, content.len), content.len,
	    &image);
	ck_assert(!image.overflow);
	buf_free(&text);
	return image;
}

static inline struct buf
sample_small(void)
{
	struct envelope env = sample_env();

	return sample_image(&env, SLICE("Subject: hello\r\n\r\nHello.\r\n"));
}

/* A descriptor of a nameless file with these octets. */
static inline int
sample_fd(struct slice image)
{
	int fd = memfd_create("qfile", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image.p, image.len), (ssize_t)image.len);
	return fd;
}

static inline enum qfile_result
sample_try(struct slice image, struct qfile **q, char why[STATUS_TEXT_MAX])
{
	return qfile_adopt(sample_fd(image), true, q, why);
}

static inline struct qfile *
sample_open(struct slice image)
{
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	enum qfile_result r = sample_try(image, &q, why);

	ck_assert_msg(r == QFILE_OK, "result %d: %s", (int)r, why);
	return q;
}

/* All octets of the file as it is now. */
static inline struct buf
sample_read(int fd)
{
	struct buf image = BUF_INIT(IMAGE_MAX);
	off_t size = lseek(fd, 0, SEEK_END);

	ck_assert_int_ge(size, 0);
	ck_assert_ptr_nonnull(buf_room(&image, (size_t)size));
	ck_assert_int_eq(pread(fd, image.s, (size_t)size, 0), size);
	buf_wrote(&image, (size_t)size);
	return image;
}

/* Opens anew what q's file holds now, q being freed. */
static inline struct qfile *
sample_again(struct qfile **q)
{
	int fd = dup(qfile_fd(*q));
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *again = NULL;
	enum qfile_result r;

	qfile_free(q);
	r = qfile_adopt(fd, true, &again, why);
	ck_assert_msg(r == QFILE_OK, "result %d: %s", (int)r, why);
	return again;
}

/* The effective message, or what stopped it in *error. */
static inline struct buf
sample_message(struct qfile *q, size_t bufsize, int *error)
{
	struct qreader *r = qreader_new(q, bufsize);
	struct buf out = BUF_INIT(IMAGE_MAX);
	const char *p;
	ssize_t n;

	*error = 0;
	while ((n = qreader_next(r, &p)) > 0)
		buf_add(&out, p, (size_t)n);
	if (n < 0)
		*error = errno;
	qreader_free(&r);
	ck_assert_ptr_null(r);
	return out;
}

static inline int
sample_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#define CK_SLICE(s, want)                                                      \
	ck_assert_msg(slice_eq((s), slice_of(want)),                           \
	    "%s is \"%.*s\", not \"%s\"", #s, SLICE_FMT(s), (want))

#endif
