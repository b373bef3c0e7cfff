/* Collecting the pieces of an edit, and the infallible step that makes them the map's. */
#include "core/plan.h"

#include <stdlib.h>
#include <string.h>

void plan_init(struct plan *plan, struct area_map *map, bool join, struct range range)
{
    plan->map = map;
    plan->join = join;
    plan->range = range;
    area_map_locate(map, range.start, &plan->path, &plan->first);
    plan->window = (struct range){0, 0};
    plan->pieces = plan->fixed;
    plan->count = 0;
    plan->capacity = PLAN_INLINE;
    plan->taken = 0;
    plan->joined = 0;
}

void plan_free(struct plan *plan)
{
    if (plan->pieces != plan->fixed)
        free(plan->pieces);
    plan->pieces = plan->fixed;
}

static void window_grow(struct plan *plan, struct range range)
{
    if (range_empty(plan->window)) {
        plan->window = range;
        return;
    }
    if (range.start < plan->window.start)
        plan->window.start = range.start;
    if (range.end > plan->window.end)
        plan->window.end = range.end;
}

void plan_take(struct plan *plan, const struct area *area)
{
    window_grow(plan, area->range);
    plan->taken++;
}

static enum aspace_error grow(struct plan *plan, struct refusal *why)
{
    size_t capacity = plan->capacity * 2;
    bool inline_now = plan->pieces == plan->fixed;
    struct area *pieces = realloc(inline_now ? NULL : plan->pieces, capacity * sizeof(*pieces));

    if (!pieces)
        return refuse_no_memory(why);
    if (inline_now)
        memcpy(pieces, plan->fixed, sizeof(plan->fixed));
    plan->pieces = pieces;
    plan->capacity = capacity;
    return ASPACE_OK;
}

/* AAAABBBB -> AAAAAAAA when A and B touch and are alike. */
static bool joins(const struct area *left, const struct area *right)
{
    return left->range.end == right->range.start && area_attr_equal(&left->attr, &right->attr);
}

enum aspace_error plan_add(struct plan *plan, const struct area *piece, struct refusal *why)
{
    struct area *last = plan->count ? &plan->pieces[plan->count - 1] : NULL;

    if (range_empty(piece->range))
        return ASPACE_OK;
    if (plan->join && last && joins(last, piece)) {
        last->range.end = piece->range.end;
        plan->joined++;
    } else {
        if (plan->count == plan->capacity && grow(plan, why))
            return why->code;
        plan->pieces[plan->count++] = *piece;
    }
    window_grow(plan, piece->range);
    return ASPACE_OK;
}

enum aspace_error plan_add_part(struct plan *plan, const struct area *area, struct range range,
                                const struct area_attr *attr, struct refusal *why)
{
    struct area piece = {range_meet(area->range, range), *attr};

    return range_empty(piece.range) ? ASPACE_OK : plan_add(plan, &piece, why);
}

/* ....AAAA[PPPP]BBBB.... : with merge=auto the pieces swallow the neighbours that are alike. */
void plan_join(struct plan *plan)
{
    struct area neighbour;
    struct area *first;
    struct area *last;

    if (!plan->join || !plan->count)
        return;
    first = &plan->pieces[0];
    last = &plan->pieces[plan->count - 1];
    if (area_map_before(plan->map, first->range.start, &neighbour) && joins(&neighbour, first)) {
        first->range.start = neighbour.range.start;
        plan_take(plan, &neighbour);
        plan->joined++;
    }
    if (last->range.end < plan->map->bounds.end && area_map_find(plan->map, last->range.end, &neighbour) &&
        joins(last, &neighbour)) {
        last->range.end = neighbour.range.end;
        plan_take(plan, &neighbour);
        plan->joined++;
    }
}

enum aspace_error plan_reserve(struct plan *plan, size_t max_areas, struct refusal *why)
{
    if (plan->map->count - plan->taken + plan->count > max_areas && plan->count > plan->taken) {
        refuse(why, ASPACE_NO_MEMORY, "the space would pass its limit of %zu areas", max_areas);
        why->hint = "unmap or merge some, or start the daemon with a larger --max-areas or --max-user-areas";
        return why->code;
    }
    if (area_map_reserve(plan->map, plan->count))
        return refuse_no_memory(why);
    return ASPACE_OK;
}

void plan_commit(struct plan *plan)
{
    area_map_replace_at(plan->map, &plan->path, plan->window, plan->pieces, plan->count);
}
