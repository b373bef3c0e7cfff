/* What /proc and the kernel say about a target: whether it may be traced, whether it lives, which image it runs. All
 * is read through one descriptor of /proc/PID, which never comes to mean another process. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "ptrace/internal.h"

#define FLAG_KERNEL_THREAD 0x00200000 /* PF_KTHREAD, include/linux/sched.h; "flags" of proc(5)'s stat */
#define FLAG_EXITING       0x00000004 /* PF_EXITING */
#define FLAG_IO_WORKER     0x00000010 /* PF_IO_WORKER, of io_uring */
#define FLAG_USER_WORKER   0x00004000 /* PF_USER_WORKER since 6.4, of io_uring and vhost */
#define SUBJECT            "process %d"
#define OWN_DESCRIPTORS    6 /* that a target takes: pidfd, proc, tasks, memory, agent_life, and its maps */
#define LIVING_TRIES       8 /* threads that began to exit while a file was opened through them */

/* The whole of a small file below the target's /proc/PID, or of an absolute path, as a string; false if there is none. */
static bool read_file(int proc, const char *path, char *text, size_t size)
{
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0;
}

/* The text after ") " in a stat file, where the state letter stands: names may hold anything. */
static const char *stat_state(int proc, const char *path, char *text, size_t size)
{
    char *end;

    if (!read_file(proc, path, text, size) || !(end = strrchr(text, ')')) || end[1] != ' ')
        return NULL;
    return end + 2;
}

char process_thread_state(int proc, pid_t tid)
{
    char path[64], text[1024];
    unsigned flags = 0;
    const char *state;

    snprintf(path, sizeof(path), "task/%d/stat", (int)tid);
    state = stat_state(proc, path, text, sizeof(text));
    if (!state)
        return 0;
    sscanf(state, "%*c %*d %*d %*d %*d %*d %u", &flags);
    if (flags & FLAG_EXITING && *state != 'Z')
        return 'X';
    return flags & (FLAG_IO_WORKER | FLAG_USER_WORKER) ? 'I' : *state;
}

bool process_thread_lives(int proc, pid_t tid)
{
    char state = process_thread_state(proc, tid);

    return state != 0 && state != 'Z' && state != 'X' && state != 'I';
}

bool process_has_thread(int proc, pid_t tid)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d", (int)tid);
    return faccessat(proc, path, F_OK, 0) == 0;
}

static long status_number(int proc, const char *path, const char *name, long fallback)
{
    char text[4096];
    size_t length = strlen(name);

    if (!read_file(proc, path, text, sizeof(text)))
        return fallback;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += line != text;
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return strtol(line + length + 1, NULL, 10);
    }
    return fallback;
}

long process_status(const struct tracer *t, pid_t tid, const char *name, long fallback)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/status", (int)tid);
    return status_number(t->proc, path, name, fallback);
}

bool process_thread_is_traced(pid_t tid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    return status_number(AT_FDCWD, path, "TracerPid", 0) == gettid();
}

bool process_thread_is_zombie(pid_t tid)
{
    char path[64], text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
    const char *state = stat_state(AT_FDCWD, path, text, sizeof(text));
    return state && *state == 'Z';
}

static bool lives_on(struct tracer *t, int wait_ms)
{
    struct pollfd poll_fd = {.fd = t->pidfd, .events = POLLIN};
    siginfo_t info;

    if (t->exited)
        return false;
    if (poll(&poll_fd, 1, wait_ms) <= 0)
        return true;
    t->exited = true;
    if (t->spawned)
        waitid(P_PIDFD, (id_t)t->pidfd, &info, WEXITED | WNOHANG | __WALL);
    return false;
}

bool process_alive(struct tracer *t)
{
    return lives_on(t, 0);
}

bool process_survives(struct tracer *t)
{
    return lives_on(t, 50);
}

enum aspace_error process_refuse_gone(struct tracer *t, struct refusal *why)
{
    if (tracer_fate(t) == TRACER_EXECED) {
        refuse(why, ASPACE_TARGET_GONE, SUBJECT " replaced its image by exec", (int)t->pid);
        why->hint = "space.sync goes on with the new image";
    } else if (process_alive(t)) {
        refuse(why, ASPACE_TARGET_GONE, SUBJECT " is about to exit, or to replace its image by exec", (int)t->pid);
        why->hint = "ask again: it is gone then, or another image";
    } else {
        refuse(why, ASPACE_TARGET_GONE, SUBJECT " has exited", (int)t->pid);
        why->hint = "destroy the space: nothing is left of the process";
    }
    return why->code;
}

bool process_is_single(const struct tracer *t)
{
    struct stat info;

    return fstat(t->tasks, &info) == 0 && info.st_nlink == 3;
}

