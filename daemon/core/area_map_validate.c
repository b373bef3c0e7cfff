/* The check of the interval map's invariants, all of them, node by node. It trusts nothing but the pointers. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/area_map_node.h"

struct check {
    const struct area_map *map;
    char *problem;
    size_t size;
    const struct area_map_node *last[AREA_LEVELS_MAX]; /* the node visited last in each level */
    uint64_t end;                                      /* of the area visited last, or the bounds' start */
    size_t count;
    uint64_t pages;
};

static bool fails(const struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fails(const struct check *check, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(check->problem, check->size, format, args);
    va_end(args);
    return false;
}

static bool check_keys(const struct check *check, const struct area_map_node *node)
{
    unsigned level = node->level;

    for (unsigned i = 1; i < node->count; i++)
        if (node->keys[i] <= node->keys[i - 1])
            return fails(check, "order: key %u of a node in level %u is not above the one before it", i, level);
    for (unsigned i = node->count; i < level_width(level); i++)
        if (node->keys[i] != KEY_NONE)
            return fails(check, "padding: unused key %u of a node in level %u is set", i, level);
    return true;
}

static bool check_shape(struct check *check, const struct area_map_node *node, unsigned level)
{
    unsigned least = node != check->map->root ? level_min(level) : level ? 2 : 1;
    const struct area_map_node *prev = check->last[level];

    if (node->level != level)
        return fails(check, "depth: a node in level %u calls itself level %u", level, node->level);
    if (node->count < least || node->count > level_width(level))
        return fails(check, "fill: a node in level %u has %u entries, not %u to %u", level, node->count, least,
                     level_width(level));
    if (node->prev != prev || (prev && prev->next != node))
        return fails(check, "links: two neighbours in level %u do not point at each other", level);
    check->last[level] = node;
    return check_keys(check, node);
}

static bool check_areas(struct check *check, const struct area_map_node *leaf)
{
    const struct area_map *map = check->map;

    for (unsigned i = 0; i < leaf->count; i++) {
        uint64_t start = leaf->keys[i];
        uint64_t end = leaf->ends[i];

        if (end <= start)
            return fails(check, "order: the area at page %" PRIu64 " is empty", start);
        if (start < map->bounds.start || end > map->bounds.end)
            return fails(check, "bounds: the area at page %" PRIu64 " passes the map's bounds", start);
        if (start < check->end)
            return fails(check, "disjointness: the area at page %" PRIu64 " overlaps the one before it", start);
        check->end = end;
        check->pages += end - start;
    }
    check->count += leaf->count;
    return true;
}

static bool check_node(struct check *check, const struct area_map_node *node, unsigned level);

static bool check_children(struct check *check, const struct area_map_node *node)
{
    unsigned level = node->level;

    for (unsigned i = 0; i < node->count; i++) {
        if (!node->children[i])
            return fails(check, "depth: child %u of a node in level %u is missing", i, level);
        if (!check_node(check, node->children[i], level - 1))
            return false;
    }
    for (unsigned i = 0; i < node->count; i++) { /* once the links that a leaf's last hole is read by are checked */
        if (node->keys[i] != node->children[i]->keys[0])
            return fails(check, "separators: key %u of a node in level %u is not its child's first start", i, level);
        if (node->holes[i] != node_hole(check->map, node->children[i]))
            return fails(check, "holes: the hole kept for child %u of a node in level %u is wrong", i, level);
    }
    return true;
}

static bool check_node(struct check *check, const struct area_map_node *node, unsigned level)
{
    if (!check_shape(check, node, level))
        return false;
    return level ? check_children(check, node) : check_areas(check, node);
}

static bool check_ends(const struct check *check)
{
    const struct area_map *map = check->map;

    for (unsigned level = 0; level < map->height; level++)
        if (check->last[level]->next)
            return fails(check, "links: the last node of level %u has one after it", level);
    if (check->count != map->count)
        return fails(check, "counts: %zu areas, but the map says %zu", check->count, map->count);
    if (check->pages != map->pages)
        return fails(check, "counts: %" PRIu64 " pages, but the map says %" PRIu64, check->pages, map->pages);
    return true;
}

static bool check_spares(const struct check *check)
{
    const struct area_map_node *node = check->map->spare;
    size_t spares = 0;

    for (; node && spares <= check->map->spares; node = node->next)
        spares++;
    if (spares != check->map->spares)
        return fails(check, "counts: the list of spare nodes has not the %zu that the map says", check->map->spares);
    return true;
}

static bool check_map(struct check *check)
{
    const struct area_map *map = check->map;

    if ((map->root != NULL) != (map->height != 0) || map->height > AREA_LEVELS_MAX)
        return fails(check, "depth: the map says %u levels", map->height);
    if (map->root && !check_node(check, map->root, map->height - 1))
        return false;
    return check_ends(check) && check_spares(check);
}

bool area_map_validate(const struct area_map *map, char *problem, size_t size)
{
    struct check check = {.map = map, .problem = problem, .size = size, .end = map->bounds.start};
    uint64_t visits = node_visits();
    bool valid = check_map(&check);

    node_visits_set(visits); /* the check is no part of what an edit costs */
    return valid;
}
