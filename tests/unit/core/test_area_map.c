/* The interval map, function by function, and its validator against planted damage. Random edits against a naive model
 * are test_area_map_model.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/area_map_node.h"

#define ALL              ((struct range){0, PAGE_LIMIT})
#define SPAN(start, end) ((struct range){(start), (end)})

static unsigned fail_at; /* this many allocations from now one fails; 0 is never */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (fail_at && --fail_at == 0)
        return NULL;
    return __real_aligned_alloc(alignment, size);
}

static void assert_valid(const struct area_map *map)
{
    char problem[200];

    if (!area_map_validate(map, problem, sizeof(problem)))
        fail_msg("%s", problem);
}

static struct area area_of(uint64_t start, uint64_t end)
{
    return (struct area){{start, end}, {.delta = start * 3, .tag = (uint32_t)start, .flags = 1}};
}

static void put(struct area_map *map, uint64_t start, uint64_t end)
{
    struct area piece = area_of(start, end);

    assert_int_equal(area_map_reserve(map, 1), 0);
    area_map_replace(map, piece.range, &piece, 1);
}

static void erase(struct area_map *map, uint64_t start, uint64_t end)
{
    assert_int_equal(area_map_reserve(map, 0), 0);
    area_map_replace(map, SPAN(start, end), NULL, 0);
    assert_valid(map);
}

/* `count` areas of one page, the first at `first`, one each `stride` pages, in one edit. */
static void put_many(struct area_map *map, uint64_t first, uint64_t stride, size_t count)
{
    struct area *pieces = calloc(count, sizeof(*pieces));

    assert_non_null(pieces);
    for (size_t i = 0; i < count; i++)
        pieces[i] = area_of(first + i * stride, first + i * stride + 1);
    assert_int_equal(area_map_reserve(map, count), 0);
    area_map_replace(map, SPAN(0, 0), pieces, count);
    free(pieces);
    assert_valid(map);
}

static void assert_next(struct area_cursor *cursor, uint64_t start, uint64_t end)
{
    struct area area;

    assert_true(area_cursor_get(cursor, &area));
    assert_int_equal(area.range.start, start);
    assert_int_equal(area.range.end, end);
    area_cursor_next(cursor);
}

static void assert_free(const struct area_map *map, struct range window, uint64_t pages, uint64_t align,
                        enum aspace_policy policy, uint64_t expected)
{
    uint64_t page = UINT64_MAX;

    assert_true(area_map_find_free(map, window, pages, align, policy, &page));
    assert_int_equal(page, expected);
}

static void assert_none_free(const struct area_map *map, struct range window, uint64_t pages, uint64_t align)
{
    uint64_t page = 77;

    for (int policy = ASPACE_POLICY_FIRST; policy <= ASPACE_POLICY_TOP; policy++)
        assert_false(area_map_find_free(map, window, pages, align, (enum aspace_policy)policy, &page));
    assert_int_equal(page, 77);
}

static void assert_largest(const struct area_map *map, struct range window, uint64_t start, uint64_t end)
{
    struct range hole;

    assert_true(area_map_largest_hole(map, window, &hole));
    assert_int_equal(hole.start, start);
    assert_int_equal(hole.end, end);
}

static void an_empty_map_finds_nothing_and_is_one_hole(void **state)
{
    struct area area = {{1, 2}, {0}};
    struct area_cursor cursor;
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(5, 100));
    assert_valid(&map);
    assert_false(area_map_find(&map, 7, &area));
    assert_int_equal(area.range.start, 1);
    assert_false(area_map_before(&map, 50, &area));
    area_map_seek(&map, 0, &cursor);
    assert_false(area_cursor_get(&cursor, &area));
    assert_false(area_cursor_next(&cursor));
    assert_false(area_cursor_prev(&cursor));
    erase(&map, 0, 1000);
    assert_largest(&map, ALL, 5, 100);
    assert_largest(&map, SPAN(10, 20), 10, 20);
    assert_free(&map, ALL, 95, 1, ASPACE_POLICY_TOP, 5);
    assert_free(&map, ALL, 4, 8, ASPACE_POLICY_FIRST, 8);
    assert_free(&map, ALL, 4, 8, ASPACE_POLICY_BEST, 8);
    assert_free(&map, ALL, 4, 8, ASPACE_POLICY_TOP, 96);
    assert_none_free(&map, ALL, 96, 1);
    area_map_clear(&map);
    assert_int_equal(area_map_memory(&map), 0);
}

