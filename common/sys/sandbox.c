/*
 * Into the cage: takes all rights away but those the table of roles leaves.
 * Runs in every process: in parents at start, in their children after fork and
 * before they read an octet.  Nothing here depends on foreign input but the
 * mailbox owner's ids and paths, which authd gave.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/sys/sandbox.h"
#include "common/sys/sandbox_roles.h"

#define MEGABYTE ((rlim_t)1024 * 1024)
#define SETID_CAPS (1u << CAP_SETUID | 1u << CAP_SETGID)

/* What this process has behind it; children inherit it with everything else,
 * and so know what need not be done again. */
static struct {
	bool require;
	bool was_root; /* the user was changed: owners must be taken on */
	bool entered;  /* no_new_privs, dumpable and core size are done */
	bool noted;    /* the lack of something was logged */
	unsigned memory_mb; /* the limit that is in force */
	struct sandbox_bpf calls[ROLE_COUNT];
	struct sandbox_bpf ids[ROLE_COUNT];
} cage;

void
sandbox_require(bool require)
{
	cage.require = require;
}

const char *
sandbox_role_name(enum role role)
{
	return sandbox_roles[role].name;
}

bool
sandbox_enforces(void)
{
	return !SANDBOX_LOG_ONLY;
}

void
sandbox_prepare(enum role role, uid_t uid_min)
{
	const struct sandbox_role *r = &sandbox_roles[role];

	assert(!cage.entered); /* the cage forbids what the library calls */
	free(cage.calls[role].v);
	cage.calls[role] = sandbox_compile(r);
	if (r->keeps_setid) {
		free(cage.ids[role].v);
		cage.ids[role] = sandbox_compile_ids(r, uid_min > 0 ? uid_min :
		    1);
	}
}

/* What the kernel lacks is said once, by the parent at start. */
static void
lacking(const struct sandbox_role *role, const char *what)
{
	if (cage.require)
		die(EXIT_TEMPORARY, "sandbox: %s: this kernel has no %s, and "
		    "require_sandbox = yes", role->name, what);
	if (!cage.noted)
		log_warnx("sandbox: %s: this kernel has no %s; one wall less "
		    "around this program", role->name, what);
	cage.noted = true;
}

/* The first 32 capabilities, among them all that matter here. */
static uint32_t
caps_now(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: capget");
	return data[0].effective;
}

static void
caps_set(uint32_t caps)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{caps, caps, 0}, {0, 0, 0}};

	if (syscall(SYS_capset, &head, data) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: capset");
}

static void
drop_bounding(uint32_t keep)
{
	unsigned long cap;

	for (cap = 0; cap < 64; cap++) {
		if (cap < 32 && (keep & 1u << cap) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) {
			if (errno == EINVAL)
				break; /* behind the last one */
			/* A container may have taken CAP_SETPCAP away;
			 * no_new_privs makes the set irrelevant. */
			if (errno != EPERM)
				die_errno(EXIT_TEMPORARY,
				    "sandbox: bounding set");
		}
	}
}

static void
set_ids(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: uid %u gid %u",
		    (unsigned)uid, (unsigned)gid);
	if (getresuid(&r, &e, &s) != 0 || getresgid(&rg, &eg, &sg) != 0 ||
	    r != uid || e != uid || s != uid ||
	    rg != gid || eg != gid || sg != gid)
		die(EXIT_TEMPORARY, "sandbox: the kernel did not take uid %u "
		    "gid %u", (unsigned)uid, (unsigned)gid);
}

void
sandbox_become(uid_t uid, gid_t gid)
{
	bool able = geteuid() == 0 || (caps_now() & SETID_CAPS) == SETID_CAPS;

	if (able && (uid == 0 || gid == 0))
		die(EXIT_PERMANENT, "sandbox: nothing is done as root");
	if (able)
		set_ids(uid, gid);
	else if (cage.was_root && (uid != geteuid() || gid != getegid()))
		die(EXIT_TEMPORARY, "sandbox: cannot become uid %u gid %u",
		    (unsigned)uid, (unsigned)gid);
	caps_set(0);
}

