/*
 * `postern dkim`: keys for signatures, and the DNS records that go with them.
 * Run by root; the keys become files that keyd alone can read.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/num.h"
#include "common/io/chan.h"
#include "common/mail/address.h"
#include "common/mail/domain.h"
#include "common/proto/sockets.h"
#include "common/sys/user.h"
#include "postern/args.h"
#include "postern/dkim_keys.h"
#include "postern/out.h"
#include "postern/postern.h"

#define PATH_SIZE 4096
#define SELECTOR_MAX 63
#define STRING_MAX 255    /* RFC 1035 3.3: of one string in a TXT record */
#define RSA_BITS "2048"
#define WAIT_MS 20000

/* ---- operands ---- */

/* In lower-case A-labels, as keyd looks for it. */
static bool
read_domain(const char *text, struct buf *out)
{
	const char *why = "";

	if (text[0] != '[' && address_domain(slice_of(text), true, &why) &&
	    domain_wire(slice_of(text), out, &why))
		return true;
	out_error("%s: no domain%s%s", text, why[0] != '\0' ? ": " : "", why);
	return false;
}

static bool
selector_ok(const char *s)
{
	size_t len = strlen(s);
	const char *why;

	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			len = 0;
	if (len > 0 && len <= SELECTOR_MAX &&
	    address_domain(slice_of(s), false, &why))
		return true;
	out_error("%s: no selector; allowed: up to %d lower-case letters, "
	    "digits, hyphens and dots, as in a host's name", s, SELECTOR_MAX);
	return false;
}

/* "rsa202611": one a month and kind, so that an old key is seen to be old. */
static void
usual_selector(bool ed25519, char out[SELECTOR_MAX + 1])
{
	time_t now = (time_t)(clock_real_ms() / 1000);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	snprintf(out, SELECTOR_MAX + 1, "%s%04d%02d", ed25519 ? "ed" : "rsa",
	    tm.tm_year + 1900, tm.tm_mon + 1);
}

/* ---- records ---- */

static void
say_record(const struct dkim_public *k)
{
	struct slice rest = buf_slice(&k->record), part;

	out_printf("%s. IN TXT (\n", k->name.s);
	do {
		part = slice_sub(rest, 0, STRING_MAX);
		rest = slice_sub(rest, part.len, rest.len);
		out_printf("\t\"%.*s\"%s\n", SLICE_FMT(part),
		    rest.len > 0 ? "" : " )");
	} while (rest.len > 0);
}

static void
json_record(struct json *j, const struct dkim_public *k)
{
	json_key_str(j, "domain", slice_of(k->domain));
	json_key_str(j, "selector", slice_of(k->selector));
	json_key_str(j, "file", slice_of(k->file));
	json_key_str(j, "kind", k->kind == CRYPTO_RSA ? SLICE("rsa")
	    : SLICE("ed25519"));
	json_key_num(j, "bits", k->bits);
	json_key_str(j, "name", buf_slice(&k->name));
	json_key_str(j, "record", buf_slice(&k->record));
}

/* The keys that were asked for; an exit code. */
static int
keys_of(struct postern *p, int argc, char *argv[], struct dkim_publics *out)
{
	const char *dir = p->conf.dkim_dir;
	struct buf domain = BUF_INIT(300);
	int code = 0;

	*out = (struct dkim_publics){.n = 0};
	if (!read_domain(argv[0], &domain) ||
	    (argc > 1 && !selector_ok(argv[1]))) {
		buf_free(&domain);
		return EXIT_PERMANENT;
	}
	if (dkim_publics_read(dir, domain.s, argc > 1 ? argv[1] : NULL,
	    out) != 0) {
		out_error("%s/%s: cannot be read: %s", dir, domain.s,
		    strerror(errno));
		code = EXIT_TEMPORARY;
	} else if (out->n == 0) {
		out_error("%s/%s: no key there; make one with `postern dkim "
		    "key %s`", dir, domain.s, domain.s);
		code = EXIT_PERMANENT;
	}
	buf_free(&domain);
	return code;
}

/* ---- show ---- */

