/*
 * Contract "dns": who asks names (remote's processes, smtpd sessions, postern;
 * client) and dnsd (server).  The client chooses rid; answers may come in any
 * order; any number of questions may be under way (dnsd bounds them and answers
 * DNS_TEMP beyond).  dnsd follows CNAMEs.  Nobody else parses DNS packets.
 */
#ifndef COMMON_PROTO_DNS_H
#define COMMON_PROTO_DNS_H

#include "common/io/chan.h"

enum dns_record_type {
	DNS_QUERY = 1, /* client */
	DNS_ANSWER = 2 /* server */
};

/* RFC 1035 3.2.2 and others: the types that may be asked for. */
enum dns_rrtype {
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

enum dns_result {
	DNS_OK = 1,       /* at least one record */
	DNS_NODATA = 2,   /* the name exists, this type does not */
	DNS_NXDOMAIN = 3, /* no such name */
	DNS_TEMP = 4,     /* no answer, SERVFAIL, a local fault: later again */
	DNS_BOGUS = 5     /* does not validate (RFC 4035 4.3): later again */
};

#define DNS_NAME_MAX 255       /* text form without the last dot; a name with
                                * octets that need escapes is never shown */
#define DNS_DATA_MAX 4096      /* one record's data; longer ones are left out,
                                * and then all: DNS_TEMP with the reason */
#define DNS_RECORDS_MAX 100    /* of one answer; the rest is left out */
#define DNS_ASK_MAX 1024       /* octets of a question's name; what is no name
                                * of DNS (too long, an empty label, octets
                                * outside printable ASCII) is DNS_NXDOMAIN */
#define DNS_WHY_MAX 300

struct dns_query {
	uint64_t rid;
	uint32_t type;         /* enum dns_rrtype */
	struct slice name;     /* ASCII (A-labels), with or without last dot */
};
struct dns_record {
	uint32_t preference;   /* MX */
	struct slice name;     /* MX, PTR: lower case, no last dot; null MX
	                        * (RFC 7505): "" */
	struct slice data;     /* A: 4 octets, AAAA: 16, network order; TXT: its
	                        * strings joined (RFC 7208 3.3); TLSA: the RDATA
	                        * (RFC 6698 2.1) */
};
struct dns_answer {
	uint64_t rid;
	uint32_t result;       /* enum dns_result */
	uint32_t secure;       /* 1: validated by DNSSEC, denials too */
	uint32_t ttl;          /* seconds the answer may be kept */
	struct slice canonical; /* where CNAMEs led; "" : no CNAME */
	struct slice why;      /* TEMP, BOGUS, and NXDOMAIN of what
	                        * is no name: words for logs and bounces */
	struct chan_list records; /* struct dns_record */
};
union dns_msg {
	struct dns_query query;
	struct dns_answer answer;
};

extern const struct chan_contract dns_contract;

#endif
