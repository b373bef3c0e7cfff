/* Large pages on every architecture: where they are taken, what breaks them, that breaking is undone. */
#include "machine_fixture.h"

#include <string.h>

static const char *const archs[] = {
#define X(name, text) text,
    ASPACE_ARCH_MAP(X)
#undef X
};
#define ARCHS (sizeof(archs) / sizeof(*archs))

#define FRAMES 2600 /* room for four pages of 2 MiB and their tables */

static struct area paged(struct area area, enum aspace_page page)
{
    area.attr.page = page & 3;
    return area;
}

static uint64_t page_size_at(struct machine *m, uint64_t page)
{
    return machine_walk(m, page_addr(page)).page_size / ASPACE_PAGE_SIZE;
}

static void refuse_edit(struct machine *m, struct edit edit)
{
    struct machine_image *before = machine_photograph(m);

    assert_int_equal(machine_try(m, &edit), ASPACE_NO_MEMORY);
    m->backend->ops->rollback(m->backend);
    machine_expect_same(m, before);
    machine_expect_sound(m);
}

/* Edits, looks that all went well, and undoes it. */
static void undo_edit(struct machine *m, struct edit edit)
{
    struct machine_image *before = machine_photograph(m);

    assert_int_equal(machine_try(m, &edit), ASPACE_OK);
    m->backend->ops->rollback(m->backend);
    machine_expect_same(m, before);
    machine_expect_sound(m);
}

static void do_edit(struct machine *m, struct edit edit)
{
    assert_int_equal(machine_try(m, &edit), ASPACE_OK);
    m->backend->ops->commit(m->backend);
    machine_follow(m, &edit);
    machine_expect_sound(m);
}

static struct edit edit_of(enum edit_kind kind, struct area area, uint64_t start, uint64_t end)
{
    area.range = (struct range){start, end};
    return (struct edit){.kind = kind, .area = area, .flags = R};
}

/*  2 MiB   |  small  |  large  |  small  |
 *  area         aaaaa|aaaaaaaaa|aa
 */
static void auto_takes_large_pages_where_they_fit_and_small_ones_at_the_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;

        machine_open_arch(&m, archs[i], FRAMES);
        machine_map(&m, paged(machine_eager(SPAN2 - 5, SPAN2 + 7, RW), ASPACE_PAGE_AUTO));
        machine_expect_sound(&m);
        machine_expect_frames(&m, SPAN2 + 7, m.sim->arch->levels - 1 + 2);
        assert_int_equal(page_size_at(&m, SPAN2 - 1), 1);
        assert_int_equal(page_size_at(&m, SPAN2), SPAN2);
        assert_int_equal(page_size_at(&m, 2 * SPAN2), 1);
        assert_int_equal(machine_walk(&m, page_addr(SPAN2) + 0x123456).count, m.sim->arch->levels - 1);
        machine_close(&m);
    }
}