pid_t process_living_thread(const struct tracer *t)
{
    struct thread_list list;
    pid_t tid = t->pid;

    if (process_thread_lives(t->proc, t->pid) || !thread_list_open(&list, t->proc))
        return t->pid;
    while (thread_list_next(&list, &tid))
        if (process_thread_lives(t->proc, tid))
            break;
    thread_list_close(&list);
    return tid;
}

static int open_file_of(const struct tracer *t, pid_t tid, const char *name, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "task/%d/%s", (int)tid, name);
    return openat(t->proc, path, flags | O_CLOEXEC);
}

/* Opened through a thread that has begun to exit it would be nobody's, which reads as if the process were gone. */
int tracer_open_file(const struct tracer *t, const char *name, int flags)
{
    for (unsigned tries = 0;; tries++) {
        pid_t tid = process_living_thread(t);
        int fd = open_file_of(t, tid, name, flags);
        int error = errno;

        if (tries == LIVING_TRIES || process_is_single(t) || process_thread_lives(t->proc, tid)) {
            errno = error;
            return fd;
        }
        if (fd >= 0)
            close(fd);
    }
}

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The auxiliary vector holds random and load addresses: enough to tell images apart. 0 if it may not be read, 1 if there
 * is no memory left. */
uint64_t process_image(const struct tracer *t)
{
    char text[1024];
    int fd = tracer_open_file(t, "auxv", O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int error = errno;

    if (fd >= 0)
        close(fd);
    if (got < 0 && (error == EACCES || error == EPERM))
        return 0;
    return hash_bytes(HASH_START, text, got > 0 ? (size_t)got : 0) | 1;
}

uint64_t process_rights(const struct tracer *t)
{
    static const char *const names[] = {
        "Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:"};
    char text[4096];
    uint64_t hash = HASH_START;

    if (!read_file(t->proc, "status", text, sizeof(text)) || strstr(text, "\nState:\tZ") || strstr(text, "\nState:\tX"))
        return 0;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += line != text;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (strncmp(line, names[i], strlen(names[i])) == 0)
                hash = hash_bytes(hash, line, strcspn(line, "\n"));
    }
    return hash | 1;
}

/* "-1 0xSP 0xPC", "7 0xARG ... 0xSP 0xPC" or "running": proc(5). */
bool process_stack_pointer(const struct tracer *t, pid_t tid, uint64_t *ret)
{
    char path[64], text[256];
    char *last;

    snprintf(path, sizeof(path), "task/%d/syscall", (int)tid);
    if (!read_file(t->proc, path, text, sizeof(text)) || !(last = strrchr(text, ' ')))
        return false;
    *last = 0;
    last = strrchr(text, ' ');
    if (!last)
        return false;
    *ret = strtoull(last + 1, NULL, 16);
    return true;
}

pid_t process_find_thread(const struct tracer *t, pid_t inner)
{
    struct thread_list list;
    pid_t tid, found = 0;

    if (!thread_list_open(&list, t->proc))
        return 0;
    while (found == 0 && thread_list_next(&list, &tid)) {
        char path[64], text[4096];
        const char *line = NULL;
        snprintf(path, sizeof(path), "task/%d/status", (int)tid);
        if (read_file(t->proc, path, text, sizeof(text)) && (line = strstr(text, "\nNSpid:")))
            for (const char *end = strchr(line + 1, '\n'); (line = strchr(line, '\t')) && (!end || line < end); line++)
                found = (pid_t)strtol(line, NULL, 10) == inner ? tid : 0;
    }
    thread_list_close(&list);
    return found;
}

/* A large process that exits lives on for a while without any. */
static bool has_memory(const struct tracer *t)
{
    char byte;
    int fd = tracer_open_file(t, "auxv", O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, &byte, 1);
    int error = errno;

    if (fd >= 0)
        close(fd);
    return got > 0 || (got < 0 && (error == EACCES || error == EPERM)); /* without any: ESRCH, or nothing to read */
}

enum tracer_fate tracer_fate(struct tracer *t)
{
    char byte;

    if (!process_alive(t))
        return TRACER_EXITED;
    if (t->replaced)
        return TRACER_EXECED;
    /* No memory is left behind the descriptor once the image that it was opened for is gone: 0, not EIO. */
    if (t->memory >= 0 && pread(t->memory, &byte, 1, ASPACE_PAGE_SIZE) == 0)
        return process_alive(t) && has_memory(t) ? TRACER_EXECED : TRACER_EXITED;
    return TRACER_ALIVE;
}

static enum aspace_error refuse_pid(pid_t pid, struct refusal *why)
{
    refuse(why, ASPACE_INVALID_PARAM, "there is no process %d", (int)pid);
    why->param = "pid";
    why->hint = "give the id of a running process, as ps shows it";
    return why->code;
}

