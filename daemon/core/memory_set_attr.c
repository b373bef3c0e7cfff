/* The edits that change areas where they lie: protect, split, merge. */
#include "core/memory_set_edit.h"

/* ---- protect: areas that have the flags already are neither asked of the backend nor split ----
 *
 *   whole    left end  right end  middle    several, b as it was          merge=auto: with the left, the right, both
 *   AAAA     AAAAAA    AAAAAA     AAAAAA    AAAAAA....bbbb....CCCCCC      aaAAAA  AAAAaa  aaAAaa
 *   [..]     [..]..    ..[..]     .[..].    ...[................]...      ..[]..  ..[]..  ..[]..
 *   aaaa     aaaaAA    AAaaaa     AaaaaA    AAAaaa....bbbb....cccCCC      aaaaAA  AAaaaa  aaaaaa
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
    if (edit_check_holes(&plan, holes, why))
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
    note_step(set, ASPACE_EVENT_SPLIT, &area, &plan.pieces[0]);
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
        size_t joined = plan.joined;

        plan_take(&plan, &area);
        plan.join = !(set->backend->ops->border && set->backend->ops->border(set->backend, area.range.start));
        if (plan_add(&plan, &area, why))
            return edit_fail(set, &plan, why);
        if (plan.joined > joined)
            note_step(set, ASPACE_EVENT_MERGED, &area, &plan.pieces[plan.count - 1]);
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
