/*
 * The scanner of message text (smtpd/content.h).  Runs in the session, on what
 * the client sends.  Works in runs found by memchr: it costs a few instructions
 * a line and not some for each octet.
 */
#include "smtpd/content.h"

void
content_init(struct content *sc, bool dots)
{
	*sc = (struct content){.state = CONTENT_START, .dots = dots};
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

size_t
content_feed(struct content *sc, struct slice in, content_fn *fn, void *arg)
{
	const char *p = in.p, *end = in.p + in.len, *run = in.p;

	while (p < end && sc->state != CONTENT_END) {
		switch (sc->state) {
		case CONTENT_START:
			if (sc->dots && *p == '.') {
				hand_out(sc, run, p, fn, arg);
				sc->state = CONTENT_DOT;
				run = ++p;
				break;
			}
			p = content_line(sc, p, end);
			break;
		case CONTENT_LINE:
			p = content_line(sc, p, end);
			break;
		case CONTENT_CR:
			if (*p == '\n') {
				sc->state = CONTENT_START;
				p++;
			} else {
				sc->bare = true;
				sc->state = CONTENT_LINE;
			}
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
	if (p > in.p && memchr(in.p, '\0', (size_t)(p - in.p)) != NULL)
		sc->nul = true;
	return (size_t)(p - in.p);
}

bool
content_finish(struct content *sc)
{
	if (sc->state == CONTENT_CR)
		sc->bare = true;
	return sc->state == CONTENT_LINE;
}
