/*
 * keyd: what it signs and what it does not, keys in files that change, the
 * store of TLS sessions, and a worker's answers to sessions of all manners.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "common/base/clock.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/dkim.h"
#include "common/proto/keylist.h"
#include "common/tls/keys.h"
#include "keyd/cache.h"
#include "keyd/content.h"
#include "keyd/keyd.h"
#include "keyd/pair.h"
#include "keyd/store.h"
#include "tests/unit/tls_rig.h"

Suite *keyd_suite(void);

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))
#define PATIENCE_MS 20000

static struct rig_cert rsa, ec, ec_new, ed;
static char dir[64];
static int dirfd_;

static void
make_all(void)
{
	signal(SIGPIPE, SIG_IGN);
	snprintf(dir, sizeof(dir), "/tmp/postern-keyd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	rig_make(&rsa, "RSA", "mx.example");
	rig_make(&ec, "P-256", "mx.example");
	rig_make(&ec_new, "P-256", "mx.example");
	rig_make(&ed, "ED25519", "mx.example");
}

static void
remove_all(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void
free_all(void)
{
	close(dirfd_);
	remove_all(dir);
	rig_free(&rsa);
	rig_free(&ec);
	rig_free(&ec_new);
	rig_free(&ed);
}

/* ---- contracts ---- */

START_TEST(test_contracts)
{
	static const struct chan_contract *const contracts[] = {
	    &key_contract, &dkim_contract, &keylist_contract};
	struct buf why = BUF_INIT(1000);

	ck_assert_msg(chan_contract_check(contracts[_i], &why), "%s", why.s);
	buf_free(&why);
}
END_TEST

/* ---- what is signed ---- */

#define R32 "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
#define R64 R32 R32
#define S64 "                                                                "
#define VERIFY "TLS 1.3, server CertificateVerify"
#define P256_POINT "\x03\0\x17\x41\x04" R64

static const struct {
	const char *name;
	uint32_t scheme;
	struct slice content;
	bool old, want;
} content_cases[] = {
	{"1.3, SHA-256", KEY_ECDSA_SHA256, SLICE_INIT(S64 VERIFY "\0" R32),
	    false, true},
	{"1.3, SHA-384", KEY_RSA_PSS_SHA256,
	    SLICE_INIT(S64 VERIFY "\0" R32 "rrrrrrrrrrrrrrrr"), false, true},
	{"1.3, PKCS1", KEY_RSA_PKCS1_SHA256, SLICE_INIT(S64 VERIFY "\0" R32),
	    false, false},
	{"1.3, SHA-1", KEY_ECDSA_SHA1, SLICE_INIT(S64 VERIFY "\0" R32),
	    true, false},
	{"a client's", KEY_ECDSA_SHA256,
	    SLICE_INIT(S64 "TLS 1.3, client CertificateVerify" "\0" R32),
	    false, false},
	{"a hash too short", KEY_ECDSA_SHA256,
	    SLICE_INIT(S64 VERIFY "\0" "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"),
	    false, false},
	{"something behind", KEY_ECDSA_SHA256,
	    SLICE_INIT(S64 VERIFY "\0" R32 "x"), false, false},
	{"63 spaces", KEY_ECDSA_SHA256,
	    SLICE_INIT("x                                              "
	    "                 " VERIFY "\0" R32), false, false},
	{"no zero", KEY_ECDSA_SHA256, SLICE_INIT(S64 VERIFY " " R32),
	    false, false},
	{"nothing", KEY_ECDSA_SHA256, SLICE_INIT(""), false, false},
	{"a digest", KEY_ECDSA_SHA256, SLICE_INIT(R32), false, false},
	{"randoms alone", KEY_ECDSA_SHA256, SLICE_INIT(R64), false, false},
	{"1.2, P-256", KEY_ECDSA_SHA256, SLICE_INIT(R64 P256_POINT),
	    false, true},
	{"1.2, PKCS1", KEY_RSA_PKCS1_SHA256, SLICE_INIT(R64 P256_POINT),
	    false, true},
	{"1.2, PSS", KEY_RSA_PSS_SHA512, SLICE_INIT(R64 P256_POINT),
	    false, true},
	{"1.2, X25519", KEY_ED25519_PURE,
	    SLICE_INIT(R64 "\x03\0\x1d\x20" R32), false, true},
	{"1.2, one octet more", KEY_ECDSA_SHA256,
	    SLICE_INIT(R64 P256_POINT "x"), false, false},
	{"1.2, a wrong length", KEY_ECDSA_SHA256,
	    SLICE_INIT(R64 "\x03\0\x17\x40\x04" R64), false, false},
	{"1.2, a compressed point", KEY_ECDSA_SHA256,
	    SLICE_INIT(R64 "\x03\0\x17\x41\x02" R64), false, false},
	{"1.2, an unknown curve", KEY_ECDSA_SHA256,
	    SLICE_INIT(R64 "\x03\0\x16\x41\x04" R64), false, false},
	{"1.2, explicit prime", KEY_ECDSA_SHA256,
	    SLICE_INIT(R64 "\x01\0\x17\x41\x04" R64), false, false},
	{"1.0, not wanted", KEY_RSA_MD5_SHA1, SLICE_INIT(R64 P256_POINT),
	    false, false},
	{"1.0", KEY_RSA_MD5_SHA1, SLICE_INIT(R64 P256_POINT), true, true},
	{"a certificate", KEY_RSA_PKCS1_SHA256,
	    SLICE_INIT("\x30\x82\x01\x0a\x30\x81\xb1\xa0\x03\x02\x01\x02" R64
	    R64), false, false},
	{"DKIM", KEY_RSA_PKCS1_SHA256, SLICE_INIT("from:a@example\r\nto:b\r\n"
	    "dkim-signature:v=1; a=rsa-sha256; d=example; s=x; bh=AAAA; b="),
	    false, false},
};

