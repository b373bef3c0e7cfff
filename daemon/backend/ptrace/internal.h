/* What the parts of the tracer share: its state, and the steps that each part offers to the others. */
#ifndef PTRACE_INTERNAL_H
#define PTRACE_INTERNAL_H

#include <stdatomic.h>

#include "ptrace/arch.h"

#define DATA_PAGES          6                /* a page of strings, a page for the agent, four of the batch's table */
#define OWN_PAGES           (1 + DATA_PAGES) /* the code page comes first */
#define TRAMPOLINE_SIZE     ASPACE_PAGE_SIZE
#define TRAMPOLINE_CODE_MAX 512
#define OFFSET_STRINGS      TRAMPOLINE_SIZE
#define OFFSET_AGENT        (OFFSET_STRINGS + ASPACE_PAGE_SIZE)
#define OFFSET_TABLE        (OFFSET_AGENT + ASPACE_PAGE_SIZE)

_Static_assert(BATCH_CALLS * sizeof(struct batch_entry) == 4 * ASPACE_PAGE_SIZE, "the table's pages");
_Static_assert(TRACER_STRING_MAX <= ASPACE_PAGE_SIZE, "the page of strings");

/* One thread that we trace. */
struct tracee {
    pid_t tid;
    pid_t process; /* that it is a thread of */
    bool stopped;
    bool reaped;  /* its end was reported to us: nothing of it is left */
    bool changed; /* its registers are not `saved` */
    struct registers saved;
};

/* Syscall User Dispatch of the calling thread, off while we call: linux/prctl.h, ptrace(2). */
struct dispatch_config {
    uint64_t mode;
    uint64_t selector;
    uint64_t offset;
    uint64_t size;
};

struct tracer {
    pid_t pid;
    int pidfd;
    int proc;   /* /proc/PID */
    int tasks;  /* /proc/PID/task */
    int memory; /* /proc/PID/mem, bound to the image that ran when it was opened; -1 if it may not be opened */
    enum tracer_seccomp seccomp;
    uint64_t image; /* what tells one image from the next: process_image() */

    bool spent;    /* it traces what it cannot let go of: its thread must end */
    bool stuck;    /* and that may stand still: nothing more is begun */
    pid_t spender; /* that thread */
    uint64_t deadline_ms;
    uint64_t deadline; /* of the transaction; clock_ns() */
    atomic_bool cancelled;

    bool spawned; /* our child: it is ours to reap */
    bool held;    /* stopped since its first instruction, and stays so after a transaction */
    bool exited;
    bool replaced; /* its image: seen though its old memory lives on, shared by another process */
    bool active;   /* between begin and end */
    enum tracer_scope scope;

    struct tracee *tracees; /* the first one runs our calls */
    size_t count;
    size_t dead; /* after them: ended, but not reaped yet */
    size_t capacity;
    pid_t last_tid;        /* that served well the last time */
    pid_t sharers_scanned; /* the newest pid of the machine when sharers were last looked for; 0 never */
    pid_t *sharers;        /* processes with the target's memory */
    size_t sharer_count;
    size_t sharer_capacity;

    struct trampoline_layout layout;
    unsigned char code[TRAMPOLINE_CODE_MAX]; /* what the code page holds, with our header */
    uint64_t trampoline;                     /* address of the code page; 0 if there is none */
    uint64_t session;
    unsigned char block[RECOVERY_BLOCK_MAX]; /* as last written */
    bool block_known;
    struct dispatch_config dispatch;
    bool dispatch_off; /* by us: to be put back */

    bool agent_wanted;
    pid_t agent;           /* our thread in the target; 0 if there is none */
    uint64_t agent_page;   /* the code page that it waits in */
    int agent_life;        /* the end of a pipe: it ends when this is closed; -1 */
    uint64_t agent_rights; /* process_rights() when it was made */
};

/* ---- wait.c: stops, in time ---- */

