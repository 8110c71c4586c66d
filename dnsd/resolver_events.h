/* libunbound's wish for an event loop, granted by ours: no thread, no further
 * process. */
#ifndef DNSD_RESOLVER_EVENTS_H
#define DNSD_RESOLVER_EVENTS_H

struct loop;
struct ub_event_base;

/* Lives as long as the context that uses it. */
struct ub_event_base *events_new(struct loop *l);
void events_free(struct ub_event_base **b);

#endif
