/* Transactions of the interval map undone without memory: edits, each with its inverse held, then the inverses with
 * every allocation failing. Prints its seed; ASPACE_SEED repeats a run. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/area_map_node.h"

#define MOST_EDITS 1000
#define STRIDE     4 /* from one area of a full map to the next */

static bool no_memory;
static unsigned fail_at; /* this many allocations from now one fails; 0 is never */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (no_memory || (fail_at && --fail_at == 0))
        return NULL;
    return __real_aligned_alloc(alignment, size);
}

static uint64_t rng;

/* xorshift64*. */
static uint64_t roll(uint64_t below)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return (rng * UINT64_C(2685821657736338717) >> 8) % below;
}

static int seed(void **state)
{
    const char *text = getenv("ASPACE_SEED");

    (void)state;
    no_memory = false;
    fail_at = 0;
    rng = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;
    print_message("ASPACE_SEED=%" PRIu64 "\n", rng);
    rng |= 1;
    return 0;
}

struct areas {
    size_t count;
    struct area *at; /* owned */
};

/* A held replace: erases `window` and puts `pieces` back. */
struct inverse {
    struct range window;
    struct areas pieces;
};

static void assert_valid(const struct area_map *map)
{
    char problem[200];

    if (!area_map_validate(map, problem, sizeof(problem)))
        fail_msg("%s", problem);
}

static struct areas areas_in(const struct area_map *map, struct range window)
{
    struct areas areas = {0, calloc(map->count + 1, sizeof(struct area))};
    struct area_cursor cursor;
    struct area area;

    assert_non_null(areas.at);
    area_map_seek(map, window.start, &cursor);
    for (; area_cursor_get(&cursor, &area) && area.range.start < window.end; area_cursor_next(&cursor))
        areas.at[areas.count++] = area;
    areas.at = realloc(areas.at, (areas.count + 1) * sizeof(struct area));
    return areas;
}

static void assert_same(const struct area_map *map, const struct areas *before)
{
    struct areas now = areas_in(map, map->bounds);

    assert_valid(map);
    assert_int_equal(now.count, before->count);
    assert_memory_equal(now.at, before->at, now.count * sizeof(struct area));
    free(now.at);
}

/* `count` areas of one page, STRIDE apart; in one piece, so that FULL of them fill every node. */
static void fill(struct area_map *map, size_t count)
{
    struct area *pieces = calloc(count + 1, sizeof(*pieces));

    assert_non_null(pieces);
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct area){{i * STRIDE, i * STRIDE + 1}, {.tag = (uint32_t)i}};
    assert_int_equal(area_map_reserve(map, count), 0);
    area_map_replace(map, (struct range){0, 0}, pieces, count);
    free(pieces);
}

/* Pieces with random sizes and gaps that stay inside `room`. */
static size_t roll_pieces(struct range room, size_t most, struct area *ret)
{
    uint64_t start = room.start;
    size_t count = 0;

    while (count < most && (start += roll(2)) < room.end) {
        uint64_t pages = 1 + roll(2);

        pages = pages < room.end - start ? pages : room.end - start;
        ret[count++] = (struct area){{start, start + pages}, {.tag = (uint32_t)roll(1000)}};
        start += pages;
    }
    return count;
}

/* The window grown to the areas that straddle its edges. */
static struct range whole(const struct areas *areas, struct range window)
{
    if (!areas->count)
        return window;
    if (areas->at[0].range.start < window.start)
        window.start = areas->at[0].range.start;
    if (areas->at[areas->count - 1].range.end > window.end)
        window.end = areas->at[areas->count - 1].range.end;
    return window;
}

