/* What differs from one processor to the next: registers, the trampoline's code, restart codes. One file implements it
 * for each architecture (x86_64.c); nothing else here knows a register's name. */
#ifndef PTRACE_ARCH_H
#define PTRACE_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "ptrace/tracer.h"

struct registers {
    struct user_regs_struct raw;
};

/* False with errno. */
bool registers_get(pid_t tid, struct registers *ret);
bool registers_set(pid_t tid, const struct registers *r);

/* The thread runs code that our calls can be made from: not a 32-bit task. */
bool registers_native(const struct registers *r);
/* The thread has been stopped in a system call. */
bool registers_in_call(const struct registers *r);
/* Strict seccomp may be on, by the call that the thread has been stopped in: it allows four. */
bool registers_maybe_strict(const struct registers *r);
uint64_t registers_stack(const struct registers *r);
uint64_t registers_instruction(const struct registers *r);
void registers_jump(struct registers *r, uint64_t addr);

/* A call that answers EINTR to being woken for nothing, instead of being restarted by the kernel. */
bool is_woken_call(long number);

/* A call that gives EINTR when it is woken for nothing, and would not have noticed without us, is made to be restarted
 * unless a handler runs. True if *r was changed. */
bool registers_hide_interrupt(struct registers *r);

/* *ret is `saved` about to make `call` at `entry`, which holds a system call instruction. */
void registers_load_call(const struct registers *saved, uint64_t entry, const struct remote_call *call,
                         struct registers *ret);

/* A call that was interrupted to be restarted is about to be made again, whatever signal comes; and no restart by the
 * kernel is to come on top. For registers of ours, in the trampoline. */
void registers_redo(struct registers *r);

/* ---- The trampoline: its page is the image of trampoline_*.S with a header and a recovery block ---- */

#define BATCH_CALLS     256 /* calls at most in one batch; the table lies in the target */
#define BATCH_INFO_SIZE 48  /* of a siginfo_t, what the kernel knows: sizeof(struct kernel_siginfo) */

/* One call of the batch's table, as the trampoline reads it. */
struct batch_entry {
    uint64_t number;
    uint64_t args[6];
    int64_t result;
};

struct batch_registers {
    uint64_t entry; /* address of the batch's code */
    uint64_t first; /* addresses in the table: of the first call, and past the last */
    uint64_t end;
    uint64_t info; /* of the siginfo that ends it */
    int signal;
};

void registers_load_batch(const struct registers *saved, const struct batch_registers *batch, struct registers *ret);
/* The address in the table of the first call that is not recorded, of a batch stopped anywhere. */
uint64_t registers_batch_position(const struct registers *r);
/* A batch stopped anywhere is to end with that call. */
void registers_end_batch(struct registers *r);

/* What the agent's code works with, in the target. */
struct agent_data {
    uint64_t all;        /* signals */
    uint64_t old;        /* the mask of the thread that makes it */
    int64_t made;        /* what clone answered: the agent's id in the target's pid namespace */
    int64_t patience[2]; /* a timespec: how long it waits to be taken over */
    int32_t life[2];     /* a pipe: that the other end is closed ends it */
    int32_t watch_fd;    /* a pollfd, of life[0] */
    int16_t watch_events;
    int16_t watch_result;
};

/* A thread about to make the agent. */
void registers_load_agent(const struct registers *saved, uint64_t entry, uint64_t data, struct registers *ret);
/* The agent about to wait for the end of its maker, `watching` its pipe, or else for as long as it is patient; at
 * trampoline_layout.park. */
void registers_load_park(const struct registers *saved, uint64_t entry, uint64_t data, bool watching,
                         struct registers *ret);

struct trampoline_layout {
    const unsigned char *image; /* copied to the start of the page */
    size_t size;
    size_t call;       /* offset of the system call instruction of a single call */
    size_t batch;      /* of the batch's code */
    size_t batch_tail; /* of what follows the last call */
    size_t batch_end;  /* of the instruction after the batch's last call: where its signal stops it */
    size_t agent;      /* of the code that makes the agent */
    size_t park;       /* of the agent's own */
    size_t info;       /* of the siginfo that ends a batch: BATCH_INFO_SIZE bytes */
    size_t block;      /* of the recovery block */
    size_t block_size;
};

struct trampoline_layout trampoline_layout(void);

#define RECOVERY_BLOCK_MAX 256

/* The recovery block for a thread whose registers are to become `saved`: what the trampoline reloads after a call if
 * nobody stops it. */
void recovery_block_fill(const struct registers *saved, void *block);

/* The offset of a system call instruction in `text`, of the target's vdso; false if there is none. */
bool find_system_call(const unsigned char *text, size_t size, size_t *ret);

#endif
