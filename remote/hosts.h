/*
 * The places a job may go to, one after the other in the order of RFC 5321 5.1:
 * by MX, a host's own addresses, or an address literal.
 */
#ifndef REMOTE_HOSTS_H
#define REMOTE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/conf/net.h"
#include "common/dns/mx.h"
#include "common/proto/dns.h"
#include "remote/job.h"

struct conf;
struct dns;
struct health;
struct own;

struct place {
	struct ip ip;
	uint16_t port;
	char name[DNS_NAME_MAX + 1]; /* "" for a literal */
};

struct hosts {
	const struct conf *conf;   /* borrowed, all these */
	const struct job *job;
	const struct own *own;
	const struct health *health;
	struct dns *(*dns)(void *arg); /* a client of dnsd, or NULL */
	void *arg;
	int64_t deadline_ms;       /* of the look-up at hand */
	/* How far we are */
	struct mx mx;              /* owned */
	size_t mx_next;
	bool begun, looped, failed_now;
	bool local;                /* what failed is ours: dnsd, the route */
	struct place *v;           /* owned: of one preference */
	size_t n, cap, next;
	struct status why;         /* what DNS said, where it said no */
};

void hosts_start(struct hosts *h);
void hosts_free(struct hosts *h);

/* False: there is no more; *st says why there was none, if there was none. */
bool hosts_next(struct hosts *h, struct place *out, struct status *st);

/* "mx.example.org[192.0.2.1]:25", "[2001:db8::1]:25" */
void place_text(const struct place *p, char *out, size_t size);

#endif
