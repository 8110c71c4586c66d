/* What the files of the module pair share. */
#ifndef KEYD_PAIR_INT_H
#define KEYD_PAIR_INT_H

#include <openssl/evp.h>

#include "common/base/buf.h"
#include "keyd/pair.h"

struct pair {
	unsigned refs;
	EVP_PKEY *key;
	enum key_algorithm algorithm;
	struct buf chain;   /* DER, one behind the other */
	unsigned char fingerprint[KEY_FINGERPRINT_LEN];
	int64_t not_before, not_after;
};

#endif
