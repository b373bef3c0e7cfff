/* Signals while a target is edited: none is lost, none is made up, none interrupts what it would not have. */
#include "tracer_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 64

/* A transaction of one batch. False once the target is gone. */
static bool run_batch(struct tracer *t)
{
    struct remote_call calls[BATCH];
    struct refusal why;

    for (size_t i = 0; i < BATCH; i++)
        calls[i] = (struct remote_call){.number = SYS_getpid};
    if (tracer_begin(t, TRACER_ONE_THREAD, &why) || tracer_call(t, calls, BATCH, &why)) {
        tracer_end(t);
        if (why.code != ASPACE_TARGET_GONE)
            fail_msg("%s", why.message);
        return false;
    }
    tracer_end(t);
    for (size_t i = 0; i < BATCH; i++) {
        assert_true(calls[i].done);
        assert_int_equal(calls[i].result, tracer_pid(t));
    }
    return true;
}

static void test_no_register_flag_or_red_zone_is_changed(void **state)
{
    struct victim v = victim_start("registers", NULL);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 400; i++) {
        edit_once(t, i % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
        assert_true(run_batch(t));
    }
    tracer_close(t, false);
    victim_end(&v);
}

/* ---- Storms ---- */

#define STORM_LENGTH 3000 /* signals; TEST_PTRACE_ROUNDS times as many */

struct storm {
    pid_t pid;
    int number;
    int length;
    int pace_us;
    atomic_int sent;
    pthread_t thread;
};

