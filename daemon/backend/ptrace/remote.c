/* Calls in the stopped target: one by one with two system-call stops each, or many in a batch that runs inside it. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ptrace/internal.h"

#define BATCH_FROM 5   /* calls: fewer are quicker one by one */
#define TRIES      256 /* of one call, when signals come in between: each try delivers one to the target */
#define GRACE_MS   100 /* for a stop after the deadline, before the thread is given up */

static enum aspace_error refuse_changed_pages(struct tracer *t, struct refusal *why)
{
    t->trampoline = 0;
    t->block_known = false;
    refuse(why, ASPACE_BUSY, "the pages of ours in process %d were made inaccessible", (int)t->pid);
    why->hint = "try again: others will be mapped";
    return why->code;
}

/* How a step ended. Everything but STEP_DONE has ended the transaction, except STEP_AGAIN and STEP_REFUSED. */
enum step {
    STEP_DONE,
    STEP_AGAIN,   /* a signal came first and was delivered: load and try anew */
    STEP_REFUSED, /* *why says why; the thread is stopped and its registers are whole */
    STEP_GONE,
    STEP_LATE,
};

static struct tracee *caller(struct tracer *t)
{
    return &t->tracees[0];
}

static bool resume(struct tracee *tracee, enum __ptrace_request how, int signal)
{
    return ptrace(how, tracee->tid, NULL, (long)signal) == 0;
}

/* The thread is about to get a signal while its registers are ours: it gets its own back, and the signal, and stands
 * again at what follows: its next instruction or its handler's first. */
static enum step back_out(struct tracer *t, int signal)
{
    struct tracee *tracee = caller(t);

    if (!registers_set(tracee->tid, &tracee->saved))
        return STEP_GONE;
    ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
    resume(tracee, PTRACE_CONT, signal);
    struct stop stop = thread_drive(t, tracee);
    if (stop.kind == STOP_LATE)
        return STEP_LATE;
    return stop.kind == STOP_EVENT && thread_save(tracee) ? STEP_AGAIN : STEP_GONE;
}

/* At a call's entry: it is skipped, and the thread stands at its exit. */
static enum step skip_call(struct tracer *t)
{
    struct tracee *tracee = caller(t);
    struct registers none;
    struct remote_call nothing = {.number = -1};

    if (!registers_get(tracee->tid, &none))
        return STEP_GONE;
    registers_load_call(&none, registers_instruction(&none), &nothing, &none);
    if (!registers_set(tracee->tid, &none) || !resume(tracee, PTRACE_SYSCALL, 0))
        return STEP_GONE;
    return tracer_wait(t, tracee).kind == STOP_CALL ? STEP_DONE : STEP_GONE;
}

/* The thread is left to the kernel and to the trampoline that it is in. */
static enum step abandon(struct tracer *t)
{
    atomic_store(&t->cancelled, false);
    t->spent = t->stuck = true;
    t->trampoline = 0;
    t->block_known = false;
    return STEP_LATE;
}

/* The deadline passed while the thread ran with our registers: a little more time for a stop. STEP_LATE either way, or
 * STEP_GONE; with no stop the tracer is spent, and the trampoline, still in use, is abandoned for a new one. `in_call`:
 * the call has begun, so the next system-call stop is its exit; its answer is then *call's. */
static enum step give_up(struct tracer *t, bool in_call, struct remote_call *call)
{
    struct tracee *tracee = caller(t);
    struct __ptrace_syscall_info info;

    atomic_store(&t->cancelled, false);
    timer_start(t, GRACE_MS);
    ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL);
    struct stop stop = tracer_wait(t, tracee);
    if (stop.kind == STOP_GONE)
        return STEP_GONE;
    if (stop.kind == STOP_LATE)
        return abandon(t);
    if (stop.kind == STOP_CALL && !in_call)
        return skip_call(t) == STEP_DONE ? STEP_LATE : STEP_GONE;
    if (stop.kind == STOP_CALL && call && ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) > 0 &&
        info.op == PTRACE_SYSCALL_INFO_EXIT) {
        call->result = info.exit.rval;
        call->done = true;
    }
    /* A signal that came is delivered with the thread's own registers. */
    if (stop.kind == STOP_SIGNAL && back_out(t, stop.signal) == STEP_GONE)
        return STEP_GONE;
    return STEP_LATE;
}

/* Our own page may not be executed any more: the target, or another debugger, changed it. The fault is ours, not the
 * target's: it is taken back, and the next transaction maps a new page. */
