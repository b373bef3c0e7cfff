/* The plan of one edit: a window of the address space and the pieces that shall stand in it afterwards. Making it may
 * fail; once it is reserved, putting it into the map cannot. It knows nothing of backends. */
#ifndef CORE_PLAN_H
#define CORE_PLAN_H

#include "core/area_map.h"

/* Most edits leave at most this many pieces, and then take no memory. */
#define PLAN_INLINE 6

struct plan {
    struct area_map *map;
    bool join;                /* merge=auto: neighbours alike become one piece */
    struct range range;       /* what the edit is about */
    struct area_cursor first; /* the first area of the map whose end lies above its start */
    struct area_path path;    /* the way there */
    struct range window;      /* all areas that touch it are replaced; empty until the first plan_take or plan_add */
    struct area *pieces;      /* sorted, disjoint; `fixed` or allocated */
    size_t count;
    size_t capacity;
    size_t taken;  /* areas of the map that the window covers */
    size_t joined; /* joins made */
    struct area fixed[PLAN_INLINE];
};

/* Finds the place of the edit, once for all that follows. `range` lies in the map's bounds. */
void plan_init(struct plan *plan, struct area_map *map, bool join, struct range range);
void plan_free(struct plan *plan);

/* The first area that touches the plan's range, or false; until plan_commit. */
static inline bool plan_first(const struct plan *plan, struct area *ret)
{
    return area_cursor_get(&plan->first, ret) && ret->range.start < plan->range.end;
}

/* A walk over all of them, in order; until plan_commit. */
struct plan_walk {
    struct area_cursor cursor;
    uint64_t end;
};

static inline struct plan_walk plan_walk(const struct plan *plan)
{
    return (struct plan_walk){plan->first, plan->range.end};
}

static inline bool plan_walk_next(struct plan_walk *walk, struct area *ret)
{
    if (!area_cursor_get(&walk->cursor, ret) || ret->range.start >= walk->end)
        return false;
    area_cursor_next(&walk->cursor);
    return true;
}

/* Notes that `area` of the map is replaced: the window grows to hold it. Areas are taken in order. */
void plan_take(struct plan *plan, const struct area *area);

/* Appends a piece; an empty one is ignored. NoMemory. */
enum aspace_error plan_add(struct plan *plan, const struct area *piece, struct refusal *why);

/* Appends the part of `area` that lies in `range` with the attributes `attr`. */
enum aspace_error plan_add_part(struct plan *plan, const struct area *area, struct range range,
                                const struct area_attr *attr, struct refusal *why);

/* Joins the outermost pieces with their neighbours in the map if `join` is set: the window is final then. */
void plan_join(struct plan *plan);

/* The last step of planning: checks the limit of `max_areas` and takes the nodes. NoMemory. After it only plan_commit
 * may touch the map. */
enum aspace_error plan_reserve(struct plan *plan, size_t max_areas, struct refusal *why);

/* Puts the pieces into the map. Cannot fail. */
void plan_commit(struct plan *plan);

#endif
