/*
 * One private key, with its certificate (TLS) or alone (DKIM).  What reads keys
 * and signs with them is here and nowhere else in postern.
 */
#ifndef KEYD_PAIR_H
#define KEYD_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/proto/key.h"

struct pair; /* counted: folders hold it, and who was told of it */

#define PAIR_WHY_SIZE 300

enum pair_result {
	PAIR_OK,
	PAIR_ABSENT, /* neither file is there */
	PAIR_BAD     /* *why says what is wrong and what mends it */
};

/* What a file looked like when it was read: another one is another file. */
struct pair_mark {
	uint64_t device, inode;
	int64_t mtime_ns, ctime_ns, size;
};
struct pair_mark pair_mark_of(const struct stat *st);
bool pair_mark_eq(const struct pair_mark *a, const struct pair_mark *b);

/* Once a process, before the cage: OpenSSL without a configuration file, and
 * what it loads at first use.  Locks memory where that is allowed; false: it is
 * not. */
bool pair_start(void);

/* Reads the two files of an open directory.  The marks are set whatever
 * comes of it (0: absent). */
enum pair_result pair_load(int dirfd, const char *cert, const char *key,
    struct pair_mark marks[2], struct pair **out, char why[PAIR_WHY_SIZE]);
/* A key without a certificate. */
enum pair_result pair_load_key(int dirfd, const char *key,
    struct pair_mark *mark, struct pair **out, char why[PAIR_WHY_SIZE]);
struct pair *pair_ref(struct pair *p);
void pair_unref(struct pair **p); /* wipes the key with the last one */

enum key_algorithm pair_algorithm(const struct pair *p);
struct slice pair_chain(const struct pair *p);
struct slice pair_fingerprint(const struct pair *p);
int64_t pair_not_before(const struct pair *p); /* seconds since 1970 */
int64_t pair_not_after(const struct pair *p);

/* KEY_BAD: the scheme is not of this key.  *len: room, then what was used. */
enum key_result pair_sign(const struct pair *p, uint32_t scheme,
    struct slice content, unsigned char *out, size_t *len);
/* RFC 6376 3.3.1, RFC 8463 3: over a SHA-256 hash. */
enum key_result pair_sign_dkim(const struct pair *p, struct slice hash,
    unsigned char *out, size_t *len);

#endif
