/* The tree of tables: what is made, shared, taken out and put back. */
#include "machine_fixture.h"

static enum aspace_error move(struct machine *m, struct area area, uint64_t to)
{
    return m->backend->ops->move(m->backend, &area, to, &m->why);
}

/*  table   |      A'     |      A      |      B      |
 *  source                          AAAA|AAAA            A is empty once its four pages have gone,
 *  target          BBBB|BBBB                            and a table comes in its place for the other four
 */
static void a_move_into_the_place_of_a_table_that_it_emptied_is_undone(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area area = machine_eager(2 * SPAN2 - 4, 8, RW);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_write(&m, &area, page_addr(area.range.start) + 5, "sevenths", 8);
    before = machine_photograph(&m);
    assert_int_equal(move(&m, area, SPAN2 - 4), ASPACE_OK);
    m.backend->ops->rollback(m.backend);
    machine_expect_same(&m, before);
    machine_expect_sound(&m);
    machine_close(&m);
}

/* ---- making and finding ---- */

static void a_leaf_is_found_only_where_its_table_was_made(void **state)
{
    struct machine m;
    uint64_t table;
    unsigned level;

    (void)state;
    machine_open(&m, 16);
    assert_null(sim_leaf(m.sim, 5, &level));
    assert_int_equal(sim_make_table(m.sim, 5, 1, &m.why, &table), ASPACE_OK);
    machine_expect_frames(&m, 0, 4);
    assert_ptr_equal(sim_leaf(m.sim, 5, &level), &sim_table(m.sim, table)[5]);
    assert_ptr_equal(sim_leaf(m.sim, SPAN2 - 1, &level), &sim_table(m.sim, table)[511]);
    assert_null(sim_leaf(m.sim, SPAN2, &level));
    assert_null(sim_leaf(m.sim, SPAN3 + 5, &level));
    assert_null(sim_leaf(m.sim, SPAN4 + 5, &level));
    machine_close(&m);
}

static void a_leaf_table_is_made_once_and_shares_what_is_above_it(void **state)
{
    static const struct {
        uint64_t page;
        uint64_t tables; /* afterwards */
    } steps[] = {
        {7, 4}, {7, 4}, {SPAN2 - 1, 4}, {SPAN2, 5}, {SPAN3, 7}, {SPAN4, 10}, {SPAN4 + SPAN3 - 1, 11},
    };
    struct machine m;
    uint64_t first;
    uint64_t table;

    (void)state;
    machine_open(&m, 16);
    assert_int_equal(sim_make_table(m.sim, 0, 1, &m.why, &first), ASPACE_OK);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        assert_int_equal(sim_make_table(m.sim, steps[i].page, 1, &m.why, &table), ASPACE_OK);
        assert_int_equal(table == first, steps[i].page < SPAN2);
        machine_expect_frames(&m, 0, steps[i].tables);
    }
    assert_int_equal(frames_live(&m.sim->frames, m.sim->root), 2);
    machine_close(&m);
}

/* Entries of the root, worked out by hand: bits 11:0 of an entry that leads to a table are 0x007. */
static void an_entry_above_a_leaf_allows_everything(void **state)
{
    struct machine m;
    uint64_t table;

    (void)state;
    machine_open(&m, 16);
    assert_int_equal(sim_make_table(m.sim, 3 * SPAN4, 1, &m.why, &table), ASPACE_OK);
    assert_int_equal(sim_table(m.sim, m.sim->root)[3] & ~UINT64_C(0x000ffffffffff000), 0x007);
    machine_close(&m);
}

