/* Tables of the contract "mailbox" (common/proto/mailbox.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/mailbox.h"

static const struct chan_field open_fields[] = {
	{"ticket", 1, FIELD_STR, TICKET_LEN, 0, true, 1,
	    offsetof(struct mailbox_open, ticket), NULL},
	{"service", 2, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct mailbox_open, service), NULL},
	{"sid", 3, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct mailbox_open, sid), NULL},
	{"client_ip", 4, FIELD_STR, 64, 0, false, 1,
	    offsetof(struct mailbox_open, client_ip), NULL},
	{"leftover", 5, FIELD_STR, MAILBOX_LEFTOVER_MAX, 0, false, 1,
	    offsetof(struct mailbox_open, leftover), NULL},
	{"flags", 6, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct mailbox_open, flags), NULL},
};

static const struct chan_field opened_fields[] = {
	{"result", 1, FIELD_U32, MAILBOX_TEMP, 0, true, 1,
	    offsetof(struct mailbox_opened, result), NULL},
	{"text", 2, FIELD_STR, STATUS_TEXT_MAX, 0, false, 1,
	    offsetof(struct mailbox_opened, text), NULL},
};

static const struct chan_record records[] = {
	{"open", MAILBOX_OPEN, CHAN_CLIENT, 1, sizeof(struct mailbox_open), open_fields,
	    sizeof(open_fields) / sizeof(open_fields[0])},
	{"opened", MAILBOX_OPENED, CHAN_SERVER, 0, sizeof(struct mailbox_opened), opened_fields,
	    sizeof(opened_fields) / sizeof(opened_fields[0])},
};

const struct chan_contract mailbox_contract = {
	"mailbox", 1, 1, 32768, records, sizeof(records) / sizeof(records[0])};
