/*
 * The sockets smtpd accepts on: those it opens itself and those a supervisor
 * hands over.
 */
#ifndef SMTPD_LISTEN_H
#define SMTPD_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct conf;
struct loop_io;
struct parent;

#define LISTENERS_MAX 64

struct listener {
	int fd;             /* owned */
	bool proxy;
	char name[80];      /* section and address, for messages */
	struct loop_io *io; /* owned; NULL while nothing is accepted */
	struct parent *parent;
};

/* Opens all sections with protocol = smtp; dies (100) with what is wrong and
 * the mend.  Returns how many. */
size_t listen_open(const struct conf *c, struct listener v[LISTENERS_MAX]);
/* What these sections say, to be compared after a reload. */
#define LISTEN_TEXT_MAX 65536
void listen_text(const struct conf *c, struct buf *out);

#endif
