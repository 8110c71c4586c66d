/* common/mail/qfile: envelope, content and trailer of the queue file. */
#include <errno.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"
#include "tests/unit/qfile_sample.h"

Suite *qfile_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

/* ---- values ---- */

START_TEST(every_octet_is_quoted_back)
{
	char raw[256], back[256];
	struct buf out = BUF_INIT(4096);
	size_t n;

	for (int i = 0; i < 256; i++)
		raw[i] = (char)i;
	qtext_put_word(&out, slice_mem(raw, sizeof(raw)));
	for (size_t i = 0; i < out.len; i++)
		ck_assert(out.s[i] > 0x20 && out.s[i] < 0x7f &&
		    strchr("<>=;", out.s[i]) == NULL);
	ck_assert(qtext_word(buf_slice(&out), back, &n));
	ck_assert_mem_eq(back, raw, sizeof(raw));
	ck_assert_uint_eq(n, sizeof(raw));
	buf_reset(&out);
	qtext_put_rest(&out, slice_mem(raw, sizeof(raw)));
	ck_assert_ptr_null(memchr(out.s, '\n', out.len));
	memset(back, 0, sizeof(back));
	/* In place, as the reader does it. */
	ck_assert(qtext_rest(buf_slice(&out), out.s, &n));
	ck_assert_mem_eq(out.s, raw, sizeof(raw));
	buf_free(&out);
}
END_TEST

static const struct {
	const char *input, *want; /* NULL: refused */
} word_cases[] = {
	{"<>", ""}, {"%", NULL}, {"%4", NULL}, {"%4g", NULL}, {"a%41b", "aAb"},
	{"%c3", NULL}, {"%C3%A9", "\xc3\xa9"}, {"%25", "%"}, {"%%41", NULL},
};

START_TEST(words)
{
	struct slice in = slice_of(word_cases[_i].input);
	char out[32];
	size_t n;
	bool good = qtext_word(in, out, &n);

	ck_assert_int_eq(good, word_cases[_i].want != NULL);
	if (good)
		CK_SLICE(slice_mem(out, n), word_cases[_i].want);
}
END_TEST

static const struct {
	const char *text;
	int64_t ms; /* -1: refused */
} time_cases[] = {
	{"1970-01-01T00:00:00.000Z", 0},
	{"2000-02-29T12:00:00.001Z", INT64_C(951825600001)},
	{"2000-03-01T00:00:00.000Z", INT64_C(951868800000)},
	{"2025-11-24T16:00:00.123Z", SAMPLE_MS},
	{"2100-02-28T23:59:59.999Z", INT64_C(4107542399999)},
	{"9999-12-30T23:59:59.999Z", INT64_C(253402214399999)},
	{"1969-12-31T23:59:59.999Z", -1},
	{"2025-13-24T16:00:00.123Z", -1},
	{"2025-00-24T16:00:00.123Z", -1},
	{"2025-11-00T16:00:00.123Z", -1},
	{"2025-11-24T24:00:00.123Z", -1},
	{"2025-11-24T16:60:00.123Z", -1},
	{"2025-11-24 16:00:00.123Z", -1},
	{"2025-11-24T16:00:00.123z", -1},
	{"2025-11-24T16:00:00Z", -1},
	{"2025-11-24T16:00:00.+23Z", -1},
	{"", -1},
};

START_TEST(times)
{
	struct buf out = BUF_INIT(64);
	int64_t ms = -1;
	bool good = qtext_time(slice_of(time_cases[_i].text), &ms);

	ck_assert_int_eq(good, time_cases[_i].ms >= 0);
	ck_assert_int_eq(ms, time_cases[_i].ms);
	if (!good)
		return;
	qtext_put_time(&out, ms);
	CK_SLICE(buf_slice(&out), time_cases[_i].text);
	buf_free(&out);
}
END_TEST

START_TEST(times_of_every_day)
{
	struct buf out = BUF_INIT(64);

	for (int64_t day = 0; day < 60000; day++) {
		int64_t back, ms = day * 86400000 + day;

		buf_reset(&out);
		qtext_put_time(&out, ms);
		ck_assert(qtext_time(buf_slice(&out), &back));
		ck_assert_int_eq(back, ms);
	}
	buf_free(&out);
}
END_TEST

/* ---- the text, as postern-queue(5) shows it ---- */

