/* unmap, shrink, clear, bounds and limits, each case drawn before and after, and what a refusal leaves: everything as it
 * was. map is in test_memory_set_map.c, placements in test_memory_set_place.c, protect, split and merge in
 * test_memory_set_attr.c. clang-format is off where drawings stand above one another. */
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define AUTO ASPACE_MERGE_AUTO

struct removed {
    uint64_t pages;
    size_t areas;
};

static enum aspace_error unmap(struct set_fixture *f, const char *range, enum aspace_holes holes, struct removed *ret)
{
    return memory_set_unmap(&f->set, set_fixture_range(f, range), holes, &f->why, &ret->pages, &ret->areas);
}

/* Draws, unmaps `range`, and expects `after` and the counts. */
static void expect_unmap(enum aspace_merge merge, const char *before, const char *range, const char *after,
                         uint64_t pages, size_t areas)
{
    struct removed removed = {99, 99};
    struct set_fixture f;
    uint64_t generation;

    set_fixture_draw(&f, merge, before);
    generation = f.set.generation;
    assert_int_equal(unmap(&f, range, ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    set_fixture_expect(&f, after);
    assert_int_equal(removed.pages, pages);
    assert_int_equal(removed.areas, areas);
    assert_int_equal(f.set.generation, generation + 1);
    set_fixture_close(&f);
}

/* ---- unmap ---- */

/* clang-format off */
static void unmap_removes_exactly_what_lies_in_the_range(void **state)
{
    (void)state;
    expect_unmap(OFF, "AAAA....BBBB", /* whole */
                      "[..]........",
                      "........BBBB", 4, 1);
    expect_unmap(OFF, "AAAAAAAA", /* left end */
                      "[..]....",
                      "....AAAA", 4, 0);
    expect_unmap(OFF, "AAAAAAAA", /* right end */
                      "....[..]",
                      "AAAA....", 4, 0);
    expect_unmap(OFF, "AAAAAAAA", /* middle: one becomes two */
                      "..[..]..",
                      "AA....AA", 4, 0);
    expect_unmap(OFF, "AAAAAAAA......BBBB....CCCCCC", /* across several, both ends straddled */
                      "...[....................]...",
                      "AAA......................CCC", 12, 1);
    expect_unmap(OFF, "AAAABBBBaaaa", /* touching neighbours stay */
                      "....[..]....",
                      "AAAA....aaaa", 4, 1);
    expect_unmap(OFF, "AABBCCDD",
                      "[......]",
                      "........", 8, 4);
    expect_unmap(OFF, "ABCDE", /* areas of one page */
                      ".[.].",
                      "A...E", 3, 3);
    expect_unmap(OFF, "..AAAA....", /* from a hole into an area */
                      "[..]......",
                      "....AA....", 2, 0);
    expect_unmap(OFF, "..AAAA....", /* from an area into a hole */
                      "....[...].",
                      "..AA......", 2, 0);
    expect_unmap(OFF, "AAAABBBB", /* from one area into the next */
                      "..[..]..",
                      "AA....BB", 4, 0);
    expect_unmap(OFF, ".AAAA.", /* the range is larger than what it hits */
                      "[....]",
                      "......", 4, 1);
}
/* clang-format on */

static void unmap_of_a_hole_changes_nothing_and_keeps_the_generation(void **state)
{
    struct removed removed = {99, 99};
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....BBBB");
    set_fixture_before(&f);
    assert_int_equal(unmap(&f, "....[..]....", ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    assert_int_equal(removed.pages, 0);
    assert_int_equal(removed.areas, 0);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

static void unmap_that_refuses_holes_finds_one_at_each_place(void **state)
{
    static const char *const ranges[] = {
        "......[.......]...", /* at the start */
        ".....[..........].", /* in the middle */
        ".........[.......]", /* at the end */
        "....|.............", /* nothing but a hole */
    };
    struct removed removed;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, ".AAA...BBBBAA.CC..");
    set_fixture_before(&f);
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        assert_int_equal(unmap(&f, ranges[i], ASPACE_HOLES_REFUSE, &removed), ASPACE_NOT_FOUND);
        set_fixture_unchanged(&f);
    }
    assert_int_equal(unmap(&f, ".........[..].....", ASPACE_HOLES_REFUSE, &removed), ASPACE_OK);
    set_fixture_expect(&f, ".AAA...BB.....CC..");
    set_fixture_close(&f);
}

/* (d) */
static void unmap_that_the_backend_refuses_changes_nothing(void **state)
{
    struct removed removed = {99, 99};
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA..BBBB..CCCC");
    set_fixture_before(&f);
    for (unsigned nth = 1; nth <= 3; nth++) {
        page_backend_fail(f.backend, nth, ASPACE_BAD_STATE);
        assert_int_equal(unmap(&f, "..[..........]..", ASPACE_HOLES_SKIP, &removed), ASPACE_BAD_STATE);
        assert_int_equal(f.why.code, ASPACE_BAD_STATE);
        assert_int_equal(removed.pages, 99);
        set_fixture_unchanged(&f);
    }
    page_backend_fail(f.backend, 0, ASPACE_OK);
    assert_int_equal(unmap(&f, "..[..........]..", ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    set_fixture_expect(&f, "AA............CC");
    set_fixture_close(&f);
}

static void a_linear_area_cut_in_two_keeps_its_offset(void **state)
{
    struct removed removed;
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "LLLLLLLL");
    assert_int_equal(unmap(&f, "...[]...", ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    set_fixture_expect(&f, "LLL..LLL");
    assert_true(area_map_find(&f.set.map, f.base + 5, &area));
    assert_int_equal(area.range.start + area.attr.delta, f.base + 5 + 1000);
    assert_int_equal(page_backend_at(f.backend, f.base + 5)->delta, 1000);
    set_fixture_close(&f);
}

static void clear_leaves_no_area_and_no_page(void **state)
{
    struct set_fixture f;
    size_t removed = 0;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAABBBB....CC");
    set_fixture_before(&f);
    page_backend_fail(f.backend, 3, ASPACE_BAD_STATE);
    assert_int_equal(memory_set_clear(&f.set, &f.why, &removed), ASPACE_BAD_STATE);
    set_fixture_unchanged(&f);
    assert_int_equal(memory_set_clear(&f.set, &f.why, &removed), ASPACE_OK);
    assert_int_equal(removed, 3);
    set_fixture_expect(&f, "");
    set_fixture_before(&f);
    assert_int_equal(memory_set_clear(&f.set, &f.why, &removed), ASPACE_OK);
    assert_int_equal(removed, 0);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

/* ---- shrink ---- */

static void shrink_keeps_the_side_that_was_not_named(void **state)
{
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAAAAAABBBB");
    assert_int_equal(memory_set_shrink(&f.set, f.base, 5, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_OK);
    set_fixture_expect(&f, "...AAAAABBBB");
    assert_true(set_fixture_is(&f, &area, "...AAAAA"));
    assert_int_equal(memory_set_shrink(&f.set, f.base + 3, 1, ASPACE_SIDE_RIGHT, &f.why, &area), ASPACE_OK);
    set_fixture_expect(&f, "...A....BBBB");
    assert_true(set_fixture_is(&f, &area, "...A"));
    set_fixture_close(&f);
}

static void shrink_wants_an_exact_start_and_a_smaller_size(void **state)
{
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....");
    set_fixture_before(&f);
    assert_int_equal(memory_set_shrink(&f.set, f.base + 1, 2, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_NOT_FOUND);
    assert_int_equal(memory_set_shrink(&f.set, f.base + 4, 2, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_NOT_FOUND);
    assert_int_equal(memory_set_shrink(&f.set, f.base, 0, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_INVALID_PARAM);
    assert_string_equal(f.why.param, "new_size");
    assert_int_equal(memory_set_shrink(&f.set, f.base, 4, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_INVALID_PARAM);
    assert_int_equal(memory_set_shrink(&f.set, f.base, 9, ASPACE_SIDE_RIGHT, &f.why, &area), ASPACE_INVALID_PARAM);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

/* (a) */
static void shrink_left_that_the_backend_refuses_keeps_the_whole_area(void **state)
{
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "..AAAAAAAA..");
    set_fixture_before(&f);
    page_backend_fail(f.backend, 1, ASPACE_BAD_STATE);
    assert_int_equal(memory_set_shrink(&f.set, f.base + 2, 4, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_BAD_STATE);
    set_fixture_unchanged(&f);
    page_backend_fail(f.backend, 1, ASPACE_NO_MEMORY);
    assert_int_equal(memory_set_shrink(&f.set, f.base + 2, 4, ASPACE_SIDE_RIGHT, &f.why, &area), ASPACE_NO_MEMORY);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

/* ---- bounds and limits ---- */

static void every_edit_outside_the_bounds_is_refused(void **state)
{
    struct removed removed;
    struct set_fixture f;
    struct area area;
    size_t count;

    (void)state;
    set_fixture_open(&f, 16, 8, OFF, "AAAA..BB");
    set_fixture_before(&f);
    for (uint64_t start = 15; start <= 17; start += 2) { /* one page below and one above */
        struct map_request request = {.range = {start, start + 8}, .overlap = ASPACE_OVERLAP_REPLACE};
        struct range range = request.range;

        assert_int_equal(memory_set_map(&f.set, &request, &f.why, &removed.pages, &area), ASPACE_INVALID_PARAM);
        assert_int_equal(memory_set_unmap(&f.set, range, ASPACE_HOLES_SKIP, &f.why, &removed.pages, &removed.areas),
                         ASPACE_INVALID_PARAM);
        assert_int_equal(memory_set_protect(&f.set, range, 0, RW, ASPACE_HOLES_SKIP, &f.why, &count),
                         ASPACE_INVALID_PARAM);
        assert_int_equal(memory_set_merge(&f.set, range, &f.why, &count), ASPACE_INVALID_PARAM);
        assert_int_equal(memory_set_check_range(&f.set, range, &f.why), ASPACE_INVALID_PARAM);
    }
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

static void the_top_page_of_the_address_space_is_a_page_like_any_other(void **state)
{
    struct removed removed;
    struct set_fixture f;
    struct area area;
    size_t count;

    (void)state;
    set_fixture_open(&f, PAGE_LIMIT - 16, 16, OFF, "............AAAA");
    assert_int_equal(set_fixture_map(&f, 'B', "............[..]", ASPACE_OVERLAP_FAIL), ASPACE_ALREADY_EXISTS);
    assert_int_equal(f.why.conflict, page_addr(PAGE_LIMIT - 4));
    assert_int_equal(memory_set_protect(&f.set, set_fixture_range(&f, "..............[]"), 0, ASPACE_WRITE,
                                        ASPACE_HOLES_REFUSE, &f.why, &count),
                     ASPACE_OK);
    set_fixture_expect(&f, "............AAaa");
    assert_int_equal(unmap(&f, "...............|", ASPACE_HOLES_REFUSE, &removed), ASPACE_OK);
    set_fixture_expect(&f, "............AAa.");
    assert_int_equal(set_fixture_map(&f, 'N', "..........[....]", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    set_fixture_expect(&f, "..........NNNNNN");
    assert_int_equal(memory_set_shrink(&f.set, PAGE_LIMIT - 6, 1, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_OK);
    set_fixture_expect(&f, "...............N");
    assert_int_equal(memory_set_split(&f.set, PAGE_LIMIT - 1, &f.why, &area, &area), ASPACE_INVALID_PARAM);
    assert_int_equal(memory_set_clear(&f.set, &f.why, &count), ASPACE_OK);
    set_fixture_close(&f);
}

static void bounds_may_be_the_whole_address_space(void **state)
{
    struct range all = {0, PAGE_LIMIT};
    struct set_fixture f;
    struct removed removed;
    struct area area;
    size_t count;

    (void)state;
    /* The backend's universe wraps: 8 pages at the top, 8 at the bottom. */
    f = (struct set_fixture){.backend = page_backend_create(PAGE_LIMIT - 8, 16)};
    memory_set_init(&f.set, all, &f.backend->head, AUTO, 10);
    assert_int_equal(set_fixture_map(&f, 'A', "[..]....", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    f.base = PAGE_LIMIT - 8;
    assert_int_equal(set_fixture_map(&f, 'A', "....[..]", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    assert_int_equal(f.set.map.count, 2); /* the top does not touch the bottom */
    assert_true(memory_set_first(&f.set, (struct range){4, PAGE_LIMIT}, &area));
    assert_true(area.range.start == PAGE_LIMIT - 4 && area.range.end == PAGE_LIMIT);
    assert_int_equal(memory_set_protect(&f.set, all, 0, ASPACE_WRITE, ASPACE_HOLES_SKIP, &f.why, &count), ASPACE_OK);
    assert_int_equal(count, 2);
    assert_int_equal(memory_set_unmap(&f.set, all, ASPACE_HOLES_REFUSE, &f.why, &removed.pages, &removed.areas),
                     ASPACE_NOT_FOUND);
    assert_int_equal(memory_set_unmap(&f.set, all, ASPACE_HOLES_SKIP, &f.why, &removed.pages, &removed.areas),
                     ASPACE_OK);
    assert_int_equal(removed.pages, 8);
    page_backend_expect(f.backend, &f.set.map);
    set_fixture_close(&f);
}

static void the_limit_on_areas_stops_edits_that_make_more(void **state)
{
    struct removed removed;
    struct set_fixture f;
    struct area area;
    size_t count;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA..BBBB..");
    f.set.max_areas = 2;
    set_fixture_before(&f);
    assert_int_equal(set_fixture_map(&f, 'C', "..........[]", ASPACE_OVERLAP_FAIL), ASPACE_NO_MEMORY);
    assert_int_equal(unmap(&f, ".[].........", ASPACE_HOLES_SKIP, &removed), ASPACE_NO_MEMORY);
    assert_int_equal(memory_set_split(&f.set, f.base + 1, &f.why, &area, &area), ASPACE_NO_MEMORY);
    assert_int_equal(
        memory_set_protect(&f.set, set_fixture_range(&f, "[].........."), 0, RW, ASPACE_HOLES_SKIP, &f.why, &count),
        ASPACE_NO_MEMORY);
    set_fixture_unchanged(&f);
    f.set.max_areas = 3; /* a split of one makes one more, not two */
    assert_int_equal(unmap(&f, ".[].........", ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    set_fixture_expect(&f, "A..A..BBBB..");
    /* Edits that make no more areas go through at the limit. */
    f.set.max_areas = 2;
    assert_int_equal(set_fixture_map(&f, 'C', "[..]........", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    assert_int_equal(unmap(&f, "........[..]", ASPACE_HOLES_SKIP, &removed), ASPACE_OK);
    set_fixture_expect(&f, "CCCC..BB....");
    set_fixture_close(&f);
}

static void at_the_limit_a_map_that_joins_its_neighbour_goes_through(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, AUTO, "AAAA....aaaa");
    f.set.max_areas = 2;
    assert_int_equal(set_fixture_map(&f, 'A', "....[].....", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    set_fixture_expect(&f, "AAAAAA..aaaa");
    set_fixture_before(&f);
    assert_int_equal(set_fixture_map(&f, 'N', "......[]....", ASPACE_OVERLAP_FAIL), ASPACE_NO_MEMORY);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

static void a_refusal_leaves_the_results_untouched(void **state)
{
    struct map_request request = {.range = {16, 18}, .attr = {.flags = RW}};
    struct set_fixture f;
    struct area area = {{7, 8}, {0}};
    uint64_t page = 99;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA");
    assert_int_equal(memory_set_map(&f.set, &request, &f.why, &page, &area), ASPACE_ALREADY_EXISTS);
    assert_int_equal(memory_set_shrink(&f.set, 16, 4, ASPACE_SIDE_LEFT, &f.why, &area), ASPACE_INVALID_PARAM);
    assert_int_equal(page, 99);
    assert_int_equal(area.range.start, 7);
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmap_removes_exactly_what_lies_in_the_range),
        cmocka_unit_test(unmap_of_a_hole_changes_nothing_and_keeps_the_generation),
        cmocka_unit_test(unmap_that_refuses_holes_finds_one_at_each_place),
        cmocka_unit_test(unmap_that_the_backend_refuses_changes_nothing),
        cmocka_unit_test(a_linear_area_cut_in_two_keeps_its_offset),
        cmocka_unit_test(clear_leaves_no_area_and_no_page),
        cmocka_unit_test(shrink_keeps_the_side_that_was_not_named),
        cmocka_unit_test(shrink_wants_an_exact_start_and_a_smaller_size),
        cmocka_unit_test(shrink_left_that_the_backend_refuses_keeps_the_whole_area),
        cmocka_unit_test(every_edit_outside_the_bounds_is_refused),
        cmocka_unit_test(the_top_page_of_the_address_space_is_a_page_like_any_other),
        cmocka_unit_test(bounds_may_be_the_whole_address_space),
        cmocka_unit_test(the_limit_on_areas_stops_edits_that_make_more),
        cmocka_unit_test(at_the_limit_a_map_that_joins_its_neighbour_goes_through),
        cmocka_unit_test(a_refusal_leaves_the_results_untouched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
