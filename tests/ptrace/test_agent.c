/* The agent: edits of one range stop no thread of the target's own, and the thread of ours goes with us, whatever the
 * target does meanwhile and however we end. */
#include "tracer_fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EDITS 40

static enum aspace_error try_open(pid_t pid, struct refusal *why, struct tracer **ret)
{
    struct tracer_options options = {.pid = pid, .agent = true};

    return tracer_open(&options, why, ret);
}

static struct tracer *open_with_agent(pid_t pid)
{
    struct tracer *t;
    struct refusal why;

    must(try_open(pid, &why, &t), &why);
    return t;
}

/* A number of a status file. */
static long status_of(pid_t pid, const char *name)
{
    char *text = proc_text(pid, "status");
    const char *line = strstr(text, name);
    long number;

    assert_non_null(line);
    number = strtol(line + strlen(name) + 1, NULL, 10);
    free(text);
    return number;
}

/* How often its first thread has given the processor up: it waits, so only who stops it wakes it. */
static long wakes(pid_t pid)
{
    return status_of(pid, "\nvoluntary_ctxt_switches");
}

static void await_threads(pid_t pid, long count)
{
    for (int i = 0; i < 30000 && status_of(pid, "\nThreads") != count; i++)
        sleep_ms(1);
    assert_int_equal(status_of(pid, "\nThreads"), count);
}

/* The thread of ours in a target of one thread. */
static pid_t agent_of(pid_t pid)
{
    char path[64];
    pid_t tid, found = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        if ((tid = (pid_t)strtol(entry->d_name, NULL, 10)) != 0 && tid != pid)
            found = tid;
    closedir(folder);
    assert_true(found != 0);
    return found;
}

static void order(struct victim *v, char letter, const char *answer)
{
    assert_int_equal(write(v->in, &letter, 1), 1);
    victim_expect(v, answer);
}

/* ---- */

static long wakes_of_edits(pid_t pid, struct tracer *t)
{
    wait_for_state(pid, 'S');
    long before = wakes(pid);
    for (int i = 0; i < EDITS; i++)
        edit_once(t, TRACER_ONE_THREAD);
    return wakes(pid) - before;
}

static void test_no_thread_of_the_target_is_stopped_for_an_edit(void **state)
{
    struct victim v = victim_start("sleeper", NULL);

    (void)state;
    long count = 1;
    struct tracer *t = open_with_agent(v.pid);
    for (int i = 0; i < 5 && count != 0; i++) /* any may meet it just before it waits */
        count = wakes_of_edits(v.pid, t);
    tracer_close(t, false);
    assert_int_equal(count, 0);
    t = open_tracer(v.pid);
    assert_true(wakes_of_edits(v.pid, t) >= EDITS); /* the count is one that can grow */
    tracer_close(t, false);
    victim_end(&v);
}

static void test_it_is_one_thread_and_leaves_no_trace(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    char *maps = proc_text(v.pid, "maps");
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    for (int i = 0; i < EDITS; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    order(&v, 'o', "done o, 2 threads");
    tracer_close(t, false);
    char *after = proc_text(v.pid, "maps");
    assert_string_equal(maps, after);
    assert_int_equal(status_of(v.pid, "\nThreads"), 1);
    assert_int_equal(status_of(v.pid, "\nTracerPid"), 0);
    free(maps), free(after);
    victim_end(&v);
}

static void test_a_child_of_the_target_has_nothing_of_it(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    order(&v, 'c', "child: 1 threads, 0 pages of others");
    victim_expect(&v, "done c, 2 threads");
    edit_once(t, TRACER_ONE_THREAD);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_an_exec_ends_it_and_the_new_image_gets_another(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);
    struct refusal why;

    (void)state;
    for (int i = 0; i < 10; i++) {
        order(&v, 'x', "ready");
        assert_int_equal(status_of(v.pid, "\nThreads"), 1);
        assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_TARGET_GONE);
        must(tracer_follow(t, &why), &why);
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
        assert_int_equal(status_of(v.pid, "\nThreads"), 2);
    }
    tracer_close(t, false);
    victim_end(&v);
}

static void test_the_target_ends_as_if_it_were_not_there(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    victim_end(&v);
    assert_true(tracer_gone(t));
    tracer_close(t, false);
}

static void test_it_does_not_outlive_the_first_thread(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);
    struct refusal why;

    (void)state;
    assert_int_equal(write(v.in, "e", 1), 1);
    wait_for_state(v.pid, 'Z');
    assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_TARGET_GONE);
    victim_end(&v); /* it could not end while the agent lived */
    tracer_close(t, false);
}

static void test_it_does_not_keep_what_the_target_gave_up(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    char path[64];

    (void)state;
    if (geteuid() != 0) {
        victim_end(&v);
        print_message("not root: left out\n");
        skip();
    }
    struct tracer *t = open_with_agent(v.pid);
    order(&v, 'u', "done u, 2 threads");
    edit_once(t, TRACER_ONE_THREAD);
    snprintf(path, sizeof(path), "task/%d/status", (int)agent_of(v.pid));
    char *status = proc_text(v.pid, path);
    assert_non_null(strstr(status, "\nUid:\t65534\t65534\t65534"));
    assert_non_null(strstr(status, "\nCapPrm:\t0000000000000000\n"));
    free(status);
    tracer_close(t, false);
    assert_int_equal(status_of(v.pid, "\nThreads"), 1);
    victim_end(&v);
}

