/* Every allocation and every backend operation of a script of edits fails in turn; each time everything is as before.
 * Each edit starts from areas enough for a tree of several nodes; what it does when nothing fails is checked too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry.h"
#include "failing_alloc.h"
#include "set_fixture.h"

#define COLUMNS 1600

/* ---- the prepared state: 800 areas in a pattern with holes, all kinds, single pages and runs ---- */

static void prepare_drawing(char *drawing)
{
    static const char pattern[] = "AABa.LMK.Tt..GGB";

    for (size_t i = 0; i < COLUMNS; i++)
        drawing[i] = pattern[i % (sizeof(pattern) - 1)];
    memset(drawing + COLUMNS - 100, '.', 100);
    drawing[COLUMNS] = '\0';
}

static void prepare(struct set_fixture *f, enum aspace_merge merge)
{
    char drawing[COLUMNS + 1];

    prepare_drawing(drawing);
    if (merge == ASPACE_MERGE_AUTO) /* alike neighbours would join, and the drawing not say so */
        for (char *at = drawing; *at; at++)
            *at = *at == 'B' ? 'b' : *at == 'M' ? 'm' : *at == 'a' ? 'N' : *at;
    set_fixture_open(f, 16, COLUMNS, merge, drawing);
    set_fixture_before(f);
}

/* ---- the script ---- */

struct script_step {
    const char *name;
    enum aspace_error (*run)(struct set_fixture *f);
};

static enum aspace_error map_into(struct set_fixture *f, uint64_t column, uint64_t pages, char letter)
{
    struct map_request request = {.attr = set_fixture_attr(letter),
                                  .range = {f->base + column, f->base + column + pages},
                                  .overlap = ASPACE_OVERLAP_REPLACE,
                                  .pa_page = 5000};
    struct area area;
    uint64_t page;

    return memory_set_map(&f->set, &request, &f->why, &page, &area);
}

static enum aspace_error map_over_many(struct set_fixture *f)
{
    return map_into(f, 101, 900, 'N');
}

static enum aspace_error map_into_the_middle_of_one(struct set_fixture *f)
{
    return map_into(f, 13, 1, 'N');
}

static enum aspace_error map_placed(struct set_fixture *f)
{
    struct map_request request = {
        .attr = set_fixture_attr('V'), .placed = true, .place = {.pages = 2, .align = 1, .policy = ASPACE_POLICY_TOP}};
    struct area area;
    uint64_t page;

    return memory_set_map(&f->set, &request, &f->why, &page, &area);
}

static enum aspace_error unmap(struct set_fixture *f, uint64_t column, uint64_t pages)
{
    struct range range = {f->base + column, f->base + column + pages};
    uint64_t unmapped;
    size_t removed;

    return memory_set_unmap(&f->set, range, ASPACE_HOLES_SKIP, &f->why, &unmapped, &removed);
}

static enum aspace_error unmap_many(struct set_fixture *f)
{
    return unmap(f, 33, 1200);
}

static enum aspace_error unmap_one_page(struct set_fixture *f)
{
    return unmap(f, 800, 1);
}

static enum aspace_error protect(struct set_fixture *f, uint16_t set, uint16_t clear)
{
    struct range range = {f->base + 17, f->base + COLUMNS - 1};
    size_t changed;

    return memory_set_protect(&f->set, range, set, clear, ASPACE_HOLES_SKIP, &f->why, &changed);
}

static enum aspace_error protect_many(struct set_fixture *f)
{
    return protect(f, 0, ASPACE_WRITE);
}

static enum aspace_error protect_all_kinds(struct set_fixture *f)
{
    return protect(f, ASPACE_KERNEL, ASPACE_READ);
}

static enum aspace_error shrink_left(struct set_fixture *f)
{
    struct area area;

    return memory_set_shrink(&f->set, f->base + 16, 1, ASPACE_SIDE_LEFT, &f->why, &area);
}

static enum aspace_error shrink_right(struct set_fixture *f)
{
    struct area area;

    return memory_set_shrink(&f->set, f->base + 16, 1, ASPACE_SIDE_RIGHT, &f->why, &area);
}

static enum aspace_error split(struct set_fixture *f)
{
    struct area left;
    struct area right;

    if (f->set.merge == ASPACE_MERGE_AUTO)
        return unmap_one_page(f);
    return memory_set_split(&f->set, f->base + 17, &f->why, &left, &right);
}

