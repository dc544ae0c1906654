/* Landlock and seccomp, through the kernel's own interface: see sandbox.h. */
#include "core/sandbox.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A sanitizer's runtime looks into its own process with ptrace, runs a symbolizer and maps /proc:
 * no walls there.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* --- files --- */

/* landlock(7); the headers of a build machine may be older than the kernel that it runs on. */
enum {
	ABI_REFER = 2,
	ABI_TRUNCATE = 3,
	ABI_IOCTL = 5,
	ABI_SCOPE = 6,
};

#define RIGHT_TRUNCATE (UINT64_C(1) << 14)
#define RIGHT_IOCTL    (UINT64_C(1) << 15)
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)

/*
 * struct landlock_ruleset_attr of ABI 6: an older kernel takes it as long as what it does not know
 * is 0.
 */
struct ruleset {
	uint64_t files, net, scopes;
};

static const uint64_t rights_of_file = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
				       LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL;
static const uint64_t rights_read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
/* No device and no fifo is ever made. */
static const uint64_t rights_write =
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | RIGHT_TRUNCATE;

/* What name lookups and the C library read, at any time. */
static const struct sandbox_path system_paths[] = {
	/*
	 * all of it: resolv.conf, hosts and others are replaced by renames, so that rules on them
	 * alone would not last
	 */
	{"/etc", false},
	/* where resolv.conf leads to */
	{"/run/systemd/resolve", false},
	{"/run/resolvconf", false},
	{"/run/NetworkManager", false},
	/* modules of name lookups are loaded when they are first needed */
	{"/lib", false},
	{"/lib64", false},
	{"/usr/lib", false},
	{"/usr/lib64", false},
	{"/usr/local/lib", false},
	{"/nix/store", false},
	{"/gnu/store", false},
	{"/usr/share/zoneinfo", false},
	{"/proc/self", false},
	{"/proc/sys/kernel/random", false},
	{"/proc/sys/vm/overcommit_memory", false},
	{"/sys/devices/system/cpu/online", false},
	{"/dev/null", true},
	{"/dev/urandom", false},
};

static int add_path(int ruleset, const struct sandbox_path *path, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = {.allowed_access =
							  path->write ? rights_write : rights_read};
	struct stat st;
	int rc, number;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0; /* not there: nothing to allow */
	rule.allowed_access &= handled;
	if (fstat(rule.parent_fd, &st) != 0 || !S_ISDIR(st.st_mode))
		rule.allowed_access &= rights_of_file;
	rc = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	number = errno;
	(void)close(rule.parent_fd); /* a handle */
	errno = number;
	return rc;
}

static int add_paths(int ruleset, const struct sandbox_path *paths, size_t count, uint64_t handled)
{
	for (size_t i = 0; i < count; i++)
		if (add_path(ruleset, paths + i, handled) != 0)
			return -1;
	return 0;
}

static bool enter_files(const struct sandbox_path *paths, size_t count)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset all = {.files = (LANDLOCK_ACCESS_FS_REFER << 1) - 1};
	int fd, rc;

	/* the first one has no renames from one folder to another, which the repositories need */
	if (abi < ABI_REFER) {
		log_info("daemon", "", "no walls around files: the kernel has no Landlock%s",
			 abi > 0 ? " that is new enough" : "");
		return false;
	}
	if (abi >= ABI_TRUNCATE)
		all.files |= RIGHT_TRUNCATE;
	if (abi >= ABI_IOCTL)
		all.files |= RIGHT_IOCTL;
	if (abi >= ABI_SCOPE)
		all.scopes = SCOPE_SIGNAL; /* only to what it forked itself */
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	rc = fd < 0 ? -1 : 0;
	if (rc == 0)
		rc = add_paths(fd, system_paths, sizeof(system_paths) / sizeof(system_paths[0]),
			       all.files);
	if (rc == 0)
		rc = add_paths(fd, paths, count, all.files);
	if (rc == 0)
		rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	if (rc != 0)
		log_info("daemon", "", "no walls around files: %s", strerror(errno));
	if (fd >= 0)
		(void)close(fd); /* a handle */
	return rc == 0;
}

/* --- system calls --- */

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef NATIVE_ARCH

