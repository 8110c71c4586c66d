/*
 * The types of configuration values: text to member, and the words that say
 * what would have been right.  Runs at start and at SIGHUP in every daemon, on
 * the admin's own file.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/conf/value.h"

#define ARENA_CHUNK 4096
#define SHOWN_MAX 60 /* octets of a wrong value repeated in a message */

/* A chunk; the newest is the head. */
struct conf_arena {
	struct conf_arena *next;
	size_t used, cap;
	alignas(max_align_t) char mem[];
};

void *
value_alloc(struct conf_arena **arena, size_t n)
{
	struct conf_arena *a = *arena;
	size_t cap;
	char *p;

	assert(n < SIZE_MAX / 2);
	n = (n + alignof(max_align_t) - 1) / alignof(max_align_t) *
	    alignof(max_align_t);
	if (a == NULL || a->cap - a->used < n) {
		cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;
		a = mem_alloc(sizeof(*a) + cap);
		a->cap = cap;
		a->next = *arena;
		*arena = a;
	}
	p = a->mem + a->used;
	a->used += n;
	return p;
}

const char *
value_text(struct conf_arena **arena, struct slice s)
{
	char *p = value_alloc(arena, s.len + 1);

	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

void
value_free(struct conf_arena **arena)
{
	struct conf_arena *a;

	while ((a = *arena) != NULL) {
		*arena = a->next;
		free(a);
	}
}

static bool
is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t';
}

bool
value_next_word(struct slice *rest, struct slice *word)
{
	size_t from = 0, to;

	while (from < rest->len && is_separator(rest->p[from]))
		from++;
	for (to = from; to < rest->len && !is_separator(rest->p[to]); to++)
		continue;
	*word = slice_sub(*rest, from, to);
	*rest = slice_sub(*rest, to, rest->len);
	return word->len > 0;
}

static size_t
count_words(struct slice text)
{
	struct slice word;
	size_t n = 0;

	while (value_next_word(&text, &word))
		n++;
	return n;
}

/* "a|b|c" as "a, b or c" */
static void
say_words(struct buf *why, const char *words)
{
	struct slice rest = slice_of(words), word;
	bool first = true;

	while (slice_cut(&rest, '|', &word)) {
		if (!first)
			buf_adds(why, rest.p == NULL ? " or " : ", ");
		buf_addslice(why, word);
		first = false;
	}
}

/* The largest unit that expresses n without a rest, as the parser reads it. */
static void
say_unit(struct buf *why, uint64_t n, enum conf_type type)
{
	static const struct {
		enum conf_type type;
		uint64_t factor;
		const char *name;
	} units[] = {
		{CONF_SIZE, UINT64_C(1) << 30, "G"},
		{CONF_SIZE, UINT64_C(1) << 20, "M"},
		{CONF_SIZE, UINT64_C(1) << 10, "K"},
		{CONF_TIME, 604800000, "w"},
		{CONF_TIME, 86400000, "d"},
		{CONF_TIME, 3600000, "h"},
		{CONF_TIME, 60000, "m"},
		{CONF_TIME, 1000, "s"},
		{CONF_TIME, 1, "ms"},
	};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == type && n > 0 &&
		    n % units[i].factor == 0) {
			buf_printf(why, "%" PRIu64 "%s", n / units[i].factor,
			    units[i].name);
			return;
		}
	buf_printf(why, "%" PRIu64, n);
}

/* What the row allows, as the second half of a message. */
static void
say_allowed(struct buf *why, const struct conf_param *p)
{
	switch (p->type) {
	case CONF_STRING:
	case CONF_CHOICE:
	case CONF_BOOL:
		if (p->words != NULL)
			say_words(why, p->words);
		break;
	case CONF_PATH:
		buf_adds(why, "an absolute path, like /var/spool/postern");
		if (p->least == 0)
			buf_adds(why, ", or nothing");
		break;
	case CONF_NUMBER:
		buf_printf(why, "a whole number from %" PRIu64 " to %" PRIu64,
		    p->least, p->most);
		break;
	case CONF_SIZE:
		buf_adds(why, "octets, or with K, M or G, from ");
		say_unit(why, p->least, p->type);
		buf_adds(why, " to ");
		say_unit(why, p->most, p->type);
		break;
	case CONF_TIME:
		buf_adds(why, "seconds, or with ms, s, m, h, d or w, from ");
		say_unit(why, p->least, p->type);
		buf_adds(why, " to ");
		say_unit(why, p->most, p->type);
		break;
	case CONF_LIST:
		buf_adds(why, "words separated by commas or spaces");
		break;
	case CONF_NETS:
		buf_adds(why, "addresses and networks, like 192.0.2.1, "
		    "192.0.2.0/24, 2001:db8::/32, with no bits set behind "
		    "the prefix");
		break;
	case CONF_MODE:
		buf_adds(why, "an octal mode, like 0640");
		break;
	}
}

