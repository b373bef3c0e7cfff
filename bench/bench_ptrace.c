/* The tracer beside a minimal hand-written injector, in the same run: one call within a stop, a whole attach-call-detach
 * cycle, a batch of 256 calls, and how long a target of 16 threads stands still for one edit. With target and tracer on
 * one processor, wherever the kernel likes, and on two. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ptrace/tracer.h"

#define CYCLES  400
#define BATCH   256
#define THREADS 16

struct result {
    const char *place;
    double floor_call, call;   /* us: one call within a stop */
    double floor_cycle, cycle; /* us: attach, one call, detach */
    double all_cycle;          /* us: the same with every thread stopped */
    double batch_call;         /* us: one of 256 calls in a transaction */
    double stop_one, stop_all; /* us: how long a thread of 16 saw itself stand still for one edit */
    double agent, stop_agent;  /* us: a cycle and that time, with an agent */
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_ptrace: %s failed: %s\n", what, strerror(errno));
    exit(1);
}

/* -1: where it likes to run. */
static void pin(pid_t pid, int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (processor < 0 || i == processor)
            CPU_SET(i, &set);
    must(sched_setaffinity(pid, sizeof(set), &set) == 0, "sched_setaffinity");
}

/* ---- Targets ---- */

static pid_t start_sleeper(int processor)
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

/* The longest time that a spinning thread saw pass between two looks at the clock, since it was last cleared; shared with
 * us. */
static _Atomic uint64_t *longest;

static void *watch_clock(void *argument)
{
    (void)argument;
    for (uint64_t before = clock_ns();;) {
        uint64_t now = clock_ns();
        if (now - before > *longest)
            *longest = now - before;
        before = now;
    }
    return NULL;
}

static void *sleep_on(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static pid_t start_threads(int processor)
{
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t thread;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0, processor);
        for (int i = 0; i < THREADS - 1; i++)
            must(pthread_create(&thread, NULL, i == 0 ? watch_clock : sleep_on, NULL) == 0, "pthread_create");
        sleep_on(NULL);
    }
    usleep(20000);
    return pid;
}

/* ---- The floor: what a minimal injector does ---- */

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

/* ---- Measuring: the median of many ---- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double median_us(uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare);
    return (double)times[count / 2] / 1000;
}

static void measure_floor(pid_t pid, struct result *r)
{
    uint64_t calls[CYCLES], cycles[CYCLES], entry = find_call();
    struct user_regs_struct saved;

    for (int i = 0; i < CYCLES; i++) {
        uint64_t began = clock_ns();
        floor_attach(pid, &saved);
        floor_call(pid, &saved, entry);
        floor_detach(pid, &saved);
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
    r->floor_call = median_us(calls, CYCLES);
    r->floor_cycle = median_us(cycles, CYCLES);
}

static struct remote_call an_edit(void)
{
    return (struct remote_call){.number = SYS_munmap, .args = {4096, 4096}};
}

static void check(enum aspace_error error, const struct refusal *why)
{
    if (!error)
        return;
    fprintf(stderr, "bench_ptrace: %s\n", why->message);
    exit(1);
}

static struct tracer *open_target(pid_t pid, bool agent)
{
    struct tracer_options options = {.pid = pid, .agent = agent};
    struct tracer *t;
    struct refusal why;

    check(tracer_open(&options, &why, &t), &why);
    return t;
}

static uint64_t cycle(struct tracer *t, enum tracer_scope scope, size_t count)
{
    static struct remote_call calls[BATCH];
    struct refusal why;

    for (size_t i = 0; i < count; i++)
        calls[i] = an_edit();
    uint64_t began = clock_ns();
    check(tracer_begin(t, scope, &why), &why);
    check(tracer_call(t, calls, count, &why), &why);
    tracer_end(t);
    uint64_t took = clock_ns() - began;
    must(calls[count - 1].done && calls[count - 1].result == 0, "the call");
    return took;
}

static double measure_cycle(struct tracer *t, enum tracer_scope scope, size_t count)
{
    uint64_t times[CYCLES];

    cycle(t, scope, count); /* maps the trampoline */
    for (int i = 0; i < CYCLES; i++) {
        times[i] = cycle(t, scope, count);
        usleep(200);
    }
    return median_us(times, CYCLES);
}

