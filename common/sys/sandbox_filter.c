/*
 * From the tables of sandbox_roles.c to seccomp programs, and into the kernel.
 * Compiled with libseccomp in parents at start; loaded raw, so that a session
 * costs one system call and no library.  No foreign input.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/sys/sandbox_roles.h"

static uint32_t
action_forbidden(const struct sandbox_role *role)
{
	if (role->filter == FILTER_DENIED)
		return SCMP_ACT_ERRNO(EPERM);
	return SANDBOX_LOG_ONLY ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
}

static void
must(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		die_errno(EXIT_TEMPORARY, "sandbox: seccomp filter: %s", what);
	}
}

static scmp_filter_ctx
filter_new(uint32_t otherwise)
{
	scmp_filter_ctx ctx = seccomp_init(otherwise);

	if (ctx == NULL)
		die(EXIT_TEMPORARY, "sandbox: seccomp filter: no memory");
	must(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS), "other architectures");
	must(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2),
	    "binary tree");
	return ctx;
}

static struct scmp_arg_cmp
comparison(const struct sandbox_call *call)
{
	struct scmp_arg_cmp cmp = {.arg = call->arg, .datum_a = call->a};

	switch (call->test) {
	case ANY:
		break;
	case EQUAL:
		cmp.op = SCMP_CMP_EQ;
		break;
	case AT_MOST:
		cmp.op = SCMP_CMP_LE;
		break;
	case MASKED:
		cmp.op = SCMP_CMP_MASKED_EQ;
		cmp.datum_b = call->b;
		break;
	}
	return cmp;
}

static void
add(scmp_filter_ctx ctx, uint32_t action, const struct sandbox_call *call)
{
	int nr = seccomp_syscall_resolve_name(call->name), result;
	struct scmp_arg_cmp cmp = comparison(call);

	/* Not on this architecture, or not known to this library: then it
	 * stays forbidden (or, on the denied list, unknown). */
	if (nr == __NR_SCMP_ERROR || nr < 0)
		return;
	result = seccomp_rule_add_array(ctx, action, nr,
	    call->test == ANY ? 0 : 1, &cmp);
	if (result != -EEXIST) /* the same from two groups */
		must(result, call->name);
}

/* The program as the kernel wants it; the library only writes to files. */
static struct sandbox_bpf
export(scmp_filter_ctx ctx)
{
	struct sandbox_bpf bpf;
	struct stat st;
	size_t n;
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd == -1)
		die_errno(EXIT_TEMPORARY, "sandbox: memfd_create");
	must(seccomp_export_bpf(ctx, fd), "export");
	seccomp_release(ctx);
	if (fstat(fd, &st) != 0)
		die_errno(EXIT_TEMPORARY, "sandbox: seccomp filter");
	n = (size_t)st.st_size;
	assert(n > 0 && n % sizeof(*bpf.v) == 0 &&
	    n / sizeof(*bpf.v) <= BPF_MAXINSNS);
	bpf.n = (unsigned short)(n / sizeof(*bpf.v));
	bpf.v = mem_array(bpf.n, sizeof(*bpf.v));
	if (pread(fd, bpf.v, n, 0) != (ssize_t)n)
		die_errno(EXIT_TEMPORARY, "sandbox: seccomp filter");
	close(fd);
	return bpf;
}

/* clone3 hides its flags in memory, where no filter sees them; the C library
 * goes back to clone when it is told that there is none. */
static void
refuse_clone3(scmp_filter_ctx ctx)
{
	must(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3),
	    0), "clone3");
}

struct sandbox_bpf
sandbox_compile(const struct sandbox_role *role)
{
	bool denied = role->filter == FILTER_DENIED;
	scmp_filter_ctx ctx = filter_new(denied ? SCMP_ACT_ALLOW :
	    action_forbidden(role));
	size_t i;

	if (denied) {
		refuse_clone3(ctx);
		for (i = 0; i < sandbox_ndenied; i++)
			add(ctx, action_forbidden(role), &sandbox_denied[i]);
		return export(ctx);
	}
	if (role->calls & CALLS_FORK)
		refuse_clone3(ctx);
	for (i = 0; i < sandbox_ncalls; i++)
		if (sandbox_calls[i].groups & role->calls)
			add(ctx, SCMP_ACT_ALLOW, &sandbox_calls[i]);
	return export(ctx);
}

static void
refuse(scmp_filter_ctx ctx, uint32_t action, int nr, unsigned arg,
    enum scmp_compare op, uint64_t value)
{
	struct scmp_arg_cmp cmp = {.arg = arg, .op = op, .datum_a = value};

	must(seccomp_rule_add_array(ctx, action, nr, 1, &cmp), "ids");
}

/*
 * What keeps a parent with CAP_SETUID from becoming root or a daemon's user.
 * The kernel cuts ids to 32 bits, so that larger arguments are refused: they
 * could be small ones in disguise.
 */
struct sandbox_bpf
sandbox_compile_ids(const struct sandbox_role *role, uid_t uid_min)
{
	static const int by_three[] = {SCMP_SYS(setresuid),
	    SCMP_SYS(setresgid)};
	static const int never[] = {SCMP_SYS(setuid), SCMP_SYS(setgid),
	    SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setfsuid),
	    SCMP_SYS(setfsgid)};
	uint32_t action = action_forbidden(role);
	scmp_filter_ctx ctx = filter_new(SCMP_ACT_ALLOW);
	unsigned arg;
	size_t i;

	for (i = 0; i < sizeof(by_three) / sizeof(by_three[0]); i++)
		for (arg = 0; arg < 3; arg++) {
			refuse(ctx, action, by_three[i], arg, SCMP_CMP_LT,
			    uid_min);
			refuse(ctx, action, by_three[i], arg, SCMP_CMP_GE,
			    UINT32_MAX); /* -1 would leave it as it is */
		}
	refuse(ctx, action, SCMP_SYS(setgroups), 0, SCMP_CMP_NE, 0);
	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		must(seccomp_rule_add(ctx, action, never[i], 0), "ids");
	return export(ctx);
}

bool
sandbox_load(const struct sandbox_bpf *bpf)
{
	struct sock_fprog prog = {bpf->n, bpf->v};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return true;
	if (errno != ENOSYS && errno != EINVAL)
		die_errno(EXIT_TEMPORARY, "sandbox: seccomp");
	return false;
}
