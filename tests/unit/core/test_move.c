/* memory_set_move, each case drawn before and after, and what a refusal leaves: everything as it was. clang-format is
 * off where drawings stand above one another. */
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define AUTO ASPACE_MERGE_AUTO

#define FAIL    ASPACE_OVERLAP_FAIL
#define REPLACE ASPACE_OVERLAP_REPLACE

/* The area drawn in `from` becomes the one drawn in `to`. */
static struct move_request elsewhere(const struct set_fixture *f, const char *from, const char *to,
                                     enum aspace_overlap overlap)
{
    struct range old = set_fixture_range(f, from);
    struct range new = set_fixture_range(f, to);

    return (struct move_request){.start = old.start,
                                 .has_new_start = true,
                                 .new_start = new.start,
                                 .has_new_pages = range_pages(new) != range_pages(old),
                                 .new_pages = range_pages(new),
                                 .overlap = overlap};
}

static struct move_request in_place(const struct set_fixture *f, const char *from, const char *to,
                                    enum aspace_overlap overlap)
{
    return (struct move_request){.start = set_fixture_range(f, from).start,
                                 .has_new_pages = true,
                                 .new_pages = range_pages(set_fixture_range(f, to)),
                                 .overlap = overlap};
}

/* Which map call made each page that stays goes along with it. */
static void expect_kept(struct set_fixture *f, struct range old, struct range new)
{
    uint64_t kept = range_pages(old) < range_pages(new) ? range_pages(old) : range_pages(new);

    for (uint64_t i = 0; i < kept; i++)
        assert_int_equal(page_backend_at(f->backend, new.start + i)->identity,
                         f->entries[old.start + i - f->base].identity);
}

static void expect_done(struct set_fixture *f, const struct move_request *request, const char *from, const char *to,
                        const char *after)
{
    struct range new = set_fixture_range(f, to);
    struct area area;

    set_fixture_before(f);
    assert_int_equal(memory_set_move(&f->set, request, &f->why, &area), ASPACE_OK);
    assert_true(range_contains(area.range, new));
    set_fixture_expect(f, after);
    expect_kept(f, set_fixture_range(f, from), new);
    assert_int_equal(f->set.generation, f->generation + 1);
    assert_int_equal(f->backend->commits, f->commits + 1);
    set_fixture_close(f);
}

static void expect_move(enum aspace_merge merge, enum aspace_overlap overlap, const char *before, const char *from,
                        const char *to, const char *after)
{
    struct move_request request;
    struct set_fixture f;

    set_fixture_draw(&f, merge, before);
    request = elsewhere(&f, from, to, overlap);
    expect_done(&f, &request, from, to, after);
}

static void expect_resize(enum aspace_merge merge, enum aspace_overlap overlap, const char *before, const char *from,
                          const char *to, const char *after)
{
    struct move_request request;
    struct set_fixture f;

    set_fixture_draw(&f, merge, before);
    request = in_place(&f, from, to, overlap);
    expect_done(&f, &request, from, to, after);
}

static void expect_refused(struct set_fixture *f, const struct move_request *request, enum aspace_error error,
                           const char *param)
{
    struct area area = {{7, 7}, {0}};

    set_fixture_before(f);
    f->why.param = NULL;
    assert_int_equal(memory_set_move(&f->set, request, &f->why, &area), error);
    assert_int_equal(f->why.code, error);
    if (param)
        assert_string_equal(f->why.param, param);
    assert_int_equal(area.range.start, 7); /* untouched */
    set_fixture_unchanged(f);
}

/* ---- in place ---- */

/* clang-format off */
static void an_area_grows_in_place_where_there_is_room(void **state)
{
    (void)state;
    expect_resize(OFF, FAIL, "AAAA....",
                             "[..]....",
                             "[......]",
                             "AAAAAAAA");
    expect_resize(OFF, FAIL, "AAAA....BBBB", /* up to a neighbour */
                             "[..]........",
                             "[......]....",
                             "AAAAAAAABBBB");
    expect_resize(OFF, FAIL, "LLLL....", /* the new pages follow on physically */
                             "[..]....",
                             "[......]",
                             "LLLLLLLL");
    expect_resize(OFF, FAIL, "TT..", /* the tag covers what is new */
                             "[]..",
                             "[..]",
                             "TTTT");
}

