/*
 * sendmail(1) as a client of smtpd's UNIX socket.  Runs with its caller's
 * rights; smtpd knows who that is from the kernel.  A recipient ends sent or
 * refused, or is left, because smtpd or what stands behind it does not work at
 * the moment: then it is the drop directory's.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/io/stream.h"
#include "common/mail/envelope.h"
#include "queue/sendmail.h"

#define IN_SIZE 8192
#define OUT_SIZE 65536
#define LINE_MAX_IN 2048      /* RFC 5321 4.5.3.1.5 says 512 */
#define LINES_MAX 200         /* of one reply */
#define COMMAND_WAIT_MS 300000 /* RFC 5321 4.5.3.2 */
#define DATA_WAIT_MS 600000   /* 4.5.3.2.6 */
#define WINDOW 50             /* RCPTs on the way at once: neither side's
                               * socket fills up */
#define RETRY_CONNECT_MS 20

#define EXT_8BITMIME 1u
#define EXT_SMTPUTF8 2u
#define EXT_DSN 4u
#define EXT_SIZE 8u
#define EXT_PIPELINING 16u

struct client {
	struct stream *net;
	const struct sendmail_options *o;
	const struct conf *c;
	struct letter *l;
	unsigned extensions;
	bool gone;            /* no further word to be had */
	unsigned code;        /* of the last reply; 0: none came */
	struct buf text;      /* its last line behind the code */
	bool verify;          /* -bv */
	unsigned refused;     /* recipients, in this session */
	size_t taken;         /* in this transaction */
};

