/* Placements: find_free and maps without a start. */
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define NONE UINT64_MAX

static uint64_t find(struct set_fixture *f, struct placement place)
{
    uint64_t page = NONE;

    if (!place.align)
        place.align = 1;
    if (!memory_set_find_free(&f->set, &place, &f->why, &page))
        return page - f->base;
    assert_int_equal(f->why.code, ASPACE_NOT_FOUND);
    assert_int_equal(page, NONE);
    return NONE;
}

static uint64_t find_policy(struct set_fixture *f, uint64_t pages, enum aspace_policy policy)
{
    return find(f, (struct placement){.pages = pages, .policy = policy});
}

static void each_policy_takes_its_own_hole(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_open(&f, 16, 32, OFF, "AA.....BB..CC....DD...EE....AA..");
    assert_int_equal(find_policy(&f, 2, ASPACE_POLICY_FIRST), 2);
    assert_int_equal(find_policy(&f, 2, ASPACE_POLICY_BEST), 9); /* the lowest of equals */
    assert_int_equal(find_policy(&f, 2, ASPACE_POLICY_TOP), 30);
    assert_int_equal(find_policy(&f, 3, ASPACE_POLICY_BEST), 19);
    assert_int_equal(find_policy(&f, 3, ASPACE_POLICY_TOP), 25); /* at the hole's upper end */
    assert_int_equal(find_policy(&f, 4, ASPACE_POLICY_BEST), 13);
    assert_int_equal(find_policy(&f, 5, ASPACE_POLICY_TOP), 2);
    assert_int_equal(find_policy(&f, 6, ASPACE_POLICY_FIRST), NONE);
    set_fixture_close(&f);
}

/* (e) */
static void find_free_never_answers_past_the_limit(void **state)
{
    struct placement place = {.pages = 4, .has_within = true};
    struct set_fixture f;

    (void)state;
    /*                            0       8       16  */
    set_fixture_open(&f, 16, 16, OFF, "AAAAAA..........");
    for (uint64_t end = 6; end <= 16; end++) {
        place.within = (struct range){16, 16 + end};
        for (int policy = ASPACE_POLICY_FIRST; policy <= ASPACE_POLICY_TOP; policy++) {
            uint64_t at;

            place.policy = (enum aspace_policy)policy;
            at = find(&f, place);
            assert_true(end < 10 ? at == NONE : at >= 6 && at + 4 <= end);
        }
    }
    place.has_within = false; /* the space's end is a limit too */
    place.pages = 11;
    assert_int_equal(find(&f, place), NONE);
    place.pages = 10;
    assert_int_equal(find(&f, place), 6);
    set_fixture_close(&f);
}

/* (f) */
static void find_free_with_a_large_alignment_never_overlaps(void **state)
{
    struct set_fixture f;
    struct area area;

    (void)state;
    /* The base, 16, is a multiple of 16; no hole starts at a multiple of 8. */
    set_fixture_open(&f, 16, 40, OFF,
                     "AAA....."
                     "B......C"
                     "C......."
                     "........"
                     "D.......");
    for (uint64_t align = 1; align <= 32; align *= 2)
        for (uint64_t pages = 1; pages <= 16; pages++)
            for (int policy = ASPACE_POLICY_FIRST; policy <= ASPACE_POLICY_TOP; policy++) {
                struct placement place = {.pages = pages, .align = align, .policy = (enum aspace_policy)policy};
                uint64_t at = find(&f, place);

                if (at == NONE)
                    continue;
                assert_int_equal((at + f.base) % align, 0);
                assert_false(memory_set_first(&f.set, (struct range){f.base + at, f.base + at + pages}, &area));
                assert_true(at + pages <= 40);
            }
    assert_int_equal(find(&f, (struct placement){.pages = 4, .align = 8}), 24);
    assert_int_equal(find(&f, (struct placement){.pages = 4, .align = 4}), 4);
    assert_int_equal(find(&f, (struct placement){.pages = 1, .align = 16, .policy = ASPACE_POLICY_FIRST}), NONE);
    set_fixture_close(&f);
}

