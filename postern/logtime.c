/*
 * Reads the time stamps of loggers, in the admin's command.  Log files hold
 * what was logged and what somebody else put there: whatever is no stamp is
 * left where it is.
 */
#include <stdbool.h>
#include <time.h>

#include "common/base/num.h"
#include "postern/logtime.h"

#define SECOND_US INT64_C(1000000)
#define DAY_MS INT64_C(86400000)
/* 2^62 and the 10 seconds that TAI was ahead in 1970 */
#define TAI_ZERO UINT64_C(4611686018427387914)
#define TAI_LABEL_LEN 25

/* Exactly n digits at *at, which is moved behind them. */
static bool
digits(struct slice s, size_t *at, size_t n, uint32_t most, int *out)
{
	uint32_t v;

	if (*at + n > s.len ||
	    !num_u32(slice_sub(s, *at, *at + n), 0, most, &v))
		return false;
	*at += n;
	*out = (int)v;
	return true;
}

static bool
octet(struct slice s, size_t *at, char c)
{
	if (*at >= s.len || s.p[*at] != c)
		return false;
	++*at;
	return true;
}

/* ".123456789", or nothing */
static int64_t
fraction_us(struct slice s, size_t *at)
{
	int64_t us = 0, unit = SECOND_US / 10;

	if (!octet(s, at, '.'))
		return 0;
	for (; *at < s.len && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at) {
		us += (s.p[*at] - '0') * unit;
		unit /= 10;
	}
	return us;
}

/* "19:20:51" and what follows of the second */
static bool
clock_time(struct slice s, size_t *at, struct tm *tm, int64_t *us)
{
	if (!digits(s, at, 2, 23, &tm->tm_hour) || !octet(s, at, ':') ||
	    !digits(s, at, 2, 59, &tm->tm_min) || !octet(s, at, ':') ||
	    !digits(s, at, 2, 60, &tm->tm_sec))
		return false;
	*us = fraction_us(s, at);
	return true;
}

/* Behind a stamp: a space at least; all of them are taken. */
static bool
ends(struct slice *line, size_t at)
{
	if (at >= line->len || line->p[at] != ' ')
		return false;
	while (at < line->len && line->p[at] == ' ')
		at++;
	*line = slice_sub(*line, at, line->len);
	return true;
}

static bool
take_tai(struct slice *line, int64_t *us)
{
	uint64_t seconds, nanos;

	if (line->len < TAI_LABEL_LEN ||
	    !num_u64_hex(slice_sub(*line, 1, 17), TAI_ZERO,
	    TAI_ZERO + UINT32_MAX, &seconds) ||
	    !num_u64_hex(slice_sub(*line, 17, 25), 0, 999999999, &nanos) ||
	    !ends(line, TAI_LABEL_LEN))
		return false;
	*us = (int64_t)(seconds - TAI_ZERO) * SECOND_US +
	    (int64_t)(nanos / 1000);
	return true;
}

/* "Z", "+0100", "+01:00" or nothing; minutes east of UTC */
static bool
zone(struct slice s, size_t *at, bool *given, int *east)
{
	int hours, minutes, sign;

	*given = true;
	*east = 0;
	if (octet(s, at, 'Z'))
		return true;
	sign = octet(s, at, '+') ? 1 : octet(s, at, '-') ? -1 : 0;
	if (sign == 0) {
		*given = false;
		return true;
	}
	if (!digits(s, at, 2, 23, &hours))
		return false;
	(void)octet(s, at, ':');
	if (!digits(s, at, 2, 59, &minutes))
		return false;
	*east = sign * (hours * 60 + minutes);
	return true;
}

static bool
take_iso(struct slice *line, int64_t *us)
{
	struct tm tm = {.tm_isdst = -1};
	size_t at = 0;
	bool given, local;
	int64_t second;
	int east;

	if (!digits(*line, &at, 4, 9999, &tm.tm_year) ||
	    !octet(*line, &at, '-') ||
	    !digits(*line, &at, 2, 12, &tm.tm_mon) || tm.tm_mon == 0 ||
	    !octet(*line, &at, '-') || !digits(*line, &at, 2, 31, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	local = octet(*line, &at, ' ');
	if (!local && !octet(*line, &at, 'T') && !octet(*line, &at, '_'))
		return false;
	if (!clock_time(*line, &at, &tm, us) ||
	    !zone(*line, &at, &given, &east) || !ends(line, at))
		return false;
	second = local && !given ? mktime(&tm) : timegm(&tm) - east * 60;
	*us += second * SECOND_US;
	return true;
}

static bool
month(struct slice s, size_t *at, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (slice_eq(slice_sub(s, 0, 3), slice_mem(names + 3 * i, 3))) {
			*at = 3;
			*out = i;
			return true;
		}
	return false;
}

static bool
take_syslog(struct slice *line, int64_t now_ms, int64_t *us)
{
	struct tm tm, now_tm;
	time_t now = (time_t)(now_ms / 1000), second = 0;
	size_t at = 0;
	int mon = 0, mday;
	int64_t part;

	if (!month(*line, &at, &mon) || !octet(*line, &at, ' '))
		return false;
	if (octet(*line, &at, ' ') ? !digits(*line, &at, 1, 9, &mday)
	    : !digits(*line, &at, 2, 31, &mday))
		return false;
	if (!octet(*line, &at, ' ') || localtime_r(&now, &now_tm) == NULL)
		return false;
	tm = (struct tm){.tm_mon = mon, .tm_mday = mday};
	if (!clock_time(*line, &at, &tm, &part) || !ends(line, at))
		return false;
	/* This year's, unless that is to come. */
	for (int back = 0; back < 2; back++) {
		struct tm this = tm;

		this.tm_year = now_tm.tm_year - back;
		this.tm_isdst = -1;
		second = mktime(&this);
		if (second * INT64_C(1000) <= now_ms + DAY_MS)
			break;
	}
	*us = second * SECOND_US + part;
	return true;
}

static bool
take_unix(struct slice *line, int64_t *us)
{
	size_t at = 0;
	uint64_t seconds;

	while (at < line->len && line->p[at] >= '0' && line->p[at] <= '9')
		at++;
	if (at < 9 || !num_u64(slice_sub(*line, 0, at), 0, UINT64_C(99999999999),
	    &seconds))
		return false;
	*us = fraction_us(*line, &at);
	*us += (int64_t)seconds * SECOND_US;
	return ends(line, at);
}

enum logtime_kind
logtime_take(struct slice *line, int64_t now_ms, int64_t *us)
{
	int64_t found = 0;
	char c = line->len > 0 ? line->p[0] : '\0';

	if (c == '@') {
		if (!take_tai(line, &found))
			return LOGTIME_NONE;
		*us = found;
		return LOGTIME_TAI;
	}
	if (c >= '0' && c <= '9' ? !take_iso(line, &found) &&
	    !take_unix(line, &found) : !take_syslog(line, now_ms, &found))
		return LOGTIME_NONE;
	*us = found;
	return LOGTIME_WALL;
}