static void an_area_shrinks_in_place(void **state)
{
    (void)state;
    expect_resize(OFF, FAIL, "AAAAAAAA",
                             "[......]",
                             "[..]....",
                             "AAAA....");
    expect_resize(OFF, FAIL, "AAAABBBB", /* off its neighbour */
                             "[..]....",
                             "|.......",
                             "A...BBBB");
    expect_resize(OFF, FAIL, "LLLLLLLL",
                             "[......]",
                             "[..]....",
                             "LLLL....");
}

static void growth_in_place_replaces_what_it_runs_into(void **state)
{
    (void)state;
    expect_resize(OFF, REPLACE, "AAAABBBB", /* partly */
                                "[..]....",
                                "[....]..",
                                "AAAAAABB");
    expect_resize(OFF, REPLACE, "AAAABBBB....", /* wholly, and beyond */
                                "[..]........",
                                "[.........].",
                                "AAAAAAAAAAA.");
    expect_resize(OFF, REPLACE, "AAAA.BBCCEDDDD", /* several, the last one partly */
                                "[..]..........",
                                "[..........]..",
                                "AAAAAAAAAAAADD");
    expect_resize(OFF, REPLACE, "AAAA..BBBB", /* nothing is in the way */
                                "[..]......",
                                "[....]....",
                                "AAAAAABBBB");
}

static void growth_in_place_joins_a_neighbour_alike_under_merge_auto(void **state)
{
    (void)state;
    expect_resize(AUTO, FAIL,    "AAAA....AAAA",
                                 "[..]........",
                                 "[......]....",
                                 "AAAAAAAAAAAA");
    expect_resize(AUTO, FAIL,    "AAAA....bbbb",
                                 "[..]........",
                                 "[......]....",
                                 "AAAAAAAAbbbb");
    expect_resize(AUTO, REPLACE, "AAAAbbbbAAAA",
                                 "[..]........",
                                 "[......]....",
                                 "AAAAAAAAAAAA");
    expect_resize(AUTO, REPLACE, "AAAAbbAA", /* into one alike */
                                 "[..]....",
                                 "[.....].",
                                 "AAAAAAAA");
}

/* ---- elsewhere ---- */

static void an_area_goes_elsewhere_in_every_size(void **state)
{
    (void)state;
    expect_move(OFF, FAIL, "AAAA........", /* the same */
                           "[..]........",
                           "........[..]",
                           "........AAAA");
    expect_move(OFF, FAIL, "AAAA........", /* larger */
                           "[..]........",
                           ".....[.....]",
                           ".....AAAAAAA");
    expect_move(OFF, FAIL, "AAAA........", /* smaller */
                           "[..]........",
                           "..........[]",
                           "..........AA");
    expect_move(OFF, FAIL, "........AAAA", /* down */
                           "........[..]",
                           "[..]........",
                           "AAAA........");
    expect_move(OFF, FAIL, "A.",
                           "|.",
                           ".|",
                           ".A");
    expect_move(OFF, FAIL, "AAAA....", /* to its own edge */
                           "[..]....",
                           "....[..]",
                           "....AAAA");
    expect_move(OFF, FAIL, "....AAAA",
                           "....[..]",
                           "[..]....",
                           "AAAA....");
    expect_move(OFF, FAIL, "BBAAAACC....", /* from between two */
                           "..[..]......",
                           "........[..]",
                           "BB....CCAAAA");
    expect_move(OFF, FAIL, "GGTT......", /* into a hole that it fills; the tag goes along */
                           "..[]......",
                           "......[..]",
                           "GG....TTTT");
}

static void a_linear_area_keeps_its_physical_addresses(void **state)
{
    struct move_request request;
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "LLLL........");
    request = elsewhere(&f,   "[..]........",
                              "......[....]", FAIL);
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK);
    assert_int_equal(area.range.start, f.base + 6);
    assert_int_equal(area.range.end, f.base + 12);
    assert_int_equal(area.range.start + area.attr.delta, f.base + 1000); /* where column 0 led before */
    for (uint64_t page = area.range.start; page < area.range.end; page++)
        assert_int_equal(page + page_backend_at(f.backend, page)->delta, f.base + 1000 + (page - area.range.start));
    page_backend_expect(f.backend, &f.set.map);
    request = elsewhere(&f, "......[....]", /* and back: down, and smaller */
                            "|...........", FAIL);
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK);
    set_fixture_expect(&f, "L...........");
    set_fixture_close(&f);
}