static void a_linear_gigabyte_is_one_leaf_if_both_its_addresses_are_aligned(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;

        machine_open_arch(&m, archs[i], 64);
        machine_map(&m, paged(machine_linear(SPAN3, SPAN3, RW, 7 * SPAN3), ASPACE_PAGE_AUTO));
        assert_int_equal(page_size_at(&m, SPAN3 + 5), SPAN3);
        assert_int_equal(machine_walk(&m, page_addr(SPAN3) + 0x12345678).pa, page_addr(7 * SPAN3) + 0x12345678);
        /* aligned to 2 MiB only */
        machine_map(&m, paged(machine_linear(2 * SPAN3, SPAN2, RW, 3 * SPAN2), ASPACE_PAGE_AUTO));
        assert_int_equal(page_size_at(&m, 2 * SPAN3), SPAN2);
        machine_map(&m, paged(machine_linear(2 * SPAN3 + SPAN2, SPAN2, RW, 3 * SPAN2 + 1), ASPACE_PAGE_AUTO));
        assert_int_equal(page_size_at(&m, 2 * SPAN3 + SPAN2), 1);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void a_lazy_large_page_is_filled_whole_at_its_first_access(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;
        struct area area = paged(machine_lazy(SPAN2, 2 * SPAN2, RW), ASPACE_PAGE_2M);

        machine_open_arch(&m, archs[i], FRAMES);
        machine_map(&m, area);
        assert_int_equal(machine_access(&m, &area, page_addr(SPAN2 + 9), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER).outcome,
                         ASPACE_OUTCOME_FILLED);
        machine_expect_frames(&m, SPAN2, m.sim->arch->levels - 1);
        assert_int_equal(machine_access(&m, &area, page_addr(SPAN2 + 99), ASPACE_ACCESS_READ, ASPACE_MODE_USER).outcome,
                         ASPACE_OUTCOME_HIT);
        assert_int_equal(page_size_at(&m, SPAN2), SPAN2);
        assert_int_equal(page_size_at(&m, 2 * SPAN2), 1); /* nothing there yet */
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void a_lazy_large_page_is_small_where_ram_or_the_area_has_no_room(void **state)
{
    struct machine m;
    struct area area = paged(machine_lazy(SPAN2, 2 * SPAN2, RW), ASPACE_PAGE_2M);
    struct area half = paged(machine_lazy(8 * SPAN2, SPAN2 / 2, RW), ASPACE_PAGE_2M);

    (void)state;
    machine_open(&m, 300);
    machine_map(&m, area);
    machine_map(&m, half); /* what an unmap of the rest leaves */
    machine_access(&m, &area, page_addr(SPAN2 + 9), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    machine_access(&m, &half, page_addr(8 * SPAN2), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    machine_expect_frames(&m, 2, 5);
    assert_int_equal(page_size_at(&m, SPAN2 + 9), 1);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void an_eager_large_page_without_a_run_of_frames_is_refused_and_auto_takes_small_ones(void **state)
{
    struct machine m;
    struct area area = machine_eager(SPAN2, SPAN2, RW);

    (void)state;
    machine_open(&m, 516); /* root and two more tables: no aligned 512 are left */
    refuse_edit(&m, (struct edit){.kind = EDIT_MAP, .area = paged(area, ASPACE_PAGE_2M)});
    machine_map(&m, paged(area, ASPACE_PAGE_AUTO));
    assert_int_equal(page_size_at(&m, SPAN2), 1);
    machine_expect_frames(&m, SPAN2, 4);
    machine_expect_sound(&m);
    machine_close(&m);
}

/* Each edit of a part of a large page: undone, refused for want of a table, and done; contents stay. */
static void an_edit_of_a_part_breaks_a_large_page_and_keeps_the_rest_to_the_byte(void **state)
{
    static const enum edit_kind kinds[] = {EDIT_UNMAP, EDIT_PROTECT, EDIT_MOVE};

    (void)state;
    for (size_t i = 0; i < ARCHS; i++)
        for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
            struct machine m;
            struct area area = paged(machine_eager(SPAN2, 2 * SPAN2, RW), ASPACE_PAGE_2M);
            struct edit edit = edit_of(kinds[k], area, SPAN2 + 100, 2 * SPAN2 + 1);
            char bytes[9] = "";

            edit.to = 8 * SPAN2;
            machine_open_arch(&m, archs[i], FRAMES);
            machine_map(&m, area);
            machine_write(&m, &area, page_addr(SPAN2 + 99) + 7, "straight", 8);
            machine_access(&m, &area, page_addr(SPAN2 + 300), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
            assert_int_equal(page_size_at(&m, 2 * SPAN2), SPAN2);
            undo_edit(&m, edit);
            do_edit(&m, edit);
            assert_int_equal(page_size_at(&m, SPAN2 + 99), 1);
            assert_int_equal(page_size_at(&m, 3 * SPAN2 - 1), 1);
            area.range.end = SPAN2 + 100;
            machine_read(&m, &area, page_addr(SPAN2 + 99) + 7, bytes, 8);
            assert_string_equal(bytes, "straight");
            machine_close(&m);
        }
}

static void breaking_a_gigabyte_for_one_page_takes_two_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;
        struct area area = paged(machine_linear(SPAN3, SPAN3, RW, SPAN3), ASPACE_PAGE_1G);
        unsigned tables;

        machine_open_arch(&m, archs[i], 16);
        tables = m.sim->arch->levels - 2;
        machine_map(&m, area);
        machine_expect_frames(&m, 0, tables);
        undo_edit(&m, edit_of(EDIT_UNMAP, area, SPAN3 + 1000, SPAN3 + 1001));
        do_edit(&m, edit_of(EDIT_PROTECT, area, SPAN3 + 1000, SPAN3 + 1001));
        machine_expect_frames(&m, 0, tables + 2);
        assert_int_equal(page_size_at(&m, SPAN3 + 1000), 1);
        assert_int_equal(page_size_at(&m, SPAN3 + 1024), SPAN2);
        assert_int_equal(machine_walk(&m, page_addr(SPAN3 + 1000)).pa, page_addr(SPAN3 + 1000));
        machine_close(&m);
    }
}

static void a_large_page_that_cannot_be_broken_for_want_of_a_table_stays(void **state)
{
    struct machine m;
    struct area area = paged(machine_linear(SPAN3, SPAN3, RW, SPAN3), ASPACE_PAGE_1G);

    (void)state;
    machine_open(&m, 3);
    machine_map(&m, area);
    refuse_edit(&m, edit_of(EDIT_UNMAP, area, SPAN3 + 1000, SPAN3 + 1001));
    refuse_edit(&m, edit_of(EDIT_PROTECT, area, SPAN3 + 1000, SPAN3 + 1001));
    refuse_edit(&m, edit_of(EDIT_MOVE, area, SPAN3, SPAN3 + 1));
    assert_int_equal(page_size_at(&m, SPAN3), SPAN3);
    machine_close(&m);
}

static void a_large_page_moves_whole_to_where_it_is_aligned_and_in_pieces_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;
        struct area area = paged(machine_eager(SPAN2, SPAN2, RW), ASPACE_PAGE_2M);
        struct edit edit = {.kind = EDIT_MOVE, .area = area, .to = 5 * SPAN2};
        char bytes[8] = "";

        machine_open_arch(&m, archs[i], FRAMES);
        machine_map(&m, area);
        machine_write(&m, &area, page_addr(SPAN2 + 77), "content", 8);
        undo_edit(&m, edit);
        do_edit(&m, edit);
        assert_int_equal(page_size_at(&m, 5 * SPAN2), SPAN2);
        edit.area.range = (struct range){5 * SPAN2, 6 * SPAN2};
        edit.to = 8 * SPAN2 + 3;
        undo_edit(&m, edit);
        do_edit(&m, edit);
        assert_int_equal(page_size_at(&m, 8 * SPAN2 + 3), 1);
        area.range = (struct range){8 * SPAN2 + 3, 9 * SPAN2 + 3};
        machine_read(&m, &area, page_addr(8 * SPAN2 + 3 + 77), bytes, 8);
        assert_string_equal(bytes, "content");
        machine_close(&m);
    }
}

/* The dirty state outlives flags that do not let it be seen. */
static void protect_keeps_what_hardware_noted(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++)
        for (int written = 0; written < 2; written++) {
            struct machine m;
            struct area area = machine_eager(5, 2, RW);
            uint64_t entry;

            machine_open_arch(&m, archs[i], 64);
            machine_map(&m, area);
            machine_access(&m, &area, page_addr(5), written ? ASPACE_ACCESS_WRITE : ASPACE_ACCESS_READ,
                           ASPACE_MODE_USER);
            entry = machine_entry(&m, 5);
            undo_edit(&m, (struct edit){.kind = EDIT_PROTECT, .area = area, .flags = R});
            machine_protect(&m, &area, R);
            machine_expect_sound(&m);
            assert_int_not_equal(machine_entry(&m, 5), entry);
            undo_edit(&m, (struct edit){.kind = EDIT_PROTECT, .area = area, .flags = 0});
            machine_protect(&m, &area, 0);
            machine_expect_sound(&m);
            assert_false(machine_walk(&m, page_addr(5)).has_pa);
            machine_protect(&m, &area, RW);
            assert_int_equal(machine_entry(&m, 5), entry);
            machine_expect_sound(&m);
            machine_close(&m);
        }
}

