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

static const struct chan_field ask_fields[] = {
	{"service", 1, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct login_ask, service), NULL},
	{"flags", 2, FIELD_U32, LOGIN_FLAGS_ALL, 0, false, 1,
	    offsetof(struct login_ask, flags), NULL},
	{"binding", 3, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct login_ask, binding), NULL},
	{"certificate", 4, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct login_ask, certificate), NULL},
};

static const struct chan_field offered_fields[] = {
	{"mechanisms", 1, FIELD_STR, 400, 0, true, 1,
	    offsetof(struct login_offered, mechanisms), NULL},
};

static const struct chan_field start_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_start, rid), NULL},
	{"mechanism", 2, FIELD_STR, 64, 0, true, 1,
	    offsetof(struct login_start, mechanism), NULL},
	{"service", 3, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct login_start, service), NULL},
	{"sid", 4, FIELD_STR, 32, 0, true, 1,
	    offsetof(struct login_start, sid), NULL},
	{"client_ip", 5, FIELD_STR, 64, 0, false, 1,
	    offsetof(struct login_start, client_ip), NULL},
	{"flags", 6, FIELD_U32, LOGIN_FLAGS_ALL, 0, false, 1,
	    offsetof(struct login_start, flags), NULL},
	{"has_initial", 7, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct login_start, has_initial), NULL},
	{"initial", 8, FIELD_STR, LOGIN_DATA_MAX, 0, false, 1,
	    offsetof(struct login_start, initial), NULL},
	{"tls_exporter", 9, FIELD_STR, LOGIN_BINDING_MAX, 0, false, 1,
	    offsetof(struct login_start, tls_exporter), NULL},
	{"tls_end_point", 10, FIELD_STR, LOGIN_BINDING_MAX, 0, false, 1,
	    offsetof(struct login_start, tls_end_point), NULL},
	{"client_cert", 11, FIELD_STR, 32, 0, false, 1,
	    offsetof(struct login_start, client_cert), NULL},
};

static const struct chan_field challenge_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_challenge, rid), NULL},
	{"data", 2, FIELD_STR, LOGIN_DATA_MAX, 0, false, 1,
	    offsetof(struct login_challenge, data), NULL},
};

static const struct chan_field response_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_response, rid), NULL},
	{"cancel", 2, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct login_response, cancel), NULL},
	{"data", 3, FIELD_STR, LOGIN_DATA_MAX, 0, false, 1,
	    offsetof(struct login_response, data), NULL},
};

static const struct chan_field done_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct login_done, rid), NULL},
	{"result", 2, FIELD_U32, LOGIN_MALFORMED, 0, true, 1,
	    offsetof(struct login_done, result), NULL},
	{"user", 3, FIELD_STR, 1024, 0, false, 1,
	    offsetof(struct login_done, user), NULL},
	{"ticket", 4, FIELD_STR, TICKET_LEN, 0, false, 1,
	    offsetof(struct login_done, ticket), NULL},
	{"mechanism", 5, FIELD_STR, 64, 0, false, 1,
	    offsetof(struct login_done, mechanism), NULL},
	{"secret", 6, FIELD_STR, 64, 0, false, 1,
	    offsetof(struct login_done, secret), NULL},
};

#define RECORD(name, type, side, fields)                                      \
	{#name, type, side, 0, sizeof(struct login_##name), fields,            \
	    sizeof(fields) / sizeof((fields)[0])}

static const struct chan_record records[] = {
	RECORD(offer, LOGIN_OFFER, CHAN_CLIENT, offer_fields),
	RECORD(offers, LOGIN_OFFERS, CHAN_SERVER, offers_fields),
	RECORD(try, LOGIN_TRY, CHAN_CLIENT, try_fields),
	RECORD(answer, LOGIN_ANSWER, CHAN_SERVER, answer_fields),
	RECORD(ask, LOGIN_ASK, CHAN_CLIENT, ask_fields),
	RECORD(offered, LOGIN_OFFERED, CHAN_SERVER, offered_fields),
	RECORD(start, LOGIN_START, CHAN_CLIENT, start_fields),
	RECORD(challenge, LOGIN_CHALLENGE, CHAN_SERVER, challenge_fields),
	RECORD(response, LOGIN_RESPONSE, CHAN_CLIENT, response_fields),
	RECORD(done, LOGIN_DONE, CHAN_SERVER, done_fields),
};

const struct chan_contract login_contract = {
	"login", 1, 2, 12288, records, sizeof(records) / sizeof(records[0])};
