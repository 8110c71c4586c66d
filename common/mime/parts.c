/*
 * The structure of a message.  In remote, local and whoever looks into mail, on
 * whatever the network sent.  A stack of open parts, no recursion.  Bodies are
 * passed on in pieces as large as they come; only the start of a line that may
 * be a delimiter, and the line end before it, are kept back.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/mime/parts.h"

/* A longer name is none that means anything here; longer than any that does. */
#define NAME_MAX_LOOK 128u
#define NO_MATCH SIZE_MAX

enum pending { PEND_NONE, PEND_CR, PEND_CRLF, PEND_LF };

struct parts {
	struct parts_handler h;
	void *arg;
	struct parts_options o;
	struct part *stack;     /* owned; [depth - 1] is the innermost */
	size_t depth;
	size_t nopen;           /* of them wait for delimiters */
	bool stopped;
	bool in_header;         /* of the innermost part */
	bool at_line;           /* the next octet begins a line */
	struct parts_place at;  /* what was told so far */
	struct buf line;        /* at_line: the start of a line that is not
	                         * decided yet */
	enum pending pend;      /* in bodies: kept back, before line */
	/* Header section */
	bool in_field;
	bool last_cr;           /* the octet before is CR */
	enum parts_what what;   /* of the field */
	bool keep_field;
	struct buf field;       /* its text as far as it is kept */
	uint64_t field_offset, field_length;
	struct content_type type;
	struct slice boundary;  /* of type; of the part whose header it is */
};

static struct part *
top(const struct parts *ps)
{
	return &ps->stack[ps->depth - 1];
}

/* ---- telling ---- */

static void
tell(struct parts *ps, struct part *p, enum parts_what what, struct slice s)
{
	if (s.len == 0)
		return;
	ps->at.octets += s.len;
	ps->at.wire += s.len;
	if (!ps->stopped && ps->h.octets != NULL &&
	    !ps->h.octets(ps->arg, p, what, s))
		ps->stopped = true;
}

/* Line ends that were told; bare of them were LF alone. */
static void
count(struct parts *ps, uint64_t lines, uint64_t bare)
{
	ps->at.lines += lines;
	ps->at.wire += bare;
}

static enum parts_what
body_of(const struct part *p)
{
	if (p->kind != PART_MULTIPART)
		return PARTS_BODY;
	return p->closed ? PARTS_EPILOGUE : PARTS_PREAMBLE;
}

/* What was kept back before a line: of the body after all, or of what. */
static void
tell_pending(struct parts *ps, struct part *p, enum parts_what what)
{
	static const struct slice texts[] = {[PEND_NONE] = SLICE_INIT(""),
	    [PEND_CR] = SLICE_INIT("\r"), [PEND_CRLF] = SLICE_INIT("\r\n"),
	    [PEND_LF] = SLICE_INIT("\n")};
	enum pending pend = ps->pend;

	ps->pend = PEND_NONE;
	if (pend >= PEND_CRLF)
		count(ps, 1, pend == PEND_LF);
	tell(ps, p, what, texts[pend]);
}

/* ---- parts begin and end ---- */

static void
begin_part(struct parts *ps)
{
	struct part *parent = ps->depth > 0 ? top(ps) : NULL;
	struct part *p = &ps->stack[ps->depth++];

	*p = (struct part){.parent = parent,
	    .depth = (unsigned)ps->depth - 1,
	    .start = ps->at};
	if (parent != NULL) {
		p->number = ++parent->nchildren;
		p->digest_child = parent->media == MEDIA_DIGEST;
	} else
		p->number = 1;
	p->media = p->digest_child ? MEDIA_RFC822 : MEDIA_TEXT;
	ps->in_header = ps->at_line = true;
	ps->in_field = false;
	ps->boundary = SLICE_EMPTY;
	if (!ps->stopped && ps->h.start != NULL && !ps->h.start(ps->arg, p))
		ps->stopped = true;
}

static void
drop_boundary(struct parts *ps, struct part *p)
{
	if (p->boundary == NULL)
		return;
	free(p->boundary);
	p->boundary = NULL;
	ps->nopen--;
}