/* What a page that nobody may touch keeps while it is not present, in one piece or broken. */
static void a_large_page_that_nobody_may_touch_keeps_its_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHS; i++) {
        struct machine m;
        struct area area = paged(machine_eager(SPAN2, SPAN2, RW), ASPACE_PAGE_2M);
        char bytes[5] = "";

        machine_open_arch(&m, archs[i], FRAMES);
        machine_map(&m, area);
        machine_write(&m, &area, page_addr(SPAN2 + 8), "kept", 5);
        machine_protect(&m, &area, 0);
        machine_expect_sound(&m);
        assert_int_equal(machine_access(&m, &area, page_addr(SPAN2), ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL).outcome,
                         ASPACE_OUTCOME_FAULT);
        undo_edit(&m, edit_of(EDIT_UNMAP, area, SPAN2 + 1, SPAN2 + 2));
        do_edit(&m, edit_of(EDIT_UNMAP, area, SPAN2 + 1, SPAN2 + 2));
        area.range.start = SPAN2 + 2;
        machine_read(&m, &area, page_addr(SPAN2 + 8), bytes, 5);
        assert_string_equal(bytes, "kept");
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_takes_large_pages_where_they_fit_and_small_ones_at_the_ends),
        cmocka_unit_test(a_linear_gigabyte_is_one_leaf_if_both_its_addresses_are_aligned),
        cmocka_unit_test(a_lazy_large_page_is_filled_whole_at_its_first_access),
        cmocka_unit_test(a_lazy_large_page_is_small_where_ram_or_the_area_has_no_room),
        cmocka_unit_test(an_eager_large_page_without_a_run_of_frames_is_refused_and_auto_takes_small_ones),
        cmocka_unit_test(an_edit_of_a_part_breaks_a_large_page_and_keeps_the_rest_to_the_byte),
        cmocka_unit_test(breaking_a_gigabyte_for_one_page_takes_two_tables),
        cmocka_unit_test(a_large_page_that_cannot_be_broken_for_want_of_a_table_stays),
        cmocka_unit_test(a_large_page_moves_whole_to_where_it_is_aligned_and_in_pieces_elsewhere),
        cmocka_unit_test(protect_keeps_what_hardware_noted),
        cmocka_unit_test(a_large_page_that_nobody_may_touch_keeps_its_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
