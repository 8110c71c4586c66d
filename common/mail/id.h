/*
 * The one id of a message: 20 lower-case base32 characters ("0-9a-v", so that
 * text order is time order), 50 bits of milliseconds since 1970 and 50 random
 * bits.  Born at MAIL.
 */
#ifndef COMMON_MAIL_ID_H
#define COMMON_MAIL_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define ID_LEN 20
#define ID_SIZE (ID_LEN + 1)

struct mail_id {
	char s[ID_SIZE]; /* NUL-terminated */
};

struct mail_id id_new(int64_t real_ms);
/* The same from 50 bits that are at hand: who makes it again of the same thing
 * gets the same id. */
struct mail_id id_made(int64_t real_ms, uint64_t bits);
/* Exactly 20 characters of the alphabet. */
bool id_parse(struct slice s, struct mail_id *out);
int64_t id_time_ms(const struct mail_id *id);

#endif
