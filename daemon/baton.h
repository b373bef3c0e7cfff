/* Who runs the loop. Brief work on a live process is done best by the thread that read the request, between two turns of
 * the loop: to hand it to another thread and back takes as long as the work. But a target may not stop when it is asked
 * to, and a tracer that cannot let go of one must end. So there are two threads for the loop: the main one, and a runner
 * that takes it over with the first such task. While the runner is at a task the main thread watches it, and takes the
 * loop from one that is not done in time. */
#ifndef DAEMON_BATON_H
#define DAEMON_BATON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "rpc/task.h"

/* How long the loop may stand still for a task; up to twice that, until the watcher looks again. */
#define BATON_PATIENCE_MS 2

struct baton {
    uv_loop_t *loop;
    /* The user's: what follows a task, on the thread that has the loop, and the way there for one that has lost it. */
    void *data;
    void (*finish)(struct baton *baton, struct task *task);
    void (*hand_in)(struct baton *baton, struct task *task);

    uv_mutex_t mutex;
    uv_cond_t wake;      /* both threads', for the next two */
    bool with_runner;    /* whose the loop is */
    bool over;           /* nothing is left in the loop */
    atomic_bool asleep;  /* the main thread does not look at the time, but waits to be woken */
    atomic_uint at_work; /* odd: the runner is at a task. One more when it is done, or has lost the loop */

    /* Who has the loop has these too. */
    uv_thread_t runner;
    bool running;      /* there is a runner to join */
    bool turning;      /* within uv_run() */
    bool taken;        /* there is a task that is not finished */
    struct task *task; /* it is to be run after this turn */
};

/* 0 or a negative libuv error. */
int baton_init(struct baton *baton, uv_loop_t *loop);
void baton_free(struct baton *baton);

/* Runs the loop until nothing is left in it. On the main thread. */
void baton_run(struct baton *baton);

/* A task to be run between two turns of the loop, and then finished. By who has the loop. False: one is under way, or there
 * is no thread for it. */
bool baton_take(struct baton *baton, struct task *task);

/* `finish` calls it first. */
void baton_finished(struct baton *baton, const struct task *task);

#endif
