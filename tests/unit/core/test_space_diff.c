/* Two maps as the events between them: a mirror of the one that takes every event in turn is the other, areas' ends and all. */
#include "core/space_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "set_fixture.h"

#define PAGES 64
#define BASE  UINT64_C(16)

/* Pages, and where areas begin. */
struct mirror {
    bool mapped[PAGES + 1];
    bool starts[PAGES + 1];
    struct area_attr attr[PAGES + 1];
};

static struct tags tags;
static unsigned seed;

static void mirror_of(const struct area_map *map, struct mirror *ret)
{
    struct area_cursor cursor;
    struct area area;

    memset(ret, 0, sizeof(*ret));
    area_map_seek(map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        ret->starts[area.range.start - BASE] = true;
        for (uint64_t page = area.range.start; page < area.range.end; page++) {
            ret->mapped[page - BASE] = true;
            ret->attr[page - BASE] = area.attr;
        }
    }
}

/* The mirror has exactly that area. */
static void expect_area(const struct mirror *m, const struct area *area)
{
    uint64_t end = area->range.end - BASE;

    assert_true(m->starts[area->range.start - BASE]);
    for (uint64_t i = area->range.start - BASE; i < end; i++) {
        assert_true(m->mapped[i] && area_attr_equal(&m->attr[i], &area->attr));
        assert_true(i == area->range.start - BASE || !m->starts[i]);
    }
    assert_true(!m->mapped[end] || m->starts[end]);
}

/* A piece of areas, cut out of them. */
static void put(struct mirror *m, const struct area *area, bool mapped)
{
    for (uint64_t i = area->range.start - BASE; i < area->range.end - BASE; i++) {
        m->mapped[i] = mapped;
        m->starts[i] = false;
        m->attr[i] = area->attr;
    }
    m->starts[area->range.start - BASE] = mapped;
    m->starts[area->range.end - BASE] = m->mapped[area->range.end - BASE];
}

static void take(struct mirror *m, const struct note *note)
{
    if (note->kind == ASPACE_EVENT_SPLIT) {
        expect_area(m, &note->before);
        m->starts[note->after.range.end - BASE] = true;
        expect_area(m, &note->after);
        return;
    }
    if (note->kind == ASPACE_EVENT_MERGED) {
        expect_area(m, &note->before);
        m->starts[note->before.range.start - BASE] = false;
        expect_area(m, &note->after);
        return;
    }
    for (uint64_t i = 0; note->has_before && i < range_pages(note->before.range); i++) {
        assert_true(m->mapped[note->before.range.start - BASE + i]);
        assert_true(area_attr_equal(&m->attr[note->before.range.start - BASE + i], &note->before.attr));
    }
    if (note->has_before)
        put(m, &note->before, false);
    if (note->has_after)
        put(m, &note->after, true);
}

static void expect_mirror(const struct mirror *a, const struct mirror *b)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(a->mapped[i], b->mapped[i]);
        if (!a->mapped[i])
            continue;
        assert_int_equal(a->starts[i], b->starts[i]);
        assert_true(area_attr_equal(&a->attr[i], &b->attr[i]));
    }
}

/* How many events; each window of the whole begins where the last one ended. */
static size_t follow(const struct area_map *before, const struct area_map *after, const uint64_t *cuts, size_t count)
{
    struct note notes[PIECE_NOTES];
    struct pieces pieces;
    struct piece piece;
    struct mirror m;
    struct mirror want;
    size_t told = 0;

    mirror_of(before, &m);
    mirror_of(after, &want);
    for (size_t i = 0; i + 1 < count; i++) {
        pieces_begin(&pieces, before, &tags, after, &tags, false, (struct range){cuts[i], cuts[i + 1]});
        while (pieces_next(&pieces, &piece)) {
            size_t n = piece_notes(&piece, notes);

            for (size_t k = 0; k < n; k++)
                take(&m, &notes[k]);
            told += n;
        }
    }
    expect_mirror(&m, &want);
    return told;
}

static size_t events_between(const char *before, const char *after)
{
    static const uint64_t all[] = {0, PAGE_LIMIT};
    struct set_fixture a;
    struct set_fixture b;
    size_t told;

    set_fixture_open(&a, BASE, PAGES, ASPACE_MERGE_OFF, before);
    set_fixture_open(&b, BASE, PAGES, ASPACE_MERGE_OFF, after);
    told = follow(&a.set.map, &b.set.map, all, 2);
    set_fixture_close(&a);
    set_fixture_close(&b);
    return told;
}

