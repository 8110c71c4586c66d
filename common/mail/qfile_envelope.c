/*
 * Reads the lines of a queue file's envelope.  Their sum was checked, so what
 * is found broken here is a writer's mistake or somebody's editor; it is still
 * only reported, with its place.  Values are decoded where they stand.
 */
#include "common/base/mem.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

/* One line of the envelope without its name, and where the line begins. */
struct line {
	struct slice rest;
	uint64_t at;
};

/* What a line's function may answer. */
enum line_answer {
	ANSWER_OK,
	ANSWER_BAD,
	ANSWER_NEWER /* l->rest is the word that is critical and unknown */
};

static bool
decode(struct qfile *q, struct slice in, struct slice *out)
{
	char *at = q->head + (in.p - q->head);
	size_t len;

	if (in.len == 0 || !qtext_word(in, at, &len))
		return false;
	*out = slice_mem(at, len);
	return true;
}

static enum line_answer
critical(struct line *l, struct slice word)
{
	l->rest = word;
	return ANSWER_NEWER;
}

static enum line_answer
line_created(struct qfile *q, struct line *l)
{
	return qtext_time(l->rest, &q->created_ms) ? ANSWER_OK : ANSWER_BAD;
}

static enum line_answer
line_from(struct qfile *q, struct line *l)
{
	return decode(q, l->rest, &q->env.from) ? ANSWER_OK : ANSWER_BAD;
}

static enum line_answer
line_flags(struct qfile *q, struct line *l)
{
	struct slice word;

	while (slice_cut(&l->rest, ' ', &word)) {
		for (size_t i = 0; i < nqflags; i++)
			if (slice_eq(word, slice_of(qflags[i].word)))
				q->env.flags |= qflags[i].bit;
		if (qtext_critical(word))
			return critical(l, word);
	}
	return ANSWER_OK;
}

static enum line_answer
line_client(struct qfile *q, struct line *l)
{
	struct envelope *env = &q->env;
	const struct {
		struct slice key;
		struct slice *value;
	} keys[] = {
		{SLICE("ip"), &env->client_ip},
		{SLICE("helo"), &env->client_helo},
		{SLICE("protocol"), &env->protocol},
		{SLICE("login"), &env->login},
		{SLICE("sid"), &env->sid},
	};
	struct slice word, key, value;

	while (slice_cut(&l->rest, ' ', &word)) {
		if (!qtext_pair(word, &key, &value))
			return ANSWER_BAD;
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (slice_eq(key, keys[i].key) &&
			    !decode(q, value, keys[i].value))
				return ANSWER_BAD;
		if (qtext_critical(key))
			return critical(l, key);
	}
	return ANSWER_OK;
}

static enum line_answer
line_envid(struct qfile *q, struct line *l)
{
	return decode(q, l->rest, &q->env.envid) ? ANSWER_OK : ANSWER_BAD;
}

static enum line_answer
line_by(struct qfile *q, struct line *l)
{
	int64_t ms;

	if (!qtext_time(l->rest, &ms))
		return ANSWER_BAD;
	q->env.by_at_ms = (uint64_t)ms;
	return ANSWER_OK;
}

/* "T ann@example.org notify=never orcpt=..." */
static enum line_answer
line_rcpt(struct qfile *q, struct line *l)
{
	struct env_recipient r = {SLICE_EMPTY, SLICE_EMPTY, 0};
	struct slice state, word, key, value;
	struct qrow *row;

	if (q->nrows >= ENV_RECIPIENTS_MAX ||
	    !slice_cut(&l->rest, ' ', &state) || state.len != 1 ||
	    !qfile_state_valid(state.p[0]) ||
	    !slice_cut(&l->rest, ' ', &word) || !decode(q, word, &r.address))
		return ANSWER_BAD;
	while (slice_cut(&l->rest, ' ', &word)) {
		if (!qtext_pair(word, &key, &value))
			return ANSWER_BAD;
		if (qtext_critical(key))
			return critical(l, key);
		if (slice_eq(key, SLICE("notify")) &&
		    !qtext_notify(value, &r.notify))
			return ANSWER_BAD;
		if (slice_eq(key, SLICE("orcpt")) &&
		    !decode(q, value, &r.orcpt))
			return ANSWER_BAD;
	}
	if (!qfile_rcpt_fits(&r))
		return ANSWER_BAD;
	row = qfile_add_row(q);
	row->r.address = r.address;
	row->r.orcpt = r.orcpt;
	row->r.notify = r.notify;
	row->r.number = ++q->last_number;
	row->r.state_at = l->at + sizeof("rcpt ") - 1;
	/* Without its record an expansion did not happen. */
	row->r.state = state.p[0] == QSTATE_EXPANDED ? QSTATE_TODO : state.p[0];
	row->r.told = state.p[0] == QSTATE_EXPANDED;
	return ANSWER_OK;
}

