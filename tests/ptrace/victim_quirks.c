/* Victims that filter or dispatch their own system calls, run restartable sequences, or refuse new code. */
#include "victim.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- seccomp: mmap, mprotect and munmap get the action that the argument names ---- */

static void install_filter(uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "a filter");
}

int victim_seccomp(const char *argument)
{
    char byte;

    say("ready");
    if (strcmp(argument, "errno") == 0)
        install_filter(SECCOMP_RET_ERRNO | EPERM);
    else if (strcmp(argument, "trap") == 0)
        install_filter(SECCOMP_RET_TRAP);
    else if (strcmp(argument, "trace") == 0)
        install_filter(SECCOMP_RET_TRACE);
    else if (strcmp(argument, "kill") == 0)
        install_filter(SECCOMP_RET_KILL_PROCESS);
    else
        check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0, "strict mode");
    say("filtered");
    ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (strcmp(argument, "strict") == 0)
        syscall(SYS_exit, got);
    if (strcmp(argument, "errno") == 0) /* the filter is awake again */
        check(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EPERM,
              "the filter is gone");
    _exit(got != 0);
}

/* ---- Syscall User Dispatch ---- */

static volatile char selector;
static volatile sig_atomic_t dispatched;

static void on_dispatch(int number)
{
    (void)number;
    selector = 0; /* SYSCALL_DISPATCH_FILTER_ALLOW */
    dispatched++;
}

/* Spins with every system call of its own dispatched to a handler; it makes one at the end. */
int victim_dispatch(const char *argument)
{
    static volatile int go = 1;

    (void)argument;
    signal(SIGSYS, on_dispatch);
    say("ready");
    check(prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &selector) == 0, "Syscall User Dispatch");
    say("%p", (void *)(uintptr_t)&go);
    selector = 1; /* SYSCALL_DISPATCH_FILTER_BLOCK */
    while (go)    /* cleared from outside: it cannot ask */
        __asm__ volatile("pause");
    int before = dispatched;
    syscall(SYS_getppid);
    selector = 0;
    check(before == 0, "a call was dispatched");
    check(dispatched == 1, "its own call was not dispatched");
    return 0;
}

/* ---- Restartable sequences ---- */

static volatile uint64_t epoch; /* changed from outside whenever the thread is stopped */

/* One sequence: reads the epoch, spins, reads it again and commits the difference. 1 if it was aborted. */
static int run_sequence(struct rseq *area, uint64_t *ret_difference)
{
    uint64_t first, last, spin = 300;
    int aborted = 0;

    __asm__ volatile(
        ".pushsection .data.rel.victim, \"aw\"\n"
        ".balign 32\n"
        "9: .long 0, 0\n"
        ".quad 1f, 2f - 1f, 4f\n"
        ".popsection\n"
        "leaq 9b(%%rip), %%rax\n"
        "movq %%rax, %[cs]\n"
        "1: movq %[epoch], %[first]\n"
        "5: decq %[spin]\n"
        "jnz 5b\n"
        "movq %[epoch], %[last]\n"
        "2: jmp 6f\n"
        ".long 0x53053053\n"
        "4: movl $1, %[aborted]\n"
        "6:\n"
        : [first] "=&r"(first), [last] "=&r"(last), [spin] "+r"(spin), [aborted] "+m"(aborted), [cs] "=m"(area->rseq_cs)
        : [epoch] "m"(epoch)
        : "rax", "cc", "memory");
    *ret_difference = last - first;
    return aborted;
}

/* The argument is ignored. Prints how many sequences were aborted; fails if one was broken and committed. */
int victim_rseq(const char *argument)
{
    struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    uint64_t difference;
    int aborts = 0;

    (void)argument;
    check(__rseq_size > 0, "no rseq");
    say("ready");
    say("%p", (void *)(uintptr_t)&epoch);
    while (!is_over())
        for (int i = 0; i < 1000; i++) {
            if (run_sequence(area, &difference))
                aborts++;
            else
                check(difference == 0, "a broken sequence committed");
        }
    say("%d", aborts);
    return 0;
}

/* ---- Memory-deny-write-execute ---- */

int victim_mdwe(const char *argument)
{
    (void)argument;
    check(prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0, "MDWE");
    return victim_sleeper("");
}

/* ---- Naps, each of which must be whole: a killed tracer must not be felt ---- */

int victim_naps(const char *argument)
{
    struct timespec time = {.tv_nsec = 1500000}, left;
    sigset_t set, pending;

    (void)argument;
    say("ready");
    while (!is_over())
        check(nanosleep(&time, &left) == 0, "a nap was interrupted");
    sigprocmask(SIG_SETMASK, NULL, &set);
    sigpending(&pending);
    for (int number = 1; number <= SIGRTMAX; number++)
        check(!sigismember(&set, number) && !sigismember(&pending, number), "a signal was left over");
    return 0;
}

/* ---- io_uring: threads of the kernel's among its own, one that polls the queue and one that waits for a byte ---- */

static void submit_read(char *queue, const struct io_uring_params *p, void *entries, char *byte)
{
    struct io_uring_sqe *entry = entries;

    memset(entry, 0, sizeof(*entry));
    entry->opcode = IORING_OP_READ;
    entry->flags = IOSQE_ASYNC;
    entry->fd = STDIN_FILENO;
    entry->addr = (uintptr_t)byte;
    entry->len = 1;
    entry->off = UINT64_MAX; /* where the file stands */
    *(unsigned *)(queue + p->sq_off.array) = 0;
    __atomic_store_n((unsigned *)(queue + p->sq_off.tail), 1, __ATOMIC_RELEASE);
}

static void *map_ring(int fd, size_t size, uint64_t offset)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);

    check(at != MAP_FAILED, "a ring");
    return at;
}

/* Says the byte that it has read. */
int victim_uring(const char *argument)
{
    static char byte;
    struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1000};
    int fd = (int)syscall(SYS_io_uring_setup, 4, &p);

    (void)argument;
    say("ready");
    if (fd < 0) {
        say("none");
        return 0;
    }
    char *queue = map_ring(fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *done = map_ring(fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    submit_read(queue, &p, map_ring(fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES), &byte);
    say("submitted");
    while (__atomic_load_n((unsigned *)(done + p.cq_off.tail), __ATOMIC_ACQUIRE) == 0)
        check(syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0) == 0,
              "io_uring_enter");
    say("%c", byte);
    return 0;
}
