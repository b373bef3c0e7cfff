/* What a thread may have set up that our calls must not meet: a restartable sequence (rseq) that it is in the middle
 * of, Syscall User Dispatch, a seccomp filter. */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#include "ptrace/internal.h"

/* linux/ptrace.h, which cannot be included beside sys/ptrace.h. */
#define GET_RSEQ_CONFIGURATION ((enum __ptrace_request)0x420f)
#define SET_DISPATCH           ((enum __ptrace_request)0x4210)
#define GET_DISPATCH           ((enum __ptrace_request)0x4211)
#define GET_SECCOMP_METADATA   ((enum __ptrace_request)0x420d)

struct rseq_configuration {
    uint64_t abi; /* address of the thread's struct rseq; 0 if it has none */
    uint32_t size;
    uint32_t signature;
    uint32_t flags;
    uint32_t unused;
};

#define RSEQ_CS_OFFSET 8 /* of the pointer in struct rseq, linux/rseq.h */

struct rseq_section { /* struct rseq_cs, linux/rseq.h */
    uint32_t version;
    uint32_t flags;
    uint64_t start;
    uint64_t length;
    uint64_t abort;
};

/* The kernel would abort the sequence when the thread goes on, but sees our registers then instead of the thread's. So
 * we do it: the thread is to go on at the abort handler. */
static enum aspace_error abort_sequence(struct tracer *t, struct refusal *why)
{
    struct tracee *tracee = &t->tracees[0];
    struct rseq_configuration config = {0};
    struct rseq_section section;
    uint64_t pointer, none = 0;

    if (registers_in_call(&tracee->saved)) /* a sequence makes none: rseq(2) */
        return ASPACE_OK;
    if (ptrace(GET_RSEQ_CONFIGURATION, tracee->tid, sizeof(config), &config) < 0 || config.abi == 0)
        return ASPACE_OK; /* an old kernel, or no rseq */
    if (tracer_read(t, config.abi + RSEQ_CS_OFFSET, &pointer, sizeof(pointer), why))
        return why->code == ASPACE_TARGET_GONE ? why->code : ASPACE_OK;
    if (pointer == 0 || tracer_read(t, pointer, &section, sizeof(section), why))
        return ASPACE_OK;
    if (registers_instruction(&tracee->saved) - section.start >= section.length)
        return ASPACE_OK; /* left behind; the kernel clears it lazily */
    if (memory_poke(t, config.abi + RSEQ_CS_OFFSET, &none, sizeof(none), why))
        return why->code;
    registers_jump(&tracee->saved, section.abort);
    tracee->changed = true;
    return ASPACE_OK;
}

static void suspend_dispatch(struct tracer *t)
{
    struct dispatch_config off = {0};
    pid_t tid = t->tracees[0].tid;

    t->dispatch_off = false;
    if (ptrace(GET_DISPATCH, tid, sizeof(t->dispatch), &t->dispatch) != 0 || t->dispatch.mode == 0)
        return;
    t->dispatch_off = ptrace(SET_DISPATCH, tid, sizeof(off), &off) == 0;
}

struct seccomp_metadata {
    uint64_t filter;
    uint64_t flags;
};

/* A filter may have come since the target was opened. Asking for the first filter's metadata is the quick way, for those
 * who may: EINVAL says that there is none, or that it is strict mode, in which a thread is found in few places. */
static bool has_filter(const struct tracer *t, const struct tracee *tracee)
{
    struct seccomp_metadata metadata = {0};

    if (ptrace(GET_SECCOMP_METADATA, tracee->tid, sizeof(metadata), &metadata) >= 0 || errno == ENOENT)
        return true;
    if (errno == EINVAL && !registers_maybe_strict(&tracee->saved))
        return false;
    return process_status(t, tracee->tid, "Seccomp", 0) != 0;
}

static enum aspace_error check_filter(struct tracer *t, struct refusal *why)
{
    if (t->seccomp == TRACER_SECCOMP_SUSPEND || !has_filter(t, &t->tracees[0]))
        return ASPACE_OK;
    refuse(why, ASPACE_UNSUPPORTED, "process %d filters its system calls by seccomp now", (int)t->pid);
    why->hint = "its filter could refuse our calls or kill it for them: allow it to be suspended (needs CAP_SYS_ADMIN)";
    return why->code;
}

enum aspace_error quirks_suspend(struct tracer *t, struct refusal *why)
{
    if (!registers_native(&t->tracees[0].saved)) {
        refuse(why, ASPACE_UNSUPPORTED, "process %d runs 32-bit code", (int)t->pid);
        why->hint = "only 64-bit processes can be edited";
        return why->code;
    }
    if (check_filter(t, why) || abort_sequence(t, why))
        return why->code;
    suspend_dispatch(t);
    return ASPACE_OK;
}

void quirks_restore(struct tracer *t)
{
    if (t->dispatch_off && t->count > 0 && t->tracees[0].stopped)
        ptrace(SET_DISPATCH, t->tracees[0].tid, sizeof(t->dispatch), &t->dispatch);
    t->dispatch_off = false;
}
