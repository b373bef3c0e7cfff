/* Transactions of several edits: one generation for all, and a rollback that brings everything back and needs no
 * memory. Single edits are in the other tests; random transactions in test_memory_set_model.c. */
#include <stdio.h>
#include <string.h>

#include "failing_alloc.h"
#include "set_fixture.h"

#define OFF  ASPACE_MERGE_OFF
#define AUTO ASPACE_MERGE_AUTO

#define START "AAAA..BBBB..TTTT..bbbb..VV......"

/* ---- the edits ---- */

static enum aspace_error map(struct set_fixture *f)
{
    return set_fixture_map(f, 'N', "....[]", ASPACE_OVERLAP_FAIL);
}

static enum aspace_error map_over(struct set_fixture *f)
{
    return set_fixture_map(f, 'G', "..[......]", ASPACE_OVERLAP_REPLACE);
}

static enum aspace_error unmap(struct set_fixture *f)
{
    uint64_t pages;
    size_t removed;

    return memory_set_unmap(&f->set, set_fixture_range(f, ".......[......]"), ASPACE_HOLES_SKIP, &f->why, &pages,
                            &removed);
}

static enum aspace_error protect(struct set_fixture *f)
{
    size_t changed;

    return memory_set_protect(&f->set, set_fixture_range(f, ".[..................]"), ASPACE_EXEC, ASPACE_READ,
                              ASPACE_HOLES_SKIP, &f->why, &changed);
}

static enum aspace_error shrink(struct set_fixture *f)
{
    struct area area;

    return memory_set_shrink(&f->set, f->base + 18, 2, ASPACE_SIDE_RIGHT, &f->why, &area);
}

static enum aspace_error split(struct set_fixture *f)
{
    struct area left;
    struct area right;

    return memory_set_split(&f->set, f->base + 1, &f->why, &left, &right);
}

static enum aspace_error merge(struct set_fixture *f)
{
    size_t merged;

    return memory_set_merge(&f->set, f->set.map.bounds, &f->why, &merged);
}

static enum aspace_error move(struct set_fixture *f)
{
    struct move_request request = {.start = f->base,
                                   .has_new_start = true,
                                   .new_start = f->base + 20,
                                   .has_new_pages = true,
                                   .new_pages = 6,
                                   .overlap = ASPACE_OVERLAP_REPLACE};
    struct area area;

    return memory_set_move(&f->set, &request, &f->why, &area);
}

static enum aspace_error protect_tag(struct set_fixture *f)
{
    size_t changed;

    return memory_set_protect_tag(&f->set, 1, 0, ASPACE_WRITE, &f->why, &changed);
}

static enum aspace_error unmap_tag(struct set_fixture *f)
{
    uint64_t pages;
    size_t removed;

    return memory_set_unmap_tag(&f->set, 2, &f->why, &pages, &removed);
}

static enum aspace_error clear(struct set_fixture *f)
{
    size_t removed;

    return memory_set_clear(&f->set, &f->why, &removed);
}

typedef enum aspace_error edit_fn(struct set_fixture *f);

/* One after the other they all work from START on. */
static edit_fn *const edits[] = {map,  shrink,   split,   merge, protect_tag, unmap_tag,
                                 move, map_over, protect, unmap, clear};

#define EDITS (sizeof(edits) / sizeof(*edits))

/* Opens START under merge=off, remembers it, and begins. */
static void begin(struct set_fixture *f)
{
    set_fixture_draw(f, OFF, START);
    set_fixture_before(f);
    memory_set_begin(&f->set);
}

static void make(struct set_fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(edits[i](f), ASPACE_OK);
}

/* The rollback of an open transaction: everything is as at the beginning, and not one allocation was asked for. */
static void roll_back(struct set_fixture *f)
{
    unsigned rollbacks = f->backend->rollbacks;

    failing_alloc_arm(1);
    memory_set_rollback(&f->set);
    assert_false(failing_alloc_disarm());
    assert_int_equal(f->backend->rollbacks, rollbacks + 1);
    assert_false(f->set.open);
    set_fixture_unchanged(f);
}

/* ---- commit ---- */

static void a_commit_makes_one_generation_of_all_edits(void **state)
{
    (void)state;
    for (size_t count = 1; count <= EDITS; count++) {
        struct set_fixture f;

        begin(&f);
        make(&f, count);
        assert_int_equal(f.set.generation, f.generation); /* nothing is visible yet */
        assert_int_equal(memory_set_generation(&f.set), f.generation + 1);
        assert_int_equal(f.backend->commits, f.commits);
        memory_set_commit(&f.set);
        assert_int_equal(f.set.generation, f.generation + 1);
        assert_int_equal(memory_set_generation(&f.set), f.generation + 1);
        assert_int_equal(f.backend->commits, f.commits + 1);
        page_backend_expect(f.backend, &f.set.map);
        set_fixture_close(&f);
    }
}

