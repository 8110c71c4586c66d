/*
 * authd: who is who.  Opens the tables and four sockets, enters its cage, and
 * serves address look-ups, logins and tickets in one loop.  Its peers are our
 * own daemons; what they ask about is anybody's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "authd/address.h"
#include "authd/admin.h"
#include "authd/attempt.h"
#include "authd/authd.h"
#include "authd/counters.h"
#include "authd/directory.h"
#include "authd/dovecot.h"
#include "authd/failures.h"
#include "authd/include.h"
#include "authd/login.h"
#include "authd/remember.h"
#include "authd/ticket.h"
#include "authd/upgrade.h"
#include "authd/verify.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/random.h"
#include "common/io/chan.h"
#include "common/io/loop.h"
#include "common/proto/login.h"
#include "common/proto/sockets.h"
#include "common/proto/ticket.h"
#include "common/sys/proc.h"
#include "common/sys/sandbox.h"

#define BACKLOG 1024
#define SPARE_PEERS 64  /* connections beside those of sessions */
#define LEAVE_MS 3000   /* SIGTERM: for answers that are under way */
#define LEAVE_LOOK_MS 20
#define SALT_KEY "scram.key" /* in table_dir */

static int
open_directory(const char *key, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die_errno(EXIT_PERMANENT, "%s %s: cannot be opened (`postern "
		    "setup` makes it)", key, path);
	return fd;
}

static int
listen_on(const struct authd *a, const char *name)
{
	int fd = chan_listen(name, 0660, BACKLOG);

	if (fd < 0)
		die_errno(EXIT_PERMANENT, "cannot listen on %s/%s (`postern "
		    "setup` makes the directory)", a->conf.run_dir, name);
	return fd;
}

/* Whoever has this key can tell names that exist from others; a restart with
 * another one tells it as well, since nobody's salts change then. */
static void
read_salt_key(struct authd *a)
{
	int fd = openat(a->table_fd, SALT_KEY,
	    O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, a->salt_key, sizeof(a->salt_key));

	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)sizeof(a->salt_key))
		return;
	log_warnx("%s/%s: missing or too short (`postern setup` makes it): "
	    "SCRAM's salts of unknown users change with every start",
	    a->conf.table_dir, SALT_KEY);
	random_bytes(a->salt_key, sizeof(a->salt_key));
}

