/*
 * A session's questions to keyd (contract "key") while it shakes hands.  Runs in
 * sessions, blocking; the answers are keyd's, and believed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/tls/keys.h"

#define OPENS_MAX 2

struct keys {
	struct keys_args args;
	struct chan *chan; /* NULL: not open */
	unsigned opened;   /* so many times */
	bool heard;        /* an answer on the channel that is open */
	struct tls_keys ops;
	union key_msg msg;   /* the last answer: its slices are the channel's */
};

static bool
is_open(struct keys *k)
{
	int fd;

	if (k->chan != NULL)
		return true;
	if (k->heard || k->opened == OPENS_MAX)
		return false;
	k->opened++;
	fd = k->args.open(k->args.arg);
	if (fd == -1)
		return false;
	k->chan = chan_new(fd, &key_contract, CHAN_CLIENT);
	return true;
}

/* The answer of this type; false: keyd is gone, late, or not itself. */
static bool
ask(struct keys *k, uint16_t question, const void *msg, uint16_t answer)
{
	enum chan_result result = CHAN_CLOSED;
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type = 0;

	while (result == CHAN_CLOSED && is_open(k)) {
		chan_queue(k->chan, question, msg, NULL, 0);
		result = chan_wait(k->chan, &type, &k->msg, sizeof(k->msg),
		    fds, &nfds, k->args.deadline_ms);
		if (result == CHAN_OK && type == answer) {
			k->heard = true;
			return true;
		}
		chan_free(&k->chan);
	}
	return false;
}

static enum key_result
ask_certs(void *arg, struct slice name, const struct slices *known,
    struct key_certs *out)
{
	struct keys *k = arg;
	struct key_cert q = {.name = slice_sub(name, 0, KEY_NAME_MAX),
	    .known = *known};

	if (!ask(k, KEY_CERT, &q, KEY_CERTS)) {
		*out = (struct key_certs){.result = KEY_TEMP,
		    .folder = SLICE_EMPTY,
		    .why = SLICE("keyd does not answer")};
		return KEY_TEMP;
	}
	*out = k->msg.certs;
	return (enum key_result)out->result;
}

static enum key_result
ask_sign(void *arg, struct slice fingerprint, uint32_t scheme,
    struct slice content, unsigned char *signature, size_t *len)
{
	struct keys *k = arg;
	struct key_sign q = {.fingerprint = fingerprint, .scheme = scheme,
	    .content = content};
	const struct key_signed *a = &k->msg.answer;

	if (!ask(k, KEY_SIGN, &q, KEY_SIGNED))
		return KEY_TEMP;
	if (a->result != KEY_OK)
		return (enum key_result)a->result;
	if (a->signature.len > *len)
		return KEY_TEMP;
	memcpy(signature, a->signature.p, a->signature.len);
	*len = a->signature.len;
	return KEY_OK;
}

/* Leaves with the next question, or at the end. */
static void
put(void *arg, struct slice id, struct slice session)
{
	struct keys *k = arg;
	struct key_put q = {.id = id, .session = session,
	    .context = slice_of(k->args.context)};

	if (k->chan != NULL)
		chan_queue(k->chan, KEY_PUT, &q, NULL, 0);
}

static struct slice
take(void *arg, struct slice id)
{
	struct keys *k = arg;
	struct key_take q = {.id = id, .context = slice_of(k->args.context)};

	if (id.len > KEY_SESSION_ID_MAX || !ask(k, KEY_TAKE, &q, KEY_TAKEN))
		return SLICE_EMPTY;
	return k->msg.taken.session;
}

struct keys *
keys_new(const struct keys_args *args)
{
	struct keys *k = mem_alloc(sizeof(*k));

	k->args = *args;
	k->ops = (struct tls_keys){ask_certs, ask_sign, put, take, k};
	return k;
}

void
keys_free(struct keys **kp)
{
	struct keys *k = *kp;

	if (k == NULL)
		return;
	if (k->chan != NULL) {
		(void)chan_flush(k->chan);
		/* TLS sessions went through it. */
		chan_wipe(k->chan);
		chan_free(&k->chan);
	}
	free(k);
	*kp = NULL;
}

const struct tls_keys *
keys_ops(struct keys *k)
{
	return &k->ops;
}