enum aspace_error process_bind(struct tracer *t, struct refusal *why)
{
    char path[32];

    if (t->pid <= 0 || (t->pidfd = pidfd_open(t->pid, 0)) < 0) {
        if (t->pid > 0 && errno != ESRCH && errno != EINVAL && errno != ENOENT)
            return refuse(why, ASPACE_BUSY, "process %d cannot be held: %s", (int)t->pid, strerror(errno));
        return refuse_pid(t->pid, why); /* EINVAL, ENOENT since 6.15: the id of a thread */
    }
    snprintf(path, sizeof(path), "/proc/%d", (int)t->pid);
    t->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (t->proc < 0 || syscall(SYS_pidfd_send_signal, t->pidfd, 0, NULL, 0) == -1) {
        if (t->proc >= 0 && errno == EPERM)
            return ASPACE_OK; /* it is there, and another user's: authorise says so */
        if (t->proc < 0 && errno != ENOENT)
            return refuse(why, ASPACE_BUSY, "%s cannot be opened: %s", path, strerror(errno));
        return refuse_pid(t->pid, why);
    }
    return ASPACE_OK;
}

/* They are given lowest first, so that a new one tells how many there are. */
enum aspace_error process_check_descriptors(const struct tracer *t, struct refusal *why)
{
    uint64_t limit = descriptors_limit();

    if ((uint64_t)t->pidfd + OWN_DESCRIPTORS + DESCRIPTORS_FOR_WORK < limit)
        return ASPACE_OK;
    refuse(why, ASPACE_BUSY, "the daemon has too few descriptors left for process %d: its limit is %" PRIu64,
           (int)t->pid, limit);
    why->hint = "destroy spaces or close connections, or raise its ulimit -n (LimitNOFILE=)";
    return why->code;
}

void process_bind_image(struct tracer *t)
{
    if (t->tasks < 0)
        t->tasks = openat(t->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->memory >= 0)
        close(t->memory);
    t->memory = tracer_open_file(t, "mem", O_RDWR);
    t->image = process_image(t);
}

