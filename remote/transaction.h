/*
 * Mail transactions on a session: from MAIL to the reply to the end of the
 * message, for as many recipients of a job as the host takes at once.
 */
#ifndef REMOTE_TRANSACTION_H
#define REMOTE_TRANSACTION_H

#include <stdbool.h>

struct content;
struct job;
struct session;

enum transaction_end {
	TRANSACTION_DONE,  /* each recipient of it has its verdict, or is OPEN
	                    * for another one on this connection */
	TRANSACTION_STALE, /* the connection was closed before it began: no
	                    * recipient was touched */
	TRANSACTION_LOST,  /* fault or 421: what is not settled is LATER */
	TRANSACTION_BARE,  /* binary content that nobody declared: it must be
	                    * converted, on another connection */
	TRANSACTION_DOUBT, /* lost behind the end of the message: no other host
	                    * is asked */
	TRANSACTION_FAULT  /* ours; nothing was learnt of the host */
};

/* most: recipients; updated where the host says that it takes fewer.  Some
 * recipient is OPEN.  others: what ends the connection says nothing about those
 * who are not in this transaction. */
enum transaction_end transaction_run(struct session *s, struct job *j,
    struct content *c, size_t *most, bool others);

#endif
