/* Each kind of damage, planted in a sound machine, is told by the check with the address that it concerns. Undone, the
 * machine is sound again: what the check tells is what was planted. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "machine_fixture.h"

#define EAGER  UINT64_C(0x200)     /* 4 pages */
#define LAZY   UINT64_C(0x40000)   /* 4 pages, the first one filled */
#define LINEAR UINT64_C(0x8000000) /* 2 pages, to frame 0x30 */

#define FRAME_MASK UINT64_C(0x000ffffffffff000)

/* A machine with an area of each backing, and a frame in the list of those given back. */
static void open_sound(struct machine *m)
{
    struct area gone = machine_eager(0x100, 1, RW);
    struct area lazy = machine_lazy(LAZY, 4, RW);

    machine_open(m, 64);
    machine_map(m, gone);
    machine_map(m, machine_eager(EAGER, 4, RW));
    machine_map(m, lazy);
    machine_write(m, &lazy, page_addr(LAZY), "x", 1);
    machine_map(m, machine_linear(LINEAR, 2, RW, 0x30));
    machine_unmap(m, gone, 0x100, 1);
    machine_expect_sound(m);
}

static void close_sound(struct machine *m)
{
    machine_expect_sound(m);
    machine_close(m);
}

/* The table of `level` that the walk to `page` passes. */
static uint64_t table_of(struct machine *m, uint64_t page, unsigned level)
{
    struct walk walk = machine_walk(m, page_addr(page));

    return page_of(machine_walk_level(m, page_addr(page), &walk, m->sim->arch->levels - level).table);
}

/* The entry itself in the table of `level` for `page`. */
static uint64_t *entry_at(struct machine *m, uint64_t page, unsigned level)
{
    return &sim_table(m->sim, table_of(m, page, level))[arch_index(page, level)];
}

/* Gives *word another value, expects the problem, and puts the old one back. */
static void plant(struct machine *m, uint64_t *word, uint64_t value, const char *part)
{
    uint64_t old = *word;

    assert_int_not_equal(old, value);
    *word = value;
    machine_expect_problem(m, part);
    *word = old;
    machine_expect_sound(m);
}

static void a_sound_machine_has_no_problems(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    assert_int_equal(m.problems, 0);
    close_sound(&m);
}

static void each_wrong_bit_of_a_leaf_is_told(void **state)
{
    static const unsigned bits[] = {0, 1, 2, 3, 4, 7, 8, 10, 11, 52, 58, 62, 63};
    struct machine m;

    (void)state;
    open_sound(&m);
    for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++) {
        uint64_t *entry = entry_at(&m, EAGER + 2, 1);

        plant(&m, entry, *entry ^ UINT64_C(1) << bits[i], "the entry for 0x202000");
    }
    close_sound(&m);
}

static void accessed_and_dirty_bits_are_no_problem(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    *entry_at(&m, EAGER, 1) |= 0x60;
    *entry_at(&m, EAGER, 3) |= 0x20;
    close_sound(&m);
}

static void an_entry_where_no_area_lies_is_told(void **state)
{
    struct machine m;
    struct area eager = machine_eager(EAGER, 4, RW);

    (void)state;
    open_sound(&m);
    machine_forget(&m, (struct range){EAGER, EAGER + 4});
    machine_expect_problem(&m, "0x203000, where no area lies");
    machine_note(&m, &eager);
    close_sound(&m);
}

static void a_missing_entry_of_an_area_that_is_not_lazy_is_told(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    plant(&m, entry_at(&m, EAGER + 1, 1), 0, "no entry for 0x201000");
    plant(&m, entry_at(&m, LINEAR + 1, 1), 0, "no entry for 0x8000001000");
    plant(&m, entry_at(&m, EAGER, 2), 0, "no entry for 0x200000"); /* with its whole table */
    close_sound(&m);
}

