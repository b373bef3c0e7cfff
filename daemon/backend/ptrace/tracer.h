/* Running system calls inside another process, so that it does not notice: attach, call, detach. This header is the
 * whole of what the rest of the backend knows of ptrace; it knows nothing of areas or of maps.
 *
 * Two channels, never one variable: an enum aspace_error with *why says that a call could not be run there (TargetGone,
 * Busy, Timeout, Denied, Unsupported, NoMemory); remote_call.result is what the target's kernel answered.
 *
 * Threads. ptrace binds a stopped target to the thread that attached to it. So a transaction is one thread's, and a target
 * that is held (tracer_held()) the one's that spawned it; else any thread may use a tracer, one at a time, and
 * tracer_cancel() at any time. */
#ifndef PTRACE_TRACER_H
#define PTRACE_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/refusal.h"
#include "core/range.h"

/* One process: a target. */
struct tracer;

/* What to do about a target that filters its own system calls (seccomp). */
enum tracer_seccomp {
    TRACER_SECCOMP_REFUSE,  /* Unsupported: its filter could refuse, falsify or punish our calls */
    TRACER_SECCOMP_SUSPEND, /* its filter sleeps while the target is stopped; needs CAP_SYS_ADMIN, or Denied */
};

struct tracer_options {
    pid_t pid;            /* of the process to trace, in our pid namespace; 0 to spawn `command` */
    char *const *command; /* for a spawn: argv, NULL at its end; command[0] is searched in PATH if it has no slash */
    char *const *environ; /* for a spawn: NULL for our own */
    uint64_t deadline_ms; /* for each tracer_begin() .. tracer_end(); 0 for TRACER_DEADLINE_MS */
    enum tracer_seccomp seccomp;
    bool agent; /* transactions of one thread stop none of the target's own but a thread of ours, see docs/ptrace.md */
};

#define TRACER_DEADLINE_MS 2000

/* Checks that the process may and can be traced (see docs/ptrace.md) and binds to it: a pid that is recycled later is
 * never mistaken for it. Nothing is stopped, and nothing is changed in it but that trampoline pages left behind by a
 * tracer whose daemon was killed are unmapped.
 *
 * With a command: forks (on this thread), and the target stands stopped at its first instruction, held there over any
 * number of transactions until tracer_resume(). It has a process group of its own, /dev/null as its standard input, our
 * standard output and error, default signal dispositions, and no other descriptors of ours.
 *
 * Refuses with InvalidParam (no such command, a pid that is no process), TargetGone (a zombie), Busy (traced already),
 * Denied (uids, not dumpable, Yama), Unsupported (ourselves, a kernel thread, a 32-bit task, seccomp) and NoMemory;
 * why->hint says what to do. */
enum aspace_error tracer_open(const struct tracer_options *options, struct refusal *why, struct tracer **ret);

/* Detaches, unmaps the trampoline if the target lives and can be stopped, and frees the tracer; `kill` kills the target
 * instead, and a target spawned by us is reaped either way if it is dead. Inside a transaction it is ended first.
 * NULL is allowed. */
void tracer_close(struct tracer *t, bool kill);

/* ---- A transaction: begin, any number of calls, end ---- */

enum tracer_scope {
    TRACER_ONE_THREAD,  /* stops one thread, enough for one edit: the others run on */
    TRACER_ALL_THREADS, /* stops every thread of the process and of all that share its memory (CLONE_VM) */
};

/* Attaches and stops. On success the transaction lasts until tracer_end(). On failure there is none, and all that had
 * been stopped runs again, except when the tracer is spent.
 *
 * TargetGone: it exited, or replaced its image by exec (see tracer_fate()). Timeout: a thread could not be stopped in
 * time (in an uninterruptible call, a vfork parent, in a frozen cgroup); then tracer_spent() is true. Busy: something
 * else traces it now, or signals came faster than they could be delivered; or the tracer is spent by a thread that may
 * stand still. */
enum aspace_error tracer_begin(struct tracer *t, enum tracer_scope scope, struct refusal *why);

/* Restores the registers and detaches: every thread goes on where it was, a stopped (SIGSTOP) target stays stopped, a
 * spawned one that is held stays held. Does nothing outside a transaction. */
void tracer_end(struct tracer *t);

struct remote_call {
    long number; /* in the target's architecture, which is ours: SYS_mmap … */
    uint64_t args[6];
    int64_t result; /* what the kernel answered: -4095 .. -1 is a refusal, -errno. Valid if `done` */
    bool done;      /* the call was made and is over */
};

/* Whether the kernel refused. */
static inline bool remote_call_failed(const struct remote_call *call)
{
    return (uint64_t)call->result >= (uint64_t)-4095;
}

/* Runs calls[0 .. count) in order in the stopped target, up to and including the first that its kernel refuses; the rest
 * has `done` false. Many calls run inside the target without a stop for each. Signals that come meanwhile are delivered
 * to the target between calls (a handler then runs after tracer_end()). Only inside a transaction.
 *
 * ASPACE_OK says that the calls ran up to there, also when one was refused. After anything else, `done` says which are
 * over. After Busy, and after a Timeout with the target stopped, no other was made and the transaction goes on: see
 * tracer_extend(). After TargetGone, and a Timeout that makes the tracer spent, it is over; the call after those that are
 * done may have been made or not, and after the Timeout may be made yet. */
