/* The maps parser: what the kernel writes is taken, all else is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aspace/types.h"
#include "ctl/maps.h"

static struct maps maps;
static char problem[MAPS_PROBLEM_MAX];

static bool read_text(const char *text)
{
    return maps_read(text, strlen(text), &maps, problem);
}

static int forget(void **state)
{
    (void)state;
    maps_free(&maps);
    return 0;
}

static void check_row(size_t i, uint64_t start, uint64_t end, const char *flags, const char *tag)
{
    assert_true(i < maps.count);
    assert_true(maps.rows[i].start == start);
    assert_true(maps.rows[i].end == end);
    assert_string_equal(maps.rows[i].flags, flags);
    if (tag)
        assert_string_equal(maps.rows[i].tag, tag);
    else
        assert_null(maps.rows[i].tag);
    assert_int_equal(maps.rows[i].line, i + 1);
}

static void test_rows_of_the_kernel_are_read(void **state)
{
    (void)state;
    assert_true(read_text("00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon\n"
                          "35b1800000-35b1820000 rw-s 00001000 fd:00 135522  /a path/with spaces (deleted)\n"
                          "7ffc1000-7ffc2000 ---p 00000000 00:00 0 \n"
                          "7ffc3000-7ffc4000 rwxs 00000000 00:00 0\n"
                          "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"));
    assert_int_equal(maps.count, 5);
    check_row(0, 0x400000, 0x452000, "r-x", "/usr/bin/dbus-daemon");
    check_row(1, 0x35b1800000, 0x35b1820000, "rw-,shared", "/a path/with spaces (deleted)");
    check_row(2, 0x7ffc1000, 0x7ffc2000, "---", NULL);
    check_row(3, 0x7ffc3000, 0x7ffc4000, "rwx,shared", NULL);
    check_row(4, UINT64_C(0xffffffffff600000), UINT64_C(0xffffffffff601000), "--x", "[vsyscall]");
}

static void test_our_own_maps_are_read(void **state)
{
    static char text[1 << 20];
    FILE *file = fopen("/proc/self/maps", "r");
    size_t size = fread(text, 1, sizeof(text), file);

    (void)state;
    fclose(file);
    assert_true(maps_read(text, size, &maps, problem));
    assert_true(maps.count > 3);
}

static void test_no_text_is_no_rows_and_a_last_line_needs_no_end(void **state)
{
    (void)state;
    assert_true(read_text(""));
    assert_int_equal(maps.count, 0);
    assert_true(read_text("1000-2000 rw-p 0 0:0 0"));
    check_row(0, 0x1000, 0x2000, "rw-", NULL);
}

static void test_a_malformed_row_is_refused_with_its_line(void **state)
{
    static const char *const rows[] = {
        "\n",
        "hello\n",
        "1000 2000 rw-p 0 0:0 0\n",
        "1000-2000rw-p 0 0:0 0\n",
        "1000-2000  rw-p 0 0:0 0\n",
        " 1000-2000 rw-p 0 0:0 0\n",
        "0x1000-2000 rw-p 0 0:0 0\n",
        "1000-2000 rw- 0 0:0 0\n",
        "1000-2000 rwp- 0 0:0 0\n",
        "1000-2000 wr-p 0 0:0 0\n",
        "1000-2000 rw-x 0 0:0 0\n",
        "1000-2000 rw-p g 0:0 0\n",
        "1000-2000 rw-p 0 00 0\n",
        "1000-2000 rw-p 0 0:0\n",
        "1000-2000 rw-p 0 0:0 \n",
        "1000-2000 rw-p 0 0:0 7f\n",
        "1000-2000 rw-p 0 0:0 7/x\n",
        "1000-2000\n",
        "1000-1000 rw-p 0 0:0 0\n",
        "2000-1000 rw-p 0 0:0 0\n",
        "1001-2000 rw-p 0 0:0 0\n",
        "1000-2001 rw-p 0 0:0 0\n",
        "1000-10000000000000000 rw-p 0 0:0 0\n",
        "1000-2000 rw-p 0 0:0 99999999999999999999\n",
        "1000-2000 rw-p 0 0:0 0\r\n",
        "ABC000-ABD000 rw-p 0 0:0 0\n",
    };
    static const char good[] = "1000-2000 rw-p 0 0:0 0 a tag\n";
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), "%s%s%s", good, rows[i], good);
        assert_false(read_text(text));
        assert_non_null(strstr(problem, "line 2 "));
    }
}

static void test_a_malformed_row_is_told_by_what_is_wrong_with_it(void **state)
{
    static const struct {
        const char *row;
        const char *problem;
    } cases[] = {
        {"1000-10000000000000000 rw-p 0 0:0 0",
         "line 1 is not a row of a maps text: it does not begin with START-END, two hexadecimal numbers"},
        {"1000-2000 rw-p", "line 1 is not a row of a maps text: no offset follows its permissions"},
        {"1000-2000 rwz- 0 0:0 0", "line 1 is not a row of a maps text: its permissions are not like rw-p"},
        {"1000-2000 rw-p 0 0:0 a", "line 1 is not a row of a maps text: its inode is not a decimal number"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(read_text(cases[i].row));
        assert_string_equal(problem, cases[i].problem);
    }
}

static void test_a_nul_byte_is_escaped_in_a_tag_and_refused_elsewhere(void **state)
{
    static const char in_tag[] = "1000-2000 rw-p 0 0:0 0 a\0b\n";
    static const char in_flags[] = "1000-2000 r\0-p 0 0:0 0\n";

    (void)state;
    assert_false(maps_read(in_flags, sizeof(in_flags) - 1, &maps, problem));
    assert_true(maps_read(in_tag, sizeof(in_tag) - 1, &maps, problem));
    check_row(0, 0x1000, 0x2000, "rw-", "a\\000b");
}

static void test_what_is_not_printable_utf8_is_escaped_in_tags(void **state)
{
    (void)state;
    assert_true(read_text("1000-2000 rw-p 0 0:0 0 /\x1b[31m\xff\xc3\xa9\xc0\xaf\\012\n"));
    check_row(0, 0x1000, 0x2000, "rw-", "/\\033[31m\\377\xc3\xa9\\300\\257\\012");
}

static void test_a_long_pathname_keeps_its_end_from_a_character_on(void **state)
{
    char text[3000] = "1000-2000 rw-p 0 0:0 0 ";
    size_t at = strlen(text);

    (void)state;
    for (int i = 0; i < 700; i++, at += 2)
        memcpy(text + at, "\xc3\xa9", 2);
    strcpy(text + at, "\n");
    assert_true(read_text(text));
    assert_int_equal(strlen(maps.rows[0].tag), ASPACE_TAG_MAX - 1);
    assert_int_equal((unsigned char)maps.rows[0].tag[0], 0xc3);
    assert_true(maps.rows[0].cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rows_of_the_kernel_are_read, forget),
        cmocka_unit_test_teardown(test_our_own_maps_are_read, forget),
        cmocka_unit_test_teardown(test_no_text_is_no_rows_and_a_last_line_needs_no_end, forget),
        cmocka_unit_test_teardown(test_a_malformed_row_is_refused_with_its_line, forget),
        cmocka_unit_test_teardown(test_a_malformed_row_is_told_by_what_is_wrong_with_it, forget),
        cmocka_unit_test_teardown(test_a_nul_byte_is_escaped_in_a_tag_and_refused_elsewhere, forget),
        cmocka_unit_test_teardown(test_what_is_not_printable_utf8_is_escaped_in_tags, forget),
        cmocka_unit_test_teardown(test_a_long_pathname_keeps_its_end_from_a_character_on, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
