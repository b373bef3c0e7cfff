/* Targets of many threads: all stand still together, and every one goes on. */
#include "tracer_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNTS 1024

static uint64_t counts_of(struct victim *v)
{
    return strtoull(victim_line(v), NULL, 16);
}

static void read_counts(struct tracer *t, uint64_t addr, uint64_t counts[COUNTS])
{
    struct refusal why;

    must(tracer_read(t, addr, counts, COUNTS * sizeof(counts[0]), &why), &why);
}

static void await_movement(struct tracer *t, uint64_t addr, const uint64_t before[COUNTS])
{
    uint64_t now[COUNTS];

    for (uint64_t until = now_ms() + 30000; now_ms() < until; sleep_ms(1)) {
        read_counts(t, addr, now);
        if (memcmp(before, now, sizeof(now)) != 0)
            return;
    }
    fail_msg("the target does not go on");
}

/* No count moves while all stand; some move after it. */
static void check_stillness(const char *what, const char *argument, int cycles)
{
    struct victim v = victim_start(what, argument);
    uint64_t addr = counts_of(&v);
    struct tracer *t;
    uint64_t first[COUNTS], second[COUNTS];
    struct refusal why;

    t = open_tracer(v.pid);
    for (int i = 0; i < cycles; i++) {
        must(tracer_begin(t, TRACER_ALL_THREADS, &why), &why);
        read_counts(t, addr, first);
        sleep_ms(2);
        assert_int_equal(call_in(t, SYS_getpid, 0, 0, 0, 0, 0, 0), v.pid);
        read_counts(t, addr, second);
        assert_memory_equal(first, second, sizeof(first));
        tracer_end(t);
        edit_once(t, TRACER_ONE_THREAD);
        if (i % 10 == 0)
            await_movement(t, addr, first);
    }
    tracer_close(t, false);
    victim_end(&v);
}

static void test_nothing_moves_while_sixteen_threads_stand(void **state)
{
    (void)state;
    check_stillness("threads", "16count", 40);
}

static void test_nothing_moves_while_threads_come_and_go(void **state)
{
    (void)state;
    check_stillness("threads", "16churn", 100);
}

static void test_a_process_that_shares_the_memory_stands_too(void **state)
{
    (void)state;
    check_stillness("sharer", NULL, 40);
}

static void test_a_target_whose_first_thread_is_dead_is_edited_through_another(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++)
        check_stillness("leaderless", "0", 20);
}

static long tracer_of(pid_t pid)
{
    char *text = proc_text(pid, "status");
    const char *line = strstr(text, "\nTracerPid:");

    assert_non_null(line);
    long tracer = strtol(line + strlen("\nTracerPid:"), NULL, 10);
    free(text);
    return tracer;
}

/* A thread that was joined lets go of what it traced a little later. */
static void await_untraced(pid_t pid)
{
    for (uint64_t until = now_ms() + 30000; now_ms() < until; sleep_ms(1))
        if (tracer_of(pid) == 0)
            return;
    fail_msg("process %d is traced still", (int)pid);
}

static void *edit_often(void *argument)
{
    struct victim *v = argument;
    struct tracer *t = open_tracer(v->pid);

    for (int i = 0; i < 6; i++)
        edit_once(t, i % 3 == 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
    tracer_close(t, false);
    return NULL;
}

/* About one of some hundred meets its tracer in the very microsecond that makes the tracer spent. */
static void test_a_first_thread_that_ends_during_an_edit_is_let_go(void **state)
{
    (void)state;
    for (int round = 0; round < 50 * rounds(); round++) {
        char delay[16]; /* us: up to about what the edits take */
        snprintf(delay, sizeof(delay), "%d", round * 97 % 1500);
        struct victim v = victim_start("leaderless", delay);
        pthread_t thread;
        counts_of(&v);
        assert_int_equal(pthread_create(&thread, NULL, edit_often, &v), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        await_untraced(v.pid);
        victim_end(&v);
    }
}

static void test_every_one_of_many_threads_is_stopped_and_goes_on(void **state)
{
    static const char *const arguments[] = {"128", "512"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct victim v = victim_start("threads", arguments[i]);
        struct tracer *t = open_tracer(v.pid);
        struct refusal why;
        for (int n = 0; n < 5; n++) {
            must(tracer_begin(t, TRACER_ALL_THREADS, &why), &why);
            assert_int_equal(tracer_threads(t), strtoul(arguments[i], NULL, 10) + 1);
            for (size_t index = 0; index < tracer_threads(t); index++) {
                assert_true(tracer_thread_id(t, index) > 0);
                assert_true(tracer_stack_pointer(t, index) > 4096);
            }
            tracer_end(t);
            edit_once(t, TRACER_ONE_THREAD);
        }
        tracer_close(t, false);
        victim_end(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_moves_while_sixteen_threads_stand),
        cmocka_unit_test(test_nothing_moves_while_threads_come_and_go),
        cmocka_unit_test(test_a_process_that_shares_the_memory_stands_too),
        cmocka_unit_test(test_a_target_whose_first_thread_is_dead_is_edited_through_another),
        cmocka_unit_test(test_a_first_thread_that_ends_during_an_edit_is_let_go),
        cmocka_unit_test(test_every_one_of_many_threads_is_stopped_and_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
