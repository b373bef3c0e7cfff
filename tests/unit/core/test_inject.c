/* Injected faults: which operations they choose, which of these they fail, and that a memory set is then as before. */
#include <string.h>

#include "core/space.h"
#include "failing_alloc.h"
#include "set_fixture.h"

#define MOST 64

/* ---- The list alone ---- */

static uint64_t add(struct inject *inject, struct inject_fault fault)
{
    struct refusal why;
    uint64_t id = 0;

    assert_int_equal(inject_add(inject, &fault, MOST, &why, &id), ASPACE_OK);
    return id;
}

/* The fault on `op` with that step and count. */
static struct inject_fault fault_on(enum aspace_inject_op op, bool each, uint64_t step, uint64_t count)
{
    return (struct inject_fault){.op = op, .each = each, .step = step, .count = count, .error = ASPACE_BAD_STATE};
}

/* Asks for one page once for each letter of `expected`: 'x' where it must fail, '.' where not. */
static void expect_map(struct inject *inject, const char *expected)
{
    struct refusal why;

    for (const char *at = expected; *at; at++) {
        bool fires = inject_fires(inject, ASPACE_INJECT_MAP, (struct range){5, 6}, &why);

        if (fires != (*at == 'x'))
            fail_msg("operation %d of \"%s\"", (int)(at - expected) + 1, expected);
    }
}

static void expect_pattern(struct inject_fault fault, const char *expected)
{
    struct inject inject = {0};

    add(&inject, fault);
    expect_map(&inject, expected);
    inject_free(&inject);
}

static void the_nth_operation_fails_and_with_a_count_those_after_it(void **state)
{
    (void)state;
    expect_pattern(fault_on(ASPACE_INJECT_MAP, false, 1, 1), "x........");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, false, 3, 1), "..x......");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, false, 3, 4), "..xxxx...");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, false, UINT64_MAX, UINT64_MAX), ".........");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, false, 2, UINT64_MAX), ".xxxxxxxx");
}

static void of_every_k_operations_the_last_fails_count_times_at_most(void **state)
{
    (void)state;
    expect_pattern(fault_on(ASPACE_INJECT_MAP, true, 1, 3), "xxx......");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, true, 3, 1), "..x......");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, true, 3, 2), "..x..x...");
    expect_pattern(fault_on(ASPACE_INJECT_MAP, true, 3, UINT64_MAX), "..x..x..x");
}

static void other_operations_are_neither_seen_nor_failed(void **state)
{
    struct inject inject = {0};
    struct refusal why;

    (void)state;
    add(&inject, fault_on(ASPACE_INJECT_FRAME, false, 1, 1));
    expect_map(&inject, "....");
    assert_false(inject_fires(&inject, ASPACE_INJECT_UNMAP, (struct range){1, 2}, &why));
    assert_false(inject_fires(&inject, ASPACE_INJECT_PROTECT, (struct range){1, 2}, &why));
    assert_int_equal(inject.faults[0].seen, 0);
    assert_true(inject_fires(&inject, ASPACE_INJECT_FRAME, (struct range){1, 2}, &why));
    assert_int_equal(inject.faults[0].seen, 1);
    assert_int_equal(inject.faults[0].fired, 1);
    inject_free(&inject);
}

static void only_operations_that_touch_within_are_chosen(void **state)
{
    static const struct {
        struct range range;
        bool chosen;
    } cases[] = {
        {{0, 10}, false}, {{20, 30}, false}, {{0, 11}, true},  {{19, 30}, true},
        {{10, 20}, true}, {{12, 13}, true},  {{0, 100}, true}, {{PAGE_LIMIT - 1, PAGE_LIMIT}, false},
    };
    struct inject inject = {0};
    struct inject_fault fault = fault_on(ASPACE_INJECT_UNMAP, false, 1, UINT64_MAX);
    struct refusal why;

    (void)state;
    fault.has_within = true;
    fault.within = (struct range){10, 20};
    add(&inject, fault);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(inject_fires(&inject, ASPACE_INJECT_UNMAP, cases[i].range, &why), cases[i].chosen);
    inject_free(&inject);
}

