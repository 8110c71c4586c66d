/* Tables of the contract "ticket" (common/proto/ticket.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/ticket.h"

static const struct chan_field redeem_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct ticket_redeem, rid), NULL},
	{"ticket", 2, FIELD_STR, TICKET_LEN, 0, true, 1,
	    offsetof(struct ticket_redeem, ticket), NULL},
	{"service", 3, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct ticket_redeem, service), NULL},
	{"sid", 4, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct ticket_redeem, sid), NULL},
};

static const struct chan_field redeemed_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct ticket_redeemed, rid), NULL},
	{"ok", 2, FIELD_U32, 1, 0, true, 1,
	    offsetof(struct ticket_redeemed, ok), NULL},
	{"user", 3, FIELD_STR, 1024, 0, false, 1,
	    offsetof(struct ticket_redeemed, user), NULL},
	{"uid", 4, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct ticket_redeemed, uid), NULL},
	{"gid", 5, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct ticket_redeemed, gid), NULL},
	{"home", 6, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct ticket_redeemed, home), NULL},
	{"maildir", 7, FIELD_STR, DELIVERY_PATH_MAX, 0, false, 1,
	    offsetof(struct ticket_redeemed, maildir), NULL},
};

static const struct chan_record records[] = {
	{"redeem", TICKET_REDEEM, CHAN_CLIENT, 0, sizeof(struct ticket_redeem), redeem_fields,
	    sizeof(redeem_fields) / sizeof(redeem_fields[0])},
	{"redeemed", TICKET_REDEEMED, CHAN_SERVER, 0, sizeof(struct ticket_redeemed), redeemed_fields,
	    sizeof(redeemed_fields) / sizeof(redeemed_fields[0])},
};

const struct chan_contract ticket_contract = {
	"ticket", 1, 1, 16384, records, sizeof(records) / sizeof(records[0])};