int
smtp_dial(const struct conf *c)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const struct timespec pause = {0, RETRY_CONNECT_MS * 1000000L};
	int64_t end = clock_mono_ms() + (int64_t)c->submit_wait_ms;
	size_t n = strlen(c->submit_socket);
	int fd, error;

	if (n == 0 || n >= sizeof(sa.sun_path)) {
		errno = n == 0 ? ENOENT : ENAMETOOLONG;
		return -1;
	}
	memcpy(sa.sun_path, c->submit_socket, n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* EAGAIN: more wait for smtpd already than it lets. */
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		error = errno;
		if ((error != EAGAIN && error != EINTR) ||
		    clock_mono_ms() >= end) {
			close(fd);
			errno = error;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* ---- one command, one reply ---- */

__attribute__((format(printf, 2, 3)))
static void
command(struct client *cl, const char *fmt, ...)
{
	struct buf line = BUF_INIT(8192);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	if (cl->o->verbose)
		printf(">>> %s\n", line.s);
	buf_adds(&line, "\r\n");
	stream_put(cl->net, buf_slice(&line));
	buf_free(&line);
}

static void
learn(struct client *cl, struct slice line)
{
	static const struct {
		struct slice word;
		unsigned bit;
	} known[] = {
		{SLICE_INIT("8BITMIME"), EXT_8BITMIME},
		{SLICE_INIT("SMTPUTF8"), EXT_SMTPUTF8},
		{SLICE_INIT("DSN"), EXT_DSN},
		{SLICE_INIT("SIZE"), EXT_SIZE},
		{SLICE_INIT("PIPELINING"), EXT_PIPELINING},
	};
	struct slice word;

	if (!slice_word(&line, &word))
		return;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_ieq(word, known[i].word))
			cl->extensions |= known[i].bit;
}

/* The whole reply.  Its class: 2, 3, 4, 5; 0 when there is none, or none that
 * is one. */
static unsigned
reply(struct client *cl, int64_t wait_ms, bool extensions)
{
	struct slice line;
	uint32_t code = 0;

	cl->code = 0;
	buf_reset(&cl->text);
	if (cl->gone)
		return 0;
	stream_deadline(cl->net, clock_mono_ms() + wait_ms);
	for (int n = 0; n < LINES_MAX; n++) {
		if (stream_line(cl->net, LINE_MAX_IN, &line) != LINE_OK ||
		    line.len < 3 ||
		    !num_u32(slice_sub(line, 0, 3), 200, 599, &code) ||
		    (line.len > 3 && line.p[3] != ' ' && line.p[3] != '-'))
			break;
		if (cl->o->verbose)
			printf("%.*s\n", SLICE_FMT(line));
		if (extensions && n > 0)
			learn(cl, slice_sub(line, 4, line.len));
		if (line.len > 3 && line.p[3] == '-')
			continue;
		cl->code = code;
		buf_addslice(&cl->text, slice_sub(line, 4, line.len));
		cl->gone = code == 421;
		return code / 100;
	}
	cl->gone = true;
	return 0;
}

/* RFC 3463: smtpd or what stands behind it does not work now.  Whatever else is
 * temporary was meant. */
static bool
out_of_order(const struct client *cl)
{
	struct slice t = buf_slice(&cl->text);

	return cl->code == 0 || cl->code == 421 || (cl->code / 100 == 4 &&
	    (slice_prefix(t, SLICE("4.3.0 ")) ||
	    slice_prefix(t, SLICE("4.3.2 "))));
}

int
smtp_exit_code(unsigned code, struct slice text)
{
	static const struct {
		struct slice prefix;
		int code;
	} rows[] = {
		{SLICE_INIT("5.1.1 "), EX_NOUSER},
		{SLICE_INIT("5.1.6 "), EX_NOUSER},
		{SLICE_INIT("5.1.10 "), EX_NOUSER},
		{SLICE_INIT("5.1.2 "), EX_NOHOST},
		{SLICE_INIT("5.1."), EX_DATAERR},
		{SLICE_INIT("5.2."), EX_UNAVAILABLE},
		{SLICE_INIT("5.3."), EX_UNAVAILABLE},
		{SLICE_INIT("5.4."), EX_UNAVAILABLE},
		{SLICE_INIT("5.5."), EX_PROTOCOL},
		{SLICE_INIT("5.6."), EX_DATAERR},
		{SLICE_INIT("5.7."), EX_NOPERM},
	};

	if (code / 100 != 5)
		return code / 100 == 2 ? EX_OK : EX_TEMPFAIL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (slice_prefix(text, rows[i].prefix))
			return rows[i].code;
	return code == 550 || code == 551 || code == 553 ? EX_NOUSER
	    : EX_UNAVAILABLE;
}

/* Says what was refused: an address or the message. */
static void
refused(struct client *cl, const char *what)
{
	if (!cl->o->quiet)
		sendmail_say(cl->o, "%s: %u %s", what, cl->code, cl->text.s);
	letter_code(cl->l, smtp_exit_code(cl->code, buf_slice(&cl->text)));
}

/* ---- the session ---- */

static bool
greet(struct client *cl)
{
	unsigned class = reply(cl, (int64_t)cl->c->submit_wait_ms, false);

	if (class == 5)
		refused(cl, "smtpd");
	if (class != 2)
		return false;
	command(cl, "EHLO %s", cl->c->hostname);
	class = reply(cl, (int64_t)cl->c->submit_wait_ms, true);
	if (class == 5)
		refused(cl, "EHLO");
	return class == 2;
}

/* RFC 3461 4: xtext */
static void
put_xtext(const char *s, struct buf *out)
{
	for (; *s != '\0'; s++)
		if (*s > ' ' && *s < 0x7f && *s != '+' && *s != '=')
			buf_addc(out, *s);
		else
			buf_printf(out, "+%02X", (unsigned char)*s);
}

static void
send_mail(struct client *cl)
{
	const struct letter *l = cl->l;
	struct buf p = BUF_INIT(2048);

	if (cl->extensions & EXT_SIZE)
		buf_printf(&p, " SIZE=%llu",
		    (unsigned long long)l->text.octets);
	if (l->text.eight_bit && (cl->extensions & EXT_8BITMIME))
		buf_adds(&p, " BODY=8BITMIME");
	if (l->utf8 && (cl->extensions & EXT_SMTPUTF8))
		buf_adds(&p, " SMTPUTF8");
	if ((cl->extensions & EXT_DSN) && cl->o->ret != 0)
		buf_adds(&p, cl->o->ret == ENV_RET_FULL ? " RET=FULL"
		    : " RET=HDRS");
	if ((cl->extensions & EXT_DSN) && cl->o->envid != NULL) {
		buf_adds(&p, " ENVID=");
		put_xtext(cl->o->envid, &p);
	}
	command(cl, "MAIL FROM:<%s>%s", l->sender.s, p.s);
	buf_free(&p);
}

static void
send_rcpt(struct client *cl, const struct sendmail_rcpt *r)
{
	uint32_t n = cl->extensions & EXT_DSN ? cl->o->notify : 0;
	struct buf p = BUF_INIT(200);

	if (n == NOTIFY_NEVER)
		buf_adds(&p, "NEVER,");
	if (n & NOTIFY_SUCCESS)
		buf_adds(&p, "SUCCESS,");
	if (n & NOTIFY_FAILURE)
		buf_adds(&p, "FAILURE,");
	if (n & NOTIFY_DELAY)
		buf_adds(&p, "DELAY,");
	if (p.len > 0)
		p.s[--p.len] = '\0';
	command(cl, "RCPT TO:<%s>%s%s", r->address, n != 0 ? " NOTIFY=" : "",
	    p.s);
	buf_free(&p);
}

/* -bv: what was said goes to standard output. */
static void
verified(struct client *cl, struct sendmail_rcpt *r, bool ok)
{
	printf("%s... %s%u %s\n", r->address, ok ? "deliverable: " : "",
	    cl->code, cl->text.s);
	letter_code(cl->l, smtp_exit_code(cl->code, buf_slice(&cl->text)));
	r->state = ok ? RCPT_SENT : RCPT_REFUSED;
	cl->refused += !ok;
}

/* The reply to one RCPT.  False: this transaction takes no more. */
static bool
got_rcpt(struct client *cl, struct sendmail_rcpt *r)
{
	unsigned class = reply(cl, COMMAND_WAIT_MS, false);

	if (cl->gone) /* the next session asks again */
		return false;
	if (cl->verify) {
		verified(cl, r, class == 2);
		return true;
	}
	if (class == 2) {
		r->state = RCPT_TAKEN;
		cl->taken++;
		return true;
	}
	/* RFC 5321 4.5.3.1.10: the next transaction takes it. */
	if (cl->code == 452 && cl->taken > 0 &&
	    slice_prefix(buf_slice(&cl->text), SLICE("4.5.3 ")))
		return false;
	if (out_of_order(cl)) {
		r->state = RCPT_LEFT;
		return true;
	}
	refused(cl, r->address);
	r->state = RCPT_REFUSED;
	cl->refused++;
	return true;
}

/* How many recipients may be asked about at once.  smtpd ends a session that
 * has errors_max refused commands; that is not waited for. */
static size_t
window(const struct client *cl)
{
	uint64_t left = cl->c->errors_max > cl->refused + 1
	    ? cl->c->errors_max - cl->refused - 1 : cl->refused == 0;

	if (left > WINDOW)
		left = WINDOW;
	return left > 1 && (cl->extensions & EXT_PIPELINING) == 0 ? 1
	    : (size_t)left;
}

/* All open recipients, as far as this transaction goes. */
static void
send_rcpts(struct client *cl)
{
	struct sendmail_rcpt *r = cl->l->rcpts;
	size_t n = cl->l->nrcpts, from = 0, end, asked;
	bool more = true;

	while (from < n && more && window(cl) > 0) {
		for (asked = 0, end = from; end < n && asked < window(cl);
		    end++)
			if (r[end].state == RCPT_OPEN) {
				send_rcpt(cl, &r[end]);
				asked++;
			}
		for (; from < end && !cl->gone; from++)
			if (r[from].state == RCPT_OPEN)
				more = got_rcpt(cl, &r[from]) && more;
		if (cl->gone)
			return;
	}
}

/* ---- the content ---- */

struct stuffing {
	struct stream *net;
	bool start; /* of a line */
};

/* RFC 5321 4.5.2 */
static bool
put_stuffed(void *arg, struct slice s)
{
	struct stuffing *st = arg;
	const char *lf;
	size_t at = 0, end;

	while (at < s.len) {
		if (st->start && s.p[at] == '.')
			stream_puts(st->net, ".");
		lf = memchr(s.p + at, '\n', s.len - at);
		end = lf != NULL ? (size_t)(lf - s.p) + 1 : s.len;
		stream_put(st->net, slice_sub(s, at, end));
		st->start = lf != NULL;
		at = end;
	}
	return true;
}

static void
settle(struct letter *l, enum rcpt_state from, enum rcpt_state to)
{
	for (size_t i = 0; i < l->nrcpts; i++)
		if (l->rcpts[i].state == from)
			l->rcpts[i].state = to;
}

static size_t
count(const struct letter *l, enum rcpt_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < l->nrcpts; i++)
		n += l->rcpts[i].state == state;
	return n;
}