static bool is_our_fault(struct tracer *t, uint64_t entry, struct stop stop, struct refusal *why)
{
    struct tracee *tracee = caller(t);
    struct registers now;
    siginfo_t info;

    if (stop.kind != STOP_SIGNAL || stop.signal != SIGSEGV ||
        ptrace(PTRACE_GETSIGINFO, tracee->tid, NULL, &info) != 0 || info.si_code <= 0 ||
        !registers_get(tracee->tid, &now) || registers_instruction(&now) != entry ||
        !registers_set(tracee->tid, &tracee->saved))
        return false;
    tracee->changed = false;
    refuse_changed_pages(t, why);
    return true;
}

/* A stop that is not the one waited for. */
static enum step other_stop(struct tracer *t, struct stop stop)
{
    switch (stop.kind) {
    case STOP_SIGNAL:
        return back_out(t, stop.signal);
    case STOP_LATE:
        return give_up(t, false, NULL);
    default:
        return STEP_GONE;
    }
}

/* From the loaded registers to the entry of the call. Group-stops on the way are noted by the kernel itself: it stops
 * the thread again when it is detached. */
static enum step enter(struct tracer *t, uint64_t entry, const struct remote_call *call, struct refusal *why)
{
    struct tracee *tracee = caller(t);
    struct __ptrace_syscall_info info;

    for (;;) {
        if (!resume(tracee, PTRACE_SYSCALL, 0) && errno != ESRCH)
            return STEP_GONE;
        struct stop stop = tracer_wait(t, tracee);
        if (stop.kind == STOP_EVENT)
            continue;
        if (is_our_fault(t, entry, stop, why))
            return STEP_REFUSED;
        if (stop.kind != STOP_CALL)
            return other_stop(t, stop);
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) < 0)
            return STEP_GONE;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == (uint64_t)call->number)
            return STEP_DONE;
        /* The exit of a call that the thread was stopped in: ours comes next. */
    }
}

static enum step leave(struct tracer *t, struct remote_call *call)
{
    struct tracee *tracee = caller(t);
    struct __ptrace_syscall_info info;

    resume(tracee, PTRACE_SYSCALL, 0);
    struct stop stop = tracer_wait(t, tracee);
    if (stop.kind == STOP_LATE)
        return give_up(t, true, call);
    if (stop.kind != STOP_CALL || ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) < 0)
        return STEP_GONE;
    call->result = info.exit.rval;
    return STEP_DONE;
}

/* The kernel's codes for a call to be restarted: a signal came, and the call did nothing yet. include/linux/errno.h */
static bool is_restart(int64_t result)
{
    return result <= -512 && result >= -516;
}

static enum step try_call(struct tracer *t, uint64_t entry, struct remote_call *call, struct refusal *why)
{
    struct tracee *tracee = caller(t);
    struct registers loaded;
    enum step step;

    if (t->trampoline && trampoline_protect(t, why))
        return why->code == ASPACE_TARGET_GONE ? STEP_GONE : STEP_REFUSED;
    registers_load_call(&tracee->saved, entry, call, &loaded);
    tracee->changed = true;
    if (!registers_set(tracee->tid, &loaded))
        return STEP_GONE;
    step = enter(t, entry, call, why);
    if (step == STEP_DONE)
        step = leave(t, call);
    if (step != STEP_DONE)
        return step;
    if (is_restart(call->result))
        return back_out(t, 0);
    call->done = true;
    return STEP_DONE;
}

/* Ends the transaction where a step says that it is over. */
static enum aspace_error end_step(struct tracer *t, enum step step, struct refusal *why)
{
    switch (step) {
    case STEP_DONE:
        return ASPACE_OK;
    case STEP_REFUSED:
        return why->code;
    case STEP_AGAIN:
        refuse(why, ASPACE_BUSY, "signals reach process %d faster than it can take them", (int)t->pid);
        why->hint = "try again";
        return why->code;
    case STEP_LATE:
        if (t->stuck || !caller(t)->stopped)
            tracer_end(t);
        refuse(why, ASPACE_TIMEOUT,
               t->stuck ? "a call in process %d is not over; it may be done yet"
                        : "a call in process %d was not done in time",
               (int)t->pid);
        why->hint = "its memory or a lock may be held by something slow: look at the areas, and try again";
        return why->code;
    case STEP_GONE:
        break;
    }
    tracer_end(t);
    process_survives(t); /* only what ends all of a process ends a thread in mid-call */
    return process_refuse_gone(t, why);
}

