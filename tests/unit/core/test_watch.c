/* The notes of edits: what each says, that they follow commit and rollback, and that a page-by-page mirror made from
 * them alone is the map. */
#include "core/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reconcile.h"
#include "failing_alloc.h"
#include "set_fixture.h"

#define OFF   ASPACE_MERGE_OFF
#define PAGES 64

struct watched {
    struct set_fixture f;
    struct watch watch;
    struct area_attr mirror[PAGES]; /* of the pages from base on */
    bool mapped[PAGES];
};

/* ---- The mirror ---- */

static void mirror_put(struct watched *w, const struct area *area, bool mapped)
{
    for (uint64_t page = area->range.start; page < area->range.end; page++) {
        w->mapped[page - w->f.base] = mapped;
        w->mirror[page - w->f.base] = area->attr;
    }
}

/* What docs/protocol.md tells subscribers to do: before goes, after comes; of drift first all that went. */
static void mirror_take(struct watched *w)
{
    for (size_t i = 0; i < w->watch.kept; i++) {
        const struct note *note = &w->watch.notes[i];

        if (note->kind == ASPACE_EVENT_SPLIT || note->kind == ASPACE_EVENT_MERGED)
            continue; /* the same pages */
        if (note->has_before)
            mirror_put(w, &note->before, false);
        if (note->has_after)
            mirror_put(w, &note->after, true);
    }
    watch_free(&w->watch);
}

static void mirror_expect(const struct watched *w)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        struct area area;
        bool found = area_map_find(&w->f.set.map, w->f.base + i, &area);

        assert_int_equal(found, w->mapped[i]);
        if (found)
            assert_true(area_attr_equal(&area.attr, &w->mirror[i]));
    }
}

static void start(struct watched *w, enum aspace_merge merge, const char *drawing)
{
    struct area_cursor cursor;
    struct area area;

    memset(w, 0, sizeof(*w));
    set_fixture_draw(&w->f, merge, drawing);
    area_map_seek(&w->f.set.map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor))
        mirror_put(w, &area, true);
    w->watch.most = 1000;
    w->f.set.backend->watch = &w->watch;
    set_fixture_before(&w->f);
}

static void stop(struct watched *w)
{
    watch_free(&w->watch);
    set_fixture_close(&w->f);
}

/* Fails the test unless the only note left is this one; a NULL drawing: no such area. */
static void expect_note(struct watched *w, size_t i, enum aspace_event kind, const char *before, const char *after)
{
    const struct note *note = &w->watch.notes[i];

    assert_true(i < w->watch.kept);
    assert_int_equal(w->watch.kept, w->watch.count);
    assert_int_equal(note->kind, kind);
    assert_int_equal(note->generation, w->f.set.generation);
    assert_int_equal(note->has_before, before != NULL);
    assert_int_equal(note->has_after, after != NULL);
    if (before)
        assert_true(set_fixture_is(&w->f, &note->before, before));
    if (after)
        assert_true(set_fixture_is(&w->f, &note->after, after));
}

/* ---- Each edit ---- */

