/* The time stamps that loggers put in front of a line. */
#ifndef POSTERN_LOGTIME_H
#define POSTERN_LOGTIME_H

#include <stdint.h>

#include "common/base/slice.h"

enum logtime_kind {
	LOGTIME_NONE,
	LOGTIME_WALL,
	LOGTIME_TAI   /* s6-log counts leap seconds, multilog and svlogd do
	               * not: LOGTIME_LEAP_US may have to be taken off */
};
#define LOGTIME_LEAP_US INT64_C(27000000)

/*
 * Takes the stamp and the spaces behind it off the line; *us: microseconds
 * since 1970, of the wall clock.
 *
 *	@4000000067a1...       TAI64N: multilog, s6-log t, svlogd -t
 *	2026-11-22 19:20:51.1  s6-log T (local time)
 *	2026-11-22_19:20:51.1  svlogd -tt (UTC); with T: svlogd -ttt (UTC)
 *	2026-11-22T19:20:51.123456+01:00   RFC 3339: rsyslog, journalctl
 *	Nov 22 19:20:51        syslog, journalctl (local time); the year is the
 *	                       one that makes it now_ms or the time before
 *	1795375251.123456      journalctl -o short-unix
 */
enum logtime_kind logtime_take(struct slice *line, int64_t now_ms,
    int64_t *us);

#endif