enum aspace_error remote_call_at(struct tracer *t, uint64_t entry, struct remote_call *call, struct refusal *why)
{
    enum step step = STEP_AGAIN;

    call->done = false;
    for (unsigned i = 0; i < TRIES && step == STEP_AGAIN; i++)
        step = try_call(t, entry, call, why);
    return end_step(t, step, why);
}

/* ---- Many calls inside the target ---- */

/* A signal that ends a batch: one that does nothing if we are not there any more, and that the thread does not block.
 * 0 if it blocks both. Another's of the same number, sent to that very thread while ours is pending, would be merged into
 * it and lost: so first the one that nobody sends to a thread. */
static int batch_signal(const struct tracee *tracee)
{
    static const int signals[] = {SIGWINCH, SIGURG};
    uint64_t blocked;

    if (ptrace(PTRACE_GETSIGMASK, tracee->tid, sizeof(blocked), &blocked) != 0)
        return 0;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (!(blocked >> (signals[i] - 1) & 1))
            return signals[i];
    return 0;
}

static bool is_batch_info(const struct tracer *t, const siginfo_t *info)
{
    if (info->si_code == SI_QUEUE)
        return info->si_value.sival_ptr == (void *)(uintptr_t)t->session;
    return info->si_code == SI_USER && info->si_pid == 0; /* the kernel had no room to keep what was sent */
}

struct batch {
    struct batch_registers registers;
    struct registers now; /* where it is to go on */
    bool late;            /* the deadline passed: it is to end with the call that it is at */
    bool stepping;        /* it is to end with that call for another reason, which system-call stops show */
};

/* All its calls are made and recorded, and its signal is not sent yet. */
static bool is_in_tail(const struct tracer *t, const struct registers *now)
{
    uint64_t offset = registers_instruction(now) - t->trampoline;

    return offset >= t->layout.batch_tail && offset < t->layout.batch_end;
}

/* A foreign signal in mid-batch: delivered with the thread's own registers. Its handler may block the batch's signal, so
 * the call that it is at becomes the last: made or not, as its registers say better than its table. */
static enum step interrupt_batch(struct tracer *t, struct batch *batch, int signal, struct refusal *why)
{
    enum step step;

    if (!registers_get(caller(t)->tid, &batch->now))
        return STEP_GONE;
    bool over = is_in_tail(t, &batch->now);
    registers_redo(&batch->now);
    registers_end_batch(&batch->now);
    step = back_out(t, signal);
    if (step != STEP_AGAIN || over)
        return step == STEP_AGAIN ? STEP_DONE : step;
    if (trampoline_protect(t, why))
        return why->code == ASPACE_TARGET_GONE ? STEP_GONE : STEP_REFUSED;
    batch->stepping = true;
    caller(t)->changed = true;
    return registers_set(caller(t)->tid, &batch->now) ? STEP_AGAIN : STEP_GONE;
}

/* A system-call stop, when it is stepping: at the entry of the first call of its tail it is over. */
static enum step batch_call_stop(struct tracer *t, struct batch *batch)
{
    struct registers now;

    if (!registers_get(caller(t)->tid, &now))
        return STEP_GONE;
    if (!is_in_tail(t, &now))
        return STEP_AGAIN;
    batch->now = now;
    return skip_call(t);
}

#define HELD_MAX 32 /* the signals that may come before the batch's: those that do not queue, each once */

/* What was held back for the batch's own signal, but for the first, is sent anew. Who sent it is lost where the kernel keeps
 * that to itself. */
static void send_again(struct tracer *t, const siginfo_t *held, size_t count)
{
    const struct tracee *tracee = caller(t);

    for (size_t i = 1; i < count; i++)
        if (syscall(SYS_rt_tgsigqueueinfo, tracee->process, tracee->tid, held[i].si_signo, &held[i]) != 0)
            syscall(SYS_tgkill, tracee->process, tracee->tid, held[i].si_signo);
}

/* The thread takes a signal, and no instruction. */
static enum step next_signal(struct tracer *t, siginfo_t *ret)
{
    struct stop stop;

    do {
        resume(caller(t), PTRACE_CONT, 0);
        stop = tracer_wait(t, caller(t));
    } while (stop.kind == STOP_EVENT);
    if (stop.kind == STOP_LATE)
        return abandon(t);
    return stop.kind == STOP_SIGNAL && ptrace(PTRACE_GETSIGINFO, caller(t)->tid, NULL, ret) == 0 ? STEP_DONE
                                                                                                 : STEP_GONE;
}

