/* Payloads (frames without their length word) of the example contract, good
 * and bad: for the codec's tests and those of connections. */
#ifndef TESTS_UNIT_CHAN_CASES_H
#define TESTS_UNIT_CHAN_CASES_H

#include "tests/unit/chan_example.h"

/* Pieces of frames */
#define ASK "\1\0\0\0"
#define N5 "\1\4\0\0\0\5\0\0\0"
#define HELLO_NAME "\1\7\0\0\0example"
#define HELLO_LOWEST(c) "\2\4\0\0\0" c "\0\0\0"
#define HELLO_HIGHEST(c) "\3\4\0\0\0" c "\0\0\0"
#define HELLO(lowest, highest) "\0\0\0\0" HELLO_NAME HELLO_LOWEST(lowest) \
	HELLO_HIGHEST(highest)

static const struct decode_case {
	const char *name;
	struct slice payload;
	uint16_t version;
	const char *want; /* text of the record */
} decode_cases[] = {
	{"least", SLICE_INIT(ASK N5), 1, "ask n=5 level=0"},
	{"numbers", SLICE_INIT(ASK "\1\4\0\0\0\144\0\0\0"
	    "\2\10\0\0\0\1\2\3\4\5\6\7\10"), 1,
	    "ask n=100 id=578437695752307201 level=0"},
	{"octets", SLICE_INIT(ASK N5 "\3\5\0\0\0a b\0\""), 1,
	    "ask n=5 text=\"a b\\x00\\\"\" level=0"},
	{"empty text", SLICE_INIT(ASK N5 "\3\0\0\0\0"), 1, "ask n=5 level=0"},
	{"longest text", SLICE_INIT(ASK N5 "\3\20\0\0\0" "0123456789abcdef"),
	    1, "ask n=5 text=0123456789abcdef level=0"},
	{"names", SLICE_INIT(ASK N5 "\4\1\0\0\0a\4\0\0\0\0\4\1\0\0\0c"), 1,
	    "ask n=5 names=[a \"\" c] level=0"},
	{"any order", SLICE_INIT(ASK "\4\1\0\0\0a\3\1\0\0\0t\4\1\0\0\0b" N5), 1,
	    "ask n=5 text=t names=[a b] level=0"},
	{"items", SLICE_INIT(ASK N5 "\5\6\0\0\0\1\1\0\0\0x"
	    "\5\33\0\0\0\2\4\0\0\0\7\0\0\0\1\1\0\0\0y"
	    "\3\1\0\0\0t\3\1\0\0\0u"), 1,
	    "ask n=5 items=[{name=x} {name=y weight=7 tags=[t u]}] level=0"},
	{"version 2", SLICE_INIT(ASK N5 "\6\1\0\0\0e"), 2,
	    "ask n=5 extra=e level=0"},
	{"version 3", SLICE_INIT(ASK N5 "\7\4\0\0\0\0\0\0\0"), 3,
	    "ask n=5 level=0"},
	{"no field", SLICE_INIT("\5\0\0\0"), 1, "nothing"},
	{"descriptors", SLICE_INIT("\4\0\1\0" N5), 1, "file n=5"},
};

