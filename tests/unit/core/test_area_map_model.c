/* Random edits of the interval map against two naive models, everything compared and validated after each: an array of
 * pages over a small universe, and a sorted array of areas over all 2^52 pages. Prints its seed; ASPACE_SEED repeats a
 * run and ASPACE_STEPS sets its length. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/area_map_node.h"

#define UNIVERSE    2000
#define MOST_AREAS  20000
#define MOST_PIECES 600

static uint64_t rng;

/* xorshift64*. */
static uint64_t roll(uint64_t below)
{
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return (rng * UINT64_C(2685821657736338717) >> 8) % below;
}

static uint64_t steps(uint64_t fallback)
{
    const char *text = getenv("ASPACE_STEPS");

    return text ? strtoull(text, NULL, 0) : fallback;
}

static int seed(void **state)
{
    const char *text = getenv("ASPACE_SEED");

    (void)state;
    rng = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;
    print_message("ASPACE_SEED=%" PRIu64 "\n", rng);
    rng |= 1;
    return 0;
}

/* The model: areas in an array, in order. */
struct model {
    struct area_map map;
    size_t count;
    struct area areas[MOST_AREAS];
};

static struct model model;
static struct area pieces[MOST_PIECES];

static size_t model_seek(uint64_t page)
{
    size_t lo = 0;
    size_t hi = model.count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (model.areas[mid].range.end > page)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void model_replace(struct range window, size_t count)
{
    size_t lo = model_seek(window.start);
    size_t hi = lo;

    while (hi < model.count && model.areas[hi].range.start < window.end)
        hi++;
    memmove(&model.areas[lo + count], &model.areas[hi], (model.count - hi) * sizeof(struct area));
    memcpy(&model.areas[lo], pieces, count * sizeof(struct area));
    model.count = model.count - (hi - lo) + count;
}

/* Hole i lies before area i; the last one behind all. */
static struct range model_hole(size_t i, struct range window)
{
    struct range bounds = model.map.bounds;
    struct range hole = {i ? model.areas[i - 1].range.end : bounds.start,
                         i < model.count ? model.areas[i].range.start : bounds.end};

    return range_meet(hole, window);
}

static bool model_fit(struct range hole, uint64_t pages, uint64_t align, bool top, uint64_t *ret)
{
    uint64_t low = (hole.start + align - 1) / align * align;

    if (range_empty(hole) || low + pages > hole.end)
        return false;
    *ret = top ? (hole.end - pages) / align * align : low;
    return true;
}

static bool model_free(struct range window, uint64_t pages, uint64_t align, enum aspace_policy policy, uint64_t *ret)
{
    uint64_t best = UINT64_MAX;
    bool found = false;

    for (size_t i = 0; i <= model.count; i++) {
        struct range hole = model_hole(i, window);
        uint64_t page;

        if (!model_fit(hole, pages, align, policy == ASPACE_POLICY_TOP, &page))
            continue;
        if (found && policy == ASPACE_POLICY_FIRST)
            break;
        if (policy == ASPACE_POLICY_BEST && range_pages(hole) >= best)
            continue;
        best = range_pages(hole);
        *ret = page;
        found = true;
    }
    return found;
}

static bool model_largest(struct range window, struct range *ret)
{
    uint64_t size = 0;

    for (size_t i = 0; i <= model.count; i++) {
        struct range hole = model_hole(i, window);

        if (range_empty(hole) || range_pages(hole) <= size)
            continue;
        size = range_pages(hole);
        *ret = hole;
    }
    return size;
}

static void compare_areas(void)
{
    struct area_cursor cursor;
    struct area area;
    char problem[200];
    size_t i;

    if (!area_map_validate(&model.map, problem, sizeof(problem)))
        fail_msg("%s", problem);
    assert_int_equal(model.map.count, model.count);
    area_map_seek(&model.map, 0, &cursor);
    for (i = 0; area_cursor_get(&cursor, &area); i++, area_cursor_next(&cursor))
        if (memcmp(&area, &model.areas[i], sizeof(area)))
            fail_msg("area %zu starts at page %" PRIu64 ", in the map at %" PRIu64, i, model.areas[i].range.start,
                     area.range.start);
    assert_int_equal(i, model.count);
}

static void compare_page(uint64_t page)
{
    size_t i = model_seek(page);
    bool held = i < model.count && model.areas[i].range.start <= page;
    struct area_cursor cursor;
    struct area area;

    assert_int_equal(area_map_find(&model.map, page, &area), held);
    if (held)
        assert_memory_equal(&area, &model.areas[i], sizeof(area));
    assert_int_equal(area_map_before(&model.map, page, &area), i > 0);
    if (i)
        assert_memory_equal(&area, &model.areas[i - 1], sizeof(area));
    area_map_seek(&model.map, page, &cursor);
    assert_int_equal(area_cursor_get(&cursor, &area), i < model.count);
    if (i < model.count)
        assert_memory_equal(&area, &model.areas[i], sizeof(area));
}

static void compare_holes(struct range window, uint64_t pages, uint64_t align)
{
    struct range clipped = range_meet(window, model.map.bounds);
    struct range want = {0, 0};
    struct range got = {0, 0};

    for (int i = ASPACE_POLICY_FIRST; i <= ASPACE_POLICY_TOP; i++) {
        uint64_t want_page = 0;
        uint64_t got_page = 0;

        assert_int_equal(area_map_find_free(&model.map, window, pages, align, (enum aspace_policy)i, &got_page),
                         model_free(clipped, pages, align, (enum aspace_policy)i, &want_page));
        assert_int_equal(got_page, want_page);
    }
    assert_int_equal(area_map_largest_hole(&model.map, window, &got), model_largest(clipped, &want));
    assert_int_equal(got.start, want.start);
    assert_int_equal(got.end, want.end);
}

/* What an edit may fill: from the end of what stays before the window to the start of what stays after it. */
static struct range room_around(struct range window)
{
    size_t lo = model_seek(window.start);
    size_t hi = lo;

    while (hi < model.count && model.areas[hi].range.start < window.end)
        hi++;
    return (struct range){lo ? model.areas[lo - 1].range.end : model.map.bounds.start,
                          hi < model.count ? model.areas[hi].range.start : model.map.bounds.end};
}

/* Pieces from `start` on with random sizes and gaps, until `end` or `most`. */
static size_t roll_pieces(uint64_t start, uint64_t end, size_t most, uint64_t size, uint64_t gap)
{
    size_t count = 0;

    while (count < most) {
        uint64_t pages = 1 + roll(size);

        start += roll(gap);
        if (start >= end)
            break;
        pages = pages < end - start ? pages : end - start;
        pieces[count] = (struct area){{start, start + pages}, {roll(9), (uint32_t)roll(9), (uint16_t)roll(8), 0}};
        start += pages;
        count++;
    }
    return count;
}

static void edit(struct range window, size_t count)
{
    if (roll(2))
        node_trim(&model.map, 0); /* nothing left over, so that the reserve alone must be enough */
    assert_int_equal(area_map_reserve(&model.map, count), 0);
    area_map_replace(&model.map, window, pieces, count);
    if (count && pieces[0].range.start < window.start)
        window.start = pieces[0].range.start;
    if (count && pieces[count - 1].range.end > window.end)
        window.end = pieces[count - 1].range.end;
    model_replace(window, count);
    compare_areas();
}

/* A page array beside it all: it knows nothing of areas, only which page is held. */
static uint8_t held[UNIVERSE];

static void hold(struct range room, size_t count)
{
    memset(&held[room.start], 0, room.end - room.start);
    for (size_t i = 0; i < count; i++)
        memset(&held[pieces[i].range.start], 1, range_pages(pieces[i].range));
}

static void compare_pages(void)
{
    struct area area;
    uint64_t pages = 0;

    for (uint64_t page = 0; page < UNIVERSE; page++) {
        assert_int_equal(area_map_find(&model.map, page, &area), held[page]);
        pages += held[page];
    }
    assert_int_equal(model.map.pages, pages);
}

static struct range roll_window(uint64_t most)
{
    uint64_t start = roll(UNIVERSE);
    uint64_t pages = 1 + roll(most);

    return (struct range){start, pages < UNIVERSE - start ? start + pages : UNIVERSE};
}

static void small_step(uint64_t step)
{
    struct range window = roll_window(step % 50 == 49 ? UNIVERSE : step % 7 ? 6 : 100);
    struct range room = room_around(window);
    bool filling = step / 1000 % 3 < 2;
    uint64_t start = room.start > window.start ? room.start : window.start - roll(window.start - room.start + 1);
    size_t count = 0;

    if (roll(4) < (filling ? 3 : 1))
        count = roll_pieces(start, room.end, 1 + roll(step % 40 ? 3 : 300), filling ? 2 : 9, roll(3) + 1);
    edit(window, count);
    hold(room, count);
    compare_pages();
    compare_page(roll(UNIVERSE));
    compare_holes(roll_window(UNIVERSE), 1 + roll(12), UINT64_C(1) << roll(5));
}

static void the_map_agrees_with_a_page_array(void **state)
{
    uint64_t end = steps(6000);

    (void)state;
    area_map_init(&model.map, (struct range){0, UNIVERSE});
    model.count = 0;
    memset(held, 0, sizeof(held));
    for (uint64_t step = 0; step < end; step++)
        small_step(step);
    area_map_clear(&model.map);
}

static uint64_t roll_page(void)
{
    if (!model.count || roll(4) == 0)
        return roll(PAGE_LIMIT);
    return model.areas[roll(model.count)].range.start + roll(3);
}

static void sparse_step(uint64_t step)
{
    uint64_t page = roll_page() & (PAGE_LIMIT - 1);
    uint64_t pages = UINT64_C(1) << roll(roll(20) ? 6 : step % 97 ? 30 : 52);
    struct range window = {page, pages < PAGE_LIMIT - page ? page + pages : PAGE_LIMIT};
    struct range room = room_around(window);
    uint64_t start = room.start > window.start ? room.start : window.start;
    uint64_t gap = UINT64_C(1) << roll(30);
    bool filling = step / 700 % 3 < 2;
    size_t most = step % 30 ? 1 + roll(4) : 1 + roll(MOST_PIECES);
    size_t count = 0;

    if (roll(8) < (filling ? 7 : 2) && model.count + most < MOST_AREAS)
        count = roll_pieces(start, room.end, most, 1 + roll(20), gap);
    edit(window, count);
    compare_page(roll_page() & (PAGE_LIMIT - 1));
    page = roll_page() & (PAGE_LIMIT - 1);
    compare_holes((struct range){page, page + (UINT64_C(1) << roll(53))}, 1 + roll(UINT64_C(1) << roll(40)),
                  UINT64_C(1) << roll(30));
}

static void the_map_agrees_with_a_sorted_array_over_all_pages(void **state)
{
    uint64_t end = steps(3000);

    (void)state;
    area_map_init(&model.map, (struct range){0, PAGE_LIMIT});
    model.count = 0;
    for (uint64_t step = 0; step < end; step++)
        sparse_step(step);
    area_map_clear(&model.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_map_agrees_with_a_page_array, seed),
        cmocka_unit_test_setup(the_map_agrees_with_a_sorted_array_over_all_pages, seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
