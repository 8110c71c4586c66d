/*
 * Fuzz entry of common/mail/dkim_*: the input is a message (and, as its own
 * key record, hostile DNS); pieces make no difference, canonical bodies are
 * canonical, and what we sign covers the message as a verifier reads it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/mail/dkim_sign.h"
#include "common/mail/dkim_verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)64 * 1024 * 1024)

static void
keep(void *arg, const char *p, size_t n)
{
	buf_add(arg, p, n);
}

static struct buf
canonical(struct slice in, enum dkim_canon canon, size_t step)
{
	struct buf out = BUF_INIT(MOST);
	struct dkim_body b = {.canon = canon, .out = keep, .arg = &out};

	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);

		dkim_body_feed(&b, piece.p, piece.len);
	}
	dkim_body_end(&b);
	return out;
}

static void
check_body(struct slice in, enum dkim_canon canon, size_t step)
{
	struct buf whole = canonical(in, canon, in.len + 1);
	struct buf pieces = canonical(in, canon, step);
	struct buf again = canonical(buf_slice(&whole), canon, step);

	if (!slice_eq(buf_slice(&whole), buf_slice(&pieces)) ||
	    !slice_eq(buf_slice(&whole), buf_slice(&again)))
		abort();
	buf_free(&whole);
	buf_free(&pieces);
	buf_free(&again);
}

static enum dkim_find
find(void *arg, struct slice name, struct slices *out)
{
	struct slice *record = arg;

	(void)name;
	*out = (struct slices){record, 1};
	return DKIM_FIND_OK;
}

static void
verify(struct slice in, size_t step, struct buf *out)
{
	struct dkim_verifier *v = dkim_verifier_new(1);
	const struct dkim_result *r;
	size_t n;

	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);

		dkim_verifier_feed(v, piece.p, piece.len);
	}
	n = dkim_verifier_end(v, find, &in, &r);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s %s\n", dkim_verdict_name(r[i].verdict),
		    r[i].why);
	dkim_verifier_free(&v);
}

static void
sign(struct slice in, size_t step, struct buf *field)
{
	static const char *const words[] = {"From+", "To+", "Subject", "a"};
	struct dkim_signature sig = {.kind = CRYPTO_ED25519,
	    .domain = SLICE("b.example"), .selector = SLICE("s"),
	    .identity = SLICE_EMPTY};
	unsigned char sum[CRYPTO_SHA256_LEN];
	struct buf address = BUF_INIT(1024), domain = BUF_INIT(1024);
	struct dkim_signer *s;
	struct dkim_names names;
	const char *why;

	if (!dkim_names_read(words, 4, &names, &why))
		abort();
	s = dkim_signer_new(&names, DKIM_RELAXED, DKIM_RELAXED);
	for (size_t at = 0; at < in.len; at += step) {
		struct slice piece = slice_sub(in, at, at + step);

		dkim_signer_feed(s, piece.p, piece.len);
	}
	dkim_signer_end(s);
	(void)dkim_signer_author(s, &address, &domain, &why);
	if (dkim_signer_field(s, &sig, field, sum, &why))
		dkim_signature_add(slice_mem(sum, sizeof(sum)), field);
	dkim_signer_free(&s);
	dkim_names_free(&names);
	buf_free(&address);
	buf_free(&domain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	size_t step = size > 0 ? data[0] % 29 + 1 : 1;
	struct buf a = BUF_INIT(MOST), b = BUF_INIT(MOST);
	struct dkim_record record;
	const char *why;

	check_body(in, DKIM_SIMPLE, step);
	check_body(in, DKIM_RELAXED, step);
	verify(in, step, &a);
	verify(in, in.len + 1, &b);
	if (!slice_eq(buf_slice(&a), buf_slice(&b)))
		abort();
	buf_reset(&a);
	buf_reset(&b);
	sign(in, step, &a);
	sign(in, in.len + 1, &b);
	if (!slice_eq(buf_slice(&a), buf_slice(&b)))
		abort();
	if (dkim_record_read(in, &record, &why))
		dkim_record_free(&record);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
