/* The steps of the model. */
#include "memory_set_model.h"

#include <stdio.h>

/* Edits of one transaction: fewer than the test backend's log holds of the largest. */
#define TRANSACTION_MOST 10

/* A set whose tree is deep from the start. */
#define DEEP_PAGES 8192

/* ---- values ---- */

static uint64_t roll(struct model *m, uint64_t below)
{
    return m->roll(m, below);
}

static bool one_in(struct model *m, uint64_t n)
{
    return roll(m, n) == 0;
}

/* Mostly short, at times long. */
static uint64_t roll_pages(struct model *m, uint64_t most)
{
    uint64_t limit = one_in(m, m->long_odds) ? most : one_in(m, m->long_odds / 4) ? 16 : 3;

    return 1 + roll(m, limit < most ? limit : most);
}

static struct range roll_range(struct model *m)
{
    uint64_t count = range_pages(m->bounds);
    uint64_t pages = roll_pages(m, count);
    uint64_t start = m->bounds.start + roll(m, count - pages + 1);

    return (struct range){start, start + pages};
}

/* The start of some area if there is one near, else any page. */
static uint64_t roll_page(struct model *m, bool area_start)
{
    uint64_t page = m->bounds.start + roll(m, range_pages(m->bounds));
    struct area area;

    if (area_start && memory_set_first(&m->set, (struct range){page, m->bounds.end}, &area))
        return area.range.start;
    return page;
}

static uint32_t roll_tag(struct model *m)
{
    return one_in(m, 3) ? 1 + (uint32_t)roll(m, 4) : 0;
}

static uint16_t roll_flags(struct model *m)
{
    return (uint16_t)roll(m, 4); /* few, so that neighbours are often alike */
}

static struct placement roll_placement(struct model *m)
{
    struct placement place = {.pages = roll_pages(m, one_in(m, 2) ? 8 : range_pages(m->bounds)),
                              .align = one_in(m, 2) ? 1 : UINT64_C(1) << roll(m, 8),
                              .policy = (enum aspace_policy)roll(m, 3),
                              .has_hint = one_in(m, 4),
                              .has_within = one_in(m, 3)};

    if (place.has_hint)
        place.hint = roll_page(m, one_in(m, 2));
    if (place.has_within)
        place.within = roll_range(m);
    return place;
}

/* ---- the outcome of an edit ---- */

/* Expects `error` to be what the backend's failure, the limit or `expected` makes it; on success the oracle follows. */
static void settle(struct model *m, enum aspace_error error, enum aspace_error expected, bool changes)
{
    if (!expected && changes && !oracle_finish(&m->oracle))
        expected = ASPACE_NO_MEMORY;
    if (m->backend->fired)
        expected = m->backend->fail_with;
    assert_int_equal(error, expected);
    m->refused = error != ASPACE_OK;
    if (error)
        assert_int_equal(m->why.code, error);
    else if (changes)
        oracle_accept(&m->oracle);
}

static enum aspace_holes roll_holes(struct model *m)
{
    return one_in(m, 4) ? ASPACE_HOLES_REFUSE : ASPACE_HOLES_SKIP;
}

static enum aspace_error expect_holes(struct model *m, struct range range, enum aspace_holes holes)
{
    return holes == ASPACE_HOLES_REFUSE && oracle_hole_in(&m->oracle, range) ? ASPACE_NOT_FOUND : ASPACE_OK;
}

/* ---- one step of each kind ---- */

static struct range window_of(struct model *m, const struct placement *place)
{
    struct range window = place->has_within ? place->within : m->bounds;

    if (place->has_hint && place->hint > window.start)
        window.start = place->hint;
    if (window.start == 0 && !place->has_hint && !place->has_within)
        window.start = 1;
    return window;
}

/* Whether the oracle finds room, and that a refusal told of the largest hole. */
static bool expect_place(struct model *m, const struct placement *place, enum aspace_error error, uint64_t *ret)
{
    struct range window = window_of(m, place);
    struct range hole;

    if (oracle_find_free(&m->oracle, window, place->pages, place->align, place->policy, ret))
        return true;
    assert_int_equal(error, ASPACE_NOT_FOUND);
    assert_int_equal(m->why.has_hole, oracle_largest_hole(&m->oracle, window, &hole));
    if (m->why.has_hole) {
        assert_int_equal(m->why.hole_start, page_addr(hole.start));
        assert_int_equal(m->why.hole_size, range_bytes(hole));
    }
    return false;
}

