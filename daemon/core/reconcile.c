/* The map after the truth:
 *
 *   found   KKKKKKKKKKKKKKKK....LLLLLLLL
 *   map     AAAA|aaaa|BBBB......MMMMMMMM    A and a alike but for nothing, B with other flags, tag on M
 *   after   AAAA|aaaaaaaaaaa....LLLLLLLL    a's end was a border that the kernel saw; L has M's tag
 */
#include "core/reconcile.h"

#include <stdlib.h>
#include <string.h>

struct merge {
    struct area_list after;
    const struct memory_set *set;
    struct area_attr origin; /* of the last piece: the area of the map that it comes from */
    bool has_origin;
};

enum aspace_error area_list_add(struct area_list *list, const struct area *area, struct refusal *why)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct area *areas = realloc(list->areas, capacity * sizeof(*areas));

        if (!areas)
            return refuse_no_memory(why);
        list->areas = areas;
        list->capacity = capacity;
    }
    list->areas[list->count++] = *area;
    return ASPACE_OK;
}

void area_list_free(struct area_list *list)
{
    free(list->areas);
    *list = (struct area_list){0};
}

/* Whether the file of `old` is the one of `now`, unlinked since: the kernel then adds to the path. */
static bool same_unlinked(const struct backend *backend, const struct area_attr *old, const struct area_attr *now)
{
    const char *was = backend->ops->path ? backend->ops->path(backend, old->path) : NULL;
    const char *is = backend->ops->path ? backend->ops->path(backend, now->path) : NULL;

    return was && is && strncmp(is, was, strlen(was)) == 0 && strcmp(is + strlen(was), " (deleted)") == 0;
}

/* Whether `old` may be the same mapping as `now`, its permissions changed or not. */
static bool same_thing(const struct merge *m, const struct area_attr *old, const struct area_attr *now)
{
    return old->backing == now->backing && old->delta == now->delta &&
           (old->path == now->path || same_unlinked(m->set->backend, old, now));
}

/* Whether the new piece goes on where the last one ends, with no border of ours between. */
static bool goes_on(const struct merge *m, const struct area *last, const struct area *piece,
                    const struct area_attr *origin, bool same_found)
{
    if (last->range.end != piece->range.start || !area_attr_equal(&last->attr, &piece->attr))
        return false;
    if (m->set->merge == ASPACE_MERGE_AUTO)
        return true;
    return same_found && !(m->has_origin && origin && area_attr_equal(&m->origin, origin));
}

/* Adds `range` with what was found there, and the tag of `origin`, the area of the map there (NULL: none, or another
 * thing). `same_found`: the piece before belongs to the same area found. */
static enum aspace_error add(struct merge *m, struct range range, const struct area_attr *found,
                             const struct area_attr *origin, bool same_found, struct refusal *why)
{
    struct area *last = m->after.count ? &m->after.areas[m->after.count - 1] : NULL;
    struct area piece = {range, *found};

    if (range_empty(range))
        return ASPACE_OK;
    if (origin) {
        piece.attr.tag = origin->tag;
        piece.attr.made = origin->made;
    }
    if (last && goes_on(m, last, &piece, origin, same_found))
        last->range.end = range.end;
    else if (area_list_add(&m->after, &piece, why))
        return why->code;
    m->has_origin = origin != NULL;
    if (origin)
        m->origin = *origin;
    return ASPACE_OK;
}

/* One area found, cut where the areas of the map under it end. */
static enum aspace_error add_found(struct merge *m, const struct area *found, struct refusal *why)
{
    uint64_t page = found->range.start;
    struct area_cursor cursor;
    struct area old;

    area_map_seek(&m->set->map, page, &cursor);
    for (; area_cursor_get(&cursor, &old) && old.range.start < found->range.end; area_cursor_next(&cursor)) {
        struct range meet = range_meet(old.range, found->range);
        bool same = same_thing(m, &old.attr, &found->attr);

        if (add(m, (struct range){page, meet.start}, &found->attr, NULL, page > found->range.start, why) ||
            add(m, meet, &found->attr, same ? &old.attr : NULL, meet.start > found->range.start, why))
            return why->code;
        page = meet.end;
    }
    return add(m, (struct range){page, found->range.end}, &found->attr, NULL, page > found->range.start, why);
}

