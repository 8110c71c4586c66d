/* Tables of the contract "session" (common/proto/session.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/session.h"

static const struct chan_field get_fields[] = {
	{"service", 1, FIELD_U32, SERVICE_KEY, 0, true, 1,
	    offsetof(struct session_get, service), NULL},
};

static const struct chan_field channel_fields[] = {
	{"service", 1, FIELD_U32, SERVICE_KEY, 0, true, 1,
	    offsetof(struct session_channel, service), NULL},
};

static const struct chan_field none_fields[] = {
	{"service", 1, FIELD_U32, SERVICE_KEY, 0, true, 1,
	    offsetof(struct session_none, service), NULL},
	{"why", 2, FIELD_STR, 300, 0, false, 1,
	    offsetof(struct session_none, why), NULL},
};

static const struct chan_record records[] = {
	{"get", SESSION_GET, CHAN_CLIENT, 0, sizeof(struct session_get), get_fields,
	    sizeof(get_fields) / sizeof(get_fields[0])},
	{"channel", SESSION_CHANNEL, CHAN_SERVER, 1, sizeof(struct session_channel), channel_fields,
	    sizeof(channel_fields) / sizeof(channel_fields[0])},
	{"none", SESSION_NONE, CHAN_SERVER, 0, sizeof(struct session_none), none_fields,
	    sizeof(none_fields) / sizeof(none_fields[0])},
};

const struct chan_contract session_contract = {
	"session", 1, 1, 4096, records, sizeof(records) / sizeof(records[0])};

void
session_get_channels(struct chan *parent, const enum session_service *services,
    size_t n, int *got, int64_t deadline_ms)
{
	struct session_get get;
	union session_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t i, nfds = 0;

	for (i = 0; i < n; i++) {
		get.service = services[i];
		chan_queue(parent, SESSION_GET, &get, NULL, 0);
		got[i] = -1;
	}
	/* Answers come in the order of the questions. */
	for (i = 0; i < n; i++) {
		if (chan_wait(parent, &type, &msg, sizeof(msg), fds, &nfds,
		    deadline_ms) != CHAN_OK)
			return;
		if (type == SESSION_CHANNEL)
			got[i] = fds[0];
	}
}

int
session_get_channel(struct chan *parent, enum session_service service,
    int64_t deadline_ms)
{
	int fd;

	session_get_channels(parent, &service, 1, &fd, deadline_ms);
	return fd;
}
