/*
 * An outcome that the rest of the world hears of.  It travels as this value
 * from where it arises through channel, queue file and log to reply or bounce
 * and is never rebuilt from text.
 */
#ifndef COMMON_BASE_STATUS_H
#define COMMON_BASE_STATUS_H

#include <stdint.h>

#include "common/base/slice.h"

enum status_class { STATUS_OK = 2, STATUS_TEMPORARY = 4, STATUS_PERMANENT = 5 };

#define STATUS_TEXT_MAX 400

struct status {
	uint32_t code;          /* RFC 5321 4.2 reply code, 200..599 */
	uint32_t subject, detail; /* RFC 3463: class.subject.detail */
	char text[STATUS_TEXT_MAX]; /* one line, printable, no code in it */
};

/* code decides the class; text is cut to fit and unprintable octets become
 * '?'. */
void status_set(struct status *st, uint32_t code, uint32_t subject,
    uint32_t detail, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
enum status_class status_class(const struct status *st);

/* "4.3.1" */
#define STATUS_ENHANCED_SIZE 16
void status_enhanced(const struct status *st, char out[STATUS_ENHANCED_SIZE]);

#endif
