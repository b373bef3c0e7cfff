/* Finding room in a memory set. */
#include "core/memory_set_edit.h"

static struct range placement_window(const struct memory_set *set, const struct placement *place)
{
    struct range window = place->has_within ? place->within : set->map.bounds;

    if (place->has_hint && place->hint > window.start)
        window.start = place->hint;
    if (!place->has_hint && !place->has_within && window.start < set->lowest)
        window.start = set->lowest;
    return window;
}

static bool find_aligned(const struct memory_set *set, const struct placement *place, struct range window,
                         uint64_t *ret_page)
{
    uint64_t align = place->wish > place->align ? place->wish : place->align;

    for (; align > place->align; align /= 2)
        if (area_map_find_free(&set->map, window, place->pages, align, place->policy, ret_page))
            return true;
    return area_map_find_free(&set->map, window, place->pages, place->align, place->policy, ret_page);
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
    if (!range_empty(window) && find_aligned(set, place, window, ret_page))
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
