/* Targets that filter their system calls, dispatch them to themselves, run restartable sequences, refuse new code, or
 * are 32-bit. */
#include "tracer_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const filters[] = {"errno", "trap", "trace", "kill", "strict"};

#define FILTERS (sizeof(filters) / sizeof(filters[0]))

static void test_a_target_with_a_filter_is_refused_and_lives(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILTERS; i++) {
        struct victim v = victim_start("seccomp", filters[i]);
        struct tracer_options options = {.pid = v.pid};
        struct tracer *t;
        struct refusal why;
        victim_expect(&v, "filtered");
        assert_int_equal(tracer_open(&options, &why, &t), ASPACE_UNSUPPORTED);
        assert_non_null(strstr(why.message, "seccomp"));
        assert_non_null(why.hint);
        victim_end(&v);
    }
}

static void test_a_filter_that_came_after_the_opening_is_refused_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILTERS; i++) {
        struct victim v = victim_start("seccomp", filters[i]);
        struct tracer_options options = {.pid = v.pid};
        struct tracer *t;
        struct refusal why;
        enum aspace_error error = tracer_open(&options, &why, &t);
        victim_expect(&v, "filtered");
        if (!error) {
            assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_UNSUPPORTED);
            tracer_close(t, false);
        }
        victim_end(&v);
    }
}

static void test_a_filter_sleeps_during_an_edit_if_that_is_allowed(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("not root: left out\n");
        skip();
    }
    for (size_t i = 0; i < FILTERS; i++) {
        struct victim v = victim_start("seccomp", filters[i]);
        struct tracer_options options = {.pid = v.pid, .seccomp = TRACER_SECCOMP_SUSPEND};
        struct tracer *t;
        struct refusal why;
        victim_expect(&v, "filtered");
        must(tracer_open(&options, &why, &t), &why);
        for (int n = 0; n < 10; n++)
            edit_once(t, n % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
        tracer_close(t, false);
        victim_end(&v);
    }
}

static void test_dispatched_calls_are_not_disturbed(void **state)
{
    struct victim v = victim_start("dispatch", NULL);
    uint64_t go = strtoull(victim_line(&v), NULL, 16);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    int zero = 0;

    (void)state;
    sleep_ms(20);
    for (int i = 0; i < 40; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    must(tracer_write(t, go, &zero, sizeof(zero), &why), &why);
    sleep_ms(20);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_no_broken_restartable_sequence_commits(void **state)
{
    struct victim v = victim_start("rseq", NULL);
    uint64_t addr = strtoull(victim_line(&v), NULL, 16);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;

    (void)state;
    for (uint64_t epoch = 1; epoch <= 400; epoch++) {
        must(tracer_begin(t, epoch % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS, &why), &why);
        must(tracer_write(t, addr, &epoch, sizeof(epoch), &why), &why);
        assert_int_equal(call_in(t, SYS_getpid, 0, 0, 0, 0, 0, 0), v.pid);
        tracer_end(t);
        usleep(100);
    }
    tracer_close(t, false);
    close(v.in);
    v.in = -1;
    assert_true(atoi(victim_line(&v)) > 0);
    victim_end(&v);
}

static void test_a_target_that_refuses_new_code_is_edited(void **state)
{
    struct victim v = victim_start("mdwe", NULL);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 10; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_the_kernels_own_threads_in_a_target_are_no_threads_to_make_calls_with(void **state)
{
    struct victim v = victim_start("uring", NULL);

    (void)state;
    if (strcmp(victim_line(&v), "none") == 0) {
        victim_end(&v);
        print_message("no io_uring here: left out\n");
        skip();
    }
    struct tracer *t = open_tracer(v.pid);
    for (int i = 0; i < 20; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    tracer_close(t, false);
    assert_int_equal(write(v.in, "Z", 1), 1);
    victim_expect(&v, "Z");
    victim_end(&v);
}

static void test_a_32_bit_target_is_refused_and_lives(void **state)
{
    struct victim v = victim_start("32", NULL);
    struct tracer_options options = {.pid = v.pid};
    struct tracer *t;
    struct refusal why;

    (void)state;
    assert_int_equal(tracer_open(&options, &why, &t), ASPACE_UNSUPPORTED);
    assert_non_null(strstr(why.message, "32-bit"));
    victim_end(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_with_a_filter_is_refused_and_lives),
        cmocka_unit_test(test_a_filter_that_came_after_the_opening_is_refused_too),
        cmocka_unit_test(test_a_filter_sleeps_during_an_edit_if_that_is_allowed),
        cmocka_unit_test(test_dispatched_calls_are_not_disturbed),
        cmocka_unit_test(test_no_broken_restartable_sequence_commits),
        cmocka_unit_test(test_a_target_that_refuses_new_code_is_edited),
        cmocka_unit_test(test_the_kernels_own_threads_in_a_target_are_no_threads_to_make_calls_with),
        cmocka_unit_test(test_a_32_bit_target_is_refused_and_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