/* What becomes of the taken ones after the reply to DATA or to the dot. */
static void
data_answered(struct client *cl, bool ok)
{
	enum rcpt_state to = ok ? RCPT_SENT : RCPT_LEFT;

	/* Where no reply came smtpd may have it or not: better twice than
	 * never. */
	if (!ok && !out_of_order(cl)) {
		refused(cl, "message");
		to = RCPT_REFUSED;
	}
	settle(cl->l, RCPT_TAKEN, to);
}

/* False: the message could not be read. */
static bool
send_data(struct client *cl)
{
	struct stuffing st = {cl->net, true};

	command(cl, "DATA");
	if (reply(cl, COMMAND_WAIT_MS, false) != 3) {
		data_answered(cl, false);
		return true;
	}
	stream_deadline(cl->net, CLOCK_NEVER);
	stream_idle(cl->net, COMMAND_WAIT_MS);
	if (spool_each(&cl->l->text, put_stuffed, &st) != 0) {
		sendmail_say(cl->o, "cannot read the message back: %s",
		    strerror(errno));
		letter_code(cl->l, EX_IOERR);
		return false;
	}
	command(cl, ".");
	data_answered(cl, reply(cl, DATA_WAIT_MS, false) == 2);
	return true;
}

/* False: a fault of our own. */
static bool
transaction(struct client *cl)
{
	struct letter *l = cl->l;

	cl->taken = 0;
	send_mail(cl);
	if (reply(cl, COMMAND_WAIT_MS, false) != 2) {
		if (!cl->gone && out_of_order(cl)) {
			settle(l, RCPT_OPEN, RCPT_LEFT);
		} else if (!cl->gone) {
			refused(cl, l->sender.len > 0 ? l->sender.s : "<>");
			settle(l, RCPT_OPEN, RCPT_REFUSED);
		}
		return true;
	}
	send_rcpts(cl);
	if (cl->taken > 0 && !cl->gone)
		return send_data(cl);
	settle(l, RCPT_TAKEN, RCPT_OPEN);
	if (!cl->gone && count(l, RCPT_OPEN) > 0) {
		command(cl, "RSET");
		(void)reply(cl, COMMAND_WAIT_MS, false);
	}
	return true;
}