static enum part_kind
kind_of(const struct parts *ps, const struct part *p)
{
	if (p->depth >= ps->o.depth_max)
		return PART_LEAF;
	if (p->media == MEDIA_MULTIPART || p->media == MEDIA_DIGEST)
		return ps->boundary.len > 0 ? PART_MULTIPART : PART_LEAF;
	if (p->media == MEDIA_RFC822 || p->media == MEDIA_GLOBAL)
		return p->encoding == ENCODING_BASE64 ||
		    p->encoding == ENCODING_QP ||
		    p->encoding == ENCODING_UUENCODE ? PART_LEAF : PART_MESSAGE;
	return PART_LEAF;
}

static void finish_field(struct parts *ps);

/* All fields of the innermost part are known. */
static void
finish_header(struct parts *ps, bool no_body)
{
	struct part *p = top(ps);

	finish_field(ps);
	p->no_body = no_body;
	p->kind = kind_of(ps, p);
	if (!ps->stopped && ps->h.header != NULL && !ps->h.header(ps->arg, p))
		ps->stopped = true;
	if (p->opaque)
		p->kind = PART_LEAF;
	if (p->kind == PART_MULTIPART && !no_body) {
		p->boundary = slice_dup(ps->boundary);
		p->boundary_len = ps->boundary.len;
		ps->nopen++;
	}
	p->body = ps->at;
	ps->in_header = false;
}

static void
end_part(struct parts *ps, bool cut)
{
	struct part *p = top(ps);

	if (ps->in_header)
		finish_header(ps, true);
	p->end = ps->at;
	p->cut = cut;
	if (!ps->stopped && ps->h.end != NULL && !ps->h.end(ps->arg, p))
		ps->stopped = true;
	drop_boundary(ps, p);
	ps->depth--;
}

/* ---- delimiters ---- */

/* The open multipart that the line (without its end) is a delimiter of, as an
 * index of the stack; *last: it says that no more parts come. */
static size_t
match(const struct parts *ps, struct slice line, bool *last)
{
	while (line.len > 0 && (line.p[line.len - 1] == ' ' ||
	    line.p[line.len - 1] == '\t'))
		line.len--;
	if (!slice_prefix(line, SLICE("--")))
		return NO_MATCH;
	line = slice_sub(line, 2, line.len);
	for (size_t i = ps->depth; i-- > 0;) {
		struct slice b = {ps->stack[i].boundary,
		    ps->stack[i].boundary_len};

		if (b.p == NULL || !slice_prefix(line, b))
			continue;
		*last = line.len == b.len + 2 &&
		    memcmp(line.p + b.len, "--", 2) == 0;
		if (*last || line.len == b.len)
			return i;
	}
	return NO_MATCH;
}

/* Nothing came since a delimiter of p began the innermost part. */
static bool
just_begun(const struct parts *ps, const struct part *p)
{
	return ps->in_header && top(ps)->parent == p &&
	    top(ps)->start.octets == ps->at.octets;
}

/* Its last delimiter: no more parts.  The line end is not part of it. */
static void
close_part(struct parts *ps, struct part *p, struct slice line, size_t eol)
{
	tell(ps, p, PARTS_DELIMITER, slice_sub(line, 0, line.len - eol));
	drop_boundary(ps, p);
	p->closed = true;
	ps->pend = eol == 0 ? PEND_NONE : eol == 1 ? PEND_LF : PEND_CRLF;
	ps->at_line = eol > 0;
}

/* ps->line, its last eol octets its line end, is a delimiter of stack[i]. */
static void
delimiter(struct parts *ps, size_t i, bool last, size_t eol)
{
	struct part *p = &ps->stack[i];
	struct slice line = buf_slice(&ps->line);
	bool again = !last && just_begun(ps, p);

	while (ps->depth - 1 > i && !again)
		end_part(ps, false);
	tell_pending(ps, p, PARTS_DELIMITER);
	if (last)
		close_part(ps, p, line, eol);
	else {
		count(ps, eol > 0, eol == 1);
		tell(ps, p, PARTS_DELIMITER, line);
		if (again)
			top(ps)->start = ps->at;
		else
			begin_part(ps);
	}
	buf_reset(&ps->line);
}

/* Octets of the line end that s ends with; 0: it does not. */
static size_t
line_end(const struct parts *ps, struct slice s)
{
	if (s.len == 0 || s.p[s.len - 1] != '\n')
		return 0;
	if (s.len > 1 && s.p[s.len - 2] == '\r')
		return 2;
	return ps->o.lf ? 1 : 0;
}

enum verdict { UNDECIDED, NO_DELIMITER, DELIMITER };

/* Moves octets of *in to ps->line until it can be said whether that is a
 * delimiter, and if so does what it asks for.  It begins with "-". */
