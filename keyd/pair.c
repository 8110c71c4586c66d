/*
 * Private keys and their certificates: read from PEM files and checked.  Runs
 * in keyd's workers; the files are the admin's (or his ACME client's), perhaps
 * half replaced.  Buffers that held a key are wiped.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "keyd/pair_int.h"

#define FILE_MAX (256 * 1024)
#define CERTIFICATES_MAX 12
#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 8192

/* ---- start ---- */

/* Everything that is touched from now on stays out of the swap.  With a limit
 * that could be reached it is left alone: memory would end all of a sudden. */
static bool
lock_memory(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	    limit.rlim_cur == RLIM_INFINITY &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

bool
pair_start(void)
{
	EVP_PKEY *key;

	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG |
	    OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	/* The generator of random numbers, and what goes with keys. */
	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_PKEY_free(key);
	ERR_clear_error();
	return lock_memory();
}

/* ---- files ---- */

struct pair_mark
pair_mark_of(const struct stat *st)
{
	return (struct pair_mark){
	    .device = st->st_dev,
	    .inode = st->st_ino,
	    .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
	        st->st_mtim.tv_nsec,
	    .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 +
	        st->st_ctim.tv_nsec,
	    .size = st->st_size,
	};
}

bool
pair_mark_eq(const struct pair_mark *a, const struct pair_mark *b)
{
	return a->device == b->device && a->inode == b->inode &&
	    a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
	    a->size == b->size;
}

static enum pair_result bad(char why[PAIR_WHY_SIZE], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static enum pair_result
bad(char why[PAIR_WHY_SIZE], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, PAIR_WHY_SIZE, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return PAIR_BAD;
}

/* The whole of fd; its size is known from *st. */
static bool
read_all(int fd, const struct stat *st, struct buf *out)
{
	size_t left = (size_t)st->st_size + 1; /* one more: it may grow */
	char *p = buf_room(out, left);
	ssize_t n;

	while (p != NULL && left > 0) {
		n = read(fd, p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			return true;
		buf_wrote(out, (size_t)n);
		p += n;
		left -= (size_t)n;
	}
	errno = EAGAIN; /* it is being written */
	return false;
}

/* A file's octets; out must be wiped in any case. */
static enum pair_result
read_file(int dirfd, const char *name, struct pair_mark *mark,
    struct buf *out, char why[PAIR_WHY_SIZE])
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum pair_result result = PAIR_OK;
	struct stat st;

	*mark = (struct pair_mark){0};
	if (fd < 0) {
		if (errno == ENOENT)
			return PAIR_ABSENT;
		/* The mark of what is there: it is read again when it is
		 * another one. */
		if (fstatat(dirfd, name, &st, 0) == 0)
			*mark = pair_mark_of(&st);
		else
			errno = EACCES;
		return bad(why, "%s: cannot be read: %s; chown it to "
		    "postern-key", name, strerror(errno));
	}
	if (fstat(fd, &st) != 0) {
		result = bad(why, "%s: %s", name, strerror(errno));
	} else {
		*mark = pair_mark_of(&st);
		if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
			result = bad(why, "%s: is no file of a sensible size",
			    name);
		else if (!read_all(fd, &st, out))
			result = bad(why, "%s: %s", name, strerror(errno));
	}
	close(fd);
	return result;
}

/* ---- keys ---- */

/* Nobody is there to type one. */
static int
no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool
algorithm_of(const EVP_PKEY *key, enum key_algorithm *out)
{
	static const struct {
		const char *name;
		enum key_algorithm algorithm;
	} rows[] = {{"RSA", KEY_RSA}, {"EC", KEY_EC}, {"ED25519", KEY_ED25519}};
	char group[32] = "";
	int bits = EVP_PKEY_get_bits(key);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (EVP_PKEY_is_a(key, rows[i].name)) {
			*out = rows[i].algorithm;
			if (*out == KEY_RSA)
				return bits >= RSA_BITS_MIN &&
				    bits <= RSA_BITS_MAX;
			/* RFC 8446 4.2.3: curves that TLS has a scheme for */
			return *out != KEY_EC ||
			    (EVP_PKEY_get_group_name(key, group, sizeof(group),
			    NULL) == 1 && (strcmp(group, "prime256v1") == 0 ||
			    strcmp(group, "secp384r1") == 0));
		}
	return false;
}

static enum pair_result
read_key(struct pair *p, int dirfd, const char *name, struct pair_mark *mark,
    char why[PAIR_WHY_SIZE])
{
	struct buf text = BUF_INIT(FILE_MAX + 1);
	enum pair_result result = read_file(dirfd, name, mark, &text, why);
	BIO *bio;

	if (result != PAIR_OK) {
		buf_wipe(&text);
		return result;
	}
	bio = BIO_new_mem_buf(text.s, (int)text.len);
	if (bio != NULL)
		p->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	buf_wipe(&text);
	if (p->key == NULL)
		return bad(why, "%s: holds no private key in PEM without a "
		    "password", name);
	if (!algorithm_of(p->key, &p->algorithm))
		return bad(why, "%s: the key is neither RSA (1024 to 8192 "
		    "bits), ECDSA with P-256 or P-384, nor Ed25519", name);
	ERR_clear_error();
	return PAIR_OK;
}

/* ---- certificates ---- */

static bool
seconds_of(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(t, &tm))
		return false;
	*out = timegm(&tm);
	return true;
}

static bool
add_der(struct buf *chain, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	if (n > 0)
		buf_add(chain, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !chain->overflow;
}

/* The first certificate is the server's own. */
static X509 *
read_chain(struct pair *p, const struct buf *text)
{
	BIO *bio = BIO_new_mem_buf(text->s, (int)text->len);
	X509 *leaf = NULL, *x;
	bool good = bio != NULL;
	int n;

	for (n = 0; good; n++) {
		x = PEM_read_bio_X509(bio, NULL, no_password, NULL);
		if (x == NULL)
			break;
		good = n < CERTIFICATES_MAX && add_der(&p->chain, x);
		if (leaf == NULL)
			leaf = x;
		else
			X509_free(x);
	}
	BIO_free(bio);
	if (good)
		return leaf;
	X509_free(leaf);
	return NULL;
}

static enum pair_result
read_certificate(struct pair *p, int dirfd, const char *name,
    struct pair_mark *mark, X509 **leaf, char why[PAIR_WHY_SIZE])
{
	struct buf text = BUF_INIT(FILE_MAX + 1);
	enum pair_result result = read_file(dirfd, name, mark, &text, why);
	unsigned int n = 0;

	if (result == PAIR_OK)
		*leaf = read_chain(p, &text);
	buf_free(&text);
	if (result != PAIR_OK)
		return result;
	if (*leaf == NULL)
		return bad(why, "%s: holds no certificates in PEM, or more "
		    "than %d octets of them", name, KEY_CHAIN_MAX);
	if (!X509_digest(*leaf, EVP_sha256(), p->fingerprint, &n) ||
	    !seconds_of(X509_get0_notBefore(*leaf), &p->not_before) ||
	    !seconds_of(X509_get0_notAfter(*leaf), &p->not_after))
		return bad(why, "%s: the certificate has no dates", name);
	return PAIR_OK;
}

/* ---- pairs ---- */

static struct pair *
pair_new(void)
{
	struct pair *p = mem_alloc(sizeof(*p));

	p->refs = 1;
	buf_init(&p->chain, KEY_CHAIN_MAX);
	return p;
}

enum pair_result
pair_load(int dirfd, const char *cert, const char *key,
    struct pair_mark marks[2], struct pair **out, char why[PAIR_WHY_SIZE])
{
	struct pair *p = pair_new();
	enum pair_result result, other;
	X509 *leaf = NULL;

	why[0] = '\0';
	result = read_certificate(p, dirfd, cert, &marks[0], &leaf, why);
	if (result == PAIR_BAD) {
		/* Its mark is needed all the same. */
		char unused[PAIR_WHY_SIZE];

		(void)read_key(p, dirfd, key, &marks[1], unused);
	} else {
		other = read_key(p, dirfd, key, &marks[1], why);
		if (other == PAIR_BAD)
			result = PAIR_BAD;
		else if (other != result)
			result = bad(why, "%s: is missing", result == PAIR_OK
			    ? key : cert);
	}
	if (result == PAIR_OK && X509_check_private_key(leaf, p->key) != 1)
		result = bad(why, "%s: is not the key of %s; put both of one "
		    "pair there", key, cert);
	ERR_clear_error();
	X509_free(leaf);
	if (result == PAIR_OK)
		*out = p;
	else
		pair_unref(&p);
	return result;
}

enum pair_result
pair_load_key(int dirfd, const char *key, struct pair_mark *mark,
    struct pair **out, char why[PAIR_WHY_SIZE])
{
	struct pair *p = pair_new();
	enum pair_result result = read_key(p, dirfd, key, mark, why);

	if (result == PAIR_OK && p->algorithm == KEY_EC)
		result = bad(why, "%s: DKIM has RSA and Ed25519 only", key);
	if (result == PAIR_OK)
		*out = p;
	else
		pair_unref(&p);
	return result;
}

struct pair *
pair_ref(struct pair *p)
{
	p->refs++;
	return p;
}

void
pair_unref(struct pair **pp)
{
	struct pair *p = *pp;

	*pp = NULL;
	if (p == NULL || --p->refs > 0)
		return;
	EVP_PKEY_free(p->key); /* which clears what is secret */
	buf_free(&p->chain);
	free(p);
}

enum key_algorithm
pair_algorithm(const struct pair *p)
{
	return p->algorithm;
}

struct slice
pair_chain(const struct pair *p)
{
	return buf_slice(&p->chain);
}

struct slice
pair_fingerprint(const struct pair *p)
{
	return slice_mem(p->fingerprint, sizeof(p->fingerprint));
}

int64_t
pair_not_before(const struct pair *p)
{
	return p->not_before;
}

int64_t
pair_not_after(const struct pair *p)
{
	return p->not_after;
}
