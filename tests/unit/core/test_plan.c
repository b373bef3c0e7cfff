/* The plan: which pieces and which window an edit comes to, and its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/plan.h"

#define ALL ((struct range){0, 1000})

static struct area area(uint64_t start, uint64_t end, uint16_t flags)
{
    return (struct area){{start, end}, {.flags = flags}};
}

/* The last two steps of planning. */
static enum aspace_error finish(struct plan *plan, size_t max_areas, struct refusal *why)
{
    plan_join(plan);
    return plan_reserve(plan, max_areas, why);
}

static void add(struct plan *plan, struct area piece)
{
    struct refusal why;

    assert_int_equal(plan_add(plan, &piece, &why), ASPACE_OK);
}

/* A map with the areas given, put there by plans. */
static void fill(struct area_map *map, const struct area *areas, size_t count)
{
    struct refusal why;

    area_map_init(map, (struct range){0, 1000});
    for (size_t i = 0; i < count; i++) {
        struct plan plan;

        plan_init(&plan, map, false, ALL);
        add(&plan, areas[i]);
        assert_int_equal(finish(&plan, 100, &why), ASPACE_OK);
        plan_commit(&plan);
        plan_free(&plan);
    }
}

static void expect(const struct area_map *map, const struct area *areas, size_t count)
{
    struct area_cursor cursor;
    struct area got = {0};
    char problem[160];

    assert_int_equal(map->count, count);
    area_map_seek(map, 0, &cursor);
    for (size_t i = 0; i < count; i++, area_cursor_next(&cursor)) {
        assert_true(area_cursor_get(&cursor, &got));
        assert_true(range_equal(got.range, areas[i].range));
        assert_true(area_attr_equal(&got.attr, &areas[i].attr));
    }
    assert_true(area_map_validate(map, problem, sizeof(problem)));
}

static void an_empty_piece_is_no_piece(void **state)
{
    struct area_map map;
    struct plan plan;
    struct area whole = area(10, 20, 1);
    struct refusal why;

    (void)state;
    area_map_init(&map, (struct range){0, 1000});
    plan_init(&plan, &map, false, ALL);
    add(&plan, area(5, 5, 1));
    add(&plan, area(7, 5, 1));
    assert_int_equal(plan_add_part(&plan, &whole, (struct range){20, 30}, &whole.attr, &why), ASPACE_OK);
    assert_int_equal(plan_add_part(&plan, &whole, (struct range){0, 10}, &whole.attr, &why), ASPACE_OK);
    assert_int_equal(plan.count, 0);
    assert_true(range_empty(plan.window));
    assert_int_equal(plan_add_part(&plan, &whole, (struct range){15, 30}, &whole.attr, &why), ASPACE_OK);
    assert_int_equal(plan.count, 1);
    assert_true(range_equal(plan.pieces[0].range, (struct range){15, 20}));
    plan_free(&plan);
}

static void the_window_holds_all_that_was_taken_and_added(void **state)
{
    struct area_map map;
    struct plan plan;
    struct area taken = area(10, 20, 1);

    (void)state;
    area_map_init(&map, (struct range){0, 1000});
    plan_init(&plan, &map, false, ALL);
    plan_take(&plan, &taken);
    assert_true(range_equal(plan.window, (struct range){10, 20}));
    add(&plan, area(15, 40, 1));
    add(&plan, area(50, 60, 1));
    assert_true(range_equal(plan.window, (struct range){10, 60}));
    assert_int_equal(plan.taken, 1);
    plan_free(&plan);
}

static void pieces_alike_join_only_when_asked(void **state)
{
    struct area_map map;
    struct plan plan;

    (void)state;
    area_map_init(&map, (struct range){0, 1000});
    for (int join = 0; join < 2; join++) {
        plan_init(&plan, &map, join, ALL);
        add(&plan, area(10, 20, 1)); /* AAAABBBB.CCCCDDDD, D unlike C */
        add(&plan, area(20, 30, 1));
        add(&plan, area(31, 40, 1));
        add(&plan, area(40, 50, 2));
        assert_int_equal(plan.count, join ? 3 : 4);
        plan_free(&plan);
    }
}