static void a_refusal_has_the_chosen_error_and_names_the_fault_the_operation_and_the_range(void **state)
{
    struct inject inject = {0};
    struct inject_fault fault = fault_on(ASPACE_INJECT_PROTECT, false, 1, 2);
    struct refusal why;

    (void)state;
    add(&inject, fault_on(ASPACE_INJECT_MAP, false, 1, 1));
    fault.error = ASPACE_TARGET_GONE;
    add(&inject, fault);
    assert_true(inject_fires(&inject, ASPACE_INJECT_PROTECT, (struct range){1, 3}, &why));
    assert_int_equal(why.code, ASPACE_TARGET_GONE);
    assert_string_equal(why.message, "injected fault 2 (protect) refused the range from 0x1000 to 0x2fff");
    assert_non_null(why.hint);
    assert_true(inject_fires(&inject, ASPACE_INJECT_PROTECT, (struct range){0, PAGE_LIMIT}, &why));
    assert_non_null(strstr(why.message, "from 0x0 to 0xffffffffffffffff"));
    inject_free(&inject);
}

static void the_lowest_of_several_that_are_due_fires_and_the_others_have_seen_it(void **state)
{
    struct inject inject = {0};

    (void)state;
    add(&inject, fault_on(ASPACE_INJECT_MAP, false, 2, 1));
    add(&inject, fault_on(ASPACE_INJECT_MAP, false, 2, 1)); /* fires one later */
    add(&inject, fault_on(ASPACE_INJECT_MAP, true, 3, 2));  /* the third is taken from it */
    expect_map(&inject, ".xx..x..x...");
    assert_int_equal(inject.faults[0].fired, 1);
    assert_int_equal(inject.faults[1].fired, 1);
    assert_int_equal(inject.faults[2].fired, 2);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(inject.faults[i].seen, 12); /* spent ones go on counting */
    inject_free(&inject);
}

static void counts_that_were_kept_can_be_put_back(void **state)
{
    struct inject inject = {0};

    (void)state;
    add(&inject, fault_on(ASPACE_INJECT_MAP, false, 3, 2));
    expect_map(&inject, "..");
    inject_keep(&inject);
    expect_map(&inject, "xx.");
    inject_put_back(&inject);
    assert_int_equal(inject.faults[0].seen, 2);
    assert_int_equal(inject.faults[0].fired, 0);
    expect_map(&inject, "xx.");
    inject_free(&inject);
}

static void ids_are_never_used_again(void **state)
{
    struct inject inject = {0};

    (void)state;
    for (uint64_t id = 1; id <= 20; id++)
        assert_int_equal(add(&inject, fault_on(ASPACE_INJECT_MAP, false, id, 1)), id);
    assert_false(inject_remove(&inject, 0));
    assert_false(inject_remove(&inject, 21));
    assert_true(inject_remove(&inject, 7));
    assert_false(inject_remove(&inject, 7));
    assert_true(inject_remove(&inject, 1));
    assert_true(inject_remove(&inject, 20));
    assert_int_equal(inject.count, 17);
    assert_int_equal(add(&inject, fault_on(ASPACE_INJECT_MAP, false, 1, 1)), 21);
    for (size_t i = 1; i < inject.count; i++)
        assert_true(inject.faults[i - 1].id < inject.faults[i].id);
    assert_int_equal(inject.faults[5].id, 8);
    assert_int_equal(inject.faults[5].step, 8);
    inject_free(&inject);
}

static void more_faults_than_the_limit_are_refused_and_so_is_one_without_memory(void **state)
{
    struct inject inject = {0};
    struct inject_fault fault = fault_on(ASPACE_INJECT_MAP, false, 1, 1);
    struct refusal why;
    uint64_t id = 99;

    (void)state;
    failing_alloc_arm(1);
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_NO_MEMORY);
    assert_true(failing_alloc_disarm());
    assert_int_equal(inject.count, 0);
    assert_int_equal(id, 99);
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_OK);
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_OK);
    assert_int_equal(id, 2);
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_NO_MEMORY);
    assert_int_equal(id, 2);
    expect_map(&inject, "xx."); /* spent, and in the way all the same */
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_NO_MEMORY);
    assert_true(inject_remove(&inject, 1));
    assert_int_equal(inject_add(&inject, &fault, 2, &why, &id), ASPACE_OK);
    assert_int_equal(id, 3);
    inject_free(&inject);
}

