/*
 * The part of a notice that people read: what happened to whom, in plain words,
 * what the other mail system said, and what can be done.  In bounce's job
 * processes; addresses, subjects and the other side's words are the network's
 * and are cleaned before they are shown.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "queue/bounce.h"

#define LINE_TEXT_MAX 8192u

/* What a status code (RFC 3463) means to somebody who never heard of one, and
 * what he can do about it. */
#define CHECK_ADDRESS                                                          \
	"Please check the address for typing mistakes. If it is right, ask "   \
	"the recipient in some other way where to write to."
#define TRY_LATER                                                              \
	"You may send the message again some time later, or reach the "        \
	"recipient in some other way."
#define SMALLER                                                                \
	"Please send less at once: leave attachments out, or hand them over "  \
	"in some other way."
#define LET_THROUGH                                                            \
	"What the other mail system said may tell what to do. Otherwise ask "  \
	"the recipient, in some other way, to have your mail let through."
#define THEIR_FAULT                                                            \
	"Only those who run that mail system can mend this. You may send the " \
	"message again some time later, or tell them."

#define ANY_DETAIL 1000u

static const struct reason {
	uint32_t subject, detail;
	const char *what;
	const char *advice;
} reasons[] = {
	{1, 1, "There is no mailbox with this address.", CHECK_ADDRESS},
	{1, 2, "The part of the address behind the @ does not exist.",
	    CHECK_ADDRESS},
	{1, 3, "The address is not written as an address has to be.",
	    CHECK_ADDRESS},
	{1, 4, "The address stands for more than one mailbox.",
	    CHECK_ADDRESS},
	{1, 6, "The recipient has moved and left no new address.",
	    CHECK_ADDRESS},
	{1, 7, "Your own address, as the sender, was not understood.",
	    LET_THROUGH},
	{1, 8, "Your own address, as the sender, was not accepted.",
	    LET_THROUGH},
	{1, 10, "The part of the address behind the @ belongs to somebody who "
	    "receives no mail at all.", CHECK_ADDRESS},
	{1, ANY_DETAIL, "The address was not accepted.", CHECK_ADDRESS},
	{2, 1, "The mailbox does not take mail now.", TRY_LATER},
	{2, 2, "The mailbox is full.", TRY_LATER},
	{2, 3, "The message is larger than this mailbox may receive.",
	    SMALLER},
	{2, 4, "This address is a list, and the list did not work.",
	    THEIR_FAULT},
	{2, ANY_DETAIL, "The mailbox could not be reached.", TRY_LATER},
	{3, 1, "The recipient's mail system has no room left.", TRY_LATER},
	{3, 2, "The recipient's mail system takes no mail now.", TRY_LATER},
	{3, 4, "The message is larger than the recipient's mail system "
	    "accepts.", SMALLER},
	{3, ANY_DETAIL, "The mail system there did not work as it should.",
	    THEIR_FAULT},
	{4, 1, "The recipient's mail system did not answer.", TRY_LATER},
	{4, 2, "The connection to the recipient's mail system broke.",
	    TRY_LATER},
	{4, 3, "It could not be found out where mail for this address goes.",
	    TRY_LATER},
	{4, 4, "There is no way known to the recipient's mail system.",
	    CHECK_ADDRESS},
	{4, 5, "The recipient's mail system is overloaded.", TRY_LATER},
	{4, 6, "The message was sent round in circles.", THEIR_FAULT},
	{4, 7, "The message could not be delivered in time.", TRY_LATER},
	{4, ANY_DETAIL, "The recipient's mail system could not be reached.",
	    TRY_LATER},
	{5, 3, "The message had too many recipients.",
	    "Please send it to fewer people at once."},
	{5, ANY_DETAIL, "The two mail systems did not understand each other.",
	    THEIR_FAULT},
	{6, 7, "The address has letters that the recipient's mail system "
	    "cannot handle.",
	    "Ask the recipient for an address of plain letters (a to z)."},
	{6, 9, "The address has letters that the recipient's mail system "
	    "cannot handle.",
	    "Ask the recipient for an address of plain letters (a to z)."},
	{6, ANY_DETAIL, "The recipient's mail system cannot handle a message "
	    "of this form.", "You may try a plain text without attachments."},
	{7, ANY_DETAIL, "The recipient's mail system refused the message.",
	    LET_THROUGH},
};

