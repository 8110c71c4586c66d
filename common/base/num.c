/*
 * The one number parser, and its reverse.  Used by every process, on
 * configuration, commands, files and foreign replies.
 */
#include "common/base/num.h"

/* The value of each octet as a digit plus one; 0: no digit. */
static const unsigned char digit_plus1[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5,
	['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

struct unit {
	struct slice name;
	uint64_t factor;
};

static bool
parse(struct slice s, unsigned base, uint64_t *out)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = digit_plus1[(unsigned char)s.p[i]];

		if (d == 0 || d > base)
			return false;
		d--;
		if (n > (UINT64_MAX - d) / base)
			return false;
		n = n * base + d;
	}
	*out = n;
	return true;
}

static bool
parse_between(struct slice s, unsigned base, uint64_t least, uint64_t most,
    uint64_t *out)
{
	uint64_t n;

	if (!parse(s, base, &n) || n < least || n > most)
		return false;
	*out = n;
	return true;
}

static bool
parse_u32(struct slice s, unsigned base, uint32_t least, uint32_t most,
    uint32_t *out)
{
	uint64_t n;

	if (!parse_between(s, base, least, most, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

/* Digits and one of the units; a bare number has the first unit's factor. */
static bool
parse_unit(struct slice s, const struct unit *units, size_t nunits,
    uint64_t *out)
{
	size_t digits = 0;
	struct slice name;
	uint64_t n;

	while (digits < s.len && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (!parse(slice_sub(s, 0, digits), 10, &n))
		return false;
	name = slice_sub(s, digits, s.len);
	for (size_t i = 0; i < nunits; i++) {
		if (!slice_eq(name, units[i].name))
			continue;
		if (n > UINT64_MAX / units[i].factor)
			return false;
		*out = n * units[i].factor;
		return true;
	}
	return false;
}

bool
num_u32(struct slice s, uint32_t least, uint32_t most, uint32_t *out)
{
	return parse_u32(s, 10, least, most, out);
}

bool
num_u64(struct slice s, uint64_t least, uint64_t most, uint64_t *out)
{
	return parse_between(s, 10, least, most, out);
}

bool
num_u64_hex(struct slice s, uint64_t least, uint64_t most, uint64_t *out)
{
	return parse_between(s, 16, least, most, out);
}

bool
num_u32_octal(struct slice s, uint32_t least, uint32_t most, uint32_t *out)
{
	return parse_u32(s, 8, least, most, out);
}

bool
num_size(struct slice s, uint64_t least, uint64_t most, uint64_t *out)
{
	static const struct unit units[] = {
		{{"", 0}, 1},
		{{"K", 1}, UINT64_C(1) << 10},
		{{"M", 1}, UINT64_C(1) << 20},
		{{"G", 1}, UINT64_C(1) << 30},
	};
	uint64_t n;

	if (!parse_unit(s, units, sizeof(units) / sizeof(units[0]), &n) ||
	    n < least || n > most)
		return false;
	*out = n;
	return true;
}

bool
num_time_ms(struct slice s, uint64_t least, uint64_t most, uint64_t *out)
{
	static const struct unit units[] = {
		{{"", 0}, 1000},
		{{"ms", 2}, 1},
		{{"s", 1}, 1000},
		{{"m", 1}, UINT64_C(60) * 1000},
		{{"h", 1}, UINT64_C(60) * 60 * 1000},
		{{"d", 1}, UINT64_C(24) * 60 * 60 * 1000},
		{{"w", 1}, UINT64_C(7) * 24 * 60 * 60 * 1000},
	};
	uint64_t n;

	if (!parse_unit(s, units, sizeof(units) / sizeof(units[0]), &n) ||
	    n < least || n > most)
		return false;
	*out = n;
	return true;
}

size_t
num_text(uint64_t n, char out[NUM_TEXT_SIZE])
{
	/* Two digits a division. */
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	char text[NUM_TEXT_SIZE];
	size_t at = sizeof(text);

	while (n >= 100) {
		at -= 2;
		memcpy(text + at, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (n >= 10) {
		at -= 2;
		memcpy(text + at, pairs + n * 2, 2);
	} else
		text[--at] = (char)('0' + n);
	memcpy(out, text + at, sizeof(text) - at);
	return sizeof(text) - at;
}
