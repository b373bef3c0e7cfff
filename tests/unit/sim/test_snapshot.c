/* Snapshots: what they keep, what going back does, what it costs, and every frame and allocation that may fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/failing_alloc.h"
#include "core/space_diff.h"
#include "space_fixture.h"

#define MOST 10

static void snapshot(struct space *space, const char *name)
{
    assert_int_equal(space_snapshot(space, name, MOST, &why), ASPACE_OK);
}

static void restore(struct space *space, const char *name)
{
    assert_int_equal(space_restore(space, name, &why), ASPACE_OK);
}

static void drop(struct space *space, const char *name)
{
    assert_int_equal(space_drop(space, name, &why), ASPACE_OK);
}

static struct space *snapshot_of(struct space *space, const char *name)
{
    struct space *found;

    assert_int_equal(space_find_snapshot(space, name, &why, &found), ASPACE_OK);
    return found;
}

static const struct range everything = {0, PAGE_LIMIT};

/* Pages that differ. */
static uint64_t differ(struct space *space, struct space *other, bool bytes)
{
    struct space_diff diff;
    uint64_t pages;

    assert_int_equal(space_diff(space, other, everything, 1000, bytes, &why, &diff), ASPACE_OK);
    assert_int_equal(diff.next, PAGE_LIMIT);
    pages = diff.written.pages;
    space_diff_free(&diff);
    return pages;
}

static void protect(struct space *space, uint64_t start, uint64_t pages, uint16_t set, uint16_t clear)
{
    size_t changed;

    assert_int_equal(memory_set_protect(&space->set, (struct range){start, start + pages}, set, clear,
                                        ASPACE_HOLES_SKIP, &why, &changed),
                     ASPACE_OK);
}

static void unmap(struct space *space, uint64_t start, uint64_t pages)
{
    uint64_t gone;
    size_t removed;

    assert_int_equal(
        memory_set_unmap(&space->set, (struct range){start, start + pages}, ASPACE_HOLES_SKIP, &why, &gone, &removed),
        ASPACE_OK);
}

/* ---- what it is ---- */

static void going_back_brings_areas_flags_and_bytes_and_may_be_done_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 4000);
        struct area area;

        map(a, 0x1000, 700, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        put(a, 0x1000, 11);
        snapshot(a, "one");
        for (int again = 0; again < 3; again++) {
            put(a, 0x1000, 22);
            put(a, 0x1001, 33);
            unmap(a, 0x1010, 16);
            protect(a, 0x1100, 16, 0, ASPACE_WRITE);
            map(a, 0x9000, 5, RW, ASPACE_BACKING_LAZY, ASPACE_PAGE_4K);
            put(a, 0x9000, 44);
            expect_sound(a);
            restore(a, "one");
            expect_sound(a);
            assert_int_equal(a->set.map.count, 1);
            assert_true(area_map_find(&a->set.map, 0x1010, &area));
            assert_int_equal(area.attr.flags, RW);
            assert_int_equal(get(a, 0x1000), 11);
            assert_int_equal(get(a, 0x1001), 0);
            assert_false(area_map_find(&a->set.map, 0x9000, &area));
            assert_int_equal(differ(a, snapshot_of(a, "one"), false), 0);
        }
        space_destroy(a);
    }
}

