/*
 * Fuzz entry of what sessions tell keyd: names that clients asked for, and
 * contents to be signed.  A name that may be a folder's leads nowhere else; what
 * is allowed is a handshake's, in both forms known here, and of no other length.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "common/proto/key.h"
#include "keyd/content.h"
#include "keyd/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
name(struct slice s)
{
	if (!store_name_valid(s))
		return;
	assert(s.len > 0 && s.len < KEY_NAME_MAX);
	assert(s.p[0] != '.' && s.p[s.len - 1] != '.');
	assert(memchr(s.p, '/', s.len) == NULL);
	assert(memchr(s.p, '\0', s.len) == NULL);
	for (size_t i = 1; i < s.len; i++)
		assert(s.p[i] != '.' || s.p[i - 1] != '.');
}

static void
content(uint32_t scheme, struct slice s, bool old)
{
	const char *why = NULL;
	bool spaces = s.len > 64;

	if (!content_allowed(scheme, s, old, &why)) {
		assert(why != NULL);
		return;
	}
	for (size_t i = 0; i < 64 && spaces; i++)
		spaces = s.p[i] == ' ';
	if (spaces && s.p[64] == 'T')
		assert(s.len == 130 || s.len == 146);
	else
		assert(s.len > 68 && s.p[64] == 3 && s.len <= 201 &&
		    (unsigned char)s.p[67] == s.len - 68);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;

	if (size < 3)
		return 0;
	rest = slice_mem(data + 3, size - 3);
	name(rest);
	content((uint32_t)data[0] << 8 | data[1], rest, (data[2] & 1) != 0);
	return 0;
}
