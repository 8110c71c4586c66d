/*
 * Writes the envelope and the trailer of a new queue file, for queued.  The
 * values come from clients by way of a channel: every one is quoted, and the
 * limits are checked once more, because a file that was answered 250 and that
 * the reader then refuses would be lost mail.
 */
#include <assert.h>

#include "common/base/buf.h"
#include "common/mail/qfile.h"
#include "common/mail/qfile_int.h"
#include "common/mail/qfile_text.h"

const char *const qdir_names[QDIR_COUNT] = {
	"incoming", "deferred", "hold", "corrupt",
};

const struct qflag qflags[] = {
	{"8bitmime", ENV_8BITMIME},
	{"smtputf8", ENV_SMTPUTF8},
	{"binarymime", ENV_BINARYMIME},
	{"ret=full", ENV_RET_FULL},
	{"ret=hdrs", ENV_RET_HDRS},
	{"by=return", ENV_BY_RETURN},
	{"by=notify", ENV_BY_NOTIFY},
	{"by=trace", ENV_BY_TRACE},
	{"hold", ENV_HOLD},
	{"double", ENV_DOUBLE},
};
const size_t nqflags = sizeof(qflags) / sizeof(qflags[0]);

/* ---- limits ---- */

static bool
fields_fit(const struct chan_field *fields, size_t n, const void *record)
{
	for (size_t i = 0; i < n; i++) {
		const char *member = (const char *)record + fields[i].off;
		struct slice s;

		if (fields[i].type != FIELD_STR)
			continue;
		memcpy(&s, member, sizeof(s));
		if (s.len > fields[i].max || (fields[i].required && s.len == 0))
			return false;
	}
	return true;
}

bool
qfile_rcpt_fits(const struct env_recipient *r)
{
	return fields_fit(env_recipient_fields, env_recipient_record.nfields,
	    r);
}

bool
qfile_env_fits(const struct envelope *env)
{
	struct mail_id id;

	return id_parse(env->id, &id) &&
	    fields_fit(envelope_fields, ENVELOPE_NFIELDS, env);
}

/* ---- envelope ---- */

static void
put_flags(struct buf *out, uint32_t flags)
{
	bool any = false;

	for (size_t i = 0; i < nqflags; i++) {
		if ((flags & qflags[i].bit) == 0)
			continue;
		buf_adds(out, any ? " " : "flags ");
		buf_adds(out, qflags[i].word);
		any = true;
	}
	if (any)
		buf_addc(out, '\n');
}

static void
put_client(struct buf *out, const struct envelope *env)
{
	if (env->client_ip.len + env->client_helo.len + env->protocol.len +
	    env->login.len + env->sid.len == 0)
		return;
	buf_adds(out, "client");
	qtext_put_pair(out, "ip", env->client_ip);
	qtext_put_pair(out, "helo", env->client_helo);
	qtext_put_pair(out, "protocol", env->protocol);
	qtext_put_pair(out, "login", env->login);
	qtext_put_pair(out, "sid", env->sid);
	buf_addc(out, '\n');
}

static void
put_rcpt(struct buf *out, const struct env_recipient *r)
{
	buf_adds(out, "rcpt T ");
	qtext_put_word(out, r->address);
	if (r->notify != 0) {
		buf_adds(out, " notify=");
		qtext_put_notify(out, r->notify);
	}
	qtext_put_pair(out, "orcpt", r->orcpt);
	buf_addc(out, '\n');
}

void
qfile_envelope(const struct envelope *env, int64_t created_ms, struct buf *out,
    size_t *content_at)
{
	const struct env_recipient *rcpts = env->recipients.v;

	assert(out->len == 0);
	if (!qfile_env_fits(env) || env->recipients.n == 0 ||
	    env->recipients.n > ENV_RECIPIENTS_MAX)
		out->overflow = true;
	buf_adds(out, QFILE_MAGIC "1\nid ");
	buf_addslice(out, env->id);
	buf_adds(out, "\ncontent ");
	*content_at = QFILE_CONTENT_AT;
	buf_adds(out, QFILE_CONTENT_BLANK "\ncreated ");
	qtext_put_time(out, created_ms);
	buf_adds(out, "\nfrom ");
	qtext_put_word(out, env->from);
	buf_addc(out, '\n');
	put_flags(out, env->flags);
	put_client(out, env);
	if (env->envid.len > 0) {
		buf_adds(out, "envid ");
		qtext_put_word(out, env->envid);
		buf_addc(out, '\n');
	}
	if (env->by_at_ms != 0) {
		buf_adds(out, "by ");
		qtext_put_time(out, env->by_at_ms > INT64_MAX ? INT64_MAX
		    : (int64_t)env->by_at_ms);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < env->recipients.n && !out->overflow; i++) {
		if (!qfile_rcpt_fits(&rcpts[i]))
			out->overflow = true;
		put_rcpt(out, &rcpts[i]);
	}
	buf_addc(out, '\n');
}

void
qfile_content_field(uint64_t offset, uint64_t length,
    char out[QFILE_CONTENT_WIDTH])
{
	qtext_digits(offset, QFILE_OFFSET_DIGITS, out);
	out[QFILE_OFFSET_DIGITS] = ' ';
	qtext_digits(length, QFILE_LENGTH_DIGITS,
	    out + QFILE_OFFSET_DIGITS + 1);
}

/* ---- trailer ---- */

static void
put_sum(struct buf *out, uint32_t sum)
{
	char text[QTEXT_SUM_WIDTH];

	qtext_sum(sum, text);
	buf_add(out, text, sizeof(text));
}

static void
put_insert(struct buf *out, uint64_t offset, struct slice text)
{
	if (text.len == 0)
		return;
	buf_printf(out, "insert %ju %zu\n", (uintmax_t)offset, text.len);
	buf_addslice(out, text);
	buf_addc(out, '\n');
}

static void
put_edits(struct buf *out, const struct env_edit *v, size_t n,
    uint64_t content_length)
{
	uint64_t done = 0;

	for (size_t i = 0; i < n; i++) {
		if (v[i].offset < done || v[i].offset > content_length ||
		    v[i].skip > content_length - v[i].offset ||
		    v[i].text.len > ENV_EDIT_TEXT_MAX)
			out->overflow = true;
		put_insert(out, v[i].offset, v[i].text);
		if (v[i].skip > 0)
			buf_printf(out, "skip %ju %ju\n",
			    (uintmax_t)v[i].offset, (uintmax_t)v[i].skip);
		done = v[i].offset + v[i].skip;
	}
}

void
qfile_trailer(struct slice envelope_text, const struct envelope *env,
    const struct env_edit *edits, size_t nedits,
    uint32_t content_sum, uint64_t content_length, struct buf *out)
{
	size_t start = out->len, length;

	buf_adds(out, QFILE_TRAILER_START "0000000000\n");
	put_insert(out, 0, env->prepend);
	put_edits(out, edits, nedits, content_length);
	length = out->len - start + QFILE_TRAILER_END_LEN;
	if (out->overflow)
		return;
	qtext_digits(length, QFILE_TRAILER_DIGITS,
	    out->s + start + sizeof(QFILE_TRAILER_START) - 1);
	buf_adds(out, "sum crc32 content ");
	put_sum(out, content_sum);
	buf_adds(out, " envelope ");
	put_sum(out, qfile_sum(0, envelope_text.p, envelope_text.len));
	buf_adds(out, " trailer ");
	put_sum(out, qfile_sum(0, out->s + start, out->len - start));
	buf_adds(out, "\nend\n");
	assert(out->overflow || out->len - start == length);
}