static void a_missing_entry_of_a_lazy_area_is_a_leaked_frame_and_a_wrong_count_alone(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    machine_write(&m, &(struct area){{LAZY, LAZY + 4}, {.flags = RW}}, page_addr(LAZY + 1), "y", 1);
    *entry_at(&m, LAZY + 1, 1) = 0;
    machine_expect_problem(&m, "is marked as in use, and nothing leads to it");
    machine_expect_problem(&m, "is said to have 2 entries and has 1");
    machine_check(&m);
    for (unsigned i = 0; i < m.problems; i++)
        assert_null(strstr(m.told[i], "no entry for"));
    machine_close(&m);
}

static void a_linear_entry_that_leads_elsewhere_is_told(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    plant(&m, entry_at(&m, LINEAR + 1, 1), UINT64_C(0x8000000000030207),
          "the entry for 0x8000001000 leads to 0x30000 and not to the fixed 0x31000");
    close_sound(&m);
}

static void a_wrong_mark_of_a_fixed_address_is_told(void **state)
{
    struct machine m;
    uint64_t *eager;
    uint64_t *linear;

    (void)state;
    open_sound(&m);
    eager = entry_at(&m, EAGER, 1);
    linear = entry_at(&m, LINEAR, 1);
    plant(&m, eager, *eager | 0x200, "the entry for 0x200000 is marked as a fixed address");
    plant(&m, linear, *linear & ~UINT64_C(0x200), "the entry for 0x8000000000 is not marked as a fixed address");
    close_sound(&m);
}

static void a_frame_in_use_twice_is_told(void **state)
{
    struct machine m;
    uint64_t *first;
    uint64_t *second;

    (void)state;
    open_sound(&m);
    first = entry_at(&m, EAGER, 1);
    second = entry_at(&m, EAGER + 3, 1);
    plant(&m, second, *first, "in use twice, again for 0x203000");
    second = entry_at(&m, LAZY, 1);
    plant(&m, second, *first, "in use twice, again for 0x40000000");
    close_sound(&m);
}

static void a_table_that_is_data_as_well_is_told(void **state)
{
    struct machine m;
    uint64_t *entry;

    (void)state;
    open_sound(&m);
    entry = entry_at(&m, EAGER + 1, 1);
    plant(&m, entry, *entry & ~FRAME_MASK, "frame 0x0, in use for 0x201000, is not marked as data"); /* the root */
    close_sound(&m);
}

static void a_table_that_leads_back_to_the_root_is_told_and_not_followed(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    plant(&m, entry_at(&m, EAGER, 3), 0x007, "frame 0x0 is in use twice");
    close_sound(&m);
}

/* ---- what is known of frames ---- */

static void a_wrong_kind_of_frame_is_told(void **state)
{
    struct machine m;
    uint8_t *data;
    uint8_t *table;

    (void)state;
    open_sound(&m);
    data = &m.sim->frames.state[page_of(machine_entry(&m, EAGER) & FRAME_MASK)];
    table = &m.sim->frames.state[table_of(&m, EAGER, 1)];
    *data = FRAME_TABLE;
    machine_expect_problem(&m, "in use for 0x200000, is not marked as data");
    *data = FRAME_FREE;
    machine_expect_problem(&m, "in use for 0x200000, is not marked as data");
    *data = FRAME_DATA;
    *table = FRAME_DATA;
    machine_expect_problem(&m, "in use for 0x200000, is not marked as a page table");
    *table = FRAME_TABLE;
    close_sound(&m);
}

static void a_leaked_frame_is_told(void **state)
{
    struct machine m;
    char text[80];
    uint64_t frame;

    (void)state;
    open_sound(&m);
    assert_true(frames_take(&m.sim->frames, FRAME_DATA, &frame));
    snprintf(text, sizeof(text), "frame 0x%" PRIx64 " is marked as in use, and nothing leads to it", page_addr(frame));
    machine_expect_problem(&m, text);
    frames_give(&m.sim->frames, frame);
    close_sound(&m);
}