void process_unbind(struct tracer *t)
{
    int *fds[] = {&t->memory, &t->tasks, &t->proc, &t->pidfd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- May it be traced? ---- */

static enum aspace_error refuse_hint(struct refusal *why, const char *hint)
{
    why->hint = hint;
    return why->code;
}

static enum aspace_error refuse_traced(const struct tracer *t, long by, struct refusal *why)
{
    refuse(why, ASPACE_BUSY, SUBJECT " is traced already, by process %ld", (int)t->pid, by);
    return refuse_hint(why, "detach the debugger or tracer that has it, and try again");
}

/* The real, effective and saved id of a "Uid:" or "Gid:" line are all `id`. */
static bool ids_are(const struct tracer *t, const char *name, unsigned id)
{
    char text[4096];
    const char *line;
    unsigned real, effective, saved;

    return read_file(t->proc, "status", text, sizeof(text)) && (line = strstr(text, name)) &&
           sscanf(line + strlen(name), "%u %u %u", &real, &effective, &saved) == 3 && real == id && effective == id &&
           saved == id;
}

static bool is_capable(unsigned bit)
{
    char text[4096];
    const char *line;
    int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    line = strstr(text, "\nCapEff:");
    return line && (strtoull(line + 8, NULL, 16) >> bit & 1);
}

/* linux/capability.h */
#define CAP_PTRACE 19
#define CAP_ADMIN  21

bool process_may_suspend_filters(void)
{
    return is_capable(CAP_ADMIN);
}

/* Yama's sysctl, -1 on a kernel without it. */
static int yama_scope(const struct tracer *t)
{
    char text[16];

    return read_file(t->proc, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) ? atoi(text) : -1;
}

static enum aspace_error explain_denied(struct tracer *t, struct refusal *why)
{
    bool capable = is_capable(CAP_PTRACE);
    int scope = yama_scope(t);

    refuse(why, ASPACE_DENIED, "the kernel does not let us trace process %d", (int)t->pid);
    if (scope == 3)
        return refuse_hint(why, "Yama forbids tracing until the next boot: kernel.yama.ptrace_scope is 3");
    if (!capable && (!ids_are(t, "\nUid:", getuid()) || !ids_are(t, "\nGid:", getgid())))
        return refuse_hint(why, "it has another user or group than the daemon: run the daemon as that user, or give it "
                                "CAP_SYS_PTRACE");
    if (scope == 2)
        return refuse_hint(why, "Yama lets only CAP_SYS_PTRACE trace: kernel.yama.ptrace_scope is 2");
    if (scope == 1)
        return refuse_hint(why,
                           "Yama lets a process trace its descendants alone (kernel.yama.ptrace_scope is 1): start the "
                           "target by `command`, or let it call prctl(PR_SET_PTRACER)");
    if (!capable)
        return refuse_hint(why,
                           "it is not dumpable (prctl PR_SET_DUMPABLE, a set-id program, or an executable that may not "
                           "be read): give the daemon CAP_SYS_PTRACE");
    return refuse_hint(why, "a security module or a user namespace is in the way: see the kernel's log");
}

static enum aspace_error check_kind(struct tracer *t, struct refusal *why)
{
    char text[1024];
    const char *state = stat_state(t->proc, "stat", text, sizeof(text));
    unsigned flags = 0;

    if (!state)
        return refuse_pid(t->pid, why);
    if (t->pid == getpid()) {
        refuse(why, ASPACE_UNSUPPORTED, SUBJECT " is the daemon itself", (int)t->pid);
        return refuse_hint(why, "a process cannot trace itself: trace another one");
    }
    sscanf(state, "%*c %*d %*d %*d %*d %*d %u", &flags);
    if (flags & FLAG_KERNEL_THREAD) {
        refuse(why, ASPACE_UNSUPPORTED, SUBJECT " is a thread of the kernel", (int)t->pid);
        return refuse_hint(why, "it has no memory of its own: trace a process of user mode");
    }
    return ASPACE_OK;
}

static enum aspace_error refuse_zombie(struct tracer *t, struct refusal *why)
{
    refuse(why, ASPACE_TARGET_GONE, SUBJECT " has exited; its parent has not collected it yet", (int)t->pid);
    return refuse_hint(why, "a zombie has no memory left: trace a process that runs");
}

/* The class of the program's file; a script's is its interpreter's. */
static enum aspace_error check_bits(struct tracer *t, struct refusal *why)
{
    unsigned char ident[EI_NIDENT] = {0};
    int fd = tracer_open_file(t, "exe", O_RDONLY);
    bool is_32 = fd >= 0 && read(fd, ident, sizeof(ident)) == sizeof(ident) && ident[EI_CLASS] == ELFCLASS32;

    if (fd >= 0)
        close(fd);
    if (!is_32)
        return ASPACE_OK;
    refuse(why, ASPACE_UNSUPPORTED, SUBJECT " is a 32-bit program", (int)t->pid);
    return refuse_hint(why, "only 64-bit processes can be edited");
}

/* With a filter of its own the target's kernel would judge our calls by it. */
static enum aspace_error check_seccomp(struct tracer *t, struct refusal *why)
{
    if (t->seccomp == TRACER_SECCOMP_SUSPEND || process_status(t, t->pid, "Seccomp", 0) == 0)
        return ASPACE_OK;
    refuse(why, ASPACE_UNSUPPORTED, SUBJECT " filters its system calls by seccomp", (int)t->pid);
    return refuse_hint(why, "its filter could refuse our calls or kill it for them: allow it to be suspended (needs "
                            "CAP_SYS_ADMIN), or start it without a filter");
}

enum aspace_error process_authorise(struct tracer *t, struct refusal *why)
{
    if (check_kind(t, why))
        return why->code;
    if (!process_alive(t))
        return refuse_zombie(t, why);
    long tracer = process_status(t, t->pid, "TracerPid", 0);
    if (tracer != 0 && !t->held)
        return refuse_traced(t, tracer, why);
    /* The kernel's own judgement, before anything is stopped: this needs the same rights as attaching, but for Yama. */
    if (process_image(t) == 0)
        return explain_denied(t, why);
    return check_bits(t, why) ? why->code : check_seccomp(t, why);
}

/* Opening its memory asks the kernel the same question as attaching does (ptrace(2), access mode checking), but for
 * whether somebody traces it. */
static bool may_trace(const struct tracer *t)
{
    int fd = tracer_open_file(t, "mem", O_RDONLY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

enum aspace_error process_explain(struct tracer *t, pid_t tid, int error, struct refusal *why)
{
    long tracer = process_status(t, tid, "TracerPid", 0);

    if (!process_alive(t))
        return refuse_zombie(t, why);
    if (error == ESRCH)
        return process_refuse_gone(t, why);
    if (tracer != 0)
        return refuse_traced(t, tracer, why);
    if (error == EINTR) {
        refuse(why, ASPACE_BUSY, SUBJECT " takes long to replace its image by exec", (int)t->pid);
        return refuse_hint(why, "try again");
    }
    if (!may_trace(t))
        return explain_denied(t, why);
    refuse(why, ASPACE_BUSY, SUBJECT " was traced by another process until just now", (int)t->pid);
    return refuse_hint(why, "try again");
}