START_TEST(test_content)
{
	const char *why = "";

	ck_assert_msg(content_allowed(content_cases[_i].scheme,
	    content_cases[_i].content, content_cases[_i].old, &why) ==
	    content_cases[_i].want, "%s", content_cases[_i].name);
	ck_assert_int_eq(why[0] != '\0', !content_cases[_i].want);
}
END_TEST

/* ---- files ---- */

static void
write_pem(const char *folder, const char *name, const struct rig_cert *cert,
    const struct rig_cert *key)
{
	char path[300], new[320];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, name);
	snprintf(new, sizeof(new), "%s.new", path);
	f = fopen(new, "w");
	if (cert != NULL)
		PEM_write_X509(f, cert->leaf);
	if (key != NULL)
		PEM_write_PrivateKey(f, key->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	ck_assert_int_eq(rename(new, path), 0);
}

static void
write_pair(const char *folder, const struct rig_cert *c)
{
	write_pem(folder, "cert.pem", c, NULL);
	write_pem(folder, "key.pem", NULL, c);
}

static void
write_text(const char *folder, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static void
start_over(void)
{
	char path[80];

	close(dirfd_);
	remove_all(dir);
	snprintf(path, sizeof(path), "%s", dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
}

/* The folder found, "none" or "temp", and which certificate is the first. */
static const char *
find(struct store *s, const char *name, int64_t now,
    const struct rig_cert *want)
{
	static char folder[300];
	struct store_found found;
	const char *why = "";

	switch (store_find(s, slice_of(name), now, &found, &why)) {
	case KEY_OK:
		break;
	case KEY_NONE:
		ck_assert_str_ne(why, "");
		return "none";
	default:
		ck_assert_str_ne(why, "");
		return "temp";
	}
	if (want != NULL)
		ck_assert_mem_eq(pair_fingerprint(found.v[0]).p,
		    want->fingerprint, KEY_FINGERPRINT_LEN);
	snprintf(folder, sizeof(folder), "%.*s", SLICE_FMT(found.folder));
	return folder;
}

START_TEST(test_names)
{
	static const char *const good[] = {"a", "mx.example", "*.example",
	    "xn--bcher-kva.example", "_a.b-c"};
	static const char *const bad[] = {"", ".", "..", "a..b", ".a", "a.",
	    "a/b", "../a", "*", "*.", "*.*.a", "a.*.b", "A.b", "a b", "\xc3",
	    "a\n"};
	char long_name[300];
	int i;

	for (i = 0; i < COUNT(good); i++)
		ck_assert_msg(store_name_valid(slice_of(good[i])), "%s",
		    good[i]);
	for (i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!store_name_valid(slice_of(bad[i])), "%s",
		    bad[i]);
	ck_assert(!store_name_valid(SLICE("a\0b")));
	memset(long_name, 'a', sizeof(long_name));
	ck_assert(!store_name_valid(slice_mem(long_name, 254)));
}
END_TEST

START_TEST(test_find)
{
	struct store *s;

	start_over();
	s = store_new(dirfd_, 100, 100);
	ck_assert_str_eq(find(s, "mx.example", 1000, NULL), "none");
	write_pair("default", &rsa);
	ck_assert_str_eq(find(s, "mx.example", 1000, &rsa), "default");
	ck_assert_str_eq(find(s, "", 1000, &rsa), "default");
	write_pair("mx.example", &ec);
	write_pair("*.wild.example", &ed);
	ck_assert_str_eq(find(s, "mx.example", 1000, &ec), "mx.example");
	ck_assert_str_eq(find(s, "MX.Example.", 1000, &ec), "mx.example");
	ck_assert_str_eq(find(s, "a.wild.example", 1000, &ed),
	    "*.wild.example");
	ck_assert_str_eq(find(s, "b.a.wild.example", 1000, NULL), "default");
	ck_assert_str_eq(find(s, "wild.example", 1000, NULL), "default");
	ck_assert_str_eq(find(s, "*.default", 1000, NULL), "default");
	ck_assert_str_eq(find(s, "../mx.example", 1000, NULL), "default");
	ck_assert_str_eq(find(s, "default", 1000, NULL), "default");
	store_free(&s);
}
END_TEST

/* Two kinds of key in one folder. */
START_TEST(test_kinds)
{
	struct store_found found;
	const char *why;
	struct store *s;

	start_over();
	s = store_new(dirfd_, 100, 100);
	write_pair("default", &ec);
	write_pem("default", "cert-rsa.pem", &rsa, NULL);
	write_pem("default", "key-rsa.pem", NULL, &rsa);
	write_pem("default", "cert-ecdsa.pem", &ec_new, NULL);
	write_pem("default", "key-ecdsa.pem", NULL, &ec_new);
	ck_assert_int_eq(store_find(s, SLICE(""), 0, &found, &why), KEY_OK);
	ck_assert_uint_eq(found.n, 2);
	ck_assert_int_eq(pair_algorithm(found.v[0]), KEY_EC);
	ck_assert_mem_eq(pair_fingerprint(found.v[0]).p, ec.fingerprint, 32);
	ck_assert_int_eq(pair_algorithm(found.v[1]), KEY_RSA);
	store_free(&s);
}
END_TEST

START_TEST(test_renewal)
{
	struct store *s;

	start_over();
	s = store_new(dirfd_, 100, 100);
	write_pair("default", &ec);
	ck_assert_str_eq(find(s, "", 1000, &ec), "default");
	/* One file before the other: nothing changes before both are there. */
	write_pem("default", "cert.pem", &ec_new, NULL);
	ck_assert_str_eq(find(s, "", 1099, &ec), "default");
	ck_assert_str_eq(find(s, "", 1200, &ec), "default");
	ck_assert_str_eq(find(s, "", 1300, &ec), "default");
	write_pem("default", "key.pem", NULL, &ec_new);
	ck_assert_str_eq(find(s, "", 1399, &ec), "default"); /* not looked */
	ck_assert_str_eq(find(s, "", 1400, &ec_new), "default");
	/* Rubbish, a missing file, an unreadable one. */
	write_text("default", "cert.pem", "-----BEGIN CERTIFICATE-----\nAA");
	ck_assert_str_eq(find(s, "", 2000, &ec_new), "default");
	ck_assert_int_eq(unlinkat(dirfd_, "default/cert.pem", 0), 0);
	ck_assert_str_eq(find(s, "", 2100, &ec_new), "default");
	write_pair("default", &rsa);
	ck_assert_str_eq(find(s, "", 2200, &rsa), "default");
	/* Nothing at all: it is gone. */
	ck_assert_int_eq(unlinkat(dirfd_, "default/cert.pem", 0), 0);
	ck_assert_int_eq(unlinkat(dirfd_, "default/key.pem", 0), 0);
	ck_assert_str_eq(find(s, "", 2300, NULL), "none");
	write_pair("default", &ec);
	ck_assert_str_eq(find(s, "", 2400, &ec), "default");
	ck_assert_int_eq(renameat(dirfd_, "default", dirfd_, "was"), 0);
	ck_assert_str_eq(find(s, "", 2500, NULL), "none");
	ck_assert_int_eq(symlinkat("was", dirfd_, "default"), 0);
	ck_assert_str_eq(find(s, "", 2600, &ec), "default");
	store_free(&s);
}
END_TEST

static const struct {
	const char *name, *cert, *key; /* text; NULL: the right one */
} broken_cases[] = {
	{"empty certificate", "", NULL},
	{"empty key", NULL, ""},
	{"rubbish", "x", "y"},
	{"a torn key", NULL, "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n"},
	{"a key with a password", NULL, "-----BEGIN ENCRYPTED PRIVATE KEY-----"
	    "\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
	    "-----END ENCRYPTED PRIVATE KEY-----\n"},
};

START_TEST(test_broken)
{
	struct store *s;

	start_over();
	s = store_new(dirfd_, 100, 100);
	write_pair("mx.example", &ec);
	if (broken_cases[_i].cert != NULL)
		write_text("mx.example", "cert.pem", broken_cases[_i].cert);
	if (broken_cases[_i].key != NULL)
		write_text("mx.example", "key.pem", broken_cases[_i].key);
	ck_assert_str_eq(find(s, "mx.example", 0, NULL), "temp");
	/* It does not keep "default" from being served. */
	write_pair("default", &rsa);
	ck_assert_str_eq(find(s, "mx.example", 50, &rsa), "default");
	write_pair("mx.example", &ec);
	ck_assert_str_eq(find(s, "mx.example", 100, &ec), "mx.example");
	store_free(&s);
}
END_TEST

/* A bounded number of folders is held, those used last. */
START_TEST(test_bounded)
{
	char name[40];
	struct store *s;
	int i;

	start_over();
	s = store_new(dirfd_, 4, 100);
	for (i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "h%d.example", i);
		write_pair(name, i % 2 == 0 ? &ec : &ed);
	}
	for (i = 0; i < 36; i++) {
		snprintf(name, sizeof(name), "h%d.example", i * 5 % 12);
		ck_assert_str_eq(find(s, name, i, i * 5 % 12 % 2 == 0 ? &ec
		    : &ed), name);
		ck_assert_uint_le(store_count(s), 4);
	}
	store_free(&s);
}
END_TEST

/* ---- signatures ---- */

static const struct {
	struct rig_cert *cert;
	uint32_t scheme;
	enum key_result want;
} sign_cases[] = {
	{&rsa, KEY_RSA_PKCS1_SHA256, KEY_OK},
	{&rsa, KEY_RSA_PKCS1_SHA384, KEY_OK},
	{&rsa, KEY_RSA_PKCS1_SHA512, KEY_OK},
	{&rsa, KEY_RSA_PSS_SHA256, KEY_OK},
	{&rsa, KEY_RSA_PSS_SHA384, KEY_OK},
	{&rsa, KEY_RSA_PSS_SHA512, KEY_OK},
	{&rsa, KEY_RSA_MD5_SHA1, KEY_OK},
	{&rsa, KEY_RSA_PKCS1_SHA1, KEY_OK},
	{&rsa, KEY_ECDSA_SHA256, KEY_BAD},
	{&rsa, KEY_ED25519_PURE, KEY_BAD},
	{&rsa, 0, KEY_BAD},
	{&rsa, 65535, KEY_BAD},
	{&ec, KEY_ECDSA_SHA256, KEY_OK},
	{&ec, KEY_ECDSA_SHA384, KEY_OK},
	{&ec, KEY_RSA_PSS_SHA256, KEY_BAD},
	{&ed, KEY_ED25519_PURE, KEY_OK},
	{&ed, KEY_ECDSA_SHA256, KEY_BAD},
};

static bool
verifies(EVP_PKEY *key, uint32_t scheme, struct slice content,
    struct slice signature)
{
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p = NULL;
	bool good = EVP_DigestVerifyInit(m, &p, rig_digest(scheme), NULL,
	    key) > 0;

	if (scheme >= KEY_RSA_PSS_SHA256 && scheme <= KEY_RSA_PSS_SHA512) {
		EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST);
	}
	good = good && EVP_DigestVerify(m,
	    (const unsigned char *)signature.p, signature.len,
	    (const unsigned char *)content.p, content.len) == 1;
	EVP_MD_CTX_free(m);
	return good;
}

