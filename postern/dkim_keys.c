/*
 * Keys for DKIM as files and as DNS records.  Run by root, or whoever owns the
 * whole suite.  The private half is read to derive the public one and wiped.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/mail/dkim_verify.h"
#include "common/mime/base64.h"
#include "postern/dkim_keys.h"

#define SUFFIX ".pem"
#define RECORD_MAX 8192u
#define PATH_SIZE 4096

/* ---- one key ---- */

static bool
read_pem(const char *path, struct buf *pem, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;
	char *p;

	if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		snprintf(why, size, "it is no regular file");
		close(fd);
		return false;
	}
	if (fd >= 0) {
		p = buf_room(pem, CRYPTO_PEM_MAX);
		n = read(fd, p, CRYPTO_PEM_MAX);
		if (n > 0)
			buf_wrote(pem, (size_t)n);
	}
	if (n < 0)
		snprintf(why, size, "cannot be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return n >= 0;
}

static void
make_record(struct dkim_public *p)
{
	struct base64_encoder e = {.lines = false};

	buf_printf(&p->record, "v=DKIM1; k=%s; p=", p->kind == CRYPTO_RSA
	    ? "rsa" : "ed25519");
	base64_encode(&e, buf_slice(&p->key), &p->record);
	base64_encode_end(&e, &p->record);
}

static void
add(struct dkim_publics *out, const char *dir, const char *domain,
    const char *selector)
{
	struct dkim_public p = {.domain = mem_dup(domain),
	    .selector = mem_dup(selector), .kind = CRYPTO_RSA,
	    .key = BUF_INIT(RECORD_MAX), .name = BUF_INIT(1024),
	    .record = BUF_INIT(2 * RECORD_MAX)};
	struct buf pem = BUF_INIT(CRYPTO_PEM_MAX);
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/%s/%s" SUFFIX, dir, domain, selector);
	p.file = mem_dup(path);
	buf_printf(&p.name, "%s._domainkey.%s", selector, domain);
	if (!read_pem(path, &pem, p.why, sizeof(p.why)))
		;
	else if (crypto_key_public(buf_slice(&pem), &p.kind, &p.bits, &p.key))
		make_record(&p);
	else
		snprintf(p.why, sizeof(p.why), "it is no private key for RSA "
		    "or Ed25519 in PEM");
	buf_wipe(&pem);
	MEM_PUSH(out->v, out->n, out->cap, p);
}

/* ---- directories ---- */

static bool
name_ok(const char *name)
{
	return name[0] != '.' && strchr(name, '/') == NULL;
}

static int
read_domain(const char *dir, const char *domain, const char *selector,
    struct dkim_publics *out)
{
	char path[PATH_SIZE], name[256];
	struct dirent *e;
	size_t len;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, domain);
	d = opendir(path);
	if (d == NULL)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	while ((e = readdir(d)) != NULL) {
		len = strlen(e->d_name);
		if (!name_ok(e->d_name) || len <= strlen(SUFFIX) ||
		    strcmp(e->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s",
		    (int)(len - strlen(SUFFIX)), e->d_name);
		if (selector == NULL || strcmp(name, selector) == 0)
			add(out, dir, domain, name);
	}
	closedir(d);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct dkim_public *x = a, *y = b;
	int order = strcmp(x->domain, y->domain);

	return order != 0 ? order : strcmp(x->selector, y->selector);
}

int
dkim_publics_read(const char *dir, const char *domain, const char *selector,
    struct dkim_publics *out)
{
	struct dkim_publics p = {.n = 0};
	struct dirent *e;
	DIR *d;
	int result = 0;

	if (domain != NULL) {
		result = read_domain(dir, domain, selector, &p);
	} else {
		d = opendir(dir);
		if (d == NULL)
			return -1;
		while (result == 0 && (e = readdir(d)) != NULL)
			if (name_ok(e->d_name))
				result = read_domain(dir, e->d_name, NULL,
				    &p);
		closedir(d);
	}
	if (result != 0) {
		dkim_publics_free(&p);
		return -1;
	}
	if (p.n > 1)
		qsort(p.v, p.n, sizeof(*p.v), compare);
	*out = p;
	return 0;
}

void
dkim_publics_free(struct dkim_publics *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].domain);
		free(p->v[i].selector);
		free(p->v[i].file);
		buf_free(&p->v[i].key);
		buf_free(&p->v[i].name);
		buf_free(&p->v[i].record);
	}
	free(p->v);
	*p = (struct dkim_publics){.n = 0};
}

/* ---- DNS ---- */

/* Is this record the key's?  *why: why not. */
static bool
is_record_of(const struct dkim_public *p, struct slice text, const char **why)
{
	struct dkim_record r;
	bool same;

	if (!dkim_record_read(text, &r, why))
		return false;
	same = r.kind == p->kind &&
	    slice_eq(buf_slice(&r.key), buf_slice(&p->key));
	if (r.key.len == 0)
		*why = "the record revokes the key (p= is empty)";
	else if (!same)
		*why = "the record has another key";
	else if (!r.sha256 || !r.email) {
		*why = "the record's h= or s= excludes SHA-256 or mail";
		same = false;
	} else if (r.testing)
		*why = "the record says t=y: receivers treat the mail as "
		    "unsigned";
	dkim_record_free(&r);
	return same;
}

enum dkim_published
dkim_published(const struct dkim_public *p, const struct dns_answer *a,
    const char **why)
{
	const struct dns_record *v = a->records.v;

	*why = "";
	switch ((enum dns_result)a->result) {
	case DNS_OK:
		break;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		*why = "no such TXT record";
		return DKIM_UNPUBLISHED;
	case DNS_TEMP:
		*why = "no answer from DNS";
		return DKIM_UNKNOWN;
	case DNS_BOGUS:
		*why = "the answer does not validate (DNSSEC)";
		return DKIM_UNKNOWN;
	}
	if (a->records.n > 1) {
		/* RFC 6376 3.6.2.2 */
		*why = "there are several TXT records: receivers may take any";
		return DKIM_PUBLISHED_OTHER;
	}
	return is_record_of(p, v[0].data, why) ? DKIM_PUBLISHED
	    : DKIM_PUBLISHED_OTHER;
}
