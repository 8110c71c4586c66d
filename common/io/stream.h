/*
 * The only way to octets on a descriptor for processes that serve one peer and
 * block with a deadline (sessions, clients, deliveries).  Plain today; TLS sits
 * behind the same functions by setting other io functions.
 *
 * Reading flushes writing: output leaves when the program is about to wait for
 * input, when the output buffer is full, or at stream_flush; never per reply.
 *
 * Buffers are allocated at first use, so an idle stream costs little.
 */
#ifndef COMMON_IO_STREAM_H
#define COMMON_IO_STREAM_H

#include <stdbool.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/slice.h"

struct stream;

enum line_result {
	LINE_OK,      /* *line is the line without its CRLF; NUL is an octet
	               * like any other here: callers refuse it */
	LINE_LONG,    /* longer than allowed; swallowed up to its CRLF.  Where a
	               * line is both this and bare, LINE_BARE */
	LINE_BARE,    /* has a CR without LF or an LF without CR; swallowed up
	               * to its CRLF, or to the bare LF if that comes first */
	LINE_EOF,     /* the peer closed, at a line's start or within one */
	LINE_TIMEOUT, /* a deadline passed */
	LINE_ERROR    /* errno */
};

enum stream_result { STREAM_OK, STREAM_EOF, STREAM_TIMEOUT, STREAM_ERROR };

/*
 * Replaces read and write for TLS: like read(2)/write(2), EAGAIN included.  The
 * others may be NULL:
 * pending: are there octets that poll does not see?  Without it every wait for
 * input tries to read first.
 * wants: which events of poll(2) to wait for after EAGAIN, where they are not
 * those of the direction.
 * flush: writes what `write` took and kept; 0, or -1 with errno as write.
 * end: the stream is being freed, its descriptor still open: says goodbye
 * without waiting, and frees arg.
 */
struct stream_io {
	ssize_t (*read)(void *arg, void *p, size_t n);
	ssize_t (*write)(void *arg, const void *p, size_t n);
	void *arg;
	bool (*pending)(void *arg);
	short (*wants)(void *arg, short events);
	int (*flush)(void *arg);
	void (*end)(void *arg);
};

/* fd becomes non-blocking and belongs to the stream.  in_max and out_max are
 * the sizes of the buffers; the largest line is in_max - 2. */
struct stream *stream_new(int fd, size_t in_max, size_t out_max);
/* For a process that forks one child a connection: a stream whose buffers are
 * there already, on pages of their own, and whose descriptor the child names.
 * So the child takes no memory, and touches no page but those it fills. */
struct stream *stream_prepare(size_t in_max, size_t out_max);
void stream_attach(struct stream *s, int fd);
/* Does not flush; closes the descriptor. */
void stream_free(struct stream **s);
int stream_fd(const struct stream *s);
/* Gives the descriptor away (handing the client over); the stream keeps its
 * buffered input and must be freed afterwards. */
int stream_take_fd(struct stream *s);
void stream_set_io(struct stream *s, const struct stream_io *io);

/* Time allowed for one wait (each read or write), milliseconds; CLOCK_NEVER
 * (the default): no limit. */
void stream_idle(struct stream *s, int64_t ms);
/* Waits for events of poll(2) on the descriptor, within the idle time and the
 * deadline: for handshakes, which read and write on their own. */
enum stream_result stream_wait(struct stream *s, short events);
/* Absolute moment (clock_mono_ms) after which every wait and every read from
 * the descriptor fails; CLOCK_NEVER takes it back.  A deadline per transaction,
 * not per read. */
void stream_deadline(struct stream *s, int64_t at_ms);

/* A signal may end waits for input: they run under the signal mask *mask (the
 * signal is blocked at all other moments) and end with STREAM_ERROR or
 * LINE_ERROR and EINTR once its handler has set *flag.  What is buffered is
 * still handed out.  NULL, NULL takes it back: a step in hand is finished. */
void stream_interrupt(struct stream *s, const volatile sig_atomic_t *flag,
    const sigset_t *mask);

/* The next line.  *line points into the buffer until the next call on s. */
enum line_result stream_line(struct stream *s, size_t max, struct slice *line);

/*
 * Raw octets for DATA and BDAT: waits until at least `want` octets are there
 * (want <= in_max) and shows all that are buffered.  stream_consume drops the
 * first n of them.
 */
enum stream_result stream_peek(struct stream *s, size_t want,
    struct slice *octets);
void stream_consume(struct stream *s, size_t n);

/* Octets already read and not consumed: non-zero before STARTTLS means the
 * peer talked ahead. */
size_t stream_buffered(const struct stream *s);
/* What is buffered, to be carried to another process with the descriptor. */
struct slice stream_leftover(const struct stream *s);
/* Puts octets in front of what will be read (the other end of leftover); the
 * buffer grows where in_max does not hold them. */
void stream_preload(struct stream *s, struct slice octets);
/* Wipes and throws away buffered input and output (STARTTLS). */
void stream_drop(struct stream *s);

/* Output.  Errors are remembered and returned by every later flush or read;
 * what is put after one is dropped. */
void stream_put(struct stream *s, struct slice octets);
void stream_puts(struct stream *s, const char *text);
void stream_printf(struct stream *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum stream_result stream_flush(struct stream *s);

/*
 * For dialogues that send ahead of the answers (RFC 2920 3.1), where neither
 * side may wait for the other one to read:
 * stream_room: octets that stream_put takes without writing any.
 * stream_step: writes what the peer takes now; where it takes nothing, waits
 * until it does or says something, which is buffered then (as far as there is
 * room).  stream_pending: octets still to be written.
 * stream_ready: the next line, only if its end is buffered already.
 */
size_t stream_room(const struct stream *s);
size_t stream_pending(const struct stream *s);
enum stream_result stream_step(struct stream *s);
bool stream_ready(struct stream *s, size_t max, struct slice *line,
    enum line_result *result);
/* After a failed write: what the peer said before it closed can be read; what
 * waited to be written is dropped. */
void stream_last_words(struct stream *s);
/* Nothing came from the peer since the last line, not even its end. */
bool stream_silent(struct stream *s);

/* Sees every octet read ('R') and written ('W'): tests and debugging. */
void stream_trace(struct stream *s,
    void (*hook)(void *arg, char dir, struct slice octets), void *arg);

#endif