int
dkim_show(struct postern *p, int argc, char *argv[])
{
	struct dkim_publics keys;
	struct json j = {.depth = 0};
	int code;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc < 1 || argc > 2)
		return command_usage(dkim_show);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	code = keys_of(p, argc, argv, &keys);
	if (p->json)
		json_array(&j);
	for (size_t i = 0; i < keys.n; i++) {
		const struct dkim_public *k = &keys.v[i];

		if (k->key.len == 0) {
			out_error("%s: %s", k->file, k->why);
			code = EXIT_PERMANENT;
		} else if (p->json) {
			json_object(&j);
			json_record(&j, k);
			json_end(&j);
		} else {
			say_record(k);
		}
	}
	if (p->json)
		json_end(&j);
	dkim_publics_free(&keys);
	return code;
}

/* ---- key ---- */

/* Written whole under another name, which keyd passes over. */
static int
write_key(const char *path, const char *other, struct slice pem,
    const struct sys_user *owner)
{
	int fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	int result = -1;

	if (fd < 0)
		return -1;
	if ((geteuid() != 0 || fchown(fd, owner->uid, owner->gid) == 0) &&
	    fchmod(fd, 0600) == 0 &&
	    write(fd, pem.p, pem.len) == (ssize_t)pem.len && fsync(fd) == 0 &&
	    link(other, path) == 0)
		result = 0;
	close(fd);
	if (unlink(other) != 0)
		result = -1;
	return result;
}

static int
store_key(const char *dir, const char *domain, const char *selector,
    struct slice pem, const struct sys_user *owner)
{
	char folder[PATH_SIZE], path[PATH_SIZE + 100], other[PATH_SIZE + 100];
	int fd, result = -1;

	snprintf(folder, sizeof(folder), "%s/%s", dir, domain);
	snprintf(path, sizeof(path), "%s/%s.pem", folder, selector);
	snprintf(other, sizeof(other), "%s/.%s.new", folder, selector);
	if (mkdir(folder, 0755) == 0)
		(void)chmod(folder, 0755);
	else if (errno != EEXIST) {
		out_error("%s: cannot be made: %s%s", folder, strerror(errno),
		    errno == ENOENT ? " (`postern setup` makes dkim_dir)"
		    : "");
		return EXIT_TEMPORARY;
	}
	if (write_key(path, other, pem, owner) == 0) {
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		result = fd >= 0 ? fsync(fd) : -1;
		if (fd >= 0)
			close(fd);
	}
	if (result == 0)
		return 0;
	if (errno == EEXIST)
		out_error("%s: is there already; name another selector",
		    path);
	else
		out_error("%s: cannot be written: %s", path, strerror(errno));
	return errno == EEXIST ? EXIT_PERMANENT : EXIT_TEMPORARY;
}

static int
say_made(struct postern *p, const char *domain, const char *selector)
{
	struct dkim_publics keys;
	struct json j = {.depth = 0};

	if (dkim_publics_read(p->conf.dkim_dir, domain, selector, &keys) != 0 ||
	    keys.n == 0) {
		out_error("the key was made and cannot be read");
		return EXIT_TEMPORARY;
	}
	if (p->json) {
		json_object(&j);
		json_record(&j, &keys.v[0]);
		json_end(&j);
	} else {
		out_printf("; %s was made, and signs from now on%s.\n"
		    "; Publish this, then: postern dkim check %s\n",
		    keys.v[0].file, p->conf.dkim_sign ? ""
		    : " once dkim_sign = yes", domain);
		say_record(&keys.v[0]);
	}
	dkim_publics_free(&keys);
	return 0;
}

static int
make_key(struct postern *p, const char *domain, const char *selector,
    bool ed25519, uint32_t bits)
{
	struct buf pem = BUF_INIT(CRYPTO_PEM_MAX);
	struct sys_user owner;
	int code;

	owner = user_need("user_key", p->conf.user_key);
	if (!crypto_key_make(ed25519 ? CRYPTO_ED25519 : CRYPTO_RSA, bits,
	    &pem)) {
		out_error("OpenSSL could not make a key");
		return EXIT_TEMPORARY;
	}
	code = store_key(p->conf.dkim_dir, domain, selector, buf_slice(&pem),
	    &owner);
	buf_wipe(&pem);
	return code == 0 ? say_made(p, domain, selector) : code;
}

