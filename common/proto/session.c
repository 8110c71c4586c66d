/* Tables of the contract "session" (common/proto/session.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/session.h"

static const struct chan_field get_fields[] = {
	{"service", 1, FIELD_U32, 4, 0, true, 1,
	    offsetof(struct session_get, service), NULL},
};

static const struct chan_field channel_fields[] = {
	{"service", 1, FIELD_U32, 4, 0, true, 1,
	    offsetof(struct session_channel, service), NULL},
};

static const struct chan_field none_fields[] = {
	{"service", 1, FIELD_U32, 4, 0, true, 1,
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

int
session_get_channel(struct chan *parent, enum session_service service,
    int64_t deadline_ms)
{
	struct session_get get = {.service = service};
	union session_msg msg;
	uint16_t type;
	int fds[CHAN_MAX_FDS];
	size_t nfds = 0;

	chan_send(parent, SESSION_GET, &get);
	if (chan_wait(parent, &type, &msg, sizeof(msg), fds, &nfds,
	    deadline_ms) != CHAN_OK)
		return -1;
	return type == SESSION_CHANNEL ? fds[0] : -1;
}
