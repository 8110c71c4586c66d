/* Tables of the contract "notice" (common/proto/notice.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/notice.h"

static const struct chan_field new_fields[] = {
	{"id", 1, FIELD_STR, ID_LEN, 0, true, 1,
	    offsetof(struct notice_new, id), NULL},
	{"from", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct notice_new, from), NULL},
	{"size", 3, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct notice_new, size), NULL},
	{"flags", 4, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct notice_new, flags), NULL},
	{"nrcpts", 5, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct notice_new, nrcpts), NULL},
	{"recipients", 6, FIELD_LIST, 0, NOTICE_RCPTS_MAX, false, 1,
	    offsetof(struct notice_new, recipients), &env_recipient_record},
	{"envid", 7, FIELD_STR, ENV_ENVID_TEXT_MAX, 0, false, 2,
	    offsetof(struct notice_new, envid), NULL},
};

static const struct chan_field rescan_fields[] = {
	{"unused", 1, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct notice_rescan, unused), NULL},
};

static const struct chan_record records[] = {
	{"new", NOTICE_NEW, CHAN_CLIENT, 0, sizeof(struct notice_new), new_fields,
	    sizeof(new_fields) / sizeof(new_fields[0])},
	{"rescan", NOTICE_RESCAN, CHAN_CLIENT, 0, sizeof(struct notice_rescan), rescan_fields,
	    sizeof(rescan_fields) / sizeof(rescan_fields[0])},
};

const struct chan_contract notice_contract = {
	"notice", 1, 2, 262144, records, sizeof(records) / sizeof(records[0])};