/* root: the process starts as root and becomes the role's user. */
static void
leave_root(const struct sandbox_role *role, const struct sandbox_args *args)
{
	uint32_t keep = role->keeps_setid ? SETID_CAPS : 0;

	if (args->uid == 0 || args->gid == 0)
		die(EXIT_PERMANENT, "sandbox: %s: is never run as root (uid %u "
		    "gid %u); name an unprivileged user in the configuration",
		    role->name, (unsigned)args->uid, (unsigned)args->gid);
	drop_bounding(keep);
	if (keep != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: PR_SET_KEEPCAPS");
	set_ids(args->uid, args->gid);
	caps_set(keep);
	cage.was_root = true;
}

/* Mail would be safe behind a directory that others may fill, but the cage
 * would not be empty. */
static void
check_empty(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir = opendir(path);
	char whole[PATH_MAX];

	/* Callers name it relative to the run directory; messages must not. */
	if (realpath(path, whole) != NULL)
		path = whole;
	if (dir == NULL || fstat(dirfd(dir), &st) != 0)
		die_errno(EXIT_PERMANENT, "sandbox: %s: cannot be opened; "
		    "create it, owner root, mode 0555", path);
	if (st.st_uid != 0 || (st.st_mode & 022) != 0)
		die(EXIT_PERMANENT, "sandbox: %s: others may write there; make "
		    "it owner root, mode 0555", path);
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			die(EXIT_PERMANENT, "sandbox: %s: is not empty; remove "
			    "what is in it", path);
	closedir(dir);
}

static void
change_root(const struct sandbox_role *role, const struct sandbox_args *args)
{
	if (role->root == ROOT_SAME)
		return;
	if (role->root == ROOT_EMPTY) {
		if (args->root == NULL)
			die(EXIT_PERMANENT, "sandbox: %s: needs an empty "
			    "directory as its root", role->name);
		check_empty(args->root);
	}
	if (args->root != NULL && chroot(args->root) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: chroot to %s", args->root);
}

/* A lower limit that is already there stays. */
static void
set_limit(__rlimit_resource_t what, rlim_t value)
{
	struct rlimit limit = {value, value};

	if (setrlimit(what, &limit) != 0 && errno != EPERM)
		die_errno(EXIT_TEMPORARY, "sandbox: setrlimit");
}

static void
set_limits(const struct sandbox_role *role)
{
	if (SANDBOX_LOG_ONLY)
		return;
	if (role->memory_mb > 0 && role->memory_mb != cage.memory_mb) {
		set_limit(RLIMIT_AS, role->memory_mb * MEGABYTE);
		cage.memory_mb = role->memory_mb;
	}
	if (role->open_files > 0)
		set_limit(RLIMIT_NOFILE, role->open_files);
	if (!cage.entered)
		set_limit(RLIMIT_CORE, 0);
}

static void
check_owner(const struct sandbox_role *role, const struct sandbox_args *args)
{
	if (args->uid < args->uid_min || args->gid < args->uid_min)
		die(EXIT_TEMPORARY, "sandbox: %s: uid %u gid %u: below "
		    "mailbox_uid_min %u", role->name, (unsigned)args->uid,
		    (unsigned)args->gid, (unsigned)args->uid_min);
}

static void
take_user(const struct sandbox_role *role, const struct sandbox_args *args,
    bool root)
{
	if (role->owner && (root || cage.was_root))
		check_owner(role, args);
	if (root)
		leave_root(role, args);
	else if (role->owner)
		sandbox_become(args->uid, args->gid);
	else if (!cage.entered)
		caps_set(role->keeps_setid ? caps_now() & SETID_CAPS : 0);
}

/* Children inherit both, but a change of user may give dumpable back. */
static void
set_flags(const struct sandbox_role *role)
{
	if (!SANDBOX_LOG_ONLY && (!cage.entered || role->owner) &&
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: PR_SET_DUMPABLE");
	if (!cage.entered && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: PR_SET_NO_NEW_PRIVS");
}

void
sandbox_enter(enum role role, const struct sandbox_args *args)
{
	static const struct sandbox_args none;
	const struct sandbox_role *r = &sandbox_roles[role];
	bool root = !cage.entered && geteuid() == 0;
	int ruleset = -1;

	if (args == NULL)
		args = &none;
	if (cage.calls[role].v == NULL)
		sandbox_prepare(role, args->uid_min);
	if (!sandbox_landlock_works(r))
		lacking(r, "Landlock (or too old a one)");
	/* Root may walk to every path, but does not see them from a new root;
	 * an owner may walk only to his own, which his parent cannot. */
	if (root) {
		ruleset = sandbox_ruleset(r, args);
		change_root(r, args);
	}
	take_user(r, args, root);
	if (!root)
		ruleset = sandbox_ruleset(r, args);
	if (r->files == FILES_NONE && chdir("/") != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: chdir to /");
	set_limits(r);
	set_flags(r);
	if (ruleset != -1)
		sandbox_restrict(ruleset);
	cage.entered = true;
	/* The one for ids first: the other one may forbid to load any. */
	if (cage.ids[role].v != NULL)
		(void)sandbox_load(&cage.ids[role]);
	if (!sandbox_load(&cage.calls[role]))
		lacking(r, "seccomp filters");
}
