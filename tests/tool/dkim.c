/*
 * DKIM on messages, for tests in other languages and for measuring:
 *
 *	test-dkim sign SIMPLE/RELAXED STEP NAMES DOMAIN [SELECTOR FILE.pem] ...
 *		message on stdin; it comes out with a signature for each key.
 *		NAMES: like "From+,To", or "-".  TIME and EXPIRES (environment)
 *	test-dkim verify STEP KEYS [NOW]
 *		message on stdin; a line for each signature.  KEYS: a file of
 *		lines "name record"
 *	test-dkim body SIMPLE|RELAXED STEP
 *		the body on stdin in its canonical form
 *	test-dkim speed COUNT FILE.pem
 *		signs the message on stdin COUNT times
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/num.h"
#include "common/mail/dkim_sign.h"
#include "common/mail/dkim_verify.h"
#include "tests/tool/dkim_key.h"

#define MOST ((size_t)256 * 1024 * 1024)

static struct buf
slurp(FILE *f)
{
	struct buf b = BUF_INIT(MOST);
	char piece[65536];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&b, piece, n);
	return b;
}

static struct buf
slurp_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct buf b;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	b = slurp(f);
	fclose(f);
	return b;
}

static uint64_t
number(const char *text)
{
	uint64_t n = 0;

	if (text != NULL && !num_u64(slice_of(text), 0, UINT64_MAX, &n))
		exit(100);
	return n;
}

static enum dkim_canon
canon_of(struct slice s)
{
	return slice_ieq(s, SLICE("relaxed")) ? DKIM_RELAXED : DKIM_SIMPLE;
}

static void
each(struct slice in, size_t step, void (*fn)(void *, const char *, size_t),
    void *arg)
{
	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);
		char *own = malloc(piece.len); /* for sanitizers */

		if (own == NULL)
			abort();
		memcpy(own, piece.p, piece.len);
		fn(arg, own, piece.len);
		free(own);
	}
}

static void
feed_signer(void *arg, const char *p, size_t n)
{
	dkim_signer_feed(arg, p, n);
}

static void
feed_verifier(void *arg, const char *p, size_t n)
{
	dkim_verifier_feed(arg, p, n);
}

static void
feed_body(void *arg, const char *p, size_t n)
{
	dkim_body_feed(arg, p, n);
}

static void
print(void *arg, const char *p, size_t n)
{
	(void)arg;
	fwrite(p, 1, n, stdout);
}

static void
one_signature(struct dkim_signer *s, const char *domain, const char *selector,
    struct slice pem, struct buf *out)
{
	struct dkim_signature sig = {.domain = slice_of(domain),
	    .selector = slice_of(selector), .identity = SLICE_EMPTY,
	    .time = (int64_t)number(getenv("TIME")),
	    .expires = (int64_t)number(getenv("EXPIRES"))};
	struct buf key = BUF_INIT(4096), signature = BUF_INIT(1024);
	unsigned char sum[CRYPTO_SHA256_LEN];
	const char *why = "no key";
	unsigned bits;

	if (getenv("IDENTITY") != NULL)
		sig.identity = slice_of(getenv("IDENTITY"));
	if (!crypto_key_public(pem, &sig.kind, &bits, &key) ||
	    !dkim_signer_field(s, &sig, out, sum, &why) ||
	    !dkim_key_sign(pem, slice_mem(sum, sizeof(sum)), &signature)) {
		fprintf(stderr, "%s: %s\n", selector, why);
		exit(1);
	}
	dkim_signature_add(buf_slice(&signature), out);
	buf_free(&key);
	buf_free(&signature);
}

static int
do_sign(int argc, char *argv[])
{
	struct slice canons = slice_of(argv[0]), names = slice_of(argv[2]);
	size_t slash = slice_find(canons, '/', 0), n = 0;
	struct buf in = slurp(stdin), out = BUF_INIT(MOST);
	char *words[DKIM_NAMES_MAX];
	struct dkim_signer *s;
	struct dkim_names list;
	struct slice word;
	const char *bad;

	while (strcmp(argv[2], "-") != 0 && slice_cut(&names, ',', &word))
		words[n++] = slice_dup(word);
	if (!dkim_names_read((const char *const *)words, n, &list, &bad)) {
		fprintf(stderr, "%s: no name\n", bad);
		return 1;
	}
	s = dkim_signer_new(&list, canon_of(slice_sub(canons, 0, slash)),
	    canon_of(slice_sub(canons, slash + 1, canons.len)));
	each(buf_slice(&in), (size_t)number(argv[1]), feed_signer, s);
	dkim_signer_end(s);
	for (int i = 4; i + 1 < argc; i += 2) {
		struct buf pem = slurp_file(argv[i + 1]);

		one_signature(s, argv[3], argv[i], buf_slice(&pem), &out);
		buf_free(&pem);
	}
	buf_addslice(&out, buf_slice(&in));
	print(NULL, out.s, out.len);
	dkim_signer_free(&s);
	dkim_names_free(&list);
	while (n > 0)
		free(words[--n]);
	buf_free(&in);
	buf_free(&out);
	return 0;
}

