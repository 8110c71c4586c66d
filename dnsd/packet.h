/* From an answer as DNS has it on the wire to one of the contract "dns". */
#ifndef DNSD_PACKET_H
#define DNSD_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/proto/dns.h"

/* What the slices of an answer point into.  Starts zeroed; one may be used for
 * any number of answers, each of which ends the one before. */
struct packet {
	struct buf octets;
	struct dns_record records[DNS_RECORDS_MAX];
	size_t nrecords;
	char canonical[DNS_NAME_MAX + 1];
};

void packet_init(struct packet *p);
void packet_free(struct packet *p);

/*
 * Reads result, ttl, canonical, why and records; rid and secure are left alone.
 * name: as asked.  Whatever the octets are, an answer comes out.
 */
void packet_read(struct packet *p, struct slice octets, struct slice name,
    uint32_t type, struct dns_answer *out);

#endif
