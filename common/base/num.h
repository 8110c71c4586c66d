/*
 * The one number parser.  Digits only (no sign, no spaces, no prefix), bounds
 * included; 4294967297 is an error and never 1.  *out stays untouched on error.
 */
#ifndef COMMON_BASE_NUM_H
#define COMMON_BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

bool num_u32(struct slice s, uint32_t least, uint32_t most, uint32_t *out);
bool num_u64(struct slice s, uint64_t least, uint64_t most, uint64_t *out);
bool num_u64_hex(struct slice s, uint64_t least, uint64_t most, uint64_t *out);
bool num_u32_octal(struct slice s, uint32_t least, uint32_t most,
    uint32_t *out);

/* "10", "10K", "10M", "10G" (powers of 1024). */
bool num_size(struct slice s, uint64_t least, uint64_t most, uint64_t *out);

/* "500ms", "10s", "5m", "2h", "5d", "1w"; a bare number is seconds.
 * The result and the bounds are milliseconds. */
bool num_time_ms(struct slice s, uint64_t least, uint64_t most, uint64_t *out);

/* The decimal digits of n, no NUL behind them; returns how many. */
#define NUM_TEXT_SIZE 20
size_t num_text(uint64_t n, char out[NUM_TEXT_SIZE]);

#endif
