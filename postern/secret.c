/*
 * Passwords on their way into the users table.  Never on the command line,
 * where everybody's ps shows them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bsd/readpassphrase.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/conf/password.h"
#include "common/conf/scram.h"
#include "postern/out.h"
#include "postern/secret.h"

#define PLAIN 99 /* --scheme plain, beside enum password_scheme */
#define SCRAM 98 /* --scheme scram-sha-256 */

static int
from_terminal(struct buf *out)
{
	char first[PASSWORD_MAX + 2], second[PASSWORD_MAX + 2];
	int code = EXIT_PERMANENT;

	if (readpassphrase("Password: ", first, sizeof(first),
	    RPP_REQUIRE_TTY) == NULL ||
	    readpassphrase("Again: ", second, sizeof(second),
	    RPP_REQUIRE_TTY) == NULL) {
		out_error("no password was typed");
	} else if (strcmp(first, second) != 0) {
		out_error("the passwords differ");
	} else {
		buf_adds(out, first);
		code = 0;
	}
	explicit_bzero(first, sizeof(first));
	explicit_bzero(second, sizeof(second));
	return code;
}

/* The first line without its end. */
static int
from_file(int fd, const char *shown, struct buf *out)
{
	char c;
	ssize_t n;

	while ((n = read(fd, &c, 1)) == 1 && c != '\n')
		buf_addc(out, c);
	if (n < 0) {
		out_error("%s: %s", shown, strerror(errno));
		return EXIT_TEMPORARY;
	}
	if (out->len > 0 && out->s[out->len - 1] == '\r')
		out->s[--out->len] = '\0';
	if (out->overflow) {
		out_error("%s: the password is longer than %d octets", shown,
		    PASSWORD_MAX);
		return EXIT_PERMANENT;
	}
	return 0;
}

static int
read_secret(const char *file, struct buf *out)
{
	int fd, code;

	/* One place from the start: growing would leave copies. */
	(void)buf_room(out, PASSWORD_MAX);
	if (file == NULL && isatty(STDIN_FILENO))
		return from_terminal(out);
	if (file == NULL || strcmp(file, "-") == 0)
		return from_file(STDIN_FILENO, "standard input", out);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		out_error("%s: %s", file, strerror(errno));
		return EXIT_PERMANENT;
	}
	code = from_file(fd, file, out);
	close(fd);
	return code;
}

static bool
find_scheme(struct postern *p, const char *word, int *scheme)
{
	static const struct {
		const char *word;
		int scheme;
	} words[] = {{"yescrypt", PASSWORD_YESCRYPT},
	    {"sha512", PASSWORD_SHA512}, {"bcrypt", PASSWORD_BCRYPT},
	    {"scram-sha-256", SCRAM}, {"plain", PLAIN}};
	size_t i;

	if (word == NULL) {
		*scheme = (int)p->conf.password_scheme;
		return true;
	}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0) {
			*scheme = words[i].scheme;
			return true;
		}
	out_error("--scheme %s: unknown; there are yescrypt, sha512, bcrypt, "
	    "scram-sha-256 and plain (which APOP and CRAM-MD5 need)", word);
	return false;
}

static int
make_plain(struct slice secret, struct buf *out)
{
	if (secret.len == 0 || slice_find(secret, ':', 0) < secret.len ||
	    memchr(secret.p, '\0', secret.len) != NULL) {
		out_error("a password that is stored as it is must not be "
		    "empty nor hold a colon or a NUL");
		return EXIT_PERMANENT;
	}
	buf_adds(out, "{PLAIN}");
	buf_addslice(out, secret);
	return 0;
}

int
secret_scram(struct postern *p, struct slice secret,
    const struct scram_keys *like, struct buf *out)
{
	struct scram_keys k = {.hash = SCRAM_SHA256,
	    .iterations = (uint32_t)p->conf.scram_iterations,
	    .nsalt = SCRAM_SALT_LEN};
	int code = 0;

	if (like != NULL)
		k = *like;
	else
		random_bytes(k.salt, k.nsalt);
	if (secret.len == 0 ||
	    memchr(secret.p, '\0', secret.len) != NULL) {
		out_error("the password is empty or holds a NUL");
		code = EXIT_PERMANENT;
	} else if (!scram_derive(&k, secret)) {
		out_error("libcrypto cannot make SCRAM keys here");
		code = EXIT_TEMPORARY;
	} else {
		scram_format(&k, out);
	}
	explicit_bzero(&k, sizeof(k));
	return code;
}

static int
take_hash(const char *hash, struct buf *out)
{
	struct slice plain;
	const char *why;

	if (password_plain(slice_of(hash), &plain)) {
		out_error("--hash: everybody's ps would show this password; "
		    "use --scheme plain and standard input");
		return EXIT_PERMANENT;
	}
	if (strchr(hash, ':') != NULL || hash[0] == '\0') {
		out_error("--hash: empty, or with a colon");
		return EXIT_PERMANENT;
	}
	if (!password_known(slice_of(hash), &why)) {
		out_error("--hash: %s", why);
		return EXIT_PERMANENT;
	}
	buf_adds(out, hash);
	return 0;
}

int
secret_make(struct postern *p, const struct secret_options *o, struct buf *out)
{
	struct buf secret = BUF_INIT(PASSWORD_MAX);
	const char *why;
	int code, scheme;

	if ((o->file != NULL) + (o->hash != NULL) + o->none > 1) {
		out_error("only one of --password-file, --hash and "
		    "--no-password, please");
		return EXIT_PERMANENT;
	}
	if (o->none)
		return 0;
	if (o->hash != NULL)
		return take_hash(o->hash, out);
	if (!find_scheme(p, o->scheme, &scheme))
		return EXIT_PERMANENT;
	code = read_secret(o->file, &secret);
	if (code == 0 && scheme == PLAIN) {
		code = make_plain(buf_slice(&secret), out);
	} else if (code == 0 && scheme == SCRAM) {
		code = secret_scram(p, buf_slice(&secret), NULL, out);
	} else if (code == 0 && !password_make((enum password_scheme)scheme,
	    buf_slice(&secret), out, &why)) {
		out_error("%s", why);
		code = EXIT_PERMANENT;
	}
	buf_wipe(&secret);
	return code;
}
