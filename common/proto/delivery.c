/* Tables of the contract "delivery" (common/proto/delivery.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"

static const struct chan_field delivery_expansion_fields[] = {
	{"kind", 1, FIELD_U32, DELIVERY_MAILDIR, 0, true, 1,
	    offsetof(struct delivery_expansion, kind), NULL},
	{"address", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct delivery_expansion, address), NULL},
	{"target", 3, FIELD_STR, DELIVERY_PROGRAM_MAX, 0, false, 1,
	    offsetof(struct delivery_expansion, target), NULL},
};

static const struct chan_record delivery_expansion_record = {
	"expansion", 0, 0, 0, sizeof(struct delivery_expansion), delivery_expansion_fields,
	sizeof(delivery_expansion_fields) / sizeof(delivery_expansion_fields[0])};

static const struct chan_field ready_fields[] = {
	{"capacity", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct delivery_ready, capacity), NULL},
};

static const struct chan_field job_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct delivery_job, job), NULL},
	{"id", 2, FIELD_STR, ID_LEN, 0, true, 1,
	    offsetof(struct delivery_job, id), NULL},
	{"number", 3, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct delivery_job, number), NULL},
	{"kind", 4, FIELD_U32, DELIVERY_MAILDIR, 0, true, 1,
	    offsetof(struct delivery_job, kind), NULL},
	{"flags", 5, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct delivery_job, flags), NULL},
	{"address", 6, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1,
	    offsetof(struct delivery_job, address), NULL},
	{"sender", 7, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct delivery_job, sender), NULL},
	{"extension", 8, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct delivery_job, extension), NULL},
	{"user", 9, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct delivery_job, user), NULL},
	{"uid", 10, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct delivery_job, uid), NULL},
	{"gid", 11, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct delivery_job, gid), NULL},
	{"home", 12, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct delivery_job, home), NULL},
	{"maildir", 13, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct delivery_job, maildir), NULL},
	{"program", 14, FIELD_STR, DELIVERY_PROGRAM_MAX, 0, false, 1,
	    offsetof(struct delivery_job, program), NULL},
};

static const struct chan_field done_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct delivery_done, job), NULL},
	{"code", 2, FIELD_U32, 599, 0, true, 1,
	    offsetof(struct delivery_done, code), NULL},
	{"subject", 3, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct delivery_done, subject), NULL},
	{"detail", 4, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct delivery_done, detail), NULL},
	{"text", 5, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct delivery_done, text), NULL},
	{"host", 6, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1,
	    offsetof(struct delivery_done, host), NULL},
	{"expansions", 7, FIELD_LIST, 0, DELIVERY_EXPANSIONS_MAX, false, 1,
	    offsetof(struct delivery_done, expansions), &delivery_expansion_record},
};

static const struct chan_record records[] = {
	{"ready", DELIVERY_READY, CHAN_SERVER, 0, sizeof(struct delivery_ready), ready_fields,
	    sizeof(ready_fields) / sizeof(ready_fields[0])},
	{"job", DELIVERY_JOB, CHAN_CLIENT, 1, sizeof(struct delivery_job), job_fields,
	    sizeof(job_fields) / sizeof(job_fields[0])},
	{"done", DELIVERY_DONE, CHAN_SERVER, 0, sizeof(struct delivery_done), done_fields,
	    sizeof(done_fields) / sizeof(done_fields[0])},
};

const struct chan_contract delivery_contract = {
	"delivery", 1, 1, 1048576, records, sizeof(records) / sizeof(records[0])};
