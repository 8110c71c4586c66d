/*
 * Fuzz entry of queue/drop: what is read of a file in the drop directory keeps
 * its limits, and written again and read again it is the same.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/envelope.h"
#include "queue/drop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RCPTS 50

static void
check(const struct drop_head *h, size_t size)
{
	struct buf text = BUF_INIT(SIZE_MAX / 2);
	struct drop_head again;
	struct address a;
	const char *why;

	assert(h->length <= size);
	assert(h->nrcpts > 0 && h->nrcpts <= RCPTS);
	assert(h->envid.len <= ENV_ENVID_MAX);
	for (size_t i = 0; i < h->nrcpts; i++) {
		assert(address_parse(h->rcpts[i].address, true, &a, &why));
		assert(h->rcpts[i].address.len <= ENV_ADDRESS_MAX);
	}
	drop_write(h, &text);
	assert(drop_read(&text, RCPTS, &again, &why) == DROP_OK);
	assert(again.nrcpts == h->nrcpts && again.flags == h->flags &&
	    again.notify == h->notify && again.size == h->size);
	assert(slice_eq(again.from, h->from) &&
	    slice_eq(again.envid, h->envid));
	for (size_t i = 0; i < h->nrcpts; i++)
		assert(slice_eq(again.rcpts[i].address, h->rcpts[i].address));
	drop_head_free(&again);
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(SIZE_MAX / 2);
	struct drop_head h;
	const char *why = NULL;

	buf_add(&text, data, size);
	switch (drop_read(&text, RCPTS, &h, &why)) {
	case DROP_OK:
		check(&h, size);
		drop_head_free(&h);
		break;
	case DROP_BAD:
		assert(why != NULL);
		break;
	case DROP_MORE:
	case DROP_NEWER:
		break;
	}
	buf_free(&text);
	return 0;
}
