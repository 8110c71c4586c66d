/* Tables of the contract "key" (common/proto/key.h). */
#include <stddef.h>

#include "common/proto/key.h"

#define N(fields) (sizeof(fields) / sizeof((fields)[0]))

static const struct chan_field cert_fields[] = {
	{"name", 1, FIELD_STR, KEY_NAME_MAX, 0, false, 1,
	    offsetof(struct key_cert, name), NULL},
	{"known", 2, FIELD_STRS, KEY_FINGERPRINT_LEN, KEY_KNOWN_MAX, false, 1,
	    offsetof(struct key_cert, known), NULL},
};

static const struct chan_field row_fields[] = {
	{"algorithm", 1, FIELD_U32, KEY_ED25519, 0, true, 1,
	    offsetof(struct key_row, algorithm), NULL},
	{"fingerprint", 2, FIELD_STR, KEY_FINGERPRINT_LEN, 0, true, 1,
	    offsetof(struct key_row, fingerprint), NULL},
	{"chain", 3, FIELD_STR, KEY_CHAIN_MAX, 0, false, 1,
	    offsetof(struct key_row, chain), NULL},
};

static const struct chan_record row_record = {"row", 0, 0, 0,
	sizeof(struct key_row), row_fields, N(row_fields)};

static const struct chan_field certs_fields[] = {
	{"result", 1, FIELD_U32, KEY_BAD, 0, true, 1,
	    offsetof(struct key_certs, result), NULL},
	{"folder", 2, FIELD_STR, KEY_NAME_MAX, 0, false, 1,
	    offsetof(struct key_certs, folder), NULL},
	{"rows", 3, FIELD_LIST, 0, KEY_ROWS_MAX, false, 1,
	    offsetof(struct key_certs, rows), &row_record},
	{"why", 4, FIELD_STR, KEY_WHY_MAX, 0, false, 1,
	    offsetof(struct key_certs, why), NULL},
};

static const struct chan_field sign_fields[] = {
	{"fingerprint", 1, FIELD_STR, KEY_FINGERPRINT_LEN, 0, true, 1,
	    offsetof(struct key_sign, fingerprint), NULL},
	{"scheme", 2, FIELD_U32, 65535, 0, true, 1,
	    offsetof(struct key_sign, scheme), NULL},
	{"content", 3, FIELD_STR, KEY_CONTENT_MAX, 0, true, 1,
	    offsetof(struct key_sign, content), NULL},
};

static const struct chan_field signed_fields[] = {
	{"result", 1, FIELD_U32, KEY_BAD, 0, true, 1,
	    offsetof(struct key_signed, result), NULL},
	{"signature", 2, FIELD_STR, KEY_SIGNATURE_MAX, 0, false, 1,
	    offsetof(struct key_signed, signature), NULL},
	{"why", 3, FIELD_STR, KEY_WHY_MAX, 0, false, 1,
	    offsetof(struct key_signed, why), NULL},
};

static const struct chan_field put_fields[] = {
	{"id", 1, FIELD_STR, KEY_SESSION_ID_MAX, 0, true, 1,
	    offsetof(struct key_put, id), NULL},
	{"session", 2, FIELD_STR, KEY_SESSION_MAX, 0, true, 1,
	    offsetof(struct key_put, session), NULL},
	{"context", 3, FIELD_STR, KEY_CONTEXT_MAX, 0, true, 1,
	    offsetof(struct key_put, context), NULL},
};

static const struct chan_field take_fields[] = {
	{"id", 1, FIELD_STR, KEY_SESSION_ID_MAX, 0, true, 1,
	    offsetof(struct key_take, id), NULL},
	{"context", 2, FIELD_STR, KEY_CONTEXT_MAX, 0, true, 1,
	    offsetof(struct key_take, context), NULL},
};

static const struct chan_field taken_fields[] = {
	{"session", 1, FIELD_STR, KEY_SESSION_MAX, 0, false, 1,
	    offsetof(struct key_taken, session), NULL},
};

static const struct chan_record records[] = {
	{"cert", KEY_CERT, CHAN_CLIENT, 0, sizeof(struct key_cert),
	    cert_fields, N(cert_fields)},
	{"certs", KEY_CERTS, CHAN_SERVER, 0, sizeof(struct key_certs),
	    certs_fields, N(certs_fields)},
	{"sign", KEY_SIGN, CHAN_CLIENT, 0, sizeof(struct key_sign),
	    sign_fields, N(sign_fields)},
	{"signed", KEY_SIGNED, CHAN_SERVER, 0, sizeof(struct key_signed),
	    signed_fields, N(signed_fields)},
	{"put", KEY_PUT, CHAN_CLIENT, 0, sizeof(struct key_put),
	    put_fields, N(put_fields)},
	{"take", KEY_TAKE, CHAN_CLIENT, 0, sizeof(struct key_take),
	    take_fields, N(take_fields)},
	{"taken", KEY_TAKEN, CHAN_SERVER, 0, sizeof(struct key_taken),
	    taken_fields, N(taken_fields)},
};

const struct chan_contract key_contract = {
	"key", 1, 1, 81920, records, N(records)};
