/* dnsd's reading of DNS messages: what each result is made of, and messages
 * that are cut, point anywhere or lie about their lengths. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "dnsd/packet.h"

Suite *dns_packet_suite(void);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

/* A message from pieces; the question is always A of mx.example. */
#define QUESTION "\x02mx\x07" "example\0\0\1\0\1" /* at 12 */
#define HEAD(rcode, an, ns)                                                    \
	"\0\0\x81" rcode "\0\1\0" an "\0" ns "\0\0" QUESTION
#define QNAME "\xc0\x0c"
#define EXAMPLE "\xc0\x0f"
#define RR(type, ttl) "\0" type "\0\1\0\0\0" ttl
#define A_RR QNAME RR("\1", "\x3c") "\0\4\xc0\0\2\1"
#define SOA_DATA "\0\x18\1a\0\0" "\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x1e"

static const struct {
	const char *what;
	struct slice octets;
	uint32_t type;
	enum dns_result want;
	uint32_t ttl;
	int n;
	struct slice data;  /* of the first record */
	const char *name;   /* of the first record */
	const char *canonical;
} messages[] = {
	{"one address", SLICE_INIT(HEAD("\x80", "\1", "\0") A_RR), DNS_A,
	    DNS_OK, 60, 1, SLICE_INIT("\xc0\0\2\1"), "", ""},
	{"two, the lesser time to live", SLICE_INIT(HEAD("\x80", "\2", "\0")
	    A_RR QNAME RR("\1", "\x0a") "\0\4\xc0\0\2\2"), DNS_A, DNS_OK, 10,
	    2, SLICE_INIT("\xc0\0\2\1"), "", ""},
	{"an address of three octets beside a good one",
	    SLICE_INIT(HEAD("\x80", "\2", "\0") QNAME RR("\1", "\x0a")
	    "\0\3\xc0\0\2" A_RR), DNS_A, DNS_OK, 10, 1,
	    SLICE_INIT("\xc0\0\2\1"), "", ""},
	{"only a bad one", SLICE_INIT(HEAD("\x80", "\1", "\0") QNAME
	    RR("\1", "\x0a") "\0\3\xc0\0\2"), DNS_A, DNS_TEMP, 0, 0,
	    SLICE_INIT(""), "", ""},
	{"somebody else's address", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    EXAMPLE RR("\1", "\x3c") "\0\4\xc0\0\2\1"), DNS_A, DNS_NODATA, 0,
	    0, SLICE_INIT(""), "", ""},
	{"another class", SLICE_INIT(HEAD("\x80", "\1", "\0") QNAME
	    "\0\1\0\3\0\0\0\1\0\4\xc0\0\2\1"), DNS_A, DNS_NODATA, 0, 0,
	    SLICE_INIT(""), "", ""},
	{"an alias", SLICE_INIT(HEAD("\x80", "\2", "\0") QNAME
	    RR("\5", "\x05") "\0\4\1B" EXAMPLE "\1b" EXAMPLE RR("\1", "\x3c")
	    "\0\4\xc0\0\2\1"), DNS_A, DNS_OK, 5, 1, SLICE_INIT("\xc0\0\2\1"),
	    "", "b.example"},
	{"an alias of nothing", SLICE_INIT(HEAD("\x83", "\1", "\0") QNAME
	    RR("\5", "\x05") "\0\4\1b" EXAMPLE), DNS_A, DNS_NXDOMAIN, 0, 0,
	    SLICE_INIT(""), "", "b.example"},
	{"an alias that cannot be shown", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    QNAME RR("\5", "\x05") "\0\4\1 " EXAMPLE), DNS_A, DNS_TEMP, 0, 0,
	    SLICE_INIT(""), "", ""},
	{"an alias of itself", SLICE_INIT(HEAD("\x80", "\2", "\0") QNAME
	    RR("\5", "\x05") "\0\2" QNAME QNAME RR("\5", "\x05") "\0\2" QNAME),
	    DNS_A, DNS_NODATA, 0, 0, SLICE_INIT(""), "", "mx.example"},
	{"no such type", SLICE_INIT(HEAD("\x80", "\0", "\1") EXAMPLE
	    RR("\6", "\x3c") SOA_DATA), DNS_A, DNS_NODATA, 30, 0,
	    SLICE_INIT(""), "", ""},
	{"no such name", SLICE_INIT(HEAD("\x83", "\0", "\1") EXAMPLE
	    RR("\6", "\x05") SOA_DATA), DNS_A, DNS_NXDOMAIN, 5, 0,
	    SLICE_INIT(""), "", ""},
	{"a failure", SLICE_INIT(HEAD("\x82", "\0", "\0")), DNS_A, DNS_TEMP, 0,
	    0, SLICE_INIT(""), "", ""},
	{"refused", SLICE_INIT(HEAD("\x85", "\1", "\0") A_RR), DNS_A, DNS_TEMP,
	    0, 0, SLICE_INIT(""), "", ""},
	{"a mail host, in lower case", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    QNAME RR("\x0f", "\x3c") "\0\x06\0\x0a\1A" EXAMPLE), DNS_MX,
	    DNS_OK, 60, 1, SLICE_INIT(""), "a.example", ""},
	{"no mail at all", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    QNAME RR("\x0f", "\x3c") "\0\3\0\0\0"), DNS_MX, DNS_OK, 60, 1,
	    SLICE_INIT(""), "", ""},
	{"a mail host with a dot in its label", SLICE_INIT(HEAD("\x80", "\1",
	    "\0") QNAME RR("\x0f", "\x3c") "\0\x08\0\x0a\3a.b" EXAMPLE),
	    DNS_MX, DNS_TEMP, 0, 0, SLICE_INIT(""), "", ""},
	{"octets behind the mail host", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    QNAME RR("\x0f", "\x3c") "\0\x07\0\x0a\1a" EXAMPLE "x"), DNS_MX,
	    DNS_TEMP, 0, 0, SLICE_INIT(""), "", ""},
	{"texts are joined", SLICE_INIT(HEAD("\x80", "\1", "\0") QNAME
	    RR("\x10", "\x3c") "\0\7\2a \0\1b\0"), DNS_TXT, DNS_OK, 60, 1,
	    SLICE_INIT("a b"), "", ""},
	{"a text over its end", SLICE_INIT(HEAD("\x80", "\1", "\0") QNAME
	    RR("\x10", "\x3c") "\0\3\5a "), DNS_TXT, DNS_TEMP, 0, 0,
	    SLICE_INIT(""), "", ""},
	{"a certificate", SLICE_INIT(HEAD("\x80", "\1", "\0") QNAME
	    RR("\x34", "\x3c") "\0\4\3\1\1\0"), DNS_TLSA, DNS_OK, 60, 1,
	    SLICE_INIT("\3\1\1\0"), "", ""},
	{"a pointer to itself", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    "\xc0\x1c" RR("\1", "\x3c") "\0\4\xc0\0\2\1"), DNS_A, DNS_TEMP, 0,
	    0, SLICE_INIT(""), "", ""},
	{"a pointer forward", SLICE_INIT(HEAD("\x80", "\1", "\0") "\xc0\x30"
	    RR("\1", "\x3c") "\0\4\xc0\0\2\1"), DNS_A, DNS_TEMP, 0, 0,
	    SLICE_INIT(""), "", ""},
	{"a label of an unknown kind", SLICE_INIT(HEAD("\x80", "\1", "\0")
	    "\x80\x30" RR("\1", "\x3c") "\0\4\xc0\0\2\1"), DNS_A, DNS_TEMP, 0,
	    0, SLICE_INIT(""), "", ""},
	{"fewer records than promised", SLICE_INIT(HEAD("\x80", "\3", "\0")
	    A_RR), DNS_A, DNS_TEMP, 0, 0, SLICE_INIT(""), "", ""},
	{"nothing", SLICE_INIT(""), DNS_A, DNS_TEMP, 0, 0, SLICE_INIT(""), "",
	    ""},
};