static void test_a_filter_of_all_threads_is_met_before_it_is_touched(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);
    struct refusal why;

    (void)state;
    order(&v, 'f', "done f, 2 threads");
    assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_UNSUPPORTED);
    assert_int_equal(tracer_begin(t, TRACER_ALL_THREADS, &why), ASPACE_UNSUPPORTED);
    tracer_close(t, false);
    await_threads(v.pid, 1);
    victim_end(&v);
}

static void test_pages_that_the_target_unmaps_under_it_are_mapped_again(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    for (int i = 0; i < 4; i++) {
        wait_for_state(agent_of(v.pid), 'S'); /* until it waits it needs them */
        order(&v, 'm', "done m, 2 threads");
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    }
    tracer_close(t, false);
    assert_int_equal(status_of(v.pid, "\nThreads"), 1);
    victim_end(&v);
}

static void test_a_target_whose_threads_cannot_be_stopped_is_edited(void **state)
{
    struct victim v = victim_start("obeys", NULL);
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    kill(v.pid, SIGSTOP);
    wait_for_state(v.pid, 'T');
    for (int i = 0; i < EDITS; i++)
        edit_once(t, TRACER_ONE_THREAD);
    wait_for_state(v.pid, 'T');
    tracer_close(t, false);
    wait_for_state(v.pid, 'T');
    kill(v.pid, SIGCONT);
    order(&v, 'o', "done o, 1 threads");
    victim_end(&v);
}

static void test_no_signal_reaches_it(void **state)
{
    struct victim v = victim_start("interrupted", NULL);
    struct tracer *t = open_with_agent(v.pid);

    (void)state;
    for (int i = 0; i < 200; i++)
        edit_once(t, i % 10 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
    tracer_close(t, false);
    victim_end(&v);
}

/* ---- However we end ---- */

static void test_it_ends_with_a_tracer_that_is_killed(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct victim v = victim_start("naps", NULL);
        char *maps = proc_text(v.pid, "maps");
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            struct tracer *t = open_with_agent(v.pid);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                edit_once(t, TRACER_ONE_THREAD);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        usleep((unsigned)i * 50);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(ready[0]), close(ready[1]);
        await_threads(v.pid, 1);
        tracer_close(open_tracer(v.pid), false); /* unmaps what was left */
        char *after = proc_text(v.pid, "maps");
        assert_null(strstr(after, "r-xp 00000000 00:00 0 \n"));
        free(maps), free(after);
        victim_end(&v);
    }
}

/* What another thread attaches to is another's: the tracer of a spent thread is. */
static void *attach_to_agent(void *argument)
{
    struct tracer *t = argument;
    struct refusal why;

    return tracer_begin(t, TRACER_ONE_THREAD, &why) ? t : NULL; /* the kernel lets go of what it holds */
}

static void test_a_tracer_whose_thread_ended_goes_on_with_it(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_with_agent(v.pid);
    pthread_t thread;
    void *bad;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, attach_to_agent, t), 0);
    pthread_join(thread, &bad);
    assert_null(bad);
    tracer_adopt(t);
    for (int i = 0; i < EDITS; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    tracer_close(t, false);
    assert_int_equal(status_of(v.pid, "\nThreads"), 1);
    victim_end(&v);
}

static void test_a_spawned_target_gets_it_once_it_runs(void **state)
{
    const char *const command[] = {"sleep", "100", NULL};
    struct tracer_options options = {.command = (char *const *)(uintptr_t)command, .agent = true};
    struct tracer *t;
    struct refusal why;

    (void)state;
    must(tracer_open(&options, &why, &t), &why);
    edit_once(t, TRACER_ONE_THREAD);
    assert_int_equal(status_of(tracer_pid(t), "\nThreads"), 1);
    must(tracer_resume(t, &why), &why);
    edit_once(t, TRACER_ONE_THREAD);
    assert_int_equal(status_of(tracer_pid(t), "\nThreads"), 2);
    tracer_close(t, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_thread_of_the_target_is_stopped_for_an_edit),
        cmocka_unit_test(test_it_is_one_thread_and_leaves_no_trace),
        cmocka_unit_test(test_a_child_of_the_target_has_nothing_of_it),
        cmocka_unit_test(test_an_exec_ends_it_and_the_new_image_gets_another),
        cmocka_unit_test(test_the_target_ends_as_if_it_were_not_there),
        cmocka_unit_test(test_it_does_not_outlive_the_first_thread),
        cmocka_unit_test(test_it_does_not_keep_what_the_target_gave_up),
        cmocka_unit_test(test_a_filter_of_all_threads_is_met_before_it_is_touched),
        cmocka_unit_test(test_pages_that_the_target_unmaps_under_it_are_mapped_again),
        cmocka_unit_test(test_a_target_whose_threads_cannot_be_stopped_is_edited),
        cmocka_unit_test(test_no_signal_reaches_it),
        cmocka_unit_test(test_it_ends_with_a_tracer_that_is_killed),
        cmocka_unit_test(test_a_tracer_whose_thread_ended_goes_on_with_it),
        cmocka_unit_test(test_a_spawned_target_gets_it_once_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