enum stop_kind {
    STOP_CALL,   /* at a system call's entry or exit */
    STOP_EVENT,  /* asked for by PTRACE_INTERRUPT, or a group-stop */
    STOP_EXEC,   /* PTRACE_EVENT_EXEC */
    STOP_SIGNAL, /* about to receive `signal` */
    STOP_GONE,   /* the thread is no more */
    STOP_LATE,   /* none: the deadline passed or the call was cancelled */
};

struct stop {
    enum stop_kind kind;
    int signal;
};

/* Makes the calling thread's timer, if it has none; it is deleted with the thread. */
enum aspace_error timer_open(struct refusal *why);
/* From here on tracer_wait() gives STOP_LATE after `ms`. The thread has a timer. */
void timer_start(struct tracer *t, uint64_t ms);
void timer_stop(void);
struct stop tracer_wait(struct tracer *t, struct tracee *tracee);
/* PTRACE_SEIZE; false with errno. With the timer started it takes no longer than a tick, and gives EINTR then: it waits
 * while a thread of the process execs, which may wait in turn until we know that others, traced by us, are dead. */
bool tracer_seize(const struct tracer *t, pid_t tid);

/* ---- process.c: what /proc and the kernel say about the target ---- */

enum aspace_error process_bind(struct tracer *t, struct refusal *why);

/* Whether enough are left for this target's and for the work of all: BUSY. */
enum aspace_error process_check_descriptors(const struct tracer *t, struct refusal *why);
/* Opens what depends on the image. */
void process_bind_image(struct tracer *t);
void process_unbind(struct tracer *t);
/* Whether it may be traced, as far as that can be known before trying. */
enum aspace_error process_authorise(struct tracer *t, struct refusal *why);
/* PTRACE_SEIZE of `tid` failed with `error`: says why. */
enum aspace_error process_explain(struct tracer *t, pid_t tid, int error, struct refusal *why);
enum aspace_error process_refuse_gone(struct tracer *t, struct refusal *why);
bool process_alive(struct tracer *t);
/* The same, after waiting a little for the end of one whose threads are dying. */
bool process_survives(struct tracer *t);
bool process_may_suspend_filters(void);
/* Of the process whose /proc/PID is `proc`: the state letter of a thread, 'X' as soon as it has begun to exit and has no
 * memory any more, 'I' if it is one of the kernel's that never runs user code, 0 if it is no more; whether none of that
 * is so; whether it is there. */
char process_thread_state(int proc, pid_t tid);
bool process_thread_lives(int proc, pid_t tid);
bool process_has_thread(int proc, pid_t tid);
/* The process has one thread only, its leader; true without reading the list, by the folder's link count. */
bool process_is_single(const struct tracer *t);
/* A thread of the process that still has its memory: a dead leader has none. */
pid_t process_living_thread(const struct tracer *t);
uint64_t process_image(const struct tracer *t);
/* What the process may do, as a number: another one when its ids, its groups, its capabilities or its filters change. 0
 * if its first thread has ended. */
uint64_t process_rights(const struct tracer *t);
/* The stack pointer of a thread that waits in a call; false if it runs. */
bool process_stack_pointer(const struct tracer *t, pid_t tid, uint64_t *ret);
/* Its thread that has this id in its own pid namespace; 0 if there is none. */
pid_t process_find_thread(const struct tracer *t, pid_t inner);
/* A value of a thread's status file as a number; `fallback` if it cannot be read. */
long process_status(const struct tracer *t, pid_t tid, const char *name, long fallback);

/* Of any thread of the machine: whether it is traced by this very thread of ours; whether it is a zombie. */
bool process_thread_is_traced(pid_t tid);
bool process_thread_is_zombie(pid_t tid);

/* ---- thread_list.c: the threads of a process, and all processes ---- */

/* A folder whose entries' names are numbers, read without allocating. */
struct thread_list {
    int fd;
    size_t at;
    size_t size;
    char buffer[2048] __attribute__((aligned(8)));
};

/* The threads of the process whose /proc/PID is `proc`. False with errno. */
bool thread_list_open(struct thread_list *list, int proc);
/* All processes. */
bool thread_list_open_processes(struct thread_list *list);
bool thread_list_next(struct thread_list *list, pid_t *ret);
void thread_list_rewind(struct thread_list *list);
void thread_list_close(struct thread_list *list);