static enum aspace_error merge_all(struct set_fixture *f)
{
    size_t merged;

    if (f->set.merge == ASPACE_MERGE_AUTO)
        return protect_many(f);
    return memory_set_merge(&f->set, f->set.map.bounds, &f->why, &merged);
}

static enum aspace_error clear(struct set_fixture *f)
{
    size_t removed;

    return memory_set_clear(&f->set, &f->why, &removed);
}

static enum aspace_error move(struct set_fixture *f, uint64_t column, struct move_request request)
{
    struct area area;

    request.start = f->base + column;
    return memory_set_move(&f->set, &request, &f->why, &area);
}

/* Over many, larger; linear areas are replaced among them. */
static enum aspace_error move_over_many(struct set_fixture *f)
{
    return move(f, 16,
                (struct move_request){.has_new_start = true,
                                      .new_start = f->base + 301,
                                      .has_new_pages = true,
                                      .new_pages = 400,
                                      .overlap = ASPACE_OVERLAP_REPLACE});
}

/* After grow_over_many and map_over_many. */
static enum aspace_error move_the_first(struct set_fixture *f)
{
    return move(
        f, 0,
        (struct move_request){.has_new_start = true, .new_start = f->base + 1200, .overlap = ASPACE_OVERLAP_REPLACE});
}

static enum aspace_error move_a_part_into_a_hole(struct set_fixture *f)
{
    return move(f, 16,
                (struct move_request){
                    .has_new_start = true, .new_start = f->base + COLUMNS - 50, .has_new_pages = true, .new_pages = 1});
}

/* After shrink_left. */
static enum aspace_error move_what_is_left(struct set_fixture *f)
{
    return move(f, 17, (struct move_request){.has_new_start = true, .new_start = f->base + COLUMNS - 90});
}

static enum aspace_error grow_over_many(struct set_fixture *f)
{
    return move(f, 0,
                (struct move_request){.has_new_pages = true, .new_pages = 333, .overlap = ASPACE_OVERLAP_REPLACE});
}

static enum aspace_error unmap_tag(struct set_fixture *f)
{
    uint64_t pages;
    size_t removed;

    return memory_set_unmap_tag(&f->set, 1, &f->why, &pages, &removed);
}

static enum aspace_error protect_tag(struct set_fixture *f)
{
    size_t changed;

    return memory_set_protect_tag(&f->set, 1, ASPACE_EXEC, 0, &f->why, &changed);
}

/* Begins, runs, and ends; what fails is taken back, for which nothing may be asked of the allocator. */
static enum aspace_error transaction(struct set_fixture *f, enum aspace_error (*const *edits)(struct set_fixture *f))
{
    enum aspace_error error = ASPACE_OK;
    unsigned asked;

    memory_set_begin(&f->set);
    while (*edits && !error)
        error = (*edits++)(f);
    asked = failing_alloc_count();
    if (error)
        memory_set_rollback(&f->set);
    else
        memory_set_commit(&f->set);
    assert_int_equal(failing_alloc_count(), asked);
    return error;
}

static enum aspace_error transaction_of_small_edits(struct set_fixture *f)
{
    static enum aspace_error (*const edits[])(struct set_fixture *) = {
        unmap_one_page, map_into_the_middle_of_one, shrink_left, map_placed, move_what_is_left, NULL};

    return transaction(f, edits);
}

static enum aspace_error transaction_of_large_edits(struct set_fixture *f)
{
    static enum aspace_error (*const edits[])(struct set_fixture *) = {
        protect_tag, grow_over_many, split, map_over_many, unmap_tag, merge_all, move_the_first, NULL};

    return transaction(f, edits);
}

static const struct script_step script[] = {
    {"map over many areas", map_over_many},
    {"map into the middle of one", map_into_the_middle_of_one},
    {"map where there is room", map_placed},
    {"unmap many", unmap_many},
    {"unmap one page", unmap_one_page},
    {"protect many", protect_many},
    {"protect all kinds", protect_all_kinds},
    {"shrink left", shrink_left},
    {"shrink right", shrink_right},
    {"split", split},
    {"merge all", merge_all},
    {"clear", clear},
    {"move over many", move_over_many},
    {"move a part into a hole", move_a_part_into_a_hole},
    {"grow over many", grow_over_many},
    {"unmap by tag", unmap_tag},
    {"protect by tag", protect_tag},
    {"a transaction of small edits", transaction_of_small_edits},
    {"a transaction of large edits", transaction_of_large_edits},
};

