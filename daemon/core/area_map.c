/* The interval map: making and clearing it, finding an area by page, walking in order.
 * Not here: edits (area_map_edit.c), the nodes they need (area_map_spare.c), holes (area_map_search.c), the check of all
 * of it (area_map_validate.c). */
#include "core/area_map.h"

#include <stdlib.h>

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
