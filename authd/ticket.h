/*
 * One-time tickets: what a correct login is answered with, and what a mailbox
 * parent redeems.  Bound to service and session, valid for ticket_life.
 */
#ifndef AUTHD_TICKET_H
#define AUTHD_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/proto/ticket.h"

#define TICKETS_MAX 4096

struct tickets;

/* Whose rights, and who may have them; strings are copied. */
struct ticket_owner {
	struct slice service, sid;
	struct slice user;
	uint32_t uid, gid;
	struct slice home, maildir;
};

struct tickets *tickets_new(void);
void tickets_free(struct tickets **t);
/* In a forked child: none of its business. */
void tickets_wipe(struct tickets *t);

/* False: TICKETS_MAX are out. */
bool ticket_issue(struct tickets *t, const struct ticket_owner *owner,
    int64_t now_ms, int64_t life_ms, unsigned char out[TICKET_LEN]);

/* A ticket is spent by its first use, also by a wrong service or session.
 * *owner's strings live until the next call. */
bool ticket_redeem(struct tickets *t, const struct ticket_redeem *msg,
    int64_t now_ms, struct ticket_owner *owner);

#endif
