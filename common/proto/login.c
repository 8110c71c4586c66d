/* Tables of the contract "login" (common/proto/login.h). */
#include <stddef.h>

#include "common/base/status.h"
#include "common/mail/envelope.h"
#include "common/mail/id.h"
#include "common/proto/delivery.h"
#include "common/proto/login.h"

static const struct chan_field try_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_try, rid), NULL},
	{"mechanism", 2, FIELD_U32, LOGIN_APOP, 0, true, 1,
	    offsetof(struct login_try, mechanism), NULL},
	{"service", 3, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct login_try, service), NULL},
	{"sid", 4, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct login_try, sid), NULL},
	{"user", 5, FIELD_STR, 1024, 0, true, 1,
	    offsetof(struct login_try, user), NULL},
	{"secret", 6, FIELD_STR, 1024, 0, false, 1,
	    offsetof(struct login_try, secret), NULL},
	{"challenge", 7, FIELD_STR, 512, 0, false, 1,
	    offsetof(struct login_try, challenge), NULL},
	{"client_ip", 8, FIELD_STR, 64, 0, false, 1,
	    offsetof(struct login_try, client_ip), NULL},
};

static const struct chan_field answer_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_answer, rid), NULL},
	{"result", 2, FIELD_U32, LOGIN_TEMP, 0, true, 1,
	    offsetof(struct login_answer, result), NULL},
	{"ticket", 3, FIELD_STR, TICKET_LEN, 0, false, 1,
	    offsetof(struct login_answer, ticket), NULL},
	{"user", 4, FIELD_STR, 1024, 0, false, 1,
	    offsetof(struct login_answer, user), NULL},
};

static const struct chan_field offer_fields[] = {
	{"unused", 1, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct login_offer, unused), NULL},
};

static const struct chan_field offers_fields[] = {
	{"apop", 1, FIELD_U32, 1, 0, true, 1,
	    offsetof(struct login_offers, apop), NULL},
};

static const struct chan_record records[] = {
	{"offer", LOGIN_OFFER, CHAN_CLIENT, 0, sizeof(struct login_offer),
	    offer_fields, sizeof(offer_fields) / sizeof(offer_fields[0])},
	{"offers", LOGIN_OFFERS, CHAN_SERVER, 0, sizeof(struct login_offers),
	    offers_fields, sizeof(offers_fields) / sizeof(offers_fields[0])},
	{"try", LOGIN_TRY, CHAN_CLIENT, 0, sizeof(struct login_try), try_fields,
	    sizeof(try_fields) / sizeof(try_fields[0])},
	{"answer", LOGIN_ANSWER, CHAN_SERVER, 0, sizeof(struct login_answer), answer_fields,
	    sizeof(answer_fields) / sizeof(answer_fields[0])},
};

const struct chan_contract login_contract = {
	"login", 1, 1, 8192, records, sizeof(records) / sizeof(records[0])};
