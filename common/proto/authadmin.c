/* Tables of the contract "authadmin" (common/proto/authadmin.h). */
#include <stddef.h>

#include "common/proto/authadmin.h"

#define ENTRY(member) offsetof(struct authadmin_entry, member)
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static const struct chan_field list_fields[] = {
	{"blocked", 1, FIELD_U32, 1, 0, false, 1,
	    offsetof(struct authadmin_list, blocked), NULL},
};

static const struct chan_field entry_fields[] = {
	{"last", 1, FIELD_U32, 1, 0, false, 1, ENTRY(last), NULL},
	{"kind", 2, FIELD_U32, AUTHADMIN_USER, 0, false, 1, ENTRY(kind), NULL},
	{"name", 3, FIELD_STR, AUTHADMIN_NAME_MAX, 0, false, 1, ENTRY(name),
	    NULL},
	{"count", 4, FIELD_U32, 0, 0, false, 1, ENTRY(count), NULL},
	{"age", 5, FIELD_U64, 0, 0, false, 1, ENTRY(age_ms), NULL},
	{"left", 6, FIELD_U64, 0, 0, false, 1, ENTRY(left_ms), NULL},
};

static const struct chan_field unblock_fields[] = {
	{"name", 1, FIELD_STR, 1024, 0, false, 1,
	    offsetof(struct authadmin_unblock, name), NULL},
};

static const struct chan_field unblocked_fields[] = {
	{"n", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct authadmin_unblocked, n), NULL},
};

static const struct chan_record records[] = {
	{"list", AUTHADMIN_LIST, CHAN_CLIENT, 0,
	    sizeof(struct authadmin_list), list_fields, COUNT(list_fields)},
	{"entry", AUTHADMIN_ENTRY, CHAN_SERVER, 0,
	    sizeof(struct authadmin_entry), entry_fields,
	    COUNT(entry_fields)},
	{"unblock", AUTHADMIN_UNBLOCK, CHAN_CLIENT, 0,
	    sizeof(struct authadmin_unblock), unblock_fields,
	    COUNT(unblock_fields)},
	{"unblocked", AUTHADMIN_UNBLOCKED, CHAN_SERVER, 0,
	    sizeof(struct authadmin_unblocked), unblocked_fields,
	    COUNT(unblocked_fields)},
};

const struct chan_contract authadmin_contract = {
	"authadmin", 1, 1, 2048, records, COUNT(records)};
