/*
 * dnsd: the one who asks the DNS.  Opens its socket, makes a resolver from the
 * configuration, enters its cage and answers questions in one loop; libunbound
 * works in the same loop (resolver_events.c), without threads or further processes.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/dns/server.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/sockets.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"
#include "dnsd/dnsd.h"
#include "dnsd/question.h"
#include "dnsd/resolver.h"

#define BACKLOG 1024
#define ERRORS_MAX 65536
#define RESOLV_MAX ((size_t)2 * 1024 * 1024)
#define SPARE_FILES 64   /* beside sockets and clients */
#define LEAVE_MS 2000    /* SIGTERM: for answers that are under way */
#define LEAVE_LOOK_MS 20
#define LOOK_MS 10000    /* at resolv.conf */
#define PATHS_MAX 8

void
dnsd_open(struct dnsd *d)
{
	const struct conf *c = &d->conf;
	size_t files = (size_t)proc_max_files(), used;

	d->me = user_need("user_dns", c->user_dns);
	d->uids[0] = user_need("user_remote", c->user_remote).uid;
	d->uids[1] = user_need("user_smtpd", c->user_smtpd).uid;
	d->uids[2] = user_need("user_queue", c->user_queue).uid;
	d->uids[3] = 0; /* postern */
	used = c->dns_clients_max + SPARE_FILES;
	d->sockets = files > used ? files - used : 0;
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered "
		    "(`postern setup` makes it)", c->run_dir);
	d->listen_fd = chan_listen(SOCKET_DNS, 0660, BACKLOG);
	if (d->listen_fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s (`postern "
		    "setup` makes the directory)", c->run_dir, SOCKET_DNS);
}

/* ---- resolver ---- */

static void
mark_resolv(struct dnsd *d, const struct stat *st)
{
	d->resolv_mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 +
	    st->st_mtim.tv_nsec;
	d->resolv_inode = st->st_ino;
}

/* What is missing is told; then it is the name server of this host. */
static void
read_resolv(struct dnsd *d, struct buf *text)
{
	struct stat st = {0};

	if (d->conf.dns_resolvers.n > 0)
		return;
	if (stat(DNS_RESOLV_CONF, &st) != 0 ||
	    dns_file_read(DNS_RESOLV_CONF, text) != 0)
		log_warn("%s: cannot be read; 127.0.0.1 is asked",
		    DNS_RESOLV_CONF);
	mark_resolv(d, &st);
}

static void
say_servers(const struct dns_servers *s, const struct resolver *r)
{
	struct buf list = BUF_INIT(1000);
	size_t i;

	for (i = 0; i < s->n; i++)
		buf_printf(&list, "%s%s", i > 0 ? " " : "", s->v[i].text);
	if (s->recursive)
		buf_adds(&list, "recursive");
	LOG_INFO("resolvers", LB("ask", buf_slice(&list)),
	    LU("stubs", s->nstubs),
	    LS("validates", resolver_validates(r) ? "yes" : "no"));
	buf_free(&list);
}

static struct resolver *
make_resolver(struct dnsd *d, struct buf *errors)
{
	struct buf resolv = BUF_INIT(RESOLV_MAX);
	struct dns_servers servers;
	struct resolver *r = NULL;

	read_resolv(d, &resolv);
	if (dns_servers_read(&d->conf, buf_slice(&resolv), &servers, errors)) {
		d->of_resolv = servers.of_resolv;
		r = resolver_new(d->loop, &d->conf, &servers, d->sockets,
		    errors);
		if (r != NULL)
			say_servers(&servers, r);
		dns_servers_free(&servers);
	}
	buf_free(&resolv);
	return r;
}

static void
say_errors(const struct buf *errors)
{
	struct slice rest = buf_slice(errors), line;

	while (slice_cut(&rest, '\n', &line))
		if (line.len > 0)
			log_warnx("%.*s", SLICE_FMT(line));
}

/* The old resolver works on where a new one cannot be made. */
static void
renew(struct dnsd *d)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	struct resolver *r = make_resolver(d, &errors);

	if (r != NULL) {
		questions_resolver(d->questions, r);
	} else {
		say_errors(&errors);
		log_warnx("the servers and settings from before stay");
	}
	buf_free(&errors);
}

