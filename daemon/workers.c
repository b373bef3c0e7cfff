/* Threads that take tasks from a queue, and the way back to the loop. */
#include "daemon/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define ALONE_NS UINT64_C(1000000) /* since another process had work done to it */

/* ---- A queue of tasks ---- */

static int queue_init(struct work_queue *queue)
{
    int error = uv_mutex_init(&queue->mutex);

    if (error)
        return error;
    error = uv_cond_init(&queue->wake);
    if (error)
        uv_mutex_destroy(&queue->mutex);
    queue->first = NULL;
    queue->last = &queue->first;
    queue->stop = false;
    return error;
}

static void queue_free(struct work_queue *queue)
{
    uv_cond_destroy(&queue->wake);
    uv_mutex_destroy(&queue->mutex);
}

static void queue_put(struct work_queue *queue, struct task *task)
{
    task->next = NULL;
    uv_mutex_lock(&queue->mutex);
    *queue->last = task;
    queue->last = &task->next;
    uv_mutex_unlock(&queue->mutex);
    uv_cond_signal(&queue->wake); /* not under the lock, which who wakes would run into */
}

/* Waits for a task; NULL when the queue is stopped. */
static struct task *queue_take(struct work_queue *queue)
{
    struct task *task;

    uv_mutex_lock(&queue->mutex);
    while (!queue->first && !queue->stop)
        uv_cond_wait(&queue->wake, &queue->mutex);
    task = queue->first;
    if (task) {
        queue->first = task->next;
        if (!queue->first)
            queue->last = &queue->first;
    }
    uv_mutex_unlock(&queue->mutex);
    return task;
}

static void queue_stop(struct work_queue *queue)
{
    uv_mutex_lock(&queue->mutex);
    queue->stop = true;
    uv_cond_broadcast(&queue->wake);
    uv_mutex_unlock(&queue->mutex);
}

/* ---- Back to the loop ---- */

struct lane_thread {
    struct lane lane; /* what rpc sees */
    struct worker_pool *pool;
    struct work_queue queue;
    uv_thread_t thread;
    bool running; /* there is a thread to join; the loop's, like the next */
    bool spent;   /* it has ended, or will at once */
};

static void give_back(struct worker_pool *pool, struct task *task)
{
    bool first;

    task->next = NULL;
    uv_mutex_lock(&pool->mutex);
    first = !pool->done;
    *pool->done_last = task;
    pool->done_last = &task->next;
    uv_mutex_unlock(&pool->mutex);
    if (first)
        eventfd_write(pool->bell, 1);
}

/* On the loop's thread. */
static void finish(struct baton *baton, struct task *task)
{
    struct worker_pool *pool = baton->data;

    if (task->between) {
        baton_finished(baton, task);
    } else if (task->lane) {
        pool->lanes_at_work--;
        ((struct lane_thread *)task->lane)->spent |= task->spent;
    }
    task->done(task);
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
    struct worker_pool *pool = wake->data;
    struct task *task;
    struct task *next;
    eventfd_t rings;

    (void)status;
    (void)events;
    eventfd_read(pool->bell, &rings); /* before the list is taken: what comes later rings again */
    uv_mutex_lock(&pool->mutex);
    task = pool->done;
    pool->done = NULL;
    pool->done_last = &pool->done;
    uv_mutex_unlock(&pool->mutex);
    for (; task; task = next) {
        next = task->next;
        finish(pool->baton, task);
    }
}

/* ---- The pool ---- */

static void pool_thread(void *arg)
{
    struct worker_pool *pool = arg;
    struct task *task;

    while ((task = queue_take(&pool->queue))) {
        task->run(task);
        give_back(pool, task);
    }
}

static void pool_submit(struct workers *workers, struct task *task)
{
    queue_put(&((struct worker_pool *)workers)->queue, task);
}

/* ---- Lanes ---- */

static void lane_run(void *arg)
{
    struct lane_thread *t = arg;
    struct task *task;

    while ((task = queue_take(&t->queue))) {
        bool spent;

        task->run(task);
        spent = task->spent;
        give_back(t->pool, task);
        if (spent)
            return;
    }
}

