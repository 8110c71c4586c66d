/*
 * `postern check`: keys for DKIM.  Their files (read by keyd alone), whether
 * they are used, and, when dnsd runs, whether DNS has their records.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/chan.h"
#include "common/mail/dkim_sign.h"
#include "common/proto/sockets.h"
#include "postern/check.h"
#include "postern/dkim_keys.h"

#define PATH_SIZE 4096
#define WAIT_MS 10000
#define ASKED_MAX 500 /* keys; who has more asks `postern dkim check` */
#define RSA_LEAST 1024u
#define RSA_USUAL 2048u

static void
check_file(struct check *c, const struct dkim_public *k,
    const struct sys_user *owner)
{
	struct stat st;

	if (k->key.len == 0)
		check_finding(c, CHECK_ERROR, "put it right, or move it away",
		    "%s: %s", k->file, k->why);
	if (stat(k->file, &st) != 0)
		return;
	if ((st.st_mode & 077) != 0)
		check_finding(c, CHECK_ERROR, "chmod 600 it; if others could "
		    "read it, make a new key", "%s: mode %04o: more than keyd "
		    "may read the key", k->file,
		    (unsigned)(st.st_mode & 07777));
	if (c->root && owner != NULL && st.st_uid != owner->uid)
		check_finding(c, CHECK_ERROR, "chown it to user_key",
		    "%s: belongs to uid %u: keyd cannot read it", k->file,
		    (unsigned)st.st_uid);
	if (k->key.len > 0 && k->kind == CRYPTO_RSA && k->bits < RSA_USUAL)
		check_finding(c, k->bits < RSA_LEAST ? CHECK_ERROR
		    : CHECK_WARNING, "make another one with `postern dkim "
		    "key`", "%s: has %u bits, too few to be trusted", k->file,
		    k->bits);
}

static void
judge(struct check *c, const struct dkim_public *k,
    const struct dns_answer *a)
{
	static const char mend[] = "publish what `postern dkim show` prints, "
	    "or move the key away";
	const char *why;

	switch (dkim_published(k, a, &why)) {
	case DKIM_PUBLISHED:
		if (why[0] != '\0')
			check_finding(c, CHECK_NOTE, "", "%s: %s", k->name.s,
			    why);
		break;
	case DKIM_UNPUBLISHED:
	case DKIM_PUBLISHED_OTHER:
		check_finding(c, CHECK_WARNING, mend, "%s: %s: signatures "
		    "with %s fail", k->name.s, why, k->file);
		break;
	case DKIM_UNKNOWN:
		check_finding(c, CHECK_WARNING, "try again later", "%s: %s",
		    k->name.s, why);
		break;
	}
}

/* A dnsd that does not run is check_dns's. */
static void
check_records(struct check *c, const struct dkim_publics *keys)
{
	size_t n = keys->n < ASKED_MAX ? keys->n : ASKED_MAX;
	const struct dns_answer **a;
	struct dns_question *q;
	char path[PATH_SIZE];
	struct stat st;
	struct dns *d;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", c->p->conf.run_dir, SOCKET_DNS);
	if (n == 0 || lstat(path, &st) != 0 ||
	    (!c->root && st.st_uid != geteuid()))
		return;
	fd = chan_dial(path);
	if (fd < 0)
		return;
	q = mem_array(n, sizeof(*q));
	a = mem_array(n, sizeof(*a));
	for (size_t i = 0; i < n; i++)
		q[i] = (struct dns_question){DNS_TXT, keys->v[i].name.s};
	d = dns_new(fd);
	dns_ask(d, q, n, a, clock_mono_ms() + WAIT_MS);
	for (size_t i = 0; i < n; i++)
		if (keys->v[i].key.len > 0)
			judge(c, &keys->v[i], a[i]);
	dns_free(&d);
	free(q);
	free(a);
}

static void
check_names(struct check *c)
{
	const struct conf_list *l = &c->p->conf.dkim_headers;
	struct dkim_names names;
	const char *bad;

	if (dkim_names_read(l->v, l->n, &names, &bad))
		dkim_names_free(&names);
	else
		check_finding(c, CHECK_ERROR, "write up to 100 names of header "
		    "fields, each once, with a + behind those to be signed "
		    "once more", "dkim_headers: \"%s\" cannot stand there: "
		    "remote does not start", bad);
}

void
check_dkim(struct check *c)
{
	const struct conf *conf = &c->p->conf;
	struct dkim_publics keys;
	struct sys_user owner;
	bool known = c->root && user_find(conf->user_key, &owner);

	check_names(c);
	if (dkim_publics_read(conf->dkim_dir, NULL, NULL, &keys) != 0) {
		if (conf->dkim_sign || errno != ENOENT)
			check_finding(c, conf->dkim_sign ? CHECK_ERROR
			    : CHECK_WARNING, "`postern setup` makes it",
			    "dkim_dir %s: cannot be read: %s", conf->dkim_dir,
			    strerror(errno));
		return;
	}
	for (size_t i = 0; i < keys.n; i++)
		check_file(c, &keys.v[i], known ? &owner : NULL);
	if (keys.n > 0 && !conf->dkim_sign)
		check_finding(c, CHECK_WARNING, "set dkim_sign = yes, or move "
		    "the keys away", "dkim_dir %s: has %zu keys, and nothing "
		    "is signed", conf->dkim_dir, keys.n);
	if (keys.n == 0 && conf->dkim_sign)
		check_finding(c, CHECK_WARNING, "make one with `postern dkim "
		    "key DOMAIN`", "dkim_sign = yes, and dkim_dir %s has no "
		    "key", conf->dkim_dir);
	check_records(c, &keys);
	dkim_publics_free(&keys);
}