/* ---- Under a memory set ---- */

typedef enum aspace_error edit_fn(struct set_fixture *f);

static enum aspace_error replace(struct set_fixture *f)
{
    return set_fixture_map(f, 'N', "..[..........].....", ASPACE_OVERLAP_REPLACE);
}

static enum aspace_error unmap(struct set_fixture *f)
{
    uint64_t pages;
    size_t removed;

    return memory_set_unmap(&f->set, set_fixture_range(f, "..[..........]....."), ASPACE_HOLES_SKIP, &f->why, &pages,
                            &removed);
}

static enum aspace_error clear(struct set_fixture *f)
{
    size_t removed;

    return memory_set_clear(&f->set, &f->why, &removed);
}

static enum aspace_error protect(struct set_fixture *f)
{
    size_t changed;

    return memory_set_protect(&f->set, set_fixture_range(f, "..[..........]....."), 0, ASPACE_WRITE, ASPACE_HOLES_SKIP,
                              &f->why, &changed);
}

static enum aspace_error shrink(struct set_fixture *f)
{
    struct area area;

    return memory_set_shrink(&f->set, f->base, 2, ASPACE_SIDE_LEFT, &f->why, &area);
}

/* Fails `edit` at each of its operations in turn until it passes: it has `operations`. */
static void expect_operations(edit_fn *edit, enum aspace_inject_op op, unsigned operations)
{
    struct inject inject = {0};
    struct set_fixture f;
    unsigned nth = 1;

    set_fixture_draw(&f, ASPACE_MERGE_OFF, "AAAA..BBBB..CCCC...");
    set_fixture_before(&f);
    for (;; nth++) {
        struct inject_fault fault = fault_on(op, false, nth, 1);
        uint64_t id;

        fault.error = ASPACE_DENIED;
        id = add(&inject, fault);
        f.backend->head.inject = &inject;
        if (edit(&f) == ASPACE_OK)
            break;
        assert_int_equal(f.why.code, ASPACE_DENIED);
        set_fixture_unchanged(&f);
        assert_true(inject_remove(&inject, id));
    }
    assert_int_equal(nth, operations + 1);
    assert_int_equal(f.set.generation, f.generation + 1);
    f.backend->head.inject = NULL;
    inject_free(&inject);
    set_fixture_close(&f);
}

static void every_edit_can_be_failed_at_each_of_its_operations_and_is_then_undone(void **state)
{
    (void)state;
    expect_operations(replace, ASPACE_INJECT_UNMAP, 3);
    expect_operations(replace, ASPACE_INJECT_MAP, 1);
    expect_operations(replace, ASPACE_INJECT_PROTECT, 0);
    expect_operations(unmap, ASPACE_INJECT_UNMAP, 3);
    expect_operations(unmap, ASPACE_INJECT_MAP, 0);
    expect_operations(clear, ASPACE_INJECT_UNMAP, 3);
    expect_operations(protect, ASPACE_INJECT_PROTECT, 3);
    expect_operations(shrink, ASPACE_INJECT_UNMAP, 1);
}

/* For injection a move is the unmap of the old place, then the map of the new one. */

static unsigned moves;

static enum aspace_error count_move(struct backend *backend, const struct area *piece, uint64_t to, struct refusal *why)
{
    (void)backend, (void)piece, (void)to, (void)why;
    moves++;
    return ASPACE_OK;
}