START_TEST(test_sign)
{
	struct slice content = SLICE(S64 VERIFY "\0" R32);
	unsigned char out[KEY_SIGNATURE_MAX];
	size_t len = sizeof(out);
	struct pair_mark marks[2];
	char why[PAIR_WHY_SIZE];
	struct pair *p;
	int fd;

	start_over();
	write_pair("default", sign_cases[_i].cert);
	fd = openat(dirfd_, "default", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(pair_load(fd, "cert.pem", "key.pem", marks, &p, why),
	    PAIR_OK);
	close(fd);
	ck_assert_int_eq(pair_sign(p, sign_cases[_i].scheme, content, out,
	    &len), sign_cases[_i].want);
	if (sign_cases[_i].want == KEY_OK)
		ck_assert(verifies(sign_cases[_i].cert->key,
		    sign_cases[_i].scheme, content, slice_mem(out, len)));
	pair_unref(&p);
}
END_TEST

/* ---- sessions ---- */

START_TEST(test_cache)
{
	struct cache *c = cache_new(64, 1000);
	struct buf out = BUF_INIT(KEY_SESSION_MAX);
	struct slice smtp = SLICE("smtp"), id = SLICE("id"), s = SLICE("abc");
	char big[KEY_SESSION_MAX + 1] = "", name[16];
	int i, there = 0;

	ck_assert(cache_put(c, 1, smtp, id, s, 5000));
	/* Not another user's, not another protocol's. */
	ck_assert(!cache_take(c, 2, smtp, id, 5000, &out));
	ck_assert(!cache_take(c, 1, SLICE("pop3"), id, 5000, &out));
	ck_assert(!cache_take(c, 1, smtp, SLICE("i"), 5000, &out));
	/* Nobody replaces it. */
	ck_assert(!cache_put(c, 1, smtp, id, SLICE("evil"), 5000));
	/* Once. */
	ck_assert(cache_take(c, 1, smtp, id, 5999, &out));
	ck_assert(slice_eq(buf_slice(&out), s));
	ck_assert(!cache_take(c, 1, smtp, id, 5999, &out));
	/* Not after its time. */
	ck_assert(cache_put(c, 1, smtp, id, s, 5000));
	ck_assert(!cache_take(c, 1, smtp, id, 6000, &out));
	ck_assert(!cache_put(c, 1, smtp, id, slice_mem(big, sizeof(big)),
	    5000));
	ck_assert(!cache_put(c, 1, smtp, SLICE(""), s, 5000));
	/* Bounded; the newest are there. */
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		ck_assert(cache_put(c, 1, smtp, slice_of(name), s, 7000 + i));
	}
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		buf_reset(&out);
		there += cache_take(c, 1, smtp, slice_of(name), 7999, &out);
	}
	ck_assert_int_le(there, 64);
	ck_assert_int_ge(there, 40);
	/* None at all */
	ck_assert_ptr_null(cache_new(0, 1000));
	ck_assert(!cache_put(NULL, 1, smtp, id, s, 5000));
	ck_assert(!cache_take(NULL, 1, smtp, id, 5000, &out));
	cache_release(c, 1234);
	cache_release(NULL, 1234);
	buf_free(&out);
}
END_TEST

