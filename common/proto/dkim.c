/* Tables of the contract "dkim" (common/proto/dkim.h). */
#include <stddef.h>

#include "common/proto/dkim.h"

#define N(fields) (sizeof(fields) / sizeof((fields)[0]))

static const struct chan_field keys_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct dkim_keys, rid), NULL},
	{"domain", 2, FIELD_STR, DKIM_DOMAIN_MAX, 0, true, 1,
	    offsetof(struct dkim_keys, domain), NULL},
};

static const struct chan_field key_fields[] = {
	{"selector", 1, FIELD_STR, DKIM_SELECTOR_MAX, 0, true, 1,
	    offsetof(struct dkim_key, selector), NULL},
	{"algorithm", 2, FIELD_U32, DKIM_ED25519_SHA256, 0, true, 1,
	    offsetof(struct dkim_key, algorithm), NULL},
};

static const struct chan_record key_record = {"key", 0, 0, 0,
	sizeof(struct dkim_key), key_fields, N(key_fields)};

static const struct chan_field found_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct dkim_found, rid), NULL},
	{"result", 2, FIELD_U32, DKIM_TEMP, 0, true, 1,
	    offsetof(struct dkim_found, result), NULL},
	{"keys", 3, FIELD_LIST, 0, DKIM_SELECTORS_MAX, false, 1,
	    offsetof(struct dkim_found, keys), &key_record},
	{"why", 4, FIELD_STR, DKIM_WHY_MAX, 0, false, 1,
	    offsetof(struct dkim_found, why), NULL},
};

static const struct chan_field sign_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct dkim_sign, rid), NULL},
	{"domain", 2, FIELD_STR, DKIM_DOMAIN_MAX, 0, true, 1,
	    offsetof(struct dkim_sign, domain), NULL},
	{"selector", 3, FIELD_STR, DKIM_SELECTOR_MAX, 0, true, 1,
	    offsetof(struct dkim_sign, selector), NULL},
	{"hash", 4, FIELD_STR, DKIM_HASH_LEN, 0, true, 1,
	    offsetof(struct dkim_sign, hash), NULL},
};

static const struct chan_field signed_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1,
	    offsetof(struct dkim_signed, rid), NULL},
	{"result", 2, FIELD_U32, DKIM_TEMP, 0, true, 1,
	    offsetof(struct dkim_signed, result), NULL},
	{"algorithm", 3, FIELD_U32, DKIM_ED25519_SHA256, 0, false, 1,
	    offsetof(struct dkim_signed, algorithm), NULL},
	{"signature", 4, FIELD_STR, DKIM_SIGNATURE_MAX, 0, false, 1,
	    offsetof(struct dkim_signed, signature), NULL},
	{"why", 5, FIELD_STR, DKIM_WHY_MAX, 0, false, 1,
	    offsetof(struct dkim_signed, why), NULL},
};

static const struct chan_record records[] = {
	{"keys", DKIM_KEYS, CHAN_CLIENT, 0, sizeof(struct dkim_keys),
	    keys_fields, N(keys_fields)},
	{"found", DKIM_FOUND, CHAN_SERVER, 0, sizeof(struct dkim_found),
	    found_fields, N(found_fields)},
	{"sign", DKIM_SIGN, CHAN_CLIENT, 0, sizeof(struct dkim_sign),
	    sign_fields, N(sign_fields)},
	{"signed", DKIM_SIGNED, CHAN_SERVER, 0, sizeof(struct dkim_signed),
	    signed_fields, N(signed_fields)},
};

const struct chan_contract dkim_contract = {
	"dkim", 1, 1, 8192, records, N(records)};