static void edits_see_what_the_ones_before_them_did(void **state)
{
    struct set_fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(map(&f), ASPACE_OK);
    assert_int_equal(map(&f), ASPACE_ALREADY_EXISTS);
    roll_back(&f);
    memory_set_begin(&f.set);
    make(&f, 7);
    memory_set_commit(&f.set);
    set_fixture_expect(&f, "....NNBBBB..tttt..bbAAAAAA......");
    set_fixture_close(&f);
}

static void a_transaction_that_changed_nothing_keeps_the_generation(void **state)
{
    struct set_fixture f;
    uint64_t pages;
    size_t count;

    (void)state;
    begin(&f);
    assert_int_equal(memory_set_generation(&f.set), f.generation);
    memory_set_commit(&f.set);
    assert_int_equal(f.set.generation, f.generation);
    memory_set_begin(&f.set);
    assert_int_equal(
        memory_set_unmap(&f.set, set_fixture_range(&f, "....[]"), ASPACE_HOLES_SKIP, &f.why, &pages, &count),
        ASPACE_OK);
    assert_int_equal(memory_set_unmap_tag(&f.set, 99, &f.why, &pages, &count), ASPACE_OK);
    assert_int_equal(memory_set_protect_tag(&f.set, 99, ASPACE_EXEC, 0, &f.why, &count), ASPACE_OK);
    assert_int_equal(memory_set_protect_tag(&f.set, 1, ASPACE_READ, 0, &f.why, &count), ASPACE_OK);
    assert_int_equal(count, 0);
    assert_int_equal(merge(&f), ASPACE_OK);
    assert_int_equal(memory_set_generation(&f.set), f.generation);
    memory_set_commit(&f.set);
    assert_int_equal(f.set.generation, f.generation);
    set_fixture_expect(&f, START);
    set_fixture_close(&f);
}

static void transactions_follow_one_another(void **state)
{
    struct set_fixture f;

    (void)state;
    begin(&f);
    for (uint64_t i = 1; i <= 3; i++) {
        if (i > 1)
            memory_set_begin(&f.set);
        assert_int_equal(edits[i - 1](&f), ASPACE_OK);
        memory_set_commit(&f.set);
        assert_int_equal(f.set.generation, f.generation + i);
    }
    assert_int_equal(protect(&f), ASPACE_OK); /* and an edit on its own after it */
    assert_int_equal(f.set.generation, f.generation + 4);
    set_fixture_before(&f);
    memory_set_begin(&f.set);
    assert_int_equal(clear(&f), ASPACE_OK);
    roll_back(&f);
    set_fixture_close(&f);
}

/* What a transaction sums up for a dry run. */
static void the_sum_tells_cuts_joins_and_areas_gone(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, AUTO, "AAAAAA..BBBB..bb");
    memory_set_begin(&f.set);
    assert_int_equal(set_fixture_map(&f, 'n', "..[.......]", ASPACE_OVERLAP_REPLACE), ASPACE_OK); /* AAnnnnnnnnnBB */
    assert_int_equal(f.set.sum.split, 2);
    assert_int_equal(f.set.sum.removed, 0);
    assert_int_equal(set_fixture_map(&f, 'b', "............[]", ASPACE_OVERLAP_REPLACE), ASPACE_OK); /* joins bb */
    assert_int_equal(f.set.sum.merged, 1);
    assert_int_equal(f.set.sum.edits, 2);
    memory_set_rollback(&f.set);
    set_fixture_expect(&f, "AAAAAA..BBBB..bb");
    set_fixture_close(&f);
}

/* The same for a move: what lies at its new place counts, the area that moves does not. */
static void the_sum_tells_what_a_move_replaces(void **state)
{
    struct move_request request = {.has_new_start = true, .overlap = ASPACE_OVERLAP_REPLACE};
    struct set_fixture f;
    struct area area;

    (void)state;
    set_fixture_draw(&f, OFF, "AAAAAA..BBBB.T.bbbb");
    request.start = f.base;
    request.new_start = f.base + 10;
    memory_set_begin(&f.set);
    assert_int_equal(memory_set_move(&f.set, &request, &f.why, &area), ASPACE_OK); /* ........BBAAAAAAbbb */
    assert_int_equal(f.set.sum.split, 2);
    assert_int_equal(f.set.sum.removed, 1);
    memory_set_rollback(&f.set);
    set_fixture_expect(&f, "AAAAAA..BBBB.T.bbbb");
    set_fixture_close(&f);
}