static void step_find_free(struct model *m)
{
    struct placement place = roll_placement(m);
    uint64_t page = 0;
    uint64_t expected;
    enum aspace_error error = memory_set_find_free(&m->set, &place, &m->why, &page);

    if (expect_place(m, &place, error, &expected)) {
        assert_int_equal(error, ASPACE_OK);
        assert_int_equal(page, expected);
    }
}

static void roll_attr(struct model *m, struct map_request *request)
{
    request->attr.flags = roll_flags(m);
    request->attr.tag = roll_tag(m);
    if (!one_in(m, 3))
        return;
    request->attr.backing = ASPACE_BACKING_LINEAR;
    request->pa_page = 100000;
}

/* Linear areas lie at one of two offsets, the second of which wraps. */
static void roll_offset(struct model *m, struct map_request *request, uint64_t start)
{
    if (request->attr.backing == ASPACE_BACKING_LINEAR)
        request->pa_page = start + (one_in(m, 2) ? 1000 : UINT64_C(0) - m->bounds.start);
}

static void expect_mapped(struct model *m, struct range range, uint64_t page, const struct area *area)
{
    struct area expected;

    assert_int_equal(page, range.start);
    assert_true(oracle_find(&m->oracle, range.start, &expected));
    assert_true(range_equal(area->range, expected.range));
    assert_true(area_attr_equal(&area->attr, &expected.attr));
}

static void step_map(struct model *m)
{
    struct map_request request = {.placed = one_in(m, 3)};
    enum aspace_error expected = ASPACE_OK;
    enum aspace_error error;
    struct area in_the_way;
    struct area_attr attr;
    struct area area;
    uint64_t page;

    roll_attr(m, &request);
    request.overlap = one_in(m, 2) ? ASPACE_OVERLAP_REPLACE : ASPACE_OVERLAP_FAIL;
    request.range = roll_range(m);
    if (request.placed)
        request.place = roll_placement(m);
    else
        roll_offset(m, &request, request.range.start);
    if (!request.placed && request.overlap == ASPACE_OVERLAP_FAIL &&
        oracle_first(&m->oracle, request.range, &in_the_way))
        expected = ASPACE_ALREADY_EXISTS;
    error = memory_set_map(&m->set, &request, &m->why, &page, &area);
    if (request.placed) {
        if (!expect_place(m, &request.place, error, &request.range.start)) {
            m->refused = true;
            return;
        }
        request.range.end = request.range.start + request.place.pages;
    }
    if (expected)
        assert_int_equal(m->why.conflict, page_addr(in_the_way.range.start));
    attr = request.attr;
    attr.delta = attr.backing == ASPACE_BACKING_LINEAR ? request.pa_page - request.range.start : 0;
    oracle_begin(&m->oracle);
    oracle_map(&m->oracle, request.range, &attr, m->backend->identities);
    settle(m, error, expected, true);
    if (!error)
        expect_mapped(m, request.range, page, &area);
}

static void step_unmap(struct model *m)
{
    struct range range = roll_range(m);
    enum aspace_holes holes = roll_holes(m);
    uint64_t pages;
    uint64_t expected_pages;
    size_t removed;
    size_t expected_removed;
    enum aspace_error error = memory_set_unmap(&m->set, range, holes, &m->why, &pages, &removed);

    oracle_begin(&m->oracle);
    oracle_unmap(&m->oracle, range, &expected_pages, &expected_removed);
    settle(m, error, expect_holes(m, range, holes), expected_pages > 0);
    if (error)
        return;
    assert_int_equal(pages, expected_pages);
    assert_int_equal(removed, expected_removed);
}

