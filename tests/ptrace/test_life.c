/* Targets that exec, exit, are killed, cannot be stopped, or whose id is taken by another: never a hang, never a wrong
 * target, always a clear error. */
#include "tracer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Exec and exit ---- */

/* ThreadSanitizer puts a signal's handler off until the kernel gives up what it waits for, which here it does not. */
#ifdef __SANITIZE_THREAD__
#define IDLE_THREADS "0"
#else
#define IDLE_THREADS "3"
#endif

static void test_a_target_that_execs_all_the_time_is_followed(void **state)
{
    struct victim v = victim_start("exec", IDLE_THREADS);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    int edits = 0, execs = 0;

    (void)state;
    for (uint64_t until = now_ms() + 60000 * (uint64_t)rounds();
         now_ms() < until && (edits < 50 * rounds() || execs < 30 * rounds());) {
        enum aspace_error error = tracer_begin(t, edits % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD, &why);
        struct remote_call calls[8];
        for (int i = 0; i < 8; i++)
            calls[i] = (struct remote_call){.number = SYS_getpid};
        if (!error)
            error = tracer_call(t, calls, edits % 3 ? 8 : 1, &why);
        tracer_end(t);
        if (!error) {
            assert_int_equal(calls[0].result, v.pid);
            edits++;
            continue;
        }
        if (tracer_spent(t) || (error != ASPACE_TARGET_GONE && error != ASPACE_BUSY))
            fail_msg("%s: %s", aspace_error_name((int)error), why.message);
        if (tracer_fate(t) == TRACER_EXECED) {
            execs++;
            must(tracer_follow(t, &why), &why);
        }
    }
    assert_true(edits >= 50 * rounds());
    assert_true(execs >= 30 * rounds());
    tracer_close(t, false);
    victim_end(&v);
}

static void test_a_target_killed_at_any_moment_is_gone_and_nothing_hangs(void **state)
{
    (void)state;
    for (int i = 0; i < 30 * rounds(); i++) {
        struct victim v = victim_start("threads", i % 3 ? "4count" : "16churn");
        struct tracer *t = open_tracer(v.pid);
        struct refusal why = {0};
        enum aspace_error error = ASPACE_OK;
        pid_t killer = fork();
        if (killer == 0) {
            usleep((unsigned)(i % 30 * 311));
            kill(v.pid, SIGKILL);
            _exit(0);
        }
        uint64_t until = now_ms() + 30000;
        while (!error && now_ms() < until) {
            struct remote_call calls[32];
            for (int n = 0; n < 32; n++)
                calls[n] = (struct remote_call){.number = SYS_getpid};
            error = tracer_begin(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD, &why);
            if (!error)
                error = tracer_call(t, calls, i % 4 ? 32 : 2, &why);
            tracer_end(t);
            if (error == ASPACE_BUSY)
                error = ASPACE_OK;
        }
        if (error != ASPACE_TARGET_GONE)
            fail_msg("round %d: %s: %s", i, error ? aspace_error_name((int)error) : "no error", why.message);
        waitpid(killer, NULL, 0);
        tracer_close(t, false);
        victim_kill(&v);
    }
}

/* ---- Refusals ---- */

static void check_refused(pid_t pid, enum aspace_error wanted, const char *text)
{
    struct tracer_options options = {.pid = pid};
    struct tracer *t = NULL;
    struct refusal why = {0};
    enum aspace_error error = tracer_open(&options, &why, &t);

    if (!error)
        error = tracer_begin(t, TRACER_ONE_THREAD, &why);
    tracer_close(t, false);
    if (error != wanted || !strstr(why.message, text))
        fail_msg("process %d: %s: %s; wanted %s", (int)pid, error ? aspace_error_name((int)error) : "no error",
                 why.message, text);
    assert_non_null(why.hint);
}

static void test_what_cannot_be_traced_is_refused_with_the_reason(void **state)
{
    (void)state;
    check_refused(0, ASPACE_INVALID_PARAM, "there is no process 0");
    check_refused(-3, ASPACE_INVALID_PARAM, "there is no process -3");
    check_refused(0x3fffffff, ASPACE_INVALID_PARAM, "there is no process");
    check_refused(getpid(), ASPACE_UNSUPPORTED, "the daemon itself");
    check_refused(2, ASPACE_UNSUPPORTED, "thread of the kernel");
}

static void test_a_zombie_is_refused(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    wait_for_state(pid, 'Z');
    check_refused(pid, ASPACE_TARGET_GONE, "exit");
    waitpid(pid, NULL, 0);
}