/* ---- a worker and its clients ---- */

static pid_t worker;
static char sockets[3][100];

static void
serve(void)
{
	static struct keyd k;
	static struct worker w;

	alarm(120);
	conf_defaults(&k.conf);
	k.conf.tls_check_ms = 1;
	k.tls_fd = k.dkim_fd = dirfd_;
	k.key_uids[0] = k.key_uids[1] = k.dkim_uids[0] = k.list_uids[0] =
	    getuid();
	k.cache = cache_new(100, 100000);
	k.key_fd = chan_listen(sockets[0], 0600, 10);
	k.sign_fd = chan_listen(sockets[1], 0600, 10);
	k.list_fd = chan_listen(sockets[2], 0600, 10);
	w.k = &k;
	w.loop = loop_new();
	w.store = store_new(dirfd_, 100, 1);
	handshake_serve(&w);
	dkim_serve(&w);
	list_serve(&w);
	loop_run(w.loop);
	_exit(0);
}

static void
worker_begin(void)
{
	struct stat st;
	size_t i;

	make_all();
	for (i = 0; i < 3; i++)
		snprintf(sockets[i], sizeof(sockets[i]), "%s/%zu.sock", dir,
		    i);
	worker = fork();
	if (worker == 0)
		serve();
	while (stat(sockets[2], &st) != 0)
		usleep(1000);
}

