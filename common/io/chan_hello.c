/*
 * The first record of a channel: who speaks which contract in which versions.
 * Runs in every daemon, on both ends; the input is another daemon's, perhaps of
 * another release.
 */
#include <stddef.h>

#include "common/base/log.h"
#include "common/io/chan_int.h"

struct hello {
	struct slice contract;
	uint32_t lowest, highest; /* in the answer both are the chosen one */
};

static const struct chan_field hello_fields[] = {
	{"contract", 1, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct hello, contract), NULL},
	{"lowest", 2, FIELD_U32, UINT16_MAX, 0, true, 1,
	    offsetof(struct hello, lowest), NULL},
	{"highest", 3, FIELD_U32, UINT16_MAX, 0, true, 1,
	    offsetof(struct hello, highest), NULL},
};

static const struct chan_record hello_record = {
	"hello", 0, CHAN_CLIENT | CHAN_SERVER, 0, sizeof(struct hello),
	hello_fields, sizeof(hello_fields) / sizeof(hello_fields[0])};

/* Nothing was queued before it: chan_queue sees to that. */
void
chan_hello_queue(struct chan *c, uint16_t lowest, uint16_t highest)
{
	struct hello hello = {slice_of(c->contract->name), lowest, highest};

	chan_frame_put(&hello_record, 1, &hello, c->contract->max_frame,
	    &c->out);
}

/* The accepting side: chooses a version and answers. */
static enum chan_result
hello_accept(struct chan *c, const struct hello *hello)
{
	const struct chan_contract *ct = c->contract;
	uint32_t chosen = ct->highest;

	if (hello->highest < chosen)
		chosen = hello->highest;
	if (chosen < ct->lowest || chosen < hello->lowest) {
		/* Two releases too far apart: temporary, not a breach. */
		LOG_WARN("channel-no-common-version", LS("contract", ct->name),
		    LU("lowest", ct->lowest), LU("highest", ct->highest),
		    LU("peer-lowest", hello->lowest),
		    LU("peer-highest", hello->highest));
		c->eof = true;
		chan_output_end(c);
		return CHAN_CLOSED;
	}
	c->version = (uint16_t)chosen;
	/* Until it has our answer the peer speaks its lowest version. */
	c->need = ct->lowest;
	if (hello->lowest > c->need)
		c->need = (uint16_t)hello->lowest;
	c->greeted = true;
	c->answer_owed = true;
	chan_hello_queue(c, c->version, c->version);
	return CHAN_OK;
}

enum chan_result
chan_hello_take(struct chan *c, struct slice fields, uint16_t nfds)
{
	struct chan_decoder d = {1, 1, c->arena, {NULL, NULL, NULL}};
	struct hello hello;

	if (c->greeted)
		return chan_refuse(c, &hello_record, "a second one");
	if (nfds != 0)
		return chan_refuse(c, &hello_record,
		    "wrong number of descriptors");
	if (!chan_fields_get(&d, &hello_record, fields, &hello))
		return chan_refuse_fault(c, &d.fault);
	if (!slice_eq(hello.contract, slice_of(c->contract->name)))
		return chan_refuse(c, &hello_record, "another contract");
	if (c->side == CHAN_SERVER)
		return hello_accept(c, &hello);
	if (hello.lowest != hello.highest ||
	    hello.lowest < c->contract->lowest ||
	    hello.lowest > c->contract->highest)
		return chan_refuse(c, &hello_record, "no version of ours");
	c->version = c->need = (uint16_t)hello.lowest;
	c->greeted = true;
	return CHAN_OK;
}
