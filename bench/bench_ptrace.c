/* The tracer beside a minimal hand-written injector, in the same run: one call within a stop, a whole attach-call-detach
 * cycle, a batch of 256 calls, and how long a target of 16 threads stands still for one edit. With target and tracer on
 * one processor, wherever the kernel likes, and on two. And the same through the daemon's socket. */
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
#include "bench_ptrace_daemon.h"
#include "injector.h"
#include "ptrace/tracer.h"

#define BATCH   256
#define THREADS 16

struct result {
    const char *place;
    struct floor_times floor;
    double call, cycle;        /* us: the same by the tracer */
    double all_cycle;          /* us: the same with every thread stopped */
    double batch_call;         /* us: one of 256 calls in a transaction */
    double stop_one, stop_all; /* us: how long a thread of 16 saw itself stand still for one edit */
    double agent, stop_agent;  /* us: a cycle and that time, with an agent */
    struct daemon_times daemon;
};

/* ---- Targets ---- */

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
    measure_floor(pid, &r->floor);
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
        printf("%-18s %10.1f %6.1f %11.1f %6.1f %6.2f %8.1f %6.2f %9.1f %9.1f %6.1f %10.1f\n", r->place, r->floor.call,
               r->call, r->floor.cycle, r->cycle, r->cycle / r->floor.cycle, r->all_cycle, r->batch_call, r->stop_one,
               r->stop_all, r->agent, r->stop_agent);
}

/* The most that a single edit is to take: the floor's cycle with a third more, and the request and its reply. */
static double bound(const struct daemon_times *d)
{
    return 1.3 * d->floor.cycle + d->ping;
}

static void print_daemon_table(const struct result *r, size_t count)
{
    printf("\nrequests to the daemon, one at a time; bound: 1.3 floor cycles and a ping;\n"
           "least: a floor cycle by an injector behind a bare socket\n\n");
    printf("%-18s %11s %6s %6s %6s %6s %6s %6s %6s %6s %8s\n", "processors", "floor cycle", "ping", "find", "edit",
           "bound", "ratio", "least", "ratio", "agent", "of 256");
    for (size_t i = 0; i < count; i++, r++)
        printf("%-18s %11.1f %6.1f %6.1f %6.1f %6.1f %6.2f %6.1f %6.2f %6.1f %8.2f\n", r->place, r->daemon.floor.cycle,
               r->daemon.ping, r->daemon.find, r->daemon.edit, bound(&r->daemon), r->daemon.edit / bound(&r->daemon),
               r->daemon.served, r->daemon.edit / r->daemon.served, r->daemon.agent, r->daemon.apply);
}

static void print_json(const struct result *r, size_t count, bool daemon)
{
    printf("{\"unit\":\"us\",\"rows\":[");
    for (size_t i = 0; i < count; i++, r++) {
        printf("%s{\"processors\":\"%s\",\"floor_call\":%.2f,\"call\":%.2f,\"floor_cycle\":%.2f,\"cycle\":%.2f,"
               "\"all_threads_cycle\":%.2f,\"batch_call\":%.3f,\"stop_one\":%.2f,\"stop_all\":%.2f,"
               "\"agent_cycle\":%.2f,\"stop_agent\":%.2f",
               i ? "," : "", r->place, r->floor.call, r->call, r->floor.cycle, r->cycle, r->all_cycle, r->batch_call,
               r->stop_one, r->stop_all, r->agent, r->stop_agent);
        if (daemon)
            printf(",\"daemon\":{\"floor_cycle\":%.2f,\"least\":%.2f,\"ping\":%.2f,\"find\":%.2f,\"edit\":%.2f,\"agent_"
                   "edit\":%.2f,"
                   "\"apply_edit\":%.3f}",
                   r->daemon.floor.cycle, r->daemon.served, r->daemon.ping, r->daemon.find, r->daemon.edit,
                   r->daemon.agent, r->daemon.apply);
        printf("}");
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int ours, theirs;
    } places[] = {{"one", 0, 0}, {"any", -1, -1}, {"two", 0, 1}};
    struct result results[3] = {{0}};
    const char *program = NULL;
    bool json = false;
    size_t count = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 3 : 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--aspaced") == 0 && i + 1 < argc)
            program = argv[++i];
        else {
            fprintf(stderr, "usage: bench_ptrace [--aspaced PATH] [--json]\n");
            return 2;
        }
    }
    longest = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(longest != MAP_FAILED, "mmap");
    for (size_t i = 0; i < count; i++) {
        results[i].place = places[i].name;
        measure(&results[i], places[i].ours, places[i].theirs);
        if (program)
            measure_daemon(program, places[i].ours, places[i].theirs, &results[i].daemon);
    }
    if (json) {
        print_json(results, count, program != NULL);
        return 0;
    }
    print_table(results, count);
    if (program)
        print_daemon_table(results, count);
    return 0;
}