static void *send_storm(void *argument)
{
    struct storm *storm = argument;
    struct timespec pause = {.tv_nsec = storm->pace_us * 1000L};

    for (int i = 0; i < storm->length; i++) {
        union sigval value = {.sival_int = i};
        while (sigqueue(storm->pid, storm->number, value) != 0 && errno == EAGAIN)
            sched_yield();
        atomic_fetch_add(&storm->sent, 1);
        if (i % 4 == 0)
            nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Edits until the storm is over; the victim then says how many signals it got. */
static void weather_storm(const char *what, const char *argument)
{
    struct victim v = victim_start(what, argument);
    struct tracer *t = open_tracer(v.pid);
    struct storm storm = {.pid = v.pid, .number = SIGRTMIN, .pace_us = 20, .length = STORM_LENGTH * rounds()};
    char wanted[32];

    assert_int_equal(pthread_create(&storm.thread, NULL, send_storm, &storm), 0);
    while (atomic_load(&storm.sent) < storm.length) {
        edit_once(t, TRACER_ONE_THREAD);
        assert_true(run_batch(t));
    }
    pthread_join(storm.thread, NULL);
    edit_once(t, TRACER_ALL_THREADS);
    tracer_close(t, false);
    close(v.in);
    v.in = -1;
    snprintf(wanted, sizeof(wanted), "%d", storm.length);
    victim_expect(&v, wanted);
    victim_end(&v);
}

static void test_a_storm_of_signals_arrives_whole_and_in_order(void **state)
{
    (void)state;
    weather_storm("storm", "busy");
    weather_storm("storm", "read");
    weather_storm("storm", "sleep");
}

static void test_a_blocked_call_is_interrupted_by_handlers_alone(void **state)
{
    (void)state;
    weather_storm("interrupted", "plain");
    weather_storm("interrupted", "restart");
}

/* Call `at` of the batch sends the target a signal: it comes between that call and the next. */
static void test_a_signal_at_every_boundary_of_a_batch_is_delivered_and_the_batch_goes_on(void **state)
{
    struct victim v = victim_start("interrupted", "restart");
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    char wanted[32];

    (void)state;
    for (size_t at = 0; at < BATCH; at++) {
        struct remote_call calls[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            calls[i] = (struct remote_call){.number = SYS_getpid};
        calls[at] =
            (struct remote_call){.number = SYS_tgkill, .args = {(uint64_t)v.pid, (uint64_t)v.pid, (uint64_t)SIGRTMIN}};
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        must(tracer_call(t, calls, BATCH, &why), &why);
        tracer_end(t);
        for (size_t i = 0; i < BATCH; i++) {
            assert_true(calls[i].done);
            assert_int_equal(calls[i].result, i == at ? 0 : v.pid);
        }
    }
    tracer_close(t, false);
    close(v.in);
    v.in = -1;
    snprintf(wanted, sizeof(wanted), "%d", BATCH);
    victim_expect(&v, wanted);
    victim_end(&v);
}

static uint64_t number_in_status(pid_t pid, const char *name, int base)
{
    char *text = proc_text(pid, "status");
    const char *line = strstr(text, name);
    uint64_t number;

    assert_non_null(line);
    number = strtoull(line + strlen(name), NULL, base);
    free(text);
    return number;
}

/* Until the target has taken the signal: one more of that number would be lost before. */
static void await_taken(pid_t pid, int number)
{
    for (uint64_t until = now_ms() + 30000; number_in_status(pid, "\nShdPnd:", 16) >> (number - 1) & 1; sleep_ms(1))
        assert_true(now_ms() < until);
}

/* Until a process that sleeps again and again has done so: it has seen what was there before. */
static void await_naps(pid_t pid)
{
    uint64_t naps = number_in_status(pid, "\nvoluntary_ctxt_switches:", 10);

    for (uint64_t until = now_ms() + 30000; number_in_status(pid, "\nvoluntary_ctxt_switches:", 10) < naps + 3;
         sleep_ms(1))
        assert_true(now_ms() < until);
}

static void test_sigtrap_is_never_made_and_never_eaten(void **state)
{
    static const char *const modes[] = {"ignored", "blocked", "handled"};
    static const char *const wanted[] = {"20", "20 pending", "40"};

    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        struct victim v = victim_start("traps", modes[mode]);
        struct tracer *t = open_tracer(v.pid);
        for (int i = 0; i < 20; i++) {
            /* One at a time: ordinary signals do not queue. */
            assert_int_equal(kill(v.pid, SIGTRAP), 0);
            assert_int_equal(kill(v.pid, SIGURG), 0);
            edit_once(t, TRACER_ONE_THREAD);
            assert_true(run_batch(t));
            await_taken(v.pid, SIGURG);
            if (mode == 2)
                await_taken(v.pid, SIGTRAP);
        }
        tracer_close(t, false);
        close(v.in);
        v.in = -1;
        victim_expect(&v, wanted[mode]);
        victim_end(&v);
    }
}

/* Until a signal sent to a thread is taken: the next would be merged into it. */
static void await_taken_by_thread(pid_t pid, int number)
{
    for (uint64_t until = now_ms() + 30000; number_in_status(pid, "\nSigPnd:", 16) >> (number - 1) & 1;)
        assert_true(now_ms() < until);
}

static void expect_count(struct victim *v, int wanted)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", wanted);
    close(v->in);
    v->in = -1;
    victim_expect(v, text);
    victim_end(v);
}

/* The signal is the first thing that a batch or an edit meets, and is the number that would end it. */
static void test_a_pending_signal_whose_handler_blocks_all_others_is_survived(void **state)
{
    static const int numbers[] = {SIGURG, SIGUSR1, SIGWINCH};
    struct victim v = victim_start("masked", "read");
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 120; i++) {
        assert_int_equal(syscall(SYS_tgkill, v.pid, v.pid, numbers[i % 3]), 0);
        if (i % 2)
            assert_true(run_batch(t));
        edit_once(t, TRACER_ONE_THREAD);
        await_taken_by_thread(v.pid, numbers[i % 3]);
    }
    tracer_close(t, false);
    expect_count(&v, 120);
}