static void
check_bounds(const struct dns_answer *a)
{
	const struct dns_record *rec = a->records.v;
	size_t i;

	ck_assert_uint_ge(a->result, DNS_OK);
	ck_assert_uint_le(a->result, DNS_TEMP);
	ck_assert((a->result == DNS_OK) == (a->records.n > 0));
	ck_assert((a->result == DNS_TEMP) == (a->why.len > 0));
	ck_assert_uint_le(a->records.n, DNS_RECORDS_MAX);
	ck_assert_uint_le(a->canonical.len, DNS_NAME_MAX);
	for (i = 0; i < a->records.n; i++) {
		ck_assert_uint_le(rec[i].name.len, DNS_NAME_MAX);
		ck_assert_uint_le(rec[i].data.len, DNS_DATA_MAX);
	}
}

START_TEST(message)
{
	struct dns_answer a = {.result = 0};
	const struct dns_record *rec;
	struct packet p;

	packet_init(&p);
	packet_read(&p, messages[_i].octets, SLICE("MX.example."),
	    messages[_i].type, &a);
	check_bounds(&a);
	ck_assert_msg(a.result == messages[_i].want, "%s: %u",
	    messages[_i].what, (unsigned)a.result);
	ck_assert_uint_eq(a.ttl, messages[_i].ttl);
	ck_assert_int_eq((int)a.records.n, messages[_i].n);
	ck_assert(slice_eq(a.canonical, slice_of(messages[_i].canonical)));
	rec = a.records.v;
	if (a.records.n > 0) {
		ck_assert(slice_eq(rec[0].data, messages[_i].data));
		ck_assert(slice_eq(rec[0].name, slice_of(messages[_i].name)));
	}
	packet_free(&p);
}
END_TEST