/* Payloads that break the contract, sent by a client that speaks version 2. */
static const struct bad_case {
	const char *name;
	struct slice payload;
	const char *why;   /* NULL: only connections see it */
	const char *place; /* in the log */
} bad_cases[] = {
	{"empty", SLICE_INIT(""), "frame too short", "record=- field=-"},
	{"half a head", SLICE_INIT("\1\0\0"), "frame too short", "record=-"},
	{"unknown record", SLICE_INIT("\11\0\0\0"), "unknown record",
	    "record=-"},
	{"the server's", SLICE_INIT("\2\0\0\0\1\1\0\0\0x"), NULL,
	    "record=tell field=- why=\"of the wrong side\""},
	{"descriptors too few", SLICE_INIT("\4\0\0\0" N5),
	    "wrong number of descriptors", "record=file"},
	{"descriptors too many", SLICE_INIT("\1\0\1\0" N5),
	    "wrong number of descriptors", "record=ask"},
	{"descriptors not sent", SLICE_INIT("\4\0\1\0" N5), NULL,
	    "record=file field=- why=\"descriptors are missing\""},
	{"tag only", SLICE_INIT(ASK N5 "\3"), "field cut short",
	    "record=ask"},
	{"length cut", SLICE_INIT(ASK N5 "\3\1\0\0"), "field cut short",
	    "record=ask"},
	{"value cut", SLICE_INIT(ASK N5 "\3\2\0\0\0a"), "field cut short",
	    "record=ask"},
	{"length huge", SLICE_INIT(ASK N5 "\3\377\377\377\377a"),
	    "field cut short", "record=ask"},
	{"tag 0", SLICE_INIT(ASK N5 "\0\0\0\0\0"), "unknown tag",
	    "record=ask"},
	{"unknown tag", SLICE_INIT(ASK N5 "\10\1\0\0\0a"), "unknown tag",
	    "record=ask"},
	{"newer", SLICE_INIT(ASK N5 "\7\4\0\0\0\0\0\0\0"),
	    "newer than the version spoken", "record=ask field=level"},
	{"number short", SLICE_INIT(ASK "\1\3\0\0\0\5\0\0"), "wrong length",
	    "record=ask field=n"},
	{"number long", SLICE_INIT(ASK "\1\5\0\0\0\5\0\0\0\0"),
	    "wrong length", "record=ask field=n"},
	{"number large", SLICE_INIT(ASK "\1\4\0\0\0\145\0\0\0"), "too large",
	    "record=ask field=n"},
	{"number huge", SLICE_INIT(ASK "\1\4\0\0\0\5\0\0\200"), "too large",
	    "record=ask field=n"},
	{"long number short", SLICE_INIT(ASK N5 "\2\4\0\0\0\5\0\0\0"),
	    "wrong length", "record=ask field=id"},
	{"text long", SLICE_INIT(ASK N5 "\3\21\0\0\0" "0123456789abcdefg"),
	    "too long", "record=ask field=text"},
	{"number repeated", SLICE_INIT(ASK N5 N5), "repeated",
	    "record=ask field=n"},
	{"text repeated", SLICE_INIT(ASK N5 "\3\0\0\0\0\3\0\0\0\0"),
	    "repeated", "record=ask field=text"},
	{"name long", SLICE_INIT(ASK N5 "\4\11\0\0\0" "123456789"),
	    "too long", "record=ask field=names"},
	{"names many", SLICE_INIT(ASK N5 "\4\0\0\0\0\4\0\0\0\0\4\0\0\0\0"
	    "\4\0\0\0\0"), "too many", "record=ask field=names"},
	{"missing", SLICE_INIT(ASK "\3\1\0\0\0a"), "missing",
	    "record=ask field=n"},
	{"all missing", SLICE_INIT(ASK), "missing", "record=ask field=n"},
	{"item: missing", SLICE_INIT(ASK N5 "\5\0\0\0\0"), "missing",
	    "record=item field=name"},
	{"item: long", SLICE_INIT(ASK N5 "\5\16\0\0\0\1\11\0\0\0" "123456789"),
	    "too long", "record=item field=name"},
	{"item: cut", SLICE_INIT(ASK N5 "\5\6\0\0\0\1\2\0\0\0x"),
	    "field cut short", "record=item"},
	{"item: beyond", SLICE_INIT(ASK N5 "\5\5\0\0\0\1\1\0\0\0x"),
	    "field cut short", "record=ask"},
	{"item: unknown", SLICE_INIT(ASK N5 "\5\5\0\0\0\4\0\0\0\0"),
	    "unknown tag", "record=item"},
	{"item: the second", SLICE_INIT(ASK N5 "\5\6\0\0\0\1\1\0\0\0x"
	    "\5\12\0\0\0\1\0\0\0\0\1\0\0\0\0"), "repeated",
	    "record=item field=name"},
	{"items many", SLICE_INIT(ASK N5 "\5\0\0\0\0\5\0\0\0\0\5\0\0\0\0"
	    "\5\0\0\0\0"), "too many", "record=ask field=items"},
	/* HELLO where none belongs */
	{"second hello", SLICE_INIT(HELLO("\1", "\2")), NULL,
	    "record=hello field=- why=\"a second one\""},
};

#endif