static void a_wish_for_alignment_is_met_as_far_as_there_is_room(void **state)
{
    struct placement place = {.pages = 4, .wish = 16};
    struct set_fixture f;

    (void)state;
    /*                            0       8       16      24      32  */
    set_fixture_open(&f, 16, 40, OFF, "A..............................B........");
    assert_int_equal(find(&f, place), 16);
    place.wish = 32; /* not there: half of it is */
    assert_int_equal(find(&f, place), 16);
    place.pages = 20;
    assert_int_equal(find(&f, place), 8);
    place.pages = 26;
    assert_int_equal(find(&f, place), 4);
    place.pages = 30;
    assert_int_equal(find(&f, place), 1);
    place.align = 2; /* what is asked for stands, a wish or not */
    assert_int_equal(find(&f, place), NONE);
    place.pages = 4;
    place.align = 8;
    place.wish = 4;
    assert_int_equal(find(&f, place), 8);
    set_fixture_close(&f);
}

static void a_hint_is_the_lowest_start_and_does_not_wrap(void **state)
{
    struct placement place = {.pages = 2, .has_hint = true};
    struct set_fixture f;

    (void)state;
    set_fixture_open(&f, 16, 16, OFF, "....AAAA....BBBB");
    place.hint = 16 + 1;
    assert_int_equal(find(&f, place), 1);
    place.hint = 16 + 3; /* one page is left of that hole */
    assert_int_equal(find(&f, place), 8);
    place.hint = 16 + 11;
    assert_int_equal(find(&f, place), NONE);
    place.hint = 3; /* below the space */
    assert_int_equal(find(&f, place), 0);
    place.hint = PAGE_LIMIT; /* above it */
    assert_int_equal(find(&f, place), NONE);
    place.hint = 16 + 2;
    place.has_within = true;
    place.within = (struct range){16, 16 + 10};
    assert_int_equal(find(&f, place), 2);
    place.policy = ASPACE_POLICY_TOP;
    assert_int_equal(find(&f, place), 8);
    set_fixture_close(&f);
}

static void a_window_outside_the_space_is_refused(void **state)
{
    struct placement place = {.pages = 1, .align = 1, .has_within = true, .within = {15, 20}};
    struct set_fixture f;
    uint64_t page;

    (void)state;
    set_fixture_open(&f, 16, 16, OFF, "");
    assert_int_equal(memory_set_find_free(&f.set, &place, &f.why, &page), ASPACE_INVALID_PARAM);
    assert_string_equal(f.why.param, "within");
    place.within = (struct range){20, 33};
    assert_int_equal(memory_set_find_free(&f.set, &place, &f.why, &page), ASPACE_INVALID_PARAM);
    set_fixture_close(&f);
}

static void a_placement_leaves_page_0_out_unless_told_so(void **state)
{
    struct set_fixture f;
    struct placement place = {.pages = 1};

    (void)state;
    set_fixture_open(&f, 0, 16, OFF, "");
    assert_int_equal(find(&f, place), 1);
    place.policy = ASPACE_POLICY_BEST;
    assert_int_equal(find(&f, place), 1);
    place.pages = 16;
    place.policy = ASPACE_POLICY_TOP;
    assert_int_equal(find(&f, place), NONE);
    place.has_hint = true; /* hint 0 asks for it */
    assert_int_equal(find(&f, place), 0);
    place.has_hint = false;
    place.has_within = true;
    place.within = (struct range){0, 16};
    assert_int_equal(find(&f, place), 0);
    assert_int_equal(set_fixture_map(&f, 'A', "|", ASPACE_OVERLAP_FAIL), ASPACE_OK); /* a start does, too */
    set_fixture_close(&f);
}

static void the_top_page_can_be_found(void **state)
{
    struct placement place = {.pages = 1, .policy = ASPACE_POLICY_TOP};
    struct set_fixture f;

    (void)state;
    set_fixture_open(&f, PAGE_LIMIT - 8, 8, OFF, "AAAAA...");
    assert_int_equal(find(&f, place), 7);
    place.pages = 3;
    assert_int_equal(find(&f, place), 5);
    place.pages = 4;
    assert_int_equal(find(&f, place), NONE);
    place.pages = 2;
    place.align = 2;
    assert_int_equal(find(&f, place), 6);
    place.policy = ASPACE_POLICY_FIRST;
    assert_int_equal(find(&f, place), 6);
    set_fixture_close(&f);
}

