/*
 * A notice put together: a multipart/report (RFC 6522) of words for people,
 * fields for programs (RFC 3464) and the message or its header.  In bounce's
 * job processes.  What is the network's stands in it only cleaned, or behind a
 * delimiter that nobody could guess when he wrote it.
 *
 * Only an address of the sender's in UTF-8 makes the notice itself an SMTPUTF8
 * message: what is UTF-8 within its parts has types of its own (RFC 6532, 6533)
 * and travels as any 8-bit content does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "queue/bounce.h"

#define PARTS_MAX (32u * 1024 * 1024) /* BOUNCE_RCPTS_MAX of the longest */
#define BOUNDARY_SIZE 48

static const char *
transfer(bool eight_bit)
{
	return eight_bit ? "8bit" : "7bit";
}

/* ---- how much of the message ---- */

/* RFC 3461 4.3: RET concerns failures; of other notices the header is enough.
 * Who did not say gets the whole of what is not large. */
static bool
want_whole(const struct bounce_notice *n)
{
	uint32_t flags = qfile_env(n->q)->flags;
	uint64_t length = qfile_message_length(n->q);

	if (n->kind != BOUNCE_FAILURE || (flags & ENV_RET_HDRS) != 0 ||
	    length > n->conf->bounce_message_size_max)
		return false;
	return (flags & ENV_RET_FULL) != 0 ||
	    length <= n->conf->bounce_unasked_size_max;
}

/* ---- the header section ---- */

/* bounce_from, with the host's name where it has none */
static void
from_field(const struct bounce_notice *n, struct buf *out)
{
	const char *from = n->conf->bounce_from;

	buf_printf(out, "From: Mail Delivery System <%s%s%s>\r\n", from,
	    strchr(from, '@') != NULL ? "" : "@",
	    strchr(from, '@') != NULL ? "" : n->conf->hostname);
}

static void
to_field(const struct bounce_notice *n, struct buf *out)
{
	struct address a;
	const char *why;

	/* What is no address cannot stand in the field, and where the notice
	 * goes is the envelope's affair. */
	if (address_parse(n->to, true, &a, &why))
		buf_printf(out, "To: <%.*s>\r\n", SLICE_FMT(a.text));
	else
		buf_adds(out, "To: undisclosed-recipients:;\r\n");
}

static void
header_section(const struct bounce_notice *n, const char *boundary,
    bool eight_bit, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];

	clock_rfc5322(n->now_ms, date);
	buf_printf(out, "Date: %s\r\n", date);
	from_field(n, out);
	to_field(n, out);
	buf_adds(out, "Subject: ");
	bounce_subject(n, out);
	buf_printf(out, "\r\nMessage-ID: <%s@%s>\r\n", n->id.s,
	    n->conf->hostname);
	if (n->original.message_id[0] != '\0')
		buf_printf(out, "In-Reply-To: %s\r\nReferences: %s\r\n",
		    n->original.message_id, n->original.message_id);
	/* RFC 3834 5: nothing may answer this. */
	buf_printf(out, "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n"
	    "Content-Transfer-Encoding: %s\r\n"
	    "\r\n"
	    "This is a message in several parts (MIME).\r\n",
	    boundary, transfer(eight_bit));
}

/* ---- the parts ---- */

