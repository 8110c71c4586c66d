/*
 * Commands: how a line is split, where each is allowed, and the two that are
 * the same before and after the login.  Runs in the login session and in the
 * mailbox process, on what the client sends.
 */
#include "common/base/num.h"
#include "common/conf/conf.h"
#include "common/io/stream.h"
#include "pop3d/session.h"

void
command_split(struct slice line, struct slice *word, struct slice *arg,
    bool *has_arg)
{
	size_t space = slice_find(line, ' ', 0);

	*word = slice_sub(line, 0, space);
	*arg = slice_sub(line, space + 1, line.len);
	*has_arg = arg->len > 0;
}

bool
command_numbers(struct slice arg, uint32_t *v, size_t n)
{
	struct slice word;

	/* Message 0 is none; a number of lines may be 0. */
	for (size_t i = 0; i < n; i++)
		if (!slice_word(&arg, &word) ||
		    !num_u32(word, i == 0 ? 1 : 0, UINT32_MAX, &v[i]))
			return false;
	return slice_trim(arg).len == 0;
}

static const struct command *
find(const struct commands *commands, struct slice word)
{
	for (size_t i = 0; i < commands->n; i++)
		if (slice_ieq(word, slice_of(commands->v[i].name)))
			return &commands->v[i];
	return NULL;
}

enum state
command_run(struct session *s, const struct commands *commands,
    struct slice line)
{
	const struct command *c;
	struct slice word, arg;
	bool has_arg;

	command_split(line, &word, &arg, &has_arg);
	c = find(commands, word);
	if (c == NULL) {
		reply_error(s, "", "Unknown command");
		return s->state;
	}
	if (c->run == NULL || (c->states & 1u << s->state) == 0) {
		reply_error(s, "", s->state == STATE_TRANSACTION
		    ? "You are logged in already" : c->run == NULL
		    ? "Log in first" : "USER comes first");
		return s->state;
	}
	/* Spaces at a line's end do no harm where nothing is expected. */
	if (c->args == ARGS_NONE && slice_trim(arg).len > 0) {
		reply_error(s, "", "%s takes no argument", c->name);
		return s->state;
	}
	if (c->args == ARGS_NEEDED && !has_arg) {
		reply_error(s, "", "%s needs an argument", c->name);
		return s->state;
	}
	return c->run(s, arg);
}

/* RFC 2449 5.  LOGIN-DELAY: none; EXPIRE: nothing is deleted by itself. */
enum state
cmd_capa(struct session *s, struct slice arg)
{
	(void)arg;
	reply_ok(s, "Capability list follows");
	if (s->conf->pop3_plaintext_login)
		stream_puts(s->net, "USER\r\n");
	/* RFC 5034 3 */
	/* Put, not printed: an idle session takes no heap. */
	if (s->mechanisms != NULL && s->mechanisms[0] != '\0') {
		stream_puts(s->net, "SASL ");
		stream_puts(s->net, s->mechanisms);
		stream_puts(s->net, "\r\n");
	}
	stream_puts(s->net, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"
	    "PIPELINING\r\nEXPIRE NEVER\r\n"
	    "UTF8 USER\r\nLANG\r\nIMPLEMENTATION postern\r\n.\r\n");
	return s->state;
}

/* RFC 6856 3: one language, under its own name and as everybody's default. */
enum state
cmd_lang(struct session *s, struct slice arg)
{
	struct slice tag = slice_trim(arg);

	if (tag.len == 0) {
		reply_ok(s, "Language listing follows");
		stream_puts(s->net, "en English\r\n"
		    "i-default Default language\r\n.\r\n");
	} else if (slice_eq(tag, SLICE("*")) || slice_ieq(tag, SLICE("en")) ||
	    slice_iprefix(tag, SLICE("en-"))) {
		reply_ok(s, "en Replies are in English");
	} else if (slice_ieq(tag, SLICE("i-default"))) {
		reply_ok(s, "i-default Replies are in English");
	} else {
		reply_no(s, "", "en Replies are in English only");
	}
	return s->state;
}