static void a_refusal_names_the_largest_hole_of_the_window(void **state)
{
    struct placement place = {.pages = 6};
    struct set_fixture f;

    (void)state;
    set_fixture_open(&f, 16, 16, OFF, "AA...BB.....CC..");
    assert_int_equal(find(&f, place), NONE);
    assert_true(f.why.has_hole);
    assert_int_equal(f.why.hole_start, page_addr(16 + 7));
    assert_int_equal(f.why.hole_size, 5 * ASPACE_PAGE_SIZE);
    place.has_within = true; /* clipped to the window; the lowest of equals */
    place.within = (struct range){16 + 1, 16 + 10};
    assert_int_equal(find(&f, place), NONE);
    assert_int_equal(f.why.hole_start, page_addr(16 + 2));
    assert_int_equal(f.why.hole_size, 3 * ASPACE_PAGE_SIZE);
    place.within = (struct range){16, 16 + 2}; /* full */
    assert_int_equal(find(&f, place), NONE);
    assert_false(f.why.has_hole);
    set_fixture_close(&f);
}

static enum aspace_error map_placed(struct set_fixture *f, struct placement place, uint64_t *ret)
{
    struct map_request request = {
        .attr = {.flags = RW, .backing = ASPACE_BACKING_LINEAR}, .placed = true, .place = place, .pa_page = 5000};
    struct area area;
    enum aspace_error error = memory_set_map(&f->set, &request, &f->why, ret, &area);

    if (!error)
        assert_int_equal(*ret + area.attr.delta, 5000);
    return error;
}

static void a_placed_map_lies_where_find_free_said(void **state)
{
    struct set_fixture f;
    uint64_t page = 99;

    (void)state;
    set_fixture_open(&f, 16, 16, OFF, "AA...BB.....CC..");
    for (int policy = ASPACE_POLICY_FIRST; policy <= ASPACE_POLICY_TOP; policy++) {
        struct placement place = {.pages = 2, .align = 1, .policy = (enum aspace_policy)policy};
        uint64_t found = find(&f, place) + f.base;

        assert_int_equal(map_placed(&f, place, &page), ASPACE_OK);
        assert_int_equal(page, found);
        page_backend_expect(f.backend, &f.set.map);
    }
    set_fixture_before(&f);
    page = 99;
    assert_int_equal(map_placed(&f, (struct placement){.pages = 9, .align = 1}, &page), ASPACE_NOT_FOUND);
    assert_true(f.why.has_hole);
    page_backend_fail(f.backend, 1, ASPACE_NO_MEMORY);
    assert_int_equal(map_placed(&f, (struct placement){.pages = 1, .align = 1}, &page), ASPACE_NO_MEMORY);
    assert_int_equal(page, 99);
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

static void first_is_the_area_that_touches_the_range_or_none(void **state)
{
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "..AAAA....BBBB");
    assert_false(memory_set_first(&f.set, set_fixture_range(&f, "[]............"), &area));
    assert_false(memory_set_first(&f.set, set_fixture_range(&f, "......[..]...."), &area));
    assert_true(memory_set_first(&f.set, set_fixture_range(&f, "[.]..........."), &area));
    assert_true(set_fixture_is(&f, &area, "..AAAA"));
    assert_true(memory_set_first(&f.set, set_fixture_range(&f, ".....[....]..."), &area));
    assert_true(set_fixture_is(&f, &area, "..AAAA"));
    assert_true(memory_set_first(&f.set, set_fixture_range(&f, "......[...]..."), &area));
    assert_true(set_fixture_is(&f, &area, "..........BBBB"));
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_policy_takes_its_own_hole),
        cmocka_unit_test(find_free_never_answers_past_the_limit),
        cmocka_unit_test(find_free_with_a_large_alignment_never_overlaps),
        cmocka_unit_test(a_wish_for_alignment_is_met_as_far_as_there_is_room),
        cmocka_unit_test(a_hint_is_the_lowest_start_and_does_not_wrap),
        cmocka_unit_test(a_window_outside_the_space_is_refused),
        cmocka_unit_test(a_placement_leaves_page_0_out_unless_told_so),
        cmocka_unit_test(the_top_page_can_be_found),
        cmocka_unit_test(a_refusal_names_the_largest_hole_of_the_window),
        cmocka_unit_test(a_placed_map_lies_where_find_free_said),
        cmocka_unit_test(first_is_the_area_that_touches_the_range_or_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