/* With fewer frames than the levels need: what was made by then is taken away by emptying the page. */
static void tables_made_before_ram_was_used_up_go_away_when_emptied(void **state)
{
    (void)state;
    for (uint64_t frames = 2; frames < 4; frames++) {
        struct machine m;
        uint64_t table;

        machine_open(&m, frames);
        assert_int_equal(sim_make_table(m.sim, 1000, 1, &m.why, &table), ASPACE_NO_MEMORY);
        machine_expect_frames(&m, 0, frames);
        sim_empty(m.sim, (struct range){1000, 1001});
        machine_expect_frames(&m, 0, 1);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

/* ---- taking out ---- */

/*  table   |      0      |      1      |      2      |
 *  area               AAA|AAAA (all) AA|AAA
 */
static struct area map_over_three_tables(struct machine *m)
{
    struct area area = machine_eager(SPAN2 - 3, SPAN2 + 6, RW);

    machine_open(m, 600);
    machine_map(m, area);
    machine_expect_frames(m, SPAN2 + 6, 6);
    return area;
}

static void cutting_part_of_a_table_leaves_the_rest_of_it(void **state)
{
    struct machine m;
    struct area area = map_over_three_tables(&m);

    (void)state;
    machine_unmap(&m, area, SPAN2 + 10, 100);
    machine_expect_frames(&m, SPAN2 + 6 - 100, 6);
    assert_int_not_equal(machine_entry(&m, SPAN2 + 9), 0);
    assert_int_equal(machine_entry(&m, SPAN2 + 10), 0);
    assert_int_equal(machine_entry(&m, SPAN2 + 109), 0);
    assert_int_not_equal(machine_entry(&m, SPAN2 + 110), 0);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void cutting_over_the_borders_of_tables_takes_exactly_the_range(void **state)
{
    struct machine m;
    unsigned level;
    struct area area = map_over_three_tables(&m);

    (void)state;
    machine_unmap(&m, area, SPAN2 - 1, SPAN2 + 2);
    machine_expect_frames(&m, 4, 5); /* the one in the middle is gone */
    assert_null(sim_leaf(m.sim, SPAN2, &level));
    assert_int_not_equal(machine_entry(&m, SPAN2 - 2), 0);
    assert_int_equal(machine_entry(&m, SPAN2 - 1), 0);
    assert_int_equal(machine_entry(&m, 2 * SPAN2), 0);
    assert_int_not_equal(machine_entry(&m, 2 * SPAN2 + 1), 0);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void cutting_a_whole_area_takes_all_tables_but_the_root(void **state)
{
    struct machine m;
    struct area area = map_over_three_tables(&m);

    (void)state;
    machine_unmap(&m, area, area.range.start, range_pages(area.range));
    machine_expect_frames(&m, 0, 1);
    assert_int_equal(frames_live(&m.sim->frames, m.sim->root), 0);
    machine_expect_sound(&m);
    machine_close(&m);
}

/* Each page by itself, out of order: a table goes with its last entry, however it becomes empty. */
static void a_table_goes_with_its_last_entry(void **state)
{
    struct machine m;
    struct area pages[7];

    (void)state;
    machine_open(&m, 64);
    for (unsigned i = 0; i < 7; i++) {
        pages[i] = machine_eager(SPAN4 - 3 + i, 1, RW); /* over a border of every level */
        machine_map(&m, pages[i]);
    }
    machine_expect_frames(&m, 7, 7);
    for (unsigned i = 0; i < 7; i++) {
        uint64_t left = 6 - i;

        machine_unmap(&m, pages[i * 3 % 7], pages[i * 3 % 7].range.start, 1);
        machine_expect_sound(&m);
        assert_int_equal(m.sim->frames.data, left);
    }
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

static void nothing_is_freed_before_the_commit(void **state)
{
    struct machine m;
    unsigned level;
    struct area area = map_over_three_tables(&m);
    struct machine_image *before = machine_photograph(&m);

    (void)state;
    assert_int_equal(sim_cut(m.sim, area.range, &m.why), ASPACE_OK);
    assert_null(sim_leaf(m.sim, area.range.start, &level));
    machine_expect_frames(&m, SPAN2 + 6, 6);
    m.backend->ops->rollback(m.backend);
    machine_expect_same(&m, before);
    machine_close(&m);
}

static void a_table_covered_whole_is_one_step_of_the_log(void **state)
{
    struct machine m;
    struct area area = machine_eager(SPAN2, SPAN2, RW);

    (void)state;
    machine_open(&m, 600);
    machine_map(&m, area);
    assert_int_equal(sim_cut(m.sim, (struct range){SPAN2, 2 * SPAN2}, &m.why), ASPACE_OK);
    assert_in_range(m.sim->logged, 1, 3); /* it and the two above it that became empty */
    m.backend->ops->rollback(m.backend);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void cutting_where_nothing_is_logs_nothing(void **state)
{
    struct machine m;

    (void)state;
    machine_open(&m, 16);
    assert_int_equal(sim_cut(m.sim, (struct range){0, UINT64_C(1) << 35}, &m.why), ASPACE_OK);
    assert_int_equal(m.sim->logged, 0);
    machine_close(&m);
}

static void flags_change_in_the_range_and_nowhere_else(void **state)
{
    struct machine m;
    struct area area = map_over_three_tables(&m);

    (void)state;
    sim_set_flags(m.sim, (struct range){SPAN2 - 1, 2 * SPAN2 + 1}, R);
    for (uint64_t page = area.range.start; page < area.range.end; page++) {
        bool inside = page >= SPAN2 - 1 && page < 2 * SPAN2 + 1;

        assert_int_equal(machine_entry(&m, page) & ~UINT64_C(0x000ffffffffff000),
                         inside ? UINT64_C(0x8000000000000005) : UINT64_C(0x8000000000000007));
    }
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_into_the_place_of_a_table_that_it_emptied_is_undone),
        cmocka_unit_test(a_leaf_is_found_only_where_its_table_was_made),
        cmocka_unit_test(a_leaf_table_is_made_once_and_shares_what_is_above_it),
        cmocka_unit_test(an_entry_above_a_leaf_allows_everything),
        cmocka_unit_test(tables_made_before_ram_was_used_up_go_away_when_emptied),
        cmocka_unit_test(cutting_part_of_a_table_leaves_the_rest_of_it),
        cmocka_unit_test(cutting_over_the_borders_of_tables_takes_exactly_the_range),
        cmocka_unit_test(cutting_a_whole_area_takes_all_tables_but_the_root),
        cmocka_unit_test(a_table_goes_with_its_last_entry),
        cmocka_unit_test(nothing_is_freed_before_the_commit),
        cmocka_unit_test(a_table_covered_whole_is_one_step_of_the_log),
        cmocka_unit_test(cutting_where_nothing_is_logs_nothing),
        cmocka_unit_test(flags_change_in_the_range_and_nowhere_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
