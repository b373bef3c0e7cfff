/* Command lines to params, by the method table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ctl/args.h"

#define WORDS_MAX 16

static struct args args;
static char line_copy[400];

/* Splits at spaces; "_" stands for an empty word. */
static bool read_line(const char *line)
{
    char *words[WORDS_MAX];
    int count = 0;

    strcpy(line_copy, line);
    for (char *word = strtok(line_copy, " "); word && count < WORDS_MAX; word = strtok(NULL, " "))
        words[count++] = strcmp(word, "_") == 0 ? word + 1 : word;
    assert_true(count > 0);
    return args_read(method_by_verb(words[0]), words + 1, count - 1, &args);
}

static void check_params(const char *line, const char *wanted)
{
    struct json_writer w = {0};

    if (!read_line(line))
        fail_msg("\"%s\": %s", line, args.problem);
    args_write(&args, &w);
    json_bytes(&w, "", 1);
    assert_string_equal(w.data, wanted);
    json_writer_free(&w);
}

static void check_problem(const char *line, const char *wanted)
{
    assert_false(read_line(line));
    if (!strstr(args.problem, wanted))
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", line, args.problem, wanted);
}

static bool has(const char *params_line, const char *piece)
{
    struct json_writer w = {0};
    bool found;

    if (!read_line(params_line))
        fail_msg("\"%s\": %s", params_line, args.problem);
    args_write(&args, &w);
    json_bytes(&w, "", 1);
    found = strstr(w.data, piece);
    json_writer_free(&w);
    return found;
}

static void test_words_go_to_their_places(void **state)
{
    (void)state;
    assert_true(has("map s 0x1000 4K rw-", "\"start\":\"0x1000\""));
    assert_true(has("map s 0x1000 4K rw-", "\"size\":\"4K\""));
    assert_true(has("map s 0x1000 4K rw-", "\"flags\":\"rw-\""));
    assert_true(has("map s 0x1000 4K rw-", "\"space\":\"s\""));
    check_params("find s 4096", "{\"space\":\"s\",\"addr\":\"4096\"}");
    check_params("destroy s", "{\"space\":\"s\"}");
    check_params("spaces", "{}");
}

static void test_any_leaves_the_place_open(void **state)
{
    (void)state;
    assert_false(has("map s any 4K rw-", "\"start\""));
    assert_true(has("map s any 4K rw-", "\"size\":\"4K\""));
}

static void test_options_may_stand_anywhere_and_have_two_forms(void **state)
{
    (void)state;
    assert_true(has("map --tag t s any 4K rw-", "\"tag\":\"t\""));
    assert_true(has("map s any --tag=a=b 4K rw-", "\"tag\":\"a=b\""));
    assert_true(has("map s any 4K rw- --within 0x1000-0x2000", "\"within\":[\"0x1000\",\"0x2000\"]"));
    assert_true(has("areas s --limit 5", "\"limit\":5"));
    assert_true(has("map s any 4K rw- --if-generation 7", "\"if_generation\":7"));
    assert_true(has("map s any 4K rw- --replace", "\"overlap\":\"replace\""));
    assert_true(has("shrink s 0x1000 4K --left", "\"side\":\"left\""));
    assert_true(has("shrink s 0x1000 4K --right", "\"side\":\"right\""));
}

static void test_flags_may_look_like_options(void **state)
{
    (void)state;
    assert_true(has("map s any 4K ---", "\"flags\":\"---\""));
    assert_true(has("map s any 4K --x,kernel --tag t", "\"flags\":\"--x,kernel\""));
    assert_true(has("map s any 4K --tag t -w-", "\"flags\":\"-w-\""));
    assert_true(has("protect s 0 4K --x", "\"flags\":\"--x\""));
    check_problem("map s any --x 4K", "--x");
    check_problem("map s any 4K --y", "--y");
}

static void test_a_change_of_flags_may_begin_with_a_dash(void **state)
{
    (void)state;
    assert_true(has("protect s 0x1000 4K -x", "\"flags\":\"-x\""));
    assert_true(has("protect s 0x1000 4K +r-w", "\"flags\":\"+r-w\""));
}

static void test_after_two_dashes_no_word_is_an_option(void **state)
{
    (void)state;
    assert_true(read_line("write s 0x1000 -- --hex"));
    assert_string_equal(args.extra[EXTRA_TEXT], "--hex");
    check_params("destroy -- --x", "{\"space\":\"--x\"}");
}

