/*
 * Time, and its two texts: the date-time of header fields and the time stamp
 * of journals and listings.  Used by every process; no input but the clock and,
 * for the texts, times read from files, which may be anything.
 */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"

/* The texts have four-digit years.  Times beyond them (a broken file) show as
 * the first or last moment; a day is kept free for the time zone. */
#define LAST_SECOND INT64_C(253402214399) /* 9999-12-30T23:59:59Z */

/* The last second asked for: a busy process writes many dates a second. */
static struct {
	int64_t second; /* -1: none yet */
	char text[CLOCK_DATE_SIZE];
} last_5322 = {-1, ""};

static int64_t
read_clock(clockid_t id, int64_t per_second)
{
	struct timespec ts;
	int failed = clock_gettime(id, &ts);

	assert(failed == 0);
	return (int64_t)ts.tv_sec * per_second +
	    (int64_t)ts.tv_nsec / (1000000000 / per_second);
}

int64_t
clock_mono_ms(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000);
}

int64_t
clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC, 1000000);
}

int64_t
clock_real_ms(void)
{
	return read_clock(CLOCK_REALTIME, 1000);
}

void
clock_preload(void)
{
	char text[CLOCK_DATE_SIZE];

	tzset();
	last_5322.second = -1;
	clock_rfc5322(clock_real_ms(), text);
}

static char *
put_digits(char *at, int n, int digits)
{
	for (int i = digits; i-- > 0; n /= 10)
		at[i] = (char)('0' + n % 10);
	return at + digits;
}

static char *
put_time(char *at, const struct tm *tm)
{
	at = put_digits(at, tm->tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, tm->tm_min, 2);
	*at++ = ':';
	return put_digits(at, tm->tm_sec, 2);
}

static time_t
whole_seconds(int64_t real_ms)
{
	int64_t second = real_ms > 0 ? real_ms / 1000 : 0;

	return (time_t)(second < LAST_SECOND ? second : LAST_SECOND);
}

/* strftime would ask for the locale. */
static void
write_rfc5322(char *at, const struct tm *tm)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	long east = tm->tm_gmtoff / 60;
	int zone = (int)(east < 0 ? -east : east);

	memcpy(at, days + 3L * tm->tm_wday, 3);
	memcpy(at + 3, ", ", 2);
	at = put_digits(at + 5, tm->tm_mday, tm->tm_mday < 10 ? 1 : 2);
	*at++ = ' ';
	memcpy(at, months + 3L * tm->tm_mon, 3);
	at[3] = ' ';
	at = put_digits(at + 4, tm->tm_year + 1900, 4);
	*at++ = ' ';
	at = put_time(at, tm);
	*at++ = ' ';
	*at++ = east < 0 ? '-' : '+';
	at = put_digits(at, zone / 60 * 100 + zone % 60, 4);
	*at = '\0';
}

void
clock_rfc5322(int64_t real_ms, char out[CLOCK_DATE_SIZE])
{
	time_t second = whole_seconds(real_ms);
	struct tm tm;

	if (second != last_5322.second) {
		/* Fails only for years that do not fit an int. */
		if (localtime_r(&second, &tm) == NULL)
			tm = (struct tm){.tm_mday = 1, .tm_year = 70};
		write_rfc5322(last_5322.text, &tm);
		last_5322.second = second;
	}
	memcpy(out, last_5322.text, CLOCK_DATE_SIZE);
}

void
clock_rfc3339(int64_t real_ms, char out[CLOCK_DATE_SIZE])
{
	time_t second = whole_seconds(real_ms);
	struct tm tm;
	char *at;

	if (gmtime_r(&second, &tm) == NULL)
		tm = (struct tm){.tm_mday = 1, .tm_year = 70};
	at = put_digits(out, tm.tm_year + 1900, 4);
	*at++ = '-';
	at = put_digits(at, tm.tm_mon + 1, 2);
	*at++ = '-';
	at = put_digits(at, tm.tm_mday, 2);
	*at++ = 'T';
	at = put_time(at, &tm);
	*at++ = '.';
	at = put_digits(at, real_ms > 0 ? (int)(real_ms % 1000) : 0, 3);
	*at++ = 'Z';
	*at = '\0';
}
