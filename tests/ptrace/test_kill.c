/* A tracer's process is killed at every ptrace call of a transaction in turn, and at random moments: the target lives
 * on without having noticed, and what was left in it is cleaned by the next tracer. */
#include "ptrace/internal.h"
#include "tracer_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32

/* ---- Where the process dies ---- */

static int die_at; /* the how many-th call from here; 0 never */

static void step(void)
{
    if (die_at > 0 && --die_at == 0)
        kill(getpid(), SIGKILL);
}

long __real_ptrace(enum __ptrace_request request, pid_t pid, void *addr, void *data);
long __wrap_ptrace(enum __ptrace_request request, pid_t pid, void *addr, void *data);
pid_t __real_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);

long __wrap_ptrace(enum __ptrace_request request, pid_t pid, void *addr, void *data)
{
    step();
    long result = __real_ptrace(request, pid, addr, data);
    step();
    return result;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    step();
    return __real_waitpid(pid, status, options);
}

/* ---- */

/* One call, and then `count` more. */
static void transaction(struct tracer *t, enum tracer_scope scope, size_t count)
{
    struct remote_call calls[BATCH];
    struct refusal why;

    for (size_t i = 0; i < BATCH; i++)
        calls[i] = (struct remote_call){.number = SYS_getpid};
    if (tracer_begin(t, scope, &why) || tracer_call(t, calls, 1, &why) || tracer_call(t, calls, count, &why))
        _exit(3);
    tracer_end(t);
}

/* In a process of its own: two whole transactions, so that the trampoline is there, then one that dies. True if it died
 * before it was over. */
static bool run_and_die(pid_t pid, int at, enum tracer_scope scope)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct tracer *t = open_tracer(pid);
        transaction(t, scope, BATCH);
        transaction(t, scope, BATCH);
        die_at = at;
        transaction(t, scope, BATCH);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        assert_int_equal(status, 0);
    return WIFSIGNALED(status);
}

static const char *const kinds[] = {"naps", "registers", "sleeper"};

static void test_a_tracer_killed_at_any_call_leaves_its_target_whole(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        struct victim v = victim_start(kinds[kind], NULL);
        char *maps = proc_text(v.pid, "maps");
        int at = 1;
        while (run_and_die(v.pid, at, at % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS))
            at++;
        assert_true(at > 20);
        sleep_ms(5);
        struct tracer *t = open_tracer(v.pid); /* cleans the last one */
        edit_once(t, TRACER_ALL_THREADS);
        tracer_close(t, false);
        char *after = proc_text(v.pid, "maps");
        assert_string_equal(maps, after);
        free(maps);
        free(after);
        victim_end(&v);
    }
}

static void test_numbers_on_a_stack_do_not_keep_what_was_left(void **state)
{
    struct victim v = victim_start("numbers", NULL);
    char *maps = proc_text(v.pid, "maps");

    (void)state;
    assert_true(run_and_die(v.pid, 1, TRACER_ONE_THREAD));
    tracer_close(open_tracer(v.pid), false);
    char *after = proc_text(v.pid, "maps");
    assert_string_equal(maps, after);
    free(maps);
    free(after);
    victim_end(&v);
}

/* The same where the transaction makes the agent, and the next one uses it. */
static bool run_and_die_with_agent(pid_t pid, int at)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct tracer *t = open_tracer(pid);
        transaction(t, TRACER_ONE_THREAD, 2); /* the trampoline is there: see docs/ptrace.md for its first call */
        t->agent_wanted = true;
        die_at = at;
        transaction(t, at % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS, 2);
        transaction(t, TRACER_ONE_THREAD, 2);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status))
        assert_int_equal(status, 0);
    return WIFSIGNALED(status);
}

static bool has_one_thread(pid_t pid)
{
    char *status = proc_text(pid, "status");
    bool one = strstr(status, "\nThreads:\t1\n") != NULL;

    free(status);
    return one;
}

/* All victims live until the end: an agent that nobody took over gives up after seconds. */
static void test_an_agent_ends_with_a_tracer_killed_at_any_call(void **state)
{
    static struct victim victims[1000];
    size_t count = 0;
    int at = 1;
    bool died = true;

    (void)state;
    for (; died; at++) {
        assert_true(count < sizeof(victims) / sizeof(victims[0]));
        victims[count] = victim_start(count % 2 ? "naps" : "sleeper", NULL);
        died = run_and_die_with_agent(victims[count].pid, at);
        count++;
    }
    assert_true(at > 60);
    for (size_t i = 0; i < count; i++) {
        struct victim *v = &victims[i];
        if (waitpid(v->pid, NULL, WNOHANG) != 0)
            fail_msg("a target died of a tracer killed at call %zu of %d", i + 1, at);
        for (int ms = 0; ms < 60000 && !has_one_thread(v->pid); ms++)
            sleep_ms(1);
        struct tracer *t = open_tracer(v->pid); /* cleans what was left */
        edit_once(t, TRACER_ONE_THREAD);
        tracer_close(t, false);
        char *maps = proc_text(v->pid, "maps");
        assert_null(strstr(maps, "r-xp 00000000 00:00 0 \n"));
        free(maps);
        assert_true(has_one_thread(v->pid));
        victim_end(v);
    }
}

static void test_a_tracer_killed_at_any_moment_leaves_its_target_whole(void **state)
{
    const char *given = getenv("ASPACE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

    (void)state;
    print_message("seed %u (ASPACE_SEED repeats it)\n", seed);
    srand(seed);
    for (int round = 0; round < 60 * rounds(); round++) {
        struct victim v = victim_start(kinds[round % 3], NULL);
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            struct tracer *t = open_tracer(v.pid);
            transaction(t, TRACER_ONE_THREAD, BATCH);
            if (write(ready[1], "x", 1) != 1)
                _exit(1);
            for (int i = 0;; i++)
                transaction(t, i % 2 ? TRACER_ALL_THREADS : TRACER_ONE_THREAD, BATCH);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        usleep((unsigned)rand() % 3000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(ready[0]), close(ready[1]);
        usleep((unsigned)rand() % 1000);
        for (int i = 0; i < 2; i++) { /* the second finds what the first may have had to leave */
            struct tracer *t = open_tracer(v.pid);
            edit_once(t, TRACER_ONE_THREAD);
            tracer_close(t, false);
            usleep(1000);
        }
        char *maps = proc_text(v.pid, "maps");
        assert_null(strstr(maps, "r-xp 00000000 00:00 0 \n"));
        free(maps);
        victim_end(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tracer_killed_at_any_call_leaves_its_target_whole),
        cmocka_unit_test(test_numbers_on_a_stack_do_not_keep_what_was_left),
        cmocka_unit_test(test_an_agent_ends_with_a_tracer_killed_at_any_call),
        cmocka_unit_test(test_a_tracer_killed_at_any_moment_leaves_its_target_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