START_TEST(golden)
{
	struct buf image = sample_small();
	const char *want =
	    "postern-queue 1\n"
	    "id 01jar9fq3raaaaaaaaaa\n"
	    "content 000000000317 0000000000000000026\n"
	    "created 2025-11-24T16:00:00.123Z\n"
	    "from sender@example.net\n"
	    "flags 8bitmime\n"
	    "client ip=192.0.2.7 helo=client.example protocol=ESMTP sid=s1\n"
	    "rcpt T ann@example.org\n"
	    "rcpt T bob@example.org notify=failure,delay "
	    "orcpt=rfc822%3Bbob+2B@example.org\n"
	    "\n"
	    "Subject: hello\r\n\r\nHello.\r\n"
	    "\ntrailer 0000000115\n"
	    "insert 0 16\n"
	    "Received: here\r\n\n"
	    "sum crc32 content 1647e10b envelope 642398d3 trailer d353a743\n"
	    "end\n";

	CK_SLICE(buf_slice(&image), want);
	buf_free(&image);
}
END_TEST

/* ---- there and back ---- */

#define HOSTILE "a\nrcpt T x@y\r\n% =<>;\0\x7f\xff"

static struct slice
fill(char *room, size_t n)
{
	memset(room, '%', n);
	return slice_mem(room, n);
}

static void
same_env(const struct envelope *a, const struct envelope *b)
{
	ck_assert(slice_eq(a->id, b->id));
	ck_assert(slice_eq(a->from, b->from));
	ck_assert_uint_eq(a->flags, b->flags);
	ck_assert(slice_eq(a->envid, b->envid));
	ck_assert_uint_eq(a->by_at_ms, b->by_at_ms);
	ck_assert(slice_eq(a->client_ip, b->client_ip));
	ck_assert(slice_eq(a->client_helo, b->client_helo));
	ck_assert(slice_eq(a->protocol, b->protocol));
	ck_assert(slice_eq(a->login, b->login));
	ck_assert(slice_eq(a->sid, b->sid));
	ck_assert(slice_eq(a->prepend, b->prepend));
}

static void
same_file(const struct envelope *env, struct slice content)
{
	struct buf image = sample_image(env, content), message;
	struct qfile *q = sample_open(buf_slice(&image));
	const struct env_recipient *want = env->recipients.v;
	int error;

	same_env(qfile_env(q), env);
	ck_assert_int_eq(qfile_created_ms(q), SAMPLE_MS);
	ck_assert_uint_eq(qfile_nrcpts(q), env->recipients.n);
	for (size_t i = 0; i < env->recipients.n; i++) {
		struct qrcpt *r = qfile_rcpt(q, i);

		ck_assert(slice_eq(r->address, want[i].address));
		ck_assert(slice_eq(r->orcpt, want[i].orcpt));
		ck_assert_uint_eq(r->notify, want[i].notify);
		ck_assert_int_eq(r->state, QSTATE_TODO);
		ck_assert_uint_eq(r->number, i + 1);
		ck_assert_int_eq(image.s[r->state_at], 'T');
		ck_assert_uint_eq(r->parent, 0);
		ck_assert_uint_eq(r->kind, 0);
		ck_assert_int_eq(r->next_ms, 0);
	}
	ck_assert_uint_eq(qfile_content_length(q), content.len);
	ck_assert_mem_eq(image.s + qfile_content_offset(q), content.p,
	    content.len);
	ck_assert(!qfile_journal_torn(q));
	message = sample_message(q, 65536, &error);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_eq(message.len, env->prepend.len + content.len);
	ck_assert_uint_eq(qfile_message_length(q), message.len);
	ck_assert_mem_eq(message.s, env->prepend.p, env->prepend.len);
	ck_assert_mem_eq(message.s + env->prepend.len, content.p, content.len);
	buf_free(&message);
	buf_free(&image);
	qfile_free(&q);
	ck_assert_ptr_null(q);
}

START_TEST(plain_there_and_back)
{
	struct envelope env = sample_env();

	same_file(&env, SLICE("Subject: x\r\n\r\ny\r\n"));
	same_file(&env, SLICE_EMPTY);
	/* Content that looks like all the rest of the file. */
	same_file(&env, SLICE("\n\n\ntrailer 0000000131\nrcpt D x\n"
	    "sum crc32 content 00000000 envelope 00000000 trailer 00000000\n"
	    "end\n@0000000001 00000000\n\0"));
	env.from = SLICE_EMPTY;
	env.prepend = SLICE_EMPTY;
	env.flags = 0;
	env.client_ip = env.client_helo = env.protocol = env.sid = SLICE_EMPTY;
	same_file(&env, SLICE("x"));
}
END_TEST

