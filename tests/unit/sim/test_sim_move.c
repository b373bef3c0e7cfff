/* The machine's move: what goes along, what is given back at the old place, and a rollback that leaves every byte of the
 * tables as it was. How memory_set uses it is tested in tests/unit/core/test_move.c. */
#include "machine_fixture.h"

#define FRAMES 2048
#define BASE   (SPAN2 * 8) /* the first page of a leaf table */

static struct edit move_of(struct area area, uint64_t to)
{
    return (struct edit){.kind = EDIT_MOVE, .area = area, .to = to};
}

static struct area moved(struct area area, uint64_t to)
{
    uint64_t pages = range_pages(area.range);

    if (area.attr.backing == ASPACE_BACKING_LINEAR)
        area.attr.delta += area.range.start - to;
    area.range = (struct range){to, to + pages};
    return area;
}

/* Moves, first undone and then for good, and returns the area at its new place. */
static struct area move(struct machine *m, struct area area, uint64_t to)
{
    struct machine_image *before = machine_photograph(m);
    struct edit edit = move_of(area, to);

    assert_int_equal(machine_try(m, &edit), ASPACE_OK);
    m->backend->ops->rollback(m->backend);
    machine_expect_same(m, before);
    machine_expect_sound(m);
    assert_int_equal(machine_try(m, &edit), ASPACE_OK);
    m->backend->ops->commit(m->backend);
    machine_follow(m, &edit);
    machine_expect_sound(m);
    return moved(area, to);
}

/* Writes a byte of its own into every page of `area`, or expects them, `skip` pages apart. */
static void mark(struct machine *m, struct area area, uint64_t skip)
{
    for (uint64_t i = 0; i < range_pages(area.range); i += skip) {
        uint64_t value = 0xabc0000 + i;

        machine_write(m, &area, page_addr(area.range.start + i) + 8 * (i % 512), &value, sizeof(value));
    }
}

static void expect_marks(struct machine *m, struct area area, uint64_t skip)
{
    for (uint64_t i = 0; i < range_pages(area.range); i++) {
        uint64_t value = 1;

        machine_read(m, &area, page_addr(area.range.start + i) + 8 * (i % 512), &value, sizeof(value));
        assert_int_equal(value, i % skip ? 0 : 0xabc0000 + i);
    }
}

/* ---- what goes along ---- */

static void contents_and_frames_go_along_within_and_across_tables(void **state)
{
    static const struct {
        uint64_t start, pages, to;
    } cases[] = {
        {BASE, 4, BASE + 4},                         /* within one leaf table, edge to edge */
        {BASE + 8, 4, BASE + 4},                     /* and down */
        {BASE, 1, BASE + 511},                       /* from its first to its last entry */
        {BASE, 8, BASE + SPAN2 - 4},                 /* out over its end */
        {BASE + SPAN2 - 4, 8, BASE + 2 * SPAN2},     /* from across a border into one table */
        {BASE + SPAN2 - 4, 8, BASE + 2 * SPAN2 - 2}, /* across one border, over another, at another offset */
        {BASE, 600, BASE + 600},                     /* more than a table, edge to edge */
        {BASE + 3, 700, SPAN3 - 350},                /* to across a border of level 3 */
        {SPAN3 - 350, 700, 5},                       /* and from there to the lowest pages */
        {BASE, 3, SPAN4 - 1},                        /* across a border of the root */
        {SPAN4 * 255, 2, SPAN4 * 256 - 2},           /* to the top */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct area area = machine_eager(cases[i].start, cases[i].pages, RW);
        struct machine m;

        machine_open(&m, FRAMES);
        machine_map(&m, area);
        mark(&m, area, 1);
        area = move(&m, area, cases[i].to);
        expect_marks(&m, area, 1);
        for (uint64_t page = cases[i].start; page < cases[i].start + cases[i].pages; page++)
            if (!range_has_page(area.range, page))
                assert_int_equal(machine_entry(&m, page), 0);
        machine_close(&m);
    }
}

static void entries_are_the_same_word_for_word(void **state)
{
    struct area area = machine_lazy(BASE + 500, 20, RX);
    uint64_t entries[20];
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    for (uint64_t page = 0; page < 20; page += 3)
        machine_access(&m, &area, page_addr(area.range.start + page), ASPACE_ACCESS_READ, ASPACE_MODE_USER);
    for (uint64_t i = 0; i < 20; i++)
        entries[i] = machine_entry(&m, area.range.start + i);
    area = move(&m, area, SPAN3 + 505);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(machine_entry(&m, area.range.start + i), entries[i]);
    machine_close(&m);
}

