/* Ranges: half-open, page-aligned, and safe at the top of the address space. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/range.h"

#define TOP_PAGE UINT64_C(0xfffffffffffff000)

static void a_range_from_bytes_is_its_pages(void **state)
{
    struct refusal why;
    struct range range;

    (void)state;
    assert_int_equal(range_from_bytes(0x3000, 0x2000, &why, &range), ASPACE_OK);
    assert_int_equal(range.start, 3);
    assert_int_equal(range.end, 5);
    assert_int_equal(range_bytes(range), 0x2000);
    assert_int_equal(range_last(range), 0x4fff);
    assert_int_equal(range_from_bytes(0, 0x1000, &why, &range), ASPACE_OK);
    assert_int_equal(range.start, 0);
}

static void a_range_may_end_exactly_at_the_top_of_the_address_space(void **state)
{
    struct refusal why;
    struct range range;

    (void)state;
    assert_int_equal(range_from_bytes(TOP_PAGE, 0x1000, &why, &range), ASPACE_OK);
    assert_true(range.end == PAGE_LIMIT && range_pages(range) == 1);
    assert_true(range_last(range) == UINT64_MAX);
    assert_true(range_has_page(range, PAGE_LIMIT - 1));
    assert_int_equal(range_from_bytes(0x1000, UINT64_MAX - 0x1fff, &why, &range), ASPACE_OK);
    assert_true(range.start == 1 && range.end == PAGE_LIMIT - 1);
    assert_int_equal(range_from_bytes(0x1000, UINT64_MAX - 0xfff, &why, &range), ASPACE_OK);
    assert_true(range.start == 1 && range.end == PAGE_LIMIT);
}

static void impossible_bytes_are_refused_and_name_the_parameter(void **state)
{
    static const struct {
        uint64_t start;
        uint64_t size;
        const char *param;
    } cases[] = {
        {0x1001, 0x1000, "start"},     {0xfff, 0x1000, "start"},     {0x1800, 0x1000, "start"},
        {UINT64_MAX, 0x1000, "start"}, {0x1000, 0, "size"},          {0x1000, 1, "size"},
        {0x1000, 0x1fff, "size"},      {TOP_PAGE, 0x2000, "size"},   {0x1000, TOP_PAGE + 0x800, "size"},
        {0x2000, TOP_PAGE, "size"},    {TOP_PAGE, TOP_PAGE, "size"},
    };
    struct range range = {7, 8};
    struct refusal why;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(range_from_bytes(cases[i].start, cases[i].size, &why, &range), ASPACE_INVALID_PARAM);
        assert_int_equal(why.code, ASPACE_INVALID_PARAM);
        assert_string_equal(why.param, cases[i].param);
        assert_true(range.start == 7 && range.end == 8);
    }
}

static void touching_ranges_do_not_overlap(void **state)
{
    struct range a = {4, 8};

    (void)state;
    assert_false(range_overlaps(a, (struct range){0, 4}));  /* BBBBAAAA */
    assert_false(range_overlaps(a, (struct range){8, 12})); /* AAAABBBB */
    assert_true(range_overlaps(a, (struct range){0, 5}));
    assert_true(range_overlaps(a, (struct range){7, 12}));
    assert_true(range_overlaps(a, (struct range){5, 6}));
    assert_true(range_overlaps(a, (struct range){0, 12}));
    assert_true(range_overlaps((struct range){PAGE_LIMIT - 1, PAGE_LIMIT}, (struct range){0, PAGE_LIMIT}));
}

static void a_range_contains_itself_and_what_lies_inside(void **state)
{
    struct range a = {4, 8};

    (void)state;
    assert_true(range_contains(a, a));
    assert_true(range_contains(a, (struct range){5, 6}));
    assert_false(range_contains(a, (struct range){3, 8}));
    assert_false(range_contains(a, (struct range){4, 9}));
    assert_true(range_has_page(a, 4) && range_has_page(a, 7));
    assert_false(range_has_page(a, 3) || range_has_page(a, 8));
}

static void the_meet_is_what_both_hold(void **state)
{
    struct range a = {4, 8};

    (void)state;
    assert_true(range_equal(range_meet(a, (struct range){6, 12}), (struct range){6, 8}));
    assert_true(range_equal(range_meet((struct range){0, 5}, a), (struct range){4, 5}));
    assert_true(range_equal(range_meet(a, (struct range){0, PAGE_LIMIT}), a));
    assert_true(range_empty(range_meet(a, (struct range){8, 12})));
    assert_true(range_empty(range_meet(a, (struct range){20, 30})));
    assert_false(range_empty(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_from_bytes_is_its_pages),
        cmocka_unit_test(a_range_may_end_exactly_at_the_top_of_the_address_space),
        cmocka_unit_test(impossible_bytes_are_refused_and_name_the_parameter),
        cmocka_unit_test(touching_ranges_do_not_overlap),
        cmocka_unit_test(a_range_contains_itself_and_what_lies_inside),
        cmocka_unit_test(the_meet_is_what_both_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