static const struct reason unknown = {0, 0,
    "The message was not accepted for this address.", LET_THROUGH};

static const struct reason *
reason_of(const struct status *st)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].subject == st->subject &&
		    (reasons[i].detail == st->detail ||
		    reasons[i].detail == ANY_DETAIL))
			return &reasons[i];
	return &unknown;
}

/* ---- groups ---- */

/* The same words, but for each one's own address in them. */
static bool
same_words(const struct bounce_told *a, const struct bounce_told *b)
{
	struct slice s = slice_of(a->status.text), t = slice_of(b->status.text);

	while (s.len > 0 && t.len > 0) {
		if (a->address.len > 0 && b->address.len > 0 &&
		    slice_iprefix(s, a->address) &&
		    slice_iprefix(t, b->address)) {
			s = slice_sub(s, a->address.len, s.len);
			t = slice_sub(t, b->address.len, t.len);
			continue;
		}
		if (s.p[0] != t.p[0])
			return false;
		s = slice_sub(s, 1, s.len);
		t = slice_sub(t, 1, t.len);
	}
	return s.len == t.len;
}

static bool
same_fate(const struct bounce_told *a, const struct bounce_told *b)
{
	return a->action == b->action && a->until_ms == b->until_ms &&
	    a->has_words == b->has_words && a->remote == b->remote &&
	    a->status.code == b->status.code &&
	    a->status.subject == b->status.subject &&
	    a->status.detail == b->status.detail &&
	    (!a->remote || slice_eq(a->r->host, b->r->host)) &&
	    (!a->has_words || same_words(a, b));
}

static void
make_groups(struct bounce_notice *n)
{
	size_t i, k;

	for (i = 0; i < n->ntold; i++) {
		for (k = 0; k < i; k++)
			if (n->told[k].group == k &&
			    same_fate(&n->told[k], &n->told[i]))
				break;
		n->told[i].group = k;
	}
}

/* ---- sentences ---- */

static void __attribute__((format(printf, 3, 4)))
say(struct buf *out, unsigned indent, const char *fmt, ...)
{
	struct buf text = BUF_INIT(LINE_TEXT_MAX);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	bounce_fill(text.s, indent, out);
	buf_free(&text);
}

static void
gap(struct buf *out)
{
	buf_adds(out, "\r\n");
}

/* "5 days"; what is left over counts as half. */
static void
duration(int64_t ms, char *out, size_t size)
{
	static const struct {
		int64_t ms;
		const char *word;
	} units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"},
	    {1000, "second"}};
	int64_t n = 0;
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		n = (ms + units[i].ms / 2) / units[i].ms;
		if (n > 1 || (n == 1 && ms >= units[i].ms))
			break;
	}
	if (i == sizeof(units) / sizeof(units[0]))
		i--;
	if (n < 1)
		n = 1;
	snprintf(out, size, "%lld %s%s", (long long)n, units[i].word,
	    n == 1 ? "" : "s");
}

static void
show_address(struct slice address, struct buf *out)
{
	buf_addc(out, '<');
	bounce_clean(address, true, out);
	buf_addc(out, '>');
}

/* "<a@x>", or "<list@here> (which leads to <a@x>)" */
static void
show_recipient(const struct bounce_told *t, struct buf *out)
{
	struct buf text = BUF_INIT(LINE_TEXT_MAX);

	show_address(t->original, &text);
	if (!slice_ieq(t->original, t->address)) {
		buf_adds(&text, " (which leads to ");
		show_address(t->address, &text);
		buf_addc(&text, ')');
	}
	bounce_fill(text.s, 2, out);
	buf_free(&text);
}

