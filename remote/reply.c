/*
 * Replies taken apart, in a remote process.  The lines are another host's and
 * may be anything: what has no code is refused, text is cleaned where it is
 * kept, numbers that make no sense count as not said.
 */
#include "common/base/num.h"
#include "remote/reply.h"

void
reply_start(struct reply *r)
{
	r->code = r->subject = r->detail = 0;
	r->enhanced = false;
	r->lines = 0;
	r->len = 0;
	r->text[0] = '\0';
	r->said = SLICE_EMPTY;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "5.1.1 " in front of the text, of the reply's own class (RFC 2034 4). */
static bool
take_enhanced(struct slice *text, uint32_t class, uint32_t *subject,
    uint32_t *detail)
{
	struct slice rest = *text, word, part;
	uint32_t n[3];

	if (text->len < 5 || !is_digit(text->p[0]) || text->p[1] != '.')
		return false;
	word = slice_sub(rest, 0, slice_find(rest, ' ', 0));
	rest = slice_sub(rest, word.len, rest.len);
	for (size_t i = 0; i < 3; i++)
		if (!slice_cut(&word, '.', &part) || part.len > 3 ||
		    !num_u32(part, 0, 999, &n[i]))
			return false;
	if (word.p != NULL || n[0] != class)
		return false;
	*subject = n[1];
	*detail = n[2];
	*text = slice_trim(rest);
	return true;
}

static void
keep(struct reply *r, struct slice text)
{
	size_t room;

	text = slice_trim(text);
	if (text.len == 0)
		return;
	if (r->len > 0 && r->len + 1 < sizeof(r->text))
		r->text[r->len++] = ' ';
	room = sizeof(r->text) - 1 - r->len;
	if (text.len > room)
		text.len = room;
	memcpy(r->text + r->len, text.p, text.len);
	r->len += text.len;
	/* status_set wants a string. */
	for (size_t i = r->len - text.len; i < r->len; i++)
		if (r->text[i] == '\0')
			r->text[i] = '?';
	r->text[r->len] = '\0';
}

enum reply_result
reply_line(struct reply *r, struct slice line, const char **why)
{
	struct slice text = slice_sub(line, 4, line.len);
	uint32_t code, subject, detail;
	bool more = line.len > 3 && line.p[3] == '-';

	if (!num_u32(slice_sub(line, 0, 3), 200, 599, &code) ||
	    (line.len > 3 && line.p[3] != ' ' && !more)) {
		*why = "a line without a reply code from 200 to 599";
		return REPLY_BAD;
	}
	if (++r->lines > REPLY_LINES_MAX) {
		*why = "a reply of too many lines";
		return REPLY_BAD;
	}
	/* Where lines differ the last one counts: it is what a client that
	 * looks at nothing else sees. */
	r->code = code;
	r->said = text;
	if (take_enhanced(&text, code / 100, &subject, &detail)) {
		r->enhanced = true;
		r->subject = subject;
		r->detail = detail;
	}
	keep(r, text);
	return more ? REPLY_MORE : REPLY_WHOLE;
}

void
reply_as_status(const struct reply *r, struct status *out)
{
	status_set(out, r->code, r->enhanced ? r->subject : 0,
	    r->enhanced ? r->detail : 0, "%s",
	    r->len > 0 ? r->text : "(no text)");
}

void
reply_as_temporary(const struct reply *r, uint32_t subject,
    uint32_t detail, struct status *out)
{
	if (reply_class(r) == 4) {
		reply_as_status(r, out);
		if (!r->enhanced) {
			out->subject = subject;
			out->detail = detail;
		}
		return;
	}
	status_set(out, 451, subject, detail, "%u %s", r->code, r->text);
}

/* ---- EHLO ---- */

static void
take_size(struct offers *o, struct slice arg)
{
	struct slice word;

	o->size = true;
	if (slice_word(&arg, &word))
		(void)num_u64(word, 0, UINT64_MAX, &o->size_max);
}

static void
take_by(struct offers *o, struct slice arg)
{
	struct slice word;

	o->deliver_by = true;
	if (slice_word(&arg, &word))
		(void)num_u64(word, 0, 999999999, &o->by_least);
}

/* RFC 9422 4 */
static void
take_limits(struct offers *o, struct slice arg)
{
	const struct {
		struct slice name;
		uint32_t *to;
	} known[] = {
		{SLICE("RCPTMAX="), &o->rcpt_max},
		{SLICE("MAILMAX="), &o->mail_max},
		{SLICE("RCPTDOMAINMAX="), &o->domain_max},
	};
	struct slice word;

	while (slice_word(&arg, &word))
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (slice_iprefix(word, known[i].name))
				(void)num_u32(slice_sub(word,
				    known[i].name.len, word.len), 1,
				    UINT32_MAX, known[i].to);
}

static void
take_flag(struct offers *o, struct slice word)
{
	const struct {
		struct slice name;
		bool *to;
	} known[] = {
		{SLICE("PIPELINING"), &o->pipelining},
		{SLICE("8BITMIME"), &o->eight_bit},
		{SLICE("CHUNKING"), &o->chunking},
		{SLICE("BINARYMIME"), &o->binary},
		{SLICE("DSN"), &o->dsn},
		{SLICE("SMTPUTF8"), &o->utf8},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_ieq(word, known[i].name))
			*known[i].to = true;
}

void
offers_line(struct offers *o, struct slice line)
{
	struct slice rest = line, word;

	if (!slice_word(&rest, &word))
		return;
	if (slice_ieq(word, SLICE("SIZE")))
		take_size(o, rest);
	else if (slice_ieq(word, SLICE("DELIVERBY")))
		take_by(o, rest);
	else if (slice_ieq(word, SLICE("LIMITS")))
		take_limits(o, rest);
	else
		take_flag(o, word);
}
