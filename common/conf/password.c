/*
 * Password hashes: made by the postern command, verified in authd's verifying
 * children.  The password is a stranger's; the stored value is the admin's.
 */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/conf/password.h"
#include "common/conf/scram.h"

enum kind { KIND_CRYPT, KIND_PLAIN, KIND_SCRAM };

static const struct {
	struct slice name;
	enum kind kind;
} schemes[] = {
	{{"CRYPT", 5}, KIND_CRYPT},
	{{"BLF-CRYPT", 9}, KIND_CRYPT},
	{{"SHA256-CRYPT", 12}, KIND_CRYPT},
	{{"SHA512-CRYPT", 12}, KIND_CRYPT},
	{{"YESCRYPT", 8}, KIND_CRYPT},
	{{"MD5-CRYPT", 9}, KIND_CRYPT},
	{{"DES-CRYPT", 9}, KIND_CRYPT},
	{{"PLAIN", 5}, KIND_PLAIN},
	{{"CLEARTEXT", 9}, KIND_PLAIN},
	{{"SCRAM-SHA-256", 13}, KIND_SCRAM},
	{{"SCRAM-SHA-1", 11}, KIND_SCRAM},
};

/* What crypt_gensalt(3) takes, by enum password_scheme. */
static const char *const prefixes[] = {"$y$", "$6$", "$2b$"};

/* Splits "{SCHEME}value"; false when the scheme is unknown. */
static bool
split(struct slice stored, enum kind *kind, struct slice *value)
{
	size_t end, i;
	struct slice name;

	if (stored.len == 0 || stored.p[0] != '{') {
		*kind = KIND_CRYPT;
		*value = stored;
		return true;
	}
	end = slice_find(stored, '}', 1);
	name = slice_sub(stored, 1, end);
	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (end < stored.len && slice_ieq(name, schemes[i].name)) {
			*kind = schemes[i].kind;
			*value = slice_sub(stored, end + 1, stored.len);
			return true;
		}
	return false;
}

bool
password_usable(struct slice stored)
{
	struct slice value;
	enum kind kind;

	if (stored.len == 0 || stored.p[0] == '*' || stored.p[0] == '!')
		return false;
	if (!split(stored, &kind, &value))
		return true; /* the admin shall hear that it is unknown */
	return value.len > 0 && (kind == KIND_PLAIN ||
	    (value.p[0] != '*' && value.p[0] != '!'));
}

bool
password_known(struct slice stored, const char **why)
{
	char text[PASSWORD_STORED_MAX + 1];
	struct scram_keys keys;
	struct slice value;
	enum kind kind;

	if (!split(stored, &kind, &value)) {
		*why = "unknown scheme; known are CRYPT, BLF-CRYPT, "
		    "SHA256-CRYPT, SHA512-CRYPT, YESCRYPT, MD5-CRYPT, "
		    "DES-CRYPT, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN and "
		    "CLEARTEXT";
		return false;
	}
	if (kind == KIND_PLAIN)
		return true;
	if (kind == KIND_SCRAM) {
		*why = "not of the form ITERATIONS,SALT,STOREDKEY,SERVERKEY";
		return scram_parse(stored, &keys);
	}
	if (value.len >= sizeof(text)) {
		*why = "longer than any hash";
		return false;
	}
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	if (crypt_checksalt(text) != CRYPT_SALT_INVALID)
		return true;
	*why = "not a hash that crypt(3) of this system knows";
	return false;
}

/* Equal octets, in a time that tells only the lengths. */
static bool
same(struct slice a, struct slice b)
{
	return a.len == b.len && mem_equal_ct(a.p, b.p, a.len) != 0;
}

/* One call of crypt(3); the result is copied to out. */
static enum password_result
hash(struct slice setting, struct slice secret, char out[CRYPT_OUTPUT_SIZE])
{
	struct {
		struct crypt_data data;
		char setting[CRYPT_OUTPUT_SIZE];
		char secret[PASSWORD_MAX + 1];
	} *w;
	enum password_result result = PASSWORD_UNUSABLE;
	const char *hashed;

	if (setting.len >= sizeof(w->setting) ||
	    memchr(setting.p, '\0', setting.len) != NULL)
		return PASSWORD_UNUSABLE;
	w = mem_alloc(sizeof(*w));
	memcpy(w->setting, setting.p, setting.len);
	memcpy(w->secret, secret.p, secret.len);
	errno = 0;
	hashed = crypt_r(w->secret, w->setting, &w->data);
	if (hashed == NULL || hashed[0] == '*') {
		if (errno == ENOMEM)
			result = PASSWORD_FAULT;
	} else {
		memcpy(out, hashed, strlen(hashed) + 1);
		result = PASSWORD_OK;
	}
	explicit_bzero(w, sizeof(*w));
	free(w);
	return result;
}

