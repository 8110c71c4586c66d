/*
 * Landlock: which files, TCP ports and processes a role may still reach.  Runs
 * in every daemon, session and delivery on its way into its role.  The paths
 * come from the configuration and from the user table.
 *
 * The numbers are written out, because the kernel learns new ones faster than
 * distributions' headers do.
 */
#include <sys/stat.h>
#include <sys/syscall.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/sys/sandbox_roles.h"

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_DIR (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR (UINT64_C(1) << 7)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_MAKE_SYM (UINT64_C(1) << 12)
#define FS_REFER (UINT64_C(1) << 13)    /* since ABI 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14) /* 3 */

#define FS_ABI_1 ((UINT64_C(1) << 13) - 1)
#define FS_ABI_2 ((UINT64_C(1) << 14) - 1)
#define FS_ABI_3 ((UINT64_C(1) << 15) - 1)
#define FS_ABI_5 ((UINT64_C(1) << 16) - 1) /* ioctl of devices */
#define NET_ABI_4 UINT64_C(3)   /* TCP bind and connect */
#define SCOPE_ABI_6 UINT64_C(3) /* abstract UNIX sockets, signals */

#define READ_ACCESS (FS_READ_FILE | FS_READ_DIR)
#define WRITE_ACCESS                                                           \
	(READ_ACCESS | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |        \
	FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE)
#define FILE_ACCESS (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

#define CREATE_VERSION 1u
#define RULE_PATH_BENEATH 1

/* As the kernel lays them out. */
struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

int
sandbox_landlock_abi(void)
{
	static int abi = -1;

	if (abi == -1) {
		long n = syscall(SYS_landlock_create_ruleset, NULL, 0,
		    CREATE_VERSION);

		abi = n < 0 ? 0 : (int)n;
	}
	return abi;
}

static uint64_t
known_access(int abi)
{
	if (abi >= 5)
		return FS_ABI_5;
	if (abi >= 3)
		return FS_ABI_3;
	return abi == 2 ? FS_ABI_2 : FS_ABI_1;
}

bool
sandbox_landlock_works(const struct sandbox_role *role)
{
	int abi = sandbox_landlock_abi();

	if (role->files == FILES_ALL)
		return true;
	/* The first version forbids every rename from one directory to
	 * another, and so a Maildir's tmp to new. */
	if (role->calls & CALLS_WRITE)
		return abi >= 2;
	return abi >= 1;
}

static void
add_rule(int ruleset, int fd, uint64_t access)
{
	struct path_attr attr = {access & known_access(sandbox_landlock_abi()),
	    fd};

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr,
	    0) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: Landlock rule");
}

static void
add_path(int ruleset, const struct sandbox_path *p)
{
	uint64_t access = p->access == SANDBOX_WRITE ? WRITE_ACCESS :
	    READ_ACCESS;
	struct stat st;
	int fd = p->fd;

	if (fd == -1)
		fd = open(p->path, O_PATH | O_CLOEXEC);
	if (fd == -1) {
		/* Without the rule the role gets EACCES there and says so in
		 * its own words. */
		if (errno != ENOENT && errno != ENOTDIR)
			log_warn("sandbox: %s", p->path);
		return;
	}
	if (fstat(fd, &st) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: Landlock rule");
	add_rule(ruleset, fd, S_ISDIR(st.st_mode) ? access :
	    access & FILE_ACCESS);
	if (fd != p->fd)
		close(fd);
}

/* FILES_OWNER.  Without this rule for the whole tree children could not move a
 * file between directories, whatever their own rules say: every layer must
 * allow it. */
static void
add_everything(int ruleset)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		die_errno(EXIT_TEMPORARY, "sandbox: /");
	add_rule(ruleset, fd, WRITE_ACCESS | FS_MAKE_SYM);
	close(fd);
}

static int
create(const struct sandbox_role *role)
{
	int abi = sandbox_landlock_abi();
	struct ruleset_attr attr = {known_access(abi), NET_ABI_4, SCOPE_ABI_6};
	size_t size = sizeof(attr);
	long fd;

	if (role->calls & CALLS_NET)
		attr.net = 0;
	/* The kernel refuses fields that it does not know. */
	if (abi < 4)
		size = sizeof(attr.fs);
	else if (abi < 6)
		size = sizeof(attr.fs) + sizeof(attr.net);
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0)
		die_errno(EXIT_TEMPORARY, "sandbox: Landlock");
	return (int)fd;
}

int
sandbox_ruleset(const struct sandbox_role *role,
    const struct sandbox_args *args)
{
	size_t i;
	int fd;

	assert(role->files == FILES_PATHS || args->npaths == 0);
	if (role->files == FILES_ALL || !sandbox_landlock_works(role))
		return -1;
	fd = create(role);
	if (role->files == FILES_OWNER)
		add_everything(fd);
	for (i = 0; i < args->npaths; i++)
		add_path(fd, &args->paths[i]);
	return fd;
}

void
sandbox_restrict(int ruleset)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: Landlock");
	close(ruleset);
}
