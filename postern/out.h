/* What the admin's command says: plain text in which foreign octets cannot do
 * harm, or JSON. */
#ifndef POSTERN_OUT_H
#define POSTERN_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

/* "postern: ..." on stderr. */
void out_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Each of the lines. */
void out_errors(struct slice lines);

/* On stdout; control characters and what is no UTF-8 as \xNN. */
void out_text(struct slice s);
void out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* part stands in s, whatever the case; "" stands everywhere */
bool out_contains(struct slice s, struct slice part);

/* "3m", "2h 5m", "4d 1h" */
#define OUT_DURATION_SIZE 32
void out_duration(int64_t ms, char out[OUT_DURATION_SIZE]);
/* "512", "12K", "3.4M" */
#define OUT_SIZE_SIZE 16
void out_size(uint64_t octets, char out[OUT_SIZE_SIZE]);

#define JSON_DEPTH_MAX 16

/* Where the next value stands; starts zeroed. */
struct json {
	char close[JSON_DEPTH_MAX];  /* of what is open */
	bool filled[JSON_DEPTH_MAX]; /* it has a member */
	int depth;
	bool after_key;
};

/*
 * JSON on stdout.  Objects and arrays nest; a key before each member of an
 * object.  Octets that are no UTF-8 become the character of the same number
 * (Latin-1).
 */
void json_object(struct json *j);
void json_array(struct json *j);
void json_end(struct json *j);
void json_key(struct json *j, const char *key);
void json_str(struct json *j, struct slice s);
void json_num(struct json *j, int64_t n);
void json_bool(struct json *j, bool b);
/* RFC 3339, null for 0 */
void json_time(struct json *j, int64_t real_ms);

/* "key": value */
void json_key_str(struct json *j, const char *key, struct slice s);
void json_key_num(struct json *j, const char *key, int64_t n);
void json_key_bool(struct json *j, const char *key, bool b);
void json_key_time(struct json *j, const char *key, int64_t real_ms);

#endif