static double measure_call(struct tracer *t)
{
    uint64_t times[CYCLES];
    struct remote_call call = an_edit();
    struct refusal why;

    check(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
    for (int i = 0; i < CYCLES; i++) {
        uint64_t began = clock_ns();
        check(tracer_call(t, &call, 1, &why), &why);
        times[i] = clock_ns() - began;
    }
    tracer_end(t);
    return median_us(times, CYCLES);
}

/* How long the watching thread stood, for one edit. */
static double measure_stop(struct tracer *t, enum tracer_scope scope)
{
    uint64_t times[CYCLES / 4];

    cycle(t, scope, 1);
    for (int i = 0; i < CYCLES / 4; i++) {
        usleep(300);
        *longest = 0;
        cycle(t, scope, 1);
        usleep(100);
        times[i] = *longest;
    }
    return median_us(times, CYCLES / 4);
}

static void measure(struct result *r, int ours, int theirs)
{
    pid_t pid = start_sleeper(theirs);
    struct tracer *t;

    pin(0, ours);
    measure_floor(pid, r);
    t = open_target(pid, false);
    r->cycle = measure_cycle(t, TRACER_ONE_THREAD, 1);
    r->all_cycle = measure_cycle(t, TRACER_ALL_THREADS, 1);
    r->batch_call = measure_cycle(t, TRACER_ONE_THREAD, BATCH) / BATCH;
    r->call = measure_call(t);
    tracer_close(t, false);
    t = open_target(pid, true);
    r->agent = measure_cycle(t, TRACER_ONE_THREAD, 1);
    tracer_close(t, true);
    pid = start_threads(theirs);
    t = open_target(pid, false);
    r->stop_one = measure_stop(t, TRACER_ONE_THREAD);
    r->stop_all = measure_stop(t, TRACER_ALL_THREADS);
    tracer_close(t, false);
    t = open_target(pid, true);
    r->stop_agent = measure_stop(t, TRACER_ONE_THREAD);
    tracer_close(t, true);
}

static void print_table(const struct result *r, size_t count)
{
    printf("the tracer and a minimal injector (floor); us, medians of %d\n\n", CYCLES);
    printf("%-18s %10s %6s %11s %6s %6s %8s %6s %9s %9s %6s %10s\n", "processors", "floor call", "call", "floor cycle",
           "cycle", "ratio", "all thr.", "of 256", "stop one", "stop all", "agent", "stop agent");
    for (size_t i = 0; i < count; i++, r++)
        printf("%-18s %10.1f %6.1f %11.1f %6.1f %6.2f %8.1f %6.2f %9.1f %9.1f %6.1f %10.1f\n", r->place, r->floor_call,
               r->call, r->floor_cycle, r->cycle, r->cycle / r->floor_cycle, r->all_cycle, r->batch_call, r->stop_one,
               r->stop_all, r->agent, r->stop_agent);
}

static void print_json(const struct result *r, size_t count)
{
    printf("{\"unit\":\"us\",\"rows\":[");
    for (size_t i = 0; i < count; i++, r++)
        printf("%s{\"processors\":\"%s\",\"floor_call\":%.2f,\"call\":%.2f,\"floor_cycle\":%.2f,\"cycle\":%.2f,"
               "\"all_threads_cycle\":%.2f,\"batch_call\":%.3f,\"stop_one\":%.2f,\"stop_all\":%.2f,"
               "\"agent_cycle\":%.2f,\"stop_agent\":%.2f}",
               i ? "," : "", r->place, r->floor_call, r->call, r->floor_cycle, r->cycle, r->all_cycle, r->batch_call,
               r->stop_one, r->stop_all, r->agent, r->stop_agent);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int ours, theirs;
    } places[] = {{"one", 0, 0}, {"any", -1, -1}, {"two", 0, 1}};
    struct result results[3] = {{0}};
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    size_t count = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 3 : 1;

    if (argc > 2 || (argc == 2 && !json)) {
        fprintf(stderr, "usage: bench_ptrace [--json]\n");
        return 2;
    }
    longest = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(longest != MAP_FAILED, "mmap");
    for (size_t i = 0; i < count; i++)
        results[i].place = places[i].name, measure(&results[i], places[i].ours, places[i].theirs);
    if (json)
        print_json(results, count);
    else
        print_table(results, count);
    return 0;
}