static void step_protect(struct model *m)
{
    struct range range = roll_range(m);
    enum aspace_holes holes = roll_holes(m);
    bool absolute = one_in(m, 2);
    uint16_t set = roll_flags(m);
    uint16_t clear = absolute ? 7 : (uint16_t)(roll_flags(m) & ~set);
    size_t changed;
    size_t expected_changed;
    enum aspace_error error = memory_set_protect(&m->set, range, set, clear, holes, &m->why, &changed);

    oracle_begin(&m->oracle);
    oracle_protect(&m->oracle, range, set, clear, &expected_changed);
    settle(m, error, expect_holes(m, range, holes), expected_changed > 0);
    if (!error)
        assert_int_equal(changed, expected_changed);
}

static void step_shrink(struct model *m)
{
    uint64_t start = roll_page(m, !one_in(m, 8));
    uint64_t pages = roll(m, 8);
    enum aspace_side side = one_in(m, 2) ? ASPACE_SIDE_LEFT : ASPACE_SIDE_RIGHT;
    enum aspace_error expected = ASPACE_OK;
    struct area old;
    struct area area;
    struct range gone;
    uint64_t gone_pages;
    size_t removed;
    bool there = oracle_find(&m->oracle, start, &old) && old.range.start == start;
    enum aspace_error error = memory_set_shrink(&m->set, start, pages, side, &m->why, &area);

    if (!there)
        expected = ASPACE_NOT_FOUND;
    else if (pages == 0 || pages >= range_pages(old.range))
        expected = ASPACE_INVALID_PARAM;
    if (expected) {
        settle(m, error, expected, false);
        return;
    }
    gone = side == ASPACE_SIDE_LEFT ? (struct range){start, old.range.end - pages}
                                    : (struct range){start + pages, old.range.end};
    oracle_begin(&m->oracle);
    oracle_unmap(&m->oracle, gone, &gone_pages, &removed);
    settle(m, error, ASPACE_OK, true);
    if (error)
        return;
    assert_true(oracle_find(&m->oracle, side == ASPACE_SIDE_LEFT ? gone.end : start, &old));
    assert_true(range_equal(area.range, old.range) && area_attr_equal(&area.attr, &old.attr));
}

static enum aspace_error expect_split(struct model *m, uint64_t at)
{
    struct area area;

    if (m->oracle.join)
        return ASPACE_UNSUPPORTED;
    if (oracle_find(&m->oracle, at, &area))
        return area.range.start == at ? ASPACE_INVALID_PARAM : ASPACE_OK;
    return at > m->bounds.start && oracle_find(&m->oracle, at - 1, &area) ? ASPACE_INVALID_PARAM : ASPACE_NOT_FOUND;
}

static void step_split(struct model *m)
{
    uint64_t at = roll_page(m, one_in(m, 8));
    enum aspace_error expected = expect_split(m, at);
    struct area left;
    struct area right;
    struct area area;
    enum aspace_error error = memory_set_split(&m->set, at, &m->why, &left, &right);

    oracle_begin(&m->oracle);
    if (!expected)
        oracle_split(&m->oracle, at);
    settle(m, error, expected, true);
    if (error)
        return;
    assert_true(oracle_find(&m->oracle, at - 1, &area) && range_equal(area.range, left.range));
    assert_true(oracle_find(&m->oracle, at, &area) && range_equal(area.range, right.range));
}

static void step_merge(struct model *m)
{
    struct range range = roll_range(m);
    size_t merged;
    size_t expected;
    enum aspace_error error = memory_set_merge(&m->set, range, &m->why, &merged);

    oracle_begin(&m->oracle);
    oracle_merge(&m->oracle, range, &expected);
    settle(m, error, ASPACE_OK, expected > 0);
    if (!error)
        assert_int_equal(merged, expected);
}

static void step_unmap_tag(struct model *m)
{
    uint32_t tag = 1 + (uint32_t)roll(m, 4);
    uint64_t pages;
    uint64_t expected_pages;
    size_t removed;
    size_t expected_removed;
    enum aspace_error error = memory_set_unmap_tag(&m->set, tag, &m->why, &pages, &removed);

    oracle_begin(&m->oracle);
    oracle_unmap_tag(&m->oracle, tag, &expected_pages, &expected_removed);
    settle(m, error, ASPACE_OK, expected_pages > 0);
    if (error)
        return;
    assert_int_equal(pages, expected_pages);
    assert_int_equal(removed, expected_removed);
}