static enum verdict
take_dashes(struct parts *ps, struct slice *in)
{
	size_t most = PARTS_LINE_MAX + 2 - ps->line.len, eol, i;
	size_t n = slice_find(slice_sub(*in, 0, most), '\n', 0) + 1;
	bool last = false;

	if (n > most)
		n = most;
	if (n > in->len)
		n = in->len;
	buf_add(&ps->line, in->p, n);
	*in = slice_sub(*in, n, in->len);
	eol = line_end(ps, buf_slice(&ps->line));
	if (eol > 0) {
		i = match(ps, slice_sub(buf_slice(&ps->line), 0,
		    ps->line.len - eol), &last);
		if (i == NO_MATCH)
			return NO_DELIMITER;
		delimiter(ps, i, last, eol);
		return DELIMITER;
	}
	if (ps->line.len > 1 && ps->line.s[1] != '-')
		return NO_DELIMITER;
	if (ps->line.len >= PARTS_LINE_MAX + 2 ||
	    ps->line.s[ps->line.len - 1] == '\n')
		return NO_DELIMITER;
	return UNDECIDED;
}

/* ---- header sections ---- */

static const struct {
	const char *name;
	enum parts_what what;
} known[] = {
	{"Content-Type", PARTS_FIELDS},
	{"Content-Transfer-Encoding", PARTS_FIELDS_ENCODING},
	{"MIME-Version", PARTS_FIELDS},
};

static void
keep(struct parts *ps, struct slice s)
{
	size_t room = ps->field.max - ps->field.len;

	ps->field_length += s.len;
	if (ps->keep_field)
		buf_addslice(&ps->field, slice_sub(s, 0, room));
}

static const struct {
	const char *type, *subtype;
	enum part_media media;
} medias[] = { /* the first that fits */
	{"text", NULL, MEDIA_TEXT},
	{"multipart", "digest", MEDIA_DIGEST},
	{"multipart", NULL, MEDIA_MULTIPART},
	{"message", "rfc822", MEDIA_RFC822},
	{"message", "global", MEDIA_GLOBAL},
	{"message", "partial", MEDIA_PARTIAL},
	{"message", "external-body", MEDIA_PARTIAL},
	{"message", NULL, MEDIA_MESSAGE},
};

/* RFC 2046 5.1.1: a boundary does not end in a space; a control could never be
 * found in a line. */
static struct slice
boundary_of(const struct content_type *t)
{
	const struct content_param *param = content_type_param(t, "boundary");
	struct slice b;

	if (param == NULL)
		return SLICE_EMPTY;
	b = param->value;
	while (b.len > 0 && (b.p[b.len - 1] == ' ' ||
	    b.p[b.len - 1] == '\t'))
		b.len--;
	for (size_t i = 0; i < b.len; i++)
		if ((unsigned char)b.p[i] < 32 || b.p[i] == 127)
			return SLICE_EMPTY;
	return b.len <= PARTS_BOUNDARY_MAX ? b : SLICE_EMPTY;
}

static void
read_type(struct parts *ps, struct part *p, const struct header_field *f)
{
	p->has_type = true;
	p->media = MEDIA_OTHER;
	content_type_parse(&ps->type, f->value);
	if (ps->type.type.len == 0)
		p->media = MEDIA_TEXT; /* RFC 2045 5.2 */
	for (size_t i = 0; i < sizeof(medias) / sizeof(*medias); i++)
		if (content_type_is(&ps->type, medias[i].type,
		    medias[i].subtype)) {
			p->media = medias[i].media;
			break;
		}
	/* Of a field that was cut it may be half. */
	ps->boundary = f->cut ? SLICE_EMPTY : boundary_of(&ps->type);
}

/* Of several fields of one name the first counts. */
static void
read_field(struct parts *ps, struct part *p, const struct header_field *f)
{
	if (header_is(f, "Content-Type")) {
		if (!p->has_type)
			read_type(ps, p, f);
	} else if (header_is(f, "Content-Transfer-Encoding")) {
		if (p->encoding == ENCODING_NONE)
			p->encoding = content_type_encoding(f->value);
	} else if (header_is(f, "MIME-Version"))
		p->has_version = true;
}

