/* protect, split and merge, each case drawn before and after; clang-format is off where drawings stand above one
 * another. */
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define AUTO ASPACE_MERGE_AUTO

/* Upper-case areas in the range become lower-case ones (r--) or the other way round. */
static enum aspace_error protect(struct set_fixture *f, const char *range, bool write, enum aspace_holes holes,
                                 size_t *ret)
{
    return memory_set_protect(&f->set, set_fixture_range(f, range), write ? ASPACE_WRITE : 0, write ? 0 : ASPACE_WRITE,
                              holes, &f->why, ret);
}

/* Draws, takes write away in `range`, and expects `after`, the areas changed and the backend calls made. */
static void expect_protect(enum aspace_merge merge, const char *before, const char *range, const char *after,
                           size_t changed)
{
    struct set_fixture f;
    size_t count = 99;
    uint64_t generation;

    set_fixture_draw(&f, merge, before);
    generation = f.set.generation;
    assert_int_equal(protect(&f, range, false, ASPACE_HOLES_SKIP, &count), ASPACE_OK);
    set_fixture_expect(&f, after);
    assert_int_equal(count, changed);
    assert_int_equal(f.backend->protects, changed);
    assert_int_equal(f.set.generation, generation + (changed ? 1 : 0));
    set_fixture_close(&f);
}

/* clang-format off */
static void protect_changes_exactly_what_lies_in_the_range(void **state)
{
    (void)state;
    expect_protect(OFF, "AAAA", /* whole */
                        "[..]",
                        "aaaa", 1);
    expect_protect(OFF, "AAAAAAAA", /* left end */
                        "[..]....",
                        "aaaaAAAA", 1);
    expect_protect(OFF, "AAAAAAAA", /* right end */
                        "....[..]",
                        "AAAAaaaa", 1);
    expect_protect(OFF, "AAAAAAAA", /* middle: one becomes three */
                        "..[..]..",
                        "AAaaaaAA", 1);
    expect_protect(OFF, "AAAAAAAA......bbbb....CCCCCC", /* several; B has the flags already */
                        "...[....................]...",
                        "AAAaaaaa......bbbb....cccCCC", 2);
    expect_protect(OFF, "..AAAA....", /* from a hole into an area */
                        "[..]......",
                        "..aaAA....", 1);
    expect_protect(OFF, "..AAAA....", /* from an area into a hole */
                        "....[...].",
                        "..AAaa....", 1);
    expect_protect(OFF, "AAAABBBB", /* from one area into the next */
                        "..[..]..",
                        "AAaabbBB", 2);
    expect_protect(OFF, "AABBCCaa", /* neighbours stay apart */
                        "[......]",
                        "aabbccaa", 3);
    expect_protect(OFF, "LLLLLLLLKKKK", /* linear offsets stay */
                        "..[......]..",
                        "LLllllllkkKK", 2);
    expect_protect(OFF, "TTTTVVVV", /* tags stay */
                        "..[..]..",
                        "TTttvvVV", 2);
}
/* clang-format on */

/* clang-format off */
static void protect_with_merge_auto_joins_at_both_boundaries(void **state)
{
    (void)state;
    expect_protect(AUTO, "aaaaAAAAAAAA", /* with the left one */
                         "....[..]....",
                         "aaaaaaaaAAAA", 1);
    expect_protect(AUTO, "AAAAAAAAaaaa", /* with the right one */
                         "....[..]....",
                         "AAAAaaaaaaaa", 1);
    expect_protect(AUTO, "aaaaAAAAaaaa", /* with both */
                         "....[..]....",
                         "aaaaaaaaaaaa", 1);
    expect_protect(AUTO, "AAAAaaaaAAAA", /* inside the range */
                         "..[......]..",
                         "AAaaaaaaaaAA", 2);
    expect_protect(AUTO, "aaAAaaAAaa.AA",
                         "..[........]",
                         "aaaaaaaaaa.aA", 3);
    expect_protect(AUTO, "ttttAAAAllll", /* with none */
                         "....[..]....",
                         "ttttaaaallll", 1);
}
/* clang-format on */

/* clang-format off */
static void protect_takes_no_backend_call_for_areas_that_have_the_flags(void **state)
{
    (void)state;
    expect_protect(OFF, "aaaabbbb....cccc",
                        "..[............]",
                        "aaaabbbb....cccc", 0);
    expect_protect(OFF, "AAAA....BBBB",
                        "....[..]....",
                        "AAAA....BBBB", 0);
    expect_protect(AUTO, "aaaa",
                         ".[].",
                         "aaaa", 0);
}
/* clang-format on */

