/*
 * Where an address goes: aliases, :include: files and owner- senders followed
 * to mailboxes, programs and addresses elsewhere.  The work is done in steps,
 * so that a long list holds nobody up.
 *
 *	resolve_start(r, address, flags);
 *	while ((step = resolve_next(r, &target)) != RESOLVE_STEP_END)
 *		if (step == RESOLVE_STEP_TARGET) ...
 *	resolve_result(r) says whether the targets count
 */
#ifndef AUTHD_RESOLVE_H
#define AUTHD_RESOLVE_H

#include "common/base/status.h"
#include "common/proto/address.h"

struct directory;
struct resolve;

/* Beside RESOLVE_MAILBOX of the contract: */
#define RESOLVE_PROBE 0x10000u   /* does it lead anywhere?  Files of :include:
                                  * are not opened, they count as a target */
#define RESOLVE_MEMBERS 0x20000u /* EXPN: the names in one alias */

enum resolve_step {
	RESOLVE_STEP_TARGET, /* *out is one; its slices live until the next */
	RESOLVE_STEP_WORKED, /* nothing to show yet */
	RESOLVE_STEP_END
};

struct resolve *resolve_new(struct directory *d);
void resolve_free(struct resolve **r);

void resolve_start(struct resolve *r, struct slice address, uint32_t flags);
enum resolve_step resolve_next(struct resolve *r, struct address_target *out);
/* After the end: LOCAL with code 0, or why not. */
enum address_result resolve_result(const struct resolve *r,
    const struct status **why);
/* REMOTE: the row of the table routes that holds, "": by MX; until the next
 * question. */
struct slice resolve_route(const struct resolve *r);
/* Gives the memory of a long list back. */
void resolve_rest(struct resolve *r);

#endif
