/* Tables of the contract "bounce" (common/proto/bounce.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/bounce.h"

#define RCPT(member) offsetof(struct bounce_rcpt, member)
#define JOB(member) offsetof(struct bounce_job, member)
#define DONE(member) offsetof(struct bounce_done, member)
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static const struct chan_field rcpt_fields[] = {
	{"number", 1, FIELD_U32, 0, 0, true, 1, RCPT(number), NULL},
	{"action", 2, FIELD_U32, BOUNCE_EXPANDED, 0, true, 1, RCPT(action),
	    NULL},
	{"until", 3, FIELD_U64, 0, 0, false, 1, RCPT(until_ms), NULL},
};

static const struct chan_record rcpt_record = {
	"recipient", 0, 0, 0, sizeof(struct bounce_rcpt), rcpt_fields,
	COUNT(rcpt_fields)};

static const struct chan_field ready_fields[] = {
	{"capacity", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct bounce_ready, capacity), NULL},
};

static const struct chan_field job_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1, JOB(job), NULL},
	{"id", 2, FIELD_STR, ID_LEN, 0, true, 1, JOB(id), NULL},
	{"kind", 3, FIELD_U32, BOUNCE_SUCCESS, 0, true, 1, JOB(kind), NULL},
	{"sender", 4, FIELD_STR, ENV_ADDRESS_MAX, 0, false, 1, JOB(sender),
	    NULL},
	{"recipients", 5, FIELD_LIST, 0, BOUNCE_RCPTS_MAX, true, 1,
	    JOB(recipients), &rcpt_record},
};

static const struct chan_field done_fields[] = {
	{"job", 1, FIELD_U64, 0, 0, true, 1, DONE(job), NULL},
	{"code", 2, FIELD_U32, 599, 0, true, 1, DONE(code), NULL},
	{"subject", 3, FIELD_U32, 999, 0, false, 1, DONE(subject), NULL},
	{"detail", 4, FIELD_U32, 999, 0, false, 1, DONE(detail), NULL},
	{"text", 5, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1, DONE(text), NULL},
	{"id", 6, FIELD_STR, ID_LEN, 0, false, 1, DONE(id), NULL},
};

static const struct chan_record records[] = {
	{"ready", BOUNCE_READY, CHAN_SERVER, 0, sizeof(struct bounce_ready),
	    ready_fields, COUNT(ready_fields)},
	{"job", BOUNCE_JOB, CHAN_CLIENT, 1, sizeof(struct bounce_job),
	    job_fields, COUNT(job_fields)},
	{"done", BOUNCE_DONE, CHAN_SERVER, 0, sizeof(struct bounce_done),
	    done_fields, COUNT(done_fields)},
};

const struct chan_contract bounce_contract = {
	"bounce", 1, 1, 65536, records, COUNT(records)};
