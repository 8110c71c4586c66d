/* Tables of the contract "etrn" (common/proto/etrn.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/proto/etrn.h"

static const struct chan_field start_fields[] = {
	{"name", 1, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct etrn_start, name), NULL},
};

static const struct chan_field started_fields[] = {
	{"code", 1, FIELD_U32, 599, 0, true, 1,
	    offsetof(struct etrn_started, code), NULL},
	{"subject", 2, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct etrn_started, subject), NULL},
	{"detail", 3, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct etrn_started, detail), NULL},
	{"text", 4, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct etrn_started, text), NULL},
	{"messages", 5, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct etrn_started, messages), NULL},
};

static const struct chan_record records[] = {
	{"start", ETRN_START, CHAN_CLIENT, 0, sizeof(struct etrn_start),
	    start_fields, sizeof(start_fields) / sizeof(start_fields[0])},
	{"started", ETRN_STARTED, CHAN_SERVER, 0, sizeof(struct etrn_started),
	    started_fields,
	    sizeof(started_fields) / sizeof(started_fields[0])},
};

const struct chan_contract etrn_contract = {
	"etrn", 1, 1, 4096, records, sizeof(records) / sizeof(records[0])};
