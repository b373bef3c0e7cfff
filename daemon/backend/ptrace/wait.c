/* Waiting for a traced thread to stop, no longer than a deadline. waitpid() has no time limit, so a timer signals the
 * waiting thread every few milliseconds; a signal lost before waitpid() began is followed by the next. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "ptrace/internal.h"

#define TICK_MS       20
#define MS            UINT64_C(1000000) /* ns */
#define TIMER_SIGNAL  (SIGRTMAX - 1)
#define EVENT_OF(s)   ((s) >> 16)
#define CALL_STOP_BIT 0x80 /* PTRACE_O_TRACESYSGOOD */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Where this thread goes on when a tick comes while it attaches. */
static _Thread_local sigjmp_buf *volatile way_out;

/* It ends waitpid() with EINTR. */
static void on_tick(int number)
{
    (void)number;
    if (way_out)
        siglongjmp(*way_out, 1);
}

/* The calling thread's. */
static _Thread_local struct own_timer {
    timer_t timer;
    bool made;
} own;
static pthread_key_t end_of_thread;

static void delete_own(void *timer)
{
    timer_delete(((struct own_timer *)timer)->timer);
}

static void set_up(void)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_NODEFER}; /* no SA_RESTART */

    sigaction(TIMER_SIGNAL, &action, NULL);
    pthread_key_create(&end_of_thread, delete_own);
}

enum aspace_error timer_open(struct refusal *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t set;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL};

    if (own.made)
        return ASPACE_OK;
    pthread_once(&once, set_up);
    sigemptyset(&set);
    sigaddset(&set, TIMER_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &own.timer))
        return refuse(why, ASPACE_NO_MEMORY, "no timer for the deadline of a target: %s", strerror(errno));
    own.made = true;
    pthread_setspecific(end_of_thread, &own);
    return ASPACE_OK;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / (1000 * MS)), .tv_nsec = (long)(ns % (1000 * MS))};
}

void timer_start(struct tracer *t, uint64_t ms)
{
    uint64_t tick = (ms > 0 && ms < TICK_MS ? ms : TICK_MS) * MS;
    struct itimerspec spec = {.it_value = timespec_of(tick), .it_interval = timespec_of(tick)};

    t->deadline = clock_ns() + ms * MS;
    timer_settime(own.timer, 0, &spec, NULL);
}

void timer_stop(void)
{
    struct itimerspec spec = {0};

    timer_settime(own.timer, 0, &spec, NULL);
}

bool tracer_seize(const struct tracer *t, pid_t tid)
{
    sigjmp_buf here;
    bool seized;

    if (sigsetjmp(here, 0)) {
        way_out = NULL;
        seized = process_thread_is_traced(tid); /* it may have been done just before */
        errno = EINTR;
        return seized;
    }
    way_out = &here;
    seized = ptrace(PTRACE_SEIZE, tid, NULL, tracer_options_of(t)) == 0;
    way_out = NULL;
    return seized;
}

void tracer_cancel(struct tracer *t)
{
    atomic_store(&t->cancelled, true); /* seen at the next tick, at most TICK_MS from now */
}

static bool is_late(struct tracer *t)
{
    return atomic_load(&t->cancelled) || clock_ns() >= t->deadline;
}

static struct stop stop_of(int status)
{
    int signal = WSTOPSIG(status);

    if (!WIFSTOPPED(status))
        return (struct stop){.kind = STOP_GONE};
    if (EVENT_OF(status) == PTRACE_EVENT_STOP)
        return (struct stop){.kind = STOP_EVENT};
    if (EVENT_OF(status) != 0)
        return (struct stop){.kind = STOP_EXEC};
    if (signal == (SIGTRAP | CALL_STOP_BIT))
        return (struct stop){.kind = STOP_CALL};
    return (struct stop){.kind = STOP_SIGNAL, .signal = signal};
}

/* Its end is there to be reported; its stops are not touched (WEXITED alone would take them, too). */
static bool has_ended(pid_t tid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD) == 0 &&
           (info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
}

/* A leader that ended while other threads live is not reported until they end, and cannot be detached. */
static bool is_dead_leader(const struct tracee *tracee)
{
    return process_thread_is_zombie(tracee->tid) && !has_ended(tracee->tid);
}

/* The other way round: a leader's id is taken by a thread of its process that execs, and that we do not trace. It shows
 * only if the target is our own child, which can be waited for without being traced. */
static bool is_replaced(struct tracee *tracee)
{
    if (process_thread_is_traced(tracee->tid))
        return false;
    tracee->reaped = true;
    return true;
}

/* A thread that execs takes the id of its process; nothing says so but that its old id is no child of ours any more. */
static bool is_renamed(const struct tracer *t, struct tracee *tracee)
{
    if (tracee->tid == tracee->process || threads_have(t, tracee->process))
        return false;
    tracee->tid = tracee->process;
    return true;
}

/* A thread that execs does not stop before the others of its process are dead and their tracer knows. */
static void reap_others(struct tracer *t, const struct tracee *tracee)
{
    for (size_t i = 0; i < t->count + t->dead; i++) {
        struct tracee *other = &t->tracees[i];
        if (other == tracee || other->reaped || !has_ended(other->tid))
            continue;
        waitpid(other->tid, NULL, WNOHANG | __WALL | __WNOTHREAD);
        other->reaped = true;
        other->stopped = false;
    }
}

struct stop tracer_wait(struct tracer *t, struct tracee *tracee)
{
    int status;

    tracee->stopped = false;
    while (waitpid(tracee->tid, &status, __WALL | __WNOTHREAD) < 0) {
        if (errno == ECHILD && is_renamed(t, tracee))
            continue;
        if (errno != EINTR) {
            tracee->reaped = true;
            return (struct stop){.kind = STOP_GONE};
        }
        if (is_late(t))
            return (struct stop){.kind = STOP_LATE};
        reap_others(t, tracee);
        if (is_dead_leader(tracee) || is_replaced(tracee))
            return (struct stop){.kind = STOP_GONE};
    }
    struct stop stop = stop_of(status);
    tracee->stopped = stop.kind != STOP_GONE;
    tracee->reaped = stop.kind == STOP_GONE;
    return stop;
}