/* ---- rollback ---- */

static void a_rollback_after_any_number_of_edits_restores_everything(void **state)
{
    (void)state;
    for (size_t count = 0; count <= EDITS; count++) {
        struct set_fixture f;

        begin(&f);
        make(&f, count);
        roll_back(&f);
        set_fixture_expect(&f, START);
        memory_set_begin(&f.set); /* and once more, with what the first one left behind */
        make(&f, count);
        roll_back(&f);
        set_fixture_close(&f);
    }
}

/* Every edit of the list in turn is refused by the backend at each of its operations, the ones before it stand. */
static void a_refusal_at_each_edit_undoes_all_before_it(void **state)
{
    unsigned refused = 0;

    (void)state;
    for (size_t at = 0; at < EDITS; at++) {
        struct set_fixture f;
        bool fired = true;

        for (unsigned nth = 1; fired; nth++) {
            enum aspace_error error;

            begin(&f);
            make(&f, at);
            page_backend_fail(f.backend, nth, ASPACE_DENIED);
            error = edits[at](&f);
            fired = f.backend->fired;
            assert_int_equal(error, fired ? ASPACE_DENIED : ASPACE_OK);
            refused += fired;
            roll_back(&f);
            set_fixture_close(&f);
        }
    }
    assert_true(refused > 12);
}

/* The same with each allocation of each edit. */
static void an_edit_without_memory_undoes_all_before_it(void **state)
{
    unsigned refused = 0;

    (void)state;
    for (size_t at = 0; at < EDITS; at++) {
        struct set_fixture f;
        bool fired = true;

        for (unsigned nth = 1; fired; nth++) {
            enum aspace_error error;

            begin(&f);
            make(&f, at);
            failing_alloc_arm(nth);
            error = edits[at](&f);
            fired = failing_alloc_disarm();
            assert_int_equal(error, fired ? ASPACE_NO_MEMORY : ASPACE_OK);
            refused += fired;
            roll_back(&f);
            set_fixture_close(&f);
        }
    }
    assert_true(refused > 2);
}

/* Edits that are refused before the backend is asked. */
static void a_refusal_by_the_set_itself_undoes_all_before_it(void **state)
{
    static edit_fn *const bad[] = {map, split, shrink, move};
    struct set_fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        set_fixture_draw(&f, AUTO, "AAAA..bb.ccc");
        set_fixture_before(&f);
        memory_set_begin(&f.set);
        assert_int_equal(map_over(&f), ASPACE_OK);
        assert_int_equal(memory_set_generation(&f.set), f.generation + 1);
        f.set.max_areas = bad[i] == move ? 0 : 100;
        assert_int_not_equal(bad[i](&f), ASPACE_OK);
        roll_back(&f);
        set_fixture_close(&f);
    }
}

static void merge_auto_is_undone_where_joins_reached_beyond_the_range(void **state)
{
    struct set_fixture f;

    (void)state;
    set_fixture_draw(&f, AUTO, "AAAA..AAAAbbAA");
    set_fixture_before(&f);
    memory_set_begin(&f.set);
    assert_int_equal(set_fixture_map(&f, 'A', "....[]", ASPACE_OVERLAP_FAIL), ASPACE_OK);
    assert_int_equal(set_fixture_map(&f, 'A', "..........[]", ASPACE_OVERLAP_REPLACE), ASPACE_OK);
    assert_int_equal(f.set.map.count, 1);
    assert_int_equal(f.set.sum.merged, 4);
    assert_int_equal(protect(&f), ASPACE_OK);
    roll_back(&f);
    set_fixture_close(&f);
}

/* ---- many areas, over many nodes of the tree ---- */

#define COLUMNS 4096

/* 2048 areas of one page, every second page. */
static void draw_many(struct set_fixture *f, char letter)
{
    static char drawing[COLUMNS + 1];

    memset(drawing, '.', COLUMNS);
    for (size_t i = 0; i < COLUMNS; i += 2)
        drawing[i] = letter;
    set_fixture_open(f, 16, COLUMNS, OFF, drawing);
    set_fixture_before(f);
}

/* Empties the tree, grows it anew in another shape, and takes parts away again. */
static enum aspace_error rebuild(struct set_fixture *f)
{
    enum aspace_error error = clear(f);
    uint64_t pages;
    size_t removed;

