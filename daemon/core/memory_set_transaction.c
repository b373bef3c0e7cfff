/* Transactions over a memory set, and the edits that are made of several: by tag, and move. */
#include "core/memory_set_edit.h"

void memory_set_begin(struct memory_set *set)
{
    set->open = true;
    set->sum = (struct edit_sum){0};
}

void memory_set_commit(struct memory_set *set)
{
    set->open = false;
    set->backend->ops->commit(set->backend);
    set->generation += set->sum.edits != 0;
    if (set->backend->watch)
        watch_commit(set->backend->watch, set->generation);
    set->sum = (struct edit_sum){0};
    journal_clear(&set->journal, &set->map);
}

void undo_steps(struct memory_set *set)
{
    set->backend->ops->rollback(set->backend);
    if (set->backend->watch)
        watch_rollback(set->backend->watch);
}

void memory_set_rollback(struct memory_set *set)
{
    set->open = false;
    undo_steps(set);
    set->sum = (struct edit_sum){0};
    journal_replay(&set->journal, &set->map);
}

enum aspace_error memory_set_settle(struct memory_set *set, struct refusal *why)
{
    return backend_settle(set->backend, why);
}

uint64_t memory_set_generation(const struct memory_set *set)
{
    return set->generation + (set->open && set->sum.edits);
}

/* An edit made of several is a transaction of its own, unless it stands in one. */
static bool nest(struct memory_set *set)
{
    if (set->open)
        return false;
    memory_set_begin(set);
    return true;
}

static enum aspace_error unnest(struct memory_set *set, bool own, enum aspace_error error, struct refusal *why)
{
    if (own && !error)
        error = memory_set_settle(set, why);
    if (own && error)
        memory_set_rollback(set);
    else if (own)
        memory_set_commit(set);
    return error;
}

/* ---- By tag ---- */

/* In place of a tag: the areas that an edit of ours made. */
#define MADE (UINT32_MAX - 1)

static bool is_chosen(const struct area_attr *attr, uint32_t tag)
{
    return tag == MADE ? attr->made : attr->tag == tag;
}

/* The first area at or above *page that carries `tag`; *page becomes its end. */
static bool next_tagged(const struct memory_set *set, uint32_t tag, uint64_t *page, struct range *ret)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(&set->map, *page, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        if (!is_chosen(&area.attr, tag))
            continue;
        *ret = area.range;
        *page = area.range.end;
        return true;
    }
    return false;
}

static enum aspace_error unmap_tagged(struct memory_set *set, uint32_t tag, struct refusal *why, uint64_t *pages,
                                      size_t *removed)
{
    struct range range;
    uint64_t page = 0;
    uint64_t gone;
    size_t areas;

    while (next_tagged(set, tag, &page, &range)) {
        if (memory_set_unmap(set, range, ASPACE_HOLES_SKIP, why, &gone, &areas))
            return why->code;
        *pages += gone;
        *removed += areas;
    }
    return ASPACE_OK;
}

enum aspace_error memory_set_unmap_tag(struct memory_set *set, uint32_t tag, struct refusal *why, uint64_t *ret_pages,
                                       size_t *ret_removed)
{
    bool own = nest(set);
    uint64_t pages = 0;
    size_t removed = 0;

    if (unnest(set, own, unmap_tagged(set, tag, why, &pages, &removed), why))
        return why->code;
    *ret_pages = pages;
    *ret_removed = removed;
    return ASPACE_OK;
}

enum aspace_error memory_set_unmap_made(struct memory_set *set, struct refusal *why, size_t *ret_removed)
{
    uint64_t pages;

    return memory_set_unmap_tag(set, MADE, why, &pages, ret_removed);
}

static enum aspace_error protect_tagged(struct memory_set *set, uint32_t tag, uint16_t set_flags, uint16_t clear_flags,
                                        struct refusal *why, size_t *changed)
{
    struct range range;
    uint64_t page = 0;
    size_t areas;

    while (next_tagged(set, tag, &page, &range)) {
        if (memory_set_protect(set, range, set_flags, clear_flags, ASPACE_HOLES_SKIP, why, &areas))
            return why->code;
        *changed += areas;
    }
    return ASPACE_OK;
}

enum aspace_error memory_set_protect_tag(struct memory_set *set, uint32_t tag, uint16_t set_flags, uint16_t clear_flags,
                                         struct refusal *why, size_t *ret_changed)
{
    bool own = nest(set);
    size_t changed = 0;

    if (unnest(set, own, protect_tagged(set, tag, set_flags, clear_flags, why, &changed), why))
        return why->code;
    *ret_changed = changed;
    return ASPACE_OK;
}

/* ---- Move ----
 *
 *   AAAAAAAA........        in place, larger:   AAAAAAAAAAAA....
 *   AAAAAAAA........        elsewhere, smaller: ........AAAA....
 *
 * Parts: what is kept goes along, what is cut off is unmapped, what grows is mapped anew.
 */

struct move {
    struct area old;
    struct area new;
    struct range kept;  /* of the old place */
    struct range cut;   /* of the old place; may be empty */
    struct range grown; /* of the new place; may be empty */
};

