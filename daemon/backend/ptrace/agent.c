/* The agent: a thread of ours in a target, which makes the calls of an edit of one range, so that no thread of the
 * target's own is stopped for it. It is one of the target's threads to the kernel, with all signals blocked, no
 * descriptors and no capabilities, and waits in the trampoline page, not traced. The other end of the pipe that it
 * watches is ours alone: it ends with the daemon, however that ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ptrace/internal.h"

#define PATIENCE_S           2 /* for which a new agent waits for us to go on with it */
#define NAME                 "aspaced-agent"
#define UNSHARE_DESCRIPTORS  2 /* CLOSE_RANGE_UNSHARE, linux/close_range.h */
#define LIFE_OURS            1 /* which end of the pipe */
#define OFFSET_LIFE(address) ((address) + offsetof(struct agent_data, life))

bool agent_is(const struct tracer *t, const struct tracee *tracee)
{
    return t->agent != 0 && tracee->tid == t->agent;
}

void agent_forget(struct tracer *t)
{
    if (t->agent_life >= 0)
        close(t->agent_life);
    t->agent_life = -1;
    t->agent = 0;
}

static uint64_t data_of(const struct tracer *t)
{
    return t->trampoline + OFFSET_AGENT;
}

static struct tracee *find(struct tracer *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (agent_is(t, &t->tracees[i]))
            return &t->tracees[i];
    return NULL;
}

static void swap_first(struct tracer *t, struct tracee *tracee)
{
    struct tracee first = t->tracees[0];

    t->tracees[0] = *tracee;
    *tracee = first;
}

static void park(struct tracer *t, struct tracee *tracee, bool watching)
{
    registers_load_park(&tracee->saved, t->trampoline + t->layout.park, data_of(t), watching, &tracee->saved);
    tracee->changed = true;
}

/* ---- The end ---- */

void agent_end(struct tracer *t, uint64_t entry)
{
    struct tracee *tracee = find(t);
    struct remote_call leave = {.number = SYS_exit};
    struct stop stop = {STOP_EVENT, 0};

    registers_load_call(&tracee->saved, entry, &leave, &tracee->saved);
    if (!registers_set(tracee->tid, &tracee->saved))
        return; /* it is being killed */
    while (stop.kind == STOP_EVENT) {
        ptrace(PTRACE_CONT, tracee->tid, NULL, NULL);
        stop = tracer_wait(t, tracee);
    }
    if (stop.kind != STOP_GONE)
        return;
    threads_drop(t, (size_t)(tracee - t->tracees));
    agent_forget(t);
}

void agent_settle(struct tracer *t)
{
    struct tracee *tracee = find(t);
    struct refusal why;
    uint64_t entry;

    if (t->trampoline == 0 && tracee && tracee->stopped && !trampoline_bootstrap(t, &why, &entry))
        agent_end(t, entry);
}

/* Attaches to it and stops it, as the last of the tracees. */
static enum aspace_error attach(struct tracer *t, pid_t tid, struct refusal *why)
{
    if (ptrace(PTRACE_SEIZE, tid, NULL, tracer_options_of(t)) != 0)
        return process_explain(t, tid, errno, why);
    struct tracee *tracee = threads_add(t, t->pid, tid);
    if (!tracee) {
        t->spent = true; /* one that we hold and cannot remember */
        return refuse_no_memory(why);
    }
    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
    struct stop stop = thread_drive(t, tracee);
    if (stop.kind == STOP_EVENT && thread_save(tracee))
        return ASPACE_OK;
    if (stop.kind != STOP_LATE)
        return process_refuse_gone(t, why);
    atomic_store(&t->cancelled, false);
    refuse(why, ASPACE_TIMEOUT, "our thread in process %d could not be stopped in time", (int)t->pid);
    why->hint = "its cgroup may be frozen: try again later";
    return why->code;
}

/* Without us it ends by itself in a while, in its page, which is left to it. */
static enum aspace_error leave_to_itself(struct tracer *t, const struct refusal *why)
{
    agent_forget(t);
    t->trampoline = 0;
    t->block_known = false;
    return why->code;
}

/* An agent that the target has outgrown. It ends by itself if it cannot be stopped now; its page is left to it then. */
static enum aspace_error dismiss(struct tracer *t, struct refusal *why)
{
    uint64_t entry;

    if (trampoline_bootstrap(t, why, &entry))
        return why->code;
    if (attach(t, t->agent, why)) {
        threads_release(t);
        return leave_to_itself(t, why);
    }
    agent_end(t, entry);
    threads_release(t);
    return ASPACE_OK;
}

/* The process may do other things than when the agent was made: it has other ids, fewer capabilities, a filter; the agent
 * has those it was made with. Or its first thread is over, and perhaps the process but for the agent. */
enum aspace_error agent_check(struct tracer *t, struct refusal *why)
{
    if (t->agent == 0)
        return ASPACE_OK;
    if (!process_has_thread(t->proc, t->agent)) {
        agent_forget(t);
        return ASPACE_OK;
    }
    if (process_rights(t) == t->agent_rights)
        return ASPACE_OK;
    if (t->seccomp != TRACER_SECCOMP_REFUSE || process_status(t, t->agent, "Seccomp", 0) == 0)
        return dismiss(t, why);
    refuse(why, ASPACE_UNSUPPORTED, "process %d filters its system calls by seccomp now, our thread's too",
           (int)t->pid);
    why->hint = "stopping that thread could kill the process: it is left where it is; allow filters to be suspended "
                "(needs CAP_SYS_ADMIN)";
    return why->code;
}

/* ---- The beginning ---- */