static void wrong_counts_of_frames_are_told(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    plant(&m, &m.sim->frames.data, 99, "99 frames are said to hold data");
    plant(&m, &m.sim->frames.tables, 98, "98 frames are said to be page tables");
    plant(&m, &m.sim->frames.ram->used, 97, "97 are said to be in use");
    plant(&m, &m.sim->frames.ram->shared, 96, "96 frames are said to be shared");
    plant(&m, &m.sim->frames.wrong_gives, 3, "were given back 3 times");
    close_sound(&m);
}

static void a_frame_in_use_that_is_among_the_free_ones_is_told(void **state)
{
    struct machine m;
    uint32_t *hot;
    uint32_t was;

    (void)state;
    open_sound(&m);
    assert_true(m.sim->frames.ram->hot_count >= 2);
    hot = m.sim->frames.ram->hot;
    was = hot[0];
    hot[0] = (uint32_t)page_of(machine_entry(&m, EAGER) & FRAME_MASK);
    machine_expect_problem(&m, "is among the free ones, and is in use");
    hot[0] = UINT32_MAX;
    machine_expect_problem(&m, "is among the free ones, and there is no such frame");
    hot[0] = hot[1];
    machine_expect_problem(&m, "or there twice");
    machine_expect_problem(&m, "is marked as free, and is not among the free ones");
    hot[0] = was;
    close_sound(&m);
}

static void a_wrong_number_of_owners_is_told(void **state)
{
    struct machine m;
    uint64_t data;

    (void)state;
    open_sound(&m);
    data = page_of(machine_entry(&m, EAGER) & FRAME_MASK);
    m.sim->frames.state[data] |= FRAME_SHARED;
    m.sim->frames.note[data] = 2;
    machine_expect_problem(&m, "is said to belong to 3 spaces, and 1 lead to it");
    m.sim->frames.state[data] &= (uint8_t)~FRAME_SHARED;
    close_sound(&m);
}

static void a_wrong_live_count_is_told(void **state)
{
    struct machine m;
    uint64_t table;

    (void)state;
    open_sound(&m);
    table = table_of(&m, EAGER, 1);
    m.sim->frames.note[table] = 5;
    machine_expect_problem(&m, "is said to have 5 entries and has 4");
    m.sim->frames.note[table] = 4;
    m.sim->frames.note[m.sim->root] = 1;
    machine_expect_problem(&m, "the table at 0x0 is said to have 1 entries and has 2");
    m.sim->frames.note[m.sim->root] = 2;
    close_sound(&m);
}

static void an_empty_table_that_was_left_is_told(void **state)
{
    struct machine m;
    uint64_t *entry;
    uint64_t old;
    uint64_t table;
    char text[80];

    (void)state;
    open_sound(&m);
    table = table_of(&m, LAZY, 1);
    entry = entry_at(&m, LAZY, 1); /* its only one */
    old = *entry;
    *entry = 0;
    m.sim->frames.note[table] = 0;
    snprintf(text, sizeof(text), "the table at 0x%" PRIx64 " is empty and still there", page_addr(table));
    machine_expect_problem(&m, text);
    *entry = old;
    m.sim->frames.note[table] = 1;
    close_sound(&m);
}

static void an_entry_to_a_frame_that_was_never_handed_out_is_told(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    plant(&m, entry_at(&m, EAGER, 1), UINT64_C(0x800000000003f007),
          "the entry for 0x200000 leads to frame 0x3f000, which was never handed out");
    plant(&m, entry_at(&m, EAGER, 1), UINT64_C(0x800ffffffffff007), "which was never handed out"); /* outside RAM */
    plant(&m, entry_at(&m, EAGER, 2), 0x3f007, "leads to frame 0x3f000, which was never handed out");
    close_sound(&m);
}

