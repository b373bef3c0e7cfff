/* Work that runs off the loop's thread. rpc decides what and in which order; the daemon's workers, on libuv, carry it
 * out. */
#ifndef RPC_TASK_H
#define RPC_TASK_H

#include <stdbool.h>

struct service;
struct space;

struct task {
    void (*run)(struct task *task);  /* on another thread */
    void (*done)(struct task *task); /* after that, on the loop's thread; the last thing done with the task */
    struct task *next;               /* the workers' own while they have it, and so is the next */
    struct lane *lane;
    bool brief;   /* it takes microseconds, mostly, and any thread may do it: the loop's own is the nearest */
    bool between; /* the workers': that one has it */
    bool lost;    /* set by the workers: there was no thread to run it, and `run` was not called */
    bool spent;   /* set by `run`: the lane's thread shall end after this task and a new one do the next. The kernel
                 * detaches what a ptrace tracer held when its thread ends: the one way out of a target that never
                 * stops (docs/ptrace.md). */
};

/* A thread of its own, for a space whose backend is bound to one thread. */
struct lane {
    /* rpc's, for the end of the space that the lane belongs to: */
    struct task closing;
    struct space *space;
    struct service *service;
};

struct workers {
    void (*submit)(struct workers *workers, struct task *task); /* to the pool: tasks run at once, in any order */
    struct lane *(*lane_open)(struct workers *workers);         /* NULL: no memory or no thread */
    void (*lane_submit)(struct lane *lane, struct task *task);  /* one after the other, all on the lane's thread */
    void (*lane_close)(struct lane *lane);                      /* on the loop's thread, after its last task's `done` */
};

#endif