static enum aspace_error refuse_made(struct tracer *t, const char *what, int64_t result, struct refusal *why)
{
    refuse(why, result == -EAGAIN || result == -ENOMEM ? ASPACE_NO_MEMORY : ASPACE_UNSUPPORTED,
           "process %d cannot have an agent: %s: %s", (int)t->pid, what, strerror((int)-result));
    why->hint = result == -EAGAIN ? "it is at a limit of threads: RLIMIT_NPROC, pids.max of its cgroup"
                                  : "leave out agent, or run a kernel that has what is missing (Linux 5.9)";
    return why->code;
}

static enum aspace_error call(struct tracer *t, const char *what, long number, const uint64_t args[6],
                              struct refusal *why)
{
    int64_t result;

    if (tracer_call_one(t, number, args, why, &result))
        return why->code;
    return result < 0 ? refuse_made(t, what, result, why) : ASPACE_OK;
}

/* Our end of its pipe, opened through its /proc: whatever pid namespace it lives in. */
static enum aspace_error open_life(struct tracer *t, struct refusal *why)
{
    struct agent_data data;
    char path[64];

    if (tracer_read(t, data_of(t), &data, sizeof(data), why))
        return why->code;
    snprintf(path, sizeof(path), "task/%d/fd/%d", (int)t->agent, (int)data.life[LIFE_OURS]);
    t->agent_life = openat(t->proc, path, O_WRONLY | O_CLOEXEC);
    if (t->agent_life >= 0)
        return ASPACE_OK;
    return refuse_made(t, "opening its pipe", -errno, why);
}

/* It runs our calls already. Its own table of descriptors first: what it holds must not keep the target's files open. */
static enum aspace_error set_up(struct tracer *t, struct refusal *why)
{
    const struct __user_cap_header_struct version = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct {
        char name[16];
        struct __user_cap_header_struct version;
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
    } texts = {NAME, version, {{0}}};
    uint64_t at;

    if (call(t, "close_range", SYS_close_range, (uint64_t[6]){0, ~0U, UNSHARE_DESCRIPTORS}, why) ||
        tracer_string(t, &texts, sizeof(texts), why, &at) ||
        call(t, "prctl", SYS_prctl, (uint64_t[6]){PR_SET_NAME, at}, why) ||
        call(t, "prctl", SYS_prctl, (uint64_t[6]){PR_SET_NO_NEW_PRIVS, 1}, why) ||
        call(t, "capset", SYS_capset, (uint64_t[6]){at + sizeof(texts.name), at + sizeof(texts.name) + sizeof(version)},
             why) ||
        call(t, "pipe", SYS_pipe2, (uint64_t[6]){OFFSET_LIFE(data_of(t)), O_CLOEXEC}, why) || open_life(t, why))
        return why->code;
    return call(t, "close", SYS_close, (uint64_t[6]){LIFE_OURS}, why);
}

/* The thread that runs our calls makes it. Until it is set up it gives up by itself after a while. */
static enum aspace_error make(struct tracer *t, struct refusal *why)
{
    struct agent_data data = {.all = ~UINT64_C(0), .patience = {PATIENCE_S, 0}};

    t->agent_rights = process_rights(t);
    if (memory_poke(t, data_of(t), &data, sizeof(data), why) || remote_make_agent(t, data_of(t), why) ||
        tracer_read(t, data_of(t), &data, sizeof(data), why))
        return why->code;
    if (data.made < 0)
        return refuse_made(t, "clone", data.made, why);
    t->agent = process_find_thread(t, (pid_t)data.made);
    t->agent_page = t->trampoline;
    if (t->agent != 0)
        return attach(t, t->agent, why);
    return process_refuse_gone(t, why);
}

static enum aspace_error make_and_set_up(struct tracer *t, struct refusal *why)
{
    bool stays = t->scope == TRACER_ONE_THREAD;
    enum aspace_error error;

    if (make(t, why))
        return t->agent != 0 ? leave_to_itself(t, why) : why->code;
    if (stays)
        quirks_restore(t); /* they are the thread's that made it */
    swap_first(t, find(t));
    park(t, &t->tracees[0], false);
    error = set_up(t, why);
    if (error && !t->active)
        return leave_to_itself(t, why);
    park(t, &t->tracees[0], true);
    if (!stays) {
        /* Now: from here on the recovery block is another thread's. */
        registers_set(t->agent, &t->tracees[0].saved);
        swap_first(t, &t->tracees[t->count - 1]);
    }
    if (error)
        agent_end(t, t->trampoline + t->layout.call);
    return error && t->agent != 0 ? leave_to_itself(t, why) : error;
}

/* It is ours still, and knows where our pages are. */
static enum aspace_error go_on(struct tracer *t, struct tracee *tracee, struct refusal *why)
{
    struct agent_data data = {.watch_fd = 0};

    if (registers_instruction(&tracee->saved) - t->agent_page >= TRAMPOLINE_SIZE) {
        agent_forget(t); /* another thread that was given its id */
        return ASPACE_OK;
    }
    if (t->agent_page != t->trampoline && memory_poke(t, data_of(t), &data, sizeof(data), why))
        return why->code;
    t->agent_page = t->trampoline;
    park(t, tracee, true);
    return ASPACE_OK;
}

enum aspace_error agent_ready(struct tracer *t, struct refusal *why)
{
    struct tracee *tracee = find(t);

    if (tracee)
        return go_on(t, tracee, why);
    if (!t->agent_wanted || t->agent != 0 || t->held)
        return ASPACE_OK;
    return make_and_set_up(t, why);
}