static void a_table_entry_that_leads_to_no_table_is_told(void **state)
{
    struct machine m;
    uint64_t *entry;

    (void)state;
    open_sound(&m);
    plant(&m, entry_at(&m, EAGER, 2), 0x40007, "the level 2 entry for 0x200000"); /* frame 64 of 64 */
    plant(&m, entry_at(&m, LINEAR, 3), UINT64_C(0x000ffffffffff007), "the level 3 entry for 0x8000000000");
    plant(&m, entry_at(&m, LINEAR, 4), 0x40007, "the level 4 entry for 0x8000000000");
    entry = entry_at(&m, EAGER, 2);
    plant(&m, entry, *entry & ~UINT64_C(2), "the level 2 entry for 0x200000"); /* not writable */
    plant(&m, entry, *entry | UINT64_C(1) << 63, "the level 2 entry for 0x200000");
    /* not present and not 0, and with PS: large leaves, which the area has not */
    plant(&m, entry, *entry & ~UINT64_C(1), "the entry for 0x200000 is ");
    plant(&m, entry, *entry | 0x80, "the level 2 leaf for 0x200000 leads to ");
    /* level 4 has no leaves */
    entry = entry_at(&m, EAGER, 4);
    plant(&m, entry, *entry | 0x80, "the level 4 entry for 0x0");
    close_sound(&m);
}

/* ---- damage met by an edit ---- */

static void a_frame_given_back_twice_is_counted_and_harms_nothing(void **state)
{
    struct machine m;
    uint64_t free;

    (void)state;
    open_sound(&m);
    free = frames_free(&m.sim->frames);
    frames_give(&m.sim->frames, m.sim->frames.ram->hot[0]);
    frames_give(&m.sim->frames, m.sim->frames.total); /* and one that there is not */
    assert_int_equal(frames_free(&m.sim->frames), free);
    machine_expect_problem(&m, "were given back 2 times");
    m.sim->frames.wrong_gives = 0;
    close_sound(&m);
}

static void a_frame_given_back_while_it_is_mapped_is_told(void **state)
{
    struct machine m;

    (void)state;
    open_sound(&m);
    frames_give(&m.sim->frames, page_of(machine_entry(&m, EAGER) & FRAME_MASK));
    machine_expect_problem(&m, "in use for 0x200000, is not marked as data");
    machine_expect_problem(&m, "is among the free ones, and is in use or there twice");
    machine_close(&m);
}

static void a_walk_and_a_read_do_not_follow_an_entry_out_of_ram(void **state)
{
    struct machine m;
    struct area eager = machine_eager(EAGER, 4, RW);
    struct walk walk;
    char byte;

    (void)state;
    open_sound(&m);
    *entry_at(&m, EAGER, 1) = UINT64_C(0x800ffffffffff007);
    assert_int_equal(m.backend->ops->read(m.backend, &eager, page_addr(EAGER), &byte, 1, &m.why), ASPACE_BAD_STATE);
    *entry_at(&m, EAGER, 2) = UINT64_C(0x000ffffffffff007);
    walk = machine_walk(&m, page_addr(EAGER));
    assert_int_equal(walk.count, 3);
    assert_false(machine_walk_level(&m, page_addr(EAGER), &walk, 2).present);
    assert_false(walk.has_pa);
    machine_close(&m);
}

/* Under ASan and past the end of RAM a step outside would be a crash. */
static void unmapping_damaged_tables_takes_no_step_outside_ram(void **state)
{
    struct machine m;
    struct area all = machine_eager(0, UINT64_C(1) << 35, RW);

    (void)state;
    open_sound(&m);
    *entry_at(&m, EAGER, 1) = UINT64_C(0x800ffffffffff007);
    *entry_at(&m, LAZY, 2) = UINT64_C(0x000ffffffffff007);
    *entry_at(&m, LINEAR, 3) = UINT64_C(0x0000000000001087); /* PS */
    assert_int_equal(m.backend->ops->unmap(m.backend, &all, &m.why), ASPACE_OK);
    m.backend->ops->commit(m.backend);
    assert_int_equal(m.sim->frames.wrong_gives,
                     2); /* the leaves, small and large; what hung below is leaked and told */
    machine_expect_problem(&m, "is marked as in use, and nothing leads to it");
    machine_close(&m);
}

/* ---- telling ---- */