/* Each call of a batch in turn sends the signal, so that the handler's mask meets the rest of it. */
static void test_a_handler_that_blocks_all_others_at_every_boundary_of_a_batch_is_survived(void **state)
{
    static const int numbers[] = {SIGUSR1, SIGURG};
    struct victim v = victim_start("masked", "read");
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;

    (void)state;
    for (size_t at = 0; at < BATCH; at++) {
        struct remote_call calls[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            calls[i] = (struct remote_call){.number = SYS_getppid};
        calls[at] = (struct remote_call){.number = SYS_tgkill,
                                         .args = {(uint64_t)v.pid, (uint64_t)v.pid, (uint64_t)numbers[at % 2]}};
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        must(tracer_call(t, calls, BATCH, &why), &why);
        tracer_end(t);
        for (size_t i = 0; i < BATCH; i++) {
            assert_true(calls[i].done);
            assert_int_equal(calls[i].result, i == at ? 0 : getpid());
        }
        await_taken_by_thread(v.pid, numbers[at % 2]);
    }
    tracer_close(t, false);
    expect_count(&v, BATCH);
}

struct pelting {
    struct victim v;
    int number;
    int sent;
    atomic_bool over;
};

/* One at a time, to the thread itself: such a signal comes before the one that ends a batch. */
static void *pelt(void *argument)
{
    struct pelting *p = argument;

    for (; p->sent < STORM_LENGTH * rounds(); p->sent++) {
        await_taken_by_thread(p->v.pid, p->number);
        syscall(SYS_tgkill, p->v.pid, p->v.pid, p->number);
    }
    await_taken_by_thread(p->v.pid, p->number);
    atomic_store(&p->over, true);
    return NULL;
}

static void weather_pelting(const char *what, int number)
{
    struct pelting p = {.v = victim_start("masked", what), .number = number};
    struct tracer *t = open_tracer(p.v.pid);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, pelt, &p), 0);
    while (!atomic_load(&p.over)) {
        assert_true(run_batch(t));
        edit_once(t, TRACER_ONE_THREAD);
    }
    pthread_join(thread, NULL);
    edit_once(t, TRACER_ALL_THREADS);
    tracer_close(t, false);
    expect_count(&p.v, p.sent);
}

static void test_signals_that_come_before_the_batchs_own_are_counted_right(void **state)
{
    (void)state;
    weather_pelting("read", SIGUSR1);
    weather_pelting("busy", SIGUSR1);
    weather_pelting("busy", SIGURG);
}

struct hail {
    struct victim v;
    int number;
    atomic_bool over;
};

/* Without a pause: one of them is always pending. */
static void *send_hail(void *argument)
{
    struct hail *hail = argument;

    while (!atomic_load(&hail->over))
        syscall(SYS_tgkill, hail->v.pid, hail->v.pid, hail->number);
    return NULL;
}

/* Busy is an answer to so many. True if the edit was made. */
static bool edit_in_hail(struct tracer *t)
{
    struct remote_call calls[3];
    struct refusal why;
    bool made;

    for (size_t i = 0; i < 3; i++)
        calls[i] = (struct remote_call){.number = SYS_munmap, .args = {0x10000, 0x1000}};
    made = !tracer_begin(t, TRACER_ONE_THREAD, &why) && !tracer_call(t, calls, 3, &why);
    tracer_end(t);
    if (!made && why.code != ASPACE_BUSY)
        fail_msg("%s", why.message);
    for (size_t i = 0; i < 3 && made; i++)
        assert_true(calls[i].done && calls[i].result == 0);
    return made;
}

/* They are ignored: no handler's mask holds them up. */
static void test_a_hail_of_signals_that_come_before_the_batchs_own_loses_no_edit(void **state)
{
    static const int numbers[] = {SIGURG, SIGCHLD};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct hail hail = {.v = victim_start(i < 2 ? "sleeper" : "registers", NULL), .number = numbers[i % 2]};
        struct tracer *t = open_tracer(hail.v.pid);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, send_hail, &hail), 0);
        for (int n = 0; n < 30 * rounds();)
            n += edit_in_hail(t);
        atomic_store(&hail.over, true);
        pthread_join(thread, NULL);
        tracer_close(t, false);
        victim_end(&hail.v);
    }
}

