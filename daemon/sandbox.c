/* The list of system calls that a daemon without live spaces needs. */
#include "daemon/sandbox.h"

#include <stdio.h>

#ifdef ASPACE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* By what they are for. Names that this architecture or this libseccomp lacks are passed over. */
static const char *const allowed[] = {
    /* the loop and its connections */
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "eventfd2", "pipe2",
    "accept4", "accept", "listen", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername", "recvmsg",
    "recvfrom", "sendmsg", "sendto", "read", "readv", "write", "writev", "close", "fcntl", "ioctl",
    /* the socket file, the logs, the simulated RAM and its export */
    "openat", "open", "fstat", "newfstatat", "stat", "lstat", "statx", "lseek", "pread64", "pwrite64", "pwritev",
    "ftruncate", "fallocate", "fsync", "fdatasync", "fchmod", "memfd_create", "unlink", "unlinkat", "rename",
    "renameat", "renameat2", "dup", "dup2", "dup3", "flock", "readlink", "readlinkat", "copy_file_range",
    /* memory */
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "mincore", "msync", "mlock", "munlock",
    /* threads and time */
    "futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "membarrier", "set_tid_address",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "timerfd_create",
    "timerfd_settime",
    /* signals and the end */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "tgkill",
    "exit", "exit_group",
    /* about ourselves */
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrandom", "getrlimit", "prlimit64",
    "getrusage", "sysinfo", "uname", "umask"};

static int allow_names(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        int error = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);

        if (error && error != -EDOM) /* -EDOM: not on this architecture */
            return error;
    }
    return 0;
}

/* Threads, not processes. A filter cannot look into clone3's structure; told that there is none, libc uses clone. */
static int allow_threads(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));

    return error ? error : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* What tells the service manager (sd_notify(3)) is a datagram; no stream can be made, to connect anywhere. */
static int allow_datagrams(scmp_filter_ctx filter)
{
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_UNIX),
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));

    return error ? error : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

/* Names for threads; nothing else of prctl. */
static int allow_prctl(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
}

bool sandbox_is_there(void)
{
    return true;
}

bool sandbox_enter(char *problem, size_t size)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int error = filter ? 0 : -ENOMEM;

    if (!error)
        error = allow_names(filter);
    if (!error)
        error = allow_threads(filter);
    if (!error)
        error = allow_datagrams(filter);
    if (!error)
        error = allow_prctl(filter);
    if (!error)
        error = seccomp_load(filter); /* sets no_new_privs as well */
    if (filter)
        seccomp_release(filter);
    if (error)
        snprintf(problem, size, "cannot enter the sandbox: %s", strerror(-error));
    return !error;
}

#else

bool sandbox_is_there(void)
{
    return false;
}

bool sandbox_enter(char *problem, size_t size)
{
    snprintf(problem, size, "this aspaced was built without libseccomp: there is no --sandbox");
    return false;
}

#endif