static void
open_upgrades(struct authd *a)
{
	a->upgrades_fd = -1;
	if (!a->conf.auth_upgrade)
		return;
	a->upgrades_fd = openat(a->table_fd, UPGRADE_FILE, O_WRONLY |
	    O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (a->upgrades_fd < 0)
		log_warn("%s/%s: better hashes are not noted",
		    a->conf.table_dir, UPGRADE_FILE);
}

/* For other mail servers: outside run_dir, for one user. */
static void
listen_dovecot(struct authd *a)
{
	const char *path = a->conf.dovecot_auth_socket;

	a->dovecot_fd = -1;
	if (path[0] == '\0')
		return;
	/* It may be root, as no user of ours may. */
	a->dovecot_user = (struct sys_user){geteuid(), getegid()};
	if (geteuid() == 0 && !user_find(a->conf.dovecot_auth_user,
	    &a->dovecot_user))
		die(EXIT_PERMANENT, "dovecot_auth_user %s: no such user",
		    a->conf.dovecot_auth_user);
	a->dovecot_fd = chan_listen(path, 0600, BACKLOG);
	if (a->dovecot_fd < 0 || (geteuid() == 0 &&
	    lchown(path, a->dovecot_user.uid, a->dovecot_user.gid) != 0))
		die_errno(EXIT_PERMANENT, "dovecot_auth_socket %s: cannot "
		    "listen there", path);
}

void
authd_open(struct authd *a)
{
	const struct conf *c = &a->conf;
	struct directory_args args = {.conf = c};

	a->me = user_need("user_auth", c->user_auth);
	a->smtpd = user_need("user_smtpd", c->user_smtpd);
	a->queue = user_need("user_queue", c->user_queue);
	a->pop3d = user_need("user_pop3d", c->user_pop3d);
	args.virtual_user = user_need("user_virtual", c->user_virtual);
	/* Who redeems tickets: the mailbox parent. */
	a->mailbox = c->virtual_only ? args.virtual_user
	    : user_need("user_mailbox", c->user_mailbox);
	args.pipe_user = user_need("user_pipe", c->user_pipe);
	(void)proc_max_files();
	a->table_fd = open_directory("table_dir", c->table_dir);
	a->etc_fd = c->system_users || c->submit_socket[0] != '\0'
	    ? open_directory("system_users and submit_socket:", "/etc") : -1;
	args.table_fd = a->table_fd;
	args.etc_fd = a->etc_fd;
	a->directory = directory_new(&args);
	read_salt_key(a);
	open_upgrades(a);
	if (chdir(c->run_dir) != 0)
		die_errno(EXIT_PERMANENT, "run_dir %s: cannot be entered "
		    "(`postern setup` makes it)", c->run_dir);
	a->address_fd = listen_on(a, SOCKET_ADDRESS);
	a->login_fd = listen_on(a, SOCKET_LOGIN);
	a->ticket_fd = listen_on(a, SOCKET_TICKET);
	a->admin_fd = listen_on(a, SOCKET_AUTH_ADMIN);
	a->admin = geteuid();
	listen_dovecot(a);
}

/* In a verifying child. */
static void
on_forked(void *arg)
{
	struct authd *a = arg;

	tickets_wipe(a->tickets);
	remember_wipe(a->remember);
	explicit_bzero(a->salt_key, sizeof(a->salt_key));
	loop_forked(&a->loop);
}

static bool
on_redeem(void *arg, struct chan_peer *p, uint16_t type, const void *msg,
    const int *fds, size_t nfds)
{
	struct authd *a = arg;
	const struct ticket_redeem *redeem = msg;
	struct ticket_redeemed answer = {.rid = redeem->rid,
	    .user = SLICE_EMPTY, .home = SLICE_EMPTY, .maildir = SLICE_EMPTY};
	struct ticket_owner owner;

	(void)type;
	(void)fds;
	(void)nfds;
	if (ticket_redeem(a->tickets, redeem, loop_now(a->loop), &owner)) {
		answer.ok = 1;
		answer.user = owner.user;
		answer.uid = owner.uid;
		answer.gid = owner.gid;
		answer.home = owner.home;
		answer.maildir = owner.maildir;
	} else {
		stats_add(COUNT_TICKETS_REFUSED, 1);
		LOG_WARN("ticket-refused", LB("sid", redeem->sid),
		    LB("service", redeem->service));
	}
	chan_peer_send(p, TICKET_REDEEMED, &answer);
	chan_wipe(chan_peer_chan(p));
	return true;
}

static void
on_child(void *arg, pid_t pid, int wstatus)
{
	struct authd *a = arg;

	(void)verifier_child(a->verifier, pid, wstatus);
}

static void
on_hup(void *arg)
{
	struct authd *a = arg;

	proc_reloading();
	(void)conf_reload(&a->conf);
	proc_ready();
}

/* Ends when the answers under way are given, or when it takes too long. */
static void
on_leave(void *arg)
{
	struct authd *a = arg;

	if (loop_now(a->loop) < a->leave_ms &&
	    (attempts_busy(a->attempts) || addresses_busy(a->addresses)))
		loop_timer_in(a->leave, LEAVE_LOOK_MS);
	else
		loop_stop(a->loop);
}

static void
on_term(void *arg)
{
	struct authd *a = arg;

	proc_stopping();
	addresses_pause(a->addresses);
	logins_pause(a->logins);
	chan_server_pause(a->redeemers);
	a->leave_ms = loop_now(a->loop) + LEAVE_MS;
	on_leave(a);
}

static void
enter_cage(const struct authd *a)
{
	const struct include_dirs *dirs = directory_includes(a->directory);
	struct sandbox_path *paths = mem_array(3 + a->conf.include_dirs.n,
	    sizeof(*paths));
	struct sandbox_args args = {.uid = a->me.uid, .gid = a->me.gid,
	    .paths = paths};
	size_t n = 0, i;
	int fd;

	paths[n++] = (struct sandbox_path){a->table_fd, NULL, SANDBOX_READ};
	paths[n++] = (struct sandbox_path){conf_keep_fd(), NULL, SANDBOX_READ};
	if (a->etc_fd >= 0)
		paths[n++] = (struct sandbox_path){a->etc_fd, NULL,
		    SANDBOX_READ};
	for (i = 0; (fd = include_fd(dirs, i)) != -2; i++)
		if (fd >= 0)
			paths[n++] = (struct sandbox_path){fd, NULL,
			    SANDBOX_READ};
	args.npaths = n;
	sandbox_enter(ROLE_AUTHD, &args);
	free(paths);
}

static void
serve_addresses(struct authd *a)
{
	uid_t uids[] = {a->smtpd.uid, a->queue.uid};
	struct address_args args = {.loop = a->loop,
	    .directory = a->directory, .listen_fd = a->address_fd,
	    .uids = uids, .nuids = 2,
	    .max_peers = a->conf.smtp_sessions_max + SPARE_PEERS};

	a->addresses = addresses_new(&args);
}

static void
serve_logins(struct authd *a)
{
	struct attempts_args all = {.loop = a->loop, .conf = &a->conf,
	    .directory = a->directory, .failures = a->failures,
	    .tickets = a->tickets, .verifier = a->verifier,
	    .remember = a->remember, .upgrades_fd = a->upgrades_fd,
	    .salt_key = slice_mem(a->salt_key, sizeof(a->salt_key))};
	const struct login_right rights[] = {
		{a->pop3d.uid, SLICE("pop3")},
		{a->smtpd.uid, SLICE("submission")},
	};
	struct login_args args = {.loop = a->loop,
	    .directory = a->directory, .listen_fd = a->login_fd,
	    .rights = rights, .nrights = sizeof(rights) / sizeof(rights[0]),
	    .max_peers = a->conf.pop3_sessions_max +
	    a->conf.smtp_sessions_max + SPARE_PEERS};

	a->attempts = attempts_new(&all);
	args.attempts = a->attempts;
	a->logins = logins_new(&args);
}

static void
serve_tickets(struct authd *a)
{
	static const struct chan_server_ops ops = {on_redeem, NULL, NULL};

	a->redeemers = chan_server_new(a->loop, a->ticket_fd, &ticket_contract,
	    &ops, a, &a->mailbox.uid, 1, SPARE_PEERS, false);
}

int
authd_run(struct authd *a)
{
	struct verifier_args args = {.conf = &a->conf, .uid = a->me.uid,
	    .gid = a->me.gid, .forked = on_forked, .arg = a};

	a->loop = loop_new();
	loop_signal(a->loop, SIGTERM, on_term, a);
	loop_signal(a->loop, SIGHUP, on_hup, a);
	loop_children(a->loop, on_child, a);
	a->leave = loop_timer_new(a->loop, on_leave, a);
	a->tickets = tickets_new();
	a->failures = failures_new(&a->conf);
	a->remember = remember_new();
	args.loop = a->loop;
	a->verifier = verifier_new(&args);
	enter_cage(a);
	verifier_start(a->verifier);
	serve_addresses(a);
	serve_logins(a);
	serve_tickets(a);
	if (a->dovecot_fd >= 0)
		a->dovecot = dovecot_new(a->loop, a->dovecot_fd,
		    a->dovecot_user.uid, a->attempts);
	a->admins = admin_new(a->loop, a->admin_fd, a->admin, a->failures);
	proc_ready();
	loop_run(a->loop);
	verifier_free(&a->verifier);
	logins_free(&a->logins);
	dovecot_free(&a->dovecot);
	attempts_free(&a->attempts);
	remember_free(&a->remember);
	addresses_free(&a->addresses);
	chan_server_free(&a->redeemers);
	chan_server_free(&a->admins);
	tickets_free(&a->tickets);
	failures_free(&a->failures);
	directory_free(&a->directory);
	return 0;
}
