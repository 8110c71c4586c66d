/*
 * dovecot-uidlist: reading and finding.  Runs in the mailbox processes with the
 * rights of the mailbox's owner; the file may have been written by Dovecot, by
 * its owner or by a crash.
 *
 * The text of the file is kept in one block and the entries point into it;
 * everything is linear in the size of the file but for the sorting of a list
 * that is not in order, which no well-behaved program leaves.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/base/random.h"
#include "common/mail/maildir.h"
#include "common/mail/uidlist.h"
#include "common/mail/uidlist_int.h"

static uint64_t
hash(const struct uidlist *l, struct slice base)
{
	uint64_t h = l->seed;

	for (size_t i = 0; i < base.len; i++)
		h = (h ^ (unsigned char)base.p[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

uint32_t *
uidlist_slot(const struct uidlist *l, struct slice base)
{
	size_t at = hash(l, base) & (l->nslots - 1);

	while (l->slots[at] != 0 &&
	    !slice_eq(l->v[l->slots[at] - 1].base, base))
		at = (at + 1) & (l->nslots - 1);
	return &l->slots[at];
}

/*
 * Builds the hash for twice as many entries as there are.  Of two entries for
 * one file the one with the higher UID stays, as Dovecot has it.
 */
void
uidlist_index(struct uidlist *l)
{
	size_t kept = 0;

	free(l->slots);
	for (l->nslots = 64; l->nslots < 4 * l->n; l->nslots *= 2)
		continue;
	l->slots = mem_array(l->nslots, sizeof(*l->slots));
	for (size_t i = 0; i < l->n; i++) {
		uint32_t *slot = uidlist_slot(l, l->v[i].base);

		if (*slot != 0) {
			l->v[*slot - 1].uid = 0;
			l->mend = true;
		}
		*slot = (uint32_t)i + 1;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].uid != 0)
			l->v[kept++] = l->v[i];
	if (kept == l->n)
		return;
	l->n = kept;
	memset(l->slots, 0, l->nslots * sizeof(*l->slots));
	for (size_t i = 0; i < l->n; i++)
		*uidlist_slot(l, l->v[i].base) = (uint32_t)i + 1;
}

/* By UID; equal ones as they stand in the file. */
static int
compare(const void *a, const void *b)
{
	const struct uidlist_entry *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return (x->base.p > y->base.p) - (x->base.p < y->base.p);
}

/* Into UID order; of two entries with one UID the first stays. */
static void
sort_entries(struct uidlist *l)
{
	size_t kept = 0;

	qsort(l->v, l->n, sizeof(*l->v), compare);
	for (size_t i = 0; i < l->n; i++)
		if (kept == 0 || l->v[kept - 1].uid != l->v[i].uid)
			l->v[kept++] = l->v[i];
	l->n = kept;
	l->mend = true;
}

/* --- lines --- */

static void
take_field(struct slice word, struct uidlist_entry *e)
{
	struct slice value = slice_sub(word, 1, word.len);

	/* A value that is no number is as good as none. */
	switch (word.p[0]) {
	case 'W':
		num_u64(value, 0, INT64_MAX, &e->wire);
		break;
	case 'S':
		num_u64(value, 0, INT64_MAX, &e->size);
		break;
	case 'O':
		num_u32(value, 1, UINT32_MAX, &e->pop3_order);
		break;
	case 'P':
		e->pop3 = value;
		break;
	default:
		break; /* kept in extra */
	}
}

/* What stands behind the UID: "[fields] :base" or, in version 1, the name. */
static bool
take_rest(struct slice rest, bool version1, struct uidlist_entry *e)
{
	struct slice word;
	size_t from = 0, end;

	while (!version1 && from < rest.len && rest.p[from] != ':') {
		end = slice_find(rest, ' ', from);
		word = slice_sub(rest, from, end);
		if (word.len > 0)
			take_field(word, e);
		from = end < rest.len ? end + 1 : end;
	}
	if (!version1) {
		if (from == rest.len)
			return false;
		e->extra = slice_trim(slice_sub(rest, 0, from));
		rest = slice_sub(rest, from + 1, rest.len);
	}
	e->base = slice_sub(rest, 0, slice_find(rest, ':', 0));
	return e->base.len > 0 && e->base.len <= MAILDIR_NAME_MAX &&
	    slice_find(e->base, '/', 0) == e->base.len &&
	    slice_find(e->base, '\0', 0) == e->base.len &&
	    slice_find(e->base, '\r', 0) == e->base.len;
}

