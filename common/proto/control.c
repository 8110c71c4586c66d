/* Tables of the contract "control" (common/proto/control.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/id.h"
#include "common/proto/control.h"

#define DEST(member) offsetof(struct control_dest, member)
#define INFO(member) offsetof(struct control_dest_info, member)
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

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

static const struct chan_field dest_fields[] = {
	{"action", 1, FIELD_U32, CONTROL_DEST_RETRY, 0, true, 2, DEST(action),
	    NULL},
	{"dest", 2, FIELD_STR, CONTROL_DEST_MAX, 0, true, 2, DEST(dest), NULL},
	{"reason", 3, FIELD_STR, STATUS_TEXT_MAX, 0, false, 2, DEST(reason),
	    NULL},
};

static const struct chan_field list_fields[] = {
	{"dest", 1, FIELD_STR, CONTROL_DEST_MAX, 0, false, 2,
	    offsetof(struct control_list, dest), NULL},
};

static const struct chan_field info_fields[] = {
	{"last", 1, FIELD_U32, 1, 0, false, 2, INFO(last), NULL},
	{"dest", 2, FIELD_STR, CONTROL_DEST_MAX, 0, false, 2, INFO(dest), NULL},
	{"paused", 3, FIELD_U32, 1, 0, false, 2, INFO(paused), NULL},
	{"reason", 4, FIELD_STR, STATUS_TEXT_MAX, 0, false, 2, INFO(reason),
	    NULL},
	{"running", 5, FIELD_U32, 0, 0, false, 2, INFO(running), NULL},
	{"limit", 6, FIELD_U32, 0, 0, false, 2, INFO(limit), NULL},
	{"ready", 7, FIELD_U32, 0, 0, false, 2, INFO(ready), NULL},
	{"waiting", 8, FIELD_U64, 0, 0, false, 2, INFO(waiting), NULL},
	{"next", 9, FIELD_U64, 0, 0, false, 2, INFO(next_ms), NULL},
	{"failed", 10, FIELD_U64, 0, 0, false, 2, INFO(failed_ms), NULL},
	{"error", 11, FIELD_STR, CONTROL_ERROR_MAX, 0, false, 2, INFO(error),
	    NULL},
};

static const struct chan_record records[] = {
	{"act", CONTROL_ACT, CHAN_CLIENT, 0, sizeof(struct control_act),
	    act_fields, COUNT(act_fields)},
	{"acted", CONTROL_ACTED, CHAN_SERVER, 0, sizeof(struct control_acted),
	    acted_fields, COUNT(acted_fields)},
	{"dest", CONTROL_DEST, CHAN_CLIENT, 0, sizeof(struct control_dest),
	    dest_fields, COUNT(dest_fields)},
	{"list", CONTROL_LIST, CHAN_CLIENT, 0, sizeof(struct control_list),
	    list_fields, COUNT(list_fields)},
	{"dest-info", CONTROL_DEST_INFO, CHAN_SERVER, 0,
	    sizeof(struct control_dest_info), info_fields, COUNT(info_fields)},
};

const struct chan_contract control_contract = {
	"control", 1, 2, 8192, records, COUNT(records)};