START_TEST(everything_there_and_back)
{
	struct envelope env = sample_env();
	struct env_recipient rcpts[] = {
		{SLICE(HOSTILE), SLICE(HOSTILE), 15},
		{SLICE("<>"), SLICE("<>"), NOTIFY_NEVER},
		{SLICE(" "), SLICE("="), NOTIFY_SUCCESS},
	};

	env.from = SLICE(HOSTILE);
	env.flags = 511;
	env.envid = SLICE(HOSTILE);
	env.by_at_ms = SAMPLE_MS + 1;
	env.client_ip = env.client_helo = env.protocol = SLICE(HOSTILE);
	env.login = env.sid = SLICE(HOSTILE);
	env.prepend = SLICE("\nend\n" HOSTILE);
	env.recipients = (struct chan_list){rcpts, 3};
	same_file(&env, SLICE(HOSTILE));
}
END_TEST

START_TEST(largest_there_and_back)
{
	static char room[ENV_RECEIVED_MAX];
	struct envelope env = sample_env();
	struct env_recipient rcpt = {fill(room, ENV_ADDRESS_MAX),
	    slice_mem(room, ENV_ORCPT_MAX), 1};

	env.from = slice_mem(room, ENV_ADDRESS_MAX);
	env.envid = slice_mem(room, ENV_ENVID_TEXT_MAX);
	env.client_ip = slice_mem(room, ENV_IP_MAX);
	env.client_helo = env.login = slice_mem(room, ENV_TEXT_MAX);
	env.protocol = env.sid = slice_mem(room, ENV_WORD_MAX);
	env.prepend = fill(room, ENV_RECEIVED_MAX);
	env.recipients = (struct chan_list){&rcpt, 1};
	same_file(&env, slice_mem(room, sizeof(room)));
}
END_TEST

static const size_t sizes[] = {
	16 * 1024 - 500, 16 * 1024, 64 * 1024 - 512, 64 * 1024 - 511,
	64 * 1024, 200000, 3000000,
};

/* Around the sizes at which the reader reads differently. */
START_TEST(large_content)
{
	struct envelope env = sample_env();
	char *content = malloc(sizes[_i]);

	ck_assert_ptr_nonnull(content);
	for (size_t i = 0; i < sizes[_i]; i++)
		content[i] = (char)(i * 7 + i / 251);
	same_file(&env, slice_mem(content, sizes[_i]));
	free(content);
}
END_TEST

START_TEST(many_recipients)
{
	const size_t n = ENV_RECIPIENTS_MAX;
	struct env_recipient *rcpts = calloc(n, sizeof(*rcpts));
	char (*names)[24] = calloc(n, sizeof(*names));
	struct envelope env = sample_env();
	int64_t start = clock_mono_ms();

	ck_assert(rcpts != NULL && names != NULL);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@example.org", i);
		rcpts[i] = (struct env_recipient){slice_of(names[i]),
		    SLICE_EMPTY, 0};
	}
	env.recipients = (struct chan_list){rcpts, n};
	same_file(&env, SLICE("x\r\n"));
	/* Linear: far away from what anything quadratic would take. */
	ck_assert_int_lt(clock_mono_ms() - start, 15000);
	free(names);
	free(rcpts);
}
END_TEST

/* ---- what the writer refuses ---- */

static void
set_from(struct envelope *e, struct slice s)
{
	e->from = s;
}
static void
set_helo(struct envelope *e, struct slice s)
{
	e->client_helo = s;
}
static void
set_prepend(struct envelope *e, struct slice s)
{
	e->prepend = s;
}
static void
set_id(struct envelope *e, struct slice s)
{
	e->id = s;
}
static void
set_no_rcpts(struct envelope *e, struct slice s)
{
	(void)s;
	e->recipients.n = 0;
}
static struct env_recipient long_rcpt;
static void
set_rcpt(struct envelope *e, struct slice s)
{
	long_rcpt.address = s;
	long_rcpt.orcpt = SLICE_EMPTY;
	e->recipients = (struct chan_list){&long_rcpt, 1};
}

static const struct {
	const char *name;
	void (*set)(struct envelope *e, struct slice s);
	size_t len;
} limit_cases[] = {
	{"from", set_from, ENV_ADDRESS_MAX + 1},
	{"helo", set_helo, ENV_TEXT_MAX + 1},
	{"prepend", set_prepend, ENV_RECEIVED_MAX + 1},
	{"short id", set_id, ID_LEN - 1},
	{"bad id", set_id, ID_LEN},
	{"no recipients", set_no_rcpts, 0},
	{"empty recipient", set_rcpt, 0},
	{"long recipient", set_rcpt, ENV_ADDRESS_MAX + 1},
};

