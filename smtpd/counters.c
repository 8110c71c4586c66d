/* The figures of smtpd, as `postern stats` shows them. */
#include "smtpd/counters.h"

#define REFUSED "Connections refused, by the limit that was reached."
#define MESSAGES "Messages, by the answer at their end: accepted, later (4xx), " \
	"refused (5xx)."
#define RCPTS "RCPT commands, by their answer."
#define ERRORS "Answers that were errors, by their first digit."

const struct stats_row smtpd_counters[COUNT_ALL] = {
	[COUNT_SESSIONS] = {"smtp_sessions_total", STATS_COUNTER,
	    "Connections that were taken."},
	[COUNT_SESSIONS_OPEN] = {"smtp_sessions_open", STATS_GAUGE,
	    "Sessions now."},
	[COUNT_REFUSED] = {"smtp_refused_connections_total{why=\"sessions\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_REFUSED + 1] =
	    {"smtp_refused_connections_total{why=\"client\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_REFUSED + 2] =
	    {"smtp_refused_connections_total{why=\"fault\"}",
	    STATS_COUNTER, REFUSED},
	[COUNT_SESSION_TIME] = {"smtp_session_seconds", STATS_HISTOGRAM,
	    "How long sessions lasted."},
	[COUNT_MESSAGES] = {"smtp_messages_total{result=\"accepted\"}",
	    STATS_COUNTER, MESSAGES},
	[COUNT_MESSAGES_4] = {"smtp_messages_total{result=\"later\"}",
	    STATS_COUNTER, MESSAGES},
	[COUNT_MESSAGES_5] = {"smtp_messages_total{result=\"refused\"}",
	    STATS_COUNTER, MESSAGES},
	[COUNT_OCTETS] = {"smtp_received_bytes_total", STATS_COUNTER,
	    "Octets of accepted messages."},
	[COUNT_COMMIT_TIME] = {"smtp_commit_seconds", STATS_HISTOGRAM,
	    "From the end of a message to queued's answer."},
	[COUNT_RCPTS] = {"smtp_recipients_total{result=\"accepted\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_RCPTS_4] = {"smtp_recipients_total{result=\"later\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_RCPTS_5] = {"smtp_recipients_total{result=\"refused\"}",
	    STATS_COUNTER, RCPTS},
	[COUNT_REPLIES_4] = {"smtp_errors_total{class=\"4\"}", STATS_COUNTER,
	    ERRORS},
	[COUNT_REPLIES_5] = {"smtp_errors_total{class=\"5\"}", STATS_COUNTER,
	    ERRORS},
};
