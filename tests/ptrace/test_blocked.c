/* A target blocked in any kind of call is edited 40 times meanwhile: the call must return what it would have, when it
 * would have. */
#include "tracer_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INJECTIONS 20
#define LATER_MS   650 /* of the second the calls last: one that began anew then would take too long */

static const char *const calls[] = {
    "nanosleep",    "nanosleep_absolute",
    "futex_timed",  "futex",
    "poll_timed",   "poll",
    "select_timed", "read",
    "recv",         "recv_timed",
    "read_timed",   "accept",
    "flock",        "waitpid",
    "msgrcv",       "inotify",
    "sigsuspend",   "pause",
    "epoll_wait",   "sigwaitinfo",
    "semop",
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* All victims block at the same time; each is edited at first, and again later. */
static void check_all(enum tracer_scope scope)
{
    struct victim victims[CALLS];
    struct tracer *tracers[CALLS];
    char bad[1024] = "";

    uint64_t began = now_ms();

    for (size_t i = 0; i < CALLS; i++) {
        victims[i] = victim_start("blocked", calls[i]);
        tracers[i] = open_tracer(victims[i].pid);
        for (int n = 0; n < INJECTIONS; n++)
            edit_once(tracers[i], scope);
    }
    while (now_ms() < began + LATER_MS)
        sleep_ms(1);
    for (size_t i = 0; i < CALLS; i++)
        for (int n = 0; n < INJECTIONS; n++)
            edit_once(tracers[i], scope);
    for (size_t i = 0; i < CALLS; i++) {
        const char *line = victim_line(&victims[i]);
        if (strcmp(line, "ok") != 0)
            snprintf(bad + strlen(bad), sizeof(bad) - strlen(bad), "%s: %s; ", calls[i], line);
        tracer_close(tracers[i], false);
        victim_end(&victims[i]);
    }
    assert_string_equal(bad, "");
}

static void test_no_blocked_call_notices_edits_with_one_thread_stopped(void **state)
{
    (void)state;
    check_all(TRACER_ONE_THREAD);
}

static void test_no_blocked_call_notices_edits_with_all_threads_stopped(void **state)
{
    (void)state;
    check_all(TRACER_ALL_THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_blocked_call_notices_edits_with_one_thread_stopped),
        cmocka_unit_test(test_no_blocked_call_notices_edits_with_all_threads_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
