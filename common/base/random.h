/* Random octets from the kernel, usable inside every cage. */
#ifndef COMMON_BASE_RANDOM_H
#define COMMON_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *p, size_t n);
uint64_t random_u64(void);
/* Uniform in [0, below); below > 0. */
uint32_t random_below(uint32_t below);

#endif
