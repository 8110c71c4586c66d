/*
 * Fuzz entry of dnsd: the first octet says whether the rest is a DNS message,
 * or a record of the contract "dns" from a client or from dnsd.
 *
 * From a message an answer must come that the contract can carry.  What is
 * decoded from a record must encode, decode and print to the same again.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/dns/server.h"
#include "dnsd/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_MAX 1000000u
#define TEXT_MAX (8 * FRAME_MAX)

static void
check_text(const struct chan_record *r, const void *a, const void *b)
{
	struct buf text = BUF_INIT(TEXT_MAX), again = BUF_INIT(TEXT_MAX);

	chan_print(r, a, &text);
	chan_print(r, b, &again);
	assert(!text.overflow && !again.overflow);
	assert(slice_eq(buf_slice(&text), buf_slice(&again)));
	buf_free(&text);
	buf_free(&again);
}

/* Through the codec and back: the same. */
static void
check_codec(enum chan_side from, uint16_t type, const union dns_msg *msg)
{
	struct chan_arena *arena = chan_arena_new();
	struct buf frame = BUF_INIT(FRAME_MAX);
	union dns_msg back;
	uint16_t type_back;
	const char *why = NULL;
	bool good;

	chan_encode(&dns_contract, 1, type, msg, &frame);
	assert(!frame.overflow && frame.len >= 8);
	good = chan_decode(&dns_contract, 1, from,
	    slice_sub(buf_slice(&frame), 4, frame.len), arena, &type_back,
	    &back, sizeof(back), &why);
	assert(good && type_back == type);
	check_text(chan_record_find(&dns_contract, type), msg, &back);
	chan_arena_free(&arena);
	buf_free(&frame);
}

static void
try_message(struct slice octets)
{
	static const uint32_t types[] = {DNS_A, DNS_PTR, DNS_MX, DNS_TXT,
	    DNS_AAAA, DNS_TLSA};
	union dns_msg msg = {.answer = {.rid = 1}};
	struct packet p;
	size_t i;

	packet_init(&p);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		packet_read(&p, octets, SLICE("mx.example"), types[i],
		    &msg.answer);
		assert(msg.answer.result >= DNS_OK &&
		    msg.answer.result <= DNS_TEMP);
		check_codec(CHAN_SERVER, DNS_ANSWER, &msg);
	}
	packet_free(&p);
}

static void
try_record(enum chan_side from, struct slice payload)
{
	struct chan_arena *arena = chan_arena_new();
	union dns_msg msg;
	const char *why = NULL;
	uint16_t type;

	if (chan_decode(&dns_contract, 1, from, payload, arena, &type, &msg,
	    sizeof(msg), &why)) {
		check_codec(from, type, &msg);
		if (type == DNS_QUERY)
			(void)dns_name_ok(msg.query.name, &why);
	} else {
		assert(why != NULL);
	}
	chan_arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;

	if (size == 0)
		return 0;
	rest = slice_mem(data + 1, size - 1);
	if (data[0] < 0x80)
		try_message(rest);
	else
		try_record(data[0] & 1 ? CHAN_CLIENT : CHAN_SERVER, rest);
	return 0;
}