static void a_move_replaces_what_lies_at_its_new_place(void **state)
{
    (void)state;
    expect_move(OFF, REPLACE, "AAAA....BBBB", /* wholly */
                              "[..]........",
                              "........[..]",
                              "........AAAA");
    expect_move(OFF, REPLACE, "AAAA....BBBBBB", /* its left part */
                              "[..]..........",
                              "......[..]....",
                              "......AAAABBBB");
    expect_move(OFF, REPLACE, "AAAA..BBBBBB....", /* its right part */
                              "[..]............",
                              "..........[..]..",
                              "......BBBBAAAA..");
    expect_move(OFF, REPLACE, "AA..BBBBBB", /* its middle: one becomes two */
                              "[]........",
                              "......[]..",
                              "....BBAABB");
    expect_move(OFF, REPLACE, "AA..BBBBCCE.DDDD", /* several, the first and the last partly, larger */
                              "[]..............",
                              "......[......]..",
                              "....BBAAAAAAAADD");
    expect_move(OFF, REPLACE, "AAAAAABBBB", /* its neighbour, smaller */
                              "[....]....",
                              "......[]..",
                              "......AABB");
    expect_move(OFF, REPLACE, "BBBBBBAA", /* down, the neighbour's end */
                              "......[]",
                              "....[]..",
                              "BBBBAA..");
    expect_move(OFF, REPLACE, "AAAA....", /* nothing is there */
                              "[..]....",
                              "....[..]",
                              "....AAAA");
}

static void a_move_joins_neighbours_alike_under_merge_auto(void **state)
{
    (void)state;
    expect_move(AUTO, FAIL,    "AA....AA....AA", /* in the middle of two: both */
                               "......[]......",
                               "..[..]........",
                               "AAAAAA......AA");
    expect_move(AUTO, FAIL,    "AA.bAA.AA",
                               "....[]...",
                               "..|......",
                               "AAAb...AA");
    expect_move(AUTO, FAIL,    "AA..AA.bb..nn",
                               ".......[]....",
                               ".........[]..",
                               "AA..AA...bbnn");
    expect_move(AUTO, REPLACE, "AAbbbbAA..AA", /* between two halves */
                               "..........[]",
                               "..[..]......",
                               "AAAAAAAA....");
    expect_move(AUTO, REPLACE, "AAAAAA..AAAA", /* into one alike */
                               "........[..]",
                               ".[..].......",
                               "AAAAAA......");
    expect_move(AUTO, FAIL,    "AA..TT....", /* another tag */
                               "....[]....",
                               "..[]......",
                               "AATT......");
    expect_move(OFF,  FAIL,    "AA..bb....", /* off: never */
                               "....[]....",
                               "..[]......",
                               "AAbb......");
}

static void a_linear_area_joins_only_where_the_offset_is_the_same(void **state)
{
    struct move_request request;
    struct set_fixture f;
    struct area area;

    (void)state;
    /* Column 2 of L leads to the base plus 1002; at column 4 it does so with another delta. */
    set_fixture_draw(&f, AUTO, "LL..LLLL");
    request = elsewhere(&f,    "....[..]",
                               "..[]....", REPLACE);
    request.start = f.base + 4;
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK);
    assert_int_equal(f.set.map.count, 2);
    assert_int_equal(area.range.start, f.base + 2);
    assert_int_equal(area.range.start + area.attr.delta, f.base + 1004);
    page_backend_expect(f.backend, &f.set.map);
    set_fixture_close(&f);
}
/* clang-format on */

/* ---- nothing to do ---- */

static void a_resize_to_the_same_size_changes_nothing_and_keeps_the_generation(void **state)
{
    struct move_request request;
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAABBBB");
    request = in_place(&f, "[..]", "[..]", FAIL);
    set_fixture_before(&f);
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK);
    assert_true(set_fixture_is(&f, &area, "AAAA"));
    set_fixture_unchanged(&f);
    set_fixture_close(&f);
}

/* ---- refusals ---- */