static void test_a_target_that_is_traced_already_is_refused(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    int ready[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t debugger = fork();
    if (debugger == 0) {
        ptrace(PTRACE_SEIZE, v.pid, NULL, NULL);
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    check_refused(v.pid, ASPACE_BUSY, "traced already");
    kill(debugger, SIGKILL);
    waitpid(debugger, NULL, 0);
    close(ready[0]), close(ready[1]);
    struct tracer *t = open_tracer(v.pid);
    edit_once(t, TRACER_ONE_THREAD);
    tracer_close(t, false);
    victim_end(&v);
}

/* Runs in a child without privileges, as nobody. */
static void as_nobody(void (*body)(pid_t pid), pid_t pid)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (setgid(65534) || setuid(65534))
            _exit(3);
        body(pid);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void refuse_other_user(pid_t pid)
{
    struct tracer_options options = {.pid = pid};
    struct tracer *t = NULL;
    struct refusal why = {0};

    if (tracer_open(&options, &why, &t) != ASPACE_DENIED || !strstr(why.hint, "another user"))
        _exit(4);
}

static void refuse_undumpable(pid_t pid)
{
    struct tracer_options options = {.pid = pid};
    struct tracer *t = NULL;
    struct refusal why = {0};

    if (tracer_open(&options, &why, &t) != ASPACE_DENIED || !strstr(why.hint, "not dumpable"))
        _exit(4);
}

static void edit_as_nobody(pid_t pid)
{
    struct tracer_options options = {.pid = pid};
    struct tracer *t = NULL;
    struct refusal why = {0};

    if (tracer_open(&options, &why, &t))
        _exit(4);
    for (int i = 0; i < 10; i++)
        edit_once(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    tracer_close(t, false);
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    print_message("not root: left out\n");
    skip();
}

static void test_another_users_target_is_denied(void **state)
{
    (void)state;
    need_root();
    struct victim v = victim_start("sleeper", NULL);
    as_nobody(refuse_other_user, v.pid);
    victim_end(&v);
}

static void test_a_user_without_privileges_edits_its_own_target_alone(void **state)
{
    (void)state;
    need_root();
    struct victim own = victim_start("user", "dumpable");
    as_nobody(edit_as_nobody, own.pid);
    victim_end(&own);
    struct victim secret = victim_start("user", "");
    as_nobody(refuse_undumpable, secret.pid);
    victim_end(&secret);
}

static void test_a_recycled_pid_is_never_taken_for_the_target(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    char byte;

    (void)state;
    need_root();
    edit_once(t, TRACER_ONE_THREAD);
    victim_kill(&v);
    pid_t wanted[] = {v.pid};
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)wanted, .set_tid_size = 1};
    pid_t other = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (other == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(other, v.pid);
    assert_true(tracer_gone(t));
    assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_TARGET_GONE);
    assert_int_equal(tracer_begin(t, TRACER_ALL_THREADS, &why), ASPACE_TARGET_GONE);
    assert_int_equal(tracer_read(t, 4096, &byte, 1, &why), ASPACE_TARGET_GONE);
    assert_int_equal(tracer_write(t, 4096, &byte, 1, &why), ASPACE_TARGET_GONE);
    tracer_close(t, true);
    assert_int_equal(kill(other, 0), 0);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

/* ---- What does not stop ---- */

struct spent {
    pid_t pid;
    struct tracer *t;
    enum aspace_error error;
    struct refusal why;
    uint64_t took;
    enum tracer_scope scope;
    unsigned deadline_ms;
};

/* On a thread of its own, which ends after it. */
static void *meet_deadline(void *argument)
{
    struct spent *s = argument;
    struct tracer_options options = {.pid = s->pid, .deadline_ms = s->deadline_ms};

    s->error = tracer_open(&options, &s->why, &s->t);
    uint64_t began = now_ms();
    if (!s->error)
        s->error = tracer_begin(s->t, s->scope, &s->why);
    s->took = now_ms() - began;
    return NULL;
}

static struct spent spend(pid_t pid, enum tracer_scope scope)
{
    struct spent s = {.pid = pid, .scope = scope, .deadline_ms = 150};
    pthread_t thread;
    struct refusal why;

    assert_int_equal(pthread_create(&thread, NULL, meet_deadline, &s), 0);
    pthread_join(thread, NULL);
    assert_int_equal(s.error, ASPACE_TIMEOUT);
    assert_true(s.took >= 140 && s.took < 20000);
    assert_true(tracer_spent(s.t));
    assert_int_equal(tracer_begin(s.t, TRACER_ONE_THREAD, &why), ASPACE_BUSY);
    tracer_adopt(s.t);
    assert_false(tracer_spent(s.t));
    tracer_set_deadline(s.t, 3000);
    return s;
}

static void test_a_vfork_parent_is_given_up_at_the_deadline_and_edited_later(void **state)
{
    (void)state;
    for (int scope = 0; scope < 2; scope++) {
        struct victim v = victim_start("vfork", "2000");
        wait_for_state(v.pid, 'D');
        struct spent s = spend(v.pid, scope ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
        victim_expect(&v, "ok");
        edit_once(s.t, TRACER_ONE_THREAD);
        edit_once(s.t, TRACER_ALL_THREADS);
        tracer_close(s.t, false);
        victim_end(&v);
    }
}

static void test_a_vfork_parent_is_waited_for_if_time_allows(void **state)
{
    struct victim v = victim_start("vfork", "100");
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    edit_once(t, TRACER_ALL_THREADS);
    victim_expect(&v, "ok");
    tracer_close(t, false);
    victim_end(&v);
}

static void *cancel_soon(void *argument)
{
    sleep_ms(60);
    tracer_cancel(argument);
    return NULL;
}

static void test_a_cancelled_transaction_ends_early(void **state)
{
    struct victim v = victim_start("vfork", "8000");
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    pthread_t thread;

    (void)state;
    wait_for_state(v.pid, 'D');
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, t), 0);
    uint64_t began = now_ms();
    assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_TIMEOUT);
    assert_true(now_ms() - began < 20000);
    pthread_join(thread, NULL);
    assert_true(tracer_spent(t));
    tracer_close(t, false);
    victim_kill(&v);
}

