/*
 * The client of dnsd, and the order of MX hosts, against a dnsd of the test's
 * own: a child on a socket pair that answers from a table, or misbehaves.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/dns/dns.h"
#include "common/dns/mx.h"
#include "common/io/chan.h"

Suite *dns_suite(void);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))
#define PATIENCE_MS 10000

struct mx_row {
	uint32_t preference;
	const char *name;
};

/* What the child knows. */
static const struct zone_row {
	const char *name;
	enum dns_rrtype type;
	enum dns_result result;
	bool secure;
	struct mx_row mx[8]; /* up to one without a name */
	const char *data;    /* octets of addresses, 4 or 16 each */
	size_t ndata;
} zone[] = {
	{"good.example", DNS_MX, DNS_OK, true, {{20, "b.example"},
	    {10, "a.example"}, {30, "c.example"}}, NULL, 0},
	{"equal.example", DNS_MX, DNS_OK, false, {{5, "a.example"},
	    {5, "b.example"}, {5, "c.example"}, {1, "first.example"},
	    {9, "last.example"}}, NULL, 0},
	{"null.example", DNS_MX, DNS_OK, false, {{0, ""}}, NULL, 0},
	{"twice.example", DNS_MX, DNS_OK, false, {{20, "A.example"},
	    {10, "b.example"}, {5, "a.example"}}, NULL, 0},
	{"mixed.example", DNS_MX, DNS_OK, false, {{0, ""}, {10, "192.0.2.1"},
	    {20, "a.example"}, {30, "-x.example"}, {40, "a b"},
	    {50, "2001:db8::1"}, {60, "b_c.example"}}, NULL, 0},
	{"bad.example", DNS_MX, DNS_OK, false, {{10, "192.0.2.1"},
	    {20, "[192.0.2.1]"}, {30, "a..b"}, {40, "x-"}, {50, "a.b-"}},
	    NULL, 0},
	{"own.example", DNS_MX, DNS_OK, false, {{10, "a.example"},
	    {20, "OWN.here.example"}, {20, "b.example"}, {30, "c.example"}},
	    NULL, 0},
	{"ourselves.example", DNS_MX, DNS_OK, false,
	    {{10, "own.here.example"}, {10, "a.example"}, {30, "c.example"}},
	    NULL, 0},
	{"none.example", DNS_MX, DNS_NODATA, true, {{0}}, NULL, 0},
	{"own.here.example", DNS_MX, DNS_NODATA, false, {{0}}, NULL, 0},
	{"gone.example", DNS_MX, DNS_NXDOMAIN, false, {{0}}, NULL, 0},
	{"temp.example", DNS_MX, DNS_TEMP, false, {{0}}, NULL, 0},
	{"bogus.example", DNS_MX, DNS_BOGUS, false, {{0}}, NULL, 0},

	{"both.example", DNS_A, DNS_OK, false, {{0}}, "\xc0\0\2\1\xc0\0\2\2",
	    8},
	{"both.example", DNS_AAAA, DNS_OK, true, {{0}},
	    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16},
	{"four.example", DNS_A, DNS_OK, false, {{0}}, "\xc0\0\2\1", 4},
	{"four.example", DNS_AAAA, DNS_TEMP, false, {{0}}, NULL, 0},
	{"empty.example", DNS_A, DNS_NODATA, false, {{0}}, NULL, 0},
	{"empty.example", DNS_AAAA, DNS_NODATA, false, {{0}}, NULL, 0},
	{"gone.example", DNS_A, DNS_NXDOMAIN, false, {{0}}, NULL, 0},
	{"gone.example", DNS_AAAA, DNS_NXDOMAIN, false, {{0}}, NULL, 0},
	{"half.example", DNS_A, DNS_NODATA, false, {{0}}, NULL, 0},
	{"half.example", DNS_AAAA, DNS_BOGUS, false, {{0}}, NULL, 0},
	{"strange.example", DNS_A, DNS_OK, false, {{0}}, "\xc0\0\2", 3},
	{"strange.example", DNS_AAAA, DNS_OK, false, {{0}}, NULL, 0},
};

/* ---- the other dnsd ---- */

enum manner {
	ANSWERS,
	BACKWARDS,  /* keeps eight questions and answers the last one first */
	SILENT,
	HANGS_UP,   /* after the first question */
	BABBLES     /* the contract is another */
};

struct answerer {
	struct chan *chan;
	enum manner manner;
	bool backwards; /* begun */
	uint64_t rids[8];
	char names[8][64];
	uint32_t types[8];
	size_t n;
};