struct keys {
	struct buf text;
	struct slice records[16];
};

static enum dkim_find
find(void *arg, struct slice name, struct slices *out)
{
	struct keys *k = arg;
	struct slice rest = buf_slice(&k->text), line;
	size_t space;

	*out = (struct slices){k->records, 0};
	while (slice_cut(&rest, '\n', &line)) {
		space = slice_find(line, ' ', 0);
		if (!slice_ieq(slice_sub(line, 0, space), name))
			continue;
		if (slice_eq(slice_sub(line, space, line.len),
		    SLICE(" TEMP")))
			return DKIM_FIND_TEMP;
		if (out->n < 16)
			k->records[out->n++] = slice_sub(line, space + 1,
			    line.len);
	}
	return out->n > 0 ? DKIM_FIND_OK : DKIM_FIND_NONE;
}

static int
do_verify(int argc, char *argv[])
{
	struct keys keys = {.text = slurp_file(argv[1])};
	struct buf in = slurp(stdin);
	struct dkim_verifier *v = dkim_verifier_new(argc > 2
	    ? (int64_t)number(argv[2]) : 0);
	const struct dkim_result *r;
	size_t n;

	each(buf_slice(&in), (size_t)number(argv[0]), feed_verifier, v);
	n = dkim_verifier_end(v, find, &keys, &r);
	for (size_t i = 0; i < n; i++)
		printf("%s d=%.*s s=%.*s a=%.*s bits=%u%s%s %s\n",
		    dkim_verdict_name(r[i].verdict), SLICE_FMT(r[i].domain),
		    SLICE_FMT(r[i].selector), SLICE_FMT(r[i].algorithm),
		    r[i].bits, r[i].testing ? " testing" : "",
		    r[i].part ? " part" : "", r[i].why);
	dkim_verifier_free(&v);
	buf_free(&in);
	buf_free(&keys.text);
	return 0;
}

static int
do_body(char *argv[])
{
	struct dkim_body b = {.canon = canon_of(slice_of(argv[0])),
	    .out = print};
	struct buf in = slurp(stdin);

	each(buf_slice(&in), (size_t)number(argv[1]), feed_body, &b);
	dkim_body_end(&b);
	buf_free(&in);
	return 0;
}

static int
do_speed(char *argv[])
{
	static const char *const words[] = {"From+", "To+", "Subject+",
	    "Date+", "Message-ID", "MIME-Version", "Content-Type"};
	struct buf in = slurp(stdin), pem = BUF_INIT(1), out = BUF_INIT(MOST);
	uint64_t count = number(argv[0]);
	int64_t began = clock_mono_us(), took;
	struct dkim_names list;
	const char *bad;

	if (strcmp(argv[1], "-") != 0)
		pem = slurp_file(argv[1]);
	if (!dkim_names_read(words, 7, &list, &bad))
		return 1;
	for (uint64_t i = 0; i < count; i++) {
		struct dkim_signer *s = dkim_signer_new(&list, DKIM_RELAXED,
		    DKIM_RELAXED);

		dkim_signer_feed(s, in.s, in.len);
		dkim_signer_end(s);
		buf_reset(&out);
		if (pem.len > 0)
			one_signature(s, "example.org", "s", buf_slice(&pem),
			    &out);
		dkim_signer_free(&s);
	}
	took = clock_mono_us() - began;
	printf("%.2f us a message, %.0f MB/s\n", (double)took / (double)count,
	    (double)in.len * (double)count / (double)took);
	dkim_names_free(&list);
	buf_free(&in);
	buf_free(&pem);
	buf_free(&out);
	return 0;
}

int
main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "sign") == 0 && argc >= 6)
		return do_sign(argc - 2, argv + 2);
	if (strcmp(what, "verify") == 0 && argc >= 4)
		return do_verify(argc - 2, argv + 2);
	if (strcmp(what, "body") == 0 && argc == 4)
		return do_body(argv + 2);
	if (strcmp(what, "speed") == 0 && argc == 4)
		return do_speed(argv + 2);
	fprintf(stderr, "usage: test-dkim sign|verify|body|speed ...\n");
	return 100;
}
