/* The interval map: making and clearing it, finding an area by page, walking in order.
 * Not here: edits (area_map_edit.c), the nodes they need (area_map_spare.c), holes (area_map_search.c), the check of all
 * of it (area_map_validate.c). */
#include "core/area_map.h"

#include <stdlib.h>

#include "core/area_map_node.h"

#ifdef ASPACE_CHECKS
_Thread_local uint64_t node_visit_count;
#endif

void area_map_init(struct area_map *map, struct range bounds)
{
    *map = (struct area_map){.bounds = bounds, .nodes = SLAB_INIT(sizeof(struct area_map_node))};
}

void area_map_clear(struct area_map *map)
{
    slab_clear(&map->nodes);
    area_map_init(map, map->bounds);
}

void area_map_take(struct area_map *map, const struct area_map *from)
{
    slab_clear(&map->nodes);
    map->root = from->root;
    map->height = from->height;
    map->count = from->count;
    map->pages = from->pages;
    map->nodes = from->nodes;
    map->spare = from->spare;
    map->spares = from->spares;
    map->held = from->held;
}

size_t area_map_memory(const struct area_map *map)
{
    return map->nodes.bytes;
}

/* For an edit: all lines of a node at once, or it would wait for the keys, then for what belongs to one of them, then for
 * what it shifts. */
static void node_prefetch(const struct area_map_node *node)
{
    for (const char *line = (const char *)node; line < (const char *)(node + 1); line += 64)
        __builtin_prefetch(line);
}

struct area_map_node *path_to(const struct area_map *map, uint64_t page, struct area_path *path)
{
    struct area_map_node *node = map->root;
    unsigned far = map->height > 3 ? 2 : 0; /* the children of levels up to it are in no cache near by */

    for (unsigned level = map->height - 1; level; level--) {
        unsigned at = node == map->root ? root_search(node, page) : inner_search(node, page);

        path->node[level] = node;
        path->index[level] = at;
        node_visit();
        node = node->children[at];
        if (level <= far)
            node_prefetch(node);
    }
    path->node[0] = node;
    path->index[0] = leaf_search(node, page);
    return node;
}

bool area_map_find(const struct area_map *map, uint64_t page, struct area *ret)
{
    const struct area_map_node *leaf;
    unsigned at;

    if (!map->root)
        return false;
    leaf = leaf_at(map, page);
    at = leaf_search(leaf, page);
    if (page < leaf->keys[at] || page >= leaf->ends[at])
        return false;
    *ret = leaf_area(leaf, at);
    return true;
}

/* Puts the cursor on an area of `leaf`; past the end if that is NULL. */
static void cursor_enter(struct area_cursor *cursor, const struct area_map_node *leaf, unsigned index)
{
    if (!leaf) {
        *cursor = (struct area_cursor){0};
        return;
    }
    node_visit();
    cursor->leaf = leaf;
    cursor->starts = leaf->keys;
    cursor->ends = leaf->ends;
    cursor->attrs = leaf->attrs;
    cursor->index = index;
    cursor->count = leaf->count;
}

void area_map_seek(const struct area_map *map, uint64_t page, struct area_cursor *ret)
{
    const struct area_map_node *leaf = map->root ? leaf_at(map, page) : NULL;

    cursor_enter(ret, leaf, leaf ? leaf_search(leaf, page) : 0);
    if (leaf && ret->ends[ret->index] <= page)
        area_cursor_next(ret);
}

void area_map_locate(const struct area_map *map, uint64_t page, struct area_path *ret_path,
                     struct area_cursor *ret_cursor)
{
    const struct area_map_node *leaf = map->root ? path_to(map, page, ret_path) : NULL;

    cursor_enter(ret_cursor, leaf, leaf ? ret_path->index[0] : 0);
    if (leaf && ret_cursor->ends[ret_cursor->index] <= page)
        area_cursor_next(ret_cursor);
}

bool area_cursor_next_leaf(struct area_cursor *cursor)
{
    cursor_enter(cursor, cursor->leaf ? cursor->leaf->next : NULL, 0);
    return cursor->count;
}

bool area_cursor_prev(struct area_cursor *cursor)
{
    const struct area_map_node *leaf = cursor->leaf;

    if (leaf && !cursor->index) {
        leaf = leaf->prev;
        cursor_enter(cursor, leaf, leaf ? leaf->count : 0);
    }
    if (!leaf)
        return false;
    cursor->index--;
    return true;
}

bool area_map_before(const struct area_map *map, uint64_t page, struct area *ret)
{
    struct area_cursor cursor;
    const struct area_map_node *leaf;

    if (!map->root)
        return false;
    leaf = leaf_at(map, page);
    cursor_enter(&cursor, leaf, leaf_search(leaf, page));
    if (cursor.ends[cursor.index] > page && !area_cursor_prev(&cursor))
        return false;
    return area_cursor_get(&cursor, ret);
}

enum aspace_error area_map_copy(const struct area_map *from, const uint32_t *tags, struct area_map *to,
                                struct refusal *why)
{
    struct area *areas = malloc((from->count + 1) * sizeof(*areas));
    struct area_cursor cursor;
    size_t count = 0;

    if (!areas || area_map_reserve(to, from->count)) {
        free(areas);
        return refuse_no_memory(why);
    }
    area_map_seek(from, 0, &cursor);
    for (; area_cursor_get(&cursor, &areas[count]); area_cursor_next(&cursor)) {
        if (tags && areas[count].attr.tag)
            areas[count].attr.tag = tags[areas[count].attr.tag - 1];
        count++;
    }
    if (count)
        area_map_replace(to, to->bounds, areas, count);
    free(areas);
    return ASPACE_OK;
}