static void protect_that_refuses_holes_changes_nothing_at_one(void **state)
{
    struct set_fixture f;
    size_t count = 99;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAABBBB..CC");
    set_fixture_before(&f);
    assert_int_equal(protect(&f, "..[........]", false, ASPACE_HOLES_REFUSE, &count), ASPACE_NOT_FOUND);
    set_fixture_unchanged(&f);
    assert_int_equal(count, 99);
    assert_int_equal(protect(&f, "..[....]....", false, ASPACE_HOLES_REFUSE, &count), ASPACE_OK);
    set_fixture_expect(&f, "AAaabbbb..CC");
    set_fixture_close(&f);
}

/* (c) */
static void protect_reports_the_backends_refusal_and_changes_nothing(void **state)
{
    struct set_fixture f;
    size_t count = 99;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA..bbbb..CCCCDDDD");
    set_fixture_before(&f);
    for (unsigned nth = 1; nth <= 3; nth++) {
        page_backend_fail(f.backend, nth, ASPACE_DENIED);
        assert_int_equal(protect(&f, "..[..............]..", false, ASPACE_HOLES_SKIP, &count), ASPACE_DENIED);
        assert_int_equal(f.why.code, ASPACE_DENIED);
        assert_int_equal(count, 99);
        set_fixture_unchanged(&f);
    }
    page_backend_fail(f.backend, 4, ASPACE_DENIED);
    assert_int_equal(protect(&f, "..[..............]..", false, ASPACE_HOLES_SKIP, &count), ASPACE_OK);
    set_fixture_expect(&f, "AAaa..bbbb..ccccddDD");
    set_fixture_close(&f);
}

static void protect_sets_and_clears_flags_and_keeps_the_others(void **state)
{
    struct set_fixture f;
    struct area area;
    size_t count;

    (void)state;
    set_fixture_draw(&f, OFF, "NNNNAAAA");
    assert_int_equal(memory_set_protect(&f.set, set_fixture_range(&f, "[......]"), ASPACE_KERNEL, ASPACE_WRITE,
                                        ASPACE_HOLES_REFUSE, &f.why, &count),
                     ASPACE_OK);
    assert_int_equal(count, 2);
    assert_true(area_map_find(&f.set.map, f.base, &area));
    assert_int_equal(area.attr.flags, ASPACE_READ | ASPACE_EXEC | ASPACE_KERNEL);
    assert_true(area_map_find(&f.set.map, f.base + 4, &area));
    assert_int_equal(area.attr.flags, ASPACE_READ | ASPACE_KERNEL);
    /* Given whole, as "rw-": the permissions are cleared first; what is not named stays. */
    assert_int_equal(memory_set_protect(&f.set, set_fixture_range(&f, "[..]...."), RW, RW | ASPACE_EXEC,
                                        ASPACE_HOLES_REFUSE, &f.why, &count),
                     ASPACE_OK);
    assert_true(area_map_find(&f.set.map, f.base, &area));
    assert_int_equal(area.attr.flags, RW | ASPACE_KERNEL);
    page_backend_expect(f.backend, &f.set.map);
    set_fixture_close(&f);
}

/* ---- split ---- */

static void split_makes_two_areas_that_meet_and_asks_no_backend(void **state)
{
    struct set_fixture f;
    struct area left;
    struct area right;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAAAAAA..LLLL");
    page_backend_fail(f.backend, 1, ASPACE_BAD_STATE);
    assert_int_equal(memory_set_split(&f.set, f.base + 3, &f.why, &left, &right), ASPACE_OK);
    set_fixture_expect(&f, "AAABBBBB..LLLL");
    assert_true(set_fixture_is(&f, &left, "AAA") && set_fixture_is(&f, &right, "...BBBBB"));
    assert_int_equal(memory_set_split(&f.set, f.base + 13, &f.why, &left, &right), ASPACE_OK);
    set_fixture_expect(&f, "AAABBBBB..LLLM"); /* M has L's offset */
    assert_false(f.backend->fired);
    set_fixture_close(&f);
}

static void split_at_an_edge_in_a_hole_or_under_merge_auto_is_refused(void **state)
{
    struct set_fixture f;
    struct area left;
    struct area right;

    (void)state;
    set_fixture_open(&f, 16, 12, OFF, "AAAABBBB..CC");
    set_fixture_before(&f);
    assert_int_equal(memory_set_split(&f.set, f.base, &f.why, &left, &right), ASPACE_INVALID_PARAM);
    assert_string_equal(f.why.param, "at");
    assert_int_equal(memory_set_split(&f.set, f.base + 4, &f.why, &left, &right), ASPACE_INVALID_PARAM);
    assert_int_equal(memory_set_split(&f.set, f.base + 8, &f.why, &left, &right), ASPACE_INVALID_PARAM);
    assert_int_equal(memory_set_split(&f.set, f.base + 9, &f.why, &left, &right), ASPACE_NOT_FOUND);
    assert_int_equal(memory_set_split(&f.set, f.base + 12, &f.why, &left, &right), ASPACE_INVALID_PARAM);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);

    set_fixture_draw(&f, AUTO, "AAAA");
    set_fixture_before(&f);
    assert_int_equal(memory_set_split(&f.set, f.base + 2, &f.why, &left, &right), ASPACE_UNSUPPORTED);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

