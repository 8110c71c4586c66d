/*
 * Fuzz entry of common/mail/addrlist: every list is read to its end, every
 * address that is given is one, and it comes out the same when it is read once
 * more.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/address.h"
#include "common/mail/addrlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct addrlist *list, struct slice all, struct buf *address)
{
	struct addrlist again = addrlist_of(buf_slice(address));
	struct buf second = BUF_INIT(2000);
	struct address a;
	const char *why;

	if (list->bare != NULL) {
		assert(list->bare > all.p && list->bare <= all.p + all.len);
		assert(address_local(buf_slice(address), true, &why));
	} else if (address->len > 0) {
		assert(address_parse(buf_slice(address), true, &a, &why));
	}
	if (address->len > 0) {
		assert(addrlist_next(&again, &second, &why) == 1);
		assert(slice_eq(buf_slice(address), buf_slice(&second)));
	}
	buf_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_mem(data, size);
	struct addrlist list = addrlist_of(all);
	struct buf address = BUF_INIT(2000);
	const char *why = NULL;
	size_t before;
	int r;

	for (;;) {
		before = list.rest.len;
		if ((r = addrlist_next(&list, &address, &why)) == 0)
			break;
		assert(list.rest.len < before);
		assert(!address.overflow);
		if (r == 1)
			check(&list, all, &address);
		else
			assert(why != NULL);
	}
	buf_free(&address);
	return 0;
}