static void test_what_only_the_client_has_is_not_a_param(void **state)
{
    (void)state;
    check_params("areas s --holes", "{\"space\":\"s\"}");
    assert_non_null(args.extra[EXTRA_HOLES]);
    assert_true(read_line("write s 0 --file -"));
    assert_string_equal(args.extra[EXTRA_FILE], "-");
}

static void test_a_missing_word_is_named(void **state)
{
    (void)state;
    check_problem("map", "NAME");
    check_problem("map s", "START");
    check_problem("map s any", "SIZE");
    check_problem("map s any 4K", "FLAGS");
    check_problem("shrink s 0x1000 4K", "left");
    check_problem("destroy", "NAME");
}

static void test_too_much_is_refused(void **state)
{
    (void)state;
    check_problem("destroy s t", "\"t\"");
    check_problem("map s any 4K rw- x", "\"x\"");
    check_problem("map s any 4K rw- --tag a --tag b", "twice");
    check_problem("shrink s 0 4K --left --right", "already");
    check_problem("areas s --holes --holes", "twice");
}

static void test_unknown_options_are_named(void **state)
{
    (void)state;
    check_problem("map s any 4K rw- --tags x", "--tags");
    check_problem("areas -z s", "-z");
    check_problem("find s -5", "-5");
    check_problem("map s any 4K rw- --fail", "--fail");
    check_problem("map s any 4K rw- --replace=yes", "no value");
    check_problem("map s any 4K rw- --tag", "value");
}

static void test_a_value_of_the_wrong_shape_is_refused_with_an_example(void **state)
{
    (void)state;
    check_problem("map s x 4K rw-", "address");
    check_problem("map s 4K 4K rw-", "address");
    check_problem("map s any x rw-", "size");
    check_problem("map s any 4K rwz", "flags");
    check_problem("map s any 4K +w", "flags");
    check_problem("map s any _ rw-", "size");
    check_problem("areas s --limit 0x10000000000000000", "whole number");
    check_problem("areas s --limit -1", "whole number");
    check_problem("access s 0 reed", "read, write or exec");
    check_problem("map s any 4K rw- --policy worst", "first, best or top");
    check_problem("map s any 4K rw- --within 5", "LO-HI");
    check_problem("create s --range 0-", "LO-HI");
    check_problem("write s 0 --hex abc", "hex");
    check_problem("find s 18446744073709551616", "address");
    check_problem("destroy a\xff", "UTF-8");
    check_problem("map s any 4K rw- --tag \xc3", "UTF-8");
}

static void test_a_range_beside_a_tag_is_said_to_be_one_too_many(void **state)
{
    (void)state;
    check_problem("protect s 0x1000 4K --tag x r--", "with --tag there is no START and SIZE");
    check_problem("protect s 0x1000 4K rw", "rw");
}

/* Every verb of the table can be written: its positionals have distinct places, its names are not taken by extras. */
static void test_every_verb_of_the_table_can_be_written(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        const struct param_spec *positionals[PARAM_COUNT];
        size_t count;

        if (!methods[i].verb)
            continue;
        assert_ptr_equal(method_by_verb(methods[i].verb), &methods[i]);
        count = args_positionals(&methods[i], positionals);
        for (size_t p = 1; p < count; p++)
            assert_false(args_is_required(positionals[p]) && !args_is_required(positionals[p - 1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_go_to_their_places),
        cmocka_unit_test(test_any_leaves_the_place_open),
        cmocka_unit_test(test_options_may_stand_anywhere_and_have_two_forms),
        cmocka_unit_test(test_flags_may_look_like_options),
        cmocka_unit_test(test_a_change_of_flags_may_begin_with_a_dash),
        cmocka_unit_test(test_after_two_dashes_no_word_is_an_option),
        cmocka_unit_test(test_what_only_the_client_has_is_not_a_param),
        cmocka_unit_test(test_a_missing_word_is_named),
        cmocka_unit_test(test_too_much_is_refused),
        cmocka_unit_test(test_unknown_options_are_named),
        cmocka_unit_test(test_a_range_beside_a_tag_is_said_to_be_one_too_many),
        cmocka_unit_test(test_a_value_of_the_wrong_shape_is_refused_with_an_example),
        cmocka_unit_test(test_every_verb_of_the_table_can_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