static void step_protect_tag(struct model *m)
{
    uint32_t tag = 1 + (uint32_t)roll(m, 4);
    uint16_t set = roll_flags(m);
    uint16_t clear = one_in(m, 2) ? 7 : (uint16_t)(roll_flags(m) & ~set);
    size_t changed;
    size_t expected;
    enum aspace_error error = memory_set_protect_tag(&m->set, tag, set, clear, &m->why, &changed);

    oracle_begin(&m->oracle);
    oracle_protect_tag(&m->oracle, tag, set, clear, &expected);
    settle(m, error, ASPACE_OK, expected > 0);
    if (!error)
        assert_int_equal(changed, expected);
}

static struct move_request roll_move(struct model *m)
{
    struct move_request request = {.start = roll_page(m, !one_in(m, 16)),
                                   .has_new_start = !one_in(m, 3),
                                   .has_new_pages = one_in(m, 2),
                                   .overlap = one_in(m, 2) ? ASPACE_OVERLAP_REPLACE : ASPACE_OVERLAP_FAIL};

    request.new_start = one_in(m, 4) ? roll_page(m, true) : roll_page(m, false);
    request.new_pages = one_in(m, 50) ? PAGE_LIMIT : roll_pages(m, range_pages(m->bounds));
    return request;
}

/* What is expected of the move, and where it goes from and to if that is no refusal. */
static enum aspace_error expect_move(struct model *m, const struct move_request *request, struct range *old,
                                     struct range *to)
{
    uint64_t pages;
    struct area area;
    struct range into;

    if (!oracle_find(&m->oracle, request->start, &area) || area.range.start != request->start)
        return ASPACE_NOT_FOUND;
    if (!request->has_new_start && !request->has_new_pages)
        return ASPACE_INVALID_PARAM;
    *old = area.range;
    pages = request->has_new_pages ? request->new_pages : range_pages(*old);
    to->start = request->has_new_start ? request->new_start : old->start;
    to->end = to->start + pages;
    if (to->end > m->bounds.end || (request->has_new_start && range_overlaps(*old, *to)))
        return ASPACE_INVALID_PARAM;
    into = request->has_new_start ? *to : (struct range){old->end, to->end};
    if (request->overlap == ASPACE_OVERLAP_FAIL && oracle_first(&m->oracle, into, &area))
        return ASPACE_ALREADY_EXISTS;
    return ASPACE_OK;
}

static void step_move(struct model *m)
{
    struct move_request request = roll_move(m);
    struct range old;
    struct range to;
    struct area area;
    enum aspace_error expected = expect_move(m, &request, &old, &to);
    enum aspace_error error = memory_set_move(&m->set, &request, &m->why, &area);

    if (expected) {
        settle(m, error, expected, false);
        return;
    }
    oracle_begin(&m->oracle);
    oracle_move(&m->oracle, old, to, m->backend->identities);
    settle(m, error, ASPACE_OK, !range_equal(old, to));
    if (!error)
        expect_mapped(m, to, to.start, &area);
}

static void step_clear(struct model *m)
{
    uint64_t pages;
    size_t removed;
    size_t expected;
    enum aspace_error error;

    if (!one_in(m, m->long_odds)) /* seldom: a full set is worth more */
        return;
    error = memory_set_clear(&m->set, &m->why, &removed);
    oracle_begin(&m->oracle);
    oracle_unmap(&m->oracle, m->bounds, &pages, &expected);
    settle(m, error, ASPACE_OK, pages > 0);
    if (!error)
        assert_int_equal(removed, expected);
}

static void step_find(struct model *m)
{
    struct range range = roll_range(m);
    struct area area = {{0, 0}, {0}};
    struct area expected = {{0, 0}, {0}};

    assert_int_equal(area_map_find(&m->set.map, range.start, &area), oracle_find(&m->oracle, range.start, &expected));
    assert_true(range_equal(area.range, expected.range) && area_attr_equal(&area.attr, &expected.attr));
    assert_int_equal(memory_set_first(&m->set, range, &area), oracle_first(&m->oracle, range, &expected));
    assert_true(range_equal(area.range, expected.range) && area_attr_equal(&area.attr, &expected.attr));
}

static void step_transaction(struct model *m);

