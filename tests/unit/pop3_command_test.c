/* pop3d/command: lines split, numbers, the table of states. */
#include <sys/socket.h>

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "pop3d/session.h"

Suite *pop3_command_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))

static const struct {
	const char *line, *word, *arg;
	bool has_arg;
} split_cases[] = {
	{"STAT", "STAT", "", false},
	{"STAT ", "STAT", "", false},
	{"RETR 1", "RETR", "1", true},
	{"PASS  a b ", "PASS", " a b ", true},
	{"PASS  ", "PASS", " ", true},
	{"", "", "", false},
	{" STAT", "", "STAT", true},
	{"A\tB", "A\tB", "", false},
};

START_TEST(splits)
{
	struct slice word, arg;
	bool has_arg;

	command_split(slice_of(split_cases[_i].line), &word, &arg, &has_arg);
	ck_assert(slice_eq(word, slice_of(split_cases[_i].word)));
	ck_assert(slice_eq(arg, slice_of(split_cases[_i].arg)));
	ck_assert(has_arg == split_cases[_i].has_arg);
}
END_TEST

static const struct {
	const char *arg;
	size_t n;
	bool ok;
	uint32_t v[2];
} number_cases[] = {
	{"1", 1, true, {1, 0}},
	{" 12 ", 1, true, {12, 0}},
	{"4294967295", 1, true, {UINT32_MAX, 0}},
	{"1 0", 2, true, {1, 0}},
	{"1  10", 2, true, {1, 10}},
	{"0", 1, false, {0, 0}},
	{"4294967296", 1, false, {0, 0}},
	{"4294967297", 1, false, {0, 0}},
	{"-1", 1, false, {0, 0}},
	{"+1", 1, false, {0, 0}},
	{"1x", 1, false, {0, 0}},
	{"0x1", 1, false, {0, 0}},
	{"", 1, false, {0, 0}},
	{"1 2", 1, false, {0, 0}},
	{"1", 2, false, {0, 0}},
	{"1 2 3", 2, false, {0, 0}},
	{"1 -1", 2, false, {0, 0}},
};

START_TEST(numbers)
{
	uint32_t v[2] = {0, 0};

	ck_assert_msg(command_numbers(slice_of(number_cases[_i].arg), v,
	    number_cases[_i].n) == number_cases[_i].ok, "%s",
	    number_cases[_i].arg);
	if (!number_cases[_i].ok)
		return;
	ck_assert_uint_eq(v[0], number_cases[_i].v[0]);
	ck_assert_uint_eq(v[1], number_cases[_i].v[1]);
}
END_TEST

static enum state
cmd_echo(struct session *s, struct slice arg)
{
	reply_ok(s, "(%.*s)", SLICE_FMT(arg));
	return STATE_USER;
}

static const struct command table[] = {
	{"NONE", IN(AUTHORIZATION), ARGS_NONE, cmd_echo},
	{"MAY", IN(AUTHORIZATION), ARGS_OPTIONAL, cmd_echo},
	{"MUST", IN(AUTHORIZATION), ARGS_NEEDED, cmd_echo},
	{"LATER", IN(USER), ARGS_NONE, cmd_echo},
	{"FAR", IN(TRANSACTION), ARGS_NONE, NULL},
	{"CAPA", IN(AUTHORIZATION), ARGS_OPTIONAL, cmd_capa},
	{"LANG", IN(AUTHORIZATION), ARGS_OPTIONAL, cmd_lang},
};

/* A session whose output is read back. */
static void
run(const char *line, struct session *s, struct buf *out)
{
	static const struct commands commands = {table, COUNT(table)};
	static struct conf conf;
	char chunk[4096];
	ssize_t n;
	int fds[2];

	conf.pop3_plaintext_login = true;
	ck_assert_int_eq(pipe(fds), 0);
	*s = (struct session){.conf = &conf, .net = stream_new(fds[1], 16, 64),
	    .state = STATE_AUTHORIZATION};
	s->state = command_run(s, &commands, slice_of(line));
	ck_assert_int_eq(stream_flush(s->net), STREAM_OK);
	stream_free(&s->net);
	while ((n = read(fds[0], chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	close(fds[0]);
}

static const struct {
	const char *line, *want;
	unsigned errors;
} run_cases[] = {
	{"NONE", "+OK ()\r\n", 0},
	{"none ", "+OK ()\r\n", 0},
	{"NONE 1", "-ERR NONE takes no argument\r\n", 1},
	{"MAY", "+OK ()\r\n", 0},
	{"MAY x\x01y\xff", "+OK (x?y?)\r\n", 0},
	{"MUST", "-ERR MUST needs an argument\r\n", 1},
	{"MUST  x", "+OK ( x)\r\n", 0},
	{"LATER", "-ERR USER comes first\r\n", 1},
	{"FAR", "-ERR Log in first\r\n", 1},
	{"FARTHER", "-ERR Unknown command\r\n", 1},
	{"", "-ERR Unknown command\r\n", 1},
	{" NONE", "-ERR Unknown command\r\n", 1},
	{"LANG", "+OK Language listing follows\r\nen English\r\n"
	    "i-default Default language\r\n.\r\n", 0},
	{"LANG *", "+OK en Replies are in English\r\n", 0},
	{"LANG EN-us", "+OK en Replies are in English\r\n", 0},
	{"LANG i-default", "+OK i-default Replies are in English\r\n", 0},
	{"LANG de", "-ERR en Replies are in English only\r\n", 0},
	{"CAPA", "+OK Capability list follows\r\nUSER\r\nTOP\r\nUIDL\r\n"
	    "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
	    "UTF8 USER\r\nLANG\r\nIMPLEMENTATION postern\r\n.\r\n", 0},
};

START_TEST(runs)
{
	struct buf out = BUF_INIT(10000);
	struct session s;

	run(run_cases[_i].line, &s, &out);
	ck_assert_str_eq(out.s, run_cases[_i].want);
	ck_assert_uint_eq(s.errors, run_cases[_i].errors);
	ck_assert_int_eq(s.state, strncmp(out.s, "+OK (", 5) == 0
	    ? STATE_USER : STATE_AUTHORIZATION);
	buf_free(&out);
}
END_TEST

/* However long what is quoted: 512 octets with CRLF (RFC 2449 4). */
START_TEST(long_reply)
{
	struct buf out = BUF_INIT(10000), line = BUF_INIT(10000);
	struct session s;

	buf_adds(&line, "MAY ");
	for (int i = 0; i < 1000; i++)
		buf_addc(&line, 'x');
	run(line.s, &s, &out);
	ck_assert_uint_eq(out.len, 512);
	ck_assert_str_eq(out.s + 508, "xx\r\n");
	buf_free(&out);
	buf_free(&line);
}
END_TEST

Suite *
pop3_command_suite(void)
{
	Suite *s = suite_create("pop3_command");
	TCase *t = tcase_create("pop3_command");

	tcase_add_loop_test(t, splits, 0, COUNT(split_cases));
	tcase_add_loop_test(t, numbers, 0, COUNT(number_cases));
	tcase_add_loop_test(t, runs, 0, COUNT(run_cases));
	tcase_add_test(t, long_reply);
	suite_add_tcase(s, t);
	return s;
}
