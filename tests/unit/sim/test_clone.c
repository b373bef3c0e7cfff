/* Copy-on-write: spaces and their clones against a plain copy of every byte; counts; every allocation that may fail. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/failing_alloc.h"
#include "space_fixture.h"

/* ---- what a clone is ---- */

static void a_clone_has_the_contents_and_takes_frames_for_its_tables_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 4000);
        struct space *b;
        uint64_t used;

        map(a, 0x1000, 700, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        put(a, 0x1000, 11);
        put(a, 0x1000 + 699, 22);
        used = counts(a).in_ram;
        b = clone_of(a);
        assert_int_equal(counts(b).in_ram, used + counts(a).tables);
        assert_int_equal(counts(b).tables, counts(a).tables);
        assert_int_equal(counts(b).data, 700);
        assert_int_equal(counts(b).shared, 700);
        assert_int_equal(get(b, 0x1000), 11);
        assert_int_equal(get(b, 0x1000 + 699), 22);
        expect_sound(a);
        expect_sound(b);
        space_destroy(a);
        assert_int_equal(counts(b).shared, 0);
        assert_int_equal(get(b, 0x1000 + 699), 22);
        expect_sound(b);
        space_destroy(b);
    }
}

static void the_first_write_of_either_copies_and_the_last_owner_keeps_its_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 100);
        struct space *b;
        uint64_t used;

        map(a, 16, 3, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        put(a, 16, 1);
        assert_int_equal(touch(a, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_HIT);
        b = clone_of(a);
        used = counts(a).in_ram;
        assert_int_equal(touch(a, 16, ASPACE_ACCESS_READ), ASPACE_OUTCOME_HIT);
        assert_int_equal(touch(a, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_COPIED);
        assert_int_equal(touch(a, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_HIT);
        assert_int_equal(counts(a).in_ram, used + 1);
        assert_int_equal(touch(b, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_COPIED); /* its own already: no frame more */
        assert_int_equal(counts(a).in_ram, used + 1);
        put(b, 17, 9);
        assert_int_equal(get(a, 17), 0);
        assert_int_equal(get(a, 16), 1);
        expect_sound(a);
        expect_sound(b);
        space_destroy(b);
        expect_sound(a);
        space_destroy(a);
    }
}

static void a_page_that_is_not_writable_faults_and_is_not_copied(void **state)
{
    struct space *a = make_space("x86_64", 100);
    struct space *b;
    uint64_t used;
    size_t changed;

    (void)state;
    map(a, 16, 1, R, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
    b = clone_of(a);
    used = counts(a).in_ram;
    assert_int_equal(touch(a, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_FAULT);
    assert_int_equal(counts(a).in_ram, used);
    assert_int_equal(
        memory_set_protect(&a->set, (struct range){16, 17}, ASPACE_WRITE, 0, ASPACE_HOLES_SKIP, &why, &changed),
        ASPACE_OK);
    assert_int_equal(touch(a, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_COPIED);
    assert_int_equal(touch(b, 16, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_FAULT);
    expect_sound(a);
    expect_sound(b);
    space_destroy(a);
    space_destroy(b);
}

static void a_write_to_a_large_page_copies_one_small_page_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 4096);
        struct space *b;
        uint64_t used;

        map(a, 512, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
        put(a, 600, 7);
        b = clone_of(a);
        used = counts(a).in_ram;
        put(b, 601, 8);
        assert_int_equal(counts(a).in_ram, used + 2); /* a table and a page */
        assert_int_equal(counts(a).shared, 511);
        assert_int_equal(get(b, 600), 7);
        assert_int_equal(get(a, 601), 0);
        expect_sound(a);
        expect_sound(b);
        space_destroy(a);
        assert_int_equal(get(b, 600), 7);
        expect_sound(b);
        space_destroy(b);
    }
}

static void a_large_page_that_nobody_else_has_any_more_stays_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPACE_ARCHS; i++) {
        struct space *a = make_space(space_archs[i], 4096);
        struct space *b;
        uint64_t used;
        unsigned level;

        map(a, 512, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
        b = clone_of(a);
        space_destroy(b);
        used = counts(a).in_ram;
        put(a, 600, 7);
        assert_int_equal(touch(a, 601, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_HIT);
        assert_int_equal(counts(a).in_ram, used);
        assert_non_null(sim_leaf(sim_of(a->backend), 600, &level));
        assert_int_equal(level, 2);
        assert_int_equal(get(a, 600), 7);
        expect_sound(a);
        space_destroy(a);
    }
}

static void a_large_page_of_which_others_have_a_part_is_broken(void **state)
{
    struct space *a = make_space("x86_64", 4096);
    struct space *b;
    struct space *c;
    unsigned level;

    (void)state;
    map(a, 512, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
    b = clone_of(a);
    put(b, 1000, 1); /* b's is in small pages now, and shares all but one with a */
    c = clone_of(b);
    space_destroy(b);
    put(a, 600, 7);
    assert_non_null(sim_leaf(sim_of(a->backend), 600, &level));
    assert_int_equal(level, 1);
    put(a, 1000, 3); /* a's alone: kept, not copied */
    assert_int_equal(get(c, 600), 0);
    assert_int_equal(get(c, 1000), 1);
    expect_sound(a);
    expect_sound(c);
    space_destroy(a);
    expect_sound(c);
    space_destroy(c);
}

static void an_access_over_two_pages_copies_both_or_none(void **state)
{
    uint64_t id;

    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct inject_fault fault = {.op = ASPACE_INJECT_FRAME, .step = nth, .count = 1, .error = ASPACE_NO_MEMORY};
        struct space *a = make_space("x86_64", 300);
        struct space *b;
        struct access access;
        struct area area;
        uint64_t used;
        bool has;

        map(a, 16, 2, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        b = clone_of(a);
        used = counts(a).in_ram;
        assert_int_equal(space_inject(b, &fault, 10, &why, &id), ASPACE_OK);
        if (space_access(b, page_addr(17) - 4, 8, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, &why, &access, &area, &has)) {
            assert_int_equal(why.code, ASPACE_NO_MEMORY);
            assert_int_equal(counts(a).in_ram, used);
            assert_int_equal(counts(a).shared, 2);
        } else {
            assert_int_equal(nth, 3);
            assert_int_equal(access.outcome, ASPACE_OUTCOME_COPIED);
            assert_int_equal(counts(a).in_ram, used + 2);
        }
        space_uninject_all(b);
        expect_sound(a);
        expect_sound(b);
        space_destroy(a);
        space_destroy(b);
    }
}

static void a_long_chain_of_clones_ends_in_any_order(void **state)
{
    struct space *chain[40];

    (void)state;
    for (int order = 0; order < 3; order++) {
        chain[0] = make_space("x86_64", 2000);
        map(chain[0], 16, 64, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        for (int i = 1; i < 40; i++) {
            assert_int_equal(space_clone(chain[i - 1], "c", NULL, &why, &chain[i]), ASPACE_OK);
            put(chain[i], 16 + (uint64_t)i, (uint8_t)i);
        }
        assert_int_equal(counts(chain[0]).in_ram, 40 * 4 + 64 + 39);
        for (int i = 0; i < 40; i++) {
            int at = order == 0 ? i : order == 1 ? 39 - i : i * 7 % 40;

            assert_int_equal(get(chain[at], 16 + (uint64_t)at), at);
            assert_int_equal(get(chain[at], 16 + (uint64_t)at + 1), 0);
            if (i % 13 == 0)
                expect_sound(chain[at]);
            space_destroy(chain[at]);
        }
    }
}

static void a_clone_goes_its_own_way_in_areas_and_tags(void **state)
{
    struct map_request request = {.attr = {.flags = RW, .backing = ASPACE_BACKING_LAZY}, .range = {100, 110}};
    struct space *a = make_space("x86_64", 100);
    struct space *b;
    struct area area;
    uint64_t at;
    size_t removed;

    (void)state;
    assert_int_equal(space_map(a, &request, "heap", &why, &at, &area), ASPACE_OK);
    assert_int_equal(space_clone(a, "b", "a copy", &why, &b), ASPACE_OK);
    assert_string_equal(b->tag, "a copy");
    assert_int_equal(b->set.map.count, 1);
    assert_true(area_map_find(&b->set.map, 105, &area));
    assert_string_equal(tags_text(&b->tags, area.attr.tag), "heap");
    assert_int_equal(memory_set_clear(&a->set, &why, &removed), ASPACE_OK);
    assert_int_equal(b->set.map.count, 1);
    space_destroy(a);
    assert_string_equal(tags_text(&b->tags, area.attr.tag), "heap");
    expect_sound(b);
    space_destroy(b);
}

static void the_limit_of_ram_is_that_of_all_clones_together(void **state)
{
    struct space *a = make_space("x86_64", 20);
    struct space *b;
    uint8_t byte = 1;

    (void)state;
    map(a, 16, 10, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K); /* 4 tables, 10 of data */
    b = clone_of(a);                                          /* 4 tables */
    assert_int_equal(counts(a).in_ram, 18);
    put(b, 16, 1);
    put(a, 17, 1);
    assert_int_equal(counts(a).in_ram, 20);
    assert_int_equal(space_write(b, page_addr(18), &byte, 1, &why), ASPACE_NO_MEMORY);
    assert_int_equal(get(b, 18), 0);
    expect_sound(a);
    expect_sound(b);
    space_destroy(a);
    put(b, 18, 1);
    assert_int_equal(counts(b).in_ram, 14);
    space_destroy(b);
}

/* ---- failures ---- */

static void a_clone_is_refused_whole_at_every_frame_that_it_takes(void **state)
{
    uint64_t id;
    unsigned refusals = 0;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct inject_fault fault = {.op = ASPACE_INJECT_FRAME, .step = nth, .count = 1, .error = ASPACE_NO_MEMORY};
        struct space *a = make_space("x86_64", 3000);
        struct space *b = NULL;
        struct frame_counts before;
        enum aspace_error error;

        map(a, 0x100, 1030, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_4K);
        before = counts(a);
        assert_int_equal(space_inject(a, &fault, 10, &why, &id), ASPACE_OK);
        error = space_clone(a, "b", NULL, &why, &b);
        space_uninject_all(a);
        expect_sound(a);
        if (error == ASPACE_OK)
            space_destroy(b);
        else
            assert_int_equal(touch(a, 0x100, ASPACE_ACCESS_WRITE), ASPACE_OUTCOME_HIT);
        assert_int_equal(counts(a).in_ram, before.in_ram);
        space_destroy(a);
        if (error == ASPACE_OK)
            break;
        assert_int_equal(error, ASPACE_NO_MEMORY);
        refusals++;
    }
    assert_int_equal(refusals, 3 + 3); /* every table */
}

static void a_copy_that_gets_no_frame_leaves_the_page_as_it_was(void **state)
{
    uint64_t id;
    unsigned refusals = 0;

    (void)state;
    for (uint64_t nth = 1; nth <= 3; nth++) { /* a split's table, the copy, nothing */
        struct inject_fault fault = {.op = ASPACE_INJECT_FRAME, .step = nth, .count = 1, .error = ASPACE_NO_MEMORY};
        struct space *a = make_space("x86_64", 3000);
        struct space *b;
        uint8_t byte = 1;

        map(a, 512, 512, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_2M);
        b = clone_of(a);
        assert_int_equal(space_inject(b, &fault, 10, &why, &id), ASPACE_OK);
        if (space_write(b, page_addr(700), &byte, 1, &why)) {
            assert_int_equal(why.code, ASPACE_NO_MEMORY);
            assert_int_equal(counts(a).shared, 512);
            assert_int_equal(counts(b).tables, 3);
            assert_int_equal(get(b, 700), 0);
            refusals++;
        }
        space_uninject_all(b);
        expect_sound(b);
        expect_sound(a);
        space_destroy(b);
        space_destroy(a);
    }
    assert_int_equal(refusals, 2);
}

static void a_clone_is_refused_whole_at_every_allocation(void **state)
{
    struct map_request request = {.attr = {.flags = RW, .backing = ASPACE_BACKING_EAGER}, .range = {100, 110}};
    unsigned refusals = 0;

    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct space *a = make_space("x86_64", 300);
        struct space *b = NULL;
        struct frame_counts before;
        enum aspace_error error;
        struct area area;
        uint64_t at;

        assert_int_equal(space_map(a, &request, "tag", &why, &at, &area), ASPACE_OK);
        before = counts(a);
        failing_alloc_arm(nth);
        error = space_clone(a, "b", "tag", &why, &b);
        failing_alloc_disarm();
        if (error == ASPACE_OK)
            space_destroy(b);
        assert_int_equal(counts(a).in_ram, before.in_ram);
        assert_int_equal(counts(a).shared, 0);
        put(a, 100, 3);
        assert_int_equal(get(a, 100), 3);
        expect_sound(a);
        space_destroy(a);
        if (error == ASPACE_OK)
            break;
        assert_int_equal(error, ASPACE_NO_MEMORY);
        refusals++;
    }
    assert_true(refusals >= 8);
}

/* ---- a model ---- */

#define PAGES  UINT64_C(2048) /* from BASE on: four leaves of 2 MiB */
#define BASE   UINT64_C(0x40000)
#define SPACES 5
#define STEPS  1200

struct model {
    struct space *space; /* NULL: none */
    bool mapped[PAGES];
    uint8_t byte[PAGES];
};

static unsigned seed;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

static void expect_like(struct model *m)
{
    static uint8_t bytes[PAGES * ASPACE_PAGE_SIZE];

    for (uint64_t page = 0, end; page < PAGES; page = end) {
        for (end = page; end < PAGES && m->mapped[end];)
            end++;
        if (end == page) {
            end++;
            continue;
        }
        assert_int_equal(space_read(m->space, page_addr(BASE + page), bytes, page_addr(end - page), &why), ASPACE_OK);
        for (uint64_t i = page; i < end; i++)
            assert_int_equal(bytes[page_addr(i - page) + 5], m->byte[i]);
    }
}

/* Refusals for want of RAM may come; they change nothing. */
static void step(struct model *models)
{
    struct model *m = &models[any(SPACES)];
    struct model *other = &models[any(SPACES)];
    uint64_t page = any(PAGES);
    uint64_t count = 1 + any(any(4) ? 20 : 700);
    struct range range;
    uint64_t pages;
    size_t number;
    uint8_t byte = (uint8_t)any(256);

    if (!m->space)
        return;
    count = count < PAGES - page ? count : PAGES - page;
    range = (struct range){BASE + page, BASE + page + count};
    switch (any(9)) {
    case 0:
        if (other->space && other != m && any(2)) {
            space_destroy(other->space);
            other->space = NULL;
        } else if (!other->space && space_clone(m->space, "c", NULL, &why, &other->space) == ASPACE_OK) {
            memcpy(other->mapped, m->mapped, sizeof(m->mapped));
            memcpy(other->byte, m->byte, sizeof(m->byte));
        }
        return;
    case 1:
        if (try_map(m->space, range, RW, any(2) ? ASPACE_BACKING_EAGER : ASPACE_BACKING_LAZY,
                    any(2) ? ASPACE_PAGE_AUTO : ASPACE_PAGE_4K))
            return;
        memset(m->mapped + page, true, count);
        memset(m->byte + page, 0, count);
        return;
    case 2:
        if (memory_set_unmap(&m->space->set, range, ASPACE_HOLES_SKIP, &why, &pages, &number) == ASPACE_OK)
            memset(m->mapped + page, false, count);
        return;
    case 3:
        memory_set_protect(&m->space->set, range, any(2) ? RW : R, RW, ASPACE_HOLES_SKIP, &why, &number);
        return;
    case 4:
        if (m->mapped[page])
            touch(m->space, BASE + page, any(2) ? ASPACE_ACCESS_WRITE : ASPACE_ACCESS_READ);
        return;
    default:
        for (uint64_t i = page; i < page + 3 && i < PAGES; i++)
            if (m->mapped[i] && space_write(m->space, page_addr(BASE + i) + 5, &byte, 1, &why) == ASPACE_OK)
                m->byte[i] = byte;
    }
}

static void any_mixture_of_edits_writes_and_clones_is_what_whole_copies_would_be(void **state)
{
    static struct model models[SPACES];
    const char *given = getenv("ASPACE_SEED");

    (void)state;
    seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    print_message("seed %u (ASPACE_SEED repeats it)\n", seed);
    for (size_t a = 0; a < SPACE_ARCHS; a++) {
        memset(models, 0, sizeof(models));
        models[0].space = make_space(space_archs[a], 5000);
        map(models[0].space, BASE, PAGES, RW, ASPACE_BACKING_EAGER, ASPACE_PAGE_AUTO);
        memset(models[0].mapped, true, PAGES);
        for (unsigned i = 0; i < STEPS; i++) {
            step(models);
            for (unsigned s = 0; s < SPACES && i % 20 == 0; s++) {
                if (!models[s].space)
                    continue;
                expect_like(&models[s]);
                expect_sound(models[s].space);
            }
        }
        for (unsigned s = 0; s < SPACES; s++)
            if (models[s].space)
                space_destroy(models[s].space);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clone_has_the_contents_and_takes_frames_for_its_tables_alone),
        cmocka_unit_test(the_first_write_of_either_copies_and_the_last_owner_keeps_its_frame),
        cmocka_unit_test(a_page_that_is_not_writable_faults_and_is_not_copied),
        cmocka_unit_test(a_write_to_a_large_page_copies_one_small_page_of_it),
        cmocka_unit_test(a_large_page_that_nobody_else_has_any_more_stays_whole),
        cmocka_unit_test(a_large_page_of_which_others_have_a_part_is_broken),
        cmocka_unit_test(an_access_over_two_pages_copies_both_or_none),
        cmocka_unit_test(a_long_chain_of_clones_ends_in_any_order),
        cmocka_unit_test(a_clone_goes_its_own_way_in_areas_and_tags),
        cmocka_unit_test(the_limit_of_ram_is_that_of_all_clones_together),
        cmocka_unit_test(a_clone_is_refused_whole_at_every_frame_that_it_takes),
        cmocka_unit_test(a_copy_that_gets_no_frame_leaves_the_page_as_it_was),
        cmocka_unit_test(a_clone_is_refused_whole_at_every_allocation),
        cmocka_unit_test(any_mixture_of_edits_writes_and_clones_is_what_whole_copies_would_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