static uint64_t bit_of(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

/* Until the batch's own has come. One that is held is blocked meanwhile: another of its number waits, as it would for the
 * first one's handler, and a sender that never rests does not keep ours away. SIGSTOP alone cannot be blocked. */
static enum step hold_until_own(struct tracer *t, int own, siginfo_t held[HELD_MAX], size_t *count)
{
    pid_t tid = caller(t)->tid;
    siginfo_t info = held[0];
    uint64_t mask, blocked;

    if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), &mask) != 0)
        return STEP_GONE;
    blocked = mask;
    while (info.si_signo != own) {
        blocked |= bit_of(info.si_signo);
        ptrace(PTRACE_SETSIGMASK, tid, sizeof(blocked), &blocked);
        enum step step = next_signal(t, &info);
        if (step != STEP_DONE)
            return step;
        if (blocked & bit_of(info.si_signo) || (info.si_signo == own && is_batch_info(t, &info)))
            continue;
        if (*count == HELD_MAX)
            return STEP_GONE;
        held[(*count)++] = info; /* also its own number, if another's came first: ours was merged into it */
    }
    return ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask) == 0 ? STEP_DONE : STEP_GONE;
}

/* The batch has sent its signal, and another comes first: all such are held back until its own has come, in whose place
 * they are then delivered. */
static enum step await_own_signal(struct tracer *t, int own, const siginfo_t *first)
{
    siginfo_t held[HELD_MAX] = {*first};
    size_t count = 1;
    enum step step = hold_until_own(t, own, held, &count);

    if (step != STEP_DONE)
        return step;
    send_again(t, held, count);
    ptrace(PTRACE_SETSIGINFO, caller(t)->tid, NULL, &held[0]);
    step = back_out(t, held[0].si_signo);
    return step == STEP_AGAIN ? STEP_DONE : step;
}

/* Another thread has just told the kernel to ignore the batch's signal, which discards one that was sent: nothing stopped
 * the thread, and it goes on as itself. */
static bool has_left(const struct tracer *t, const struct registers *now)
{
    return registers_instruction(now) - t->trampoline >= TRAMPOLINE_SIZE;
}

/* What its calls gave is not known any more. */
static enum step end_left(struct tracer *t, int signal)
{
    if (!thread_save(caller(t)) || (signal && back_out(t, signal) == STEP_GONE))
        return STEP_GONE;
    return STEP_LATE;
}

/* STEP_DONE if the signal that is about to be delivered is the batch's own, at its end. */
static enum step batch_signal_stop(struct tracer *t, struct batch *batch, int signal, struct refusal *why)
{
    struct registers now;
    siginfo_t info;

    if (is_our_fault(t, batch->registers.entry, (struct stop){STOP_SIGNAL, signal}, why))
        return STEP_REFUSED;
    if (!registers_get(caller(t)->tid, &now) || ptrace(PTRACE_GETSIGINFO, caller(t)->tid, NULL, &info) != 0)
        return STEP_GONE;
    if (has_left(t, &now))
        return end_left(t, signal);
    if (registers_instruction(&now) != t->trampoline + t->layout.batch_end)
        return interrupt_batch(t, batch, signal, why);
    batch->now = now;
    if (signal != batch->registers.signal)
        return await_own_signal(t, batch->registers.signal, &info);
    if (is_batch_info(t, &info))
        return STEP_DONE;
    enum step step = back_out(t, signal); /* another's came first, and ours was merged into it */
    return step == STEP_AGAIN ? STEP_DONE : step;
}

/* The deadline passed. The batch is stopped and told to end after the call that it is at, so that what is done is known:
 * that call has as much time again. */
static enum step hurry_batch(struct tracer *t, struct batch *batch)
{
    if (batch->late)
        return abandon(t);
    batch->late = true;
    atomic_store(&t->cancelled, false);
    timer_start(t, t->deadline_ms);
    ptrace(PTRACE_INTERRUPT, caller(t)->tid, NULL, NULL);
    return STEP_AGAIN;
}

/* A stop for no signal: asked for by us, or of the whole process. */
static enum step batch_event_stop(struct tracer *t, struct batch *batch)
{
    struct registers now;

    if (!batch->late)
        return STEP_AGAIN;
    if (!registers_get(caller(t)->tid, &now))
        return STEP_GONE;
    if (has_left(t, &now))
        return end_left(t, 0);
    batch->now = now;
    registers_end_batch(&batch->now);
    return registers_set(caller(t)->tid, &batch->now) ? STEP_AGAIN : STEP_GONE;
}

