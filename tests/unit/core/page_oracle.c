/* Page by page. */
#include "page_oracle.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void oracle_open(struct oracle *o, struct range bounds, enum aspace_merge merge, size_t max_areas)
{
    *o = (struct oracle){.base = bounds.start,
                         .count = bounds.end - bounds.start,
                         .join = merge == ASPACE_MERGE_AUTO,
                         .max_areas = max_areas};
    o->pages = calloc(o->count, sizeof(*o->pages));
    o->next = calloc(o->count, sizeof(*o->next));
    assert_non_null(o->pages);
    o->before = calloc(o->count, sizeof(*o->before));
    assert_non_null(o->next);
    assert_non_null(o->before);
}

void oracle_close(struct oracle *o)
{
    free(o->pages);
    free(o->next);
    free(o->before);
}

static bool alike(const struct oracle_page *a, const struct oracle_page *b)
{
    return a->mapped && b->mapped && a->attr.flags == b->attr.flags && a->attr.backing == b->attr.backing &&
           a->attr.tag == b->attr.tag && a->attr.delta == b->attr.delta;
}

/* One past the last page of the area that holds page i. */
static uint64_t area_end(const struct oracle_page *pages, uint64_t count, uint64_t i)
{
    for (i++; i < count && pages[i].mapped && !pages[i].first; i++)
        ;
    return i;
}

static uint64_t area_start(const struct oracle_page *pages, uint64_t i)
{
    while (!pages[i].first)
        i--;
    return i;
}

/* An area starts at page i from here on, if there is a page. */
static void cut(struct oracle *o, uint64_t i)
{
    if (i < o->count && o->next[i].mapped)
        o->next[i].first = true;
}

/* ---- edits ---- */

void oracle_begin(struct oracle *o)
{
    memcpy(o->next, o->pages, o->count * sizeof(*o->next));
}

void oracle_unmap(struct oracle *o, struct range range, uint64_t *ret_pages, size_t *ret_removed)
{
    uint64_t start = range.start - o->base;
    uint64_t end = range.end - o->base;

    *ret_pages = 0;
    *ret_removed = 0;
    for (uint64_t i = start; i < end; i++)
        if (o->next[i].mapped && o->next[i].first && area_end(o->next, o->count, i) <= end)
            ++*ret_removed;
    cut(o, end);
    for (uint64_t i = start; i < end; i++) {
        *ret_pages += o->next[i].mapped;
        o->next[i] = (struct oracle_page){0};
    }
}

void oracle_map(struct oracle *o, struct range range, const struct area_attr *attr, uint64_t identity)
{
    uint64_t pages;
    size_t removed;

    oracle_unmap(o, range, &pages, &removed);
    for (uint64_t i = range.start - o->base; i < range.end - o->base; i++)
        o->next[i] = (struct oracle_page){true, false, identity, *attr};
    cut(o, range.start - o->base);
}

void oracle_protect(struct oracle *o, struct range range, uint16_t set, uint16_t clear, size_t *ret_changed)
{
    uint64_t start = range.start - o->base;
    uint64_t end = range.end - o->base;

    *ret_changed = 0;
    for (uint64_t i = start; i < end; i++) {
        uint64_t stop;
        uint16_t flags;

        if (!o->next[i].mapped || (i > start && !o->next[i].first))
            continue;
        flags = (uint16_t)((o->next[i].attr.flags & ~clear) | set);
        if (flags == o->next[i].attr.flags)
            continue;
        ++*ret_changed;
        stop = area_end(o->next, o->count, i);
        if (stop > end)
            stop = end;
        cut(o, i);
        cut(o, stop);
        for (uint64_t j = i; j < stop; j++)
            o->next[j].attr.flags = flags;
    }
}

void oracle_split(struct oracle *o, uint64_t at)
{
    cut(o, at - o->base);
}

void oracle_merge(struct oracle *o, struct range range, size_t *ret_merged)
{
    *ret_merged = 0;
    for (uint64_t i = range.start - o->base + 1; i < range.end - o->base; i++) {
        if (!o->next[i].first || !alike(&o->next[i - 1], &o->next[i]))
            continue;
        o->next[i].first = false;
        ++*ret_merged;
    }
}

