/*
 * The scanner of message text (smtpd/scan.h).  Runs in the session, on what the
 * client sends.  Works in runs found by memchr: it costs a few instructions a
 * line and not some for each octet.
 */
#include "smtpd/scan.h"

void
scan_init(struct scan *sc, bool dots)
{
	*sc = (struct scan){.state = SCAN_START, .dots = dots};
}

/* Goes on within a line from p as far as it is plain; returns where. */
static const char *
scan_line(struct scan *sc, const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *stop = lf != NULL ? lf : end;
	const char *cr = memchr(p, '\r', (size_t)(stop - p));

	sc->state = SCAN_LINE;
	if (cr == NULL) {
		if (lf == NULL)
			return end;
		sc->bare = true; /* an LF that ends nothing */
		return lf + 1;
	}
	if (cr + 1 == end) {
		sc->state = SCAN_CR;
		return end;
	}
	if (cr + 1 == lf) {
		sc->state = SCAN_START;
		return lf + 1;
	}
	sc->bare = true;
	return cr + 1;
}

/* What is behind a dot at the start of a line.  Returns where the content goes
 * on: the dot and what was held back with it is gone. */
static const char *
scan_dot(struct scan *sc, const char *p)
{
	if (sc->state == SCAN_DOT) {
		sc->state = *p == '\r' ? SCAN_DOT_CR : SCAN_LINE;
		return *p == '\r' ? p + 1 : p;
	}
	if (*p == '\n') {
		sc->state = SCAN_END;
		return p + 1;
	}
	sc->bare = true;
	sc->state = SCAN_LINE;
	return p;
}

static void
hand_out(const struct scan *sc, const char *from, const char *to, scan_fn *fn,
    void *arg)
{
	if (to > from && !sc->bare)
		fn(arg, (struct slice){from, (size_t)(to - from)});
}

size_t
scan_feed(struct scan *sc, struct slice in, scan_fn *fn, void *arg)
{
	const char *p = in.p, *end = in.p + in.len, *run = in.p;

	while (p < end && sc->state != SCAN_END) {
		switch (sc->state) {
		case SCAN_START:
			if (sc->dots && *p == '.') {
				hand_out(sc, run, p, fn, arg);
				sc->state = SCAN_DOT;
				run = ++p;
				break;
			}
			p = scan_line(sc, p, end);
			break;
		case SCAN_LINE:
			p = scan_line(sc, p, end);
			break;
		case SCAN_CR:
			if (*p == '\n') {
				sc->state = SCAN_START;
				p++;
			} else {
				sc->bare = true;
				sc->state = SCAN_LINE;
			}
			break;
		case SCAN_DOT:
		case SCAN_DOT_CR:
			run = p = scan_dot(sc, p);
			break;
		case SCAN_END:
			break;
		}
	}
	hand_out(sc, run, p, fn, arg);
	if (p > in.p && memchr(in.p, '\0', (size_t)(p - in.p)) != NULL)
		sc->nul = true;
	return (size_t)(p - in.p);
}

bool
scan_finish(struct scan *sc)
{
	if (sc->state == SCAN_CR)
		sc->bare = true;
	return sc->state == SCAN_LINE;
}