static void
on_hup(void *arg)
{
	struct dnsd *d = arg;

	proc_reloading();
	if (conf_reload(&d->conf))
		renew(d);
	proc_ready();
}

/* Networks come and go, and who manages them writes resolv.conf anew. */
static void
on_look(void *arg)
{
	struct dnsd *d = arg;
	struct dnsd seen = {0};
	struct stat st;

	loop_timer_in(d->look, LOOK_MS);
	if (!d->of_resolv || stat(DNS_RESOLV_CONF, &st) != 0)
		return;
	mark_resolv(&seen, &st);
	if (seen.resolv_mtime == d->resolv_mtime &&
	    seen.resolv_inode == d->resolv_inode)
		return;
	LOG_INFO("resolv.conf-changed", LS("file", DNS_RESOLV_CONF));
	renew(d);
}

/* ---- life ---- */

/* Ends when the answers under way are given, or when it takes too long: who
 * waits asks again. */
static void
on_leave(void *arg)
{
	struct dnsd *d = arg;

	if (loop_now(d->loop) < d->leave_ms && questions_busy(d->questions))
		loop_timer_in(d->leave, LEAVE_LOOK_MS);
	else
		loop_stop(d->loop);
}

static void
on_term(void *arg)
{
	struct dnsd *d = arg;

	proc_stopping();
	questions_pause(d->questions);
	d->leave_ms = loop_now(d->loop) + LEAVE_MS;
	on_leave(d);
}

struct paths {
	struct sandbox_path v[PATHS_MAX];
	char *names[PATHS_MAX]; /* owned */
	size_t n;
};

/* Where file lies: files are replaced by rename, and so the directory it is. */
static void
add_directory(struct paths *p, const char *file)
{
	char *slash;

	if (file[0] != '/' || p->n == PATHS_MAX)
		return;
	p->names[p->n] = mem_dup(file);
	slash = strrchr(p->names[p->n], '/');
	slash[slash == p->names[p->n] ? 1 : 0] = '\0';
	p->v[p->n] = (struct sandbox_path){-1, p->names[p->n], SANDBOX_READ};
	p->n++;
}

static void
enter_cage(const struct dnsd *d)
{
	const struct conf *c = &d->conf;
	struct paths p = {0};
	struct sandbox_args args = {.uid = d->me.uid, .gid = d->me.gid,
	    .paths = p.v};
	char real[PATH_MAX];
	size_t i;

	p.v[p.n++] = (struct sandbox_path){conf_keep_fd(), NULL, SANDBOX_READ};
	add_directory(&p, c->dns_trust_anchor);
	add_directory(&p, c->dns_root_hints);
	if (c->dns_resolvers.n == 0) {
		add_directory(&p, DNS_RESOLV_CONF);
		if (realpath(DNS_RESOLV_CONF, real) != NULL)
			add_directory(&p, real);
	}
	args.npaths = p.n;
	sandbox_enter(ROLE_DNSD, &args);
	for (i = 0; i < p.n; i++)
		free(p.names[i]);
}

/* The first resolver is made outside of the cage: what is wrong with it is told
 * by whoever may see everything. */
static struct resolver *
first_resolver(struct dnsd *d)
{
	struct buf errors = BUF_INIT(ERRORS_MAX);
	struct resolver *r = make_resolver(d, &errors);

	if (r == NULL) {
		say_errors(&errors);
		die(EXIT_PERMANENT, "no resolver can be made of the "
		    "configuration");
	}
	buf_free(&errors);
	return r;
}

int
dnsd_run(struct dnsd *d)
{
	struct questions_args args = {.conf = &d->conf, .uids = d->uids,
	    .nuids = sizeof(d->uids) / sizeof(d->uids[0]),
	    .listen_fd = d->listen_fd};

	d->loop = args.loop = loop_new();
	loop_signal(d->loop, SIGTERM, on_term, d);
	loop_signal(d->loop, SIGHUP, on_hup, d);
	d->leave = loop_timer_new(d->loop, on_leave, d);
	d->look = loop_timer_new(d->loop, on_look, d);
	loop_timer_in(d->look, LOOK_MS);
	args.resolver = first_resolver(d);
	enter_cage(d);
	d->questions = questions_new(&args);
	proc_ready();
	loop_run(d->loop);
	questions_free(&d->questions);
	return 0;
}