/* One random edit, its inverse held before. False if memory ran out, and then nothing changed. */
static bool edit(struct area_map *map, uint64_t pages, struct inverse *ret)
{
    static struct area pieces[500];
    uint64_t start = roll(pages);
    uint64_t size = roll(30) ? 1 + roll(12) : 1 + roll(roll(40) ? 700 : pages);
    struct range window = {start, start + size < pages ? start + size : pages};
    size_t most = roll(4) ? 1 + roll(3) : roll(500);
    size_t count;

    ret->pieces = areas_in(map, window);
    ret->window = whole(&ret->pieces, window);
    count = roll(3) ? roll_pieces(ret->window, most, pieces) : 0;
    if (area_map_hold(map, ret->pieces.count) || area_map_reserve(map, count)) {
        free(ret->pieces.at);
        return false;
    }
    area_map_replace(map, window, pieces, count);
    return true;
}

static void undo(struct area_map *map, const struct inverse *inverse)
{
    area_map_replace(map, inverse->window, inverse->pieces.at, inverse->pieces.count);
    free(inverse->pieces.at);
}

static void transaction(struct area_map *map, uint64_t pages, size_t edits)
{
    static struct inverse inverses[MOST_EDITS];
    struct areas before = areas_in(map, map->bounds);
    size_t made = 0;

    fail_at = roll(3) ? 0 : 1 + (unsigned)roll(2000);
    while (made < edits && edit(map, pages, &inverses[made]))
        made++;
    assert_valid(map);
    no_memory = true;
    if (roll(2)) {
        assert_true(map->spares >= map->held.nodes);
        node_trim(map, map->held.nodes); /* nothing left over, so that what is held alone must be enough */
    }
    while (made)
        undo(map, &inverses[--made]);
    area_map_unhold(map);
    no_memory = false;
    fail_at = 0;
    assert_same(map, &before);
    assert_true(map->spares <= node_need(map, 1) + 4);
    free(before.at);
}

static void a_random_transaction_is_undone_without_memory(void **state)
{
    static const size_t sizes[] = {0, 1, 30, 64, 500, 4096, 20000};
    static const size_t edits[] = {1, 10, 100, MOST_EDITS};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) * 4; i++) {
        size_t count = sizes[i / 4];
        struct area_map map;

        area_map_init(&map, (struct range){0, PAGE_LIMIT});
        fill(&map, count);
        for (unsigned round = 0; round < 6; round++)
            transaction(&map, count * STRIDE + 100, edits[i % 4]);
        area_map_clear(&map);
    }
}

/* The areas that three full levels hold. */
#define FULL (LEAF_WIDTH * INNER_WIDTH * INNER_WIDTH)

static void fill_full(struct area_map *map)
{
    area_map_init(map, (struct range){0, PAGE_LIMIT});
    fill(map, FULL);
    assert_int_equal(map->height, 3);
    assert_int_equal(map->root->children[1]->children[1]->count, LEAF_WIDTH);
}

static void put(struct area_map *map, uint64_t page)
{
    struct area piece = {{page, page + 1}, {0}};

    area_map_replace(map, piece.range, &piece, 1);
}

/*  full node AAAAAAAA  and  AAAAAAAA     of two parents, full too: three parents and a sibling become four, though
 *            AAAAAAA.       .AAAAAAA     nothing comes in leaves */
static void an_erase_between_full_nodes_needs_no_more_than_is_reserved(void **state)
{
    const uint64_t edge = (uint64_t)LEAF_WIDTH * INNER_WIDTH * STRIDE;
    struct area_map map;

    (void)state;
    fill_full(&map);
    node_trim(&map, 0);
    assert_int_equal(area_map_reserve(&map, 0), 0);
    no_memory = true;
    area_map_replace(&map, (struct range){edge - STRIDE, edge + 1}, NULL, 0);
    no_memory = false;
    assert_valid(&map);
    area_map_clear(&map);
}

/* One area of each leaf goes and its return is held; edits that nobody holds fill the leaves again. So every return
 * finds a full leaf, below full parents, and in an order of its own. */