/* The thread is back at its own work then, and what its calls gave is not known: Timeout, as only the deadline tells. */
static void test_a_batch_whose_signal_is_discarded_leaves_the_thread_whole(void **state)
{
    struct victim v = victim_start("discards", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    bool late = false;

    (void)state;
    for (int i = 0; i < 2000 * rounds() && !late; i++) {
        struct remote_call calls[8];
        for (size_t n = 0; n < 8; n++)
            calls[n] = (struct remote_call){.number = SYS_munmap, .args = {0x10000, 0x1000}};
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        late = tracer_call(t, calls, i % 2 ? 1 : 8, &why) != ASPACE_OK;
        if (late)
            assert_int_equal(why.code, ASPACE_TIMEOUT);
        tracer_end(t);
    }
    tracer_close(t, false);
    victim_end(&v);
}

static void test_a_target_that_blocks_every_signal_runs_batches_too(void **state)
{
    struct victim v = victim_start("deaf", NULL);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_true(run_batch(t));
    tracer_close(t, false);
    victim_end(&v);
}

static void test_sigterm_ends_a_target_in_the_midst_of_edits(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct victim v = victim_start(i % 2 ? "sleeper" : "spinner", NULL);
        struct tracer *t = open_tracer(v.pid);
        pid_t killer = fork();
        if (killer == 0) {
            sleep_ms((unsigned)i % 5);
            kill(v.pid, SIGTERM);
            _exit(0);
        }
        for (uint64_t until = now_ms() + 30000; run_batch(t) && now_ms() < until;)
            ;
        assert_true(tracer_gone(t));
        tracer_close(t, false);
        waitpid(killer, NULL, 0);
        victim_kill(&v);
    }
}

/* ---- Stopped targets ---- */

static void test_a_stopped_target_stays_stopped_and_its_parent_is_told_once(void **state)
{
    struct victim v = victim_start("parent", NULL);
    pid_t child = atoi(victim_line(&v));
    struct tracer *t = open_tracer(child);

    (void)state;
    kill(child, SIGSTOP);
    wait_for_state(child, 'T');
    await_naps(v.pid);
    for (int i = 0; i < 20; i++) {
        edit_once(t, i % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
        assert_true(run_batch(t));
        wait_for_state(child, 'T');
    }
    kill(child, SIGCONT);
    wait_for_state(child, 'S');
    for (int i = 0; i < 20; i++)
        edit_once(t, TRACER_ONE_THREAD);
    tracer_close(t, false);
    await_naps(v.pid);
    close(v.in);
    v.in = -1;
    victim_expect(&v, "1 stops, 1 continues");
    victim_end(&v);
}

static void test_stops_and_continues_in_the_midst_of_edits_take_effect(void **state)
{
    struct victim v = victim_start("parent", NULL);
    pid_t child = atoi(victim_line(&v));
    struct tracer *t = open_tracer(child);

    (void)state;
    pid_t other = fork();
    if (other == 0) {
        for (int i = 0; i < 100; i++) {
            kill(child, i % 2 ? SIGCONT : SIGSTOP);
            sleep_ms(2);
        }
        kill(child, SIGSTOP);
        _exit(0);
    }
    while (waitpid(other, NULL, WNOHANG) == 0) {
        edit_once(t, TRACER_ONE_THREAD);
        assert_true(run_batch(t));
    }
    wait_for_state(child, 'T');
    edit_once(t, TRACER_ALL_THREADS);
    wait_for_state(child, 'T');
    kill(child, SIGCONT);
    wait_for_state(child, 'S');
    tracer_close(t, false);
    close(v.in);
    v.in = -1;
    assert_non_null(strstr(victim_line(&v), "stops"));
    victim_end(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_register_flag_or_red_zone_is_changed),
        cmocka_unit_test(test_a_storm_of_signals_arrives_whole_and_in_order),
        cmocka_unit_test(test_a_blocked_call_is_interrupted_by_handlers_alone),
        cmocka_unit_test(test_a_signal_at_every_boundary_of_a_batch_is_delivered_and_the_batch_goes_on),
        cmocka_unit_test(test_sigtrap_is_never_made_and_never_eaten),
        cmocka_unit_test(test_a_pending_signal_whose_handler_blocks_all_others_is_survived),
        cmocka_unit_test(test_a_handler_that_blocks_all_others_at_every_boundary_of_a_batch_is_survived),
        cmocka_unit_test(test_signals_that_come_before_the_batchs_own_are_counted_right),
        cmocka_unit_test(test_a_hail_of_signals_that_come_before_the_batchs_own_loses_no_edit),
        cmocka_unit_test(test_a_batch_whose_signal_is_discarded_leaves_the_thread_whole),
        cmocka_unit_test(test_a_target_that_blocks_every_signal_runs_batches_too),
        cmocka_unit_test(test_sigterm_ends_a_target_in_the_midst_of_edits),
        cmocka_unit_test(test_a_stopped_target_stays_stopped_and_its_parent_is_told_once),
        cmocka_unit_test(test_stops_and_continues_in_the_midst_of_edits_take_effect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