/* The words themselves, as a quotation. */
static void
show_words(const struct bounce_notice *n, const struct bounce_told *t,
    bool several, struct buf *out)
{
	struct buf text = BUF_INIT(LINE_TEXT_MAX);
	char enhanced[STATUS_ENHANCED_SIZE];
	struct slice ip, host = bounce_host(t->r->host, &ip);

	if (!t->has_words || t->status.text[0] == '\0')
		return;
	gap(out);
	if (t->remote && host.len > 0)
		say(out, 4, "The mail system %.*s said%s:", SLICE_FMT(host),
		    several ? ", of the first of them" : "");
	else if (t->remote)
		say(out, 4, "The other mail system said%s:", several
		    ? ", of the first of them" : "");
	else
		say(out, 4, "What %s noted:", n->conf->hostname);
	gap(out);
	if (t->remote) {
		buf_printf(&text, "%u ", (unsigned)t->status.code);
		if (t->status.subject != 0 || t->status.detail != 0) {
			status_enhanced(&t->status, enhanced);
			buf_printf(&text, "%s ", enhanced);
		}
	}
	bounce_clean(slice_of(t->status.text), false, &text);
	bounce_fill(text.s, 8, out);
	buf_free(&text);
}

static void
show_failed(const struct bounce_notice *n, const struct bounce_told *t,
    bool several, struct buf *out)
{
	const struct reason *why = reason_of(&t->status);
	char tried[48];

	say(out, 4, "%s", why->what);
	if (status_class(&t->status) == STATUS_TEMPORARY) {
		duration(n->now_ms - qfile_created_ms(n->q), tried,
		    sizeof(tried));
		gap(out);
		say(out, 4, "This might have passed, so it was tried again "
		    "for %s, without success. Now it is given up.", tried);
	}
	show_words(n, t, several, out);
	if (!n->doubled) {
		gap(out);
		say(out, 4, "%s", why->advice);
	}
}

static void
show_delayed(const struct bounce_notice *n, const struct bounce_told *t,
    bool several, struct buf *out)
{
	char date[CLOCK_DATE_SIZE];

	say(out, 4, "%s", t->has_words ? reason_of(&t->status)->what
	    : "The message has not arrived yet.");
	show_words(n, t, several, out);
	if (t->until_ms == 0 || t->until_ms >= INT64_MAX)
		return;
	clock_rfc5322((int64_t)t->until_ms, date);
	gap(out);
	say(out, 4, "It will be tried again until %s.", date);
}

static void
show_success(const struct bounce_notice *n, const struct bounce_told *t,
    bool several, struct buf *out)
{
	struct slice ip, host = bounce_host(t->r->host, &ip);

	(void)n;
	switch (t->action) {
	case BOUNCE_RELAYED:
		if (host.len > 0 && t->has_words)
			say(out, 4, "The message was handed to the mail "
			    "system %.*s, which does not report deliveries. "
			    "You will hear no more of it, unless it fails.",
			    SLICE_FMT(host));
		else
			say(out, 4, "The message was handed to a mail system "
			    "that does not report deliveries. You will hear "
			    "no more of it, unless it fails.");
		break;
	case BOUNCE_EXPANDED:
		say(out, 4, "%s a list. The message was passed on to its "
		    "members; of each of them nothing is reported.",
		    several ? "Each of these is" : "This address is");
		break;
	default:
		say(out, 4, "The message was delivered.");
	}
}

static void
show_group(const struct bounce_notice *n, size_t first, struct buf *out)
{
	const struct bounce_told *t = &n->told[first];
	size_t i, count = 0;

	gap(out);
	for (i = first; i < n->ntold; i++)
		if (n->told[i].group == first) {
			show_recipient(&n->told[i], out);
			count++;
		}
	gap(out);
	if (t->action == BOUNCE_FAILED)
		show_failed(n, t, count > 1, out);
	else if (t->action == BOUNCE_DELAYED)
		show_delayed(n, t, count > 1, out);
	else
		show_success(n, t, count > 1, out);
}

/* ---- the whole ---- */