static void
worker_end(void)
{
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	free_all();
}

static struct chan *
dial(size_t which, const struct chan_contract *contract)
{
	struct chan *c = chan_connect(sockets[which], contract);

	ck_assert_ptr_nonnull(c);
	return c;
}

static bool
answered(struct chan *c, void *msg, size_t size, uint16_t want)
{
	int fds[CHAN_MAX_FDS];
	size_t nfds;
	uint16_t type = 0;

	return chan_wait(c, &type, msg, size, fds, &nfds, clock_mono_ms() +
	    PATIENCE_MS) == CHAN_OK && type == want;
}

static bool
ask_cert(struct chan *c, const char *name, union key_msg *msg)
{
	struct key_cert q = {.name = slice_of(name), .known = {NULL, 0}};

	chan_queue(c, KEY_CERT, &q, NULL, 0);
	return answered(c, msg, sizeof(*msg), KEY_CERTS);
}

static bool
ask_sign(struct chan *c, const struct rig_cert *cert, uint32_t scheme,
    struct slice content, union key_msg *msg)
{
	struct key_sign q = {.fingerprint = slice_mem(cert->fingerprint, 32),
	    .scheme = scheme, .content = content};

	chan_queue(c, KEY_SIGN, &q, NULL, 0);
	return answered(c, msg, sizeof(*msg), KEY_SIGNED);
}