int
dkim_key(struct postern *p, int argc, char *argv[])
{
	const char *rsa = NULL;
	bool ed25519 = false;
	struct args_option options[] = {{"ed25519", 0, &ed25519, NULL},
	    {"rsa", 0, NULL, &rsa}, ARGS_END};
	char selector[SELECTOR_MAX + 1];
	struct buf domain = BUF_INIT(300);
	uint32_t bits;
	int code = EXIT_PERMANENT;

	if (!args_take(p, &argc, argv, options, false))
		return EXIT_PERMANENT;
	if (argc < 1 || argc > 2 || (ed25519 && rsa != NULL))
		return command_usage(dkim_key);
	/* RFC 8301 3.2; longer ones do not fit an answer of DNS over UDP. */
	if (!num_u32(slice_of(rsa != NULL ? rsa : RSA_BITS), 1024, 4096,
	    &bits)) {
		out_error("--rsa %s: no length; allowed: 1024 to 4096 bits",
		    rsa);
		return EXIT_PERMANENT;
	}
	if (argc > 1 && !selector_ok(argv[1]))
		return EXIT_PERMANENT;
	usual_selector(ed25519, selector);
	if (read_domain(argv[0], &domain) && command_conf(p))
		code = make_key(p, domain.s, argc > 1 ? argv[1] : selector,
		    ed25519, bits);
	buf_free(&domain);
	return code;
}

/* ---- check ---- */

static int
say_published(struct postern *p, struct json *j, const struct dkim_public *k,
    const struct dns_answer *a)
{
	static const char *const words[] = {"published", "missing",
	    "different", "unknown"};
	const char *why;
	enum dkim_published is = dkim_published(k, a, &why);

	if (p->json) {
		json_object(j);
		json_record(j, k);
		json_key_str(j, "state", slice_of(words[is]));
		json_key_str(j, "why", slice_of(why));
		json_end(j);
	} else {
		out_printf("%s: %s%s%s%.*s\n", k->name.s, words[is],
		    why[0] != '\0' ? "; " : "", why, is == DKIM_UNKNOWN
		    ? (int)a->why.len : 0, a->why.p);
	}
	return is == DKIM_PUBLISHED ? 0 : is == DKIM_UNKNOWN ? EXIT_TEMPORARY
	    : EXIT_PERMANENT;
}

static int
ask_keys(struct postern *p, const struct dkim_publics *keys, struct dns *d)
{
	struct dns_question *q = mem_array(keys->n, sizeof(*q));
	const struct dns_answer **a = mem_array(keys->n, sizeof(*a));
	struct json j = {.depth = 0};
	int code = 0, one;

	for (size_t i = 0; i < keys->n; i++)
		q[i] = (struct dns_question){DNS_TXT, keys->v[i].name.s};
	dns_ask(d, q, keys->n, a, clock_mono_ms() + WAIT_MS);
	if (p->json)
		json_array(&j);
	for (size_t i = 0; i < keys->n; i++) {
		if (keys->v[i].key.len == 0) {
			out_error("%s: %s", keys->v[i].file, keys->v[i].why);
			one = EXIT_PERMANENT;
		} else {
			one = say_published(p, &j, &keys->v[i], a[i]);
		}
		if (one > code || (one == EXIT_PERMANENT && code != 0))
			code = one;
	}
	if (p->json)
		json_end(&j);
	free(q);
	free(a);
	return code;
}

int
dkim_check(struct postern *p, int argc, char *argv[])
{
	struct dkim_publics keys;
	char path[PATH_SIZE];
	struct dns *d;
	int code, fd;

	if (!args_take(p, &argc, argv, NULL, false))
		return EXIT_PERMANENT;
	if (argc < 1 || argc > 2)
		return command_usage(dkim_check);
	if (!command_conf(p))
		return EXIT_PERMANENT;
	code = keys_of(p, argc, argv, &keys);
	if (code != 0)
		return code;
	snprintf(path, sizeof(path), "%s/%s", p->conf.run_dir, SOCKET_DNS);
	fd = chan_dial(path);
	if (fd < 0) {
		out_error("%s: nobody listens (%s); start dnsd", path,
		    strerror(errno));
		code = EXIT_TEMPORARY;
	} else {
		d = dns_new(fd);
		code = ask_keys(p, &keys, d);
		dns_free(&d);
	}
	dkim_publics_free(&keys);
	return code;
}
