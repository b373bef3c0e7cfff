/* What the edits of a memory set cost, in nodes of the interval map read or written: O(log n + k) for k areas touched
 * among n. Only a build with ASPACE_CHECKS counts; the others skip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/area_map_node.h"
#include "core/memory_set.h"
#include "nop_backend.h"

#define FIRST  16 /* the first area's page */
#define STRIDE 4  /* from one area to the next; an area has three pages */
#define RW     (ASPACE_READ | ASPACE_WRITE)

#ifdef ASPACE_CHECKS
#define COUNTED true
#else
#define COUNTED false
#endif

/* A level costs a few visits for each of: the way down, the edges and their siblings, what the parents keep. */
#define EACH_LEVEL 8

/* The k areas lie in about k / LEAF_MIN nodes at most, with those of the levels above. Each is read by the plan and for the
 * backend and let go, and protect writes another. */
#define EACH_NODE 3

/* n areas of three pages, each STRIDE after the one before; with `gapless` of four, so that neighbours meet. */
static void fill(struct memory_set *set, size_t n, bool gapless)
{
    memory_set_init(set, (struct range){0, PAGE_LIMIT}, &nop_backend, ASPACE_MERGE_OFF, SIZE_MAX);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t start = FIRST + i * 7919 % n * STRIDE; /* 7919 is prime and no divisor of any n here */
        struct area piece = {{start, start + STRIDE - !gapless}, {.flags = RW}};

        assert_int_equal(area_map_reserve(&set->map, 1), 0);
        area_map_replace(&set->map, piece.range, &piece, 1);
    }
    assert_int_equal(set->map.count, n);
}

/* From the middle of one area to the middle of another: the edges are cut, k + 1 areas are touched. */
static struct range middle(size_t n, size_t k)
{
    uint64_t start = FIRST + (n - k) / 2 * STRIDE + 1;

    return (struct range){start, start + k * STRIDE};
}

typedef void edit_fn(struct memory_set *set, struct range range);

static void unmap(struct memory_set *set, struct range range)
{
    struct refusal why;
    uint64_t pages;
    size_t removed;

    assert_int_equal(memory_set_unmap(set, range, ASPACE_HOLES_SKIP, &why, &pages, &removed), 0);
}

static void protect(struct memory_set *set, struct range range)
{
    struct refusal why;
    size_t changed;

    assert_int_equal(memory_set_protect(set, range, ASPACE_READ, RW, ASPACE_HOLES_SKIP, &why, &changed), 0);
    assert_true(changed > 0);
}

static void map_replace(struct memory_set *set, struct range range)
{
    struct map_request request = {.attr.flags = RW, .range = range, .overlap = ASPACE_OVERLAP_REPLACE};
    struct refusal why;
    struct area area;
    uint64_t page;

    assert_int_equal(memory_set_map(set, &request, &why, &page, &area), 0);
    assert_true(range_equal(area.range, range));
}

static void merge(struct memory_set *set, struct range range)
{
    struct refusal why;
    size_t merged;

    assert_int_equal(memory_set_merge(set, range, &why, &merged), 0);
    assert_true(merged > 0);
}

/* Every hole inside is one page: none fits. */
static void find_free(struct memory_set *set, struct range range)
{
    struct placement place = {.pages = 2, .align = 1, .has_within = true, .within = range};
    struct refusal why;
    uint64_t page;

    assert_int_equal(memory_set_find_free(set, &place, &why, &page), ASPACE_NOT_FOUND);
}

static const size_t sizes[] = {100, 1000, 10000, 100000};

/* Over k areas of n; O(log n) alone unless `by_areas`. */
static void check_cost(edit_fn *edit, size_t n, size_t k, bool gapless, bool by_areas)
{
    struct memory_set set;
    uint64_t bound;

    fill(&set, n, gapless);
    bound = EACH_LEVEL * set.map.height + (by_areas ? EACH_NODE * (k / LEAF_MIN) : 0);
    node_visits_set(0);
    edit(&set, middle(n, k));
    if (node_visits() > bound)
        fail_msg("%zu areas of %zu: %ju visits, not %ju at most", k, n, (uintmax_t)node_visits(), (uintmax_t)bound);
    assert_true(node_visits() > 0);
    memory_set_free(&set);
}

static void check_costs(edit_fn *edit, bool gapless, bool by_areas)
{
    if (!COUNTED)
        skip();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t k = 1; k < sizes[i]; k = k * 3 + 1)
            check_cost(edit, sizes[i], k, gapless, by_areas);
}

static void unmap_costs_the_areas_that_it_touches(void **state)
{
    (void)state;
    check_costs(unmap, false, true);
}

static void protect_costs_the_areas_that_it_touches(void **state)
{
    (void)state;
    check_costs(protect, false, true);
}

static void map_replace_costs_the_areas_that_it_touches(void **state)
{
    (void)state;
    check_costs(map_replace, false, true);
}

static void merge_costs_the_areas_that_it_touches(void **state)
{
    (void)state;
    check_costs(merge, true, true);
}

static void find_free_costs_the_same_for_any_range(void **state)
{
    (void)state;
    check_costs(find_free, false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmap_costs_the_areas_that_it_touches),
        cmocka_unit_test(protect_costs_the_areas_that_it_touches),
        cmocka_unit_test(map_replace_costs_the_areas_that_it_touches),
        cmocka_unit_test(merge_costs_the_areas_that_it_touches),
        cmocka_unit_test(find_free_costs_the_same_for_any_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
