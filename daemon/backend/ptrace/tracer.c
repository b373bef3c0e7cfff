/* The tracer's life and its transactions: what tracer.h offers, made of the parts beside this file. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ptrace/internal.h"

#define KILL_WAIT_MS  1000 /* for a killed target to be gone */
#define LEAVE_WAIT_MS 1000 /* for the thread before us to be gone */
#define EXTENSION     4 /* times the deadline: what was begun takes as long to take back, call by call a little more */

/* ---- Opening and closing ---- */

static enum aspace_error check_policy(const struct tracer *t, struct refusal *why)
{
    if (t->seccomp != TRACER_SECCOMP_SUSPEND || process_may_suspend_filters())
        return ASPACE_OK;
    refuse(why, ASPACE_DENIED, "we may not suspend a target's seccomp filter");
    why->hint = "give the daemon CAP_SYS_ADMIN, or leave targets with a filter alone";
    return why->code;
}

/* The first transaction makes the agent: who asked for it is told now if it cannot be had. */
static enum aspace_error begin_agent(struct tracer *t, struct refusal *why)
{
    if (tracer_begin(t, TRACER_ONE_THREAD, why))
        return why->code;
    tracer_end(t);
    return ASPACE_OK;
}

static enum aspace_error open_target(struct tracer *t, const struct tracer_options *options, struct refusal *why)
{
    /* Room for one thread is made now: a transaction of one needs no memory. */
    if (!threads_add(t, 0, 0))
        return refuse_no_memory(why);
    t->count = 0;
    if (timer_open(why) || check_policy(t, why))
        return why->code;
    if (options->command ? spawn_target(t, options, why) : process_bind(t, why))
        return why->code;
    if (process_check_descriptors(t, why) || process_authorise(t, why))
        return why->code;
    process_bind_image(t);
    trampoline_new_session(t);
    if (!t->spawned)
        trampoline_clean_orphans(t);
    return t->agent_wanted && !t->spawned ? begin_agent(t, why) : ASPACE_OK;
}

enum aspace_error tracer_open(const struct tracer_options *options, struct refusal *why, struct tracer **ret)
{
    struct tracer *t = calloc(1, sizeof(*t));

    if (!t)
        return refuse_no_memory(why);
    t->pid = options->pid;
    t->pidfd = t->proc = t->tasks = t->memory = t->agent_life = -1;
    t->seccomp = options->seccomp;
    t->agent_wanted = options->agent;
    tracer_set_deadline(t, options->deadline_ms);
    if (open_target(t, options, why)) {
        enum aspace_error error = why->code;
        tracer_close(t, t->spawned);
        return error;
    }
    *ret = t;
    return ASPACE_OK;
}

static void kill_target(struct tracer *t)
{
    struct pollfd poll_fd = {.fd = t->pidfd, .events = POLLIN};

    if (t->pidfd < 0 || !process_alive(t))
        return;
    syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
    if (t->held && t->count > 0) {
        timer_start(t, KILL_WAIT_MS);
        tracer_wait(t, &t->tracees[0]); /* what is traced is reported to its tracer first */
        timer_stop();
    }
    poll(&poll_fd, 1, KILL_WAIT_MS);
    process_alive(t);
}

static void leave_target(struct tracer *t)
{
    struct refusal why;

    t->agent_wanted = false;
    if (t->trampoline != 0 && !t->stuck && tracer_begin(t, TRACER_ONE_THREAD, &why) == ASPACE_OK) {
        trampoline_remove(t, &why); /* what cannot be removed is left: it harms nobody */
        tracer_end(t);
    }
    tracer_resume(t, &why);
}

void tracer_close(struct tracer *t, bool kill)
{
    if (!t)
        return;
    tracer_end(t);
    if (kill)
        kill_target(t);
    else
        leave_target(t);
    if (t->spawned && t->pidfd >= 0 && process_alive(t))
        spawn_leave(t);
    agent_forget(t);
    process_unbind(t);
    free(t->sharers);
    free(t->tracees);
    free(t);
}

/* ---- A transaction ---- */

static enum aspace_error stop_held(struct tracer *t, struct refusal *why)
{
    if (t->count > 0 && thread_save(&t->tracees[0]))
        return ASPACE_OK;
    t->held = false;
    threads_release(t);
    process_survives(t);
    return process_refuse_gone(t, why);
}

static enum aspace_error stop_target(struct tracer *t, enum tracer_scope scope, struct refusal *why)
{
    if (t->held)
        return stop_held(t, why);
    if (agent_check(t, why))
        return why->code;
    return scope == TRACER_ONE_THREAD ? threads_stop_one(t, why) : threads_stop_all(t, why);
}

enum aspace_error tracer_begin(struct tracer *t, enum tracer_scope scope, struct refusal *why)
{
    enum aspace_error error;

