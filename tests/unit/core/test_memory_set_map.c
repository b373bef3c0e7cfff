/* Maps at a fixed start: beside, over and in place of what is there, each case drawn before and after. clang-format is
 * off where drawings stand above one another. */
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define AUTO ASPACE_MERGE_AUTO

/* Draws and maps `letter` over `range`, replacing. */
static void expect_replace(enum aspace_merge merge, const char *before, const char *range, char letter,
                           const char *after)
{
    struct set_fixture f;

    set_fixture_draw(&f, merge, before);
    assert_int_equal(set_fixture_map(&f, letter, range, ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    set_fixture_expect(&f, after);
    set_fixture_close(&f);
}

static void map_beside_others_leaves_them_alone(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....CCCC");
    assert_int_equal(set_fixture_map(&f, 'B', "....[..]....", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    set_fixture_expect(&f, "AAAABBBBCCCC");
    assert_int_equal(f.backend->maps, 3);
    assert_int_equal(f.backend->unmaps, 0);
    set_fixture_close(&f);
}

static void map_over_an_area_names_the_first_one_in_the_way(void **state)
{
    static const struct {
        const char *range;
        unsigned column; /* of the area in the way */
    } cases[] = {
        {"[..]............", 2},  {".....[..]........", 2}, {"...[..]..........", 2}, {"[..............]", 2},
        {"......[.......].", 10}, {"............[..]", 10}, {".............|..", 10},
    };
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "..AAAA....BBBB..");
    set_fixture_before(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(set_fixture_map(&f, 'C', cases[i].range, ASPACE_OVERLAP_FAIL), ASPACE_ALREADY_EXISTS);
        assert_true(f.why.has_conflict);
        assert_int_equal(f.why.conflict, page_addr(f.base + cases[i].column));
        set_fixture_unchanged(&f);
    }
    set_fixture_close(&f);
}

/* clang-format off */
static void a_replacing_map_takes_the_place_of_exactly_its_range(void **state)
{
    (void)state;
    expect_replace(OFF, "AAAAAAAA",
                        "..[..]..", 'N',
                        "AANNNNAA");
    expect_replace(OFF, "AAAA....BBBB",
                        "..[......]..", 'N',
                        "AANNNNNNNNBB");
    expect_replace(OFF, "AAAABBBBCCCC",
                        "....[..]....", 'N',
                        "AAAANNNNCCCC");
    expect_replace(OFF, "AAAA",
                        "[..]", 'N',
                        "NNNN");
    expect_replace(OFF, "..AA.BB.",
                        "[......]", 'N',
                        "NNNNNNNN");
    expect_replace(OFF, "AAAAAAAA", /* alike, yet its own area under merge=off */
                        "..[..]..", 'B',
                        "AABBBBAA");
    expect_replace(OFF, "....",
                        ".[].", 'N',
                        ".NN.");
    expect_replace(OFF, "AAAAAA",
                        "[..]..", 'N',
                        "NNNNAA");
    expect_replace(OFF, "AAAAAA",
                        "..[..]", 'N',
                        "AANNNN");
    expect_replace(OFF, "..AAAA....", /* from a hole into an area */
                        "[..]......", 'N',
                        "NNNNAA....");
    expect_replace(OFF, "..AAAA....", /* from an area into a hole */
                        "....[...].", 'N',
                        "..AANNNNN.");
    expect_replace(OFF, "AAAABBBB", /* from one area into the next */
                        "..[..]..", 'N',
                        "AANNNNBB");
}
/* clang-format on */

static void a_replacing_map_gives_new_pages_in_its_range_alone(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, AUTO, "AAAAAAAA");
    assert_int_equal(set_fixture_map(&f, 'A', "..[..]..", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    set_fixture_expect(&f, "AAAAAAAA");
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(page_backend_at(f.backend, f.base + i)->identity, i >= 2 && i < 6 ? 2 : 1);
    set_fixture_close(&f);
}

/* (b) */
static void a_replacing_map_that_fails_leaves_no_hole(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA..BBBB..CCCC");
    set_fixture_before(&f);
    for (unsigned nth = 1; nth <= 4; nth++) { /* three unmaps, then the map */
        page_backend_fail(f.backend, nth, ASPACE_NO_MEMORY);
        assert_int_equal(set_fixture_map(&f, 'N', "..[..........]..", ASPACE_OVERLAP_REPLACE), ASPACE_NO_MEMORY);
        assert_true(f.backend->fired);
        set_fixture_unchanged(&f);
    }
    page_backend_fail(f.backend, 5, ASPACE_NO_MEMORY);
    assert_int_equal(set_fixture_map(&f, 'N', "..[..........]..", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    set_fixture_expect(&f, "AANNNNNNNNNNNNCC");
    set_fixture_close(&f);
}

/* clang-format off */
static void map_with_merge_auto_joins_what_is_alike(void **state)
{
    (void)state;
    expect_replace(AUTO, "AAAA........", /* with the left one */
                         "....[..]....", 'A',
                         "AAAAAAAA....");
    expect_replace(AUTO, "........AAAA", /* with the right one */
                         "....[..]....", 'A',
                         "....AAAAAAAA");
    expect_replace(AUTO, "AAAA....AAAA", /* with both */
                         "....[..]....", 'A',
                         "AAAAAAAAAAAA");
    expect_replace(AUTO, "aaaaNNNNTTTT", /* with none: flags, tag */
                         "....[..]....", 'A',
                         "aaaaAAAATTTT");
    expect_replace(AUTO, "GGGG....LLLL", /* with none: backing */
                         "....[..]....", 'A',
                         "GGGGAAAALLLL");
    expect_replace(AUTO, "TTTT....VVVV", /* the same tag joins, another does not */
                         "....[..]....", 'T',
                         "TTTTTTTTVVVV");
    expect_replace(AUTO, "AAAAaaaaAAAA", /* what was between goes */
                         "....[..]....", 'A',
                         "AAAAAAAAAAAA");
    expect_replace(AUTO, "AAAAaaaaAAAA", /* remnants join too */
                         "..[......]..", 'A',
                         "AAAAAAAAAAAA");
    expect_replace(AUTO, "AAAAAAAA",
                         "..[..]..", 'a',
                         "AAaaaaAA");
    expect_replace(AUTO, "AAA..AAA", /* a gap is no neighbour */
                         "...|....", 'A',
                         "AAAA.AAA");
}
/* clang-format on */

/* clang-format off */
static void linear_areas_join_only_at_the_same_offset(void **state)
{
    (void)state;
    expect_replace(AUTO, "LLLL....KKKK", /* L: virtual to physical plus 1000, K: plus 2000 */
                         "....[..]....", 'L',
                         "LLLLLLLLKKKK");
    expect_replace(AUTO, "LLLL....LLLL",
                         "....[..]....", 'K',
                         "LLLLKKKKLLLL");
}
/* clang-format on */

static void a_linear_area_may_lie_above_its_physical_pages(void **state)
{
    struct map_request request = {.attr = {.flags = RW, .backing = ASPACE_BACKING_LINEAR}, .pa_page = 3};
    struct set_fixture f;
    struct area area;
    uint64_t page;

    (void)state;
    set_fixture_draw(&f, OFF, "");
    request.range = (struct range){f.base + 4, f.base + 8};
    assert_int_equal(memory_set_map(&f.set, &request, &f.why, &page, &area), ASPACE_OK);
    assert_int_equal(area.range.start + area.attr.delta, 3); /* the delta wraps */
    request.attr.backing = ASPACE_BACKING_LAZY;
    request.range = (struct range){f.base + 12, f.base + 16};
    assert_int_equal(memory_set_map(&f.set, &request, &f.why, &page, &area), ASPACE_OK);
    assert_int_equal(area.attr.delta, 0);
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_beside_others_leaves_them_alone),
        cmocka_unit_test(map_over_an_area_names_the_first_one_in_the_way),
        cmocka_unit_test(a_replacing_map_takes_the_place_of_exactly_its_range),
        cmocka_unit_test(a_replacing_map_gives_new_pages_in_its_range_alone),
        cmocka_unit_test(a_replacing_map_that_fails_leaves_no_hole),
        cmocka_unit_test(map_with_merge_auto_joins_what_is_alike),
        cmocka_unit_test(linear_areas_join_only_at_the_same_offset),
        cmocka_unit_test(a_linear_area_may_lie_above_its_physical_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
