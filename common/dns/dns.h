/*
 * Client of dnsd for processes that block with a deadline (remote, postern,
 * smtpd sessions): questions and answers of the contract "dns".
 */
#ifndef COMMON_DNS_DNS_H
#define COMMON_DNS_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/proto/dns.h"

struct dns;

/* On a connected descriptor, which then belongs to it (a session gets one from
 * its parent). */
struct dns *dns_new(int fd);
/* To SOCKET_DNS relative to the working directory, connected at the first
 * question and again after a loss. */
struct dns *dns_dial(void);
void dns_free(struct dns **d);

struct dns_question {
	enum dns_rrtype type;
	const char *name;
};
/*
 * Asks all questions at once and waits for all answers until deadline_ms
 * (clock_mono_ms).  What could not be asked or was not answered is DNS_TEMP
 * with the reason.  answers[i] belongs to q[i]; they live until the next call
 * on d.
 */
void dns_ask(struct dns *d, const struct dns_question *q, size_t n,
    const struct dns_answer **answers, int64_t deadline_ms);

#endif
