/* The rule that finds the socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aspace/client.h"

static char path[4096];

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("ASPACED_SOCKET");
    unsetenv("XDG_RUNTIME_DIR");
    strcpy(path, "untouched");
    return 0;
}

static void test_the_option_comes_first(void **state)
{
    (void)state;
    setenv("ASPACED_SOCKET", "/variable", 1);
    setenv("XDG_RUNTIME_DIR", "/runtime", 1);
    assert_int_equal(aspace_socket_path("here/s", path, sizeof(path)), 0);
    assert_string_equal(path, "here/s");
}

static void test_then_the_variable_then_the_runtime_folder(void **state)
{
    (void)state;
    setenv("ASPACED_SOCKET", "/variable", 1);
    setenv("XDG_RUNTIME_DIR", "/runtime", 1);
    assert_int_equal(aspace_socket_path(NULL, path, sizeof(path)), 0);
    assert_string_equal(path, "/variable");
    setenv("ASPACED_SOCKET", "", 1);
    assert_int_equal(aspace_socket_path(NULL, path, sizeof(path)), 0);
    assert_string_equal(path, "/runtime/aspaced.sock");
}

static void test_then_a_folder_by_user(void **state)
{
    char wanted[100];

    (void)state;
    if (geteuid() == 0)
        snprintf(wanted, sizeof(wanted), "/run/aspaced/aspaced.sock");
    else
        snprintf(wanted, sizeof(wanted), "/tmp/aspaced-%u/aspaced.sock", (unsigned)geteuid());
    assert_int_equal(aspace_socket_path(NULL, path, sizeof(path)), 0);
    assert_string_equal(path, wanted);
    setenv("XDG_RUNTIME_DIR", "not/absolute", 1);
    assert_int_equal(aspace_socket_path(NULL, path, sizeof(path)), 0);
    assert_string_equal(path, wanted);
}

static void test_a_path_that_does_not_fit_is_refused_not_cut(void **state)
{
    char long_path[109];

    (void)state;
    memset(long_path, 'x', 108);
    long_path[108] = '\0';
    assert_int_equal(aspace_socket_path(long_path, path, sizeof(path)), -ENAMETOOLONG);
    assert_string_equal(path, "untouched");
    long_path[107] = '\0';
    assert_int_equal(aspace_socket_path(long_path, path, sizeof(path)), 0);
    assert_string_equal(path, long_path);
    assert_int_equal(aspace_socket_path("12345", path, 5), -ENAMETOOLONG);
    assert_int_equal(aspace_socket_path("1234", path, 5), 0);
    setenv("XDG_RUNTIME_DIR",
           "/a-runtime-folder-whose-name-fits-but-not-with-the-file-behind-it-"
           "000000000000000000000000000000000000",
           1);
    assert_int_equal(aspace_socket_path(NULL, path, sizeof(path)), -ENAMETOOLONG);
}

static void test_an_empty_option_is_refused(void **state)
{
    (void)state;
    assert_int_equal(aspace_socket_path("", path, sizeof(path)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_option_comes_first, clear_environment),
        cmocka_unit_test_setup(test_then_the_variable_then_the_runtime_folder, clear_environment),
        cmocka_unit_test_setup(test_then_a_folder_by_user, clear_environment),
        cmocka_unit_test_setup(test_a_path_that_does_not_fit_is_refused_not_cut, clear_environment),
        cmocka_unit_test_setup(test_an_empty_option_is_refused, clear_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