static enum step run_batch(struct tracer *t, struct batch *batch, struct refusal *why)
{
    struct tracee *tracee = caller(t);
    enum step step = STEP_AGAIN;

    tracee->changed = true;
    if (!registers_set(tracee->tid, &batch->now))
        return STEP_GONE;
    resume(tracee, PTRACE_CONT, 0);
    while (step == STEP_AGAIN) {
        struct stop stop = tracer_wait(t, tracee);
        if (stop.kind == STOP_SIGNAL)
            step = batch_signal_stop(t, batch, stop.signal, why);
        else if (stop.kind == STOP_LATE)
            step = hurry_batch(t, batch);
        else if (stop.kind == STOP_GONE)
            return STEP_GONE;
        else if (stop.kind == STOP_CALL)
            step = batch_call_stop(t, batch);
        else
            step = batch_event_stop(t, batch);
        if (step == STEP_AGAIN && stop.kind != STOP_LATE)
            resume(tracee, batch->stepping ? PTRACE_SYSCALL : PTRACE_CONT, 0);
    }
    return step;
}

/* The batch writes its table itself, and would fault if the target has forbidden that; so it is allowed again. Writing by
 * process_vm_writev asks as the target would be asked, unlike memory_poke(). */
static enum aspace_error table_writable(struct tracer *t, struct refusal *why)
{
    uint64_t data = t->trampoline + TRAMPOLINE_SIZE;
    struct remote_call allow = {
        .number = SYS_mprotect,
        .args = {data, DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE, PROT_READ | PROT_WRITE},
    };
    struct iovec here = {(char[1]){0}, 1};
    struct iovec there = {(void *)(uintptr_t)(t->trampoline + OFFSET_TABLE + offsetof(struct batch_entry, result)), 1};

    if (process_vm_writev(t->pid, &here, 1, &there, 1, 0) >= 0 || errno != EFAULT)
        return ASPACE_OK;
    if (remote_call_at(t, t->trampoline + t->layout.call, &allow, why))
        return why->code;
    return remote_call_failed(&allow) ? refuse_changed_pages(t, why) : ASPACE_OK;
}

static enum aspace_error write_table(struct tracer *t, const struct remote_call *calls, size_t count,
                                     struct refusal *why)
{
    struct batch_entry table[BATCH_CALLS];

    for (size_t i = 0; i < count; i++) {
        table[i] = (struct batch_entry){.number = (uint64_t)calls[i].number};
        memcpy(table[i].args, calls[i].args, sizeof(table[i].args));
    }
    if (memory_poke(t, t->trampoline + OFFSET_TABLE, table, count * sizeof(table[0]), why))
        return why->code;
    return table_writable(t, why);
}

static enum aspace_error read_results(struct tracer *t, struct remote_call *calls, size_t count, struct refusal *why)
{
    struct batch_entry table[BATCH_CALLS];

    if (tracer_read(t, t->trampoline + OFFSET_TABLE, table, count * sizeof(table[0]), why))
        return why->code;
    for (size_t i = 0; i < count; i++) {
        calls[i].result = table[i].result;
        calls[i].done = true;
    }
    return ASPACE_OK;
}

/* *ret_done of the calls are over. */
static enum aspace_error call_batch(struct tracer *t, struct remote_call *calls, size_t count, int signal,
                                    struct refusal *why, size_t *ret_done)
{
    uint64_t table = t->trampoline + OFFSET_TABLE;
    struct batch batch = {.registers = {
                              .entry = t->trampoline + t->layout.batch,
                              .first = table,
                              .end = table + count * sizeof(struct batch_entry),
                              .info = t->trampoline + t->layout.info,
                              .signal = signal,
                          }};

    if (write_table(t, calls, count, why) || trampoline_protect(t, why))
        return why->code;
    registers_load_batch(&caller(t)->saved, &batch.registers, &batch.now);
    enum step step = run_batch(t, &batch, why);
    *ret_done = (registers_batch_position(&batch.now) - table) / sizeof(struct batch_entry);
    if (step == STEP_DONE && batch.late)
        step = STEP_LATE;
    if ((step == STEP_DONE || step == STEP_LATE) && read_results(t, calls, *ret_done, why))
        return end_step(t, STEP_GONE, why);
    return end_step(t, step, why);
}