static void problems_in_the_upper_half_are_told_by_their_canonical_address(void **state)
{
    const struct range upper = {PAGE_LIMIT - (UINT64_C(1) << 35), PAGE_LIMIT};
    struct machine m = {0};
    unsigned level;

    (void)state;
    assert_int_equal(sim_create("x86_64", 64 * ASPACE_PAGE_SIZE, upper, &m.why, &m.backend), ASPACE_OK);
    m.sim = sim_of(m.backend);
    area_map_init(&m.map, upper);
    machine_map(&m, machine_eager(PAGE_LIMIT - 2, 2, RW));
    machine_expect_sound(&m);
    plant(&m, sim_leaf(m.sim, PAGE_LIMIT - 1, &level), 0, "no entry for 0xfffffffffffff000");
    machine_forget(&m, upper);
    machine_expect_problem(&m, "an entry for 0xffffffffffffe000, where no area lies");
    machine_close(&m);
}

static void more_than_a_hundred_problems_are_cut_short_and_the_last_one_says_so(void **state)
{
    struct machine m;

    (void)state;
    machine_open(&m, 600);
    machine_map(&m, machine_eager(0, 500, RW));
    sim_set_flags(m.sim, (struct range){0, 500}, R);
    machine_check(&m);
    assert_int_equal(m.problems, 100);
    assert_non_null(strstr(m.told[98], "the entry for 0x62000"));
    assert_non_null(strstr(m.told[99], "only the first 99"));
    machine_close(&m);
}

static void a_check_changes_nothing(void **state)
{
    struct machine m;
    struct machine_image *before;

    (void)state;
    open_sound(&m);
    before = machine_photograph(&m);
    machine_check(&m);
    machine_expect_same(&m, before);
    close_sound(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_machine_has_no_problems),
        cmocka_unit_test(each_wrong_bit_of_a_leaf_is_told),
        cmocka_unit_test(accessed_and_dirty_bits_are_no_problem),
        cmocka_unit_test(an_entry_where_no_area_lies_is_told),
        cmocka_unit_test(a_missing_entry_of_an_area_that_is_not_lazy_is_told),
        cmocka_unit_test(a_missing_entry_of_a_lazy_area_is_a_leaked_frame_and_a_wrong_count_alone),
        cmocka_unit_test(a_linear_entry_that_leads_elsewhere_is_told),
        cmocka_unit_test(a_wrong_mark_of_a_fixed_address_is_told),
        cmocka_unit_test(a_frame_in_use_twice_is_told),
        cmocka_unit_test(a_table_that_is_data_as_well_is_told),
        cmocka_unit_test(a_table_that_leads_back_to_the_root_is_told_and_not_followed),
        cmocka_unit_test(a_wrong_kind_of_frame_is_told),
        cmocka_unit_test(a_leaked_frame_is_told),
        cmocka_unit_test(wrong_counts_of_frames_are_told),
        cmocka_unit_test(a_frame_in_use_that_is_among_the_free_ones_is_told),
        cmocka_unit_test(a_wrong_number_of_owners_is_told),
        cmocka_unit_test(a_wrong_live_count_is_told),
        cmocka_unit_test(an_empty_table_that_was_left_is_told),
        cmocka_unit_test(an_entry_to_a_frame_that_was_never_handed_out_is_told),
        cmocka_unit_test(a_table_entry_that_leads_to_no_table_is_told),
        cmocka_unit_test(a_frame_given_back_twice_is_counted_and_harms_nothing),
        cmocka_unit_test(a_frame_given_back_while_it_is_mapped_is_told),
        cmocka_unit_test(a_walk_and_a_read_do_not_follow_an_entry_out_of_ram),
        cmocka_unit_test(unmapping_damaged_tables_takes_no_step_outside_ram),
        cmocka_unit_test(problems_in_the_upper_half_are_told_by_their_canonical_address),
        cmocka_unit_test(more_than_a_hundred_problems_are_cut_short_and_the_last_one_says_so),
        cmocka_unit_test(a_check_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
