/* Command lines, the table of commands, and the arguments of BDAT and ETRN. */
#include <check.h>

#include "smtpd/command.h"

Suite *smtp_command_suite(void);

static const struct {
	const char *line, *verb, *arg;
	bool known;
} lines[] = {
	{"NOOP", "NOOP", "", true},
	{"noop", "noop", "", true},
	{"NOOP ", "NOOP", "", true},
	{"NOOP \t ", "NOOP", "", true},
	{"NOOP a b", "NOOP", "a b", true},
	{"MAIL FROM:<a@b>", "MAIL", "FROM:<a@b>", true},
	{"MAIL  FROM:<a@b> ", "MAIL", "FROM:<a@b>", true},
	{"", "", "", false},
	{" ", "", "", false},
	{" NOOP", "", "NOOP", false},
	{"NOOPS", "NOOPS", "", false},
	{"NOO", "NOO", "", false},
	{"NOOP\tx", "NOOP\tx", "", false},
	{"STARTTLS", "STARTTLS", "", false},
	{"AUTH PLAIN", "AUTH", "PLAIN", false},
	{"BDAT 10 LAST", "BDAT", "10 LAST", true},
};

START_TEST(line)
{
	struct slice verb, arg;

	smtp_command_split(slice_of(lines[_i].line), &verb, &arg);
	ck_assert_msg(slice_eq(verb, slice_of(lines[_i].verb)), "%s",
	    lines[_i].line);
	ck_assert_msg(slice_eq(arg, slice_of(lines[_i].arg)), "%s",
	    lines[_i].line);
	ck_assert_msg((smtp_command_find(verb) != NULL) == lines[_i].known,
	    "%s", lines[_i].line);
}
END_TEST

/* Each command where RFC 5321 4.1.4 allows it. */
START_TEST(states)
{
	static const struct {
		const char *verb;
		unsigned states;
	} v[] = {
		{"MAIL", IN(GREETED)},
		{"RCPT", IN(MAIL) | IN(RCPT)},
		{"DATA", IN(RCPT)},
		{"ETRN", IN(GREETED)},
		{"RSET", ANYWHERE},
		{"EHLO", ANYWHERE},
		{"QUIT", ANYWHERE},
	};

	const struct command *c;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		c = smtp_command_find(slice_of(v[i].verb));
		ck_assert_uint_eq(c->states, v[i].states);
	}
	for (size_t i = 0; (c = smtp_command_at(i)) != NULL; i++)
		ck_assert_ptr_eq(smtp_command_find(slice_of(c->name)), c);
}
END_TEST

static const struct {
	const char *arg;
	bool ok;
	uint64_t size;
	bool last;
} bdats[] = {
	{"0", true, 0, false},
	{"10", true, 10, false},
	{"10 LAST", true, 10, true},
	{"10 last", true, 10, true},
	{"10  LAST", true, 10, true},
	{"0 LAST", true, 0, true},
	{"9223372036854775807", true, INT64_MAX, false},
	{"9223372036854775808", false, 0, false},
	{"18446744073709551617", false, 0, false},
	{"", false, 0, false},
	{"LAST", false, 0, false},
	{"-1", false, 0, false},
	{"+1", false, 0, false},
	{"0x10", false, 0, false},
	{"10 FIRST", false, 0, false},
	{"10 LAST x", false, 0, false},
	{"10LAST", false, 0, false},
};

START_TEST(bdat)
{
	uint64_t size = 77;
	bool last = true;
	bool ok = bdat_parse(slice_of(bdats[_i].arg), &size, &last);

	ck_assert_msg(ok == bdats[_i].ok, "%s", bdats[_i].arg);
	if (ok) {
		ck_assert_uint_eq(size, bdats[_i].size);
		ck_assert(last == bdats[_i].last);
	} else {
		ck_assert_uint_eq(size, 77);
	}
}
END_TEST

static const struct {
	const char *arg;
	bool ok;
} etrns[] = {
	{"node.example", true},
	{"@node.example", true},
	{"#queue", true},
	{"", false},
	{"@", false},
	{"#", false},
	{"#a b", false},
	{"node_example", false},
	{"a b", false},
	{"@@node.example", false},
	{"[192.0.2.1]", false},
};

START_TEST(etrn)
{
	const char *why = NULL;

	ck_assert_msg(etrn_parse(slice_of(etrns[_i].arg), &why) ==
	    etrns[_i].ok, "%s", etrns[_i].arg);
	ck_assert(etrns[_i].ok || why != NULL);
}
END_TEST

#define COUNT(v) (int)(sizeof(v) / sizeof((v)[0]))

Suite *
smtp_command_suite(void)
{
	Suite *s = suite_create("smtp_command");
	TCase *tc = tcase_create("command");

	tcase_add_loop_test(tc, line, 0, COUNT(lines));
	tcase_add_test(tc, states);
	tcase_add_loop_test(tc, bdat, 0, COUNT(bdats));
	tcase_add_loop_test(tc, etrn, 0, COUNT(etrns));
	suite_add_tcase(s, tc);
	return s;
}
