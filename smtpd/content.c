/*
 * The scanner of message text (smtpd/content.h).  Runs in the session, on what
 * the client sends.  Works in runs found by memchr: it costs a few instructions
 * a line and not some for each octet.
 */
#include "smtpd/content.h"

void
content_init(struct content *sc, bool dots, bool binary)
{
	*sc = (struct content){.state = CONTENT_START, .dots = dots,
	    .binary = binary};
}

/* Goes on within a line from p as far as it is plain; returns where. */
static const char *
content_line(struct content *sc, const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *stop = lf != NULL ? lf : end;
	const char *cr = memchr(p, '\r', (size_t)(stop - p));

	sc->state = CONTENT_LINE;
	if (cr == NULL) {
		if (lf == NULL)
			return end;
		sc->bare = true; /* an LF that ends nothing */
		return lf + 1;
	}
	if (cr + 1 == end) {
		sc->state = CONTENT_CR;
		return end;
	}
	if (cr + 1 == lf) {
		sc->state = CONTENT_START;
		return lf + 1;
	}
	sc->bare = true;
	return cr + 1;
}

/* What is behind a dot at the start of a line.  Returns where the content goes
 * on: the dot and what was held back with it is gone. */
static const char *
content_dot(struct content *sc, const char *p)
{
	if (sc->state == CONTENT_DOT) {
		sc->state = *p == '\r' ? CONTENT_DOT_CR : CONTENT_LINE;
		return *p == '\r' ? p + 1 : p;
	}
	if (*p == '\n') {
		sc->state = CONTENT_END;
		return p + 1;
	}
	sc->bare = true;
	sc->state = CONTENT_LINE;
	return p;
}

static void
hand_out(const struct content *sc, const char *from, const char *to,
    content_fn *fn, void *arg)
{
	if (to > from && !sc->bare)
		fn(arg, (struct slice){from, (size_t)(to - from)});
}

/* At the start of a line: what is special there.  False: nothing is. */
static bool
content_start(struct content *sc, char c)
{
	if (sc->dots && c == '.')
		sc->state = CONTENT_DOT;
	else if (sc->binary && c == '\r')
		sc->state = CONTENT_EMPTY_CR;
	else
		return false;
	return true;
}

/* Behind a CR: at the LF that belongs to it the next state begins, anything
 * else makes the CR a bare one. */
static const char *
content_cr(struct content *sc, const char *p, enum content_state next)
{
	if (*p == '\n') {
		sc->state = next;
		return p + 1;
	}
	sc->bare = true;
	sc->state = CONTENT_LINE;
	return p;
}

size_t
content_feed(struct content *sc, struct slice in, content_fn *fn, void *arg)
{
	const char *p = in.p, *end = in.p + in.len, *run = in.p;
	const char *text = NULL; /* where the text ended and octets began */

	while (p < end && sc->state != CONTENT_END) {
		switch (sc->state) {
		case CONTENT_START:
			if (!content_start(sc, *p)) {
				p = content_line(sc, p, end);
				break;
			}
			if (sc->state == CONTENT_DOT) {
				hand_out(sc, run, p, fn, arg);
				run = p + 1;
			}
			p++;
			break;
		case CONTENT_LINE:
			p = content_line(sc, p, end);
			break;
		case CONTENT_CR:
			p = content_cr(sc, p, CONTENT_START);
			break;
		case CONTENT_EMPTY_CR:
			p = content_cr(sc, p, CONTENT_OCTETS);
			break;
		case CONTENT_OCTETS:
			text = p;
			p = end;
			break;
		case CONTENT_DOT:
		case CONTENT_DOT_CR:
			run = p = content_dot(sc, p);
			break;
		case CONTENT_END:
			break;
		}
	}
	hand_out(sc, run, p, fn, arg);
	if (text == NULL)
		text = p;
	if (text > in.p && memchr(in.p, '\0', (size_t)(text - in.p)) != NULL)
		sc->nul = true;
	return (size_t)(p - in.p);
}

bool
content_finish(struct content *sc)
{
	if (sc->state == CONTENT_CR || sc->state == CONTENT_EMPTY_CR)
		sc->bare = true;
	return sc->state == CONTENT_LINE;
}