static const struct {
    const char *name;
    unsigned weight;
    void (*run)(struct model *m);
} step_kinds[] = {
    {"map", 30, step_map},
    {"unmap", 12, step_unmap},
    {"protect", 15, step_protect},
    {"shrink", 4, step_shrink},
    {"split", 7, step_split},
    {"merge", 3, step_merge},
    {"clear", 1, step_clear},
    {"find", 4, step_find},
    {"find_free", 8, step_find_free},
    {"move", 8, step_move},
    {"unmap by tag", 1, step_unmap_tag},
    {"protect by tag", 3, step_protect_tag},
    {"transaction", 4, step_transaction},
};

static void run_step(struct model *m, uint64_t kinds)
{
    unsigned pick = (unsigned)roll(m, kinds);
    size_t i = 0;

    while (pick >= step_kinds[i].weight)
        pick -= step_kinds[i++].weight;
    if (m->trace)
        fprintf(stderr, "%s\n", step_kinds[i].name);
    m->refused = false;
    step_kinds[i].run(m);
    if (!m->set.open || !m->refused) /* else only the rollback makes them agree again */
        oracle_expect(&m->oracle, &m->set, m->backend);
}

/* Edits up to the first refusal, which takes all back; or a dry run, which does so anyway. */
static void step_transaction(struct model *m)
{
    bool dry = one_in(m, 4);

    memory_set_begin(&m->set);
    oracle_open_transaction(&m->oracle);
    m->refused = false;
    for (uint64_t edits = roll(m, TRANSACTION_MOST + 1); edits && !m->refused; edits--)
        run_step(m, 100 - 4);
    if (dry || m->refused) {
        memory_set_rollback(&m->set);
        oracle_rollback(&m->oracle);
    } else {
        memory_set_commit(&m->set);
        oracle_commit(&m->oracle);
    }
}

void model_step(struct model *m)
{
    page_backend_fail(m->backend, one_in(m, 16) ? 1 + (unsigned)roll(m, one_in(m, 4) ? 20 : 4) : 0,
                      one_in(m, 2) ? ASPACE_BAD_STATE : ASPACE_DENIED);
    run_step(m, 100);
}

/* ---- sets ---- */

/* Every second page its own area, so that the tree is deep from the start. */
static void prefill(struct model *m)
{
    for (uint64_t page = m->bounds.start; page < m->bounds.end; page += 2) {
        struct map_request request = {.attr = {.flags = ASPACE_READ}, .range = {page, page + 1}};
        struct area area;
        uint64_t at;

        assert_int_equal(memory_set_map(&m->set, &request, &m->why, &at, &area), ASPACE_OK);
        m->oracle.pages[page - m->bounds.start] =
            (struct oracle_page){true, true, m->backend->identities, request.attr};
        m->oracle.generation++;
    }
}

uint64_t model_open(struct model *m, uint64_t most)
{
    static const uint64_t sizes[] = {1, 2, 12, 40, 200, 600, 1500};
    bool deep = one_in(m, 16);
    uint64_t wanted = deep ? DEEP_PAGES : sizes[roll(m, sizeof(sizes) / sizeof(*sizes))];
    uint64_t pages = wanted < most ? wanted : most;
    uint64_t bases[] = {0, 16, 1000003, PAGE_LIMIT - pages};
    enum aspace_merge merge = one_in(m, 2) ? ASPACE_MERGE_AUTO : ASPACE_MERGE_OFF;
    size_t max_areas = !deep && one_in(m, 4) ? 1 + (size_t)roll(m, 1 + pages / 4) : 1000000;

    m->bounds.start = bases[roll(m, 4)];
    m->bounds.end = m->bounds.start + pages;
    m->backend = page_backend_create(m->bounds.start, pages);
    memory_set_init(&m->set, m->bounds, &m->backend->head, merge, max_areas);
    oracle_open(&m->oracle, m->bounds, merge, max_areas);
    m->long_odds = one_in(m, 2) ? 8 : 400;
    if (deep)
        prefill(m);
    return deep ? 1000 : 200 + 3 * pages;
}

void model_close(struct model *m)
{
    memory_set_free(&m->set);
    m->backend->head.ops->destroy(&m->backend->head);
    oracle_close(&m->oracle);
}
