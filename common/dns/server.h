/*
 * Whom dnsd asks, as the configuration has it: dns_resolvers, dns_stubs, and
 * the system's resolv.conf(5).
 */
#ifndef COMMON_DNS_SERVER_H
#define COMMON_DNS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"
#include "common/conf/net.h"

#define DNS_SERVERS_MAX 64
#define DNS_SERVER_TEXT_SIZE (IP_TEXT_SIZE + 8)
#define DNS_RESOLV_CONF "/etc/resolv.conf"

struct buf;
struct conf;

struct dns_server {
	char text[DNS_SERVER_TEXT_SIZE]; /* "192.0.2.1@53", as libunbound has
	                                  * it */
};
struct dns_stub {
	char *zone; /* owned; no last dot; "": everything */
	struct dns_server server;
};
struct dns_servers {
	bool recursive;  /* nobody: from the root */
	bool of_resolv;  /* they are those of resolv.conf */
	struct dns_server *v; /* owned */
	size_t n, cap;
	struct dns_stub *stubs; /* owned */
	size_t nstubs, stubs_cap;
};

/* "192.0.2.1", "192.0.2.1@5353", "2001:db8::1@53": port 53 unless told. */
bool dns_server_parse(struct slice s, struct dns_server *out);
/* "ZONE=ADDRESS[@PORT]" */
bool dns_stub_parse(struct slice s, struct dns_stub *out);
/* A name that DNS can have: labels of 1 to 63 octets, 253 in all, printable
 * ASCII without the backslash; a last dot is allowed, "" and "." are the root.
 * *why says what is wrong. */
bool dns_name_ok(struct slice name, const char **why);

/*
 * From the configuration; resolv is the text of resolv.conf, used when
 * dns_resolvers is empty.  Every error becomes a line in errors; false: *out is
 * untouched.
 */
bool dns_servers_read(const struct conf *c, struct slice resolv,
    struct dns_servers *out, struct buf *errors);
void dns_servers_free(struct dns_servers *s);

/* A small text file (1 MB at most) replaces what is in out; -1 with errno. */
int dns_file_read(const char *path, struct buf *out);

/* What stands in dns_trust_anchor; libunbound reads the records itself. */
enum dns_anchor {
	DNS_ANCHOR_NONE,    /* no file is named */
	DNS_ANCHOR_MISSING, /* or cannot be read: errno */
	DNS_ANCHOR_EMPTY,   /* no DS or DNSKEY record in it */
	DNS_ANCHOR_THERE
};
enum dns_anchor dns_anchor_look(const char *path);

#endif
