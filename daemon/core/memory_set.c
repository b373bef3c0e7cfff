/* The edits of a memory set: what each one asks of the backend and which pieces it leaves. */
#include "core/memory_set.h"

#include <assert.h>

#include "core/memory_set_edit.h"

void memory_set_init(struct memory_set *set, struct range bounds, struct backend *backend, enum aspace_merge merge,
                     size_t max_areas)
{
    *set = (struct memory_set){.backend = backend, .merge = merge, .max_areas = max_areas};
    area_map_init(&set->map, bounds);
}

void memory_set_free(struct memory_set *set)
{
    area_map_clear(&set->map);
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
        set->backend->ops->rollback(set->backend);
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

/* NotFound at the first page of the plan's range that no area holds, if holes are to be refused. */
static enum aspace_error check_holes(const struct plan *plan, enum aspace_holes holes, struct refusal *why)
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

/* ---- find_free ---- */

static struct range placement_window(const struct memory_set *set, const struct placement *place)
{
    struct range window = place->has_within ? place->within : set->map.bounds;

    if (place->has_hint && place->hint > window.start)
        window.start = place->hint;
    if (!place->has_hint && !place->has_within && window.start == 0)
        window.start = 1; /* a null pointer stays one unless it is asked for */
    return window;
}

enum aspace_error memory_set_find_free(const struct memory_set *set, const struct placement *place, struct refusal *why,
                                       uint64_t *ret_page)
{
    struct range window;
    struct range hole;

    if (place->has_within && memory_set_check_range(set, place->within, why)) {
        why->param = "within";
        return why->code;
    }
    window = placement_window(set, place);
    if (!range_empty(window) &&
        area_map_find_free(&set->map, window, place->pages, place->align, place->policy, ret_page))
        return ASPACE_OK;
    refuse(why, ASPACE_NOT_FOUND, "no free range of " ADDR " bytes, aligned to " ADDR ", from " ADDR " to " ADDR,
           page_addr(place->pages), page_addr(place->align), page_addr(window.start), page_addr(window.end) - 1);
    if (!range_empty(window) && area_map_largest_hole(&set->map, window, &hole)) {
        why->hint = "data.largest_hole is the largest one there; unmap something, ask for less, or widen the window";
        why->has_hole = true;
        why->hole_start = page_addr(hole.start);
        why->hole_size = range_bytes(hole);
    }
    return why->code;
}

/* ---- unmap: the middle goes, remnants of what straddles the edges stay ----
 *
 *   AAAAAAAA      BBBB    CCCCCC
 *      [....................]        range
 *   AAA                     CCC      pieces
 */

/* Plans the left remnant of `area`; the right one is planned after what comes between. */
static enum aspace_error cut(struct plan *plan, const struct area *area, struct range range, struct removal *sum,
                             struct refusal *why)
{
    struct area piece = {range_meet(area->range, range), area->attr};

    plan_take(plan, area);
    sum->pages += range_pages(piece.range);
    sum->removed += range_equal(piece.range, area->range);
    sum->cuts += (area->range.start < range.start) + (area->range.end > range.end);
    return plan_add_part(plan, area, (struct range){area->range.start, range.start}, &area->attr, why);
}

enum aspace_error plan_cut(struct plan *plan, const struct area *middle, struct removal *sum, struct refusal *why)
{
    struct plan_walk walk = plan_walk(plan);
    struct range range = plan->range;
    struct area area;
    struct area last = {{0, 0}, {0}};

    while (plan_walk_next(&walk, &area)) {
        if (cut(plan, &area, range, sum, why))
            return why->code;
        last = area;
    }
    if (middle && plan_add(plan, middle, why))
        return why->code;
    return plan_add_part(plan, &last, (struct range){range.end, last.range.end}, &last.attr, why);
}

enum aspace_error apply_unmap(struct memory_set *set, const struct plan *plan, struct refusal *why)
{
    struct plan_walk walk = plan_walk(plan);
    struct area area;

    while (plan_walk_next(&walk, &area)) {
        area.range = range_meet(area.range, plan->range);
        if (backend_unmap(set->backend, &area, why))
            return why->code;
    }
    return ASPACE_OK;
}

void count_removal(struct memory_set *set, const struct removal *sum)
{
    set->sum.split += sum->cuts;
    set->sum.removed += sum->removed;
}

/* The edit itself, its range checked. */
static enum aspace_error unmap_range(struct memory_set *set, struct range range, enum aspace_holes holes,
                                     struct removal *sum, struct refusal *why)
{
    struct plan plan;

    edit_begin(set, range, &plan);
    if (check_holes(&plan, holes, why))
        return why->code;
    if (plan_cut(&plan, NULL, sum, why) || (plan.taken && edit_reserve(set, &plan, why)) ||
        apply_unmap(set, &plan, why) || edit_settle(set, why))
        return edit_fail(set, &plan, why);
    if (plan.taken) {
        count_removal(set, sum);
        edit_commit(set, &plan);
    }
    return ASPACE_OK;
}

enum aspace_error memory_set_unmap(struct memory_set *set, struct range range, enum aspace_holes holes,
                                   struct refusal *why, uint64_t *ret_pages, size_t *ret_removed)
{
    struct removal sum = {0};

    if (memory_set_check_range(set, range, why) || unmap_range(set, range, holes, &sum, why))
        return why->code;
    *ret_pages = sum.pages;
    *ret_removed = sum.removed;
    return ASPACE_OK;
}

enum aspace_error memory_set_clear(struct memory_set *set, struct refusal *why, size_t *ret_removed)
{
    struct removal sum = {0};

    if (unmap_range(set, set->map.bounds, ASPACE_HOLES_SKIP, &sum, why))
        return why->code;
    *ret_removed = sum.removed;
    return ASPACE_OK;
}

enum aspace_error memory_set_shrink(struct memory_set *set, uint64_t start, uint64_t pages, enum aspace_side side,
                                    struct refusal *why, struct area *ret)
{
    struct removal sum = {0};
    struct area area;
    struct range gone;
    struct range kept;

    if (!area_map_find(&set->map, start, &area) || area.range.start != start)
        return refuse(why, ASPACE_NOT_FOUND, "no area starts at " ADDR, page_addr(start));
    if (pages == 0 || pages >= range_pages(area.range)) {
        refuse(why, ASPACE_INVALID_PARAM, "new size " ADDR " is not between 0 and the area's size " ADDR,
               page_addr(pages), range_bytes(area.range));
        why->param = "new_size";
        return why->code;
    }
    gone = kept = area.range;
    if (side == ASPACE_SIDE_LEFT)
        gone.end = kept.start = area.range.end - pages;
    else
        gone.start = kept.end = start + pages;
    if (unmap_range(set, gone, ASPACE_HOLES_SKIP, &sum, why))
        return why->code;
    *ret = (struct area){kept, area.attr};
    return ASPACE_OK;
}

/* ---- map ----
 *
 *   AAAAAAAA      BBBBBBBB
 *      [..............]              range, overlap=replace
 *   AAANNNNNNNNNNNNNNNBBBB           pieces
 */

enum aspace_error refuse_overlap(struct range range, const struct area *in_the_way, struct refusal *why)
{
    refuse(why, ASPACE_ALREADY_EXISTS, "the range from " ADDR " to " ADDR " overlaps the area from " ADDR " to " ADDR,
           page_addr(range.start), range_last(range), page_addr(in_the_way->range.start),
           range_last(in_the_way->range));
    why->hint = "choose another place, or unmap what is in the way in the same step: overlap=replace (--replace)";
    why->has_conflict = true;
    why->conflict = page_addr(in_the_way->range.start);
    return why->code;
}

/* Where the request goes: placed, or checked against the bounds. */
static enum aspace_error map_range(const struct memory_set *set, const struct map_request *request, struct refusal *why,
                                   struct range *ret)
{
    uint64_t page;

    if (!request->placed) {
        *ret = request->range;
        return memory_set_check_range(set, request->range, why);
    }
    if (memory_set_find_free(set, &request->place, why, &page))
        return why->code;
    *ret = (struct range){page, page + request->place.pages};
    return ASPACE_OK;
}

/* The piece that holds `page`. */
static struct area plan_piece(const struct plan *plan, uint64_t page)
{
    const struct area *piece = plan->pieces;

    while (piece->range.end <= page)
        piece++;
    return *piece;
}

enum aspace_error memory_set_map(struct memory_set *set, const struct map_request *request, struct refusal *why,
                                 uint64_t *ret_page, struct area *ret_area)
{
    struct removal sum = {0};
    struct area area = {.attr = request->attr};
    struct area in_the_way;
    struct plan plan;
    bool free;

    if (map_range(set, request, why, &area.range))
        return why->code;
    area.attr.delta = area.attr.backing == ASPACE_BACKING_LINEAR ? request->pa_page - area.range.start : 0;
    edit_begin(set, area.range, &plan);
    free = !plan_first(&plan, &in_the_way);
    if (!free && request->overlap == ASPACE_OVERLAP_FAIL)
        return refuse_overlap(area.range, &in_the_way, why);
    if ((free ? plan_add(&plan, &area, why) : plan_cut(&plan, &area, &sum, why)) || edit_reserve(set, &plan, why) ||
        (!free && apply_unmap(set, &plan, why)) || backend_map(set->backend, &area, why) || edit_settle(set, why))
        return edit_fail(set, &plan, why);
    *ret_page = area.range.start;
    *ret_area = plan_piece(&plan, area.range.start);
    count_removal(set, &sum);
    edit_commit(set, &plan);
    return ASPACE_OK;
}

/* ---- protect: areas that have the flags already are neither asked of the backend nor split ----
 *
 *   AAAAAAAA      BBBB    CCCCCC     A and C rw-, B r--
 *      [....................]        protect r--
 *   AAAaaaaa      BBBB    ccCCCC     pieces; B is as it was
 */

struct flags_edit {
    uint16_t set;
    uint16_t clear;
    size_t changed;
    size_t cuts;
};

static uint16_t new_flags(const struct flags_edit *edit, uint16_t flags)
{
    return (uint16_t)((flags & ~edit->clear) | edit->set);
}

static enum aspace_error plan_flags(struct plan *plan, const struct area *area, struct flags_edit *edit,
                                    struct refusal *why)
{
    struct area_attr attr = area->attr;
    struct range left = {area->range.start, plan->range.start};
    struct range right = {plan->range.end, area->range.end};

    attr.flags = new_flags(edit, attr.flags);
    plan_take(plan, area);
    if (attr.flags == area->attr.flags)
        return plan_add(plan, area, why);
    edit->changed++;
    edit->cuts += !range_empty(left) + !range_empty(right);
    if (plan_add_part(plan, area, left, &area->attr, why) || plan_add_part(plan, area, plan->range, &attr, why))
        return why->code;
    return plan_add_part(plan, area, right, &area->attr, why);
}

static enum aspace_error plan_protect(struct memory_set *set, struct plan *plan, struct flags_edit *edit,
                                      struct refusal *why)
{
    struct plan_walk walk = plan_walk(plan);
    struct area area;

    while (plan_walk_next(&walk, &area))
        if (plan_flags(plan, &area, edit, why))
            return why->code;
    return edit->changed ? edit_reserve(set, plan, why) : ASPACE_OK;
}

static enum aspace_error apply_protect(struct memory_set *set, const struct plan *plan, const struct flags_edit *edit,
                                       struct refusal *why)
{
    struct plan_walk walk = plan_walk(plan);
    struct area area;

    while (plan_walk_next(&walk, &area)) {
        uint16_t flags = new_flags(edit, area.attr.flags);

        area.range = range_meet(area.range, plan->range);
        if (flags != area.attr.flags && backend_protect(set->backend, &area, flags, why))
            return why->code;
    }
    return ASPACE_OK;
}

enum aspace_error memory_set_protect(struct memory_set *set, struct range range, uint16_t set_flags,
                                     uint16_t clear_flags, enum aspace_holes holes, struct refusal *why,
                                     size_t *ret_changed)
{
    struct flags_edit edit = {set_flags, clear_flags, 0, 0};
    struct plan plan;

    if (memory_set_check_range(set, range, why))
        return why->code;
    edit_begin(set, range, &plan);
    if (check_holes(&plan, holes, why))
        return why->code;
    if (plan_protect(set, &plan, &edit, why) || apply_protect(set, &plan, &edit, why) || edit_settle(set, why))
        return edit_fail(set, &plan, why);
    if (edit.changed) {
        set->sum.split += edit.cuts;
        edit_commit(set, &plan);
    } else {
        plan_free(&plan);
    }
    *ret_changed = edit.changed;
    return ASPACE_OK;
}

/* ---- split and merge: only the book-keeping changes ---- */

static enum aspace_error split_target(const struct memory_set *set, uint64_t at, struct refusal *why, struct area *ret)
{
    struct area before;
    bool edge;

    if (set->merge == ASPACE_MERGE_AUTO) {
        refuse(why, ASPACE_UNSUPPORTED, "a space with merge=auto joins the two halves again at once");
        why->hint = "create the space with merge=off to split areas";
        return why->code;
    }
    if (!range_has_page(set->map.bounds, at) || !area_map_find(&set->map, at, ret)) {
        edge = area_map_before(&set->map, at, &before) && before.range.end == at;
        if (!edge)
            return refuse(why, ASPACE_NOT_FOUND, "no area lies at " ADDR, page_addr(at));
    } else {
        edge = ret->range.start == at;
    }
    if (edge) {
        refuse(why, ASPACE_INVALID_PARAM, ADDR " is the edge of an area, not inside one", page_addr(at));
        why->param = "at";
        return why->code;
    }
    return ASPACE_OK;
}

/* AAAAAAAA -> AAAABBBB, B with A's attributes. */
enum aspace_error memory_set_split(struct memory_set *set, uint64_t at, struct refusal *why, struct area *ret_left,
                                   struct area *ret_right)
{
    struct area area;
    struct plan plan;

    if (split_target(set, at, why, &area))
        return why->code;
    edit_begin(set, area.range, &plan);
    plan_take(&plan, &area);
    if (plan_add_part(&plan, &area, (struct range){area.range.start, at}, &area.attr, why) ||
        plan_add_part(&plan, &area, (struct range){at, area.range.end}, &area.attr, why) ||
        edit_reserve(set, &plan, why))
        return edit_fail(set, &plan, why);
    set->sum.split++;
    *ret_left = plan.pieces[0];
    *ret_right = plan.pieces[1];
    edit_commit(set, &plan);
    return ASPACE_OK;
}

/* AAAABBBB -> AAAAAAAA for each common edge strictly inside `range` with A and B alike. */
enum aspace_error memory_set_merge(struct memory_set *set, struct range range, struct refusal *why, size_t *ret_merged)
{
    struct plan_walk walk;
    struct area area;
    struct plan plan;
    size_t merged;

    if (memory_set_check_range(set, range, why))
        return why->code;
    plan_init(&plan, &set->map, true, range);
    walk = plan_walk(&plan);
    while (plan_walk_next(&walk, &area)) {
        plan_take(&plan, &area);
        if (plan_add(&plan, &area, why))
            return edit_fail(set, &plan, why);
    }
    merged = plan.taken - plan.count;
    plan.join = false; /* what lies beyond the range is not asked for */
    if (merged && edit_reserve(set, &plan, why))
        return edit_fail(set, &plan, why);
    if (merged)
        edit_commit(set, &plan);
    else
        plan_free(&plan);
    *ret_merged = merged;
    return ASPACE_OK;
}
