/* Tables of the contract "control" (common/proto/control.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/control.h"

static const struct chan_field act_fields[] = {
	{"action", 1, FIELD_U32, CONTROL_REMOVE, 0, true, 1,
	    offsetof(struct control_act, action), NULL},
	{"id", 2, FIELD_STR, ID_LEN, 0, true, 1,
	    offsetof(struct control_act, id), NULL},
	{"reason", 3, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct control_act, reason), NULL},
};

static const struct chan_field acted_fields[] = {
	{"result", 1, FIELD_U32, CONTROL_FAILED, 0, true, 1,
	    offsetof(struct control_acted, result), NULL},
	{"text", 2, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct control_acted, text), NULL},
};

static const struct chan_record records[] = {
	{"act", CONTROL_ACT, CHAN_CLIENT, 0, sizeof(struct control_act), act_fields,
	    sizeof(act_fields) / sizeof(act_fields[0])},
	{"acted", CONTROL_ACTED, CHAN_SERVER, 0, sizeof(struct control_acted), acted_fields,
	    sizeof(acted_fields) / sizeof(acted_fields[0])},
};

const struct chan_contract control_contract = {
	"control", 1, 1, 4096, records, sizeof(records) / sizeof(records[0])};
