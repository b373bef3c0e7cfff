/* Attaching to threads, stopping them and letting them go: one, or all that share the target's memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ptrace/internal.h"

#define DRIVE_SIGNALS 1000 /* delivered at most before a stop is given up: each is progress of the target's */
#define SELECT_TRIES  16   /* threads that ended while we chose them */
#define REAP_MS       200  /* for the ends of killed threads to be reported, and for an exec */
#define RANK_GOOD     1    /* of a thread that is taken again without looking for a better one */
#define PASSES        1000 /* over the threads of a target that makes new ones all the time; 3 were seen */

struct tracee *threads_add(struct tracer *t, pid_t process, pid_t tid)
{
    if (t->count + t->dead == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 8;
        struct tracee *grown = realloc(t->tracees, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        t->tracees = grown;
        t->capacity = capacity;
    }
    t->tracees[t->count + t->dead] = t->tracees[t->count];
    t->tracees[t->count] = (struct tracee){.process = process, .tid = tid};
    return &t->tracees[t->count++];
}

void threads_drop(struct tracer *t, size_t index)
{
    struct tracee ended = t->tracees[index];
    size_t after = t->count + t->dead - index - 1;

    if (!ended.reaped)
        after -= t->dead;
    memmove(&t->tracees[index], &t->tracees[index + 1], after * sizeof(t->tracees[0]));
    t->count--;
    if (ended.reaped)
        return;
    t->tracees[t->count] = ended;
    t->dead++;
}

long tracer_options_of(const struct tracer *t)
{
    return PTRACE_O_TRACESYSGOOD | (t->seccomp == TRACER_SECCOMP_SUSPEND ? PTRACE_O_SUSPEND_SECCOMP : 0);
}

bool thread_save(struct tracee *tracee)
{
    if (!registers_get(tracee->tid, &tracee->saved))
        return false;
    tracee->changed = registers_hide_interrupt(&tracee->saved);
    return true;
}

/* A trap clears the request to stop: it is made again before each thread goes on. */
struct stop thread_drive(struct tracer *t, struct tracee *tracee)
{
    struct stop stop = {STOP_SIGNAL, 0};

