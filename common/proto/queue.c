/* Tables of the contract "queue" (common/proto/queue.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/queue.h"

static const struct chan_field pipe_fields[] = {
	{"unused", 1, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct queue_pipe, unused), NULL},
};

static const struct chan_field open_fields[] = {
	{"id", 1, FIELD_STR, ID_LEN, 0, true, 1,
	    offsetof(struct queue_open, id), NULL},
	{"size", 2, FIELD_U64, 0, 0, false, 1,
	    offsetof(struct queue_open, size), NULL},
};

static const struct chan_field opened_fields[] = {
	{"code", 1, FIELD_U32, 599, 0, true, 1,
	    offsetof(struct queue_result, code), NULL},
	{"subject", 2, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct queue_result, subject), NULL},
	{"detail", 3, FIELD_U32, 999, 0, false, 1,
	    offsetof(struct queue_result, detail), NULL},
	{"text", 4, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct queue_result, text), NULL},
};

static const struct chan_field rcpts_fields[] = {
	{"recipients", 1, FIELD_LIST, 0, ENV_RCPTS_A_RECORD, true, 1,
	    offsetof(struct queue_rcpts, recipients), &env_recipient_record},
};

static const struct chan_field end_fields[] = {
	{"octets", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct queue_end, octets), NULL},
	{"edits", 2, FIELD_LIST, 0, ENV_EDITS_MAX, false, 2,
	    offsetof(struct queue_end, edits), &env_edit_record},
};

static const struct chan_record records[] = {
	{"pipe", QUEUE_PIPE, CHAN_CLIENT, 1, sizeof(struct queue_pipe), pipe_fields,
	    sizeof(pipe_fields) / sizeof(pipe_fields[0])},
	{"open", QUEUE_OPEN, CHAN_CLIENT, 0, sizeof(struct queue_open), open_fields,
	    sizeof(open_fields) / sizeof(open_fields[0])},
	{"opened", QUEUE_OPENED, CHAN_SERVER, 0, sizeof(struct queue_result), opened_fields,
	    sizeof(opened_fields) / sizeof(opened_fields[0])},
	{"message", QUEUE_MESSAGE, CHAN_CLIENT, 0, sizeof(struct envelope),
	    envelope_fields, ENVELOPE_NFIELDS},
	{"rcpts", QUEUE_RCPTS, CHAN_CLIENT, 0, sizeof(struct queue_rcpts), rcpts_fields,
	    sizeof(rcpts_fields) / sizeof(rcpts_fields[0])},
	{"end", QUEUE_END, CHAN_CLIENT, 0, sizeof(struct queue_end), end_fields,
	    sizeof(end_fields) / sizeof(end_fields[0])},
	{"abort", QUEUE_ABORT, CHAN_CLIENT, 0, sizeof(struct queue_end), end_fields,
	    sizeof(end_fields) / sizeof(end_fields[0])},
	{"result", QUEUE_RESULT, CHAN_SERVER, 0, sizeof(struct queue_result), opened_fields,
	    sizeof(opened_fields) / sizeof(opened_fields[0])},
};

const struct chan_contract queue_contract = {
	"queue", 1, 2, 1048576, records, sizeof(records) / sizeof(records[0])};
