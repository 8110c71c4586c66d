/*
 * `postern check`: names.  Whom dnsd would ask and what it would trust, from
 * the files; and, when dnsd runs, whether it answers and validates: it is asked
 * for dns_check_name.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/dns/dns.h"
#include "common/dns/server.h"
#include "common/io/chan.h"
#include "common/proto/sockets.h"
#include "postern/check.h"

#define TEXT_MAX ((size_t)2 * 1024 * 1024)
#define ERRORS_MAX 65536
#define PATH_SIZE 4096
#define WAIT_MS 10000 /* at most: who checks sits there and waits */

static void
check_servers(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	struct buf resolv = BUF_INIT(TEXT_MAX), errors = BUF_INIT(ERRORS_MAX);
	struct dns_servers servers;
	struct slice rest, line;

	if (conf->dns_resolvers.n == 0 &&
	    dns_file_read(DNS_RESOLV_CONF, &resolv) != 0)
		check_finding(c, CHECK_WARNING, "mend it, or set "
		    "dns_resolvers", "%s: cannot be read (%s): dnsd asks "
		    "127.0.0.1", DNS_RESOLV_CONF, strerror(errno));
	if (dns_servers_read(conf, buf_slice(&resolv), &servers, &errors))
		dns_servers_free(&servers);
	rest = buf_slice(&errors);
	while (slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			check_finding(c, CHECK_ERROR, "", "%.*s",
			    SLICE_FMT(line));
	buf_free(&resolv);
	buf_free(&errors);
}

/* False: nothing is validated, by somebody's will or because of a finding. */
static bool
check_anchor(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	static const char mend[] = "install the root's key (Debian: "
	    "dns-root-data), or set dns_dnssec = no";

	if (!conf->dns_dnssec)
		return false;
	switch (dns_anchor_look(conf->dns_trust_anchor)) {
	case DNS_ANCHOR_NONE:
		return false;
	case DNS_ANCHOR_MISSING:
		check_finding(c, CHECK_WARNING, mend, "dns_trust_anchor %s: "
		    "cannot be read (%s): DNS answers are not validated",
		    conf->dns_trust_anchor, strerror(errno));
		return false;
	case DNS_ANCHOR_EMPTY:
		check_finding(c, CHECK_WARNING, mend, "dns_trust_anchor %s: "
		    "has no DS or DNSKEY record: DNS answers are not "
		    "validated", conf->dns_trust_anchor);
		return false;
	case DNS_ANCHOR_THERE:
		break;
	}
	return true;
}

static void
judge(struct check *c, const struct dns_answer *a, bool validates)
{
	const char *name = c->p->conf.dns_check_name;

	switch ((enum dns_result)a->result) {
	case DNS_OK:
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		if (a->secure)
			check_finding(c, CHECK_NOTE, "", "DNS: answers are "
			    "validated (%s is secure)", name);
		else if (validates)
			check_finding(c, CHECK_WARNING, "ask servers that pass "
			    "DNSSEC on (dns_resolvers), or set dns_check_name "
			    "to a name in a signed zone", "DNS: the answer for "
			    "%s is not validated, although there is a trust "
			    "anchor", name);
		else
			check_finding(c, CHECK_NOTE, "", "DNS: answers come, "
			    "and are not validated");
		break;
	case DNS_TEMP:
		check_finding(c, CHECK_WARNING, "see dns_resolvers, and "
		    "whether this host reaches them", "DNS: no answer for %s: "
		    "%.*s", name, SLICE_FMT(a->why));
		break;
	case DNS_BOGUS:
		check_finding(c, CHECK_WARNING, "see dns_resolvers, "
		    "dns_trust_anchor and this host's clock", "DNS: the answer "
		    "for %s does not validate: %.*s", name,
		    SLICE_FMT(a->why));
		break;
	}
}

/* A daemon that was never started is no finding. */
static void
ask_dnsd(struct check *c, bool validates)
{
	const struct conf *conf = &c->p->conf;
	struct dns_question q = {DNS_A, conf->dns_check_name};
	int64_t wait_ms = (int64_t)conf->dns_timeout_ms + 1000;
	const struct dns_answer *a;
	char path[PATH_SIZE];
	struct stat st;
	struct dns *d;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", conf->run_dir, SOCKET_DNS);
	if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	if (!c->root && st.st_uid != geteuid())
		return; /* dnsd would not hear us */
	fd = chan_dial(path);
	if (fd == -1) {
		check_finding(c, CHECK_WARNING, "start dnsd", "%s: nobody "
		    "listens (%s): mail to other hosts waits", path,
		    strerror(errno));
		return;
	}
	d = dns_new(fd);
	dns_ask(d, &q, 1, &a, clock_mono_ms() +
	    (wait_ms < WAIT_MS ? wait_ms : WAIT_MS));
	judge(c, a, validates);
	dns_free(&d);
}

void
check_dns(struct check *c)
{
	check_servers(c);
	ask_dnsd(c, check_anchor(c));
}