/* ---- merge ---- */

static void expect_merge(const char *before, const char *range, const char *after, size_t merged)
{
    struct set_fixture f;
    size_t count = 99;
    uint64_t generation;

    set_fixture_draw(&f, OFF, before);
    generation = f.set.generation;
    page_backend_fail(f.backend, 1, ASPACE_BAD_STATE);
    assert_int_equal(memory_set_merge(&f.set, set_fixture_range(&f, range), &f.why, &count), ASPACE_OK);
    set_fixture_expect(&f, after);
    assert_int_equal(count, merged);
    assert_int_equal(f.set.generation, generation + (merged ? 1 : 0));
    assert_false(f.backend->fired);
    set_fixture_close(&f);
}

/* clang-format off */
static void merge_joins_neighbours_alike_whose_edge_is_inside_the_range(void **state)
{
    (void)state;
    expect_merge("AAAABBBB",
                 "[......]",
                 "AAAAAAAA", 1);
    expect_merge("AAAABBBB", /* the smallest range that has the edge inside */
                 "...[]...",
                 "AAAAAAAA", 1);
    expect_merge("AAAABBBB", /* the edge is the range's end */
                 "...|....",
                 "AAAABBBB", 0);
    expect_merge("AAAABBBB", /* the edge is the range's start */
                 "....|...",
                 "AAAABBBB", 0);
    expect_merge("AABBAABBAA", /* what lies beyond stays */
                 "..[....]..",
                 "AABBBBBBAA", 2);
    expect_merge("AABBAABBAA",
                 ".[......].",
                 "AAAAAAAAAA", 4);
    expect_merge("AABB.AABB",
                 "[.......]",
                 "AAAA.BBBB", 2);
    expect_merge("AAaaAAaa",
                 "[......]",
                 "AAaaAAaa", 0);
    expect_merge("AAGGTTVVTTUU",
                 "[..........]",
                 "AAGGTTVVTTTT", 1);
    expect_merge("LLMMKKLL", /* linear: at the same offset only */
                 "[......]",
                 "LLLLKKLL", 1);
    expect_merge("........",
                 "[......]",
                 "........", 0);
}
/* clang-format on */

static void merge_does_not_pass_its_own_count_when_nothing_is_joined(void **state)
{
    struct set_fixture f;
    size_t count = 99;

    (void)state;
    set_fixture_draw(&f, OFF, "AAaaAAaaAAaaAAaaAAaa"); /* more than the plan holds inline */
    set_fixture_before(&f);
    assert_int_equal(memory_set_merge(&f.set, f.set.map.bounds, &f.why, &count), ASPACE_OK);
    assert_int_equal(count, 0);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

static void split_and_merge_are_each_others_undo(void **state)
{
    struct set_fixture f;
    struct area left;
    struct area right;
    size_t count;

    (void)state;
    set_fixture_draw(&f, OFF, "LLLLLLLLLLLLLLLL");
    for (uint64_t at = 1; at < 16; at++)
        assert_int_equal(memory_set_split(&f.set, f.base + at, &f.why, &left, &right), ASPACE_OK);
    set_fixture_expect(&f, "LMLMLMLMLMLMLMLM");
    assert_int_equal(memory_set_merge(&f.set, f.set.map.bounds, &f.why, &count), ASPACE_OK);
    assert_int_equal(count, 15);
    set_fixture_expect(&f, "LLLLLLLLLLLLLLLL");
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protect_changes_exactly_what_lies_in_the_range),
        cmocka_unit_test(protect_with_merge_auto_joins_at_both_boundaries),
        cmocka_unit_test(protect_takes_no_backend_call_for_areas_that_have_the_flags),
        cmocka_unit_test(protect_that_refuses_holes_changes_nothing_at_one),
        cmocka_unit_test(protect_reports_the_backends_refusal_and_changes_nothing),
        cmocka_unit_test(protect_sets_and_clears_flags_and_keeps_the_others),
        cmocka_unit_test(split_makes_two_areas_that_meet_and_asks_no_backend),
        cmocka_unit_test(split_at_an_edge_in_a_hole_or_under_merge_auto_is_refused),
        cmocka_unit_test(merge_joins_neighbours_alike_whose_edge_is_inside_the_range),
        cmocka_unit_test(merge_does_not_pass_its_own_count_when_nothing_is_joined),
        cmocka_unit_test(split_and_merge_are_each_others_undo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
