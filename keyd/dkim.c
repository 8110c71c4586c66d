/*
 * The contract "dkim" in a worker: keys of DKIM, below dkim_dir as
 * DOMAIN/SELECTOR.pem, and signatures with them for remote.  Another directory,
 * another socket and another user than those of TLS: nothing that talks to
 * clients of the network comes here.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/dkim.h"
#include "keyd/counters.h"
#include "keyd/keyd.h"
#include "keyd/pair.h"
#include "keyd/store.h"

#define SIGNERS_MAX 2000
#define SUFFIX ".pem"
#define FILE_NAME_MAX (DKIM_SELECTOR_MAX + sizeof(SUFFIX))

struct selector {
	char name[DKIM_SELECTOR_MAX + 1];
	struct pair_mark mark;
	struct pair *pair; /* the last good key, or NULL */
};

struct domain {
	char name[DKIM_DOMAIN_MAX + 1];
	int64_t checked_ms, used_ms;
	struct selector v[DKIM_SELECTORS_MAX]; /* sorted */
	size_t n;
};

/* Domains that were signed for last; the one unused for longest leaves. */
struct dkim_store {
	struct domain **v;
	size_t n, max;
};

/* ---- files ---- */

/* A label, perhaps several (RFC 6376 3.1); false: no selector's file. */
static bool
selector_of(const char *file, char out[DKIM_SELECTOR_MAX + 1])
{
	size_t len = strlen(file), end = sizeof(SUFFIX) - 1;

	if (len <= end || len - end > DKIM_SELECTOR_MAX ||
	    strcmp(file + len - end, SUFFIX) != 0)
		return false;
	len -= end;
	if (file[0] == '*' || !store_name_valid(slice_mem(file, len)))
		return false;
	memcpy(out, file, len);
	out[len] = '\0';
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct selector *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The selectors that are there now, without their keys. */
static size_t
read_names(int dirfd, struct selector out[DKIM_SELECTORS_MAX])
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	size_t n = 0;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (n < DKIM_SELECTORS_MAX && (e = readdir(d)) != NULL) {
		memset(&out[n], 0, sizeof(out[n]));
		if (selector_of(e->d_name, out[n].name))
			n++;
	}
	closedir(d);
	qsort(out, n, sizeof(*out), compare);
	return n;
}

static void
load(const struct domain *d, struct selector *s, int dirfd)
{
	char file[FILE_NAME_MAX], why[PAIR_WHY_SIZE] = "";
	struct pair_mark mark = {0};
	struct pair *p = NULL;
	struct stat st;

	snprintf(file, sizeof(file), "%s" SUFFIX, s->name);
	if (fstatat(dirfd, file, &st, 0) == 0)
		mark = pair_mark_of(&st);
	if (pair_mark_eq(&mark, &s->mark))
		return;
	switch (pair_load_key(dirfd, file, &s->mark, &p, why)) {
	case PAIR_OK:
		pair_unref(&s->pair);
		s->pair = p;
		stats_add(COUNT_LOADED, 1);
		break;
	case PAIR_ABSENT:
		pair_unref(&s->pair);
		break;
	case PAIR_BAD:
		stats_add(COUNT_BAD_FILES, 1);
		LOG_WARN("dkim-key-unusable", LS("domain", d->name),
		    LS("why", why), LS("served", s->pair != NULL
		    ? "the one before" : "none"));
		break;
	}
}

/* The selectors of before keep their keys and marks. */
static void
refresh(struct domain *d, int dirfd)
{
	struct selector now[DKIM_SELECTORS_MAX];
	size_t i, k, n = read_names(dirfd, now);

	for (i = 0; i < n; i++)
		for (k = 0; k < d->n; k++)
			if (strcmp(now[i].name, d->v[k].name) == 0) {
				now[i] = d->v[k];
				d->v[k].pair = NULL;
			}
	for (k = 0; k < d->n; k++)
		pair_unref(&d->v[k].pair);
	memcpy(d->v, now, n * sizeof(now[0]));
	d->n = n;
	for (i = 0; i < d->n; i++)
		load(d, &d->v[i], dirfd);
}

/* ---- domains ---- */

static void
forget(struct dkim_store *s, size_t i)
{
	struct domain *d = s->v[i];

	for (size_t k = 0; k < d->n; k++)
		pair_unref(&d->v[k].pair);
	free(d);
	s->v[i] = s->v[--s->n];
}

static size_t
held(const struct dkim_store *s, struct slice name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (slice_eq(name, slice_of(s->v[i]->name)))
			break;
	return i;
}

