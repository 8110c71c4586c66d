/*
 * Fuzz entry of the channel codec: any payload against a contract with one of
 * everything.  The first octet chooses version and side.  What is decoded must
 * be within the contract's limits (the encoder asserts them), encode to no more
 * octets than came, and decode to the same again.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "tests/unit/chan_example.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX (8 * EXAMPLE_TEXT_MAX)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf frame = BUF_INIT(EXAMPLE_TEXT_MAX + 100);
	struct buf text = BUF_INIT(TEXT_MAX), again = BUF_INIT(TEXT_MAX);
	struct chan_arena *arena = chan_arena_new();
	const struct chan_record *r;
	enum chan_side from;
	struct slice payload;
	union example_msg msg;
	uint16_t version, type, type_again;
	const char *why = NULL;
	bool good;

	if (size == 0)
		goto out;
	version = (uint16_t)(1 + (data[0] & 0x0f) % 3);
	from = (data[0] & 0x80) != 0 ? CHAN_SERVER : CHAN_CLIENT;
	payload = slice_mem(data + 1, size - 1);
	if (!chan_decode(&example_contract, version, from, payload, arena,
	    &type, &msg, sizeof(msg), &why)) {
		assert(why != NULL);
		goto out;
	}
	r = chan_record_find(&example_contract, type);
	assert(r != NULL && (r->from & from) != 0);
	chan_print(r, &msg, &text);
	chan_encode(&example_contract, version, type, &msg, &frame);
	assert(!text.overflow && !frame.overflow && frame.len >= 8);
	payload = slice_sub(buf_slice(&frame), 4, frame.len);
	assert(payload.len < size);
	chan_arena_reset(arena);
	good = chan_decode(&example_contract, version, from, payload, arena,
	    &type_again, &msg, sizeof(msg), &why);
	assert(good && type_again == type);
	chan_print(r, &msg, &again);
	assert(slice_eq(buf_slice(&text), buf_slice(&again)));
out:
	chan_arena_free(&arena);
	buf_free(&frame);
	buf_free(&text);
	buf_free(&again);
	return 0;
}