/* The field under way, if there is one, is complete. */
static void
finish_field(struct parts *ps)
{
	struct header_field f = {.name = SLICE_EMPTY};
	struct slice text = buf_slice(&ps->field);
	size_t at = 0, eol;

	if (!ps->in_field)
		return;
	ps->in_field = false;
	if (!ps->keep_field)
		return;
	eol = ps->field_length == text.len ? line_end(ps, text) : 0;
	text.len -= eol;
	if (text.len > ps->o.keep)
		text.len = ps->o.keep;
	if (!header_next(text, &at, &f))
		f.value = text;
	f.cut = text.len + eol < ps->field_length;
	f.offset = ps->field_offset;
	f.length = ps->field_length;
	read_field(ps, top(ps), &f);
	if (!ps->stopped && ps->h.field != NULL &&
	    !ps->h.field(ps->arg, top(ps), &f))
		ps->stopped = true;
}

/* A line that begins a field. */
static void
begin_field(struct parts *ps, struct slice line)
{
	struct slice name = slice_sub(line, 0, slice_find(line, ':', 0));

	finish_field(ps);
	name = slice_trim(name);
	ps->in_field = true;
	ps->what = PARTS_FIELDS;
	ps->keep_field = ps->h.field != NULL;
	ps->field_offset = ps->at.octets;
	ps->field_length = 0;
	buf_reset(&ps->field);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (slice_ieq(name, slice_of(known[i].name))) {
			ps->what = known[i].what;
			ps->keep_field = true;
		}
}

/* Octets of a field, up to and with a line end if there is one. */
static void
tell_field(struct parts *ps, struct slice s)
{
	size_t eol = line_end(ps, s);

	if (eol < 2 && s.p[s.len - 1] == '\n' && s.len == 1 && ps->last_cr)
		eol = 2;
	keep(ps, s);
	ps->last_cr = s.p[s.len - 1] == '\r';
	ps->at_line = eol > 0;
	if (eol > 0)
		count(ps, 1, eol == 1);
	tell(ps, top(ps), ps->what, s);
}

/* ps->line is the start of a line of a field, or all of it. */
static void
header_line(struct parts *ps)
{
	struct slice line = buf_slice(&ps->line);

	if (!ps->in_field || (line.p[0] != ' ' && line.p[0] != '\t'))
		begin_field(ps, line);
	ps->last_cr = false;
	tell_field(ps, line);
	buf_reset(&ps->line);
}

/* Moves octets of *in to ps->line until it can be said what that is: up to a
 * colon, the line's end, or as many as any name that matters has. */
static bool
take_name(struct parts *ps, struct slice *in)
{
	while (in->len > 0) {
		char c = in->p[0];

		buf_addc(&ps->line, c);
		*in = slice_sub(*in, 1, in->len);
		if (c == ':' || c == '\n' || ps->line.len == NAME_MAX_LOOK ||
		    (ps->line.len == 1 && (c == ' ' || c == '\t')))
			return true;
	}
	return false;
}

static void
empty_line(struct parts *ps, size_t eol)
{
	struct part *p = top(ps);

	finish_header(ps, false);
	count(ps, 1, eol == 1);
	tell(ps, p, PARTS_EMPTY_LINE, buf_slice(&ps->line));
	buf_reset(&ps->line);
	p->body = ps->at;
	ps->at_line = true;
	ps->pend = PEND_NONE;
	if (p->kind == PART_MESSAGE)
		begin_part(ps);
}

static void
feed_header_start(struct parts *ps, struct slice *in)
{
	char first = ps->line.len > 0 ? ps->line.s[0] : in->p[0];
	size_t eol;

	if (first == '-' && ps->nopen > 0) {
		if (take_dashes(ps, in) == NO_DELIMITER)
			header_line(ps);
		return;
	}
	if (!take_name(ps, in))
		return;
	eol = line_end(ps, buf_slice(&ps->line));
	if (eol > 0 && ps->line.len == eol)
		empty_line(ps, eol);
	else
		header_line(ps);
}

/* Within a line. */
static void
feed_header_rest(struct parts *ps, struct slice *in)
{
	size_t at = 0;

	for (;;) {
		bool cr;

		at = slice_find(*in, '\n', at) + 1;
		if (at > in->len)
			at = in->len;
		cr = at > 1 ? in->p[at - 2] == '\r' : ps->last_cr;
		if (at == in->len || cr || ps->o.lf)
			break;
	}
	tell_field(ps, slice_sub(*in, 0, at));
	*in = slice_sub(*in, at, in->len);
}

/* ---- bodies ---- */

/*
 * Octets whose line start was decided: all up to the end of *in or to a line
 * end behind which a delimiter may be.  The last line end is kept back.
 */