static void held_replaces_into_full_leaves_may_come_in_any_order(void **state)
{
    static uint64_t pages[MOST_EDITS];
    struct area_map map;

    (void)state;
    fill_full(&map);
    for (uint64_t i = 0; i < MOST_EDITS; i++) {
        pages[i] = (i * 3 / 2 + 1) * LEAF_WIDTH * STRIDE + 8;
        assert_int_equal(area_map_hold(&map, 1), 0);
        assert_int_equal(area_map_reserve(&map, 0), 0);
        area_map_replace(&map, (struct range){pages[i], pages[i] + 1}, NULL, 0);
    }
    for (size_t i = 0; i < MOST_EDITS; i++) {
        assert_int_equal(area_map_reserve(&map, 1), 0);
        put(&map, pages[i] + 2);
    }
    assert_true(map.held.nodes < MOST_EDITS * 5 / 2);
    node_trim(&map, map.held.nodes);
    no_memory = true;
    for (size_t left = MOST_EDITS, i; left; pages[i] = pages[--left]) {
        i = roll(left);
        put(&map, pages[i]);
    }
    no_memory = false;
    assert_valid(&map);
    assert_int_equal(map.count, FULL + MOST_EDITS);
    area_map_unhold(&map);
    area_map_clear(&map);
}

/* Nothing is left but the held pieces themselves: the map they must rebuild is larger than the one they find. */
static void a_map_that_was_emptied_comes_back(void **state)
{
    struct range all = {0, PAGE_LIMIT};
    struct areas before;
    struct area_map map;

    (void)state;
    fill_full(&map);
    before = areas_in(&map, all);
    assert_int_equal(area_map_hold(&map, before.count), 0);
    assert_int_equal(area_map_reserve(&map, 0), 0);
    area_map_replace(&map, all, NULL, 0);
    node_trim(&map, map.held.nodes);
    no_memory = true;
    area_map_replace(&map, all, before.at, before.count);
    area_map_unhold(&map);
    no_memory = false;
    assert_same(&map, &before);
    free(before.at);
    area_map_clear(&map);
}

/* The hold knew a small map; a reserve for a far larger one takes what the levels above may need. */
static void a_map_that_grows_after_the_hold_keeps_it_good(void **state)
{
    struct area_map map;

    (void)state;
    area_map_init(&map, (struct range){0, PAGE_LIMIT});
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(area_map_hold(&map, 1), 0);
    fill(&map, FULL);
    node_trim(&map, map.held.nodes);
    no_memory = true;
    for (uint64_t i = 0; i < 100; i++)
        put(&map, (i * 15 + 7) * LEAF_WIDTH * STRIDE + 2);
    no_memory = false;
    assert_valid(&map);
    area_map_unhold(&map);
    area_map_clear(&map);
}

static void a_hold_that_fails_at_any_allocation_changes_nothing(void **state)
{
    struct area_map map;
    size_t memory;
    unsigned n = 0;

    (void)state;
    area_map_init(&map, (struct range){0, PAGE_LIMIT});
    fill(&map, 5000);
    assert_int_equal(area_map_hold(&map, 3), 0);
    memory = area_map_memory(&map);
    for (bool failed = true; failed;) {
        fail_at = ++n;
        failed = area_map_hold(&map, 1000) == ASPACE_NO_MEMORY;
        if (failed)
            assert_int_equal(area_map_memory(&map), memory);
        assert_int_equal(map.held.edits, failed ? 1 : 2);
    }
    fail_at = 0;
    assert_true(n > 3);
    assert_valid(&map);
    area_map_clear(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_random_transaction_is_undone_without_memory, seed),
        cmocka_unit_test_setup(an_erase_between_full_nodes_needs_no_more_than_is_reserved, seed),
        cmocka_unit_test_setup(held_replaces_into_full_leaves_may_come_in_any_order, seed),
        cmocka_unit_test_setup(a_map_that_was_emptied_comes_back, seed),
        cmocka_unit_test_setup(a_map_that_grows_after_the_hold_keeps_it_good, seed),
        cmocka_unit_test_setup(a_hold_that_fails_at_any_allocation_changes_nothing, seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