/* ---- threads.c: attaching, stopping, letting go ---- */

/* Attaches to one good thread and stops it. */
enum aspace_error threads_stop_one(struct tracer *t, struct refusal *why);
enum aspace_error threads_stop_all(struct tracer *t, struct refusal *why);
/* Brings an attached thread into a STOP_EVENT, delivering what comes before. */
struct stop thread_drive(struct tracer *t, struct tracee *tracee);
/* Restores and detaches every one that is stopped, and reaps those that ended; the list is empty after it. What can be
 * neither makes the tracer spent. */
void threads_release(struct tracer *t);
struct tracee *threads_add(struct tracer *t, pid_t process, pid_t tid);
bool threads_have(const struct tracer *t, pid_t tid);
/* It has ended. If its end has not been reported yet it is kept after the others, until threads_release(). */
void threads_drop(struct tracer *t, size_t index);
/* Reads the registers of a thread in STOP_EVENT into `saved`; false if it is gone. */
bool thread_save(struct tracee *tracee);
long tracer_options_of(const struct tracer *t);

/* ---- quirks.c: rseq, Syscall User Dispatch, seccomp ---- */

/* For the thread that runs our calls, after it has been saved. */
enum aspace_error quirks_suspend(struct tracer *t, struct refusal *why);
void quirks_restore(struct tracer *t);

/* ---- trampoline.c ---- */

/* Makes sure that the trampoline is there and whole. In a transaction. */
enum aspace_error trampoline_ready(struct tracer *t, struct refusal *why);
/* The address of a system call instruction that every target has, in the vdso. */
enum aspace_error trampoline_bootstrap(struct tracer *t, struct refusal *why, uint64_t *ret);
/* Unmaps it, the code page with the vdso's help. */
enum aspace_error trampoline_remove(struct tracer *t, struct refusal *why);
/* Writes the recovery block for the thread that runs our calls, if it differs from what is there. */
enum aspace_error trampoline_protect(struct tracer *t, struct refusal *why);
/* Unmaps trampolines whose daemon is dead. Not in a transaction; what fails is left for the next time. */
void trampoline_clean_orphans(struct tracer *t);
void trampoline_new_session(struct tracer *t);

/* ---- remote.c: calls in the stopped target ---- */

/* One call at `entry`, an address with a system call instruction in the target. */
enum aspace_error remote_call_at(struct tracer *t, uint64_t entry, struct remote_call *call, struct refusal *why);

/* The thread that runs our calls makes the agent: its id in the target's pid namespace, or -errno, is then in the struct
 * agent_data at `data`. */
enum aspace_error remote_make_agent(struct tracer *t, uint64_t data, struct refusal *why);

/* ---- agent.c: a thread of ours in the target ---- */

/* Before anything is stopped: an agent that may not go on is ended. Unsupported if it must not even be stopped. */
enum aspace_error agent_check(struct tracer *t, struct refusal *why);
/* In a transaction: makes the agent if it is wanted and not there; with one thread stopped it runs our calls from then
 * on. */
enum aspace_error agent_ready(struct tracer *t, struct refusal *why);
/* At the end of a transaction: an agent whose pages are no more must not return to them. */
void agent_settle(struct tracer *t);
/* In a transaction that it runs the calls of: it ends at `entry`, an address with a system call instruction. */
void agent_end(struct tracer *t, uint64_t entry);
bool agent_is(const struct tracer *t, const struct tracee *tracee);
/* There is none any more. */
void agent_forget(struct tracer *t);

/* ---- memory.c ---- */

/* Writes by any means to a stopped target: /proc/PID/mem, or word by word. For our own pages. */
enum aspace_error memory_poke(struct tracer *t, uint64_t addr, const void *bytes, size_t size, struct refusal *why);

/* ---- spawn.c ---- */

enum aspace_error spawn_target(struct tracer *t, const struct tracer_options *options, struct refusal *why);
/* One that outlives its tracer is reaped when it ends. */
void spawn_leave(struct tracer *t);

#endif
