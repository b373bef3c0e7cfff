/* A minimal hand-written injector, as a floor, and a target for it. */
#include "injector.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_ptrace: %s failed: %s\n", what, strerror(errno));
    exit(1);
}

void pin(pid_t pid, int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (processor < 0 || i == processor)
            CPU_SET(i, &set);
    must(sched_setaffinity(pid, sizeof(set), &set) == 0, "sched_setaffinity");
}

pid_t start_sleeper(int processor)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0, processor);
        for (;;)
            pause();
    }
    usleep(10000);
    return pid;
}

static uint64_t find_call(void)
{
    const unsigned char *vdso = (const void *)getauxval(AT_SYSINFO_EHDR); /* a forked target's too */

    for (size_t i = 0; i < 8192; i++)
        if (vdso[i] == 0x0f && vdso[i + 1] == 0x05)
            return (uint64_t)(uintptr_t)(vdso + i);
    must(false, "finding a system call instruction");
    return 0;
}

static void await_stop(pid_t pid)
{
    int status;

    must(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status), "waitpid");
}

static void floor_attach(pid_t pid, struct user_regs_struct *saved)
{
    must(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) == 0, "SEIZE");
    must(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0, "INTERRUPT");
    await_stop(pid);
    must(ptrace(PTRACE_GETREGS, pid, NULL, saved) == 0, "GETREGS");
}

static void floor_call(pid_t pid, const struct user_regs_struct *saved, uint64_t entry)
{
    struct user_regs_struct regs = *saved;

    regs.rip = entry;
    regs.rax = SYS_munmap;
    regs.rdi = regs.rsi = 4096;
    regs.orig_rax = (unsigned long long)-1;
    must(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0, "SETREGS");
    for (int i = 0; i < 2; i++) {
        must(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0, "SYSCALL");
        await_stop(pid);
    }
    must(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 && regs.rax == 0, "the call");
}

static void floor_detach(pid_t pid, const struct user_regs_struct *saved)
{
    must(ptrace(PTRACE_SETREGS, pid, NULL, saved) == 0, "SETREGS");
    must(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0, "DETACH");
}

static void floor_cycle(pid_t pid, uint64_t entry)
{
    struct user_regs_struct saved;

    floor_attach(pid, &saved);
    floor_call(pid, &saved, entry);
    floor_detach(pid, &saved);
}

pid_t start_injector(int fd, pid_t target)
{
    struct epoll_event event = {.events = EPOLLIN};
    char message[4096];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    uint64_t entry = find_call();
    int loop = epoll_create1(EPOLL_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    for (;;) {
        must(epoll_wait(loop, &event, 1, -1) == 1, "epoll_wait");
        ssize_t got = read(fd, message, sizeof(message));
        if (got <= 0)
            _exit(0);
        floor_cycle(target, entry);
        must(write(fd, message, (size_t)got) == got, "write");
    }
}

/* ---- Measuring: the median of many ---- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

double median_us(uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare);
    return (double)times[count / 2] / 1000;
}

void measure_floor(pid_t pid, struct floor_times *ret)
{
    uint64_t calls[CYCLES], cycles[CYCLES], entry = find_call();
    struct user_regs_struct saved;

    for (int i = 0; i < CYCLES; i++) {
        uint64_t began = clock_ns();
        floor_cycle(pid, entry);
        cycles[i] = clock_ns() - began;
        usleep(200);
    }
    floor_attach(pid, &saved);
    for (int i = 0; i < CYCLES; i++) {
        uint64_t began = clock_ns();
        floor_call(pid, &saved, entry);
        calls[i] = clock_ns() - began;
    }
    floor_detach(pid, &saved);
    ret->call = median_us(calls, CYCLES);
    ret->cycle = median_us(cycles, CYCLES);
}