/* Without NUL and of a length that crypt(3) takes. */
static bool
possible(struct slice secret)
{
	return secret.len > 0 && secret.len <= PASSWORD_MAX &&
	    memchr(secret.p, '\0', secret.len) == NULL;
}

static enum password_result
verify_scram(struct slice stored, struct slice secret)
{
	struct scram_keys want, got;
	enum password_result result = PASSWORD_FAULT;

	if (!scram_parse(stored, &want))
		return PASSWORD_UNUSABLE;
	got = want;
	if (scram_derive(&got, secret))
		result = mem_equal_ct(got.stored, want.stored,
		    scram_size(want.hash)) ? PASSWORD_OK : PASSWORD_WRONG;
	explicit_bzero(&got, sizeof(got));
	return result;
}

enum password_result
password_verify(struct slice stored, struct slice secret)
{
	char hashed[CRYPT_OUTPUT_SIZE] = "";
	enum password_result result;
	struct slice value;
	enum kind kind;

	if (!password_usable(stored) || !possible(secret))
		return PASSWORD_WRONG;
	if (!split(stored, &kind, &value))
		return PASSWORD_UNUSABLE;
	if (kind == KIND_PLAIN)
		return same(value, secret) ? PASSWORD_OK : PASSWORD_WRONG;
	if (kind == KIND_SCRAM)
		return verify_scram(stored, secret);
	result = hash(value, secret, hashed);
	if (result == PASSWORD_OK && !same(value, slice_of(hashed)))
		result = PASSWORD_WRONG;
	explicit_bzero(hashed, sizeof(hashed));
	return result;
}

bool
password_plain(struct slice stored, struct slice *plain)
{
	struct slice value;
	enum kind kind;

	if (!password_usable(stored) || !split(stored, &kind, &value) ||
	    kind != KIND_PLAIN)
		return false;
	*plain = value;
	return true;
}

bool
password_outdated(struct slice stored, enum password_scheme scheme)
{
	struct slice value;
	enum kind kind;

	return password_usable(stored) && split(stored, &kind, &value) &&
	    kind == KIND_CRYPT &&
	    !slice_prefix(value, slice_of(prefixes[scheme]));
}

bool
password_make(enum password_scheme scheme, struct slice secret,
    struct buf *out, const char **why)
{
	char hashed[CRYPT_OUTPUT_SIZE], salt[CRYPT_GENSALT_OUTPUT_SIZE];
	char octets[64];

	if (!possible(secret)) {
		*why = secret.len == 0 ? "the password is empty"
		    : secret.len > PASSWORD_MAX
		    ? "the password is longer than 511 octets"
		    : "the password holds a NUL";
		return false;
	}
	/* bcrypt looks at 72 octets and would accept any end behind them. */
	if (scheme == PASSWORD_BCRYPT && secret.len > 72) {
		*why = "bcrypt takes at most 72 octets";
		return false;
	}
	random_bytes(octets, sizeof(octets));
	if (crypt_gensalt_rn(prefixes[scheme], 0, octets, sizeof(octets), salt,
	    sizeof(salt)) == NULL ||
	    hash(slice_of(salt), secret, hashed) != PASSWORD_OK) {
		*why = "crypt(3) of this system cannot make such a hash";
		return false;
	}
	buf_adds(out, "{CRYPT}");
	buf_adds(out, hashed);
	explicit_bzero(hashed, sizeof(hashed));
	return true;
}

void
password_dummy(enum password_scheme scheme, struct buf *out)
{
	char octets[32];
	const char *why;
	size_t i;

	random_bytes(octets, sizeof(octets));
	for (i = 0; i < sizeof(octets); i++)
		if (octets[i] == '\0')
			octets[i] = 'x';
	if (!password_make(scheme, slice_mem(octets, sizeof(octets)), out,
	    &why))
		die(EXIT_TEMPORARY, "password_scheme: %s", why);
	explicit_bzero(octets, sizeof(octets));
}