START_TEST(limits)
{
	static char room[ENV_RECEIVED_MAX + 1];
	struct envelope env = sample_env();
	struct buf out = BUF_INIT(IMAGE_MAX);
	size_t at;

	limit_cases[_i].set(&env, fill(room, limit_cases[_i].len));
	qfile_envelope(&env, SAMPLE_MS, &out, &at);
	ck_assert_msg(out.overflow, "%s", limit_cases[_i].name);
	buf_free(&out);
}
END_TEST

/* ---- damage ---- */

START_TEST(never_completed)
{
	struct buf image = sample_small();
	char why[STATUS_TEXT_MAX];
	struct qfile *q = NULL;

	memset(image.s + QFILE_CONTENT_AT, ' ', QFILE_CONTENT_WIDTH);
	ck_assert_int_eq(sample_try(buf_slice(&image), &q, why),
	    QFILE_CORRUPT);
	ck_assert_str_eq(why, "octet 48: the file was never completed");
	ck_assert_ptr_null(q);
	buf_free(&image);
}
END_TEST

/* Every shorter file is corrupt, and leaves no descriptor behind. */
START_TEST(truncated_anywhere)
{
	struct buf image = sample_small();
	int before = sample_open_fds();
	struct qfile *q = NULL;

	for (size_t n = 0; n < image.len; n++) {
		char why[STATUS_TEXT_MAX] = "";
		enum qfile_result r = sample_try(slice_mem(image.s, n), &q,
		    why);

		ck_assert_msg(r == QFILE_CORRUPT, "%zu octets: %d", n, (int)r);
		ck_assert_str_ne(why, "");
		ck_assert_ptr_null(q);
	}
	ck_assert_int_eq(sample_open_fds(), before);
	buf_free(&image);
}
END_TEST

/* Bits of a state octet may turn one state into another: nobody can tell.
 * Everything else is found. */
static void
check_flipped(const struct buf *image, size_t at, int bit)
{
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	enum qfile_result r = sample_try(buf_slice(image), &q, why);
	size_t i;

	if (r == QFILE_CORRUPT || r == QFILE_NEWER) {
		ck_assert_str_ne(why, "");
		ck_assert_ptr_null(q);
		return;
	}
	ck_assert_int_eq(r, QFILE_OK);
	for (i = 0; i < qfile_nrcpts(q); i++)
		if (qfile_rcpt(q, i)->state_at == at)
			break;
	ck_assert_msg(i < qfile_nrcpts(q), "bit %d of octet %zu", bit, at);
	ck_assert(qfile_state_valid(image->s[at]));
	qfile_free(&q);
}

START_TEST(bits_flipped_anywhere)
{
	struct buf image = sample_small();

	for (size_t at = 0; at < image.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			image.s[at] = (char)(image.s[at] ^ (1 << bit));
			check_flipped(&image, at, bit);
			image.s[at] = (char)(image.s[at] ^ (1 << bit));
		}
	}
	buf_free(&image);
}
END_TEST

