/*
 * Asks dnsd, for tests: one JSON object a line and question.
 *
 *	test-dnsask [-m ms] [-n times] SOCKET-DIR TYPE NAME [TYPE NAME ...]
 *	test-dnsask [-m ms] [-o own] SOCKET-DIR hosts DOMAIN
 *	test-dnsask [-m ms] SOCKET-DIR addresses HOST
 *
 * TYPE: a, aaaa, mx, ptr, txt, tlsa, or a number.  \xNN in NAME is that octet;
 * names with such octets are sent over the contract itself, because
 * common/dns/dns.h takes strings.  With -n all questions are asked so many times
 * at once.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/dns/dns.h"
#include "common/dns/mx.h"
#include "common/proto/sockets.h"

static const struct {
	const char *word;
	enum dns_rrtype type;
} types[] = {{"a", DNS_A}, {"aaaa", DNS_AAAA}, {"mx", DNS_MX},
    {"ptr", DNS_PTR}, {"txt", DNS_TXT}, {"tlsa", DNS_TLSA}};

static const char *const results[] = {"?", "ok", "nodata", "nxdomain", "temp",
    "bogus"};

static void
put(const char *key, struct slice s)
{
	size_t i;

	printf("\"%s\": \"", key);
	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void
put_hex(const char *key, struct slice s)
{
	size_t i;

	printf("\"%s\": \"", key);
	for (i = 0; i < s.len; i++)
		printf("%02x", (unsigned char)s.p[i]);
	putchar('"');
}

static void
put_answer(const struct dns_answer *a)
{
	const struct dns_record *rec = a->records.v;
	size_t i;

	printf("{\"result\": \"%s\", \"secure\": %u, \"ttl\": %u, ",
	    results[a->result], (unsigned)a->secure, (unsigned)a->ttl);
	put("canonical", a->canonical);
	printf(", ");
	put("why", a->why);
	printf(", \"records\": [");
	for (i = 0; i < a->records.n; i++) {
		printf("%s{\"preference\": %u, ", i > 0 ? ", " : "",
		    (unsigned)rec[i].preference);
		put("name", rec[i].name);
		printf(", ");
		put_hex("data", rec[i].data);
		printf("}");
	}
	printf("]}\n");
}

static void
put_status(const struct status *st)
{
	printf("\"status\": \"%u %u.%u\", ", (unsigned)st->code,
	    (unsigned)st->subject, (unsigned)st->detail);
	put("text", slice_of(st->text));
}

static enum dns_rrtype
type_of(const char *word)
{
	size_t i;
	uint32_t n = 0;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].word, word) == 0)
			return types[i].type;
	if (!num_u32(slice_of(word), 0, 65535, &n))
		die(EXIT_PERMANENT, "no type: %s", word);
	return (enum dns_rrtype)n;
}

/* The octets that \xNN stands for. */
static struct slice
octets(const char *text, struct buf *out)
{
	struct slice rest = slice_of(text);
	uint64_t c;

	buf_reset(out);
	while (rest.len > 0) {
		if (rest.len >= 4 && slice_prefix(rest, SLICE("\\x")) &&
		    num_u64_hex(slice_sub(rest, 2, 4), 0, 255, &c)) {
			buf_addc(out, (char)c);
			rest = slice_sub(rest, 4, rest.len);
		} else {
			buf_addc(out, rest.p[0]);
			rest = slice_sub(rest, 1, rest.len);
		}
	}
	return buf_slice(out);
}

static void
ask_raw(char *argv[], int64_t deadline)
{
	struct chan *c = chan_connect(SOCKET_DNS, &dns_contract);
	struct buf name = BUF_INIT(4096);
	struct dns_query q = {.rid = 7, .type = type_of(argv[0])};
	union dns_msg msg;
	uint16_t type;
	size_t nfds;
	int fds[CHAN_MAX_FDS];

	if (c == NULL)
		die_errno(EXIT_TEMPORARY, "%s", SOCKET_DNS);
	q.name = octets(argv[1], &name);
	chan_send(c, DNS_QUERY, &q);
	if (chan_wait(c, &type, &msg, sizeof(msg), fds, &nfds, deadline) ==
	    CHAN_OK)
		put_answer(&msg.answer);
	else
		printf("{\"result\": \"lost\"}\n");
	chan_free(&c);
	buf_free(&name);
}

static void
ask(struct dns *d, int argc, char *argv[], size_t times, int64_t deadline)
{
	size_t n = (size_t)argc / 2, i;
	struct dns_question *q = mem_array(n * times, sizeof(*q));
	const struct dns_answer **a = mem_array(n * times, sizeof(*a));

	for (i = 0; i < n * times; i++) {
		q[i].type = type_of(argv[i % n * 2]);
		q[i].name = argv[i % n * 2 + 1];
	}
	dns_ask(d, q, n * times, a, deadline);
	for (i = 0; i < n * times; i++)
		put_answer(a[i]);
	free(q);
	free(a);
}

static void
hosts(struct dns *d, const char *domain, const char *own, int64_t deadline)
{
	struct status st;
	struct mx m;
	size_t i;

	mx_lookup(d, domain, own, deadline, &m, &st);
	printf("{");
	put_status(&st);
	printf(", \"implicit\": %d, \"secure\": %d, \"hosts\": [", m.implicit,
	    m.secure);
	for (i = 0; i < m.n; i++) {
		printf("%s[%u, ", i > 0 ? ", " : "",
		    (unsigned)m.v[i].preference);
		printf("\"%s\"]", m.v[i].name);
	}
	printf("]}\n");
	mx_free(&m);
}

static void
addresses(struct dns *d, const char *host, int64_t deadline)
{
	struct mx_address v[MX_ADDRESSES_MAX];
	char text[IP_TEXT_SIZE];
	struct status st;
	size_t n = mx_addresses(d, host, MX_IPV4 | MX_IPV6, true, deadline, v,
	    &st), i;

	printf("{");
	put_status(&st);
	printf(", \"addresses\": [");
	for (i = 0; i < n; i++) {
		ip_text(&v[i].ip, text);
		printf("%s\"%s\"", i > 0 ? ", " : "", text);
	}
	printf("]}\n");
}

int
main(int argc, char *argv[])
{
	const char *own = "own.invalid";
	uint32_t ms = 20000, times = 1;
	int64_t deadline;
	struct dns *d;
	int opt;

	log_open("dnsask");
	while ((opt = getopt(argc, argv, "m:n:o:")) != -1) {
		if (opt == 'o')
			own = optarg;
		else if (opt == '?' || !num_u32(slice_of(optarg), 1, 1000000,
		    opt == 'm' ? &ms : &times))
			return EXIT_PERMANENT;
	}
	argc -= optind;
	argv += optind;
	if (argc < 3 || argc % 2 == 0)
		die(EXIT_PERMANENT, "usage: test-dnsask [-m ms] [-n times] "
		    "[-o own] directory type name ...");
	if (chdir(argv[0]) != 0)
		die_errno(EXIT_PERMANENT, "%s", argv[0]);
	deadline = clock_mono_ms() + ms;
	d = dns_dial();
	if (strcmp(argv[1], "hosts") == 0)
		hosts(d, argv[2], own, deadline);
	else if (strcmp(argv[1], "addresses") == 0)
		addresses(d, argv[2], deadline);
	else if (strstr(argv[2], "\\x") != NULL)
		ask_raw(argv + 1, deadline);
	else
		ask(d, argc - 1, argv + 1, times, deadline);
	dns_free(&d);
	return 0;
}