static void an_area_is_found_by_each_of_its_pages_and_no_other(void **state)
{
    struct area area;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 10, 13);
    for (uint64_t page = 0; page < 20; page++)
        assert_int_equal(area_map_find(&map, page, &area), page >= 10 && page < 13);
    assert_true(area_map_find(&map, 12, &area));
    assert_int_equal(area.attr.delta, 30);
    assert_int_equal(area.attr.tag, 10);
    assert_int_equal(map.pages, 3);
    area_map_clear(&map);
}

static void the_lowest_and_the_highest_page_are_pages_like_any_other(void **state)
{
    struct area area;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 0, 1);
    put(&map, PAGE_LIMIT - 1, PAGE_LIMIT);
    assert_valid(&map);
    assert_true(area_map_find(&map, 0, &area));
    assert_true(area_map_find(&map, PAGE_LIMIT - 1, &area));
    assert_int_equal(area.range.end, PAGE_LIMIT);
    assert_false(area_map_find(&map, PAGE_LIMIT - 2, &area));
    assert_largest(&map, ALL, 1, PAGE_LIMIT - 1);
    assert_free(&map, ALL, 1, 1, ASPACE_POLICY_TOP, PAGE_LIMIT - 2);
    assert_free(&map, ALL, 1, UINT64_C(1) << 51, ASPACE_POLICY_TOP, UINT64_C(1) << 51);
    assert_none_free(&map, ALL, 1, UINT64_C(1) << 63);
    erase(&map, PAGE_LIMIT - 1, PAGE_LIMIT);
    assert_int_equal(map.count, 1);
    area_map_clear(&map);
}

static void bounds_that_are_exactly_full_have_no_hole(void **state)
{
    struct range hole = {1, 2};
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(100, 300));
    for (uint64_t page = 100; page < 300; page++)
        put(&map, page, page + 1);
    assert_valid(&map);
    assert_int_equal(map.pages, 200);
    assert_false(area_map_largest_hole(&map, ALL, &hole));
    assert_int_equal(hole.start, 1);
    assert_none_free(&map, ALL, 1, 1);
    erase(&map, 299, 300);
    assert_largest(&map, ALL, 299, 300);
    erase(&map, 100, 101);
    assert_largest(&map, ALL, 100, 101);
    area_map_clear(&map);
}

static void a_whole_address_space_can_be_one_area(void **state)
{
    struct range hole;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 0, PAGE_LIMIT);
    assert_valid(&map);
    assert_int_equal(map.pages, PAGE_LIMIT);
    assert_false(area_map_largest_hole(&map, ALL, &hole));
    area_map_clear(&map);
}

static void seek_stops_at_the_first_area_whose_end_is_above_the_page(void **state)
{
    struct area_cursor cursor;
    struct area area;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put_many(&map, 10, 2, 1000); /* 10, 12, 14 ... 2008 */
    for (uint64_t page = 0; page < 2009; page++) {
        area_map_seek(&map, page, &cursor);
        assert_true(area_cursor_get(&cursor, &area));
        assert_int_equal(area.range.start, page < 10 ? 10 : page + page % 2);
        assert_int_equal(area_map_before(&map, page, &area), page > 10);
        if (page > 10)
            assert_int_equal(area.range.start, (page - 1) & ~UINT64_C(1));
    }
    area_map_seek(&map, 2009, &cursor);
    assert_false(area_cursor_get(&cursor, &area));
    assert_false(area_cursor_prev(&cursor));
    assert_true(area_map_before(&map, PAGE_LIMIT - 1, &area));
    assert_int_equal(area.range.start, 2008);
    area_map_clear(&map);
}

static void a_cursor_goes_all_the_way_and_back(void **state)
{
    struct area_cursor cursor;
    struct area_map map;
    struct area area;
    uint64_t i;

    (void)state;
    area_map_init(&map, ALL);
    put_many(&map, 0, 3, 5000);
    area_map_seek(&map, 0, &cursor);
    for (i = 0; area_cursor_get(&cursor, &area); i++, area_cursor_next(&cursor))
        assert_int_equal(area.range.start, i * 3);
    assert_int_equal(i, 5000);
    area_map_seek(&map, 3 * 4999, &cursor);
    do
        assert_true(area_cursor_get(&cursor, &area) && area.range.start == --i * 3);
    while (area_cursor_prev(&cursor));
    assert_int_equal(i, 0);
    assert_false(area_cursor_get(&cursor, &area));
    area_map_clear(&map);
}