static void a_map_tells_the_piece_as_it_is_mapped_and_what_it_replaced(void **state)
{
    struct watched w;

    (void)state;
    start(&w, ASPACE_MERGE_AUTO, "AAAA..BBBB");
    assert_int_equal(set_fixture_map(&w.f, 'A', "  [....]", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    assert_int_equal(w.watch.kept, 3);
    expect_note(&w, 0, ASPACE_EVENT_UNMAPPED, "  AA", NULL);
    expect_note(&w, 1, ASPACE_EVENT_UNMAPPED, "      BB", NULL);
    expect_note(&w, 2, ASPACE_EVENT_MAPPED, NULL, "  AAAAAA");
    stop(&w);
}

static void an_unmap_tells_the_pieces_that_go(void **state)
{
    struct watched w;
    uint64_t pages;
    size_t removed;

    (void)state;
    start(&w, OFF, "AAAA..bbbbCC");
    assert_int_equal(memory_set_unmap(&w.f.set, set_fixture_range(&w.f, "  [.........]"), ASPACE_HOLES_SKIP, &w.f.why,
                                      &pages, &removed),
                     ASPACE_OK);
    assert_int_equal(w.watch.kept, 3);
    expect_note(&w, 0, ASPACE_EVENT_UNMAPPED, "  AA", NULL);
    expect_note(&w, 1, ASPACE_EVENT_UNMAPPED, "      bbbb", NULL);
    expect_note(&w, 2, ASPACE_EVENT_UNMAPPED, "          CC", NULL);
    stop(&w);
}

static void a_protect_tells_before_and_after_of_what_changes_and_nothing_of_the_rest(void **state)
{
    struct watched w;
    size_t changed;

    (void)state;
    start(&w, OFF, "AAAA..aaaaBB");
    assert_int_equal(memory_set_protect(&w.f.set, set_fixture_range(&w.f, "  [.........]"), 0, ASPACE_WRITE,
                                        ASPACE_HOLES_SKIP, &w.f.why, &changed),
                     ASPACE_OK);
    assert_int_equal(w.watch.kept, 2);
    expect_note(&w, 0, ASPACE_EVENT_PROTECTED, "  AA", "  aa");
    expect_note(&w, 1, ASPACE_EVENT_PROTECTED, "          BB", "          bb");
    stop(&w);
}

static void a_split_tells_the_whole_and_the_left_half(void **state)
{
    struct watched w;
    struct area left;
    struct area right;

    (void)state;
    start(&w, OFF, "..AAAA");
    assert_int_equal(memory_set_split(&w.f.set, w.f.base + 3, &w.f.why, &left, &right), ASPACE_OK);
    assert_int_equal(w.watch.kept, 1);
    expect_note(&w, 0, ASPACE_EVENT_SPLIT, "..AAAA", "..A");
    stop(&w);
}

static void a_merge_tells_each_right_neighbour_and_the_area_it_became_part_of(void **state)
{
    struct watched w;
    size_t merged;

    (void)state;
    start(&w, OFF, "AABBCCTT");
    assert_int_equal(memory_set_merge(&w.f.set, set_fixture_range(&w.f, "[......]"), &w.f.why, &merged), ASPACE_OK);
    assert_int_equal(merged, 2);
    assert_int_equal(w.watch.kept, 2);
    expect_note(&w, 0, ASPACE_EVENT_MERGED, "  BB", "AAAA");
    expect_note(&w, 1, ASPACE_EVENT_MERGED, "    CC", "AAAAAA");
    stop(&w);
}

static void a_move_tells_what_goes_along_what_is_cut_and_what_grows(void **state)
{
    struct move_request away = {.has_new_start = true, .has_new_pages = true, .new_pages = 6};
    struct watched w;
    struct area area;

    (void)state;
    start(&w, OFF, "AAAA....BB..");
    away.start = w.f.base;
    away.new_start = w.f.base + 4;
    away.overlap = ASPACE_OVERLAP_REPLACE;
    assert_int_equal(memory_set_move(&w.f.set, &away, &w.f.why, &area), ASPACE_OK);
    assert_int_equal(w.watch.kept, 3);
    expect_note(&w, 0, ASPACE_EVENT_UNMAPPED, "        BB", NULL);
    expect_note(&w, 1, ASPACE_EVENT_MOVED, "AAAA", "    AAAA");
    expect_note(&w, 2, ASPACE_EVENT_MAPPED, NULL, "        AA");
    stop(&w);
}

static void a_linear_area_takes_its_physical_pages_along(void **state)
{
    struct move_request away = {.has_new_start = true};
    struct watched w;
    struct area area;

    (void)state;
    start(&w, OFF, "LLLL");
    away.start = w.f.base;
    away.new_start = w.f.base + 8;
    assert_int_equal(memory_set_move(&w.f.set, &away, &w.f.why, &area), ASPACE_OK);
    assert_int_equal(w.watch.kept, 1);
    assert_int_equal(w.watch.notes[0].kind, ASPACE_EVENT_MOVED);
    assert_true(area_attr_equal(&w.watch.notes[0].after.attr, &area.attr));
    stop(&w);
}

static void drift_tells_what_differs(void **state)
{
    struct area_list found = {0};
    struct watched w;
    bool changed;

    (void)state;
    start(&w, OFF, "AA..TT..LL");
    found.window = set_fixture_range(&w.f, "[........]");
    assert_int_equal(
        area_list_add(&found, &(struct area){set_fixture_range(&w.f, "[]"), set_fixture_attr('A')}, &w.f.why),
        ASPACE_OK);
    assert_int_equal(
        area_list_add(&found, &(struct area){set_fixture_range(&w.f, "      [..]"), set_fixture_attr('L')}, &w.f.why),
        ASPACE_OK);
    found.areas[1].attr.delta = 7;
    assert_int_equal(memory_set_reconcile(&w.f.set, &found, &w.f.why, &changed), ASPACE_OK);
    assert_true(changed);
    assert_int_equal(w.watch.kept, 3);
    expect_note(&w, 0, ASPACE_EVENT_DRIFT, "    TT", NULL);
    assert_false(w.watch.notes[1].has_before);
    assert_true(range_equal(w.watch.notes[1].after.range, found.areas[1].range));
    expect_note(&w, 2, ASPACE_EVENT_DRIFT, "        LL", NULL);
    assert_int_equal(memory_set_reconcile(&w.f.set, &found, &w.f.why, &changed), ASPACE_OK);
    assert_int_equal(w.watch.kept, 3);
    area_list_free(&found);
    w.f.set.backend->watch = NULL;
    watch_free(&w.watch);
    set_fixture_close(&w.f);
}

/* ---- Transactions ---- */

static void a_rollback_forgets_and_a_commit_keeps(void **state)
{
    struct watched w;
    uint64_t pages;
    size_t removed;

    (void)state;
    start(&w, OFF, "AAAA..BB");
    memory_set_begin(&w.f.set);
    assert_int_equal(set_fixture_map(&w.f, 'C', "    []", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    assert_int_equal(w.watch.count, 1);
    assert_int_equal(w.watch.kept, 0);
    memory_set_rollback(&w.f.set);
    assert_int_equal(w.watch.count, 0);

    memory_set_begin(&w.f.set);
    assert_int_equal(set_fixture_map(&w.f, 'C', "    []", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    assert_int_equal(
        memory_set_unmap(&w.f.set, set_fixture_range(&w.f, "[]"), ASPACE_HOLES_SKIP, &w.f.why, &pages, &removed),
        ASPACE_OK);
    memory_set_commit(&w.f.set);
    assert_int_equal(w.watch.kept, 2);
    expect_note(&w, 0, ASPACE_EVENT_MAPPED, NULL, "    CC");
    expect_note(&w, 1, ASPACE_EVENT_UNMAPPED, "AA", NULL);
    stop(&w);
}

static void what_a_target_does_is_kept_over_a_rollback(void **state)
{
    struct watched w;

    (void)state;
    start(&w, OFF, "AAAA..BB");
    memory_set_begin(&w.f.set);
    assert_int_equal(set_fixture_map(&w.f, 'C', "    []", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    w.watch.generation = 5;
    watch_target(&w.watch, ASPACE_EVENT_TARGET_EXIT);
    assert_int_equal(w.watch.count, 2);
    memory_set_rollback(&w.f.set);
    assert_int_equal(w.watch.count, 1);
    assert_int_equal(w.watch.kept, 1);
    assert_int_equal(w.watch.notes[0].kind, ASPACE_EVENT_TARGET_EXIT);
    assert_int_equal(w.watch.notes[0].generation, 5);
    stop(&w);
}

static void past_the_limit_notes_are_counted_and_none_comes_after_the_gap(void **state)
{
    struct watched w;

    (void)state;
    start(&w, OFF, "AAAA..BB");
    w.watch.most = 2;
    memory_set_begin(&w.f.set);
    for (int i = 0; i < 5; i++)
        assert_int_equal(set_fixture_map(&w.f, 'C', "    []", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    assert_int_equal(w.watch.count, 2);
    assert_int_equal(w.watch.lost, 7);
    memory_set_rollback(&w.f.set);
    assert_int_equal(w.watch.lost, 0);
    assert_int_equal(set_fixture_map(&w.f, 'C', "    []", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    assert_int_equal(w.watch.kept, 1);
    stop(&w);
}

/* ---- Random edits ---- */

static enum aspace_error edit(struct watched *w, unsigned roll)
{
    struct memory_set *set = &w->f.set;
    struct range range = {w->f.base + roll % 48, w->f.base + roll % 48 + 1 + roll / 48 % 12};
    struct map_request request = {.attr = set_fixture_attr("ABLTaGK"[roll / 7 % 7]),
                                  .range = range,
                                  .overlap = ASPACE_OVERLAP_REPLACE,
                                  .pa_page = 5000};
    struct move_request move = {.start = range.start,
                                .has_new_start = roll & 16,
                                .new_start = w->f.base + roll / 3 % 48,
                                .has_new_pages = roll & 32,
                                .new_pages = 1 + roll / 5 % 9,
                                .overlap = ASPACE_OVERLAP_REPLACE};
    struct area area;
    uint64_t pages;
    size_t count;

    switch (roll / 1000 % 6) {
    case 0:
    case 1:
        return memory_set_map(set, &request, &w->f.why, &pages, &area);
    case 2:
        return memory_set_unmap(set, range, ASPACE_HOLES_SKIP, &w->f.why, &pages, &count);
    case 3:
        return memory_set_protect(set, range, roll & 1 ? ASPACE_WRITE : 0, roll & 1 ? 0 : ASPACE_WRITE,
                                  ASPACE_HOLES_SKIP, &w->f.why, &count);
    case 4:
        return memory_set_move(set, &move, &w->f.why, &area);
    default:
        return roll & 1 ? memory_set_merge(set, range, &w->f.why, &count)
                        : memory_set_split(set, range.start + 1, &w->f.why, &area, &area);
    }
}

static void random_edits(enum aspace_merge merge, unsigned seed)
{
    struct watched w;

    srand(seed);
    start(&w, merge, "AAAA..BBBB.TT.LLLL");
    for (int step = 0; step < 4000; step++) {
        uint64_t generation = w.f.set.generation;
        enum aspace_error error;

        if (rand() % 4 == 0) /* a refusal somewhere in the midst of it */
            page_backend_fail(w.f.backend, 1 + (unsigned)rand() % 4, ASPACE_BAD_STATE);
        error = edit(&w, (unsigned)rand());
        page_backend_fail(w.f.backend, 0, ASPACE_OK);
        assert_int_equal(w.watch.kept, w.watch.count);
        assert_int_equal(w.watch.count != 0, w.f.set.generation != generation);
        if (error)
            assert_int_equal(w.watch.count, 0);
        mirror_take(&w);
        mirror_expect(&w);
    }
    stop(&w);
}

static void a_mirror_made_of_notes_alone_is_the_map(void **state)
{
    const char *text = getenv("ASPACE_SEED");
    unsigned seed = text ? (unsigned)strtoul(text, NULL, 0) : 20240617;

    (void)state;
    printf("ASPACE_SEED=%u\n", seed);
    random_edits(OFF, seed);
    random_edits(ASPACE_MERGE_AUTO, seed + 1);
}

/* ---- Lack of memory ---- */

static void an_edit_without_memory_for_its_notes_is_made_all_the_same(void **state)
{
    unsigned lost = 0;
    bool reached = true;

    (void)state;
    for (unsigned nth = 1; reached; nth++) {
        struct watched w;
        enum aspace_error error;
        size_t removed;

        start(&w, OFF, "A.B.C.A.B.C.A.B.C.A.B.C.A.B.C.A.B.C.A.B.C.A.B.C.A.B.C.");
        failing_alloc_arm(nth);
        error = memory_set_clear(&w.f.set, &w.f.why, &removed);
        reached = failing_alloc_disarm();
        if (error) {
            assert_int_equal(error, ASPACE_NO_MEMORY);
            assert_int_equal(w.watch.count + w.watch.lost, 0);
            set_fixture_unchanged(&w.f);
        } else {
            assert_int_equal(removed, 27);
            assert_int_equal(w.watch.kept + w.watch.kept_lost, 27);
            lost += w.watch.kept_lost != 0;
        }
        stop(&w);
    }
    assert_true(lost >= 2); /* the notes grow twice */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_tells_the_piece_as_it_is_mapped_and_what_it_replaced),
        cmocka_unit_test(an_unmap_tells_the_pieces_that_go),
        cmocka_unit_test(a_protect_tells_before_and_after_of_what_changes_and_nothing_of_the_rest),
        cmocka_unit_test(a_split_tells_the_whole_and_the_left_half),
        cmocka_unit_test(a_merge_tells_each_right_neighbour_and_the_area_it_became_part_of),
        cmocka_unit_test(a_move_tells_what_goes_along_what_is_cut_and_what_grows),
        cmocka_unit_test(a_linear_area_takes_its_physical_pages_along),
        cmocka_unit_test(drift_tells_what_differs),
        cmocka_unit_test(a_rollback_forgets_and_a_commit_keeps),
        cmocka_unit_test(what_a_target_does_is_kept_over_a_rollback),
        cmocka_unit_test(past_the_limit_notes_are_counted_and_none_comes_after_the_gap),
        cmocka_unit_test(a_mirror_made_of_notes_alone_is_the_map),
        cmocka_unit_test(an_edit_without_memory_for_its_notes_is_made_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