/* One connection, as many transactions as it takes. */
static enum way
session(struct client *cl)
{
	int fd = smtp_dial(cl->c);
	bool ok = true, greeted;

	if (fd < 0)
		return WAY_CLOSED;
	cl->net = stream_new(fd, IN_SIZE, OUT_SIZE);
	cl->gone = false;
	cl->extensions = 0;
	cl->refused = 0;
	greeted = greet(cl);
	while (greeted && ok && !cl->gone && count(cl->l, RCPT_OPEN) > 0 &&
	    window(cl) > 0)
		ok = transaction(cl);
	if (greeted && !cl->gone) {
		command(cl, "QUIT");
		(void)reply(cl, (int64_t)cl->c->submit_wait_ms, false);
	}
	stream_free(&cl->net);
	if (!greeted)
		return cl->code / 100 == 5 ? WAY_FAILED : WAY_CLOSED;
	return ok ? WAY_DONE : WAY_FAILED;
}

enum way
smtp_send(struct letter *l, const struct sendmail_options *o,
    const struct conf *c, bool verify)
{
	struct client cl = {.o = o, .c = c, .l = l, .verify = verify,
	    .text = BUF_INIT(LINE_MAX_IN)};
	enum way way;
	size_t before, open = count(l, RCPT_OPEN);

	/* Each further session brings some recipients nearer, or is the
	 * last. */
	do {
		before = open;
		way = session(&cl);
		open = count(l, RCPT_OPEN);
	} while (way == WAY_DONE && open > 0 && open < before);
	buf_free(&cl.text);
	if (way == WAY_FAILED)
		return way;
	settle(l, RCPT_OPEN, RCPT_LEFT);
	return count(l, RCPT_LEFT) > 0 ? WAY_CLOSED : WAY_DONE;
}