static void what_did_not_change_is_not_told(void **state)
{
    (void)state;
    assert_int_equal(events_between("", ""), 0);
    assert_int_equal(events_between("AAAA..bbCC", "AAAA..bbCC"), 0);
}

static void each_kind_of_change_is_one_event(void **state)
{
    (void)state;
    assert_int_equal(events_between("......", ".AAAA."), 1);
    assert_int_equal(events_between(".AAAA.", "......"), 1);
    assert_int_equal(events_between(".AAAA.", ".aaaa."), 1);
    assert_int_equal(events_between(".AAAA.", ".AABB."), 1); /* split */
    assert_int_equal(events_between(".AABB.", ".AAAA."), 1); /* merged */
    assert_int_equal(events_between(".AAAA.", ".A..A."), 1);
    assert_int_equal(events_between(".AAAA.", ".AaaA."), 1); /* the cuts follow from the piece */
    assert_int_equal(events_between(".AAAA.", ".GGGG."), 2); /* another backing: away and anew */
    assert_int_equal(events_between(".AAAA.", ".TTTT."), 2); /* another tag */
    assert_int_equal(events_between(".LLLL.", ".KKKK."), 2); /* another physical address */
}

static void how_areas_meet_is_told_where_the_pieces_do_not_say_it(void **state)
{
    (void)state;
    assert_int_equal(events_between(".AaaA.", ".AAAA."), 3); /* protected, and joined on both sides */
    assert_int_equal(events_between(".AA...", ".AAAA."), 2); /* grown: mapped, and joined */
    assert_int_equal(events_between(".AA...", ".AABB."), 1);
    assert_int_equal(events_between(".AAAA.", ".ABAB."), 3);
    assert_int_equal(events_between(".ABAB.", ".AAAA."), 3);
}

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

static void random_map(struct area_map *ret)
{
    struct area areas[PAGES];
    size_t count = 0;

    area_map_init(ret, (struct range){BASE, BASE + PAGES});
    for (uint64_t page = BASE; page < BASE + PAGES;) {
        uint64_t end = page + 1 + any(8);

        end = end < BASE + PAGES ? end : BASE + PAGES;
        if (any(3))
            areas[count++] = (struct area){{page, end}, {.flags = any(2) ? RW : ASPACE_READ}};
        page = end;
    }
    for (size_t i = 0; i < count; i++)
        areas[i].attr.backing = any(4) ? ASPACE_BACKING_LAZY : ASPACE_BACKING_EAGER;
    assert_int_equal(area_map_reserve(ret, count), ASPACE_OK);
    area_map_replace(ret, ret->bounds, areas, count);
}

static void plant_seed(void)
{
    const char *given = getenv("ASPACE_SEED");

    seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    print_message("seed %u (ASPACE_SEED repeats it)\n", seed);
}

static void any_two_maps_are_told_so_that_the_one_becomes_the_other(void **state)
{
    (void)state;
    plant_seed();
    for (int i = 0; i < 3000; i++) {
        static const uint64_t all[] = {BASE, BASE + PAGES};
        struct area_map before;
        struct area_map after;

        random_map(&before);
        random_map(&after);
        follow(&before, &after, all, 2);
        assert_int_equal(follow(&before, &before, all, 2), 0);
        area_map_clear(&before);
        area_map_clear(&after);
    }
}

static void windows_cut_where_pieces_begin_tell_the_same(void **state)
{
    (void)state;
    plant_seed();
    for (int i = 0; i < 500; i++) {
        uint64_t cuts[PAGES + 2] = {BASE};
        struct area_map before;
        struct area_map after;
        struct pieces pieces;
        struct piece piece;
        size_t count = 1;

        random_map(&before);
        random_map(&after);
        pieces_begin(&pieces, &before, &tags, &after, &tags, false, before.bounds);
        while (pieces_next(&pieces, &piece))
            if (piece.before.range.start > BASE && any(2))
                cuts[count++] = piece.before.range.start;
        cuts[count++] = BASE + PAGES;
        follow(&before, &after, cuts, count);
        area_map_clear(&before);
        area_map_clear(&after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_did_not_change_is_not_told),
        cmocka_unit_test(each_kind_of_change_is_one_event),
        cmocka_unit_test(how_areas_meet_is_told_where_the_pieces_do_not_say_it),
        cmocka_unit_test(any_two_maps_are_told_so_that_the_one_becomes_the_other),
        cmocka_unit_test(windows_cut_where_pieces_begin_tell_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