static bool area_equal(const struct area *a, const struct area *b)
{
    return range_equal(a->range, b->range) && area_attr_equal(&a->attr, &b->attr);
}

/* The areas of the map in the window. */
static enum aspace_error list_before(const struct memory_set *set, struct range window, struct area_list *ret,
                                     struct refusal *why)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(&set->map, window.start, &cursor);
    for (; area_cursor_get(&cursor, &area) && area.range.start < window.end; area_cursor_next(&cursor))
        if (area_list_add(ret, &area, why))
            return why->code;
    return ASPACE_OK;
}

/* The range that both lists' areas from `first` up to the last `same_end` ones cover. */
static struct range differing(const struct area_list *a, const struct area_list *b, size_t first, size_t same_end)
{
    struct range range = {UINT64_MAX, 0};

    for (int i = 0; i < 2; i++) {
        const struct area_list *list = i ? a : b;

        if (first + same_end >= list->count)
            continue;
        if (list->areas[first].range.start < range.start)
            range.start = list->areas[first].range.start;
        if (list->areas[list->count - same_end - 1].range.end > range.end)
            range.end = list->areas[list->count - same_end - 1].range.end;
    }
    return range;
}

/* Notes what differs: areas that start alike as one drift, any other as one that came or went. */
static void note_drift(struct watch *watch, const struct area_list *before, const struct area_list *after, size_t first,
                       size_t same_end, uint64_t generation)
{
    size_t old = first;
    size_t new = first;

    while (old + same_end < before->count || new + same_end < after->count) {
        const struct area *was = old + same_end < before->count ? &before->areas[old] : NULL;
        const struct area *is = new + same_end < after->count ? &after->areas[new] : NULL;

        if (was && is && was->range.start < is->range.start)
            is = NULL;
        else if (was && is && is->range.start < was->range.start)
            was = NULL;
        if (!was || !is || !area_equal(was, is))
            watch_note(watch, ASPACE_EVENT_DRIFT, was, is);
        old += was != NULL;
        new += is != NULL;
    }
    watch_commit(watch, generation);
}

/* Replaces just what differs. */
static enum aspace_error put(struct memory_set *set, const struct area_list *before, const struct area_list *after,
                             struct refusal *why, bool *ret_changed)
{
    size_t least = before->count < after->count ? before->count : after->count;
    size_t first = 0;
    size_t same_end = 0;
    size_t count;

    while (first < least && area_equal(&before->areas[first], &after->areas[first]))
        first++;
    while (same_end < least - first &&
           area_equal(&before->areas[before->count - 1 - same_end], &after->areas[after->count - 1 - same_end]))
        same_end++;
    *ret_changed = first + same_end < before->count || first + same_end < after->count;
    if (!*ret_changed)
        return ASPACE_OK;
    count = after->count - same_end - first;
    if (set->map.count - before->count + after->count > set->max_areas)
        return refuse(why, ASPACE_NO_MEMORY, "the target has more areas than the limit of %zu", set->max_areas);
    if (area_map_reserve(&set->map, count))
        return refuse_no_memory(why);
    area_map_replace(&set->map, differing(before, after, first, same_end), after->areas + first, count);
    set->generation++;
    if (set->backend->watch)
        note_drift(set->backend->watch, before, after, first, same_end, set->generation);
    return ASPACE_OK;
}

enum aspace_error memory_set_reconcile(struct memory_set *set, const struct area_list *found, struct refusal *why,
                                       bool *ret_changed)
{
    struct merge m = {.set = set};
    struct area_list before = {0};
    enum aspace_error error = ASPACE_OK;

    for (size_t i = 0; i < found->count && !error; i++)
        error = add_found(&m, &found->areas[i], why);
    if (!error)
        error = list_before(set, found->window, &before, why);
    if (!error)
        error = put(set, &before, &m.after, why, ret_changed);
    area_list_free(&before);
    area_list_free(&m.after);
    return error;
}