static const struct slice handshake = SLICE_INIT(S64 VERIFY "\0" R32);

START_TEST(test_session)
{
	struct chan *c = dial(0, &key_contract);
	struct slice known = slice_mem(ec.fingerprint, 32);
	struct key_cert q = {.name = SLICE("mx.example"), .known = {&known, 1}};
	const struct key_row *rows;
	union key_msg msg;

	write_pair("default", &rsa);
	write_pair("mx.example", &ec);
	ck_assert(ask_cert(c, "mx.example", &msg));
	ck_assert_uint_eq(msg.certs.result, KEY_OK);
	ck_assert_uint_eq(msg.certs.rows.n, 1);
	rows = msg.certs.rows.v;
	ck_assert_uint_eq(rows[0].algorithm, KEY_EC);
	ck_assert(slice_eq(rows[0].chain, slice_mem(ec.der,
	    (size_t)ec.der_len)));
	ck_assert(slice_eq(msg.certs.folder, SLICE("mx.example")));
	/* What is known is not sent again. */
	chan_queue(c, KEY_CERT, &q, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), KEY_CERTS));
	rows = msg.certs.rows.v;
	ck_assert_uint_eq(rows[0].chain.len, 0);
	ck_assert(ask_sign(c, &ec, KEY_ECDSA_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_OK);
	ck_assert(verifies(ec.key, KEY_ECDSA_SHA256, handshake,
	    msg.answer.signature));
	chan_free(&c);
}
END_TEST

