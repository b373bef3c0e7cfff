/* The memory set itself, and the frame that all its edits have in common. The edits: memory_set_map.c makes areas come and
 * go, memory_set_attr.c changes them where they lie, memory_set_transaction.c makes one of several; memory_set_place.c
 * finds room. */
#include "core/memory_set.h"

#include <assert.h>

#include "core/memory_set_edit.h"

void memory_set_init(struct memory_set *set, struct range bounds, struct backend *backend, enum aspace_merge merge,
                     size_t max_areas)
{
    *set = (struct memory_set){.backend = backend, .merge = merge, .max_areas = max_areas, .lowest = 1};
    area_map_init(&set->map, bounds);
}

void memory_set_free(struct memory_set *set)
{
    area_map_clear(&set->map);
}

void memory_set_replace(struct memory_set *set, struct area_map *map)
{
    area_map_take(&set->map, map);
    set->sum.edits++;
    memory_set_commit(set);
}

enum aspace_error memory_set_check_range(const struct memory_set *set, struct range range, struct refusal *why)
{
    struct range bounds = set->map.bounds;

    if (range_contains(bounds, range))
        return ASPACE_OK;
    return refuse(why, ASPACE_INVALID_PARAM,
                  "the range from " ADDR " to " ADDR " reaches outside the space, which is " ADDR " to " ADDR,
                  page_addr(range.start), range_last(range), page_addr(bounds.start), range_last(bounds));
}

bool memory_set_first(const struct memory_set *set, struct range range, struct area *ret)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(&set->map, range.start, &cursor);
    if (!area_cursor_get(&cursor, &area) || area.range.start >= range.end)
        return false;
    *ret = area;
    return true;
}

/* ---- The common frame of an edit: see memory_set_edit.h ---- */

void edit_begin(struct memory_set *set, struct range range, struct plan *plan)
{
    plan_init(plan, &set->map, set->merge == ASPACE_MERGE_AUTO, range);
}

enum aspace_error edit_reserve(struct memory_set *set, struct plan *plan, struct refusal *why)
{
    plan_join(plan);
    if (set->open && journal_note(&set->journal, &set->map, plan->window, plan->taken, why))
        return why->code;
    return plan_reserve(plan, set->max_areas, why);
}

enum aspace_error edit_fail(struct memory_set *set, struct plan *plan, struct refusal *why)
{
    plan_free(plan);
    if (!set->open) /* else all of the transaction goes, by memory_set_rollback */
        undo_steps(set);
    return why->code;
}

enum aspace_error edit_settle(struct memory_set *set, struct refusal *why)
{
    return set->open ? ASPACE_OK : backend_settle(set->backend, why);
}

/* The point of no return: nothing below can fail. */
void edit_commit(struct memory_set *set, struct plan *plan)
{
    plan_commit(plan);
    set->sum.edits++;
    set->sum.merged += plan->joined;
    plan_free(plan);
    if (!set->open)
        memory_set_commit(set);
#ifdef ASPACE_CHECKS
    char problem[160];
    assert(area_map_validate(&set->map, problem, sizeof(problem)));
#endif
}

enum aspace_error edit_check_holes(const struct plan *plan, enum aspace_holes holes, struct refusal *why)
{
    struct plan_walk walk = plan_walk(plan);
    uint64_t page = plan->range.start;
    struct area area;

    if (holes != ASPACE_HOLES_REFUSE)
        return ASPACE_OK;
    while (plan_walk_next(&walk, &area) && area.range.start <= page)
        page = area.range.end;
    if (page >= plan->range.end)
        return ASPACE_OK;
    return refuse(why, ASPACE_NOT_FOUND, "there is a hole at " ADDR " in the range from " ADDR " to " ADDR,
                  page_addr(page), page_addr(plan->range.start), range_last(plan->range));
}