/* Without `verify` a broken content opens, and the reader refuses its end. */
START_TEST(broken_content)
{
	struct buf image = sample_small(), message;
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	int error;

	image.s[317 + 10] ^= 1;
	ck_assert_int_eq(sample_try(buf_slice(&image), &q, why),
	    QFILE_CORRUPT);
	ck_assert_str_eq(why,
	    "octet 317: the content does not match its sum");
	ck_assert_int_eq(qfile_adopt(sample_fd(buf_slice(&image)), false, &q,
	    why), QFILE_OK);
	message = sample_message(q, 10, &error);
	ck_assert_int_eq(error, EBADMSG);
	buf_free(&message);
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

/* ---- newer versions ---- */

/* A file whose envelope has `line` in it, rightly summed. */
static struct buf
image_with(const char *version, const char *line)
{
	struct envelope env = sample_env();
	struct buf text = BUF_INIT(4096), out = BUF_INIT(8192), body;
	struct slice content = SLICE("x\r\n");
	size_t at;

	qfile_envelope(&env, SAMPLE_MS, &text, &at);
	body = buf_take(&text);
	buf_init(&text, 4096);
	buf_adds(&text, version);
	buf_add(&text, body.s + strlen(version),
	    QFILE_FIXED_LEN - strlen(version));
	buf_adds(&text, line);
	buf_add(&text, body.s + QFILE_FIXED_LEN, body.len - QFILE_FIXED_LEN);
	qfile_content_field(text.len, content.len, text.s + at);
	buf_addslice(&out, buf_slice(&text));
	buf_addslice(&out, content);
	qfile_trailer(buf_slice(&text), &env, NULL, 0, qfile_sum(0, content.p,
	    content.len), content.len, &out);
	buf_free(&text);
	buf_free(&body);
	return out;
}

static const struct {
	const char *name, *version, *line;
	enum qfile_result want;
} line_cases[] = {
	{"nothing new", "postern-queue 1", "", QFILE_OK},
	{"version 2", "postern-queue 2", "", QFILE_NEWER},
	{"version 0", "postern-queue 0", "", QFILE_CORRUPT},
	{"no version", "postern-queue x", "", QFILE_CORRUPT},
	{"another file", "poster2-queue 1", "", QFILE_CORRUPT},
	{"unknown", "postern-queue 1", "colour red\n", QFILE_OK},
	{"unknown alone", "postern-queue 1", "colour\n", QFILE_OK},
	{"critical", "postern-queue 1", "Colour red\n", QFILE_NEWER},
	{"unknown flag", "postern-queue 1", "", QFILE_OK},
	{"second from", "postern-queue 1", "from x\n", QFILE_CORRUPT},
	{"second created", "postern-queue 1",
	    "created 2025-11-24T16:00:00.123Z\n", QFILE_CORRUPT},
	{"empty line", "postern-queue 1", "\n", QFILE_OK},
	{"by", "postern-queue 1", "by 2025-11-24T16:00:00.123Z\n", QFILE_OK},
	{"bad by", "postern-queue 1", "by tomorrow\n", QFILE_CORRUPT},
	{"no by", "postern-queue 1", "by\n", QFILE_CORRUPT},
	{"bad quoting", "postern-queue 1", "envid a%4\n", QFILE_CORRUPT},
	{"no envid", "postern-queue 1", "envid \n", QFILE_CORRUPT},
	{"rcpt", "postern-queue 1", "rcpt T x\n", QFILE_OK},
	{"rcpt done", "postern-queue 1", "rcpt D x\n", QFILE_CORRUPT},
	{"rcpt two states", "postern-queue 1", "rcpt TT x\n", QFILE_CORRUPT},
	{"rcpt no address", "postern-queue 1", "rcpt T\n", QFILE_CORRUPT},
	{"rcpt empty address", "postern-queue 1", "rcpt T <>\n",
	    QFILE_CORRUPT},
	{"rcpt pair", "postern-queue 1", "rcpt T x colour=red\n", QFILE_OK},
	{"rcpt critical pair", "postern-queue 1", "rcpt T x Colour=red\n",
	    QFILE_NEWER},
	{"rcpt no pair", "postern-queue 1", "rcpt T x y\n", QFILE_CORRUPT},
	{"rcpt notify", "postern-queue 1", "rcpt T x notify=often\n",
	    QFILE_CORRUPT},
	{"bare rcpt", "postern-queue 1", "rcpt\n", QFILE_CORRUPT},
};

START_TEST(lines)
{
	struct buf image = image_with(line_cases[_i].version,
	    line_cases[_i].line);
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	enum qfile_result r = sample_try(buf_slice(&image), &q, why);

	ck_assert_msg(r == line_cases[_i].want, "%s: %d %s",
	    line_cases[_i].name, (int)r, why);
	ck_assert_int_eq(q != NULL, r == QFILE_OK);
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

/* ---- opening by name ---- */

static char dir[64];
static int dirfd_;

static void
setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/postern-qfile.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_, 0);
}

static void
teardown(void)
{
	static const char *const left[] = {SAMPLE_ID, "other",
	    "00000000000000000000", "fifo", "link"};

	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		unlinkat(dirfd_, left[i], 0);
	unlinkat(dirfd_, "dir", AT_REMOVEDIR);
	close(dirfd_);
	rmdir(dir);
}

static void
put_file(const char *name, struct slice image)
{
	int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, image.p, image.len), (ssize_t)image.len);
	close(fd);
}

