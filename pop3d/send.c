/*
 * Messages on the wire.  Runs in the mailbox process; the octets are a
 * message's, that is a stranger's: any value in any place.
 */
#include <string.h>

#include "common/io/stream.h"
#include "pop3d/send.h"

void
send_begin(struct send *s, struct stream *net, uint64_t body_lines)
{
	*s = (struct send){.net = net, .body_lines = body_lines,
	    .header = true};
}

/* The line's LF is out: was it the last one asked for? */
static void
end_line(struct send *s)
{
	bool empty = s->line_len == 0 || (s->line_len == 1 && s->cr);

	s->line_len = 0;
	s->cr = false;
	if (s->header && empty)
		s->header = false;
	else if (!s->header && s->body_lines != SEND_ALL)
		s->body_lines--;
	if (!s->header && s->body_lines == 0)
		s->done = true;
}

void
send_octets(struct send *s, struct slice in)
{
	size_t at = 0;

	while (at < in.len && !s->done) {
		size_t end = slice_find(in, '\n', at);
		bool whole = end < in.len;

		if (s->line_len == 0 && in.p[at] == '.')
			stream_put(s->net, SLICE("."));
		if (end > at) {
			s->cr = in.p[end - 1] == '\r';
			s->line_len += end - at;
		}
		/* A line that has its CR goes out with its LF in one piece. */
		stream_put(s->net, slice_sub(in, at,
		    whole && s->cr ? end + 1 : end));
		if (whole && !s->cr)
			stream_put(s->net, SLICE("\r\n"));
		if (whole)
			end_line(s);
		at = end + 1;
	}
}

void
send_end(struct send *s)
{
	if (s->line_len > 0)
		stream_put(s->net, SLICE("\r\n"));
	stream_put(s->net, SLICE(".\r\n"));
}

void
send_count(struct send_count *c, struct slice in)
{
	size_t at = 0, end;

	if (in.len == 0)
		return;
	c->octets += in.len;
	while ((end = slice_find(in, '\n', at)) < in.len) {
		if (!(end > 0 ? in.p[end - 1] == '\r' : c->cr))
			c->octets++;
		at = end + 1;
	}
	c->cr = in.p[in.len - 1] == '\r';
}
