/* common/front/front: PROXY headers, whole and octet by octet; the table of
 * clients.  The parent itself is tested with the programs. */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/front/front.h"
#include "common/front/front_int.h"
#include "common/io/stream.h"

Suite *front_suite(void);

#define COUNT(t) ((int)(sizeof(t) / sizeof((t)[0])))
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(text) {SIGNATURE text, 12 + sizeof(text) - 1}
#define V1(text) {text, sizeof(text) - 1}

static const struct {
	const char *name;
	struct slice in;
	const char *src; /* NULL: refused; "": not known */
	uint16_t port;
	size_t rest;     /* octets behind the header */
} cases[] = {
	{"tcp4", V1("PROXY TCP4 192.0.2.1 192.0.2.2 1025 110\r\nUSER"),
	    "192.0.2.1", 1025, 4},
	{"tcp6", V1("PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n"),
	    "2001:db8::1", 65535, 0},
	{"unknown", V1("PROXY UNKNOWN\r\nx"), "", 0, 1},
	{"unknown with words", V1("PROXY UNKNOWN a b c\r\n"), "", 0, 0},
	{"v2 tcp4", V2("\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\4\1\0\x6e" "USER"),
	    "192.0.2.1", 1025, 4},
	{"v2 tcp4 and more", V2("\x21\x11\0\x0f\xc0\0\2\1\xc0\0\2\2\4\1\0\x6e"
	    "abc"), "192.0.2.1", 1025, 0},
	{"v2 tcp6", V2("\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\4\1\0\x6e"),
	    "2001:db8::1", 1025, 0},
	{"v2 local", V2("\x20\0\0\0x"), "", 0, 1},
	{"v2 udp", V2("\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\4\1\0\x6e"), "", 0,
	    0},
	{"no header", V1("USER ann\r\n"), NULL, 0, 0},
	{"http", V1("GET / HTTP/1.0\r\n"), NULL, 0, 0},
	{"no CR", V1("PROXY TCP4 192.0.2.1 192.0.2.2 1025 110\n"), NULL, 0, 0},
	{"too few", V1("PROXY TCP4 192.0.2.1 192.0.2.2 1025\r\n"), NULL, 0, 0},
	{"too many", V1("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), NULL, 0,
	    0},
	{"two spaces", V1("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), NULL, 0,
	    0},
	{"port", V1("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), NULL, 0, 0},
	{"port zero", V1("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), NULL, 0,
	    0},
	{"family", V1("PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n"), NULL, 0, 0},
	{"family 5", V1("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"), NULL, 0, 0},
	{"v2 version", V2("\x11\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\4\1\0\x6e"),
	    NULL, 0, 0},
	{"v2 command", V2("\x22\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\4\1\0\x6e"),
	    NULL, 0, 0},
	{"v2 cut", V2("\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\4\1\0"), NULL, 0, 0},
	{"v2 long", V2("\x21\x11\xff\xff"), NULL, 0, 0},
};

/* Shows ever more of the input, as the parser asks for it. */
static enum front_proxy_result
feed(struct slice in, struct front_proxy *out, size_t *used)
{
	enum front_proxy_result r = FRONT_PROXY_MORE;
	const char *why = NULL;
	size_t shown = 1;

	while (shown <= in.len) {
		r = front_parse_proxy(slice_sub(in, 0, shown), out, used,
		    &why);
		if (r != FRONT_PROXY_MORE)
			break;
		ck_assert_uint_gt(*used, shown);
		shown++;
	}
	if (r == FRONT_PROXY_BAD)
		ck_assert_ptr_nonnull(why);
	return r;
}

START_TEST(proxy)
{
	struct front_proxy p;
	char text[IP_TEXT_SIZE];
	const char *why;
	size_t used = 0;
	enum front_proxy_result whole;

	whole = front_parse_proxy(cases[_i].in, &p, &used, &why);
	if (cases[_i].src == NULL) {
		ck_assert_msg(whole == FRONT_PROXY_BAD, "%s", cases[_i].name);
		ck_assert_msg(feed(cases[_i].in, &p, &used) ==
		    FRONT_PROXY_BAD, "%s", cases[_i].name);
		return;
	}
	ck_assert_msg(whole == FRONT_PROXY_OK, "%s: %s", cases[_i].name, why);
	ck_assert_uint_eq(used, cases[_i].in.len - cases[_i].rest);
	ck_assert_int_eq(feed(cases[_i].in, &p, &used), FRONT_PROXY_OK);
	ck_assert_uint_eq(used, cases[_i].in.len - cases[_i].rest);
	ck_assert_msg(p.known == (cases[_i].src[0] != '\0'), "%s",
	    cases[_i].name);
	if (!p.known)
		return;
	ip_text(&p.src, text);
	ck_assert_str_eq(text, cases[_i].src);
	ck_assert_uint_eq(p.src_port, cases[_i].port);
}
END_TEST

START_TEST(read_proxy)
{
	struct ip ip = {{0}}, local = {{0}};
	char text[IP_TEXT_SIZE];
	struct stream *s;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_gt(write(fds[1], cases[0].in.p, cases[0].in.len), 0);
	s = stream_new(fds[0], 5000, 64);
	ck_assert(front_read_proxy(s, clock_mono_ms() + 1000, &ip, &local));
	ip_text(&ip, text);
	ck_assert_str_eq(text, "192.0.2.1");
	ip_text(&local, text);
	ck_assert_str_eq(text, "192.0.2.2");
	ck_assert_uint_eq(stream_buffered(s), 4);
	/* Nothing more comes. */
	stream_consume(s, 4);
	ck_assert(!front_read_proxy(s, clock_mono_ms() + 20, &ip, &local));
	close(fds[1]);
	ck_assert(!front_read_proxy(s, clock_mono_ms() + 1000, &ip, &local));
	stream_free(&s);
}
END_TEST

static struct ip
address(uint8_t last)
{
	return (struct ip){{0x20, 1, 0xd, 0xb8, [15] = last}};
}

/* A uid is counted apart from every address. */
START_TEST(units)
{
	static const char *const addresses[] = {"0.0.3.232", "192.0.2.1", "::",
	    "::1", "::3e8", "::1:0:0:3e8", "2001:db8::1", "e803::"};
	struct front_client user = {.user = true, .uid = 1000};
	struct front_client other = {.user = true, .uid = 1001};
	struct ip unit = front_unit(&user), b = front_unit(&other);

	ck_assert(!ip_equal(&unit, &b));
	other.uid = 1000;
	b = front_unit(&other);
	ck_assert(ip_equal(&unit, &b));
	for (int i = 0; i < COUNT(addresses); i++) {
		struct front_client c = {.user = false};

		ck_assert(ip_parse(slice_of(addresses[i]), &c.ip));
		b = front_unit(&c);
		ck_assert(!ip_equal(&unit, &b));
	}
}
END_TEST

START_TEST(clients)
{
	struct front_clients *c = front_clients_new(3);
	struct front_slot *v[3];
	struct ip a = address(1), b = address(2);

	v[0] = front_clients_add(c, &a, true);
	v[1] = front_clients_add(c, &a, false);
	v[2] = front_clients_add(c, &b, true);
	ck_assert(v[0] != NULL && v[1] != NULL && v[2] != NULL);
	ck_assert_ptr_null(front_clients_add(c, &b, true));
	ck_assert_uint_eq(front_clients_count(c, &a), 1);
	ck_assert_uint_eq(front_clients_count(c, &b), 1);
	v[2]->pid = 77;
	ck_assert_ptr_eq(front_clients_find(c, 77), v[2]);
	ck_assert_ptr_null(front_clients_find(c, 78));
	front_clients_remove(c, v[2]);
	ck_assert_ptr_null(front_clients_find(c, 77));
	ck_assert_uint_eq(front_clients_count(c, &b), 0);
	front_clients_remove(c, v[0]);
	ck_assert_uint_eq(c->n, 1);
	ck_assert_ptr_nonnull(front_clients_add(c, &a, true));
	ck_assert_ptr_nonnull(front_clients_add(c, &a, true));
	ck_assert_ptr_null(front_clients_add(c, &a, true));
	ck_assert_uint_eq(front_clients_count(c, &a), 2);
	front_clients_free(&c);
}
END_TEST

Suite *
front_suite(void)
{
	Suite *s = suite_create("front");
	TCase *t = tcase_create("front");

	tcase_add_loop_test(t, proxy, 0, COUNT(cases));
	tcase_add_test(t, read_proxy);
	tcase_add_test(t, units);
	tcase_add_test(t, clients);
	suite_add_tcase(s, t);
	return s;
}