/*   AAAA....BBBB....CCCC      window over ....BBBB....
 *   AAAA............CCCC */
static void a_window_erases_what_touches_it_and_nothing_beside_it(void **state)
{
    struct area_cursor cursor;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 0, 4);
    put(&map, 8, 12);
    put(&map, 16, 20);
    erase(&map, 4, 8);
    assert_int_equal(map.count, 3);
    erase(&map, 5, 5);
    assert_int_equal(map.count, 3);
    erase(&map, 4, 16);
    area_map_seek(&map, 0, &cursor);
    assert_next(&cursor, 0, 4);
    assert_next(&cursor, 16, 20);
    assert_int_equal(map.count, 2);
    assert_int_equal(map.pages, 8);
    area_map_clear(&map);
}

/*   AAAA....BBBB      window over the last page of A and the first of B: both go whole, three pieces come
 *   A..X....YY.B */
static void areas_that_straddle_the_window_are_replaced_whole(void **state)
{
    struct area pieces[4] = {area_of(0, 1), area_of(3, 4), area_of(8, 10), area_of(11, 12)};
    struct area_cursor cursor;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 0, 4);
    put(&map, 8, 12);
    assert_int_equal(area_map_reserve(&map, 4), 0);
    area_map_replace(&map, SPAN(3, 9), pieces, 4);
    assert_valid(&map);
    area_map_seek(&map, 0, &cursor);
    for (unsigned i = 0; i < 4; i++)
        assert_next(&cursor, pieces[i].range.start, pieces[i].range.end);
    assert_int_equal(map.count, 4);
    area_map_clear(&map);
}

/* AAAABBBBCCCCDDDD...ZZZZ -> AA..........ZZ: remnants of both edges stay, hundreds of leaves between them go. */
static void a_replace_over_many_leaves_leaves_its_remnants(void **state)
{
    struct area pieces[2] = {area_of(1001, 1003), area_of(49009, 49010)};
    struct area area;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    for (uint64_t i = 0; i < 5000; i++)
        put(&map, i * 10, i * 10 + 10);
    assert_valid(&map);
    assert_true(map.height >= 3);
    assert_int_equal(area_map_reserve(&map, 2), 0);
    area_map_replace(&map, SPAN(1003, 49009), pieces, 2);
    assert_valid(&map);
    assert_int_equal(map.count, 100 + 2 + 99);
    assert_true(area_map_find(&map, 1002, &area));
    assert_false(area_map_find(&map, 1003, &area));
    assert_true(area_map_find(&map, 999, &area));
    assert_true(area_map_find(&map, 49010, &area));
    assert_int_equal(area.range.start, 49010);
    assert_largest(&map, SPAN(0, 50000), 1003, 49009);
    area_map_clear(&map);
}

static void pieces_beside_the_window_are_put_in_order(void **state)
{
    struct area pieces[2] = {area_of(20, 30), area_of(60, 70)};
    struct area_cursor cursor;
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put(&map, 10, 12);
    put(&map, 90, 95);
    assert_int_equal(area_map_reserve(&map, 2), 0);
    area_map_replace(&map, SPAN(40, 41), pieces, 2);
    assert_valid(&map);
    area_map_seek(&map, 12, &cursor);
    assert_next(&cursor, 20, 30);
    assert_next(&cursor, 60, 70);
    assert_next(&cursor, 90, 95);
    area_map_clear(&map);
}

static void a_map_that_grew_to_several_levels_shrinks_back_to_none(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(0, 100000));
    for (uint64_t i = 0; i < 20000; i++)
        put(&map, (i * 7919 % 20000) * 2, (i * 7919 % 20000) * 2 + 1);
    assert_valid(&map);
    assert_true(map.height >= 3);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t page = (i * 104729 % 20000) * 2;

        assert_int_equal(area_map_reserve(&map, 0), 0);
        area_map_replace(&map, SPAN(page, page + 1), NULL, 0);
        if (i % 100 == 0)
            assert_valid(&map);
    }
    assert_int_equal(map.count, 0);
    assert_int_equal(map.height, 0);
    assert_null(map.root);
    assert_largest(&map, ALL, 0, 100000);
    put(&map, 5, 6);
    assert_valid(&map);
    area_map_clear(&map);
}