/* A key that was renewed in the middle: the handshake in hand goes on. */
START_TEST(test_renewed_between)
{
	struct chan *c = dial(0, &key_contract), *d;
	union key_msg msg;

	write_pair("default", &ec);
	ck_assert(ask_cert(c, "", &msg));
	write_pair("default", &ec_new);
	usleep(5000);
	d = dial(0, &key_contract);
	ck_assert(ask_cert(d, "", &msg));
	ck_assert(ask_sign(d, &ec_new, KEY_ECDSA_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_OK);
	ck_assert(ask_sign(c, &ec, KEY_ECDSA_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_OK);
	ck_assert(verifies(ec.key, KEY_ECDSA_SHA256, handshake,
	    msg.answer.signature));
	chan_free(&c);
	chan_free(&d);
}
END_TEST

START_TEST(test_hostile)
{
	struct chan *c = dial(0, &key_contract);
	struct key_put put = {.id = SLICE("hostile"), .session = SLICE("x"),
	    .context = SLICE("smtp")};
	struct key_take take = {.id = SLICE("hostile"),
	    .context = SLICE("smtp")};
	union key_msg msg;
	int i, n;

	write_pair("default", &ec);
	write_pair("other.example", &rsa);
	/* Nothing was told yet. */
	ck_assert(ask_sign(c, &ec, KEY_ECDSA_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_BAD);
	ck_assert_uint_eq(msg.answer.signature.len, 0);
	ck_assert(ask_cert(c, "mx.nowhere.example", &msg));
	/* Another key; no handshake; a digest. */
	ck_assert(ask_sign(c, &rsa, KEY_RSA_PSS_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_BAD);
	ck_assert(ask_sign(c, &ec, KEY_ECDSA_SHA256, SLICE(R32), &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_BAD);
	ck_assert(ask_sign(c, &ec, KEY_RSA_PKCS1_SHA256, handshake, &msg));
	ck_assert_uint_eq(msg.answer.result, KEY_BAD);
	/* The fifth ends it. */
	ck_assert(!ask_sign(c, &ec, KEY_ECDSA_SHA256, handshake, &msg));
	chan_free(&c);

	c = dial(0, &key_contract);
	for (i = 0; ask_cert(c, "", &msg); i++)
		;
	ck_assert_int_eq(i, KEY_ASKS_MAX);
	chan_free(&c);

	c = dial(0, &key_contract);
	for (i = 0; i < KEY_PUTS_MAX; i++)
		chan_queue(c, KEY_PUT, &put, NULL, 0);
	for (n = 0; n <= KEY_TAKES_MAX; n++) {
		chan_queue(c, KEY_TAKE, &take, NULL, 0);
		if (!answered(c, &msg, sizeof(msg), KEY_TAKEN))
			break;
		ck_assert_uint_eq(msg.taken.session.len, n == 0 ? 1 : 0);
	}
	ck_assert_int_eq(n, KEY_TAKES_MAX);
	chan_free(&c);

	/* Another contract on that socket */
	c = dial(0, &dkim_contract);
	ck_assert(!answered(c, &msg, sizeof(msg), DKIM_FOUND));
	chan_free(&c);
}
END_TEST

/* common/tls/keys.c on the other end. */
static int
open_worker(void *arg)
{
	int *n = arg;

	return (*n)++ == 0 ? -1 : chan_dial(sockets[0]);
}

START_TEST(test_keys)
{
	int opened = 1;
	struct keys_args args = {open_worker, &opened, "smtp",
	    clock_mono_ms() + PATIENCE_MS};
	struct slices known = {NULL, 0};
	unsigned char signature[KEY_SIGNATURE_MAX];
	size_t len = sizeof(signature);
	const struct tls_keys *ops;
	struct key_certs certs;
	struct keys *k;

	write_pair("default", &ec);
	k = keys_new(&args);
	ops = keys_ops(k);
	ck_assert_int_eq(opened, 1); /* nobody has asked anything */
	ck_assert_int_eq(ops->certs(ops->arg, SLICE(""), &known, &certs),
	    KEY_OK);
	ck_assert_int_eq(ops->sign(ops->arg, slice_mem(ec.fingerprint, 32),
	    KEY_ECDSA_SHA256, handshake, signature, &len), KEY_OK);
	ops->put(ops->arg, SLICE("kept"), SLICE("session"));
	ck_assert(slice_eq(ops->take(ops->arg, SLICE("kept")),
	    SLICE("session")));
	ck_assert_uint_eq(ops->take(ops->arg, SLICE("kept")).len, 0);
	keys_free(&k);
	/* No way there */
	opened = -1;
	args.open = open_worker;
	opened = 0;
	k = keys_new(&args);
	ops = keys_ops(k);
	ck_assert_int_eq(ops->certs(ops->arg, SLICE(""), &known, &certs),
	    KEY_TEMP);
	ck_assert_str_eq(certs.why.p, "keyd does not answer");
	keys_free(&k);
}
END_TEST

START_TEST(test_dkim)
{
	struct chan *c = dial(1, &dkim_contract);
	struct dkim_keys q = {.rid = 7, .domain = SLICE("sign.example")};
	struct dkim_sign s = {.rid = 8, .domain = SLICE("sign.example"),
	    .hash = SLICE(R32)};
	const struct dkim_key *keys;
	EVP_PKEY_CTX *p;
	union dkim_msg msg;

	chan_queue(c, DKIM_KEYS, &q, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_FOUND));
	ck_assert_uint_eq(msg.found.result, DKIM_NONE);
	write_pem("sign.example", "b.pem", NULL, &ed);
	write_pem("sign.example", "a.pem", NULL, &rsa);
	write_pem("sign.example", "c.pem", NULL, &ec); /* no DKIM with it */
	write_text("sign.example", "README", "x");
	usleep(5000);
	chan_queue(c, DKIM_KEYS, &q, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_FOUND));
	ck_assert_uint_eq(msg.found.result, DKIM_OK);
	ck_assert_uint_eq(msg.found.rid, 7);
	ck_assert_uint_eq(msg.found.keys.n, 2);
	keys = msg.found.keys.v;
	ck_assert(slice_eq(keys[0].selector, SLICE("a")));
	ck_assert_uint_eq(keys[0].algorithm, DKIM_RSA_SHA256);
	ck_assert_uint_eq(keys[1].algorithm, DKIM_ED25519_SHA256);

	s.selector = SLICE("a");
	chan_queue(c, DKIM_SIGN, &s, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_SIGNED));
	ck_assert_uint_eq(msg.answer.result, DKIM_OK);
	p = EVP_PKEY_CTX_new(rsa.key, NULL);
	EVP_PKEY_verify_init(p);
	EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PADDING);
	EVP_PKEY_CTX_set_signature_md(p, EVP_sha256());
	ck_assert_int_eq(EVP_PKEY_verify(p,
	    (const unsigned char *)msg.answer.signature.p,
	    msg.answer.signature.len, (const unsigned char *)R32, 32), 1);
	EVP_PKEY_CTX_free(p);

	s.selector = SLICE("b");
	chan_queue(c, DKIM_SIGN, &s, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_SIGNED));
	ck_assert(verifies(ed.key, KEY_ED25519_PURE, SLICE(R32),
	    msg.answer.signature));

	/* No such selector; no domain; a hash of another length. */
	s.selector = SLICE("zz");
	chan_queue(c, DKIM_SIGN, &s, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_SIGNED));
	ck_assert_uint_eq(msg.answer.result, DKIM_NONE);
	s.selector = SLICE("a");
	s.domain = SLICE("../sign.example");
	chan_queue(c, DKIM_SIGN, &s, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_SIGNED));
	ck_assert_uint_eq(msg.answer.result, DKIM_NONE);
	s.domain = SLICE("sign.example");
	s.hash = SLICE("short");
	chan_queue(c, DKIM_SIGN, &s, NULL, 0);
	ck_assert(answered(c, &msg, sizeof(msg), DKIM_SIGNED));
	ck_assert_uint_ne(msg.answer.result, DKIM_OK);
	chan_free(&c);
}
END_TEST

