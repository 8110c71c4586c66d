/* Time.  clock_mono_ms never jumps and is for deadlines; clock_real_ms is the
 * wall clock in milliseconds since 1970. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX
#define CLOCK_DATE_SIZE 40

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_real_ms(void);

/* Loads the time zone; call before the cage. */
void clock_preload(void);

/* RFC 5322 3.3 date-time in local time: "Sun, 22 Nov 2026 19:20:51 +0000". */
void clock_rfc5322(int64_t real_ms, char out[CLOCK_DATE_SIZE]);

/* RFC 3339 in UTC with milliseconds: "2026-11-22T19:20:51.123Z". */
void clock_rfc3339(int64_t real_ms, char out[CLOCK_DATE_SIZE]);

#endif