static void
feed_run(struct parts *ps, struct slice *in)
{
	struct part *p = top(ps);
	const char *start = in->p, *end = in->p + in->len, *at = start, *lf;
	uint64_t lines = 0, bare = 0;
	size_t told = in->len;

	while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		bool cr = lf > start && lf[-1] == '\r';

		at = lf + 1;
		if (!cr && !ps->o.lf)
			continue;
		if (at == end || (*at == '-' && ps->nopen > 0)) {
			told = (size_t)(lf - start) - cr;
			ps->pend = cr ? PEND_CRLF : PEND_LF;
			break;
		}
		lines++;
		bare += !cr;
	}
	ps->at_line = ps->pend != PEND_NONE;
	if (lf == NULL && end[-1] == '\r') {
		told--;
		at = end;
		ps->pend = PEND_CR;
	} else if (lf == NULL)
		at = end;
	count(ps, lines, bare);
	tell(ps, p, body_of(p), slice_sub(*in, 0, told));
	*in = slice_sub(*in, (size_t)(at - start), in->len);
}

static void
feed_body(struct parts *ps, struct slice *in)
{
	struct slice line;

	if (ps->pend == PEND_CR) {
		if (in->p[0] == '\n') {
			ps->pend = PEND_CRLF;
			ps->at_line = true;
			*in = slice_sub(*in, 1, in->len);
			return;
		}
		tell_pending(ps, top(ps), body_of(top(ps)));
	}
	if (!ps->at_line || ps->nopen == 0 ||
	    (ps->line.len == 0 && in->p[0] != '-')) {
		tell_pending(ps, top(ps), body_of(top(ps)));
		feed_run(ps, in);
		return;
	}
	if (take_dashes(ps, in) != NO_DELIMITER)
		return;
	tell_pending(ps, top(ps), body_of(top(ps)));
	line = buf_slice(&ps->line);
	while (line.len > 0)
		feed_run(ps, &line);
	buf_reset(&ps->line);
}

/* ---- the parser ---- */

struct parts *
parts_new(const struct parts_handler *h, void *arg,
    const struct parts_options *o)
{
	struct parts *ps = mem_alloc(sizeof(*ps));

	ps->h = *h;
	ps->arg = arg;
	ps->o = *o;
	if (ps->o.depth_max > PARTS_DEPTH_MAX)
		ps->o.depth_max = PARTS_DEPTH_MAX;
	ps->stack = mem_array(ps->o.depth_max + 1, sizeof(*ps->stack));
	buf_init(&ps->line, PARTS_LINE_MAX + 2);
	buf_init(&ps->field, ps->o.keep + 2);
	begin_part(ps);
	return ps;
}

bool
parts_feed(struct parts *ps, const void *s, size_t n)
{
	struct slice in = slice_mem(s, n);

	while (in.len > 0 && !ps->stopped) {
		if (!ps->in_header)
			feed_body(ps, &in);
		else if (ps->at_line)
			feed_header_start(ps, &in);
		else
			feed_header_rest(ps, &in);
	}
	return !ps->stopped;
}

/* What was kept back is complete now. */
static void
end_line(struct parts *ps)
{
	struct slice line = buf_slice(&ps->line);
	bool last = false;
	size_t i;

	i = line.len > 0 && ps->nopen > 0 ? match(ps, line, &last) : NO_MATCH;
	if (i != NO_MATCH)
		delimiter(ps, i, last, 0);
	else if (ps->in_header && line.len > 0)
		header_line(ps);
	else if (!ps->in_header) {
		tell_pending(ps, top(ps), body_of(top(ps)));
		if (line.len > 0)
			feed_run(ps, &line);
	}
	if (!ps->in_header)
		tell_pending(ps, top(ps), body_of(top(ps)));
}

bool
parts_end(struct parts *ps)
{
	if (ps->depth == 0)
		return !ps->stopped;
	end_line(ps);
	while (ps->depth > 0)
		end_part(ps, !top(ps)->closed);
	return !ps->stopped;
}

void
parts_free(struct parts **pp)
{
	struct parts *ps = *pp;

	if (ps == NULL)
		return;
	while (ps->depth > 0) {
		drop_boundary(ps, top(ps));
		ps->depth--;
	}
	free(ps->stack);
	buf_free(&ps->line);
	buf_free(&ps->field);
	content_type_free(&ps->type);
	free(ps);
	*pp = NULL;
}
