/* The edits by which areas come and go: unmap, clear, shrink, map. */
#include "core/memory_set_edit.h"

/* ---- unmap: what lies in the range goes, remnants of what straddles its edges stay ----
 *
 *   whole    left end  right end  middle    several                       to and from a hole
 *   AAAA     AAAAAA    AAAAAA     AAAAAA    AAAAAA....BBBB....CCCCCC       ..AAAA..BBBB..
 *   [..]     [..]..    ..[..]     .[..].    ...[................]...       [..]......[..]
 *   ....     ....AA    AA....     A....A    AAA..................CCC       ....AA..BB....
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
    if (edit_check_holes(&plan, holes, why))
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

/* ---- map: over nothing, or with overlap=replace instead of what lies there ----
 *
 *   nothing   whole    left end  right end  middle    several               merge=auto: both neighbours alike, or one
 *   AA....BB  AAAA     AAAAAA    AAAAAA     AAAAAA    AAAAAA....BBBBBB      NN....NN  NN....AA  AA....NN
 *   ..[..]..  [..]     [..]..    ..[..]     .[..].    ...[..........]...    ..[..]..  ..[..]..  ..[..]..
 *   AANNNNBB  NNNN     NNNNAA    AANNNN     ANNNNA    AAANNNNNNNNNNBBB      NNNNNNNN  NNNNNNAA  AANNNNNN
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

static bool has_delta(unsigned backing)
{
    return backing == ASPACE_BACKING_LINEAR || backing == ASPACE_BACKING_FILE;
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
    area.attr.delta = has_delta(area.attr.backing) ? request->pa_page - area.range.start : 0;
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
