/* Holes of the interval map: finding a free place by policy, and the largest hole. Reads the holes that the nodes keep;
 * keeping them exact is the edit's business. */
#include "core/area_map_node.h"

struct search {
    struct range window;
    uint64_t pages;
    uint64_t align;
    enum aspace_policy policy;
    uint64_t found;     /* first page of the best place so far */
    uint64_t hole_size; /* of the hole it lies in; UINT64_MAX while there is none */
};

/* The lowest aligned place in `hole`. No sum passes 2^52 + 2^63. */
static bool fit_low(struct range hole, uint64_t pages, uint64_t align, uint64_t *ret)
{
    uint64_t start = (hole.start + align - 1) & ~(align - 1);

    if (start > hole.end || hole.end - start < pages)
        return false;
    *ret = start;
    return true;
}

/* The highest aligned place in `hole`. */
static bool fit_high(struct range hole, uint64_t pages, uint64_t align, uint64_t *ret)
{
    uint64_t start;

    if (hole.end - hole.start < pages)
        return false;
    start = (hole.end - pages) & ~(align - 1);
    if (start < hole.start)
        return false;
    *ret = start;
    return true;
}

/* Looks at one hole. True if the search is over. */
static bool try_hole(struct search *search, uint64_t start, uint64_t end)
{
    struct range hole = range_meet((struct range){start, end}, search->window);
    uint64_t page = 0;

    if (range_empty(hole) || range_pages(hole) < search->pages || range_pages(hole) >= search->hole_size)
        return false;
    if (search->policy == ASPACE_POLICY_TOP ? !fit_high(hole, search->pages, search->align, &page)
                                            : !fit_low(hole, search->pages, search->align, &page))
        return false;
    search->found = page;
    search->hole_size = range_pages(hole);
    return search->policy != ASPACE_POLICY_BEST || search->hole_size == search->pages;
}

/* The start of what follows entry `i`; `after` is what follows the node. */
static uint64_t entry_after(const struct area_map_node *node, unsigned i, uint64_t after)
{
    return i + 1 < node->count ? node->keys[i + 1] : after;
}

/* The holes after the areas below `node` that touch the window, from the lowest up. Both edges of the window cost one
 * way down each; between them only subtrees with a hole that is large enough are entered. */
static bool search_up(struct search *search, const struct area_map_node *node, uint64_t after)
{
    unsigned i = node_search(node, search->window.start);

    node_visit();
    for (; i < node->count && node->keys[i] < search->window.end; i++) {
        uint64_t next = entry_after(node, i, after);

        if (!node->level) {
            if (try_hole(search, node->ends[i], next))
                return true;
        } else if (node->holes[i] >= search->pages && search_up(search, node->children[i], next)) {
            return true;
        }
    }
    return false;
}

/* The same from the highest down. */
static bool search_down(struct search *search, const struct area_map_node *node, uint64_t after)
{
    unsigned low = node_search(node, search->window.start);
    unsigned i = node_search(node, search->window.end - 1) + 1;

    node_visit();
    while (i-- > low) {
        uint64_t next = entry_after(node, i, after);

        if (!node->level) {
            if (try_hole(search, node->ends[i], next))
                return true;
        } else if (node->holes[i] >= search->pages && search_down(search, node->children[i], next)) {
            return true;
        }
    }
    return false;
}

bool area_map_find_free(const struct area_map *map, struct range window, uint64_t pages, uint64_t align,
                        enum aspace_policy policy, uint64_t *ret)
{
    struct search search = {.pages = pages, .align = align, .policy = policy, .hole_size = UINT64_MAX};
    uint64_t head = map->bounds.start;

    search.window = range_meet(window, map->bounds);
    if (range_empty(search.window) || !pages)
        return false;
    if (policy == ASPACE_POLICY_TOP) {
        if (!map->root || !search_down(&search, map->root, map->bounds.end))
            try_hole(&search, head, map_first(map));
    } else if (!try_hole(&search, head, map_first(map)) && map->root) {
        search_up(&search, map->root, map->bounds.end);
    }
    if (search.hole_size == UINT64_MAX)
        return false;
    *ret = search.found;
    return true;
}

/* The largest hole so far: where it is, or the subtree that is known to have it. */
struct largest {
    struct range window;
    uint64_t size;
    struct range hole;
    const struct area_map_node *below; /* NULL when `hole` is set */
    uint64_t after;                    /* the start of what follows `below` */
};

static void largest_try(struct largest *best, uint64_t start, uint64_t end)
{
    struct range hole = range_meet((struct range){start, end}, best->window);

    if (range_empty(hole) || range_pages(hole) <= best->size)
        return;
    best->size = range_pages(hole);
    best->hole = hole;
    best->below = NULL;
}

/* Of a child that lies inside the window the kept hole tells all; only the two at the edges are entered. */
static void largest_below(struct largest *best, const struct area_map_node *node, uint64_t after)
{
    unsigned i = node_search(node, best->window.start);

    node_visit();
    for (; i < node->count && node->keys[i] < best->window.end; i++) {
        uint64_t next = entry_after(node, i, after);

        if (!node->level) {
            largest_try(best, node->ends[i], next);
        } else if (node->holes[i] > best->size) {
            if (node->keys[i] < best->window.start || next > best->window.end) {
                largest_below(best, node->children[i], next);
                continue;
            }
            best->size = node->holes[i];
            best->below = node->children[i];
            best->after = next;
        }
    }
}

/* The lowest hole below `node` that has exactly `size`, which is known to be there. */
static struct range hole_of_size(const struct area_map_node *node, uint64_t after, uint64_t size)
{
    unsigned i;

    while (node->level) {
        node_visit();
        for (i = 0; node->holes[i] != size; i++)
            ;
        after = entry_after(node, i, after);
        node = node->children[i];
    }
    for (i = 0; entry_after(node, i, after) - node->ends[i] != size; i++)
        ;
    return (struct range){node->ends[i], node->ends[i] + size};
}

bool area_map_largest_hole(const struct area_map *map, struct range window, struct range *ret)
{
    struct largest best = {.window = range_meet(window, map->bounds)};

    if (range_empty(best.window))
        return false;
    largest_try(&best, map->bounds.start, map_first(map));
    if (map->root)
        largest_below(&best, map->root, map->bounds.end);
    if (!best.size)
        return false;
    *ret = best.below ? hole_of_size(best.below, best.after, best.size) : best.hole;
    return true;
}
