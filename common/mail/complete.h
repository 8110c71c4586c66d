/*
 * Header completion at submission (RFC 6409 8): what a message that begins its
 * way here lacks is added, and never to a message that is on its way already.
 * Used by smtpd for users of this host and by pickup, so that both do the same.
 *
 *	Date, Message-ID, From    added where missing (RFC 5322 3.6; for resent
 *	                          messages Resent-Date and Resent-From)
 *	Bcc, Resent-Bcc           taken out; so are Return-Path and
 *	                          Content-Length, which speak of another copy, an
 *	                          empty Date, From or Message-ID, and the line
 *	                          "From ann Sun Nov ..." of an mbox in front
 *	"From: root"              gets the local domain, and so do bare names in
 *	                          Sender, Reply-To, To and Cc
 *
 * Feed it every field (as header_fn); the result are edits of the content.
 */
#ifndef COMMON_MAIL_COMPLETE_H
#define COMMON_MAIL_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/envelope.h"

struct header_field;

/* What will be an edit: its text lies in the struct's texts. */
struct complete_cut {
	uint64_t offset, skip;
	size_t at, length;
};

struct complete {
	struct complete_cut *cuts; /* rising offsets; owned */
	size_t ncuts, cuts_cap;
	struct buf texts;
	struct env_edit *edits; /* of complete_end; owned */
	struct buf domain;      /* "@local_domain" */
	struct buf added;       /* the fields on top */
	unsigned seen;          /* which fields came */
	bool headless;          /* the first line that is kept is no field */
	bool too_many;          /* a Bcc could not be taken out: refuse it */
};

/* domain: of names that have none (conf local_domain). */
void complete_init(struct complete *c, struct slice domain);
void complete_free(struct complete *c);
/* The next message. */
void complete_reset(struct complete *c);

/* A header_fn; arg: the struct complete.  Fields that are cut, and those that
 * would be longer than ENV_EDIT_TEXT_MAX, keep their bare names. */
void complete_field(void *arg, const struct header_field *f);

struct complete_facts {
	struct slice id;        /* the message's */
	struct slice hostname;  /* right side of Message-ID */
	struct slice sender;    /* envelope; "": <> */
	struct slice name;      /* the sender's full name, or "" */
	int64_t date_ms;        /* when it was submitted, wall clock */
};
/* All fields were seen: the edits (struct env_edit), which live as long as c is
 * neither reset nor freed. */
struct chan_list complete_end(struct complete *c,
    const struct complete_facts *facts);

#endif