void oracle_unmap_tag(struct oracle *o, uint32_t tag, uint64_t *ret_pages, size_t *ret_removed)
{
    *ret_pages = 0;
    *ret_removed = 0;
    for (uint64_t i = 0; i < o->count; i++) {
        if (!o->next[i].mapped || o->next[i].attr.tag != tag)
            continue;
        *ret_removed += o->next[i].first;
        ++*ret_pages;
        o->next[i] = (struct oracle_page){0};
    }
}

void oracle_protect_tag(struct oracle *o, uint32_t tag, uint16_t set, uint16_t clear, size_t *ret_changed)
{
    *ret_changed = 0;
    for (uint64_t i = 0; i < o->count; i++) {
        uint16_t flags = (uint16_t)((o->next[i].attr.flags & ~clear) | set);

        if (!o->next[i].mapped || o->next[i].attr.tag != tag)
            continue;
        *ret_changed += o->next[i].first && flags != o->next[i].attr.flags;
        o->next[i].attr.flags = flags;
    }
}

void oracle_move(struct oracle *o, struct range old, struct range to, uint64_t identity)
{
    uint64_t kept = range_pages(old) < range_pages(to) ? range_pages(old) : range_pages(to);
    struct oracle_page *pages = calloc(range_pages(to), sizeof(*pages));
    struct area_attr attr = o->next[old.start - o->base].attr;
    uint64_t unmapped;
    size_t removed;

    assert_non_null(pages);
    if (attr.backing == ASPACE_BACKING_LINEAR)
        attr.delta += old.start - to.start;
    for (uint64_t i = 0; i < range_pages(to); i++)
        pages[i] =
            (struct oracle_page){true, i == 0, i < kept ? o->next[old.start - o->base + i].identity : identity, attr};
    oracle_unmap(o, old, &unmapped, &removed);
    oracle_unmap(o, to, &unmapped, &removed);
    memcpy(o->next + (to.start - o->base), pages, range_pages(to) * sizeof(*pages));
    free(pages);
}

static size_t count_areas(const struct oracle_page *pages, uint64_t count)
{
    size_t areas = 0;

    for (uint64_t i = 0; i < count; i++)
        areas += pages[i].first;
    return areas;
}

bool oracle_finish(struct oracle *o)
{
    size_t merged;
    size_t areas;

    if (o->join)
        oracle_merge(o, (struct range){o->base, o->base + o->count}, &merged);
    areas = count_areas(o->next, o->count);
    return areas <= o->max_areas || areas <= count_areas(o->pages, o->count);
}

void oracle_accept(struct oracle *o)
{
    struct oracle_page *old = o->pages;

    o->pages = o->next;
    o->next = old;
    if (o->open)
        o->changed = true;
    else
        o->generation++;
}

void oracle_open_transaction(struct oracle *o)
{
    memcpy(o->before, o->pages, o->count * sizeof(*o->before));
    o->open = true;
    o->changed = false;
}

void oracle_commit(struct oracle *o)
{
    o->generation += o->changed;
    o->open = false;
}

void oracle_rollback(struct oracle *o)
{
    memcpy(o->pages, o->before, o->count * sizeof(*o->before));
    o->open = false;
}

/* ---- questions ---- */

bool oracle_hole_in(const struct oracle *o, struct range range)
{
    for (uint64_t i = range.start - o->base; i < range.end - o->base; i++)
        if (!o->pages[i].mapped)
            return true;
    return false;
}

bool oracle_find(const struct oracle *o, uint64_t page, struct area *ret)
{
    uint64_t i = page - o->base;

    if (i >= o->count || !o->pages[i].mapped)
        return false;
    ret->range.start = o->base + area_start(o->pages, i);
    ret->range.end = o->base + area_end(o->pages, o->count, i);
    ret->attr = o->pages[i].attr;
    return true;
}

bool oracle_first(const struct oracle *o, struct range range, struct area *ret)
{
    for (uint64_t page = range.start; page < range.end; page++)
        if (oracle_find(o, page, ret))
            return true;
    return false;
}