    if (t->stuck) {
        refuse(why, ASPACE_BUSY, "an earlier request to process %d has not let go of it yet", (int)t->pid);
        why->hint = "try again";
        return why->code;
    }
    if (t->active)
        return refuse(why, ASPACE_INTERNAL_ERROR, "a transaction inside a transaction");
    if (!process_alive(t))
        return process_refuse_gone(t, why);
    if (timer_open(why))
        return why->code;
    timer_start(t, t->deadline_ms);
    error = stop_target(t, scope, why);
    if (error) {
        timer_stop();
        return error;
    }
    t->active = true;
    t->scope = scope;
    error = quirks_suspend(t, why);
    if (!error)
        error = trampoline_ready(t, why);
    if (!error)
        error = agent_ready(t, why);
    if (error)
        tracer_end(t);
    return error;
}

static void end_held(struct tracer *t)
{
    struct tracee *tracee = &t->tracees[0];

    if (tracee->stopped && registers_set(tracee->tid, &tracee->saved)) {
        tracee->changed = false;
        return;
    }
    t->held = false;
    threads_release(t);
}

void tracer_end(struct tracer *t)
{
    if (!t->active)
        return;
    agent_settle(t);
    t->active = false;
    quirks_restore(t);
    if (t->held)
        end_held(t);
    else
        threads_release(t);
    timer_stop();
}

size_t tracer_threads(const struct tracer *t)
{
    return t->active ? t->count : 0;
}

pid_t tracer_thread_id(const struct tracer *t, size_t index)
{
    return t->tracees[index].tid;
}

uint64_t tracer_stack_pointer(const struct tracer *t, size_t index)
{
    return registers_stack(&t->tracees[index].saved);
}

void tracer_each_stack(struct tracer *t, tracer_stack_fn *each, void *arg)
{
    struct thread_list list;
    uint64_t pointer;
    pid_t tid;
    bool more = true;

    for (size_t i = 0; i < t->count && more; i++)
        more = each(arg, t->tracees[i].tid, tracer_stack_pointer(t, i));
    if (t->scope == TRACER_ALL_THREADS || t->count == 0 || !agent_is(t, &t->tracees[0]) ||
        !thread_list_open(&list, t->proc))
        return;
    while (more && thread_list_next(&list, &tid))
        if (!threads_have(t, tid) && process_stack_pointer(t, tid, &pointer))
            more = each(arg, tid, pointer);
    thread_list_close(&list);
}

struct range tracer_own_pages(const struct tracer *t)
{
    uint64_t first = page_of(t->trampoline);

    return (struct range){first, t->trampoline ? first + OWN_PAGES : first};
}

/* ---- The target's life ---- */

bool tracer_gone(struct tracer *t)
{
    return tracer_fate(t) == TRACER_EXITED;
}

enum aspace_error tracer_follow(struct tracer *t, struct refusal *why)
{
    if (t->active)
        return refuse(why, ASPACE_INTERNAL_ERROR, "following a new image inside a transaction");
    if (process_authorise(t, why))
        return why->code;
    t->trampoline = 0;
    t->block_known = false;
    t->replaced = false;
    t->sharers_scanned = 0;
    agent_forget(t);
    process_bind_image(t);
    return ASPACE_OK;
}

enum aspace_error tracer_resume(struct tracer *t, struct refusal *why)
{
    if (t->active)
        return refuse(why, ASPACE_INTERNAL_ERROR, "resuming a target inside a transaction");
    if (!t->held)
        return ASPACE_OK;
    t->held = false;
    bool alive = process_alive(t);
    threads_release(t);
    return alive ? ASPACE_OK : process_refuse_gone(t, why);
}

bool tracer_held(const struct tracer *t)
{
    return t->held;
}

pid_t tracer_pid(const struct tracer *t)
{
    return t->pid;
}

/* ---- Deadlines ---- */

void tracer_set_deadline(struct tracer *t, uint64_t deadline_ms)
{
    t->deadline_ms = deadline_ms ? deadline_ms : TRACER_DEADLINE_MS;
}

void tracer_extend(struct tracer *t)
{
    if (t->active)
        timer_start(t, EXTENSION * t->deadline_ms);
}

bool tracer_spent(const struct tracer *t)
{
    return t->spent;
}

/* A thread that was joined may be in the kernel still, on its way to let go of what it traces. */
static void await_release(const struct tracer *t)
{
    for (unsigned ms = 0; ms < LEAVE_WAIT_MS && t->spender != gettid() && tgkill(getpid(), t->spender, 0) == 0; ms++)
        poll(NULL, 0, 1);
}

void tracer_adopt(struct tracer *t)
{
    if (t->spent)
        await_release(t);
    t->spent = false;
    t->stuck = false;
    t->held = false;
    t->active = false;
    t->count = 0;
    t->dead = 0;
}
