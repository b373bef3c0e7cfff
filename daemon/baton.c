/* Two threads and one loop. */
#include "daemon/baton.h"

#define NS_PER_MS  UINT64_C(1000000)
#define IDLE_LOOKS 50 /* of the watcher, before it sleeps until the next task */

int baton_init(struct baton *baton, uv_loop_t *loop)
{
    int error = uv_mutex_init(&baton->mutex);

    if (error)
        return error;
    error = uv_cond_init(&baton->wake);
    if (error)
        uv_mutex_destroy(&baton->mutex);
    baton->loop = loop;
    return error;
}

void baton_free(struct baton *baton)
{
    uv_cond_destroy(&baton->wake);
    uv_mutex_destroy(&baton->mutex);
}

static void pass(struct baton *baton, bool to_runner, bool over)
{
    uv_mutex_lock(&baton->mutex);
    baton->with_runner = to_runner;
    baton->over = over;
    uv_cond_broadcast(&baton->wake);
    uv_mutex_unlock(&baton->mutex);
}

/* Until there is nothing to wait for any more (false), or a task to be run. */
static bool turn(struct baton *baton)
{
    bool alive;

    baton->turning = true;
    alive = uv_run(baton->loop, baton->task ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
    baton->turning = false;
    return alive;
}

/* ---- The runner ---- */

static void wake_watcher(struct baton *baton)
{
    uv_mutex_lock(&baton->mutex);
    uv_cond_broadcast(&baton->wake);
    uv_mutex_unlock(&baton->mutex);
}

/* False: the loop is the main thread's again. *ret_spent: and this thread shall end. */
static bool run_task(struct baton *baton, bool *ret_spent)
{
    struct task *task = baton->task;
    unsigned at_work = atomic_load(&baton->at_work) + 1;

    baton->task = NULL;
    atomic_store(&baton->at_work, at_work);
    if (atomic_load(&baton->asleep))
        wake_watcher(baton);
    task->run(task);
    *ret_spent = task->spent;
    if (atomic_compare_exchange_strong(&baton->at_work, &at_work, at_work + 1)) {
        if (!task->spent) {
            baton->finish(baton, task);
            return true;
        }
        pass(baton, false, false);
    }
    baton->hand_in(baton, task);
    return false;
}

/* False: it is over. */
static bool await_loop(struct baton *baton)
{
    bool over;

    uv_mutex_lock(&baton->mutex);
    while (!baton->with_runner && !baton->over)
        uv_cond_wait(&baton->wake, &baton->mutex);
    over = baton->over;
    uv_mutex_unlock(&baton->mutex);
    return !over;
}

/* A turn of the loop between any two tasks: others wait too. */
static void run(void *arg)
{
    struct baton *baton = arg;
    bool spent = false;

    while (!spent && await_loop(baton)) {
        while (!baton->task || run_task(baton, &spent)) {
            if (!turn(baton)) {
                pass(baton, false, true);
                return;
            }
        }
    }
}

/* ---- The main thread ---- */

/* Sleeps until there is something to watch, or to do. */
static void sleep_on(struct baton *baton, unsigned seen)
{
    atomic_store(&baton->asleep, true);
    if (atomic_load(&baton->at_work) == seen)
        uv_cond_wait(&baton->wake, &baton->mutex);
    atomic_store(&baton->asleep, false);
}

/* Until the loop is ours, or it is over. */
static void watch(struct baton *baton)
{
    unsigned seen = 0;
    unsigned looks = 0;

    uv_mutex_lock(&baton->mutex);
    while (baton->with_runner && !baton->over) {
        unsigned now = atomic_load(&baton->at_work);

        if (now & 1 && now == seen && atomic_compare_exchange_strong(&baton->at_work, &now, now + 1)) {
            baton->with_runner = false;
            break;
        }
        looks = now == seen ? looks + 1 : 0;
        seen = now;
        if (looks < IDLE_LOOKS)
            uv_cond_timedwait(&baton->wake, &baton->mutex, BATON_PATIENCE_MS * NS_PER_MS);
        else
            sleep_on(baton, seen);
    }
    uv_mutex_unlock(&baton->mutex);
}

void baton_run(struct baton *baton)
{
    while (!baton->over && turn(baton)) {
        if (!baton->task)
            continue;
        pass(baton, true, false);
        watch(baton);
    }
    pass(baton, false, true);
    if (baton->running)
        uv_thread_join(&baton->runner);
    baton->running = false;
}

/* ---- Tasks ---- */

bool baton_take(struct baton *baton, struct task *task)
{
    if (baton->taken || (!baton->running && uv_thread_create(&baton->runner, run, baton)))
        return false;
    baton->running = true;
    baton->taken = true;
    baton->task = task;
    if (baton->turning)
        uv_stop(baton->loop);
    return true;
}

void baton_finished(struct baton *baton, const struct task *task)
{
    baton->taken = false;
    if (!task->spent)
        return;
    uv_thread_join(&baton->runner); /* it ends: that is what lets go of the target */
    baton->running = false;
}