static enum aspace_error bad_move(struct refusal *why, const char *param, const char *message)
{
    refuse(why, ASPACE_INVALID_PARAM, "%s", message);
    why->param = param;
    return why->code;
}

static enum aspace_error read_move(const struct memory_set *set, const struct move_request *request,
                                   struct refusal *why, struct move *m)
{
    uint64_t start = request->has_new_start ? request->new_start : request->start;
    uint64_t pages;
    uint64_t kept;

    if (!area_map_find(&set->map, request->start, &m->old) || m->old.range.start != request->start)
        return refuse(why, ASPACE_NOT_FOUND, "no area starts at " ADDR, page_addr(request->start));
    if (!request->has_new_start && !request->has_new_pages)
        return bad_move(why, "new_start", "a move wants a new_start, a new_size or both");
    pages = request->has_new_pages ? request->new_pages : range_pages(m->old.range);
    if (pages > PAGE_LIMIT - start)
        return bad_move(why, "new_size", "the new place passes the end of the 64-bit address space");
    kept = pages < range_pages(m->old.range) ? pages : range_pages(m->old.range);
    m->new = area_moved(&m->old, start);
    m->new.range.end = start + pages;
    m->kept = (struct range){m->old.range.start, m->old.range.start + kept};
    m->cut = (struct range){m->kept.end, m->old.range.end};
    m->grown = (struct range){start + kept, m->new.range.end};
    return ASPACE_OK;
}

/* The place that the move goes to must lie in the space and be free, or be freed. */
static enum aspace_error check_move(const struct memory_set *set, const struct move_request *request,
                                    const struct move *m, struct refusal *why)
{
    struct range into = request->has_new_start ? m->new.range : m->grown;
    struct area in_the_way;

    if (request->has_new_start && range_overlaps(m->new.range, m->old.range))
        return bad_move(why, "new_start", "the new place overlaps the old one");
    if (memory_set_check_range(set, m->new.range, why))
        return why->code;
    if (request->overlap == ASPACE_OVERLAP_FAIL && !range_empty(into) && memory_set_first(set, into, &in_the_way))
        return refuse_overlap(into, &in_the_way, why);
    if (request->has_new_start && !set->backend->ops->move)
        return refuse(why, ASPACE_UNSUPPORTED, "the %s backend cannot move areas", set->backend->ops->name);
    return ASPACE_OK;
}

/* Asks the backend to unmap what lies where the move goes. */
static enum aspace_error clear_way(struct memory_set *set, struct range range, struct refusal *why)
{
    struct plan plan;

    if (range_empty(range))
        return ASPACE_OK;
    edit_begin(set, range, &plan);
    return apply_unmap(set, &plan, why);
}

/* The backend's part: what lies in the way goes, the kept pages go over, the rest is unmapped or mapped. */
static enum aspace_error apply_move(struct memory_set *set, const struct move *m, struct refusal *why)
{
    bool elsewhere = m->new.range.start != m->old.range.start;
    struct range into = elsewhere ? m->new.range : m->grown;
    struct area kept = {m->kept, m->old.attr};
    struct area cut = {m->cut, m->old.attr};
    struct area grown = {m->grown, m->new.attr};

    if (clear_way(set, into, why))
        return why->code;
    if (elsewhere && backend_move(set->backend, &kept, m->new.range.start, why))
        return why->code;
    if (!range_empty(m->cut) && backend_unmap(set->backend, &cut, why))
        return why->code;
    if (!range_empty(m->grown) && backend_grow(set->backend, &grown, why))
        return why->code;
    return ASPACE_OK;
}

/* In the map: `middle` (or nothing) instead of what lies in `range`. Adds to *sum. */
static enum aspace_error put(struct memory_set *set, struct range range, const struct area *middle, struct removal *sum,
                             struct refusal *why)
{
    struct plan plan;

    edit_begin(set, range, &plan);
    if (plan_cut(&plan, middle, sum, why) || edit_reserve(set, &plan, why))
        return edit_fail(set, &plan, why);
    edit_commit(set, &plan);
    return ASPACE_OK;
}

static enum aspace_error make_move(struct memory_set *set, const struct move *m, struct refusal *why)
{
    struct removal moved = {0}; /* is not gone */
    struct removal replaced = {0};

    if (apply_move(set, m, why) || put(set, m->old.range, NULL, &moved, why) ||
        put(set, m->new.range, &m->new, &replaced, why))
        return why->code;
    count_removal(set, &replaced);
    return ASPACE_OK;
}

enum aspace_error memory_set_move(struct memory_set *set, const struct move_request *request, struct refusal *why,
                                  struct area *ret)
{
    struct move m;
    bool own;

    if (read_move(set, request, why, &m) || check_move(set, request, &m, why))
        return why->code;
    if (!range_equal(m.new.range, m.old.range)) {
        own = nest(set);
        if (unnest(set, own, make_move(set, &m, why), why))
            return why->code;
    }
    area_map_find(&set->map, m.new.range.start, ret);
    return ASPACE_OK;
}