/* The hole that starts exactly at `page`, clipped to the window, if one does. */
static bool hole_at(const struct oracle *o, struct range window, uint64_t page, struct range *ret)
{
    if (o->pages[page - o->base].mapped || (page > window.start && !o->pages[page - 1 - o->base].mapped))
        return false;
    ret->start = ret->end = page;
    while (ret->end < window.end && !o->pages[ret->end - o->base].mapped)
        ret->end++;
    return true;
}

/* The lowest or highest aligned start in a hole. */
static bool fit(struct range hole, uint64_t pages, uint64_t align, bool top, uint64_t *ret)
{
    bool found = false;

    for (uint64_t page = hole.start; page + pages <= hole.end; page++) {
        if (page % align != 0 || (found && !top))
            continue;
        *ret = page;
        found = true;
    }
    return found;
}

bool oracle_find_free(const struct oracle *o, struct range window, uint64_t pages, uint64_t align,
                      enum aspace_policy policy, uint64_t *ret)
{
    uint64_t best = UINT64_MAX;
    struct range hole;
    uint64_t page;
    bool found = false;

    for (uint64_t at = window.start; at < window.end; at++) {
        if (!hole_at(o, window, at, &hole) || !fit(hole, pages, align, policy == ASPACE_POLICY_TOP, &page))
            continue;
        if ((policy == ASPACE_POLICY_FIRST && found) || (policy == ASPACE_POLICY_BEST && hole.end - hole.start >= best))
            continue;
        best = hole.end - hole.start;
        found = true;
        *ret = page;
    }
    return found;
}

bool oracle_largest_hole(const struct oracle *o, struct range window, struct range *ret)
{
    uint64_t largest = 0;
    struct range hole;

    for (uint64_t at = window.start; at < window.end; at++) {
        if (!hole_at(o, window, at, &hole) || hole.end - hole.start <= largest)
            continue;
        largest = hole.end - hole.start;
        *ret = hole;
    }
    return largest > 0;
}

/* ---- comparison ---- */

static void expect_areas(const struct oracle *o, const struct memory_set *set)
{
    struct area_cursor cursor;
    struct area area;
    uint64_t mapped = 0;
    size_t areas = 0;

    area_map_seek(&set->map, 0, &cursor);
    for (uint64_t i = 0; i < o->count; i++) {
        mapped += o->pages[i].mapped;
        if (!o->pages[i].first)
            continue;
        areas++;
        if (!area_cursor_get(&cursor, &area) || area.range.start != o->base + i ||
            area.range.end != o->base + area_end(o->pages, o->count, i) ||
            !area_attr_equal(&area.attr, &o->pages[i].attr))
            fail_msg("the area that should start at column %" PRIu64 " is not there as it should be", i);
        area_cursor_next(&cursor);
    }
    if (area_cursor_get(&cursor, &area))
        fail_msg("an area at column %" PRIu64 " should not be there", area.range.start - o->base);
    assert_int_equal(set->map.count, areas);
    assert_int_equal(set->map.pages, mapped);
}

void oracle_expect(const struct oracle *o, const struct memory_set *set, struct page_backend *backend)
{
    char problem[160];

    expect_areas(o, set);
    assert_int_equal(set->generation, o->generation);
    if (!area_map_validate(&set->map, problem, sizeof(problem)))
        fail_msg("the map is broken: %s", problem);
    assert_int_equal(memory_set_generation(set), o->generation + (o->open && o->changed));
    if (!o->open && (backend->log_count || backend->failed))
        fail_msg("a transaction was left open");
    for (uint64_t i = 0; i < o->count; i++) {
        const struct page_entry *entry = page_backend_at(backend, o->base + i);

        if (entry->identity != o->pages[i].identity ||
            (o->pages[i].mapped &&
             (entry->flags != o->pages[i].attr.flags || entry->backing != o->pages[i].attr.backing ||
              entry->delta != o->pages[i].attr.delta)))
            fail_msg("the backend's page at column %" PRIu64 " is not what it should be", i);
    }
}