/* Cut at each octet, and with each octet changed: an answer comes out. */
START_TEST(spoilt)
{
	struct slice whole = messages[_i].octets;
	struct dns_answer a;
	struct packet p;
	size_t i;
	char *copy;

	packet_init(&p);
	for (i = 0; i < whole.len; i++) {
		/* On the heap, for the sanitizer. */
		copy = slice_dup(slice_sub(whole, 0, i));
		packet_read(&p, slice_mem(copy, i), SLICE("mx.example"),
		    messages[_i].type, &a);
		check_bounds(&a);
		free(copy);
		copy = slice_dup(whole);
		copy[i] = (char)(copy[i] ^ 0xff);
		packet_read(&p, slice_mem(copy, whole.len),
		    SLICE("mx.example"), messages[_i].type, &a);
		check_bounds(&a);
		free(copy);
	}
	packet_free(&p);
}
END_TEST

/* More and larger records than an answer may have. */
START_TEST(too_much)
{
	struct buf b = BUF_INIT(1024 * 1024);
	const struct dns_record *rec;
	struct dns_answer a;
	struct packet p;
	int i, k;

	packet_init(&p);
	buf_add(&b, "\0\0\x81\x80\0\1\0\xc8\0\0\0\0" QUESTION,
	    sizeof("\0\0\x81\x80\0\1\0\xc8\0\0\0\0" QUESTION) - 1);
	for (i = 0; i < 200; i++) {
		size_t large = i % 2 == 0 ? 17 : 15; /* of 256 octets */

		buf_add(&b, QNAME RR("\x10", "\x3c"), 10);
		buf_addc(&b, (char)large);
		buf_addc(&b, 0);
		for (k = 0; k < (int)large; k++) {
			buf_addc(&b, (char)255);
			for (int m = 0; m < 255; m++)
				buf_addc(&b, 'x');
		}
	}
	ck_assert(!b.overflow);
	packet_read(&p, buf_slice(&b), SLICE("mx.example"), DNS_TXT, &a);
	check_bounds(&a);
	ck_assert_uint_eq(a.result, DNS_OK);
	ck_assert_uint_eq(a.records.n, 100); /* the shorter ones */
	rec = a.records.v;
	for (i = 0; i < 100; i++)
		ck_assert_uint_eq(rec[i].data.len, 15 * 255);
	packet_free(&p);
	buf_free(&b);
}
END_TEST

Suite *
dns_packet_suite(void)
{
	Suite *s = suite_create("dns_packet");
	TCase *t = tcase_create("dns_packet");

	tcase_add_loop_test(t, message, 0, COUNT(messages));
	tcase_add_loop_test(t, spoilt, 0, COUNT(messages));
	tcase_add_test(t, too_much);
	suite_add_tcase(s, t);
	return s;
}