/* clang-format off */
static void a_move_onto_any_part_of_itself_is_refused(void **state)
{
    static const char *const places[] = {"..[..]....", /* itself */
                                         "...[..]...",
                                         ".[..].....",
                                         "...|......",
                                         "..[.....].",
                                         ".[......]."};
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF,            "..AAAA....");
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        request = elsewhere(&f,          "..[..]....", places[i], i % 2 ? REPLACE : FAIL);
        expect_refused(&f, &request, ASPACE_INVALID_PARAM, "new_start");
    }
    set_fixture_close(&f);
}

static void a_move_over_other_areas_is_refused_unless_it_may_replace(void **state)
{
    static const char *const places[] = {"........[..]....",
                                         ".....[.......]..",
                                         ".....[..].......",
                                         "...........[..].",
                                         ".........|......"};
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF,            "AAAA....BBBB.CCC");
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        request = elsewhere(&f,          "[..]............", places[i], FAIL);
        expect_refused(&f, &request, ASPACE_ALREADY_EXISTS, NULL);
        assert_true(f.why.has_conflict);
        assert_int_equal(f.why.conflict, page_addr(f.base + 8)); /* the first one */
    }
    request = in_place(&f, "[..]............",
                           "[.......].......", FAIL);
    expect_refused(&f, &request, ASPACE_ALREADY_EXISTS, NULL);
    assert_int_equal(f.why.conflict, page_addr(f.base + 8));
    set_fixture_close(&f);
}
/* clang-format on */

static void a_move_of_what_is_no_exact_start_is_not_found(void **state)
{
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....");
    request = elsewhere(&f, ".|", "......|", FAIL);
    expect_refused(&f, &request, ASPACE_NOT_FOUND, NULL); /* inside */
    request = elsewhere(&f, ".....|", "......|", FAIL);
    expect_refused(&f, &request, ASPACE_NOT_FOUND, NULL); /* a hole */
    request.start = 0;
    expect_refused(&f, &request, ASPACE_NOT_FOUND, NULL); /* outside */
    set_fixture_close(&f);
}

static void a_move_with_neither_place_nor_size_is_refused(void **state)
{
    struct move_request request = {0};
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....");
    request.start = f.base;
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, "new_start");
    set_fixture_close(&f);
}

static void a_move_beyond_the_bounds_is_refused(void **state)
{
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....");
    request = elsewhere(&f, "[..]", "....[..]", REPLACE);
    request.new_start = f.base + 62; /* of 64 */
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, NULL);
    request.new_start = f.base + 64;
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, NULL);
    request.new_start = 0;
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, NULL);
    request = in_place(&f, "[..]", "[....]", REPLACE);
    request.new_pages = 65;
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, NULL);
    request.new_pages = PAGE_LIMIT - f.base + 1; /* passes the top of all addresses */
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, "new_size");
    request.new_pages = UINT64_MAX;
    expect_refused(&f, &request, ASPACE_INVALID_PARAM, "new_size");
    set_fixture_close(&f);
}

static void a_move_to_the_top_of_all_addresses_works(void **state)
{
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_open(&f, PAGE_LIMIT - 8, 8, OFF, "AAA.....");
    request = elsewhere(&f, "[.]", ".....[.]", FAIL);
    expect_done(&f, &request, "[.]", ".....[.]", ".....AAA");
}

static void a_move_at_the_areas_limit_is_refused_only_if_it_cuts_one_in_two(void **state)
{
    struct move_request request;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AA..BBBBBB..");
    f.set.max_areas = 2;
    request = elsewhere(&f, "[]", "......[]", REPLACE);
    expect_refused(&f, &request, ASPACE_NO_MEMORY, NULL);
    request = elsewhere(&f, "[]", "..........[]", FAIL);
    expect_done(&f, &request, "[]", "..........[]", "....BBBBBBAA");

    set_fixture_draw(&f, OFF, "AA..BBBBBB..");
    f.set.max_areas = 2;
    request = elsewhere(&f, "[]", "..[..]", REPLACE);
    expect_done(&f, &request, "[]", "..[..]", "..AAAABBBB..");
}

static void a_backend_that_cannot_move_still_resizes_in_place(void **state)
{
    struct move_request request;
    struct backend_ops ops;
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAA....");
    ops = *f.backend->head.ops;
    ops.move = NULL;
    f.backend->head.ops = &ops;
    request = elsewhere(&f, "[..]", "....[..]", FAIL);
    expect_refused(&f, &request, ASPACE_UNSUPPORTED, NULL);
    request = in_place(&f, "[..]", "[......]", FAIL);
    expect_done(&f, &request, "[..]", "[......]", "AAAAAAAA");
}

