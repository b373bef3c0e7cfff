/* The loop goes from one thread to another and back, and never stands still for long. */
#include "daemon/baton.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MANY 1000

struct fixture {
    uv_loop_t loop;
    struct baton baton;
    uv_async_t bell;      /* for what is handed in */
    uv_timer_t timer;     /* begins it all */
    uv_prepare_t prepare; /* counts turns */
    unsigned turns;
    unsigned finished;
    unsigned handed_in;
    struct task task;
    struct task *done; /* handed in */
    sem_t go;
    uv_thread_t ran_on;
    uv_thread_t finished_on;
    uv_thread_t main;
};

static struct fixture f;

static void on_prepare(uv_prepare_t *prepare)
{
    (void)prepare;
    f.turns++;
}

static void on_bell(uv_async_t *bell)
{
    (void)bell;
    f.baton.finish(&f.baton, f.done);
}

static void hand_in(struct baton *baton, struct task *task)
{
    (void)baton;
    f.handed_in++;
    f.done = task;
    uv_async_send(&f.bell);
}

static void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

static void end(void)
{
    uv_walk(&f.loop, close_one, NULL);
}

static void finish(struct baton *baton, struct task *task)
{
    baton_finished(baton, task);
    f.finished++;
    f.finished_on = uv_thread_self();
    task->done(task);
}

static void begin(uv_timer_cb first)
{
    f = (struct fixture){.main = uv_thread_self()};
    assert_int_equal(uv_loop_init(&f.loop), 0);
    assert_int_equal(baton_init(&f.baton, &f.loop), 0);
    f.baton.finish = finish;
    f.baton.hand_in = hand_in;
    sem_init(&f.go, 0, 0);
    uv_async_init(&f.loop, &f.bell, on_bell);
    uv_prepare_init(&f.loop, &f.prepare);
    uv_prepare_start(&f.prepare, on_prepare);
    uv_timer_init(&f.loop, &f.timer);
    uv_timer_start(&f.timer, first, 0, 0);
}

static void run_to_the_end(void)
{
    baton_run(&f.baton);
    baton_free(&f.baton);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    sem_destroy(&f.go);
}

static void run_quickly(struct task *task)
{
    (void)task;
    f.ran_on = uv_thread_self();
}

static void done_and_end(struct task *task)
{
    (void)task;
    end();
}

static bool same(uv_thread_t a, uv_thread_t b)
{
    return uv_thread_equal(&a, &b);
}

/* ---- */

static void end_at_once(uv_timer_t *timer)
{
    (void)timer;
    end();
}

static void test_a_loop_without_tasks_stays_with_the_main_thread(void **state)
{
    (void)state;
    begin(end_at_once);
    run_to_the_end();
    assert_false(f.baton.running);
    assert_int_equal(f.finished, 0);
}

static void take_quick(uv_timer_t *timer)
{
    (void)timer;
    f.task = (struct task){.run = run_quickly, .done = done_and_end};
    assert_true(baton_take(&f.baton, &f.task));
}

static void test_a_task_is_finished_where_it_ran(void **state)
{
    (void)state;
    begin(take_quick);
    run_to_the_end();
    assert_int_equal(f.finished, 1);
    assert_false(same(f.ran_on, f.main));
    assert_true(
        same(f.finished_on, f.handed_in ? f.main : f.ran_on)); /* where the machine is slow it may lose the loop */
}

/* ---- */

static void go_on(struct task *task)
{
    static unsigned turns_before;
    struct task again = *task;

    assert_true(f.finished == 1 || f.turns > turns_before);
    turns_before = f.turns;
    if (f.finished == MANY) {
        end();
        return;
    }
    *task = again;
    assert_true(baton_take(&f.baton, task));
}

static void take_many(uv_timer_t *timer)
{
    (void)timer;
    f.task = (struct task){.run = run_quickly, .done = go_on};
    assert_true(baton_take(&f.baton, &f.task));
}

static void test_between_two_tasks_the_loop_turns(void **state)
{
    (void)state;
    begin(take_many);
    run_to_the_end();
    assert_int_equal(f.finished, MANY);
    assert_true(f.turns >= MANY);
}

/* ---- */

static void run_until_told(struct task *task)
{
    (void)task;
    f.ran_on = uv_thread_self();
    while (sem_wait(&f.go) != 0)
        ;
}

/* The loop must turn while the task waits for it. */
static void on_loop_while_late(uv_timer_t *timer)
{
    static struct task other;

    assert_false(baton_take(&f.baton, &other)); /* one is under way */
    assert_true(same(uv_thread_self(), f.main));
    uv_timer_stop(timer);
    sem_post(&f.go);
}

static void take_slow(uv_timer_t *timer)
{
    f.task = (struct task){.run = run_until_told, .done = done_and_end};
    assert_true(baton_take(&f.baton, &f.task));
    uv_timer_start(timer, on_loop_while_late, 1, 1);
}

static void test_a_late_task_loses_the_loop(void **state)
{
    (void)state;
    begin(take_slow);
    run_to_the_end();
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.handed_in, 1);
    assert_false(same(f.ran_on, f.main));
    assert_true(same(f.finished_on, f.main));
}

/* ---- */

static pthread_key_t key;
static unsigned threads_ended;

static void count_end(void *value)
{
    (void)value;
    threads_ended++;
}

static void run_and_be_spent(struct task *task)
{
    pthread_setspecific(key, &f);
    task->spent = true;
}

static void after_the_thread(struct task *task)
{
    assert_int_equal(threads_ended, f.finished); /* its end lets go of a target: it is waited for */
    assert_true(same(uv_thread_self(), f.main));
    if (f.finished == 20) {
        end();
        return;
    }
    *task = (struct task){.run = run_and_be_spent, .done = after_the_thread};
    assert_true(baton_take(&f.baton, task));
}

static void take_spending(uv_timer_t *timer)
{
    (void)timer;
    f.task = (struct task){.run = run_and_be_spent, .done = after_the_thread};
    assert_true(baton_take(&f.baton, &f.task));
}

static void test_a_spent_thread_ends_and_another_takes_its_place(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&key, count_end), 0);
    threads_ended = 0;
    begin(take_spending);
    run_to_the_end();
    assert_int_equal(f.finished, 20);
    assert_int_equal(f.handed_in, 20);
    assert_int_equal(threads_ended, 20);
    pthread_key_delete(key);
}

/* ---- */

static void rest(struct task *task)
{
    (void)task;
    uv_timer_start(&f.timer, take_slow, 300, 0); /* the watcher sleeps after 100 ms */
}

static void take_quick_first(uv_timer_t *timer)
{
    (void)timer;
    f.task = (struct task){.run = run_quickly, .done = rest};
    assert_true(baton_take(&f.baton, &f.task));
}

static void test_a_watcher_that_sleeps_is_woken(void **state)
{
    (void)state;
    begin(take_quick_first);
    run_to_the_end();
    assert_int_equal(f.finished, 2);
    assert_true(f.handed_in >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_loop_without_tasks_stays_with_the_main_thread),
        cmocka_unit_test(test_a_task_is_finished_where_it_ran),
        cmocka_unit_test(test_between_two_tasks_the_loop_turns),
        cmocka_unit_test(test_a_late_task_loses_the_loop),
        cmocka_unit_test(test_a_spent_thread_ends_and_another_takes_its_place),
        cmocka_unit_test(test_a_watcher_that_sleeps_is_woken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
