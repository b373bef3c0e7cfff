/* A target blocked in any kind of call is edited 40 times meanwhile: the call must return what it would have, when it
 * would have. */
#include "tracer_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INJECTIONS 20
/* How long the calls last. A machine that is too busy to make all edits in that time gets longer ones. */
#define WAIT_MS     1000u
#define WAIT_MAX_MS 16000u

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

struct blocked {
    struct victim victims[CALLS];
    struct tracer *tracers[CALLS];
    size_t count;
    uint64_t began;
};

/* Unless that much of `wait` is over: what would be edited then might have ended already. */
static bool edit_in_time(struct blocked *b, size_t i, enum tracer_scope scope, uint64_t until)
{
    for (int n = 0; n < INJECTIONS; n++) {
        if (now_ms() >= until)
            return false;
        edit_once(b->tracers[i], scope);
    }
    return true;
}

/* At first, and again when a call that began anew would take too long. */
static bool edit_all(struct blocked *b, enum tracer_scope scope, unsigned wait)
{
    for (; b->count < CALLS; b->count++) {
        b->victims[b->count] = victim_start("blocked", calls[b->count]);
        b->tracers[b->count] = open_tracer(b->victims[b->count].pid);
        if (!edit_in_time(b, b->count, scope, b->began + wait * 65 / 100)) {
            b->count++;
            return false;
        }
    }
    while (now_ms() < b->began + wait * 65 / 100)
        sleep_ms(1);
    for (size_t i = 0; i < CALLS; i++)
        if (!edit_in_time(b, i, scope, b->began + wait * 9 / 10))
            return false;
    return true;
}

/* All victims block at the same time. What is wrong is in `bad`. */
static void check_for(enum tracer_scope scope, unsigned wait, char *bad, size_t size)
{
    struct blocked b = {.began = now_ms()};
    char text[16];

    snprintf(text, sizeof(text), "%u", wait);
    setenv("VICTIM_WAIT_MS", text, 1);
    bool in_time = edit_all(&b, scope, wait);
    snprintf(bad, size, "%s", in_time ? "" : "the edits took too long; ");
    for (size_t i = 0; i < b.count; i++) {
        const char *line = victim_line(&b.victims[i]);
        if (strcmp(line, "ok") != 0)
            snprintf(bad + strlen(bad), size - strlen(bad), "%s: %s; ", calls[i], line);
        tracer_close(b.tracers[i], false);
        victim_end(&b.victims[i]);
    }
}

static void check_all(enum tracer_scope scope)
{
    char bad[1024] = "";

    for (unsigned wait = WAIT_MS; wait <= WAIT_MAX_MS; wait *= 4) {
        check_for(scope, wait, bad, sizeof(bad));
        if (!*bad)
            return;
        print_message("in calls of %u ms: %s\n", wait, bad);
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
