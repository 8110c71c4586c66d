/*
 * Fuzz entry of common/mail/address: whatever is accepted must have an
 * accepted canonical form that means the same, and never reach beyond limits.
 */
#include <assert.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct address *a, bool utf8_ok)
{
	struct buf out = BUF_INIT(4 * ADDRESS_PATH_MAX);
	struct address again;
	const char *why;

	assert(a->local.len <= ADDRESS_LOCAL_MAX);
	assert(a->domain.len <= ADDRESS_DOMAIN_MAX);
	assert(a->text.len <= ADDRESS_PATH_MAX - 2);
	address_canonical(a, &out);
	assert(!out.overflow);
	assert(memchr(out.s, '\n', out.len) == NULL);
	/* Not for <> and <postmaster>; quoting never needs more than it had. */
	if (a->domain.len > 0) {
		assert(address_parse(buf_slice(&out), utf8_ok, &again, &why));
		assert(address_same(a, &again));
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s, rest;
	struct address_flags flags;
	struct address a;
	const char *why;

	if (size < 1)
		return 0;
	flags.utf8_ok = (data[0] & 1) != 0;
	flags.null_ok = (data[0] & 2) != 0;
	flags.postmaster_ok = (data[0] & 4) != 0;
	flags.tolerant = (data[0] & 8) != 0;
	s = slice_mem(data + 1, size - 1);
	if (address_parse(s, flags.utf8_ok, &a, &why)) {
		assert(a.text.len == s.len);
		check(&a, flags.utf8_ok);
	}
	if (address_path(s, flags, &a, &rest, &why)) {
		assert(rest.len == 0 || rest.p[0] == ' ');
		assert(rest.p + rest.len == s.p + s.len);
		check(&a, flags.utf8_ok);
	}
	return 0;
}