static void a_plan_takes_any_number_of_pieces(void **state)
{
    struct area_map map;
    struct plan plan;
    struct refusal why;

    (void)state;
    area_map_init(&map, (struct range){0, 1000});
    plan_init(&plan, &map, false, ALL);
    for (uint64_t i = 0; i < 400; i++)
        add(&plan, area(2 * i, 2 * i + 1, 1));
    assert_int_equal(finish(&plan, 400, &why), ASPACE_OK);
    plan_commit(&plan);
    plan_free(&plan);
    assert_int_equal(map.count, 400);
    for (uint64_t i = 0; i < 400; i++) {
        struct area got;

        assert_true(area_map_find(&map, 2 * i, &got));
        assert_false(area_map_find(&map, 2 * i + 1, &got));
    }
    area_map_clear(&map);
}

/* AAAA[BBBB]CCCC: the pieces swallow neighbours alike, both, and only those that touch. */
static void outermost_pieces_join_their_neighbours_in_the_map(void **state)
{
    const struct area before[] = {area(10, 20, 1), area(30, 40, 1), area(50, 60, 2), area(61, 70, 1)};
    const struct area after[] = {area(10, 50, 1), area(50, 60, 2), area(61, 70, 1)};
    struct area_map map;
    struct plan plan;
    struct refusal why;

    (void)state;
    fill(&map, before, 4);
    plan_init(&plan, &map, true, ALL);
    add(&plan, area(20, 30, 1));
    assert_int_equal(finish(&plan, 3, &why), ASPACE_OK);
    assert_int_equal(plan.taken, 2);
    plan_commit(&plan);
    plan_free(&plan);

    plan_init(&plan, &map, true, ALL);
    add(&plan, area(40, 50, 1));
    assert_int_equal(finish(&plan, 3, &why), ASPACE_OK);
    plan_commit(&plan);
    plan_free(&plan);
    expect(&map, after, 3);
    area_map_clear(&map);
}

static void the_limit_counts_what_is_left_after_the_edit(void **state)
{
    const struct area before[] = {area(10, 20, 1), area(30, 40, 1)};
    struct area_map map;
    struct plan plan;
    struct refusal why;

    (void)state;
    fill(&map, before, 2);
    plan_init(&plan, &map, false, ALL);
    add(&plan, area(50, 60, 1));
    assert_int_equal(finish(&plan, 2, &why), ASPACE_NO_MEMORY);
    assert_int_equal(finish(&plan, 3, &why), ASPACE_OK);
    plan_free(&plan);

    plan_init(&plan, &map, false, ALL); /* two for one: what is taken does not count */
    plan_take(&plan, &before[0]);
    add(&plan, area(10, 15, 1));
    add(&plan, area(15, 20, 1));
    assert_int_equal(finish(&plan, 2, &why), ASPACE_NO_MEMORY);
    assert_int_equal(finish(&plan, 3, &why), ASPACE_OK);
    plan_free(&plan);

    plan_init(&plan, &map, false, ALL); /* one for one is no growth, even past the limit */
    plan_take(&plan, &before[0]);
    add(&plan, area(10, 15, 1));
    assert_int_equal(finish(&plan, 1, &why), ASPACE_OK);
    plan_free(&plan);
    expect(&map, before, 2);
    area_map_clear(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_piece_is_no_piece),
        cmocka_unit_test(the_window_holds_all_that_was_taken_and_added),
        cmocka_unit_test(pieces_alike_join_only_when_asked),
        cmocka_unit_test(a_plan_takes_any_number_of_pieces),
        cmocka_unit_test(outermost_pieces_join_their_neighbours_in_the_map),
        cmocka_unit_test(the_limit_counts_what_is_left_after_the_edit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