/* Replaces two, moves, and grows or cuts: unmap, unmap, move, map or unmap. */
static void a_move_that_the_backend_refuses_at_any_step_changes_nothing(void **state)
{
    static const char *const places[] = {"......[......]", "......[...]..."};
    struct move_request request;
    struct set_fixture f;
    unsigned refused = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        unsigned nth;

        set_fixture_draw(&f, i / 2 ? AUTO : OFF, "AAAAAA.bb.cccc");
        request = elsewhere(&f, "[....]", places[i % 2], REPLACE);
        for (nth = 1; nth <= 4; nth++) {
            page_backend_fail(f.backend, nth, ASPACE_DENIED);
            expect_refused(&f, &request, ASPACE_DENIED, NULL);
            assert_int_equal(f.backend->rollbacks, nth);
            refused++;
        }
        page_backend_fail(f.backend, nth, ASPACE_DENIED);
        expect_done(&f, &request, "[....]", places[i % 2], i % 2 ? "......AAAAAccc" : "......AAAAAAAA");
    }
    assert_int_equal(refused, 16);
}

/* Bytes written before are read at the new place, those cut off are gone, and those that are new are zeroes. */
static void contents_go_along(void **state)
{
    struct move_request request;
    struct set_fixture f;
    struct area area;
    uint8_t byte = 0;

    (void)state;
    set_fixture_draw(&f, OFF, "AA......");
    assert_true(area_map_find(&f.set.map, f.base, &area));
    for (uint8_t i = 0; i < 2; i++) {
        uint64_t addr = page_addr(f.base + i) + 5;
        uint8_t value = (uint8_t)(0xa0 + i);

        assert_int_equal(f.backend->head.ops->prepare_write(&f.backend->head, &area, addr, 1, &f.why), ASPACE_OK);
        assert_int_equal(f.backend->head.ops->write(&f.backend->head, &area, addr, &value, 1, &f.why), ASPACE_OK);
    }
    f.backend->head.ops->commit(&f.backend->head);
    request = elsewhere(&f, "[]", "....[.]", FAIL);
    page_backend_fail(f.backend, 2, ASPACE_DENIED); /* first undone: a frame that was moved is nobody else's */
    expect_refused(&f, &request, ASPACE_DENIED, NULL);
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(
            f.backend->head.ops->read(&f.backend->head, &area, page_addr(f.base + 4 + i) + 5, &byte, 1, &f.why),
            ASPACE_OK);
        assert_int_equal(byte, i == 2 ? 0 : 0xa0 + i);
    }
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_area_grows_in_place_where_there_is_room),
        cmocka_unit_test(an_area_shrinks_in_place),
        cmocka_unit_test(growth_in_place_replaces_what_it_runs_into),
        cmocka_unit_test(growth_in_place_joins_a_neighbour_alike_under_merge_auto),
        cmocka_unit_test(an_area_goes_elsewhere_in_every_size),
        cmocka_unit_test(a_linear_area_keeps_its_physical_addresses),
        cmocka_unit_test(a_move_replaces_what_lies_at_its_new_place),
        cmocka_unit_test(a_move_joins_neighbours_alike_under_merge_auto),
        cmocka_unit_test(a_linear_area_joins_only_where_the_offset_is_the_same),
        cmocka_unit_test(a_resize_to_the_same_size_changes_nothing_and_keeps_the_generation),
        cmocka_unit_test(a_move_onto_any_part_of_itself_is_refused),
        cmocka_unit_test(a_move_over_other_areas_is_refused_unless_it_may_replace),
        cmocka_unit_test(a_move_of_what_is_no_exact_start_is_not_found),
        cmocka_unit_test(a_move_with_neither_place_nor_size_is_refused),
        cmocka_unit_test(a_move_beyond_the_bounds_is_refused),
        cmocka_unit_test(a_move_to_the_top_of_all_addresses_works),
        cmocka_unit_test(a_move_at_the_areas_limit_is_refused_only_if_it_cuts_one_in_two),
        cmocka_unit_test(a_backend_that_cannot_move_still_resizes_in_place),
        cmocka_unit_test(a_move_that_the_backend_refuses_at_any_step_changes_nothing),
        cmocka_unit_test(contents_go_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