static bool
wrong(struct buf *why, const struct conf_param *p, struct slice text)
{
	if (text.len == 0)
		buf_adds(why, "has no value; allowed: ");
	else
		buf_printf(why, "\"%.*s%s\" is not allowed; allowed: ",
		    SLICE_FMT(slice_sub(text, 0, SHOWN_MAX)),
		    text.len > SHOWN_MAX ? "..." : "");
	say_allowed(why, p);
	return false;
}

/* The place of text among "a|b|c". */
static bool
find_word(const char *words, struct slice text, uint32_t *index)
{
	struct slice rest = slice_of(words), word;
	uint32_t i;

	for (i = 0; slice_cut(&rest, '|', &word); i++)
		if (slice_eq(word, text)) {
			*index = i;
			return true;
		}
	return false;
}

static bool
parse_number(const struct conf_param *p, struct slice text, uint64_t *out)
{
	if (p->type == CONF_SIZE)
		return num_size(text, p->least, p->most, out);
	if (p->type == CONF_TIME)
		return num_time_ms(text, p->least, p->most, out);
	return num_u64(text, p->least, p->most, out);
}

static void
set_list(struct slice text, struct conf_list *out, struct conf_arena **arena)
{
	struct conf_list list = {NULL, 0};
	size_t n = count_words(text);
	struct slice word;

	if (n > 0)
		list.v = value_alloc(arena, n * sizeof(*list.v));
	while (list.n < n && value_next_word(&text, &word))
		list.v[list.n++] = value_text(arena, word);
	*out = list;
}

static bool
set_nets(const struct conf_param *p, struct slice text, struct conf_nets *out,
    struct conf_arena **arena, struct buf *why)
{
	struct conf_nets nets = {NULL, 0};
	size_t n = count_words(text);
	struct slice word;

	if (n > 0)
		nets.v = value_alloc(arena, n * sizeof(*nets.v));
	while (nets.n < n && value_next_word(&text, &word))
		if (!net_parse(word, &nets.v[nets.n++]))
			return wrong(why, p, word);
	*out = nets;
	return true;
}

static bool
set_words(const struct conf_param *p, struct slice text, void *at,
    struct conf_arena **arena, struct buf *why)
{
	uint32_t index = 0;

	if (p->words != NULL && !find_word(p->words, text, &index))
		return wrong(why, p, text);
	if (p->type == CONF_STRING)
		*(const char **)at = value_text(arena, text);
	else if (p->type == CONF_BOOL)
		*(bool *)at = index == 0; /* "yes|no" */
	else
		*(uint32_t *)at = index;
	return true;
}

bool
value_set(const struct conf_param *p, struct slice text, void *base,
    struct conf_arena **arena, struct buf *why)
{
	void *at = (char *)base + p->off;

	switch (p->type) {
	case CONF_STRING:
	case CONF_BOOL:
	case CONF_CHOICE:
		return set_words(p, text, at, arena, why);
	case CONF_PATH:
		if (text.len < p->least ||
		    (text.len > 0 && text.p[0] != '/'))
			return wrong(why, p, text);
		*(const char **)at = value_text(arena, text);
		return true;
	case CONF_NUMBER:
	case CONF_SIZE:
	case CONF_TIME:
		if (!parse_number(p, text, at))
			return wrong(why, p, text);
		return true;
	case CONF_LIST:
		set_list(text, at, arena);
		return true;
	case CONF_NETS:
		return set_nets(p, text, at, arena, why);
	case CONF_MODE:
		if (!num_u32_octal(text, (uint32_t)p->least, (uint32_t)p->most,
		    at))
			return wrong(why, p, text);
		return true;
	}
	abort(); /* all types are above */
}