static void a_move_can_be_failed_at_its_old_and_at_its_new_place(void **state)
{
    static const struct backend_ops ops = {.name = "moves", .move = count_move};
    struct inject inject = {0};
    struct backend backend = {.ops = &ops, .inject = &inject};
    struct area piece = {{4, 8}, {0}};
    struct refusal why;

    (void)state;
    add(&inject, fault_on(ASPACE_INJECT_UNMAP, false, 1, 1));
    add(&inject, fault_on(ASPACE_INJECT_MAP, false, 1, 1));
    assert_int_equal(backend_move(&backend, &piece, 20, &why), ASPACE_BAD_STATE);
    assert_non_null(strstr(why.message, "1 (unmap) refused the range from 0x4000 to 0x7fff"));
    assert_int_equal(backend_move(&backend, &piece, 20, &why), ASPACE_BAD_STATE);
    assert_non_null(strstr(why.message, "2 (map) refused the range from 0x14000 to 0x17fff"));
    assert_int_equal(moves, 0);
    assert_int_equal(backend_move(&backend, &piece, 20, &why), ASPACE_OK);
    backend.inject = NULL;
    assert_int_equal(backend_move(&backend, &piece, 20, &why), ASPACE_OK);
    assert_int_equal(moves, 2);
    inject_free(&inject);
}

/* ---- In a space ---- */

static void the_backend_knows_the_list_only_while_it_holds_something(void **state)
{
    struct space_options options = {
        .name = "one", .arch = "none", .bounds = {16, 80}, .merge = ASPACE_MERGE_OFF, .max_areas = 10};
    struct page_backend *backend = page_backend_create(16, 64);
    struct inject_fault fault = fault_on(ASPACE_INJECT_MAP, false, 1, 1);
    struct refusal why;
    struct space *space;
    uint64_t id;

    (void)state;
    assert_int_equal(space_create(&options, &backend->head, &why, &space), ASPACE_OK);
    assert_null(backend->head.inject);
    fault.has_within = true;
    fault.within = (struct range){15, 17};
    assert_int_equal(space_inject(space, &fault, MOST, &why, &id), ASPACE_INVALID_PARAM);
    assert_string_equal(why.param, "within");
    assert_null(backend->head.inject);
    fault.has_within = false;
    assert_int_equal(space_inject(space, &fault, MOST, &why, &id), ASPACE_OK);
    assert_int_equal(id, 1);
    assert_ptr_equal(backend->head.inject, &space->inject);
    assert_int_equal(space_uninject(space, 2, &why), ASPACE_NOT_FOUND);
    assert_string_equal(why.param, "id");
    assert_int_equal(space_uninject(space, 1, &why), ASPACE_OK);
    assert_null(backend->head.inject);
    assert_int_equal(space_inject(space, &fault, MOST, &why, &id), ASPACE_OK);
    assert_int_equal(space_inject(space, &fault, MOST, &why, &id), ASPACE_OK);
    space_uninject_all(space);
    assert_null(backend->head.inject);
    assert_int_equal(space_inject(space, &fault, MOST, &why, &id), ASPACE_OK);
    assert_int_equal(id, 4);
    space_destroy(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_operation_fails_and_with_a_count_those_after_it),
        cmocka_unit_test(of_every_k_operations_the_last_fails_count_times_at_most),
        cmocka_unit_test(other_operations_are_neither_seen_nor_failed),
        cmocka_unit_test(only_operations_that_touch_within_are_chosen),
        cmocka_unit_test(a_refusal_has_the_chosen_error_and_names_the_fault_the_operation_and_the_range),
        cmocka_unit_test(the_lowest_of_several_that_are_due_fires_and_the_others_have_seen_it),
        cmocka_unit_test(counts_that_were_kept_can_be_put_back),
        cmocka_unit_test(ids_are_never_used_again),
        cmocka_unit_test(more_faults_than_the_limit_are_refused_and_so_is_one_without_memory),
        cmocka_unit_test(every_edit_can_be_failed_at_each_of_its_operations_and_is_then_undone),
        cmocka_unit_test(a_move_can_be_failed_at_its_old_and_at_its_new_place),
        cmocka_unit_test(the_backend_knows_the_list_only_while_it_holds_something),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