static struct lane *lane_open(struct workers *workers)
{
    struct lane_thread *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->pool = (struct worker_pool *)workers;
    if (queue_init(&t->queue)) {
        free(t);
        return NULL;
    }
    if (uv_thread_create(&t->thread, lane_run, t)) {
        queue_free(&t->queue);
        free(t);
        return NULL;
    }
    t->running = true;
    return &t->lane;
}

/* Ends on its own once it is spent or stopped. */
static void lane_join(struct lane_thread *t)
{
    if (t->running)
        uv_thread_join(&t->thread);
    t->running = false;
}

/* Nothing else is being done, or was just now, to another process: several are best served side by side. */
static bool is_alone(struct worker_pool *pool, const struct lane *lane)
{
    uint64_t before = pool->last_at;
    bool alone = lane == pool->last_lane;

    pool->last_lane = lane;
    pool->last_at = clock_ns();
    return pool->lanes_at_work == 0 && (alone || pool->last_at - before > ALONE_NS);
}

static void lane_submit(struct lane *lane, struct task *task)
{
    struct lane_thread *t = (struct lane_thread *)lane;

    task->lane = lane;
    if (t->spent) {
        lane_join(t);
        t->spent = false;
    }
    task->between = is_alone(t->pool, lane) && task->brief && baton_take(t->pool->baton, task);
    if (task->between)
        return;
    t->pool->lanes_at_work++;
    if (!t->running && uv_thread_create(&t->thread, lane_run, t)) {
        task->lost = true;
        give_back(t->pool, task);
        return;
    }
    t->running = true;
    queue_put(&t->queue, task);
}

static void lane_close(struct lane *lane)
{
    struct lane_thread *t = (struct lane_thread *)lane;

    queue_stop(&t->queue);
    lane_join(t);
    queue_free(&t->queue);
    free(t);
}

/* ---- Start and stop ---- */

static void join_pool(struct worker_pool *pool)
{
    queue_stop(&pool->queue);
    for (unsigned i = 0; i < pool->started; i++)
        uv_thread_join(&pool->threads[i]);
    queue_free(&pool->queue);
}

static void hand_in(struct baton *baton, struct task *task)
{
    give_back(baton->data, task);
}

static int start_threads(struct worker_pool *pool)
{
    int error = queue_init(&pool->queue);

    for (pool->started = 0; !error && pool->started < POOL_THREADS; pool->started += !error)
        error = uv_thread_create(&pool->threads[pool->started], pool_thread, pool);
    if (error && pool->started)
        join_pool(pool);
    return error;
}

static void on_closed(uv_handle_t *handle)
{
    struct worker_pool *pool = handle->data;

    close(pool->bell);
    uv_mutex_destroy(&pool->mutex);
}

/* Not an uv_async_t: where the loop preempts the thread that wakes it, libuv 1.44 spins for 10 us until that one has run
 * again. */
static int hang_bell(struct worker_pool *pool, uv_loop_t *loop)
{
    int error;

    pool->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (pool->bell < 0)
        return uv_translate_sys_error(errno);
    error = uv_poll_init(loop, &pool->wake, pool->bell);
    if (error) {
        close(pool->bell);
        return error;
    }
    pool->wake.data = pool;
    return uv_poll_start(&pool->wake, UV_READABLE, on_wake);
}

int worker_pool_start(struct worker_pool *pool, struct baton *baton)
{
    int error = uv_mutex_init(&pool->mutex);

    if (error)
        return error;
    pool->workers = (struct workers){pool_submit, lane_open, lane_submit, lane_close};
    pool->done = NULL;
    pool->done_last = &pool->done;
    pool->lanes_at_work = 0;
    pool->last_lane = NULL;
    pool->last_at = 0;
    pool->baton = baton;
    baton->data = pool;
    baton->finish = finish;
    baton->hand_in = hand_in;
    error = hang_bell(pool, baton->loop);
    if (!error) {
        error = start_threads(pool);
        if (error) {
            uv_close((uv_handle_t *)&pool->wake, on_closed);
            return error;
        }
    }
    if (error)
        uv_mutex_destroy(&pool->mutex);
    return error;
}

void worker_pool_stop(struct worker_pool *pool)
{
    join_pool(pool);
    uv_close((uv_handle_t *)&pool->wake, on_closed);
}
