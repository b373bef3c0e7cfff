/* The threads beside the loop: a small pool for long work on simulated spaces, and lanes, one thread each, for spaces
 * whose backend is bound to its thread. */
#ifndef DAEMON_WORKERS_H
#define DAEMON_WORKERS_H

#include <uv.h>

#include "daemon/baton.h"
#include "rpc/task.h"

/* Tasks in line for one or more threads. */
struct work_queue {
    uv_mutex_t mutex;
    uv_cond_t wake;
    struct task *first;
    struct task **last;
    bool stop;
};

#define POOL_THREADS 2

struct worker_pool {
    struct workers workers; /* what rpc sees */
    struct work_queue queue;
    uv_thread_t threads[POOL_THREADS];
    unsigned started;
    int bell;       /* an eventfd, rung when the list of what is done is not empty any more */
    uv_poll_t wake; /* the loop's ear for it */
    uv_mutex_t mutex;
    struct task *done; /* in the order in which they ended */
    struct task **done_last;
    struct baton *baton;

    /* The loop's: */
    unsigned lanes_at_work;
    const struct lane *last_lane; /* that got work, and when: clock_ns() */
    uint64_t last_at;
};

/* Starts the pool's threads; completions are called by who has the baton's loop. 0 or a negative libuv error, then nothing
 * is left but what the loop is to close. */
int worker_pool_start(struct worker_pool *pool, struct baton *baton);

/* Ends the threads, which must have no tasks and no lanes any more, and closes what the loop has of the pool; the loop
 * must still run for that. */
void worker_pool_stop(struct worker_pool *pool);

#endif
