/* The tracer on plain targets: a transaction, its calls, memory, the trampoline, spawning, and no trace at the end. */
#include "tracer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_an_edit_of_a_blocked_target_leaves_it_blocked(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 40; i++)
        edit_once(t, i % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_an_edit_of_a_running_target_leaves_it_running(void **state)
{
    struct victim v = victim_start("spinner", NULL);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    for (int i = 0; i < 100; i++)
        edit_once(t, i % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_what_the_kernel_refuses_is_a_result_and_the_rest_is_not_run(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;

    (void)state;
    for (size_t count = 3; count <= 600; count += 199) {
        struct remote_call calls[600];
        size_t bad = count / 2;
        for (size_t i = 0; i < count; i++)
            calls[i] = (struct remote_call){.number = i == bad ? SYS_munmap : SYS_getppid, .args = {1, 1}};
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        must(tracer_call(t, calls, count, &why), &why);
        tracer_end(t);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(calls[i].done, i <= bad);
            if (i < bad)
                assert_int_equal(calls[i].result, getpid());
        }
        assert_int_equal(calls[bad].result, -EINVAL);
        assert_true(remote_call_failed(&calls[bad]));
    }
    tracer_close(t, false);
    victim_end(&v);
}

static void test_a_string_is_a_path_for_the_target(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    uint64_t path;

    (void)state;
    must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
    must(tracer_string(t, "/dev/null", 10, &why, &path), &why);
    int64_t fd = call_in(t, SYS_openat, (uint64_t)AT_FDCWD, path, O_RDONLY, 0, 0, 0);
    assert_true(fd >= 3);
    assert_int_equal(call_in(t, SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0), 0);
    tracer_end(t);
    tracer_close(t, false);
    victim_end(&v);
}

/* What of the status file is not a counter. */
static void check_unchanged(const char *before, const char *after)
{
    static const char *const lines[] = {"Name:",   "TracerPid:", "Uid:",    "FDSize:", "Threads:", "SigPnd:",
                                        "ShdPnd:", "SigBlk:",    "SigIgn:", "SigCgt:", "VmSize:",  "Seccomp:"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *a = strstr(before, lines[i]), *b = strstr(after, lines[i]);
        assert_non_null(a);
        assert_non_null(b);
        size_t length = strcspn(a, "\n");
        if (strncmp(a, b, length + 1) != 0)
            fail_msg("was %.*s, is %.*s", (int)length, a, (int)strcspn(b, "\n"), b);
    }
}

static size_t count_fds(pid_t pid)
{
    char path[64];
    size_t count = 0;

    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        count += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return count;
}

static void test_after_the_close_there_is_no_trace(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    char *maps = proc_text(v.pid, "maps");
    char *status = proc_text(v.pid, "status");
    size_t fds = count_fds(v.pid);
    struct tracer *t = open_tracer(v.pid);

    (void)state;
    edit_once(t, TRACER_ALL_THREADS);
    struct range own = tracer_own_pages(t);
    assert_int_equal(range_pages(own), 7);
    char *during = proc_text(v.pid, "maps");
    char line[64];
    snprintf(line, sizeof(line), "%08llx-%08llx r-xp", (unsigned long long)page_addr(own.start),
             (unsigned long long)page_addr(own.start + 1));
    assert_non_null(strstr(during, line));
    tracer_close(t, false);

    char *maps_after = proc_text(v.pid, "maps");
    char *status_after = proc_text(v.pid, "status");
    assert_string_equal(maps, maps_after);
    check_unchanged(status, status_after);
    assert_int_equal(count_fds(v.pid), fds);
    free(maps), free(status), free(maps_after), free(status_after), free(during);
    victim_end(&v);
}

static void test_a_trampoline_that_the_target_unmaps_is_mapped_again(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;

    (void)state;
    edit_once(t, TRACER_ONE_THREAD);
    struct range own = tracer_own_pages(t);
    must(tracer_write(t, page_addr(own.start) + 70, "broken", 6, &why), &why);
    edit_once(t, TRACER_ONE_THREAD);
    assert_false(range_equal(own, tracer_own_pages(t)));
    tracer_close(t, false);
    victim_end(&v);
}

static void test_what_is_in_the_trampolines_place_is_left_alone(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;

    (void)state;
    edit_once(t, TRACER_ONE_THREAD);
    struct range own = tracer_own_pages(t);
    tracer_close(t, false);
    for (uint64_t page = own.start; page < own.end; page += 3) {
        t = open_tracer(v.pid);
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        struct range second = tracer_own_pages(t);
        /* The next place down, where a second tracer's pages would go. */
        int64_t at = call_in(t, SYS_mmap, page_addr(second.start - 16) + page_addr(page - own.start), 4096, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
        tracer_end(t);
        assert_true(at > 0);
        struct tracer *other = open_tracer(v.pid);
        edit_once(other, TRACER_ONE_THREAD);
        assert_false(range_has_page(tracer_own_pages(other), page_of((uint64_t)at)));
        assert_true(tracer_own_pages(other).start < second.start - 16);
        tracer_close(other, false);
        edit_once(t, TRACER_ONE_THREAD);
        tracer_close(t, false);
        char byte;
        t = open_tracer(v.pid);
        must(tracer_read(t, (uint64_t)at, &byte, 1, &why), &why);
        must(tracer_begin(t, TRACER_ONE_THREAD, &why), &why);
        assert_int_equal(call_in(t, SYS_munmap, (uint64_t)at, 4096, 0, 0, 0, 0), 0);
        tracer_end(t);
        tracer_close(t, false);
    }
    victim_end(&v);
}

static void test_memory_that_is_not_there_is_named(void **state)
{
    struct victim v = victim_start("sleeper", NULL);
    struct tracer *t = open_tracer(v.pid);
    struct refusal why;
    char buffer[8192];

    (void)state;
    edit_once(t, TRACER_ONE_THREAD);
    uint64_t last = page_addr(tracer_own_pages(t).end);
    assert_int_equal(tracer_read(t, last - 100, buffer, 200, &why), ASPACE_NOT_FOUND);
    assert_true(why.has_conflict);
    assert_int_equal(why.conflict, last);
    assert_int_equal(tracer_write(t, last, buffer, 1, &why), ASPACE_NOT_FOUND);
    must(tracer_read(t, last - 100, buffer, 100, &why), &why);
    tracer_close(t, false);
    victim_end(&v);
}

static void test_a_spawned_target_stands_at_its_first_instruction(void **state)
{
    const char *command[] = {"sh", "-c", "exit 7", NULL};
    struct tracer *t;
    struct refusal why;

    (void)state;
    must(spawn(command, &why, &t), &why);
    assert_true(tracer_held(t));
    for (int i = 0; i < 5; i++)
        edit_once(t, i % 2 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS);
    assert_int_equal(tracer_fate(t), TRACER_ALIVE);
    must(tracer_resume(t, &why), &why);
    assert_false(tracer_held(t));
    for (int i = 0; i < 1000 && !tracer_gone(t); i++)
        sleep_ms(5);
    assert_true(tracer_gone(t));
    assert_int_equal(tracer_begin(t, TRACER_ONE_THREAD, &why), ASPACE_TARGET_GONE);
    tracer_close(t, false);
}

static void test_a_spawned_target_is_killed_on_demand(void **state)
{
    const char *command[] = {"sleep", "100", NULL};
    struct tracer *t;
    struct refusal why;

    (void)state;
    for (int resumed = 0; resumed < 2; resumed++) {
        must(spawn(command, &why, &t), &why);
        pid_t pid = tracer_pid(t);
        if (resumed)
            must(tracer_resume(t, &why), &why);
        tracer_close(t, true);
        assert_int_equal(kill(pid, 0), -1);
        assert_int_equal(errno, ESRCH);
    }
}

static void test_a_command_that_is_not_there_is_refused(void **state)
{
    const char *command[] = {"/no/such/program", NULL};
    struct tracer *t;
    struct refusal why;

    (void)state;
    assert_int_equal(spawn(command, &why, &t), ASPACE_INVALID_PARAM);
    assert_non_null(strstr(why.message, "/no/such/program"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_edit_of_a_blocked_target_leaves_it_blocked),
        cmocka_unit_test(test_an_edit_of_a_running_target_leaves_it_running),
        cmocka_unit_test(test_what_the_kernel_refuses_is_a_result_and_the_rest_is_not_run),
        cmocka_unit_test(test_a_string_is_a_path_for_the_target),
        cmocka_unit_test(test_after_the_close_there_is_no_trace),
        cmocka_unit_test(test_a_trampoline_that_the_target_unmaps_is_mapped_again),
        cmocka_unit_test(test_what_is_in_the_trampolines_place_is_left_alone),
        cmocka_unit_test(test_memory_that_is_not_there_is_named),
        cmocka_unit_test(test_a_spawned_target_stands_at_its_first_instruction),
        cmocka_unit_test(test_a_spawned_target_is_killed_on_demand),
        cmocka_unit_test(test_a_command_that_is_not_there_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
