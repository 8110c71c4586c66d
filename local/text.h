/*
 * A message's text as mailboxes and programs get it: Return-Path and
 * Delivered-To on top (RFC 5321 4.4), then the effective message, with LF or
 * CRLF line ends.  What came as BINARYMIME (RFC 3030) is made lines of: its
 * binary parts are encoded.
 */
#ifndef LOCAL_TEXT_H
#define LOCAL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct qreader;

struct text {
	/* Set by the caller */
	const char *sender, *address;
	bool crlf;
	bool binary;            /* the envelope says BINARYMIME */
	struct buf *out;        /* collects; at least TEXT_OUT_MIN of room */
	/* Takes what was collected; 0 or -1 with errno. */
	int (*sink)(void *arg, const char *p, size_t n);
	void *arg;
	/* Results */
	uint64_t size;          /* octets given to the sink */
	uint64_t wire;          /* the same with every line end as CRLF */
	/* Own */
	struct header_scan *scan;
	bool looped, cr;
};

#define TEXT_OUT_MIN 131072u
#define TEXT_READ 65536u /* buffer of the qreader */

/* Copies all; 0, or -1 with errno.  ELOOP: a Delivered-To field of this very
 * address is there already, and nothing of the text has reached the sink as
 * long as the header fits the first TEXT_READ octets. */
int text_copy(struct text *t, struct qreader *r);

#endif