static void a_huge_erase_gives_its_memory_back(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put_many(&map, 0, 2, 100000);
    assert_true(area_map_memory(&map) > 100000 * sizeof(struct area));
    erase(&map, 0, PAGE_LIMIT);
    assert_int_equal(map.count, 0);
    assert_true(area_map_memory(&map) <= 16 * sizeof(struct area_map_node));
    area_map_clear(&map);
}

static void shuffled_inserts_cost_at_most_48_bytes_an_area(void **state)
{
    struct area_map map;
    const uint64_t count = 100003; /* a prime, so that a stride visits all */

    (void)state;
    area_map_init(&map, ALL);
    for (uint64_t i = 0; i < count; i++)
        put(&map, i * 61813 % count * 2, i * 61813 % count * 2 + 1);
    assert_valid(&map);
    assert_true(area_map_memory(&map) <= 48 * count);
    area_map_clear(&map);
}

/*        0    10   20      40  45      60 64         100
 *        [AAAA]....[BBBBBB][..][CCCCCC]...[DDDDDDDDD].. */
static void each_policy_takes_its_own_hole(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(0, 110));
    put(&map, 0, 10);
    put(&map, 20, 40);
    put(&map, 45, 60);
    put(&map, 64, 100);
    assert_free(&map, ALL, 4, 1, ASPACE_POLICY_FIRST, 10);
    assert_free(&map, ALL, 4, 1, ASPACE_POLICY_BEST, 60);
    assert_free(&map, ALL, 4, 1, ASPACE_POLICY_TOP, 106);
    assert_free(&map, ALL, 5, 1, ASPACE_POLICY_BEST, 40);
    assert_free(&map, ALL, 6, 1, ASPACE_POLICY_BEST, 10);
    assert_free(&map, ALL, 10, 1, ASPACE_POLICY_TOP, 100);
    assert_none_free(&map, ALL, 11, 1);
    assert_none_free(&map, ALL, 0, 1);
    assert_largest(&map, ALL, 10, 20);
    area_map_clear(&map);
}

static void alignment_passes_over_holes_that_are_only_large_enough(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(1, 110));
    put(&map, 1, 9);
    put(&map, 20, 40);
    put(&map, 45, 60);
    put(&map, 68, 100);
    assert_free(&map, ALL, 4, 16, ASPACE_POLICY_FIRST, 16);
    assert_free(&map, ALL, 4, 16, ASPACE_POLICY_BEST, 64);
    assert_free(&map, ALL, 4, 16, ASPACE_POLICY_TOP, 64);
    assert_none_free(&map, ALL, 5, 16);
    area_map_clear(&map);
}

static void a_window_clips_holes_at_both_edges(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(1, 110));
    put(&map, 1, 9);
    put(&map, 20, 40);
    put(&map, 45, 60);
    put(&map, 68, 100);
    assert_free(&map, SPAN(12, 18), 4, 1, ASPACE_POLICY_FIRST, 12);
    assert_free(&map, SPAN(12, 18), 4, 1, ASPACE_POLICY_TOP, 14);
    assert_free(&map, SPAN(12, 18), 2, 4, ASPACE_POLICY_TOP, 16);
    assert_free(&map, SPAN(41, 66), 4, 1, ASPACE_POLICY_FIRST, 41);
    assert_free(&map, SPAN(41, 66), 4, 1, ASPACE_POLICY_BEST, 41);
    assert_free(&map, SPAN(41, 66), 4, 1, ASPACE_POLICY_TOP, 62);
    assert_free(&map, SPAN(105, PAGE_LIMIT), 5, 1, ASPACE_POLICY_FIRST, 105);
    assert_none_free(&map, SPAN(12, 18), 7, 1);
    assert_none_free(&map, SPAN(12, 18), 3, 8);
    assert_none_free(&map, SPAN(20, 40), 1, 1);
    assert_none_free(&map, SPAN(30, 30), 1, 1);
    assert_none_free(&map, SPAN(200, 300), 1, 1);
    assert_largest(&map, SPAN(12, 18), 12, 18);
    assert_largest(&map, SPAN(17, 48), 40, 45);
    assert_largest(&map, SPAN(15, 45), 15, 20);
    area_map_clear(&map);
}