static size_t
add(struct dkim_store *s, struct slice name)
{
	size_t oldest = 0;

	if (s->n == s->max) {
		for (size_t i = 1; i < s->n; i++)
			if (s->v[i]->used_ms < s->v[oldest]->used_ms)
				oldest = i;
		forget(s, oldest);
	}
	s->v[s->n] = mem_alloc(sizeof(struct domain));
	memcpy(s->v[s->n]->name, name.p, name.len);
	return s->n++;
}

/* The domain as it is now, or NULL: *result. */
static struct domain *
find(struct worker *w, struct slice name, enum dkim_result *result)
{
	struct dkim_store *s = w->dkim;
	int64_t now = loop_now(w->loop);
	size_t i = held(s, name);
	char path[DKIM_DOMAIN_MAX + 1];
	int fd;

	*result = DKIM_NONE;
	if (i < s->n && now - s->v[i]->checked_ms <
	    (int64_t)w->k->conf.tls_check_ms) {
		s->v[i]->used_ms = now;
		return s->v[i];
	}
	if (!store_name_valid(name) || name.p[0] == '*' ||
	    name.len > DKIM_DOMAIN_MAX)
		return NULL;
	memcpy(path, name.p, name.len);
	path[name.len] = '\0';
	fd = openat(w->k->dkim_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			*result = DKIM_TEMP;
		else if (i < s->n)
			forget(s, i);
		return NULL;
	}
	if (i == s->n)
		i = add(s, name);
	refresh(s->v[i], fd);
	close(fd);
	s->v[i]->checked_ms = s->v[i]->used_ms = now;
	return s->v[i];
}

/* ---- answers ---- */

static uint32_t
algorithm_of(const struct pair *p)
{
	return pair_algorithm(p) == KEY_RSA ? DKIM_RSA_SHA256
	    : DKIM_ED25519_SHA256;
}

static void
on_keys(struct worker *w, struct chan_peer *peer, const struct dkim_keys *q)
{
	struct dkim_found a = {.rid = q->rid, .why = SLICE_EMPTY};
	struct dkim_key keys[DKIM_SELECTORS_MAX];
	enum dkim_result result;
	struct domain *d = find(w, q->domain, &result);
	size_t n = 0, broken = 0;

	for (size_t i = 0; d != NULL && i < d->n; i++)
		if (d->v[i].pair != NULL)
			keys[n++] = (struct dkim_key){slice_of(d->v[i].name),
			    algorithm_of(d->v[i].pair)};
		else
			broken++;
	a.result = n > 0 ? DKIM_OK : broken > 0 ? DKIM_TEMP : result;
	if (a.result == DKIM_TEMP)
		a.why = SLICE("the keys cannot be read: see keyd's log");
	a.keys = (struct chan_list){keys, n};
	chan_peer_send(peer, DKIM_FOUND, &a);
}

static void
on_sign(struct worker *w, struct chan_peer *peer, const struct dkim_sign *q)
{
	unsigned char signature[DKIM_SIGNATURE_MAX];
	size_t len = sizeof(signature);
	struct dkim_signed a = {.rid = q->rid, .signature = SLICE_EMPTY,
	    .why = SLICE_EMPTY};
	enum dkim_result result;
	struct domain *d = find(w, q->domain, &result);
	struct pair *p = NULL;

	for (size_t i = 0; d != NULL && i < d->n; i++)
		if (slice_eq(q->selector, slice_of(d->v[i].name)))
			p = d->v[i].pair;
	a.result = result;
	if (p == NULL) {
		a.why = SLICE("no such key");
	} else if (q->hash.len != DKIM_HASH_LEN ||
	    pair_sign_dkim(p, q->hash, signature, &len) != KEY_OK) {
		a.result = DKIM_TEMP;
		a.why = SLICE("OpenSSL cannot");
	} else {
		a.result = DKIM_OK;
		a.algorithm = algorithm_of(p);
		a.signature = slice_mem(signature, len);
		stats_add(COUNT_SIGNED_DKIM, 1);
	}
	chan_peer_send(peer, DKIM_SIGNED, &a);
}

static bool
on_record(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	if (type == DKIM_KEYS)
		on_keys(arg, p, msg);
	else if (type == DKIM_SIGN)
		on_sign(arg, p, msg);
	else
		return false;
	return true;
}

void
dkim_serve(struct worker *w)
{
	static const struct chan_server_ops ops = {.record = on_record};
	const struct keyd *k = w->k;

	w->dkim = mem_alloc(sizeof(*w->dkim));
	w->dkim->max = (size_t)k->conf.keyd_names_max;
	w->dkim->v = mem_array(w->dkim->max, sizeof(*w->dkim->v));
	w->signers = chan_server_new(w->loop, k->sign_fd, &dkim_contract, &ops,
	    w, k->dkim_uids, sizeof(k->dkim_uids) / sizeof(k->dkim_uids[0]),
	    SIGNERS_MAX, true);
}