    for (uint64_t i = 0; i < COLUMNS && !error; i += 3) {
        struct map_request request = {.attr = set_fixture_attr('N'),
                                      .range = {f->base + i * 7 % COLUMNS, f->base + i * 7 % COLUMNS + 1},
                                      .overlap = ASPACE_OVERLAP_REPLACE};
        struct area area;
        uint64_t page;

        error = memory_set_map(&f->set, &request, &f->why, &page, &area);
    }
    for (uint64_t i = 0; i < COLUMNS && !error; i += 512)
        error = memory_set_unmap(&f->set, (struct range){f->base + i, f->base + i + 300}, ASPACE_HOLES_SKIP, &f->why,
                                 &pages, &removed);
    return error;
}

static void a_journal_of_many_areas_puts_the_whole_tree_back(void **state)
{
    struct set_fixture f;

    (void)state;
    draw_many(&f, 'A');
    for (unsigned i = 0; i < 3; i++) {
        memory_set_begin(&f.set);
        assert_int_equal(rebuild(&f), ASPACE_OK);
        roll_back(&f);
    }
    memory_set_begin(&f.set);
    assert_int_equal(rebuild(&f), ASPACE_OK);
    memory_set_commit(&f.set);
    assert_int_equal(f.set.generation, f.generation + 1);
    page_backend_expect(f.backend, &f.set.map);
    assert_int_equal(f.set.map.held.nodes, 0);
    set_fixture_close(&f);
}

static void edits_by_tag_of_many_areas_are_undone_and_committed_as_one(void **state)
{
    struct set_fixture f;
    uint64_t pages;
    size_t count;

    (void)state;
    draw_many(&f, 'T');
    memory_set_begin(&f.set);
    assert_int_equal(memory_set_protect_tag(&f.set, 1, 0, ASPACE_WRITE, &f.why, &count), ASPACE_OK);
    assert_int_equal(count, COLUMNS / 2);
    assert_int_equal(memory_set_unmap_tag(&f.set, 1, &f.why, &pages, &count), ASPACE_OK);
    assert_int_equal(count, COLUMNS / 2);
    assert_int_equal(pages, COLUMNS / 2);
    assert_int_equal(f.set.map.count, 0);
    roll_back(&f);

    page_backend_fail(f.backend, 1999, ASPACE_DENIED); /* on its own it is a transaction too */
    assert_int_equal(memory_set_unmap_tag(&f.set, 1, &f.why, &pages, &count), ASPACE_DENIED);
    set_fixture_unchanged(&f);
    assert_int_equal(memory_set_unmap_tag(&f.set, 1, &f.why, &pages, &count), ASPACE_OK);
    assert_int_equal(f.set.map.count, 0);
    assert_int_equal(f.set.generation, f.generation + 1);
    assert_int_equal(f.backend->commits, f.commits + 1);
    page_backend_expect(f.backend, &f.set.map);
    set_fixture_close(&f);
}

/* A set may be freed with a transaction open only after its end; what was held for an undo goes with the end. */
static void nothing_stays_held_after_a_transaction(void **state)
{
    struct set_fixture f;

    (void)state;
    draw_many(&f, 'A');
    memory_set_begin(&f.set);
    assert_int_equal(clear(&f), ASPACE_OK);
    assert_true(f.set.map.held.nodes > 0);
    assert_true(f.set.map.held.nodes <= f.set.map.spares);
    roll_back(&f);
    assert_int_equal(f.set.map.held.nodes, 0);
    assert_null(f.set.journal.entries);
    assert_null(f.set.journal.areas);
    set_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_makes_one_generation_of_all_edits),
        cmocka_unit_test(edits_see_what_the_ones_before_them_did),
        cmocka_unit_test(a_transaction_that_changed_nothing_keeps_the_generation),
        cmocka_unit_test(transactions_follow_one_another),
        cmocka_unit_test(the_sum_tells_cuts_joins_and_areas_gone),
        cmocka_unit_test(the_sum_tells_what_a_move_replaces),
        cmocka_unit_test(a_rollback_after_any_number_of_edits_restores_everything),
        cmocka_unit_test(a_refusal_at_each_edit_undoes_all_before_it),
        cmocka_unit_test(an_edit_without_memory_undoes_all_before_it),
        cmocka_unit_test(a_refusal_by_the_set_itself_undoes_all_before_it),
        cmocka_unit_test(merge_auto_is_undone_where_joins_reached_beyond_the_range),
        cmocka_unit_test(a_journal_of_many_areas_puts_the_whole_tree_back),
        cmocka_unit_test(edits_by_tag_of_many_areas_are_undone_and_committed_as_one),
        cmocka_unit_test(nothing_stays_held_after_a_transaction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