static void
show_opening(const struct bounce_notice *n, struct buf *out)
{
	char recipients[48] = "its recipient", since[48];

	if (n->ntold > 1)
		snprintf(recipients, sizeof(recipients),
		    "%zu recipients", n->ntold);
	say(out, 0, "This is the mail system of %s.", n->conf->hostname);
	gap(out);
	duration(n->now_ms - qfile_created_ms(n->q), since, sizeof(since));
	if (n->doubled)
		say(out, 0, "Postmaster: a message that names no sender "
		    "(most of these are notices about other messages) could "
		    "not be delivered to %s. Nobody else is told.",
		    recipients);
	else if (n->kind == BOUNCE_FAILURE)
		say(out, 0, "Your message could not be delivered to %s. It "
		    "will not be tried again.", recipients);
	else if (n->kind == BOUNCE_DELAY)
		say(out, 0, "Your message could not yet be delivered to %s, "
		    "%s after it was sent. You need not do anything and "
		    "should not send it again: it is kept here and will be "
		    "tried again. If it cannot be delivered in the end, you "
		    "will be told.", recipients, since);
	else
		say(out, 0, "You asked to be told what becomes of your "
		    "message.");
}

static void
show_header(const struct bounce_notice *n, struct buf *out)
{
	const struct bounce_original *o = &n->original;
	struct buf text = BUF_INIT(LINE_TEXT_MAX);
	char date[CLOCK_DATE_SIZE];

	clock_rfc5322(qfile_created_ms(n->q), date);
	gap(out);
	if (o->subject[0] != '\0') {
		bounce_clean(slice_of(o->subject), true, &text);
		say(out, 2, "Subject: %s", text.s);
	}
	if (o->date[0] != '\0')
		say(out, 2, "Dated: %s", o->date);
	say(out, 2, "Came in: %s", date);
	buf_free(&text);
}

static void
show_end(const struct bounce_notice *n, struct buf *out)
{
	const struct bounce_original *o = &n->original;

	gap(out);
	if (!o->there)
		say(out, 0, "The message itself cannot be attached.");
	else if (o->whole)
		say(out, 0, "The message is attached.");
	else
		say(out, 0, "The first lines of the message, which say from "
		    "whom to whom and when it was sent, are attached%s.",
		    o->header_cut ? ", as far as there was room" : "");
	if (n->doubled)
		return;
	gap(out);
	say(out, 0, "If you need help, write to <postmaster@%s> and give this "
	    "number: %.*s", n->conf->hostname, SLICE_FMT(qfile_env(n->q)->id));
}

void
bounce_words(struct bounce_notice *n, struct buf *out)
{
	size_t i;

	make_groups(n);
	show_opening(n, out);
	show_header(n, out);
	for (i = 0; i < n->ntold; i++)
		if (n->told[i].group == i)
			show_group(n, i, out);
	show_end(n, out);
}

void
bounce_subject(const struct bounce_notice *n, struct buf *out)
{
	char whom[96] = "";
	bool relayed = n->ntold > 0;
	size_t i;

	for (i = 0; i < n->ntold; i++)
		relayed = relayed && n->told[i].action != BOUNCE_DELIVERED;
	if (n->ntold == 1 && bounce_is_ascii(n->told[0].original) &&
	    n->told[0].original.len <= 60)
		snprintf(whom, sizeof(whom), " to %.*s",
		    SLICE_FMT(n->told[0].original));
	else if (n->ntold > 1)
		snprintf(whom, sizeof(whom), " to %zu recipients", n->ntold);
	if (n->doubled)
		buf_printf(out, "Mail without a sender%s could not be "
		    "delivered", whom);
	else if (n->kind == BOUNCE_FAILURE)
		buf_printf(out, "Your message%s could not be delivered", whom);
	else if (n->kind == BOUNCE_DELAY)
		buf_printf(out, "Your message%s is delayed", whom);
	else
		buf_printf(out, "Your message%s was %s", whom, relayed
		    ? "passed on" : "delivered");
}