static void
part_words(const struct buf *words, const char *boundary, struct buf *out)
{
	bool wide = bounce_has_8bit(buf_slice(words));

	buf_printf(out, "\r\n--%s\r\n"
	    "Content-Type: text/plain; charset=%s\r\n"
	    "Content-Description: What happened\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    boundary, wide ? "utf-8" : "us-ascii", transfer(wide));
	buf_addslice(out, buf_slice(words));
}

static void
part_status(const struct buf *status, const char *boundary, struct buf *out)
{
	bool wide = bounce_has_8bit(buf_slice(status));

	buf_printf(out, "\r\n--%s\r\n"
	    "Content-Type: message/%s\r\n"
	    "Content-Description: Delivery report\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    boundary, wide ? "global-delivery-status" : "delivery-status",
	    transfer(wide));
	buf_addslice(out, buf_slice(status));
}

/* What stands in front of the message or its header. */
static void
part_original(const struct bounce_notice *n, const char *boundary,
    struct buf *out)
{
	const struct bounce_original *o = &n->original;
	bool global = o->header_8bit &&
	    (qfile_env(n->q)->flags & ENV_SMTPUTF8) != 0;
	const char *type, *encoding = transfer(o->eight_bit);

	if (!o->there)
		return;
	if (o->whole)
		type = global ? "message/global" : "message/rfc822";
	else
		type = global ? "message/global-headers" :
		    "text/rfc822-headers";
	if (!o->whole && o->binary)
		encoding = "quoted-printable";
	buf_printf(out, "\r\n--%s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Description: %s\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    boundary, type, o->whole ? "Your message"
	    : "The header of your message", encoding);
}

/* ---- the whole ---- */

/* 120 random bits: nothing that was written before has them. */
static void
make_boundary(char out[BOUNDARY_SIZE])
{
	snprintf(out, BOUNDARY_SIZE, "=_%015llx%015llx",
	    (unsigned long long)(random_u64() >> 4),
	    (unsigned long long)(random_u64() >> 4));
}

int
bounce_notice_prepare(struct bounce_notice *n)
{
	const struct envelope *env = qfile_env(n->q);
	struct buf words = BUF_INIT(PARTS_MAX), status = BUF_INIT(PARTS_MAX);
	char boundary[BOUNDARY_SIZE];
	bool utf8, wide;

	if (bounce_original_look(&n->original, n->q, want_whole(n),
	    n->conf->bounce_header_size_max) != 0)
		return -1;
	utf8 = bounce_has_8bit(n->to);
	n->flags = utf8 ? ENV_SMTPUTF8 | ENV_8BITMIME : 0;
	bounce_words(n, &words);
	/* RFC 6533 4: who sent with SMTPUTF8 can read it. */
	bounce_status(n, utf8 || (env->flags & ENV_SMTPUTF8) != 0, &status);
	wide = bounce_has_8bit(buf_slice(&words)) ||
	    bounce_has_8bit(buf_slice(&status)) ||
	    (n->original.there && n->original.eight_bit &&
	    (n->original.whole || !n->original.binary));
	if (wide)
		n->flags |= ENV_8BITMIME;
	make_boundary(boundary);
	buf_init(&n->head, 3 * PARTS_MAX);
	buf_init(&n->tail, 256);
	header_section(n, boundary, wide, &n->head);
	part_words(&words, boundary, &n->head);
	part_status(&status, boundary, &n->head);
	part_original(n, boundary, &n->head);
	buf_printf(&n->tail, "\r\n--%s--\r\n", boundary);
	wide = words.overflow || status.overflow || n->head.overflow;
	buf_free(&words);
	buf_free(&status);
	if (!wide)
		return 0;
	errno = EOVERFLOW;
	return -1;
}

uint64_t
bounce_notice_size(const struct bounce_notice *n)
{
	const struct bounce_original *o = &n->original;
	uint64_t size = n->head.len + n->tail.len;

	if (!o->there)
		return size;
	/* base64; quoted-printable at its worst */
	if (o->whole)
		return size + qfile_message_length(n->q) +
		    (o->binary ? qfile_message_length(n->q) / 2 : 0);
	return size + o->header * (o->binary ? 3 : 1);
}

int
bounce_notice_write(struct bounce_notice *n, bounce_put_fn *put, void *arg)
{
	if (!put(arg, buf_slice(&n->head))) {
		errno = ECANCELED;
		return -1;
	}
	if (n->original.there &&
	    bounce_original_write(&n->original, n->q, put, arg) != 0)
		return -1;
	if (put(arg, buf_slice(&n->tail)))
		return 0;
	errno = ECANCELED;
	return -1;
}

void
bounce_notice_free(struct bounce_notice *n)
{
	if (n->head.max > 0)
		buf_free(&n->head);
	if (n->tail.max > 0)
		buf_free(&n->tail);
}
