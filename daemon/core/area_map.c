/* The interval map: its nodes' memory, finding an area by page, walking in order.
 * Not here: edits (area_map_edit.c), holes (area_map_search.c), the check of all of it (area_map_validate.c). */
#include "core/area_map.h"

#include <stdlib.h>
#include <string.h>

#include "core/area_map_node.h"

void area_map_init(struct area_map *map, struct range bounds)
{
    *map = (struct area_map){.bounds = bounds};
}

static struct area_map_node *leftmost(const struct area_map *map, unsigned level)
{
    struct area_map_node *node = map->root;

    for (unsigned at = map->height; at > level + 1; at--)
        node = node->children[0];
    return node;
}

void area_map_clear(struct area_map *map)
{
    struct area_map_node *below = NULL;

    for (struct area_map_node *first = map->root; first; first = below) {
        below = first->level ? first->children[0] : NULL;
        for (struct area_map_node *node = first, *next; node; node = next) {
            next = node->next;
            free(node);
        }
    }
    node_trim(map, 0);
    area_map_init(map, map->bounds);
}

size_t area_map_memory(const struct area_map *map)
{
    size_t nodes = map->spares;

    for (unsigned level = 0; level < map->height; level++)
        for (const struct area_map_node *node = leftmost(map, level); node; node = node->next)
            nodes++;
    return nodes * sizeof(struct area_map_node);
}

struct area_map_node *node_take(struct area_map *map, unsigned level)
{
    struct area_map_node *node = map->spare;

    map->spare = node->next;
    map->spares--;
    memset(node->keys, 0xff, sizeof(node->keys)); /* KEY_NONE */
    node->prev = NULL;
    node->next = NULL;
    node->count = 0;
    node->level = level;
    return node;
}

void node_release(struct area_map *map, struct area_map_node *node)
{
    node->next = map->spare;
    map->spare = node;
    map->spares++;
}

void node_trim(struct area_map *map, size_t keep)
{
    keep += map->held;
    while (map->spares > keep) {
        struct area_map_node *node = map->spare;

        map->spare = node->next;
        map->spares--;
        free(node);
    }
}

static size_t nodes_for(size_t entries)
{
    return entries / NODE_WIDTH + (entries % NODE_WIDTH != 0);
}

/* In every level, what goes out of f nodes and comes back with n more entries fits into f + nodes_for(n) nodes, and so
 * hands at most nodes_for(n) more to the level above. The f old nodes (the two at the window's edges and a sibling)
 * are read while the new ones are written: 3 more. Above the root, levels are added until one node holds all. */
size_t node_need(const struct area_map *map, size_t pieces)
{
    size_t more = pieces;
    size_t need = map->height ? 3 : 0;
    size_t top;

    for (unsigned level = 0; level < map->height; level++) {
        more = nodes_for(more);
        need += more;
    }
    for (top = more + (map->height != 0); top > 1 || (top && !need); need += top)
        top = nodes_for(top);
    return need;
}

/* At least `wanted` spares. */
static enum aspace_error stock(struct area_map *map, size_t wanted)
{
    size_t had = map->spares;

    while (map->spares < wanted) {
        struct area_map_node *node = aligned_alloc(_Alignof(struct area_map_node), sizeof(*node));

        if (!node) {
            node_trim(map, had > map->held ? had - map->held : 0);
            return ASPACE_NO_MEMORY;
        }
        node_release(map, node);
    }
    return ASPACE_OK;
}

enum aspace_error area_map_reserve(struct area_map *map, size_t pieces)
{
    return stock(map, map->held + node_need(map, pieces));
}

/* The map may be a level higher when the nodes are needed. */
enum aspace_error area_map_hold(struct area_map *map, size_t pieces)
{
    size_t need = node_need(map, pieces) + 2;

    if (stock(map, map->held + need))
        return ASPACE_NO_MEMORY;
    map->held += need;
    return ASPACE_OK;
}

void area_map_unhold(struct area_map *map)
{
    map->held = 0;
}

bool area_map_find(const struct area_map *map, uint64_t page, struct area *ret)
{
    const struct area_map_node *leaf;
    unsigned at;

    if (!map->root)
        return false;
    leaf = leaf_at(map, page);
    at = node_search(leaf, page);
    if (page < leaf->keys[at] || page >= leaf->ends[at])
        return false;
    *ret = leaf_area(leaf, at);
    return true;
}

void area_map_seek(const struct area_map *map, uint64_t page, struct area_cursor *ret)
{
    *ret = (struct area_cursor){.map = map};
    if (!map->root)
        return;
    ret->leaf = leaf_at(map, page);
    ret->index = node_search(ret->leaf, page);
    if (ret->leaf->ends[ret->index] <= page)
        area_cursor_next(ret);
}

bool area_cursor_get(const struct area_cursor *cursor, struct area *ret)
{
    if (!cursor->leaf)
        return false;
    *ret = leaf_area(cursor->leaf, cursor->index);
    return true;
}

bool area_cursor_next(struct area_cursor *cursor)
{
    if (!cursor->leaf)
        return false;
    if (++cursor->index < cursor->leaf->count)
        return true;
    cursor->leaf = cursor->leaf->next;
    cursor->index = 0;
    return cursor->leaf;
}

bool area_cursor_prev(struct area_cursor *cursor)
{
    if (!cursor->leaf)
        return false;
    if (!cursor->index) {
        cursor->leaf = cursor->leaf->prev;
        if (!cursor->leaf)
            return false;
        cursor->index = cursor->leaf->count;
    }
    cursor->index--;
    return true;
}

bool area_map_before(const struct area_map *map, uint64_t page, struct area *ret)
{
    struct area_cursor cursor = {.map = map};

    if (!map->root)
        return false;
    cursor.leaf = leaf_at(map, page);
    cursor.index = node_search(cursor.leaf, page);
    if (cursor.leaf->ends[cursor.index] > page && !area_cursor_prev(&cursor))
        return false;
    return area_cursor_get(&cursor, ret);
}