static bool
take_line(struct uidlist *l, struct slice line, bool version1)
{
	struct uidlist_entry e = {.extra = SLICE_EMPTY, .pop3 = SLICE_EMPTY,
	    .wire = UINT64_MAX, .size = UINT64_MAX};
	size_t space = slice_find(line, ' ', 0);

	if (space == line.len ||
	    !num_u32(slice_sub(line, 0, space), 1, UIDLIST_UID_MAX, &e.uid))
		return false;
	/* Even if the rest is lost, its UID must not be given again. */
	if (e.uid >= l->next)
		l->next = e.uid + 1;
	while (space < line.len && line.p[space] == ' ')
		space++;
	if (!take_rest(slice_sub(line, space, line.len), version1, &e))
		return false;
	if (l->n > 0 && e.uid <= l->v[l->n - 1].uid)
		l->unordered = true;
	MEM_PUSH(l->v, l->n, l->cap, e);
	return true;
}

/* Lines behind the header; what follows the last newline is a torn line. */
void
uidlist_take_lines(struct uidlist *l, struct slice text, bool version1)
{
	size_t broken = 0, at = 0;

	while (at < text.len) {
		size_t end = slice_find(text, '\n', at);
		size_t before = l->n;

		if (!take_line(l, slice_sub(text, at, end), version1))
			broken++;
		else if (end == text.len) {
			/* Torn, though it looks whole. */
			l->n = before;
			broken++;
		}
		at = end + 1;
	}
	if (broken > 0) {
		log_warnx(UIDLIST_NAME ": %zu broken or torn lines left out", broken);
		l->mend = true;
	}
	if (l->unordered)
		sort_entries(l);
}

/* "V1764000000 N17 G0123abcd... Xother" */
static bool
take_header3(struct uidlist *l, struct slice rest)
{
	struct buf others = BUF_INIT(UIDLIST_TEXT_MAX);
	struct slice word, value;
	bool ok = true;

	while (ok && slice_word(&rest, &word)) {
		value = slice_sub(word, 1, word.len);
		if (word.p[0] == 'V')
			ok = num_u32(value, 1, UINT32_MAX, &l->validity);
		else if (word.p[0] == 'N')
			ok = num_u32(value, 1, UINT32_MAX, &l->next);
		else if (word.p[0] == 'G')
			l->guid = value;
		else {
			buf_addc(&others, ' ');
			buf_addslice(&others, word);
		}
	}
	if (others.len > 0) {
		others = buf_take(&others);
		l->header = buf_slice(&others);
		uidlist_own(l, others.s);
	}
	return ok && l->validity != 0 && l->next != 0;
}

static bool
take_header1(struct uidlist *l, struct slice rest)
{
	struct slice validity, next;

	l->mend = true;
	return slice_word(&rest, &validity) && slice_word(&rest, &next) &&
	    num_u32(validity, 1, UINT32_MAX, &l->validity) &&
	    num_u32(next, 1, UINT32_MAX, &l->next);
}

/* A list nobody has written yet. */
static void
start_fresh(struct uidlist *l)
{
	l->validity = (uint32_t)(clock_real_ms() / 1000);
	l->next = 1;
	l->guid = l->header = SLICE_EMPTY;
	l->mend = true;
}

static int
take_text(struct uidlist *l, struct slice text)
{
	size_t end = slice_find(text, '\n', 0);
	struct slice head = slice_sub(text, 0, end), version;
	bool ok = false;
	uint32_t number = 0;

	if (slice_word(&head, &version) && end < text.len &&
	    num_u32(version, 1, 999, &number)) {
		if (number != 1 && number != 3) {
			log_warnx(UIDLIST_NAME ": version %" PRIu32 " is not known",
			    number);
			errno = EPROTO;
			return -1;
		}
		ok = number == 1 ? take_header1(l, head)
		    : take_header3(l, head);
	}
	if (!ok) {
		log_warnx(UIDLIST_NAME ": no usable header: a new list is begun");
		start_fresh(l);
		l->broken = text.len > 0;
		return 0;
	}
	if (l->guid.len == 0)
		l->mend = true;
	uidlist_take_lines(l, slice_sub(text, end + 1, text.len), number == 1);
	return 0;
}

