/* Tables of the contract "dns" (common/proto/dns.h). */
#include <stddef.h>

#include "common/proto/dns.h"

#define QUERY(member) offsetof(struct dns_query, member)
#define RECORD(member) offsetof(struct dns_record, member)
#define ANSWER(member) offsetof(struct dns_answer, member)
#define COUNT(v) (sizeof(v) / sizeof((v)[0]))

static const struct chan_field query_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1, QUERY(rid), NULL},
	{"type", 2, FIELD_U32, 65535, 0, true, 1, QUERY(type), NULL},
	{"name", 3, FIELD_STR, DNS_ASK_MAX, 0, false, 1, QUERY(name), NULL},
};

static const struct chan_field record_fields[] = {
	{"preference", 1, FIELD_U32, 65535, 0, false, 1, RECORD(preference),
	    NULL},
	{"name", 2, FIELD_STR, DNS_NAME_MAX, 0, false, 1, RECORD(name), NULL},
	{"data", 3, FIELD_STR, DNS_DATA_MAX, 0, false, 1, RECORD(data), NULL},
};

static const struct chan_record record_record = {
	"record", 0, 0, 0, sizeof(struct dns_record), record_fields,
	COUNT(record_fields)};

static const struct chan_field answer_fields[] = {
	{"rid", 1, FIELD_U64, 0, 0, true, 1, ANSWER(rid), NULL},
	{"result", 2, FIELD_U32, DNS_BOGUS, 0, true, 1, ANSWER(result), NULL},
	{"secure", 3, FIELD_U32, 1, 0, false, 1, ANSWER(secure), NULL},
	{"ttl", 4, FIELD_U32, 0, 0, false, 1, ANSWER(ttl), NULL},
	{"canonical", 5, FIELD_STR, DNS_NAME_MAX, 0, false, 1,
	    ANSWER(canonical), NULL},
	{"why", 6, FIELD_STR, DNS_WHY_MAX, 0, false, 1, ANSWER(why), NULL},
	{"records", 7, FIELD_LIST, 0, DNS_RECORDS_MAX, false, 1,
	    ANSWER(records), &record_record},
};

static const struct chan_record records[] = {
	{"query", DNS_QUERY, CHAN_CLIENT, 0, sizeof(struct dns_query),
	    query_fields, COUNT(query_fields)},
	{"answer", DNS_ANSWER, CHAN_SERVER, 0, sizeof(struct dns_answer),
	    answer_fields, COUNT(answer_fields)},
};

const struct chan_contract dns_contract = {
	"dns", 1, 1, 460800, records, COUNT(records)};