#define SCRIPT_STEPS (sizeof(script) / sizeof(*script))

/* ---- one edit with its n-th allocation or operation failing; true if that was reached ---- */

typedef bool attempt_fn(struct set_fixture *f, const struct script_step *step, unsigned nth);

static void expect_refused(struct set_fixture *f, enum aspace_error error, enum aspace_error expected)
{
    assert_int_equal(error, expected);
    assert_int_equal(f->why.code, expected);
    set_fixture_unchanged(f);
}

static void expect_done(struct set_fixture *f, enum aspace_error error)
{
    assert_int_equal(error, ASPACE_OK);
    assert_int_equal(f->set.generation, f->generation + 1);
    page_backend_expect(f->backend, &f->set.map);
}

static bool attempt_allocation(struct set_fixture *f, const struct script_step *step, unsigned nth)
{
    enum aspace_error error;
    bool fired;

    failing_alloc_arm(nth);
    error = step->run(f);
    fired = failing_alloc_disarm();
    if (fired)
        expect_refused(f, error, ASPACE_NO_MEMORY);
    else
        expect_done(f, error);
    return fired;
}

static bool attempt_operation(struct set_fixture *f, const struct script_step *step, unsigned nth)
{
    enum aspace_error error;

    page_backend_fail(f->backend, nth, ASPACE_BAD_STATE);
    error = step->run(f);
    if (f->backend->fired)
        expect_refused(f, error, ASPACE_BAD_STATE);
    else
        expect_done(f, error);
    return f->backend->fired;
}

/* Up to here every n fails, from here on some: the later ones are all alike, and each costs a look at everything. */
#define EACH   64
#define STRIDE 11

/* Each edit with n = 1, 2, 3 … until it passes. With `fresh` each n has a state of its own, so that nothing that an
 * earlier attempt took helps a later one. Returns the failures seen. */
static unsigned run_script(enum aspace_merge merge, attempt_fn *attempt, bool fresh)
{
    unsigned failures = 0;

    for (size_t i = 0; i < SCRIPT_STEPS; i++) {
        struct set_fixture f;
        unsigned nth = 1;

        prepare(&f, merge);
        while (attempt(&f, &script[i], nth)) {
            failures++;
            nth += nth < EACH ? 1 : STRIDE;
            if (!fresh)
                continue;
            set_fixture_close(&f);
            prepare(&f, merge);
        }
        set_fixture_close(&f);
    }
    return failures;
}

static void an_edit_whose_nth_allocation_fails_changes_nothing(void **state)
{
    (void)state;
    assert_true(run_script(ASPACE_MERGE_OFF, attempt_allocation, true) > 10);
    assert_true(run_script(ASPACE_MERGE_AUTO, attempt_allocation, true) > 5);
}

static void an_edit_whose_nth_backend_operation_fails_changes_nothing(void **state)
{
    (void)state;
    assert_true(run_script(ASPACE_MERGE_OFF, attempt_operation, false) > 500);
    assert_true(run_script(ASPACE_MERGE_AUTO, attempt_operation, false) > 500);
}

/* From an empty set to many areas, each map first with its first allocation failing: roots and splits included. */
static void growing_a_tree_survives_a_failure_at_every_map(void **state)
{
    struct set_fixture f;
    unsigned failures = 0;

    (void)state;
    set_fixture_open(&f, 16, COLUMNS, ASPACE_MERGE_OFF, "");
    for (uint64_t column = 0; column < COLUMNS; column++) {
        uint64_t at = column * 709 % COLUMNS; /* 709 is prime to it: every column once, in no order */
        size_t count = f.set.map.count;
        uint64_t generation = f.set.generation;

        for (unsigned nth = 1;; nth++) {
            enum aspace_error error;

            failing_alloc_arm(nth);
            error = map_into(&f, at, 1, 'A');
            if (!failing_alloc_disarm()) {
                assert_int_equal(error, ASPACE_OK);
                break;
            }
            failures++;
            assert_int_equal(error, ASPACE_NO_MEMORY);
            assert_int_equal(f.set.map.count, count);
            assert_int_equal(f.set.generation, generation);
            page_backend_expect(f.backend, &f.set.map);
        }
    }
    assert_int_equal(f.set.map.count, COLUMNS);
    assert_true(failures > 10);
    set_fixture_before(&f);
    set_fixture_unchanged(&f); /* which also validates */
    set_fixture_close(&f);
}