static void test_a_call_that_blocks_is_given_up_and_the_target_goes_on(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    struct remote_call sleep_long = {.number = SYS_pause};

    (void)state;
    tracer_set_deadline(t, 400);
    for (int i = 0; i < 3; i++) {
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        uint64_t began = now_ms();
        assert_int_equal(tracer_call(t, &sleep_long, 1, &why), ASPACE_TIMEOUT);
        assert_true(now_ms() - began < 20000);
        assert_false(tracer_spent(t));
        assert_int_equal(tracer_threads(t), 1); /* for what must be taken back */
        tracer_end(t);
        edit_once(t, TRACER_ONE_THREAD);
    }
    tracer_close(t, false);
    victim_end(&v);
}

/* Naps between mappings, so that the deadline comes anywhere. How many calls were made. */
static size_t run_late_batch(struct tracer *t, uint64_t place)
{
    struct timespec nap = {.tv_nsec = 7000000};
    struct remote_call calls[200]; /* longer than the deadline, however fast */
    const size_t count = sizeof(calls) / sizeof(calls[0]);
    struct refusal why;
    uint64_t text;
    size_t done = 0;

    tracer_set_deadline(t, 3000);
    must(tracer_begin(t, TRACER_ALL_THREADS, &why), &why);
    must(tracer_string(t, &nap, sizeof(nap), &why, &text), &why);
    for (size_t i = 0; i < count; i++)
        calls[i] = i % 2 ? (struct remote_call){.number = SYS_nanosleep, .args = {text}}
                         : (struct remote_call){.number = SYS_mmap,
                                                .args = {place + i * 8192, 4096, PROT_READ,
                                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1ULL}};
    tracer_set_deadline(t, 25);
    tracer_extend(t); /* from now on 100 ms */
    assert_int_equal(tracer_call(t, calls, count, &why), ASPACE_TIMEOUT);
    while (done < count && calls[done].done)
        done++;
    assert_true(done < count);
    assert_true(tracer_threads(t) > 0);
    tracer_set_deadline(t, 3000);
    tracer_extend(t);
    for (size_t i = 0; i < count; i += 2) {
        int64_t result = call_in(t, SYS_madvise, place + i * 8192, 4096, MADV_NORMAL, 0, 0, 0);
        assert_int_equal(result, i < done ? 0 : -ENOMEM);
        assert_int_equal(calls[i].done, i < done);
    }
    tracer_end(t);
    edit_once(t, TRACER_ONE_THREAD);
    return done;
}

static void test_a_batch_that_is_late_says_exactly_what_it_did(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    uint64_t place = UINT64_C(0x200000000000);

    (void)state;
    while (run_late_batch(t, place) == 0) /* a busy machine: the deadline came before its first call */
        place += UINT64_C(0x10000000);
    tracer_close(t, false);
    victim_end(&v);
}

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return written;
}