/* --- the file --- */

static void
clear(struct uidlist *l)
{
	for (size_t i = 0; i < l->ntexts; i++)
		free(l->texts[i]);
	free(l->texts);
	free(l->v);
	free(l->slots);
	*l = (struct uidlist){.seed = l->seed, .guid = SLICE_EMPTY,
	    .header = SLICE_EMPTY};
}

void
uidlist_own(struct uidlist *l, char *text)
{
	MEM_PUSH(l->texts, l->ntexts, l->texts_cap, text);
}

/* All octets up to the size the file had; it may have grown since. */
static int
read_all(int fd, char *text, size_t size, size_t *got)
{
	size_t at = 0;

	while (at < size) {
		ssize_t n = read(fd, text + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*got = at;
	return 0;
}

static int
load_fd(struct uidlist *l, int fd)
{
	size_t size, got;
	char *text;

	if (fstat(fd, &l->st) != 0)
		return -1;
	if ((uint64_t)l->st.st_size > UIDLIST_TEXT_MAX) {
		errno = EFBIG;
		return -1;
	}
	size = (size_t)l->st.st_size;
	text = mem_grow(NULL, size + 1, 1);
	uidlist_own(l, text);
	if (read_all(fd, text, size, &got) != 0)
		return -1;
	l->exists = true;
	return take_text(l, slice_mem(text, got));
}

/* Reads the file into the cleared list. */
int
uidlist_load(int maildir_fd, struct uidlist *l)
{
	int r, fd;

	clear(l);
	fd = openat(maildir_fd, UIDLIST_NAME, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT)
		return -1;
	if (fd < 0) {
		start_fresh(l);
		uidlist_index(l);
		return 0;
	}
	r = load_fd(l, fd);
	close(fd);
	uidlist_index(l);
	return r;
}

enum uidlist_result
uidlist_fault(const char *what)
{
	LOG_WARN("uidlist", LS("step", what), LE());
	return UIDLIST_ERROR;
}

enum uidlist_result
uidlist_read(int maildir_fd, struct uidlist **out)
{
	struct uidlist *l = mem_alloc(sizeof(*l));

	l->seed = random_u64();
	if (uidlist_load(maildir_fd, l) != 0) {
		int saved = errno;

		uidlist_free(&l);
		errno = saved;
		return uidlist_fault("read");
	}
	*out = l;
	return UIDLIST_OK;
}

void
uidlist_free(struct uidlist **l)
{
	if (*l == NULL)
		return;
	clear(*l);
	free(*l);
	*l = NULL;
}

uint32_t
uidlist_validity(const struct uidlist *l)
{
	return l->validity;
}

uint32_t
uidlist_next(const struct uidlist *l)
{
	return l->next;
}

size_t
uidlist_count(const struct uidlist *l)
{
	return l->n;
}

const struct uidlist_entry *
uidlist_at(const struct uidlist *l, size_t i)
{
	return &l->v[i];
}

const struct uidlist_entry *
uidlist_find(const struct uidlist *l, struct slice base)
{
	uint32_t at = *uidlist_slot(l, base);

	return at != 0 ? &l->v[at - 1] : NULL;
}

/* RFC 1939 7, UIDL: one or more visible characters.  Longer ones than the 70 it
 * allows are kept: clients know them so from the server before. */
static bool
is_uidl(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.len > 0 && s.len <= MAILDIR_NAME_MAX;
}

void
uidlist_uidl(const struct uidlist *l, const struct uidlist_entry *e,
    struct buf *out)
{
	struct slice rest = e->extra, word;

	while (slice_word(&rest, &word)) {
		if (word.p[0] != 'P')
			continue;
		word = word.len > 1 ? slice_sub(word, 1, word.len) : e->base;
		if (is_uidl(word)) {
			buf_addslice(out, word);
			return;
		}
	}
	buf_printf(out, "%08" PRIx32 "%08" PRIx32, e->uid, l->validity);
}
