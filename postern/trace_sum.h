/* What a message's events come to. */
#ifndef POSTERN_TRACE_SUM_H
#define POSTERN_TRACE_SUM_H

#include "common/base/buf.h"
#include "postern/trace.h"

/* A recipient's last outcome. */
struct trace_rcpt {
	struct buf to;
	struct slice verb; /* "delivered", "deferred", "failed" ... */
	struct buf status, host, why; /* empty where it is not said */
	size_t order;      /* of the event */
};
struct trace_sum {
	/* Of its acceptance; empty where no line tells */
	struct buf from, to, ip, msgid, size;
	struct trace_rcpt *v; /* owned; by address */
	size_t n, cap;
	size_t refused;    /* events that say so */
	struct slice end;  /* "removed", "held" ...: the last word on all of it,
	                    * or "" */
};

void trace_sum(const struct trace *t, const struct trace_message *m,
    struct trace_sum *out);
void trace_sum_free(struct trace_sum *s);

#endif