static void test_a_frozen_target_is_given_up_at_the_deadline_and_edited_later(void **state)
{
    static const char folder[] = "/sys/fs/cgroup/freezer/aspaced-test";
    char text[16];

    (void)state;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        print_message("no cgroup freezer to be had: left out\n");
        skip();
    }
    struct victim v = victim_start("spinner", NULL);
    struct tracer *before = open_tracer(v.pid);
    edit_once(before, TRACER_ONE_THREAD);
    snprintf(text, sizeof(text), "%d", (int)v.pid);
    assert_true(write_file(folder, "cgroup.procs", text));
    assert_true(write_file(folder, "freezer.state", "FROZEN"));
    sleep_ms(50);
    struct spent s = spend(v.pid, TRACER_ONE_THREAD);
    assert_true(write_file(folder, "freezer.state", "THAWED"));
    edit_once(s.t, TRACER_ONE_THREAD);
    edit_once(before, TRACER_ALL_THREADS);
    tracer_close(s.t, false);
    tracer_close(before, false);
    victim_end(&v);
    rmdir(folder);
}

/* On a thread of its own: makes a call that lasts half a second, in a target that freezes meanwhile. */
static void *call_while_it_freezes(void *argument)
{
    struct spent *s = argument;
    struct remote_call wait = {.number = SYS_poll, .args = {0, 0, 500}};

    s->error = tracer_begin(s->t, TRACER_ONE_THREAD, &s->why); /* what is attached to is this thread's */
    if (!s->error)
        s->error = tracer_call(s->t, &wait, 1, &s->why);
    return NULL;
}

static void test_a_call_broken_off_by_a_freeze_leaves_the_target_whole(void **state)
{
    static const char folder[] = "/sys/fs/cgroup/freezer/aspaced-test2";
    struct victim v;
    char text[16];
    pthread_t thread;

    (void)state;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        print_message("no cgroup freezer to be had: left out\n");
        skip();
    }
    v = victim_start("registers", NULL);
    struct spent s = {.pid = v.pid, .t = open_tracer(v.pid)};
    edit_once(s.t, TRACER_ONE_THREAD);
    tracer_set_deadline(s.t, 200);
    snprintf(text, sizeof(text), "%d", (int)v.pid);
    assert_true(write_file(folder, "cgroup.procs", text));
    assert_int_equal(pthread_create(&thread, NULL, call_while_it_freezes, &s), 0);
    sleep_ms(60);
    assert_true(write_file(folder, "freezer.state", "FROZEN"));
    pthread_join(thread, NULL);
    assert_true(write_file(folder, "freezer.state", "THAWED"));
    assert_int_equal(s.error, ASPACE_TIMEOUT);
    assert_true(tracer_spent(s.t));
    tracer_adopt(s.t);
    tracer_set_deadline(s.t, 3000);
    for (int i = 0; i < 10; i++)
        edit_once(s.t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD);
    sleep_ms(600);
    edit_once(s.t, TRACER_ONE_THREAD);
    tracer_close(s.t, false);
    victim_end(&v);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_that_execs_all_the_time_is_followed),
        cmocka_unit_test(test_a_target_killed_at_any_moment_is_gone_and_nothing_hangs),
        cmocka_unit_test(test_what_cannot_be_traced_is_refused_with_the_reason),
        cmocka_unit_test(test_a_zombie_is_refused),
        cmocka_unit_test(test_a_target_that_is_traced_already_is_refused),
        cmocka_unit_test(test_another_users_target_is_denied),
        cmocka_unit_test(test_a_user_without_privileges_edits_its_own_target_alone),
        cmocka_unit_test(test_a_recycled_pid_is_never_taken_for_the_target),
        cmocka_unit_test(test_a_vfork_parent_is_given_up_at_the_deadline_and_edited_later),
        cmocka_unit_test(test_a_vfork_parent_is_waited_for_if_time_allows),
        cmocka_unit_test(test_a_cancelled_transaction_ends_early),
        cmocka_unit_test(test_a_call_that_blocks_is_given_up_and_the_target_goes_on),
        cmocka_unit_test(test_a_batch_that_is_late_says_exactly_what_it_did),
        cmocka_unit_test(test_a_frozen_target_is_given_up_at_the_deadline_and_edited_later),
        cmocka_unit_test(test_a_call_broken_off_by_a_freeze_leaves_the_target_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