enum aspace_error tracer_call(struct tracer *t, struct remote_call *calls, size_t count, struct refusal *why);

#define TRACER_STRING_MAX 4096

/* Places `size` (at most TRACER_STRING_MAX) bytes in the target and sets *ret to their address there, good until the
 * next tracer_string() or tracer_end(): a path for openat, a vector. Include the 0 of a string. */
enum aspace_error tracer_string(struct tracer *t, const void *bytes, size_t size, struct refusal *why, uint64_t *ret);

/* A tracer_call() of one call. *ret is its result. */
enum aspace_error tracer_call_one(struct tracer *t, long number, const uint64_t args[6], struct refusal *why,
                                  int64_t *ret);

/* ---- What is stopped, inside a transaction ---- */

/* Stopped threads, of the target and of sharers of its memory; the one that runs our calls is the first. */
size_t tracer_threads(const struct tracer *t);
pid_t tracer_thread_id(const struct tracer *t, size_t index);
/* The stack pointer of a stopped thread as it was before we came. */
uint64_t tracer_stack_pointer(const struct tracer *t, size_t index);

/* The same for every thread whose stack pointer can be told: those that are stopped and, where a thread of ours runs the
 * calls, those of the target that wait in a call. False from `each` ends it. */
typedef bool tracer_stack_fn(void *arg, pid_t tid, uint64_t pointer);
void tracer_each_stack(struct tracer *t, tracer_stack_fn *each, void *arg);

/* The pages of ours in the target, trampoline and data; empty if there are none yet. They exist from the first
 * transaction on, and they are areas in /proc/PID/maps. Any time. */
struct range tracer_own_pages(const struct tracer *t);

/* They lie below this address: below where programs are linked, above what the kernel keeps unmapped (vm.mmap_min_addr). */
#define TRACER_PLACES_END UINT64_C(0x400000)
/* Whether the mapping that starts at `start` is code or data of any tracer's trampoline, by where it is and by its magic. */
bool tracer_is_trampoline(struct tracer *t, uint64_t start);

/* ---- Memory: no stop is needed, in or out of a transaction ---- */

/* All of it or nothing is promised for reading alone; a write that fails may have written a leading part. What the page
 * permissions forbid the target itself is read and written all the same (PROT_NONE, read-only code) where the kernel
 * lets a debugger. Refuses with NotFound at the first byte that cannot be had (why->conflict is its address) and
 * TargetGone. */
enum aspace_error tracer_read(struct tracer *t, uint64_t addr, void *buffer, size_t size, struct refusal *why);
enum aspace_error tracer_write(struct tracer *t, uint64_t addr, const void *buffer, size_t size, struct refusal *why);

/* ---- The target's life ---- */

enum tracer_fate {
    TRACER_ALIVE,
    TRACER_EXECED, /* another image runs in the process now; tracer_follow() goes on with it */
    TRACER_EXITED, /* dead, also when it is still a zombie */
};

/* Looks, without stopping anything. */
enum tracer_fate tracer_fate(struct tracer *t);

/* It is dead. The same as TRACER_EXITED. */
bool tracer_gone(struct tracer *t);

/* After TRACER_EXECED: binds to the new image. What was known of the old one's memory is void. Checks anew what
 * tracer_open() checks (an image of another user, 32-bit …). */
enum aspace_error tracer_follow(struct tracer *t, struct refusal *why);

/* Lets a spawned target that is held run. Not inside a transaction. Does nothing if it runs. */
enum aspace_error tracer_resume(struct tracer *t, struct refusal *why);
bool tracer_held(const struct tracer *t);

/* In our pid namespace. */
pid_t tracer_pid(const struct tracer *t);
/* Opens a file of the target's /proc/PID ("maps", "pagemap", "fd/3" …), also when its first thread is dead: what is there
 * is empty then. Never another process's. A descriptor, or -1 with errno. */
int tracer_open_file(const struct tracer *t, const char *name, int flags);

/* ---- Deadlines ---- */

/* For the transactions that begin after this; 0 for TRACER_DEADLINE_MS. */
void tracer_set_deadline(struct tracer *t, uint64_t deadline_ms);

/* The transaction gets more time, several times what it had: to take back what was done in it. */
void tracer_extend(struct tracer *t);

/* Makes the call that runs now, or the next one, end with Timeout as if the deadline had passed. Any thread. */
void tracer_cancel(struct tracer *t);

/* A thread of the target could be neither stopped nor let go. This thread must end: the kernel then detaches it from the
 * target, which goes on whole. Until then calls that need a stop refuse with Busy, unless that thread is dead: the first
 * of the target, which ended as we came to it, while others live on. */
bool tracer_spent(const struct tracer *t);

/* Takes the tracer over, after the thread that was spent has ended. A held target runs from then on, as its tracer
 * ended. */
void tracer_adopt(struct tracer *t);

#endif