static void every_hole_is_known_wherever_leaves_meet(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, SPAN(0, 7997));
    put_many(&map, 0, 4, 2000);
    for (uint64_t page = 4; page < 7996; page += 4) {
        assert_int_equal(area_map_reserve(&map, 0), 0);
        area_map_replace(&map, SPAN(page, page + 1), NULL, 0);
        assert_largest(&map, ALL, page - 3, page + 4);
        assert_free(&map, ALL, 7, 1, ASPACE_POLICY_FIRST, page - 3);
        assert_free(&map, ALL, 4, 1, ASPACE_POLICY_BEST, page - 3);
        assert_free(&map, ALL, 4, 1, ASPACE_POLICY_TOP, page);
        assert_largest(&map, SPAN(page, 7997), page, page + 4);
        put(&map, page, page + 1);
        if (page % 64 == 0)
            assert_valid(&map);
    }
    assert_valid(&map);
    assert_none_free(&map, ALL, 4, 1);
    area_map_clear(&map);
}

static void free_pages_at_the_end_alone_are_found(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, ALL);
    put_many(&map, 0, 2, 50000);
    for (int policy = ASPACE_POLICY_FIRST; policy <= ASPACE_POLICY_BEST; policy++)
        assert_free(&map, ALL, 2, 1, (enum aspace_policy)policy, 99999);
    assert_free(&map, ALL, 2, 1, ASPACE_POLICY_TOP, PAGE_LIMIT - 2);
    assert_largest(&map, SPAN(0, 99999), 1, 2);
    area_map_clear(&map);
}

static void a_reserve_that_fails_at_any_allocation_changes_nothing(void **state)
{
    struct area_map map;
    unsigned n = 0;

    (void)state;
    for (bool failed = true; failed;) {
        size_t spares;
        size_t memory;

        area_map_init(&map, ALL);
        put_many(&map, 0, 2, 500);
        spares = map.spares;
        memory = area_map_memory(&map);
        fail_at = ++n;
        failed = area_map_reserve(&map, 1000) == ASPACE_NO_MEMORY;
        if (failed) {
            assert_int_equal(map.spares, spares);
            assert_int_equal(area_map_memory(&map), memory);
        }
        fail_at = 0;
        assert_int_equal(map.count, 500);
        assert_valid(&map);
        area_map_clear(&map);
    }
    assert_true(n > 3);
}

/* ---- planted damage ---- */

static struct area_map_node *first_leaf(const struct area_map *map)
{
    struct area_map_node *node = map->root;

    while (node->level)
        node = node->children[0];
    return node;
}

static void assert_problem(const struct area_map *map, const char *kind)
{
    char problem[200] = "";

    assert_false(area_map_validate(map, problem, sizeof(problem)));
    if (strncmp(problem, kind, strlen(kind)))
        fail_msg("expected a problem of %s, not '%s'", kind, problem);
}

/* Sets a field wrong, checks that it is seen, and sets it right. */
#define ASSERT_SEEN(map, kind, field, wrong)                                                                           \
    do {                                                                                                               \
        __typeof__(field) right_ = (field);                                                                            \
        (field) = (wrong);                                                                                             \
        assert_problem(map, kind);                                                                                     \
        (field) = right_;                                                                                              \
        assert_valid(map);                                                                                             \
    } while (0)

static int make_deep(void **state)
{
    struct area_map *map = malloc(sizeof(*map));

    if (!map)
        return -1;
    area_map_init(map, ALL);
    put_many(map, 6, 3, 6000);
    erase(map, 6 + 3 * 40, 6 + 3 * 41); /* so that the second leaf has an unused key */
    assert_true(map->height >= 3);
    assert_int_equal(area_map_reserve(map, 1), 0);
    *state = map;
    return 0;
}

static int free_deep(void **state)
{
    area_map_clear(*state);
    free(*state);
    return 0;
}