/* Calls from `calls` on, at least one of them; *ret_done are over. */
static enum aspace_error call_some(struct tracer *t, struct remote_call *calls, size_t count, struct refusal *why,
                                   size_t *ret_done)
{
    int signal = count >= BATCH_FROM ? batch_signal(caller(t)) : 0;

    if (signal)
        return call_batch(t, calls, count < BATCH_CALLS ? count : BATCH_CALLS, signal, why, ret_done);
    *ret_done = 1;
    return remote_call_at(t, t->trampoline + t->layout.call, calls, why);
}

enum aspace_error tracer_call(struct tracer *t, struct remote_call *calls, size_t count, struct refusal *why)
{
    size_t done = 0;

    for (size_t i = 0; i < count; i++)
        calls[i].done = false;
    if (!t->active)
        return refuse(why, ASPACE_INTERNAL_ERROR, "a remote call outside a transaction");
    for (size_t i = 0; i < count; i += done) {
        if (call_some(t, calls + i, count - i, why, &done))
            return why->code;
        if (remote_call_failed(&calls[i + done - 1]))
            return ASPACE_OK;
    }
    return ASPACE_OK;
}

/* ---- A thread of ours ---- */

/* One try. Once its signals are blocked none comes but SIGSTOP, which is passed on: the thread stops when it is let go. */
static enum step try_make_agent(struct tracer *t, uint64_t data, struct refusal *why)
{
    static const uint64_t numbers[] = {SYS_rt_sigprocmask, SYS_clone, SYS_rt_sigprocmask};
    struct tracee *tracee = caller(t);
    struct __ptrace_syscall_info info;
    struct registers loaded;
    bool inside = false;
    int signal = 0;

    if (trampoline_protect(t, why))
        return why->code == ASPACE_TARGET_GONE ? STEP_GONE : STEP_REFUSED;
    registers_load_agent(&tracee->saved, t->trampoline + t->layout.agent, data, &loaded);
    tracee->changed = true;
    if (!registers_set(tracee->tid, &loaded))
        return STEP_GONE;
    for (size_t over = 0; over < sizeof(numbers) / sizeof(numbers[0]);) {
        if (!resume(tracee, PTRACE_SYSCALL, signal) && errno != ESRCH)
            return STEP_GONE;
        struct stop stop = tracer_wait(t, tracee);
        signal = stop.kind == STOP_SIGNAL ? stop.signal : 0;
        if (signal && over == 0 && !inside)
            return is_our_fault(t, t->trampoline + t->layout.agent, stop, why) ? STEP_REFUSED : back_out(t, signal);
        if (stop.kind == STOP_LATE)
            return abandon(t);
        if (signal || stop.kind == STOP_EVENT)
            continue;
        if (stop.kind != STOP_CALL || ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) < 0)
            return STEP_GONE;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            inside = info.entry.nr == numbers[over];
        else if (inside)
            over++, inside = false;
    }
    return registers_set(tracee->tid, &tracee->saved) ? STEP_DONE : STEP_GONE;
}

enum aspace_error remote_make_agent(struct tracer *t, uint64_t data, struct refusal *why)
{
    enum step step = STEP_AGAIN;

    if (table_writable(t, why))
        return why->code;
    for (unsigned i = 0; i < TRIES && step == STEP_AGAIN; i++)
        step = try_make_agent(t, data, why);
    return end_step(t, step, why);
}

enum aspace_error tracer_call_one(struct tracer *t, long number, const uint64_t args[6], struct refusal *why,
                                  int64_t *ret)
{
    struct remote_call call = {.number = number};

    memcpy(call.args, args, sizeof(call.args));
    if (tracer_call(t, &call, 1, why))
        return why->code;
    *ret = call.result;
    return ASPACE_OK;
}

enum aspace_error tracer_string(struct tracer *t, const void *bytes, size_t size, struct refusal *why, uint64_t *ret)
{
    unsigned char padded[TRACER_STRING_MAX] = {0};

    if (!t->active)
        return refuse(why, ASPACE_INTERNAL_ERROR, "a string outside a transaction");
    if (size > TRACER_STRING_MAX)
        return refuse(why, ASPACE_INVALID_PARAM, "%zu bytes are too many; %d at most", size, TRACER_STRING_MAX);
    memcpy(padded, bytes, size);
    if (memory_poke(t, t->trampoline + OFFSET_STRINGS, padded, (size + 7) & ~(size_t)7, why))
        return why->code;
    *ret = t->trampoline + OFFSET_STRINGS;
    return ASPACE_OK;
}