static void
answer(struct answerer *d, uint64_t rid, struct slice name, uint32_t type)
{
	struct dns_record records[32] = {{0, SLICE_EMPTY, SLICE_EMPTY}};
	struct dns_answer a = {.rid = rid, .result = DNS_NXDOMAIN,
	    .canonical = SLICE_EMPTY, .why = SLICE("as the table has it")};
	const struct zone_row *z;
	size_t i, k, n = 0, octets;

	for (i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		z = &zone[i];
		if (!slice_eq(name, slice_of(z->name)) || z->type != type)
			continue;
		a.result = z->result;
		a.secure = z->secure;
		for (k = 0; k < 8 && z->mx[k].name != NULL; k++, n++)
			records[n] = (struct dns_record){z->mx[k].preference,
			    slice_of(z->mx[k].name), SLICE_EMPTY};
		octets = type == DNS_A ? 4 : 16;
		for (k = 0; k < z->ndata; k += octets, n++) {
			if (octets > z->ndata - k)
				octets = z->ndata - k;
			records[n] = (struct dns_record){0, SLICE_EMPTY,
			    slice_mem(z->data + k, octets)};
		}
	}
	/* Many addresses: "many-N" */
	if (slice_prefix(name, SLICE("many"))) {
		a.result = DNS_OK;
		for (n = 0; n < 32; n++)
			records[n] = (struct dns_record){0, SLICE_EMPTY,
			    slice_mem(type == DNS_A ? "\x0a\0\0\1" :
			    "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
			    type == DNS_A ? 4 : 16)};
	}
	a.records = (struct chan_list){records, n};
	chan_queue(d->chan, DNS_ANSWER, &a, NULL, 0);
}

static void
take_question(struct answerer *d, const struct dns_query *q)
{
	switch (d->manner) {
	case ANSWERS:
		answer(d, q->rid, q->name, q->type);
		break;
	case BACKWARDS:
		d->rids[d->n] = q->rid;
		d->types[d->n] = q->type;
		snprintf(d->names[d->n++], sizeof(d->names[0]), "%.*s",
		    SLICE_FMT(q->name));
		while (d->n == 8 || (d->n > 0 && d->backwards)) {
			d->backwards = --d->n > 0;
			answer(d, d->rids[d->n], slice_of(d->names[d->n]),
			    d->types[d->n]);
		}
		break;
	case SILENT:
	case BABBLES:
		break;
	case HANGS_UP:
		_exit(0);
	}
}

static void
serve(int fd, enum manner manner)
{
	struct answerer d = {.manner = manner};
	union dns_msg msg;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type;

	if (manner == BABBLES) {
		ck_assert_int_eq(write(fd, "\xff\xff\xff\xff", 4), 4);
		pause();
	}
	d.chan = chan_new(fd, &dns_contract, CHAN_SERVER);
	while (chan_wait(d.chan, &type, &msg, sizeof(msg), fds, &nfds,
	    clock_mono_ms() + 2 * PATIENCE_MS) == CHAN_OK)
		take_question(&d, &msg.query);
	_exit(0);
}

static pid_t server;

static struct dns *
start(enum manner manner)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	server = fork();
	ck_assert_int_ge(server, 0);
	if (server == 0) {
		close(pair[0]);
		serve(pair[1], manner);
	}
	close(pair[1]);
	return dns_new(pair[0]);
}