/* Programs of others, the kernel, other processes, other users, other namespaces. */
static const unsigned denied[] = {
	/* to run something: hooks are the runner's, a process of its own */
	SYS_execve,
	SYS_execveat,
	/* to look into other processes */
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_pidfd_getfd,
	SYS_perf_event_open,
	/* other users */
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
	SYS_capset,
	/* other trees of files, and namespaces (clone below) */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_unshare,
	SYS_setns,
	SYS_open_by_handle_at,
	SYS_mknodat,
	SYS_quotactl,
	SYS_swapon,
	SYS_swapoff,
	/* the kernel, and what of it had faults most often */
	SYS_kexec_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_bpf,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_personality,
	SYS_syslog,
	SYS_acct,
	SYS_reboot,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#if defined(__x86_64__)
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_mknod,
#endif
	/* the machine's clock and name */
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_sethostname,
	SYS_setdomainname,
};

static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6,
				    AF_NETLINK /* asked by name lookups */};

enum {
	DENIED_COUNT = sizeof(denied) / sizeof(denied[0]),
	FAMILY_COUNT = sizeof(families) / sizeof(families[0]),
	FILTER_MAX = 2 * DENIED_COUNT + 4 * FAMILY_COUNT + 32,
	X32_BIT = 0x40000000, /* of a call's number: another table of calls */
};

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)
#define DENY (SECCOMP_RET_ERRNO | EPERM)

struct filter {
	struct sock_filter lines[FILTER_MAX];
	unsigned short count;
};

static void put(struct filter *f, struct sock_filter line)
{
	f->lines[f->count++] = line;
}

static void put_load(struct filter *f, size_t offset)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* WHAT to do when the comparison HOW with VALUE holds. */
static void put_when(struct filter *f, unsigned how, uint32_t value, uint32_t what)
{
	put(f, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | how | BPF_K), value, 0, 1));
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what));
}

/*
 * The arguments of a call are 64 bits; of those looked at the kernel too takes the lower half.
 * These machines are little-endian.
 */
static size_t argument(unsigned number)
{
	return offsetof(struct seccomp_data, args) + number * sizeof(uint64_t);
}

static void put_sockets(struct filter *f, uint32_t call)
{
	put(f,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 2 * FAMILY_COUNT + 2));
	put_load(f, argument(0));
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		put_when(f, BPF_JEQ, families[i], SECCOMP_RET_ALLOW);
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, DENY));
}

/* On the terminal that the daemon was started from nobody may type for its user, nor paste. */
static void put_terminal(struct filter *f)
{
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6));
	put_load(f, argument(1));
	put_when(f, BPF_JEQ, TIOCSTI, DENY);
	put_when(f, BPF_JEQ, TIOCLINUX, DENY);
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static void build(struct filter *f)
{
	put_load(f, offsetof(struct seccomp_data, arch));
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0));
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, DENY));
	put_load(f, offsetof(struct seccomp_data, nr));
	put_when(f, BPF_JGE, X32_BIT, DENY);
	for (size_t i = 0; i < DENIED_COUNT; i++)
		put_when(f, BPF_JEQ, denied[i], DENY);
	/* its flags are in memory, where no filter sees them; the C library then takes clone */
	put_when(f, BPF_JEQ, SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	put_sockets(f, SYS_socket);
	put_sockets(f, SYS_socketpair);
	put_terminal(f);
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
	put_load(f, argument(0));
	put_when(f, BPF_JSET, NAMESPACES, DENY);
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static bool enter_calls(void)
{
	struct filter f = {.count = 0};
	struct sock_fprog program = {.filter = f.lines};

	build(&f);
	program.len = f.count;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
		return true;
	log_info("daemon", "", "no walls around system calls: %s", strerror(errno));
	return false;
}

#else

static bool enter_calls(void)
{
	log_info("daemon", "", "no walls around system calls: not known for this machine");
	return false;
}

#endif

unsigned sandbox_enter(const struct sandbox_path *paths, size_t count)
{
	unsigned done = 0;

	if (SANITIZED)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_info("daemon", "", "no walls: %s", strerror(errno));
		return 0;
	}
	if (enter_files(paths, count))
		done |= SANDBOX_FILES;
	if (enter_calls())
		done |= SANDBOX_CALLS;
	return done;
}