static void a_snapshot_is_no_edit_and_going_back_is_one(void **state)
{
    struct space *a = make_space("x86_64", 400);
    uint64_t before;

    (void)state;
    map(a, 16, 10, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    before = a->set.generation;
    snapshot(a, "one");
    assert_int_equal(a->set.generation, before);
    assert_int_equal(snapshot_of(a, "one")->set.generation, before);
    put(a, 16, 1);
    restore(a, "one");
    assert_int_equal(a->set.generation, before + 1);
    assert_int_equal(snapshot_of(a, "one")->set.generation, before);
    drop(a, "one");
    assert_int_equal(a->set.generation, before + 1);
    space_destroy(a);
}

static void it_takes_tables_and_gives_them_back_and_pages_are_copied_as_they_are_written(void **state)
{
    struct space *a = make_space("x86_64", 4000);
    struct frame_counts before;

    (void)state;
    map(a, 0x1000, 700, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    before = counts(a);
    snapshot(a, "one");
    assert_int_equal(counts(a).in_ram, before.in_ram + before.tables);
    assert_int_equal(counts(a).data, before.data); /* the space's own figures are as they were */
    assert_int_equal(a->kept.data, 700);
    assert_int_equal(a->kept.tables, before.tables);
    assert_int_equal(touch(a, 0x1000, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_COPIED);
    assert_int_equal(counts(a).in_ram, before.in_ram + before.tables + 1);
    restore(a, "one");
    assert_int_equal(counts(a).in_ram, before.in_ram + before.tables);
    assert_int_equal(counts(a).shared, 700);
    drop(a, "one");
    assert_int_equal(counts(a).in_ram, before.in_ram);
    assert_int_equal(counts(a).shared, 0);
    assert_int_equal(a->kept.data + a->kept.tables, 0);
    expect_sound(a);
    space_destroy(a);
}

static void names_are_the_spaces_own_and_there_are_no_more_than_the_limit(void **state)
{
    struct space *a = make_space("x86_64", 400);
    struct space *b;

    (void)state;
    map(a, 16, 10, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    assert_int_equal(space_snapshot(a, "one", 2, &why), ASPACE_OK);
    assert_int_equal(space_snapshot(a, "one", 2, &why), ASPACE_ALREADY_EXISTS);
    assert_int_equal(space_snapshot(a, "two", 2, &why), ASPACE_OK);
    assert_int_equal(space_snapshot(a, "three", 2, &why), ASPACE_NO_MEMORY);
    assert_int_equal(space_restore(a, "three", &why), ASPACE_NOT_FOUND);
    assert_int_equal(space_drop(a, "three", &why), ASPACE_NOT_FOUND);
    b = clone_of(a);
    assert_int_equal(b->snapshot_count, 0);
    snapshot(b, "one");
    drop(a, "one");
    assert_string_equal(a->snapshots[0]->name, "two");
    put(b, 16, 5);
    restore(b, "one");
    assert_int_equal(get(b, 16), 0);
    expect_sound(a);
    expect_sound(b);
    space_destroy(a);
    expect_sound(b);
    space_destroy(b);
}

static void the_areas_of_all_snapshots_are_no_more_than_a_space_may_have(void **state)
{
    struct space *a = make_space("x86_64", 4000);

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        map(a, 16 + 2 * i, 1, RW, ASPACE_BACKING_LAZY, ASPACE_PAGE_4K);
    a->set.max_areas = 25;
    snapshot(a, "one");
    snapshot(a, "two");
    assert_int_equal(space_snapshot(a, "three", MOST, &why), ASPACE_NO_MEMORY);
    drop(a, "one");
    snapshot(a, "three");
    space_destroy(a);
}

static void tags_come_back_and_those_that_go_can_still_be_told(void **state)
{
    struct map_request request = {.attr = {.flags = RW}, .range = {100, 110}};
    struct watch watch = {.most = 100};
    struct space *a = make_space("x86_64", 400);
    struct area area;
    uint64_t at;
    size_t removed;

    (void)state;
    assert_int_equal(space_map(a, &request, "old", &why, &at, &area), ASPACE_OK);
    snapshot(a, "one");
    assert_int_equal(memory_set_clear(&a->set, &why, &removed), ASPACE_OK);
    for (int i = 0; i < 40; i++) { /* so many that the table of tags was swept */
        char tag[16];

        snprintf(tag, sizeof(tag), "new%d", i);
        request.overlap = ASPACE_OVERLAP_REPLACE;
        assert_int_equal(space_map(a, &request, tag, &why, &at, &area), ASPACE_OK);
    }
    a->backend->watch = &watch;
    restore(a, "one");
    a->backend->watch = NULL;
    assert_int_equal(watch.kept, 2);
    assert_int_equal(watch.notes[0].kind, ASPACE_EVENT_UNMAPPED);
    assert_int_equal(watch.notes[0].generation, a->set.generation);
    assert_string_equal(tags_text(&a->tags, watch.notes[0].before.attr.tag), "new39");
    assert_string_equal(tags_text(&a->tags, watch.notes[1].after.attr.tag), "old");
    assert_true(area_map_find(&a->set.map, 105, &area));
    assert_string_equal(tags_text(&a->tags, area.attr.tag), "old");
    expect_sound(a);
    watch_free(&watch);
    space_destroy(a);
}

static void large_pages_come_back_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 4096);
        uint64_t tables;
        unsigned level;

        map(a, 512, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
        put(a, 600, 7);
        tables = counts(a).tables;
        snapshot(a, "one");
        put(a, 601, 8);
        assert_int_equal(differ(a, snapshot_of(a, "one"), false), 1);
        unmap(a, 700, 1);
        restore(a, "one");
        assert_int_equal(counts(a).tables, tables);
        assert_non_null(sim_leaf(sim_of(a->backend), 700, &level));
        assert_int_equal(level, 2);
        assert_int_equal(get(a, 600), 7);
        assert_int_equal(get(a, 601), 0);
        expect_sound(a);
        space_destroy(a);
    }
}

static void a_full_ram_can_go_back(void **state)
{
    struct space *a = make_space("x86_64", 30);
    uint8_t byte = 1;

    (void)state;
    map(a, 16, 10, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K); /* 4 tables, 10 of data */
    put(a, 16, 3);
    snapshot(a, "one"); /* 4 tables */
    for (uint64_t page = 16; page < 26; page++)
        put(a, page, 9);
    map(a, 26, 2, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    assert_int_equal(counts(a).in_ram, 30);
    assert_int_equal(try_map(a, (struct range){28, 29}, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K), ASPACE_NO_MEMORY);
    restore(a, "one");
    assert_int_equal(counts(a).in_ram, 18);
    assert_int_equal(get(a, 16), 3);
    assert_int_equal(get(a, 17), 0);
    assert_int_equal(space_write(a, page_addr(16), &byte, 1, &why), ASPACE_OK);
    expect_sound(a);
    space_destroy(a);
}

/* With few tables of its own and all else in use, the many of the snapshot cannot be had again. */
static void going_back_without_room_for_the_tables_changes_nothing(void **state)
{
    struct space *a = make_space("x86_64", 60);
    uint64_t generation;

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        map(a, i * 512 * 512, 1, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K); /* two tables each */
    snapshot(a, "one");
    unmap(a, 0, 10 * 512 * 512);
    while (try_map(a, (struct range){a->set.map.pages, a->set.map.pages + 1}, RW, ASPACE_BACKING_EAGER,
                   ASPACE_PAGE_4K) == ASPACE_OK)
        ;
    put(a, 3, 77);
    generation = a->set.generation;
    assert_int_equal(space_restore(a, "one", &why), ASPACE_NO_MEMORY);
    assert_int_equal(a->set.generation, generation);
    assert_int_equal(get(a, 3), 77);
    expect_sound(a);
    unmap(a, 5, 1000);
    restore(a, "one");
    assert_int_equal(a->set.map.count, 10);
    expect_sound(a);
    space_destroy(a);
}

/* ---- differences ---- */

static void a_page_counts_as_written_though_its_bytes_are_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 400);
        struct space *one;

        map(a, 16, 10, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        map(a, 32, 10, RW, ASPACE_BACKING_LAZY, ASPACE_PAGE_4K);
        put(a, 16, 1);
        snapshot(a, "one");
        one = snapshot_of(a, "one");
        put(a, 16, 1);
        touch(a, 17, ASPACE_ACCESS_WRITE);
        touch(a, 18, ASPACE_ACCESS_READ);
        touch(a, 32, ASPACE_ACCESS_READ);  /* filled, with nothing in it */
        touch(a, 33, ASPACE_ACCESS_WRITE); /* filled and written to */
        put(a, 34, 0);
        assert_int_equal(differ(a, one, false), 4);
        assert_int_equal(differ(one, a, false), 4);
        assert_int_equal(differ(a, one, true), 0);
        put(a, 35, 9);
        assert_int_equal(differ(a, one, true), 1);
        assert_int_equal(differ(one, a, true), 1);
        space_destroy(a);
    }
}

static void spaces_that_are_no_family_are_compared_by_their_bytes(void **state)
{
    struct space *a = make_space("x86_64", 4000);
    struct space *b = make_space("x86_64", 2000);
    struct space *c = make_space("aarch64", 2000);
    struct space_diff diff;

    (void)state;
    map(a, 1024, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
    map(b, 1024, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    assert_int_equal(differ(a, b, false), 0);
    put(a, 1030, 1);
    put(b, 1031, 1);
    put(a, 1032, 1);
    put(b, 1032, 1);
    assert_int_equal(differ(a, b, false), 2);
    assert_int_equal(space_diff(a, c, everything, 10, false, &why, &diff), ASPACE_UNSUPPORTED);
    space_destroy(a);
    space_destroy(b);
    space_destroy(c);
}

static void pages_at_fixed_addresses_are_passed_over(void **state)
{
    struct map_request request = {
        .attr = {.flags = RW, .backing = ASPACE_BACKING_LINEAR}, .range = {64, 74}, .pa_page = SPACE_RAM_FIRST + 50};
    struct space *a = make_space("x86_64", 400);
    struct area area;
    uint64_t at;

    (void)state;
    map(a, 16, 20, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    assert_int_equal(space_map(a, &request, NULL, &why, &at, &area), ASPACE_OK);
    snapshot(a, "one");
    put(a, 64, 1);
    assert_int_equal(differ(a, snapshot_of(a, "one"), false), 0);
    assert_int_equal(differ(a, snapshot_of(a, "one"), true), 0);
    restore(a, "one");
    assert_int_equal(get(a, 64), 1);
    expect_sound(a);
    space_destroy(a);
}

static void a_limit_cuts_and_the_next_window_goes_on(void **state)
{
    struct space *a = make_space("x86_64", 4000);
    struct range window = everything;
    struct space_diff diff;
    uint64_t pages = 0;
    size_t runs = 0;
    size_t notes = 0;
    int windows = 0;

    (void)state;
    map(a, 1000, 1000, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    map(a, 3000, 100, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    snapshot(a, "one");
    for (uint64_t i = 0; i < 500; i++)
        put(a, 1000 + 2 * i, 1);
    for (uint64_t i = 0; i < 50; i++)
        protect(a, 3000 + 2 * i, 1, 0, ASPACE_WRITE);
    do {
        assert_int_equal(space_diff(a, snapshot_of(a, "one"), window, 7, false, &why, &diff), ASPACE_OK);
        assert_true(diff.count <= 7 && diff.written.count <= 7 && diff.next > window.start);
        pages += diff.written.pages;
        runs += diff.written.count;
        notes += diff.count;
        window.start = diff.next;
        space_diff_free(&diff);
        windows++;
    } while (window.start < window.end);
    assert_int_equal(pages, 500);
    assert_int_equal(runs, 500);
    assert_int_equal(notes, 50);
    assert_true(windows > 70 && windows < 85);
    space_destroy(a);
}

/* ---- failures ---- */

/* Snapshot and going back, each with the nth frame of the space failing. */
static void each_frame_that_is_not_had_leaves_all_as_it_was(void **state)
{
    unsigned refusals = 0;
    unsigned of_both = 0;

    (void)state;
    for (uint64_t nth = 1; of_both < 2; nth++) {
        struct inject_fault fault = {.op = ASPACE_INJECT_FRAME, .step = nth, .count = 1, .error = ASPACE_NO_MEMORY};
        struct space *a = make_space("x86_64", 9000);
        uint64_t used;
        uint64_t id;

        of_both = 0;
        map(a, 0x100, 1030, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        snapshot(a, "kept");
        put(a, 0x101, 5);
        used = counts(a).in_ram;
        assert_int_equal(space_inject(a, &fault, 10, &why, &id), ASPACE_OK);
        if (space_snapshot(a, "one", MOST, &why) == ASPACE_OK) {
            of_both++;
            drop(a, "one");
        } else {
            refusals++;
            assert_int_equal(why.code, ASPACE_NO_MEMORY);
        }
        assert_int_equal(a->snapshot_count, 1);
        assert_int_equal(counts(a).in_ram, used);
        space_uninject_all(a);
        assert_int_equal(space_inject(a, &fault, 10, &why, &id), ASPACE_OK);
        if (space_restore(a, "kept", &why) == ASPACE_OK) {
            of_both++;
            assert_int_equal(get(a, 0x101), 0);
        } else {
            refusals++;
            assert_int_equal(counts(a).in_ram, used);
            assert_int_equal(get(a, 0x101), 5);
        }
        space_uninject_all(a);
        expect_sound(a);
        space_destroy(a);
    }
    assert_int_equal(refusals, 2 * (3 + 3)); /* every table, both times */
}

static struct space *tagged_space(void)
{
    struct map_request request = {.attr = {.flags = RW, .backing = ASPACE_BACKING_EAGER}, .range = {100, 110}};
    struct space *a = make_space("x86_64", 300);
    struct area area;
    uint64_t at;

    assert_int_equal(space_map(a, &request, "tag", &why, &at, &area), ASPACE_OK);
    snapshot(a, "kept");
    put(a, 100, 3);
    unmap(a, 105, 1);
    return a;
}

static void each_allocation_that_fails_leaves_all_as_it_was(void **state)
{
    unsigned refusals = 0;
    unsigned of_all = 0;

    (void)state;
    for (unsigned nth = 1; of_all < 3; nth++) {
        struct space *a = tagged_space();
        struct frame_counts before = counts(a);
        struct space_diff diff;

        of_all = 0;
        failing_alloc_arm(nth);
        if (space_snapshot(a, "one", MOST, &why) == ASPACE_OK)
            of_all++;
        failing_alloc_disarm();
        if (of_all)
            drop(a, "one");
        assert_int_equal(counts(a).in_ram, before.in_ram);
        failing_alloc_arm(nth);
        if (space_diff(a, a->snapshots[0], everything, 10, false, &why, &diff) == ASPACE_OK) {
            of_all++;
            assert_int_equal(diff.count, 1);
            space_diff_free(&diff);
        }
        failing_alloc_arm(nth);
        if (space_restore(a, "kept", &why) == ASPACE_OK) {
            of_all++;
            failing_alloc_disarm();
            assert_int_equal(get(a, 100), 0);
            assert_int_equal(a->set.map.count, 1);
        } else {
            failing_alloc_disarm();
            assert_int_equal(why.code, ASPACE_NO_MEMORY);
            assert_int_equal(get(a, 100), 3);
            assert_int_equal(a->set.map.count, 2);
            assert_int_equal(counts(a).in_ram, before.in_ram);
        }
        expect_sound(a);
        refusals += 3 - of_all;
        space_destroy(a);
    }
    assert_true(refusals >= 8 + 2 + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(going_back_brings_areas_flags_and_bytes_and_may_be_done_again),
        cmocka_unit_test(a_snapshot_is_no_edit_and_going_back_is_one),
        cmocka_unit_test(it_takes_tables_and_gives_them_back_and_pages_are_copied_as_they_are_written),
        cmocka_unit_test(names_are_the_spaces_own_and_there_are_no_more_than_the_limit),
        cmocka_unit_test(the_areas_of_all_snapshots_are_no_more_than_a_space_may_have),
        cmocka_unit_test(tags_come_back_and_those_that_go_can_still_be_told),
        cmocka_unit_test(large_pages_come_back_whole),
        cmocka_unit_test(a_full_ram_can_go_back),
        cmocka_unit_test(going_back_without_room_for_the_tables_changes_nothing),
        cmocka_unit_test(a_page_counts_as_written_though_its_bytes_are_the_same),
        cmocka_unit_test(spaces_that_are_no_family_are_compared_by_their_bytes),
        cmocka_unit_test(pages_at_fixed_addresses_are_passed_over),
        cmocka_unit_test(a_limit_cuts_and_the_next_window_goes_on),
        cmocka_unit_test(each_frame_that_is_not_had_leaves_all_as_it_was),
        cmocka_unit_test(each_allocation_that_fails_leaves_all_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
