/*
 * Contract "keylist": `postern check` (root; client) and keyd (server).  Lists
 * every certificate folder with what is in it, a part at each question, until
 * one comes without rows.  Questions one at a time.
 */
#ifndef COMMON_PROTO_KEYLIST_H
#define COMMON_PROTO_KEYLIST_H

#include "common/io/chan.h"
#include "common/proto/key.h"

enum keylist_type {
	KEYLIST_MORE = 1, /* client */
	KEYLIST_PART = 2  /* server */
};

#define KEYLIST_PART_MAX 32
#define KEYLIST_WHY_MAX 300

struct keylist_more {
	uint32_t unused;
};
/* One certificate, or one folder that cannot be used. */
struct keylist_row {
	struct slice folder;
	uint32_t algorithm;  /* enum key_algorithm; 0: *why */
	uint64_t not_before; /* seconds since 1970 */
	uint64_t not_after;
	struct slice why;    /* what is wrong, and how to mend it; "": good */
};
struct keylist_part {
	struct chan_list rows; /* struct keylist_row; none: that was all */
};
union keylist_msg {
	struct keylist_more more;
	struct keylist_part part;
};

extern const struct chan_contract keylist_contract;

#endif
