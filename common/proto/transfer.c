/* Tables of the contract "transfer" (common/proto/transfer.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/transfer.h"

#define RCPT(member) offsetof(struct transfer_rcpt, member)
#define JOB(member) offsetof(struct transfer_job, member)
#define OUTCOME(member) offsetof(struct transfer_outcome, member)
#define DONE(member) offsetof(struct transfer_done, member)
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static const struct chan_field rcpt_fields[] = {
	{"number", 1, FIELD_U32, 0, 0, true, 1, RCPT(number), NULL},
	{"address", 2, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1, RCPT(address),
	    NULL},
	{"orcpt", 3, FIELD_STR, ENV_ORCPT_MAX, 0, false, 1, RCPT(orcpt), NULL},
	{"notify", 4, FIELD_U32, 0, 0, false, 1, RCPT(notify), NULL},
};

static const struct chan_record rcpt_record = {
	"recipient", 0, 0, 0, sizeof(struct transfer_rcpt), rcpt_fields,
	COUNT(rcpt_fields)};

static const struct chan_field outcome_fields[] = {
	{"number", 1, FIELD_U32, 0, 0, true, 1, OUTCOME(number), NULL},
	{"code", 2, FIELD_U32, 599, 0, true, 1, OUTCOME(code), NULL},
	{"subject", 3, FIELD_U32, 999, 0, false, 1, OUTCOME(subject), NULL},
	{"detail", 4, FIELD_U32, 999, 0, false, 1, OUTCOME(detail), NULL},
	{"text", 5, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1, OUTCOME(text),
	    NULL},
	{"own", 6, FIELD_U32, 1, 0, false, 1, OUTCOME(own), NULL},
	{"relayed", 7, FIELD_U32, 1, 0, false, 1, OUTCOME(relayed), NULL},
};

static const struct chan_record outcome_record = {
	"outcome", 0, 0, 0, sizeof(struct transfer_outcome), outcome_fields,
	COUNT(outcome_fields)};

static const struct chan_field ready_fields[] = {
	{"capacity", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct transfer_ready, capacity), NULL},
};

static const struct chan_field job_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1, JOB(job), NULL},
	{"id", 2, FIELD_STR, ID_LEN, 0, true, 1, JOB(id), NULL},
	{"sender", 3, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1, JOB(sender),
	    NULL},
	{"flags", 4, FIELD_U32, 0, 0, false, 1, JOB(flags), NULL},
	{"envid", 5, FIELD_STR, ENV_ENVID_TEXT_MAX, 0, false, 1, JOB(envid),
	    NULL},
	{"by_at", 6, FIELD_U64, 0, 0, false, 1, JOB(by_at_ms), NULL},
	{"domain", 7, FIELD_STR, ENV_ADDRESS_MAX, 0, true, 1, JOB(domain),
	    NULL},
	{"route", 8, FIELD_STR, TRANSFER_ROUTE_MAX, 0, false, 1, JOB(route),
	    NULL},
	{"recipients", 9, FIELD_LIST, 0, TRANSFER_RCPTS_MAX, true, 1,
	    JOB(recipients), &rcpt_record},
};

static const struct chan_field done_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1, DONE(job), NULL},
	{"dest", 2, FIELD_U32, TRANSFER_DEST_UNKNOWN, 0, true, 1, DONE(dest),
	    NULL},
	{"host", 3, FIELD_STR, TRANSFER_HOST_MAX, 0, false, 1, DONE(host),
	    NULL},
	{"outcomes", 4, FIELD_LIST, 0, TRANSFER_RCPTS_MAX, true, 1,
	    DONE(outcomes), &outcome_record},
};

static const struct chan_field want_fields[] = {
	{"service", 1, FIELD_U32, TRANSFER_DKIM, 0, true, 1,
	    offsetof(struct transfer_want, service), NULL},
};

static const struct chan_field channel_fields[] = {
	{"service", 1, FIELD_U32, TRANSFER_DKIM, 0, true, 1,
	    offsetof(struct transfer_channel, service), NULL},
};

static const struct chan_field none_fields[] = {
	{"error", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct transfer_none, error), NULL},
};

static const struct chan_record records[] = {
	{"ready", TRANSFER_READY, CHAN_SERVER, 0,
	    sizeof(struct transfer_ready), ready_fields, COUNT(ready_fields)},
	{"job", TRANSFER_JOB, CHAN_CLIENT, 1, sizeof(struct transfer_job),
	    job_fields, COUNT(job_fields)},
	{"done", TRANSFER_DONE, CHAN_SERVER, 0, sizeof(struct transfer_done),
	    done_fields, COUNT(done_fields)},
	{"want", TRANSFER_WANT, CHAN_SERVER, 0, sizeof(struct transfer_want),
	    want_fields, COUNT(want_fields)},
	{"channel", TRANSFER_CHANNEL, CHAN_CLIENT, 1,
	    sizeof(struct transfer_channel), channel_fields,
	    COUNT(channel_fields)},
	{"none", TRANSFER_NONE, CHAN_CLIENT, 0, sizeof(struct transfer_none),
	    none_fields, COUNT(none_fields)},
};

const struct chan_contract transfer_contract = {
	"transfer", 1, 1, 2097152, records, COUNT(records)};