static void
finish(struct dns **d)
{
	dns_free(d);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static int64_t
soon(void)
{
	return clock_mono_ms() + PATIENCE_MS;
}

/* ---- dns_ask ---- */

START_TEST(answers)
{
	struct dns_question q[] = {{DNS_MX, "good.example"},
	    {DNS_A, "both.example"}, {DNS_A, "gone.example"},
	    {DNS_MX, "none.example"}, {DNS_MX, "temp.example"},
	    {DNS_MX, "bogus.example"}};
	static const enum dns_result want[] = {DNS_OK, DNS_OK, DNS_NXDOMAIN,
	    DNS_NODATA, DNS_TEMP, DNS_BOGUS};
	const struct dns_answer *a[6];
	const struct dns_record *rec;
	struct dns *d = start(ANSWERS);
	int round, i;

	for (round = 0; round < 3; round++) {
		dns_ask(d, q, 6, a, soon());
		for (i = 0; i < 6; i++)
			ck_assert_uint_eq(a[i]->result, want[i]);
		rec = a[0]->records.v;
		ck_assert_uint_eq(a[0]->records.n, 3);
		ck_assert_uint_eq(a[0]->secure, 1);
		ck_assert(slice_eq(rec[1].name, SLICE("a.example")));
		rec = a[1]->records.v;
		ck_assert_uint_eq(a[1]->records.n, 2);
		ck_assert(slice_eq(rec[1].data, SLICE("\xc0\0\2\2")));
	}
	dns_ask(d, q, 0, a, soon());
	finish(&d);
}
END_TEST

/* More than may be under way at a time. */
START_TEST(many)
{
	static struct dns_question q[500];
	static const struct dns_answer *a[500];
	struct dns *d = start(ANSWERS);
	size_t i;

	for (i = 0; i < 500; i++)
		q[i] = (struct dns_question){i % 3 == 0 ? DNS_A : DNS_MX,
		    "both.example"};
	dns_ask(d, q, 500, a, soon());
	for (i = 0; i < 500; i++)
		ck_assert_uint_eq(a[i]->result, i % 3 == 0 ? DNS_OK :
		    DNS_NXDOMAIN);
	finish(&d);
}
END_TEST

START_TEST(any_order)
{
	static const char *const names[] = {"good.example", "null.example",
	    "none.example", "gone.example", "bogus.example", "temp.example",
	    "bad.example", "own.example"};
	static const enum dns_result want[] = {DNS_OK, DNS_OK, DNS_NODATA,
	    DNS_NXDOMAIN, DNS_BOGUS, DNS_TEMP, DNS_OK, DNS_OK};
	const struct dns_answer *a[8];
	struct dns_question q[8];
	struct dns *d = start(BACKWARDS);
	int i;

	for (i = 0; i < 8; i++)
		q[i] = (struct dns_question){DNS_MX, names[i]};
	dns_ask(d, q, 8, a, soon());
	for (i = 0; i < 8; i++)
		ck_assert_uint_eq(a[i]->result, want[i]);
	finish(&d);
}
END_TEST

/* No answer is a temporary failure, in time and with a reason. */
START_TEST(trouble)
{
	static const enum manner manners[] = {SILENT, HANGS_UP, BABBLES};
	struct dns_question q[] = {{DNS_MX, "good.example"},
	    {DNS_A, "both.example"}};
	const struct dns_answer *a[2];
	struct dns *d = start(manners[_i]);
	int64_t from = clock_mono_ms();
	int round, i;

	for (round = 0; round < 2; round++) {
		dns_ask(d, q, 2, a, clock_mono_ms() + 100);
		for (i = 0; i < 2; i++) {
			ck_assert_uint_eq(a[i]->result, DNS_TEMP);
			ck_assert_uint_gt(a[i]->why.len, 0);
			ck_assert_uint_eq(a[i]->records.n, 0);
		}
	}
	ck_assert_int_lt(clock_mono_ms() - from, 5000);
	finish(&d);
}
END_TEST

START_TEST(long_name)
{
	static char name[DNS_ASK_MAX + 2];
	struct dns_question q[] = {{DNS_A, name}, {DNS_A, "both.example"}};
	const struct dns_answer *a[2];
	struct dns *d = start(ANSWERS);

	memset(name, 'x', sizeof(name) - 1);
	dns_ask(d, q, 2, a, soon());
	ck_assert_uint_eq(a[0]->result, DNS_NXDOMAIN);
	ck_assert_uint_eq(a[1]->result, DNS_OK);
	finish(&d);
}
END_TEST

/* Nobody listens: an answer before long, however late the deadline is. */
START_TEST(nobody)
{
	char dir[] = "/tmp/dns_test.XXXXXX";
	struct dns_question q = {DNS_MX, "good.example"};
	const struct dns_answer *a;
	int64_t from = clock_mono_ms();
	struct dns *d = dns_dial();

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	dns_ask(d, &q, 1, &a, clock_mono_ms() + 100);
	ck_assert_uint_eq(a->result, DNS_TEMP);
	ck_assert_int_lt(clock_mono_ms() - from, 3000);
	ck_assert_int_eq(chdir("/"), 0);
	rmdir(dir);
	dns_free(&d);
}
END_TEST

/* ---- mx_lookup ---- */

static const struct {
	const char *domain;
	uint32_t code, subject, detail;
	bool implicit, secure;
	const char *hosts; /* "a.example 10, b.example 20" */
} lookups[] = {
	{"good.example", 250, 0, 0, false, true,
	    "a.example 10, b.example 20, c.example 30"},
	{"twice.example", 250, 0, 0, false, false,
	    "A.example 5, b.example 10"},
	{"mixed.example", 250, 0, 0, false, false,
	    "a.example 20, b_c.example 60"},
	{"own.example", 250, 0, 0, false, false, "a.example 10"},
	{"none.example", 250, 0, 0, true, true, "none.example 0"},
	{"null.example", 556, 1, 10, false, false, ""},
	{"bad.example", 550, 4, 4, false, false, ""},
	{"ourselves.example", 554, 4, 6, false, false, ""},
	{"own.here.example", 554, 4, 6, false, false, ""},
	{"gone.example", 550, 1, 2, false, false, ""},
	{"temp.example", 451, 4, 3, false, false, ""},
	{"bogus.example", 451, 4, 3, false, false, ""},
};

START_TEST(lookup)
{
	struct buf hosts = BUF_INIT(1000);
	struct dns *d = start(ANSWERS);
	struct status st;
	struct mx m;
	size_t i;

	mx_lookup(d, lookups[_i].domain, "own.here.example.", soon(), &m, &st);
	ck_assert_msg(st.code == lookups[_i].code, "%s: %u %s",
	    lookups[_i].domain, (unsigned)st.code, st.text);
	ck_assert_uint_eq(st.subject, lookups[_i].subject);
	ck_assert_uint_eq(st.detail, lookups[_i].detail);
	ck_assert_int_eq(m.implicit, lookups[_i].implicit);
	ck_assert_int_eq(m.secure, lookups[_i].secure);
	for (i = 0; i < m.n; i++) {
		buf_printf(&hosts, "%s%s %u", i > 0 ? ", " : "", m.v[i].name,
		    (unsigned)m.v[i].preference);
		ck_assert_int_eq(m.v[i].secure, m.secure);
	}
	ck_assert_str_eq(hosts.s, lookups[_i].hosts);
	buf_free(&hosts);
	mx_free(&m);
	mx_free(&m);
	finish(&d);
}
END_TEST

/* Each of the equals comes first now and then, between the others. */
START_TEST(equals)
{
	struct dns *d = start(ANSWERS);
	unsigned first[3] = {0};
	struct status st;
	struct mx m;
	int i;

	for (i = 0; i < 300; i++) {
		mx_lookup(d, "equal.example", NULL, soon(), &m, &st);
		ck_assert_uint_eq(m.n, 5);
		ck_assert_str_eq(m.v[0].name, "first.example");
		ck_assert_str_eq(m.v[4].name, "last.example");
		first[m.v[1].name[0] - 'a']++;
		mx_free(&m);
	}
	for (i = 0; i < 3; i++)
		ck_assert_uint_ge(first[i], 50);
	finish(&d);
}
END_TEST

/* ---- mx_addresses ---- */

static const struct {
	const char *host;
	unsigned want;
	bool v6_first;
	uint32_t code, subject, detail;
	size_t n, v6; /* how many, and how many IPv6 ones lead */
	bool secure;  /* the first */
} hosts[] = {
	{"both.example", MX_IPV4 | MX_IPV6, true, 250, 0, 0, 3, 1, true},
	{"both.example", MX_IPV4 | MX_IPV6, false, 250, 0, 0, 3, 0, false},
	{"both.example", MX_IPV4, true, 250, 0, 0, 2, 0, false},
	{"both.example", MX_IPV6, false, 250, 0, 0, 1, 1, true},
	{"four.example", MX_IPV4 | MX_IPV6, true, 250, 0, 0, 1, 0, false},
	{"four.example", MX_IPV6, true, 451, 4, 3, 0, 0, false},
	{"half.example", MX_IPV4 | MX_IPV6, true, 451, 4, 3, 0, 0, false},
	{"empty.example", MX_IPV4 | MX_IPV6, true, 550, 4, 4, 0, 0, false},
	{"gone.example", MX_IPV4 | MX_IPV6, true, 550, 4, 4, 0, 0, false},
	{"strange.example", MX_IPV4 | MX_IPV6, true, 451, 4, 3, 0, 0, false},
	{"many.example", MX_IPV4 | MX_IPV6, true, 250, 0, 0, 20, 10, false},
	{"many.example", MX_IPV6, true, 250, 0, 0, 20, 20, false},
};

START_TEST(addresses)
{
	struct mx_address v[MX_ADDRESSES_MAX];
	struct dns *d = start(ANSWERS);
	struct status st;
	size_t n, v6 = 0;

	n = mx_addresses(d, hosts[_i].host, hosts[_i].want, hosts[_i].v6_first,
	    soon(), v, &st);
	ck_assert_msg(st.code == hosts[_i].code, "%s: %u %s", hosts[_i].host,
	    (unsigned)st.code, st.text);
	ck_assert_uint_eq(st.subject, hosts[_i].subject);
	ck_assert_uint_eq(st.detail, hosts[_i].detail);
	ck_assert_uint_eq(n, hosts[_i].n);
	while (v6 < n && !ip_is_v4(&v[v6].ip))
		v6++;
	ck_assert_uint_eq(v6, hosts[_i].v6);
	if (n > 0)
		ck_assert_int_eq(v[0].secure, hosts[_i].secure);
	finish(&d);
}
END_TEST

Suite *
dns_suite(void)
{
	Suite *s = suite_create("dns");
	TCase *t = tcase_create("dns");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, answers);
	tcase_add_test(t, many);
	tcase_add_test(t, any_order);
	tcase_add_loop_test(t, trouble, 0, 3);
	tcase_add_test(t, long_name);
	tcase_add_test(t, nobody);
	tcase_add_loop_test(t, lookup, 0, COUNT(lookups));
	tcase_add_test(t, equals);
	tcase_add_loop_test(t, addresses, 0, COUNT(hosts));
	suite_add_tcase(s, t);
	return s;
}