static void damaged_areas_are_seen(void **state)
{
    struct area_map *map = *state;
    struct area_map_node *leaf = first_leaf(map)->next;
    struct area_map_node *last = leaf;

    while (last->next)
        last = last->next;
    ASSERT_SEEN(map, "order", leaf->keys[3], leaf->keys[5]);
    ASSERT_SEEN(map, "order", leaf->ends[3], leaf->keys[3]);
    ASSERT_SEEN(map, "disjointness", leaf->ends[3], leaf->keys[4] + 1);
    ASSERT_SEEN(map, "bounds", last->ends[last->count - 1], PAGE_LIMIT + 1);
    ASSERT_SEEN(map, "bounds", map->bounds.start, 7);
    ASSERT_SEEN(map, "counts", leaf->ends[3], leaf->ends[3] + 1);
}

static void damaged_nodes_are_seen(void **state)
{
    struct area_map *map = *state;
    struct area_map_node *leaf = first_leaf(map)->next;
    struct area_map_node *inner = map->root->children[1];

    ASSERT_SEEN(map, "fill", leaf->count, LEAF_MIN - 1);
    ASSERT_SEEN(map, "fill", inner->count, INNER_WIDTH + 1);
    ASSERT_SEEN(map, "padding", leaf->keys[leaf->count], PAGE_LIMIT - 1);
    ASSERT_SEEN(map, "padding", inner->keys[inner->count], PAGE_LIMIT - 1);
    ASSERT_SEEN(map, "depth", leaf->level, 1);
    ASSERT_SEEN(map, "depth", map->height, map->height - 1);
    ASSERT_SEEN(map, "depth", map->height, 0);
    ASSERT_SEEN(map, "depth", inner->children[2], NULL);
    ASSERT_SEEN(map, "separators", inner->keys[1], inner->keys[1] - 1);
    ASSERT_SEEN(map, "separators", map->root->keys[1], map->root->keys[1] - 1);
    ASSERT_SEEN(map, "holes", inner->holes[1], inner->holes[1] + 1);
    ASSERT_SEEN(map, "holes", map->root->holes[0], map->root->holes[0] - 1);
    ASSERT_SEEN(map, "links", leaf->next, NULL);
    ASSERT_SEEN(map, "links", leaf->prev, NULL);
    ASSERT_SEEN(map, "links", inner->prev, NULL);
}

static void wrong_counts_are_seen(void **state)
{
    struct area_map *map = *state;

    ASSERT_SEEN(map, "counts", map->count, map->count + 1);
    ASSERT_SEEN(map, "counts", map->pages, map->pages - 1);
    ASSERT_SEEN(map, "counts", map->spares, map->spares + 1);
    ASSERT_SEEN(map, "counts", map->spares, map->spares - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing_and_is_one_hole),
        cmocka_unit_test(an_area_is_found_by_each_of_its_pages_and_no_other),
        cmocka_unit_test(the_lowest_and_the_highest_page_are_pages_like_any_other),
        cmocka_unit_test(bounds_that_are_exactly_full_have_no_hole),
        cmocka_unit_test(a_whole_address_space_can_be_one_area),
        cmocka_unit_test(seek_stops_at_the_first_area_whose_end_is_above_the_page),
        cmocka_unit_test(a_cursor_goes_all_the_way_and_back),
        cmocka_unit_test(a_window_erases_what_touches_it_and_nothing_beside_it),
        cmocka_unit_test(areas_that_straddle_the_window_are_replaced_whole),
        cmocka_unit_test(a_replace_over_many_leaves_leaves_its_remnants),
        cmocka_unit_test(pieces_beside_the_window_are_put_in_order),
        cmocka_unit_test(a_map_that_grew_to_several_levels_shrinks_back_to_none),
        cmocka_unit_test(a_huge_erase_gives_its_memory_back),
        cmocka_unit_test(shuffled_inserts_cost_at_most_48_bytes_an_area),
        cmocka_unit_test(each_policy_takes_its_own_hole),
        cmocka_unit_test(alignment_passes_over_holes_that_are_only_large_enough),
        cmocka_unit_test(a_window_clips_holes_at_both_edges),
        cmocka_unit_test(every_hole_is_known_wherever_leaves_meet),
        cmocka_unit_test(free_pages_at_the_end_alone_are_found),
        cmocka_unit_test(a_reserve_that_fails_at_any_allocation_changes_nothing),
        cmocka_unit_test_setup_teardown(damaged_areas_are_seen, make_deep, free_deep),
        cmocka_unit_test_setup_teardown(damaged_nodes_are_seen, make_deep, free_deep),
        cmocka_unit_test_setup_teardown(wrong_counts_are_seen, make_deep, free_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
