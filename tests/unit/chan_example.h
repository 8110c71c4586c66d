/* A contract with one of everything, for the tests and the fuzzer of the
 * channel module. */
#ifndef TESTS_UNIT_CHAN_EXAMPLE_H
#define TESTS_UNIT_CHAN_EXAMPLE_H

#include "common/io/chan.h"

enum example_type {
	EXAMPLE_ASK = 1,   /* client */
	EXAMPLE_TELL = 2,  /* server */
	EXAMPLE_FILES = 3, /* both, 2 descriptors */
	EXAMPLE_FILE = 4,  /* client, 1 descriptor */
	EXAMPLE_NOTHING = 5 /* both, no field */
};

struct example_item {
	struct slice name;
	uint32_t weight;
	struct slices tags;
};
struct example_ask {
	uint32_t n;
	uint64_t id;
	struct slice text;
	struct slices names;
	struct chan_list items; /* struct example_item */
	struct slice extra;
	uint32_t level;
};
struct example_tell {
	struct slice text;
};
struct example_files {
	uint32_t n;
};
struct example_nothing {
	uint32_t unused;
};
union example_msg {
	struct example_ask ask;
	struct example_tell tell;
	struct example_files files;
	struct example_nothing nothing;
};

#define EXAMPLE_TEXT_MAX 300000

static const struct chan_field example_item_fields[] = {
	{"name", 1, FIELD_STR, 8, 0, true, 1,
	    offsetof(struct example_item, name), NULL},
	{"weight", 2, FIELD_U32, 0, 0, false, 1,
	    offsetof(struct example_item, weight), NULL},
	{"tags", 3, FIELD_STRS, 4, 2, false, 1,
	    offsetof(struct example_item, tags), NULL},
};
static const struct chan_record example_item_record = {
	"item", 0, 0, 0, sizeof(struct example_item), example_item_fields, 3};

static const struct chan_field example_ask_fields[] = {
	{"n", 1, FIELD_U32, 100, 0, true, 1,
	    offsetof(struct example_ask, n), NULL},
	{"id", 2, FIELD_U64, 0, 0, false, 1,
	    offsetof(struct example_ask, id), NULL},
	{"text", 3, FIELD_STR, 16, 0, false, 1,
	    offsetof(struct example_ask, text), NULL},
	{"names", 4, FIELD_STRS, 8, 3, false, 1,
	    offsetof(struct example_ask, names), NULL},
	{"items", 5, FIELD_LIST, 0, 3, false, 1,
	    offsetof(struct example_ask, items), &example_item_record},
	{"extra", 6, FIELD_STR, 8, 0, false, 2,
	    offsetof(struct example_ask, extra), NULL},
	{"level", 7, FIELD_U32, 0, 0, true, 3,
	    offsetof(struct example_ask, level), NULL},
};
static const struct chan_field example_tell_fields[] = {
	{"text", 1, FIELD_STR, EXAMPLE_TEXT_MAX, 0, true, 1,
	    offsetof(struct example_tell, text), NULL},
};
static const struct chan_field example_files_fields[] = {
	{"n", 1, FIELD_U32, 0, 0, true, 1,
	    offsetof(struct example_files, n), NULL},
};

static const struct chan_record example_records[] = {
	{"ask", EXAMPLE_ASK, CHAN_CLIENT, 0, sizeof(struct example_ask),
	    example_ask_fields, 7},
	{"tell", EXAMPLE_TELL, CHAN_SERVER, 0, sizeof(struct example_tell),
	    example_tell_fields, 1},
	{"files", EXAMPLE_FILES, CHAN_CLIENT | CHAN_SERVER, 2,
	    sizeof(struct example_files), example_files_fields, 1},
	{"file", EXAMPLE_FILE, CHAN_CLIENT, 1, sizeof(struct example_files),
	    example_files_fields, 1},
	{"nothing", EXAMPLE_NOTHING, CHAN_CLIENT | CHAN_SERVER, 0,
	    sizeof(struct example_nothing), NULL, 0},
};

static const struct chan_contract example_contract = {
	"example", 1, 3, EXAMPLE_TEXT_MAX + 9, example_records,
	sizeof(example_records) / sizeof(example_records[0])};

#endif
