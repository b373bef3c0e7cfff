/* The socket file: who may make it, what is left alone, what is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/socket_file.h"

static char folder[] = "/tmp/test-socket-file-XXXXXX";
static char path[80];
static char lock[90];
static char problem[400];
static struct socket_file file;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/test-socket-file-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(lock, sizeof(lock), "%s.lock", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(lock);
    return rmdir(folder);
}

static bool exists(const char *name)
{
    struct stat st;

    return lstat(name, &st) == 0;
}

static mode_t mode_of(const char *name)
{
    struct stat st;

    assert_int_equal(lstat(name, &st), 0);
    return st.st_mode & 07777;
}

static bool open_file(const char *at)
{
    return socket_file_open(at, 0600, &file, problem, sizeof(problem));
}

static void a_new_socket_has_its_mode_whatever_the_umask(void **state)
{
    mode_t before = umask(0);

    (void)state;
    assert_true(socket_file_open(path, 0640, &file, problem, sizeof(problem)));
    assert_int_equal(umask(before), 0);
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(mode_of(lock), 0600);
    socket_file_close(&file);
}

static void closing_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_true(open_file(path));
    socket_file_close(&file);
    assert_false(exists(path));
    assert_false(exists(lock));
}

static void a_missing_folder_is_made_for_the_owner_alone(void **state)
{
    char sub[100];
    char inside[110];

    (void)state;
    snprintf(sub, sizeof(sub), "%s/sub", folder);
    snprintf(inside, sizeof(inside), "%s/s", sub);
    assert_true(open_file(inside));
    assert_int_equal(mode_of(sub), 0700);
    socket_file_close(&file);
    assert_int_equal(rmdir(sub), 0);
}

static void a_second_holder_is_refused_and_told_the_pid(void **state)
{
    struct socket_file second;
    char pid[24];

    (void)state;
    assert_true(open_file(path));
    assert_false(socket_file_open(path, 0600, &second, problem, sizeof(problem)));
    snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
    assert_non_null(strstr(problem, "another aspaced"));
    assert_non_null(strstr(problem, pid));
    assert_true(exists(path));
    socket_file_close(&file);
}

static void a_stale_socket_is_replaced(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0)
        _exit(open_file(path) ? 0 : 1); /* dies holding it */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(exists(path));
    assert_true(open_file(path));
    socket_file_close(&file);
    assert_false(exists(path));
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    FILE *f = fopen(path, "w");

    (void)state;
    assert_non_null(f);
    fputs("precious", f);
    fclose(f);
    assert_false(open_file(path));
    assert_non_null(strstr(problem, "no socket"));
    assert_true(exists(path));
    assert_false(exists(lock));
}

static void a_socket_that_another_program_serves_is_left_alone(void **state)
{
    (void)state;
    assert_true(open_file(path));
    assert_int_equal(listen(file.fd, 1), 0);
    assert_int_equal(unlink(lock), 0); /* as if its owner knew no lock */
    close(file.lock_fd);
    assert_false(open_file(path));
    assert_non_null(strstr(problem, "another program"));
    assert_true(exists(path));
    close(file.fd);
}

static void a_socket_that_was_replaced_is_not_removed(void **state)
{
    FILE *f;

    (void)state;
    assert_true(open_file(path));
    assert_int_equal(unlink(path), 0);
    f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    socket_file_close(&file);
    assert_true(exists(path));
}

static void a_path_that_does_not_fit_is_refused_whole(void **state)
{
    char longer[200];

    (void)state;
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(file.path)] = '\0';
    assert_false(open_file(longer));
    assert_non_null(strstr(problem, "bytes long"));
}

static void a_folder_that_anybody_may_write_to_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0777), 0);
    assert_false(open_file(path));
    assert_non_null(strstr(problem, "anybody"));
    assert_false(exists(path));
    assert_int_equal(chmod(folder, 01777), 0);
    assert_true(open_file(path));
    socket_file_close(&file);
}

static void a_folder_that_cannot_be_made_is_reported(void **state)
{
    (void)state;
    assert_false(open_file("/proc/nowhere/s"));
    assert_non_null(strstr(problem, "/proc/nowhere"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_socket_has_its_mode_whatever_the_umask),
        TEST(closing_leaves_nothing_behind),
        TEST(a_missing_folder_is_made_for_the_owner_alone),
        TEST(a_second_holder_is_refused_and_told_the_pid),
        TEST(a_stale_socket_is_replaced),
        TEST(a_file_that_is_no_socket_is_left_alone),
        TEST(a_socket_that_another_program_serves_is_left_alone),
        TEST(a_socket_that_was_replaced_is_not_removed),
        TEST(a_path_that_does_not_fit_is_refused_whole),
        TEST(a_folder_that_anybody_may_write_to_is_refused),
        TEST(a_folder_that_cannot_be_made_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