    for (unsigned i = 0; i < DRIVE_SIGNALS; i++) {
        stop = tracer_wait(t, tracee);
        if (stop.kind == STOP_EVENT || stop.kind == STOP_GONE || stop.kind == STOP_LATE)
            return stop;
        ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
        ptrace(PTRACE_CONT, tracee->tid, NULL, (long)stop.signal); /* after ESRCH the wait says that it is gone */
    }
    return stop;
}

/* ---- Letting go ---- */

/* It stood, and its id has stopped anew or ended: it was killed, and a thread that execed may have its id now. */
static bool was_replaced(const struct tracee *tracee)
{
    siginfo_t info = {0};
    const int options = WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD;

    return tracee->tid == tracee->process && waitid(P_PID, (id_t)tracee->tid, &info, options) == 0 && info.si_pid != 0;
}

/* True if nothing is left to do for it. */
static bool release(struct tracee *tracee)
{
    if (!tracee->stopped)
        return tracee->reaped;
    if (!was_replaced(tracee)) {
        if (tracee->changed)
            registers_set(tracee->tid, &tracee->saved);
        if (ptrace(PTRACE_DETACH, tracee->tid, NULL, NULL) == 0)
            return true;
    }
    tracee->stopped = tracee->changed = false; /* it is being killed: who stops with its id now is not it */
    return false;
}

/* What was reported of a thread that could not be detached, if anything. True as release(). */
static bool reap(struct tracee *tracee)
{
    int status;
    pid_t tid = waitpid(tracee->tid, &status, __WALL | __WNOTHREAD | WNOHANG);

    if (tid == tracee->tid && WIFSTOPPED(status)) {
        tracee->stopped = true;
        if (!tracee->changed)
            thread_save(tracee); /* it stands for the first time */
        return release(tracee);
    }
    if (tid < 0 && tracee->tid != tracee->process) { /* it may have execed: see wait.c */
        tracee->tid = tracee->process;
        return !process_thread_is_traced(tracee->tid);
    }
    return tid != 0 || !process_thread_is_traced(tracee->tid);
}

void threads_release(struct tracer *t)
{
    size_t left = 0;

    for (size_t i = 0; i < t->count + t->dead; i++)
        if (!release(&t->tracees[i]))
            t->tracees[left++] = t->tracees[i];
    for (unsigned ms = 0; left > 0 && ms < REAP_MS; ms++) {
        size_t before = left;
        left = 0;
        for (size_t i = 0; i < before; i++)
            if (!reap(&t->tracees[i]))
                t->tracees[left++] = t->tracees[i];
        if (left > 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (size_t i = 0; i < left; i++)
        t->stuck = t->stuck || !process_thread_is_zombie(t->tracees[i].tid);
    t->spent = t->spent || left > 0;
    if (t->spent)
        t->spender = gettid();
    t->count = 0;
    t->dead = 0;
}

/* ---- Attaching ---- */

/* Attaches and asks for a stop. False with errno. Who execs meanwhile has the id of its process then: the kernel attaches
 * to the thread that was asked for, whatever its id is now. */
static bool attach(const struct tracer *t, pid_t process, pid_t tid)
{
    bool seized = tracer_seize(t, tid);
    int error = seized ? 0 : errno;

    if (!seized && error == EINTR && !threads_have(t, process))
        seized = process_thread_is_traced(process);
    if ((seized && ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0) || error == EINTR)
        ptrace(PTRACE_INTERRUPT, process, NULL, NULL);
    errno = error;
    return seized;
}

/* ---- One thread ---- */

/* How gladly we take a thread: a small number is better. Threads in a call that gives EINTR when woken get it hidden,
 * but a finite time they wait for begins anew. A first thread may be about to end: see is_ending_leader(). */
static int rank_of(const struct tracer *t, pid_t tid)
{
    char path[64], text[256];
    char state = process_thread_state(t->proc, tid);

    if (state == 0 || state == 'Z' || state == 'X' || state == 'I')
        return 100;
    if (state == 'D')
        return 50;
    if (state == 'T')
        return RANK_GOOD;
    snprintf(path, sizeof(path), "task/%d/syscall", (int)tid);
    int fd = openat(t->proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    if (got > 0 && text[0] != 'r' && is_woken_call(strtol(text, NULL, 10)))
        return 2;
    return tid == t->pid ? RANK_GOOD : 0;
}

static pid_t select_thread(struct tracer *t)
{
    struct thread_list list;
    pid_t tid, best = 0;
    int rank, best_rank = 100;

    if (t->agent)
        return t->agent;
    if (process_is_single(t))
        return t->pid;
    if (t->last_tid && rank_of(t, t->last_tid) <= RANK_GOOD)
        return t->last_tid;
    if (!thread_list_open(&list, t->proc))
        return 0;
    while (best_rank > 0 && thread_list_next(&list, &tid)) {
        rank = rank_of(t, tid);
        if (rank < best_rank) {
            best = tid;
            best_rank = rank;
        }
    }
    thread_list_close(&list);
    return best;
}

/* What we attached to is a thread of our process, not of one that took its id. */
static bool is_ours(struct tracer *t, pid_t tid)
{
    if (tid == t->pid)
        return process_alive(t);
    return process_has_thread(t->proc, tid);
}

static enum aspace_error refuse_late(struct tracer *t, pid_t tid, struct refusal *why)
{
    char state = process_thread_state(t->proc, tid);

    atomic_store(&t->cancelled, false);
    refuse(why, ASPACE_TIMEOUT, "thread %d of process %d could not be stopped in time (state %c)", (int)tid,
           (int)t->pid, state ? state : '?');
    why->hint = "it is in an uninterruptible call, waits for a vfork child, or its cgroup is frozen: try again later";
    return why->code;
}

static enum aspace_error refuse_signals(struct tracer *t, struct refusal *why)
{
    refuse(why, ASPACE_BUSY, "signals reach process %d faster than it can take them", (int)t->pid);
    why->hint = "try again";
    return why->code;
}

/* `stop` ended the way to a stopped thread: the refusal for all but STOP_EVENT and STOP_GONE. */
static enum aspace_error refuse_stop(struct tracer *t, pid_t tid, struct stop stop, struct refusal *why)
{
    return stop.kind == STOP_LATE ? refuse_late(t, tid, why) : refuse_signals(t, why);
}

enum aspace_error threads_stop_one(struct tracer *t, struct refusal *why)
{
    for (unsigned i = 0; i < SELECT_TRIES; i++) {
        pid_t tid = select_thread(t);
        if (tid == 0)
            break;
        if (!attach(t, t->pid, tid)) {
            /* EPERM says too that the thread is dying, or another one about to exec */
            if (i == SELECT_TRIES - 1 && errno != ESRCH)
                return process_explain(t, tid, errno, why);
            if (errno == ESRCH && tid == t->agent)
                agent_forget(t);
            if (!process_alive(t))
                break;
            sched_yield();
            continue;
        }
        struct tracee *tracee = threads_add(t, t->pid, tid);
        if (!tracee)
            return refuse_no_memory(why); /* cannot be: room for one is there from the start */
        struct stop stop = thread_drive(t, tracee);
        /* saved first: also one that is let go at once was woken */
        if (stop.kind == STOP_EVENT && thread_save(tracee) && is_ours(t, tracee->tid)) {
            t->last_tid = tid == t->agent ? 0 : tracee->tid;
            return ASPACE_OK;
        }
        if (tid == t->agent && stop.kind == STOP_GONE)
            agent_forget(t);
        threads_release(t);
        if (stop.kind != STOP_EVENT && stop.kind != STOP_GONE)
            return refuse_stop(t, tid, stop, why);
        t->last_tid = 0;
        if (!process_alive(t))
            break;
    }
    if (process_survives(t) && tracer_fate(t) == TRACER_ALIVE) {
        refuse(why, ASPACE_BUSY, "no thread of process %d lived long enough to be stopped", (int)t->pid);
        why->hint = "try again";
        return why->code;
    }
    return process_refuse_gone(t, why);
}

/* ---- All threads ---- */

/* Whether `tid` is among the tracees; *cursor is where the search begins, as both lists have the same order mostly. */
static bool is_known(const struct tracer *t, pid_t tid, size_t *cursor)
{
    for (size_t n = 0; n < t->count; n++) {
        size_t i = (*cursor + n) % t->count;
        if (t->tracees[i].tid != tid)
            continue;
        *cursor = i + 1;
        return true;
    }
    return false;
}

bool threads_have(const struct tracer *t, pid_t tid)
{
    size_t cursor = 0;

    return is_known(t, tid, &cursor);
}

/* The end of a first thread is reported when all the others have ended, and it cannot be let go of until then: that makes
 * the tracer spent. So one that has begun to end is left alone. One that begins in the microsecond or two between this
 * look and its stop is not: PTRACE_O_TRACEEXIT would meet half of those, and stand in the way of another thread's exec. */
static bool is_ending_leader(const struct tracer *t, pid_t process, int proc, pid_t tid)
{
    return tid == process && (process != t->pid || !process_is_single(t)) && !process_thread_lives(proc, tid);
}

struct refused {
    pid_t tid; /* 0: none */
    int error;
};

/* Attaches to the threads in `list` that are new and asks them to stop. *ret_refused is one that the kernel refused: it may be dying, or another one about to exec, so only that it is refused again and again tells something. */
static enum aspace_error seize_new(struct tracer *t, pid_t process, int proc, struct thread_list *list,
                                   struct refusal *why, struct refused *ret_refused)
{
    pid_t tid;
    size_t cursor = 0;

    *ret_refused = (struct refused){0, 0};
    while (thread_list_next(list, &tid)) {
        if (is_known(t, tid, &cursor) || is_ending_leader(t, process, proc, tid))
            continue;
        if (!attach(t, process, tid)) {
            int error = errno;
            if (error != ESRCH && process_thread_lives(proc, tid))
                *ret_refused = (struct refused){tid, error};
            continue;
        }
        if (!threads_add(t, process, tid)) {
            t->spent = t->stuck = true; /* one that we hold and cannot remember: the end of the thread lets it go */
            return refuse_no_memory(why);
        }
    }
    return ASPACE_OK;
}

/* Waits for the stops of all tracees from `first` on; those that end are dropped. */
static enum aspace_error await_stops(struct tracer *t, size_t first, struct refusal *why)
{
    for (size_t i = first; i < t->count;) {
        struct stop stop = thread_drive(t, &t->tracees[i]);
        if (stop.kind == STOP_EVENT && !thread_save(&t->tracees[i]))
            stop = tracer_wait(t, &t->tracees[i]); /* killed while it stood */
        if (stop.kind == STOP_GONE) {
            threads_drop(t, i);
            continue;
        }
        if (stop.kind != STOP_EVENT)
            return refuse_stop(t, t->tracees[i].tid, stop, why);
        i++;
    }
    for (size_t i = t->count; i-- > 0;)
        if (t->tracees[i].reaped) /* it has ended since */
            threads_drop(t, i);
    return ASPACE_OK;
}

/* Every thread of the process whose /proc/PID is `proc`: until a pass finds no new one while all others stand. */
static enum aspace_error stop_process(struct tracer *t, pid_t process, int proc, struct refusal *why)
{
    struct thread_list list;
    struct refusal later;
    unsigned refusals = 0;
    enum aspace_error error = ASPACE_OK;

    if (!thread_list_open(&list, proc))
        return ASPACE_OK; /* it has exited: whoever asked looks at what was stopped */
    for (unsigned pass = 0; pass < PASSES; pass++) {
        size_t before = t->count;
        struct refused refused;
        error = seize_new(t, process, proc, &list, why, &refused);
        size_t found = t->count - before;
        enum aspace_error awaited = await_stops(t, before, error ? &later : why);
        if (error || awaited) {
            error = error ? error : awaited;
            break;
        }
        if (refused.tid && ++refusals == SELECT_TRIES) {
            error = process_explain(t, refused.tid, refused.error, why);
            break;
        }
        if (found == 0 && !refused.tid)
            break;
        if (refused.tid)
            sched_yield();
        thread_list_rewind(&list);
    }
    thread_list_close(&list);
    return error;
}

/* The newest process id on the machine: while it stays the same no process was made. 0 if it is not to be had. */
static pid_t newest_process(void)
{
    char text[128];
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    const char *last = strrchr(text, ' ');
    return last ? (pid_t)strtol(last, NULL, 10) : 0;
}

/* Whether the process has memory at all: a thread of the kernel and a zombie have none, and so the same. */
static bool has_memory(pid_t pid)
{
    char path[32], text[32];

    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));
    if (fd >= 0)
        close(fd);
    return got > 0 && text[0] != '0';
}

/* `living`: a thread of the target that still has its memory. */
static bool shares_memory(pid_t living, pid_t pid)
{
    return syscall(SYS_kcmp, living, pid, KCMP_VM, 0, 0) == 0 && has_memory(pid);
}

static bool remember_sharer(struct tracer *t, pid_t pid)
{
    if (t->sharer_count == t->sharer_capacity) {
        size_t capacity = t->sharer_capacity ? 2 * t->sharer_capacity : 4;
        pid_t *grown = realloc(t->sharers, capacity * sizeof(*grown));
        if (!grown)
            return false;
        t->sharers = grown;
        t->sharer_capacity = capacity;
    }
    t->sharers[t->sharer_count++] = pid;
    return true;
}

/* Looks for processes that share the target's memory, if one could have been made since the last time. */
static enum aspace_error scan_sharers(struct tracer *t, struct refusal *why)
{
    struct thread_list list;
    pid_t pid, newest = newest_process();
    bool remembered = true;

    if (newest != 0 && newest == t->sharers_scanned)
        return ASPACE_OK;
    pid_t living = process_living_thread(t);
    if (!thread_list_open_processes(&list))
        return refuse(why, ASPACE_BUSY, "/proc cannot be read: %s", strerror(errno));
    t->sharer_count = 0;
    while (remembered && thread_list_next(&list, &pid))
        if (pid != t->pid && shares_memory(living, pid))
            remembered = remember_sharer(t, pid);
    thread_list_close(&list);
    t->sharers_scanned = remembered ? newest : 0;
    return remembered ? ASPACE_OK : refuse_no_memory(why);
}

static enum aspace_error stop_sharers(struct tracer *t, struct refusal *why)
{
    enum aspace_error error = ASPACE_OK;
    char path[32];

    for (size_t i = 0; i < t->sharer_count && !error; i++) {
        snprintf(path, sizeof(path), "/proc/%d", (int)t->sharers[i]);
        int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (proc < 0)
            continue;
        if (shares_memory(process_living_thread(t), t->sharers[i]))
            error = stop_process(t, t->sharers[i], proc, why);
        close(proc);
    }
    return error;
}

/* The thread that runs our calls comes first: of the target's own, and not in a call whose time would begin anew. */
static void choose_first(struct tracer *t)
{
    size_t best = 0;

    while (best < t->count && (t->tracees[best].changed || agent_is(t, &t->tracees[best]) ||
                               !process_thread_lives(t->proc, t->tracees[best].tid)))
        best++;
    if (best < t->count && best > 0) {
        struct tracee chosen = t->tracees[best];
        t->tracees[best] = t->tracees[0];
        t->tracees[0] = chosen;
    }
}

/* Sharers come after the target's own threads: a vfork parent stops once its child has gone on. */
static enum aspace_error stop_everything(struct tracer *t, struct refusal *why)
{
    size_t before;

    if (scan_sharers(t, why) || stop_process(t, t->pid, t->proc, why))
        return why->code;
    do {
        before = t->count;
        if (scan_sharers(t, why) || stop_sharers(t, why))
            return why->code;
    } while (t->count != before);
    return ASPACE_OK;
}

enum aspace_error threads_stop_all(struct tracer *t, struct refusal *why)
{
    enum aspace_error error;

    error = stop_everything(t, why);
    if (error) {
        threads_release(t);
        return error;
    }
    if (t->count == 0 || !process_alive(t)) {
        threads_release(t);
        return process_refuse_gone(t, why);
    }
    choose_first(t);
    return ASPACE_OK;
}