static const struct field {
	struct slice name;
	bool once, required;
	enum line_answer (*parse)(struct qfile *q, struct line *l);
} fields[] = {
	{{"rcpt", 4}, false, true, line_rcpt},
	{{"created", 7}, true, true, line_created},
	{{"from", 4}, true, true, line_from},
	{{"flags", 5}, true, false, line_flags},
	{{"client", 6}, true, false, line_client},
	{{"envid", 5}, true, false, line_envid},
	{{"by", 2}, true, false, line_by},
};
#define NFIELDS (sizeof(fields) / sizeof(fields[0]))

static enum qfile_result
parse_line(struct qfile *q, struct line *l, unsigned *seen,
    char why[STATUS_TEXT_MAX])
{
	struct slice name;
	size_t i = 0;

	slice_cut(&l->rest, ' ', &name);
	while (i < NFIELDS && !slice_eq(name, fields[i].name))
		i++;
	if (i == NFIELDS && qtext_critical(name))
		return qfile_unknown(why, l->at, name);
	if (i == NFIELDS)
		return QFILE_OK; /* of a newer version, not critical */
	if (fields[i].once && (*seen & 1u << i) != 0)
		return qfile_corrupt(why, l->at, "a second field %s",
		    fields[i].name.p);
	*seen |= 1u << i;
	if (l->rest.p == NULL)
		l->rest = SLICE_EMPTY;
	switch (fields[i].parse(q, l)) {
	case ANSWER_OK:
		return QFILE_OK;
	case ANSWER_NEWER:
		return qfile_unknown(why, l->at, l->rest);
	case ANSWER_BAD:
		break;
	}
	return qfile_corrupt(why, l->at, "bad field %s", fields[i].name.p);
}

enum qfile_result
qfile_parse_envelope(struct qfile *q, char why[STATUS_TEXT_MAX])
{
	struct slice text = slice_mem(q->head, q->head_len), line;
	enum qfile_result result = QFILE_OK;
	unsigned seen = 0;

	/* The envelope ends in an empty line: taken off here. */
	if (text.len < 2 || memcmp(text.p + text.len - 2, "\n\n", 2) != 0)
		return qfile_corrupt(why, q->head_len,
		    "no empty line in front of the content");
	text = slice_sub(text, QFILE_FIXED_LEN, text.len - 2);
	q->env = (struct envelope){
		.id = slice_mem(q->head + QFILE_ID_AT, ID_LEN),
		.from = SLICE_EMPTY, .envid = SLICE_EMPTY,
		.client_ip = SLICE_EMPTY, .client_helo = SLICE_EMPTY,
		.protocol = SLICE_EMPTY, .login = SLICE_EMPTY,
		.sid = SLICE_EMPTY, .prepend = SLICE_EMPTY};
	while (result == QFILE_OK && slice_cut(&text, '\n', &line)) {
		struct line l = {line, (uint64_t)(line.p - q->head)};

		result = parse_line(q, &l, &seen, why);
	}
	for (size_t i = 0; i < NFIELDS && result == QFILE_OK; i++)
		if (fields[i].required && (seen & 1u << i) == 0)
			result = qfile_corrupt(why, QFILE_FIXED_LEN,
			    "no field %s", fields[i].name.p);
	if (result == QFILE_OK && !qfile_env_fits(&q->env))
		result = qfile_corrupt(why, QFILE_FIXED_LEN,
		    "a field is longer than allowed");
	if (result == QFILE_OK && (q->env.flags & ENV_HOLD) != 0)
		qfile_apply_note(q, SLICE("hold"),
		    SLICE("held when it was accepted"), q->created_ms);
	return result;
}
