/*
 * The certificates of a directory by name, loaded when somebody asks for one:
 * the names asked for last are held.  A folder's files are looked at again at
 * most once in check_ms, and read again when they are other ones.
 */
#ifndef KEYD_STORE_H
#define KEYD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/proto/key.h"
#include "keyd/pair.h"

struct store;

/* What a folder may hold: cert.pem with key.pem, cert-rsa.pem ... */
#define STORE_FILES 4
extern const char *const store_files[STORE_FILES][2];
#define STORE_DEFAULT "default"

struct store *store_new(int dirfd, size_t max, int64_t check_ms);
void store_free(struct store **s);
size_t store_count(const struct store *s); /* folders held */

struct store_found {
	struct slice folder;           /* lives until the next call */
	struct pair *v[KEY_ROWS_MAX];  /* borrowed: pair_ref what is kept */
	size_t n;
};

/*
 * The certificates for a server name of a client: of its folder, of *.REST, of
 * "default".  The name may be anything.  KEY_NONE, KEY_TEMP: *why, which lives
 * until the next call.
 */
enum key_result store_find(struct store *s, struct slice name, int64_t now_ms,
    struct store_found *out, const char **why);

/* A name that may be a folder's: lower case, of a host, perhaps with a "*."
 * before it. */
bool store_name_valid(struct slice name);

#endif
