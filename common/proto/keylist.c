/* Tables of the contract "keylist" (common/proto/keylist.h). */
#include <stddef.h>

#include "common/proto/keylist.h"

#define N(fields) (sizeof(fields) / sizeof((fields)[0]))

static const struct chan_field more_fields[] = {
	{"unused", 1, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct keylist_more, unused), NULL},
};

static const struct chan_field row_fields[] = {
	{"folder", 1, FIELD_STR, KEY_NAME_MAX, 0, true, 1,
	    offsetof(struct keylist_row, folder), NULL},
	{"algorithm", 2, FIELD_U32, KEY_ED25519, 0, false, 1,
	    offsetof(struct keylist_row, algorithm), NULL},
	{"not_before", 3, FIELD_U64, 0, 0, false, 1,
	    offsetof(struct keylist_row, not_before), NULL},
	{"not_after", 4, FIELD_U64, 0, 0, false, 1,
	    offsetof(struct keylist_row, not_after), NULL},
	{"why", 5, FIELD_STR, KEYLIST_WHY_MAX, 0, false, 1,
	    offsetof(struct keylist_row, why), NULL},
};

static const struct chan_record row_record = {"row", 0, 0, 0,
	sizeof(struct keylist_row), row_fields, N(row_fields)};

static const struct chan_field part_fields[] = {
	{"rows", 1, FIELD_LIST, 0, KEYLIST_PART_MAX, false, 1,
	    offsetof(struct keylist_part, rows), &row_record},
};

static const struct chan_record records[] = {
	{"more", KEYLIST_MORE, CHAN_CLIENT, 0, sizeof(struct keylist_more),
	    more_fields, N(more_fields)},
	{"part", KEYLIST_PART, CHAN_SERVER, 0, sizeof(struct keylist_part),
	    part_fields, N(part_fields)},
};

const struct chan_contract keylist_contract = {
	"keylist", 1, 1, 32768, records, N(records)};