START_TEST(test_list)
{
	struct chan *c = dial(2, &keylist_contract);
	struct keylist_more more = {0};
	const struct keylist_row *rows;
	union keylist_msg msg;
	size_t good = 0, bad = 0, parts = 0;
	char name[40];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "l%02d.example", i);
		write_pair(name, &ec);
	}
	write_pem("l05.example", "key.pem", NULL, &rsa);
	chan_free(&c);
	c = dial(2, &keylist_contract);
	do {
		chan_queue(c, KEYLIST_MORE, &more, NULL, 0);
		ck_assert(answered(c, &msg, sizeof(msg), KEYLIST_PART));
		rows = msg.part.rows.v;
		parts++;
		for (size_t i = 0; i < msg.part.rows.n; i++) {
			if (!slice_prefix(rows[i].folder, SLICE("l")))
				continue;
			if (rows[i].why.len > 0) {
				bad++;
				ck_assert(slice_eq(rows[i].folder,
				    SLICE("l05.example")));
			} else {
				good++;
				ck_assert_uint_gt(rows[i].not_after,
				    (uint64_t)clock_real_ms() / 1000);
			}
		}
	} while (msg.part.rows.n > 0);
	ck_assert_uint_eq(good, 39);
	ck_assert_uint_eq(bad, 1);
	ck_assert_uint_gt(parts, 3);
	chan_free(&c);
}
END_TEST

Suite *
keyd_suite(void)
{
	Suite *s = suite_create("keyd");
	TCase *t = tcase_create("files");
	TCase *w = tcase_create("worker");

	tcase_add_unchecked_fixture(t, make_all, free_all);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, test_contracts, 0, 3);
	tcase_add_loop_test(t, test_content, 0, COUNT(content_cases));
	tcase_add_test(t, test_names);
	tcase_add_test(t, test_find);
	tcase_add_test(t, test_kinds);
	tcase_add_test(t, test_renewal);
	tcase_add_loop_test(t, test_broken, 0, COUNT(broken_cases));
	tcase_add_test(t, test_bounded);
	tcase_add_loop_test(t, test_sign, 0, COUNT(sign_cases));
	tcase_add_test(t, test_cache);
	suite_add_tcase(s, t);
	tcase_add_unchecked_fixture(w, worker_begin, worker_end);
	tcase_set_timeout(w, 60);
	tcase_add_test(w, test_session);
	tcase_add_test(w, test_renewed_between);
	tcase_add_test(w, test_hostile);
	tcase_add_test(w, test_keys);
	tcase_add_test(w, test_dkim);
	tcase_add_test(w, test_list);
	suite_add_tcase(s, w);
	return s;
}