static const struct {
	const char *name;
	bool want_write;
	enum qfile_result want;
} open_cases[] = {
	{SAMPLE_ID, false, QFILE_OK},
	{SAMPLE_ID, true, QFILE_OK},
	{"other", false, QFILE_OK},
	{"00000000000000000000", true, QFILE_CORRUPT},
	{"missing", true, QFILE_ERROR},
	{"fifo", false, QFILE_CORRUPT},
	{"fifo", true, QFILE_CORRUPT},
	{"link", false, QFILE_CORRUPT},
	{"dir", false, QFILE_CORRUPT},
	{"dir", true, QFILE_CORRUPT},
};

START_TEST(open_by_name)
{
	struct buf image = sample_small(), message;
	char why[STATUS_TEXT_MAX] = "";
	int before = sample_open_fds(), error;
	struct qfile *q = NULL;
	enum qfile_result r;

	put_file(SAMPLE_ID, buf_slice(&image));
	put_file("other", buf_slice(&image));
	put_file("00000000000000000000", buf_slice(&image));
	ck_assert_int_eq(mkfifoat(dirfd_, "fifo", 0600), 0);
	ck_assert_int_eq(symlinkat(SAMPLE_ID, dirfd_, "link"), 0);
	ck_assert_int_eq(mkdirat(dirfd_, "dir", 0700), 0);
	r = qfile_open(dirfd_, open_cases[_i].name, open_cases[_i].want_write,
	    _i % 2 == 0, &q, why);
	ck_assert_msg(r == open_cases[_i].want, "%s: %d %s",
	    open_cases[_i].name, (int)r, why);
	if (r == QFILE_OK) {
		/* The content is there whether kept or read again. */
		message = sample_message(q, 5, &error);
		ck_assert_int_eq(error, 0);
		CK_SLICE(buf_slice(&message),
		    "Received: here\r\nSubject: hello\r\n\r\nHello.\r\n");
		buf_free(&message);
		qfile_free(&q);
	} else if (r == QFILE_ERROR) {
		ck_assert_int_eq(errno, ENOENT);
	}
	ck_assert_ptr_null(q);
	ck_assert_int_eq(sample_open_fds(), before);
	buf_free(&image);
}
END_TEST

/* A read error is temporary, and never "corrupt". */
START_TEST(read_error)
{
	struct buf image = sample_small();
	char why[STATUS_TEXT_MAX] = "";
	struct qfile *q = NULL;
	int fd;

	put_file("other", buf_slice(&image));
	fd = openat(dirfd_, "other", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(qfile_adopt(fd, true, &q, why), QFILE_ERROR);
	ck_assert_int_eq(errno, EBADF);
	ck_assert_str_eq(why, "cannot read: Bad file descriptor");
	ck_assert_int_eq(qfile_adopt(-1, true, &q, why), QFILE_ERROR);
	ck_assert_ptr_null(q);
	buf_free(&image);
}
END_TEST

START_TEST(held_on_arrival)
{
	struct envelope env = sample_env();
	struct buf image;
	struct qfile *q;

	env.flags = ENV_HOLD;
	image = sample_image(&env, SLICE("x"));
	q = sample_open(buf_slice(&image));
	CK_SLICE(qfile_hold_reason(q), "held when it was accepted");
	CK_SLICE(qfile_rcpt(q, 0)->rule, "hold");
	qfile_free(&q);
	buf_free(&image);
}
END_TEST

Suite *
qfile_suite(void)
{
	Suite *s = suite_create("qfile");
	TCase *t = tcase_create("values");

	tcase_add_test(t, every_octet_is_quoted_back);
	tcase_add_loop_test(t, words, 0, COUNT(word_cases));
	tcase_add_loop_test(t, times, 0, COUNT(time_cases));
	tcase_add_test(t, times_of_every_day);
	suite_add_tcase(s, t);

	t = tcase_create("file");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, golden);
	tcase_add_test(t, plain_there_and_back);
	tcase_add_test(t, everything_there_and_back);
	tcase_add_test(t, largest_there_and_back);
	tcase_add_loop_test(t, large_content, 0, COUNT(sizes));
	tcase_add_test(t, many_recipients);
	tcase_add_loop_test(t, limits, 0, COUNT(limit_cases));
	tcase_add_test(t, never_completed);
	tcase_add_test(t, truncated_anywhere);
	tcase_add_test(t, bits_flipped_anywhere);
	tcase_add_test(t, broken_content);
	tcase_add_loop_test(t, lines, 0, COUNT(line_cases));
	tcase_add_test(t, held_on_arrival);
	suite_add_tcase(s, t);

	t = tcase_create("names");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, open_by_name, 0, COUNT(open_cases));
	tcase_add_test(t, read_error);
	suite_add_tcase(s, t);
	return s;
}