/* ---- spaces, tags and the registry ---- */

static enum aspace_error make_space(const char *name, unsigned *destroyed, struct refusal *why, struct space **ret)
{
    struct space_options options = {.name = name, .tag = "a tag", .arch = "none", .bounds = {16, 80}, .max_areas = 100};
    struct page_backend *backend = page_backend_create(16, 64);

    backend->destroyed = destroyed;
    return space_create(&options, &backend->head, why, ret);
}

static void a_space_that_cannot_be_made_takes_its_backend_with_it(void **state)
{
    struct space *space = NULL;
    struct refusal why;
    unsigned destroyed = 0;
    unsigned nth;

    (void)state;
    for (nth = 4;; nth++) { /* the test backend itself makes three */
        enum aspace_error error;

        failing_alloc_arm(nth);
        error = make_space("one", &destroyed, &why, &space);
        if (!failing_alloc_disarm()) {
            assert_int_equal(error, ASPACE_OK);
            break;
        }
        assert_int_equal(error, ASPACE_NO_MEMORY);
        assert_null(space);
        assert_int_equal(destroyed, nth - 3);
    }
    assert_int_equal(nth, 6);
    space_destroy(space);
    assert_int_equal(destroyed, 3);
}

static enum aspace_error map_tagged(struct space *space, uint64_t page, const char *tag, struct refusal *why)
{
    struct map_request request = {.attr = {.flags = RW}, .range = {page, page + 1}};
    struct area area;
    uint64_t at;

    return space_map(space, &request, tag, why, &at, &area);
}

static void a_tagged_map_that_finds_no_memory_changes_nothing(void **state)
{
    struct space *space;
    struct refusal why;

    (void)state;
    assert_int_equal(make_space("one", NULL, &why, &space), ASPACE_OK);
    for (uint64_t page = 16; page < 80; page++) {
        char tag[20];

        snprintf(tag, sizeof(tag), "tag %u", (unsigned)page);
        for (unsigned nth = 1;; nth++) {
            enum aspace_error error;
            struct area area;

            failing_alloc_arm(nth);
            error = map_tagged(space, page, tag, &why);
            if (!failing_alloc_disarm()) {
                assert_int_equal(error, ASPACE_OK);
                assert_true(area_map_find(&space->set.map, page, &area));
                assert_string_equal(tags_text(&space->tags, area.attr.tag), tag);
                break;
            }
            assert_int_equal(error, ASPACE_NO_MEMORY);
            assert_int_equal(space->set.map.count, page - 16);
            assert_int_equal(space->set.generation, page - 16);
        }
    }
    for (uint64_t page = 16; page < 80; page++) {
        char tag[20];
        struct area area;

        snprintf(tag, sizeof(tag), "tag %u", (unsigned)page);
        assert_true(area_map_find(&space->set.map, page, &area));
        assert_string_equal(tags_text(&space->tags, area.attr.tag), tag);
    }
    space_destroy(space);
}

static void a_registry_without_memory_refuses_and_keeps_its_spaces(void **state)
{
    struct registry registry;
    struct space *space;
    struct refusal why;
    unsigned failures = 0;
    char name[20];

    (void)state;
    registry_init(&registry, 100);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "space-%u", i);
        failing_alloc_arm(1);
        if (registry_reserve(&registry, name, &why)) {
            assert_int_equal(why.code, ASPACE_NO_MEMORY);
            failures++;
        } else {
            registry_unreserve(&registry);
        }
        failing_alloc_disarm();
        assert_int_equal(registry.count, i);
        assert_int_equal(registry_reserve(&registry, name, &why), ASPACE_OK);
        assert_int_equal(make_space(name, NULL, &why, &space), ASPACE_OK);
        registry_add(&registry, space);
        assert_ptr_equal(registry_find(&registry, name), space);
    }
    assert_true(failures >= 2);
    assert_non_null(registry_find(&registry, "space-0"));
    registry_free(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_whose_nth_allocation_fails_changes_nothing),
        cmocka_unit_test(an_edit_whose_nth_backend_operation_fails_changes_nothing),
        cmocka_unit_test(growing_a_tree_survives_a_failure_at_every_map),
        cmocka_unit_test(a_space_that_cannot_be_made_takes_its_backend_with_it),
        cmocka_unit_test(a_tagged_map_that_finds_no_memory_changes_nothing),
        cmocka_unit_test(a_registry_without_memory_refuses_and_keeps_its_spaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