static void accessed_and_dirty_bits_go_along(void **state)
{
    struct area area = machine_eager(BASE, 3, RW);
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    machine_access(&m, &area, page_addr(BASE + 1), ASPACE_ACCESS_READ, ASPACE_MODE_USER);
    machine_access(&m, &area, page_addr(BASE + 2), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    area = move(&m, area, BASE + SPAN3);
    assert_int_equal(machine_entry(&m, area.range.start) & 0x60, 0);
    assert_int_equal(machine_entry(&m, area.range.start + 1) & 0x60, 0x20);
    assert_int_equal(machine_entry(&m, area.range.start + 2) & 0x60, 0x60);
    machine_close(&m);
}

static void a_lazy_area_takes_along_the_pages_that_it_has(void **state)
{
    struct area area = machine_lazy(BASE + 100, 1000, RW);
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    mark(&m, area, 7);
    area = move(&m, area, SPAN4 + 300);
    machine_expect_frames(&m, 143, 1 + 2 + 3); /* entries 300 on of the first leaf table: three of them */
    expect_marks(&m, area, 7);
    machine_close(&m);
}

static void a_lazy_area_without_a_page_needs_no_table(void **state)
{
    struct area area = machine_lazy(BASE, 1000, RW);
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    move(&m, area, SPAN4);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

static void a_linear_area_leads_where_it_led(void **state)
{
    struct area area = machine_linear(BASE + 510, 5, RW, 0x123456);
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    area = move(&m, area, SPAN3 * 3 + 509);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(machine_walk(&m, page_addr(area.range.start + i) + 7).pa, page_addr(0x123456 + i) + 7);
    machine_expect_frames(&m, 0, 1 + 2 + 2);
    machine_close(&m);
}

/* ---- tables ---- */

static void tables_that_become_empty_are_given_back_at_the_old_place(void **state)
{
    struct area area = machine_eager(BASE, 2 * SPAN2, RW);
    struct area stays = machine_eager(BASE + 2 * SPAN2, 1, R);
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    machine_expect_frames(&m, 1024, 1 + 2 + 2);
    area = move(&m, area, SPAN4);
    machine_expect_frames(&m, 1024, 1 + 2 + 2); /* as many there as here */
    area = move(&m, area, SPAN4 + 2 * SPAN2 + 1);
    machine_expect_frames(&m, 1024, 1 + 2 + 3);
    area = move(&m, area, BASE);
    machine_map(&m, stays);
    machine_expect_frames(&m, 1025, 1 + 2 + 3);
    area = move(&m, area, SPAN4);
    machine_expect_frames(&m, 1025, 1 + 2 + 1 + 2 + 2); /* the upper ones at the old place still lead to what stays */
    machine_unmap(&m, stays, stays.range.start, 1);
    machine_unmap(&m, area, area.range.start, 2 * SPAN2);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

/* ---- RAM used up ---- */

/* Fills RAM up to `left` frames with an area far away; returns it. */
static struct area fill_up(struct machine *m, uint64_t left)
{
    uint64_t used = m->sim->frames.data + m->sim->frames.tables;
    uint64_t pages = m->sim->frames.total - used - 3 - left; /* three tables for it */
    struct area area = machine_eager(SPAN4 * 100, pages, R);

    machine_map(m, area);
    assert_int_equal(m->sim->frames.total - m->sim->frames.data - m->sim->frames.tables, left);
    return area;
}

/* Six tables are wanted for pages across a border of the root: with each smaller number nothing is changed. */
static void a_move_without_frames_for_its_tables_changes_nothing(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++)
        for (uint64_t left = 0; left <= 6; left++) {
            struct area area = kind == 0   ? machine_eager(BASE + 510, 5, RW)
                               : kind == 1 ? machine_lazy(BASE + 510, 5, RW)
                                           : machine_linear(BASE + 510, 5, RW, 0x777);
            struct machine_image *before;
            struct edit edit;
            struct machine m;

            machine_open(&m, 300);
            machine_map(&m, area);
            if (kind == 1)
                mark(&m, area, 1);
            fill_up(&m, left);
            before = machine_photograph(&m);
            edit = move_of(area, 3 * SPAN4 - 2);
            if (left < 6) {
                assert_int_equal(machine_try(&m, &edit), ASPACE_NO_MEMORY);
                assert_int_equal(m.why.code, ASPACE_NO_MEMORY);
                m.backend->ops->rollback(m.backend);
                machine_expect_same(&m, before);
                machine_expect_sound(&m);
            } else {
                machine_forget_image(before);
                area = move(&m, area, edit.to);
            }
            machine_close(&m);
        }
}

/* ---- several in one transaction ---- */

static void undo(struct machine *m, const struct edit *edits, size_t count, struct machine_image *before)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(machine_try(m, &edits[i]), ASPACE_OK);
    m->backend->ops->rollback(m->backend);
    machine_expect_same(m, before);
    machine_expect_sound(m);
}

/* After any number of them everything is taken back to the byte; then all of them are committed. */
static void several_edits_are_undone_or_done_as_one(void **state)
{
    struct area a = machine_eager(BASE, 6, RW);
    struct area b = machine_lazy(BASE + 6, 600, RX);
    struct area c = machine_linear(SPAN3 - 2, 4, R, 0x4000);
    struct area fresh = machine_eager(BASE, 3, RW);
    struct area protected = moved(a, SPAN3 * 2 - 3);
    struct edit edits[] = {
        move_of(a, SPAN3 * 2 - 3),
        {.kind = EDIT_PROTECT, .area = moved(a, SPAN3 * 2 - 3), .flags = R},
        {.kind = EDIT_MAP, .area = fresh}, /* where the first one was */
        move_of(b, SPAN4 - 300),
        {.kind = EDIT_UNMAP, .area = c},
        move_of(fresh, SPAN3 - 2), /* where the linear one was */
        {.kind = EDIT_MAP, .area = machine_eager(BASE, 2, RW)},
        {.kind = EDIT_UNMAP, .area = moved(b, SPAN4 - 300)},
        {.kind = EDIT_MOVE}, /* below: back to where it came from, and beyond */
        {.kind = EDIT_TOUCH, .area = moved(fresh, SPAN3 - 2)},
    };
    size_t count = sizeof(edits) / sizeof(*edits);
    struct machine m;

    (void)state;
    protected.attr.flags = R;
    edits[8] = move_of(protected, BASE + 2);
    machine_open(&m, FRAMES);
    machine_map(&m, a);
    machine_map(&m, b);
    machine_map(&m, c);
    mark(&m, a, 1);
    mark(&m, b, 5);
    for (size_t i = 0; i <= count; i++)
        undo(&m, edits, i, machine_photograph(&m));
    expect_marks(&m, a, 1);
    expect_marks(&m, b, 5);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(machine_try(&m, &edits[i]), ASPACE_OK);
    m.backend->ops->commit(m.backend);
    for (size_t i = 0; i < count; i++)
        machine_follow(&m, &edits[i]);
    machine_expect_sound(&m);
    machine_expect_frames(&m, 6 + 3 + 2, 1 + 1 + 2 + 1 + 2); /* root; level 3; level 2 of 0 and 1; three leaves */
    expect_marks(&m, moved(protected, BASE + 2), 1);
    machine_close(&m);
}

static void a_chain_of_moves_is_undone_link_by_link(void **state)
{
    struct area area = machine_eager(BASE + 1, 513, RW);
    static const uint64_t places[] = {SPAN3 - 100, SPAN4 - 1, BASE + 600, BASE + 5, SPAN3 - 100, BASE + 1 + SPAN2 * 4};
    struct edit edits[sizeof(places) / sizeof(*places)];
    struct machine m;

    (void)state;
    machine_open(&m, FRAMES);
    machine_map(&m, area);
    mark(&m, area, 1);
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        edits[i] = move_of(i ? moved(area, places[i - 1]) : area, places[i]);
    for (size_t i = 0; i <= sizeof(places) / sizeof(*places); i++)
        undo(&m, edits, i, machine_photograph(&m));
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        area = move(&m, area, places[i]);
    expect_marks(&m, area, 1);
    machine_expect_frames(&m, 513, 1 + 2 + 2);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_and_frames_go_along_within_and_across_tables),
        cmocka_unit_test(entries_are_the_same_word_for_word),
        cmocka_unit_test(accessed_and_dirty_bits_go_along),
        cmocka_unit_test(a_lazy_area_takes_along_the_pages_that_it_has),
        cmocka_unit_test(a_lazy_area_without_a_page_needs_no_table),
        cmocka_unit_test(a_linear_area_leads_where_it_led),
        cmocka_unit_test(tables_that_become_empty_are_given_back_at_the_old_place),
        cmocka_unit_test(a_move_without_frames_for_its_tables_changes_nothing),
        cmocka_unit_test(several_edits_are_undone_or_done_as_one),
        cmocka_unit_test(a_chain_of_moves_is_undone_link_by_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
