/* The spare nodes of the interval map: how many an edit can need at most, and taking them before it is made. With what
 * is taken here, area_map_edit.c cannot fail. */
#include <string.h>

#include "core/area_map_node.h"

struct area_map_node *node_take(struct area_map *map, unsigned level)
{
    struct area_map_node *node = map->spare;

    map->spare = node->next;
    map->spares--;
    memset(node->keys, 0xff, level_width(level) * sizeof(node->keys[0])); /* KEY_NONE */
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
    while (map->spares > keep) {
        struct area_map_node *node = map->spare;

        map->spare = node->next;
        map->spares--;
        slab_give(&map->nodes, node);
    }
}

/* In bytes: what an empty map may keep. */
#define SMALL_MAP ((size_t)64 << 10)

void node_trim_surplus(struct area_map *map)
{
    bool was_large = !map->root && map->nodes.bytes > SMALL_MAP; /* its last few spares may lie in as many chunks */

    node_trim(map, map->held.nodes + (was_large ? 0 : node_need(map, 1) + 4));
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t leaves_for(size_t areas)
{
    return areas / LEAF_WIDTH + (areas % LEAF_WIDTH != 0);
}

static size_t inner_for(size_t children)
{
    return children / INNER_WIDTH + (children % INNER_WIDTH != 0);
}

/* ---- One edit ----
 *
 * In each level an edit rebuilds at most OLD_MAX nodes (the two at the window's edges and a sibling) into at most
 * as many more as n entries fill, where n come, and the level grows by no more than that. In leaves n is the number of
 * pieces; above, it is the number of new nodes below: OLD_MAX at most, and what the level below grows by.
 *
 * A level's old nodes are read while its new ones are written, and are spare before the level above begins: so OLD_MAX
 * and the sum of what the levels grow by are enough. On top of the root come levels until one node holds all. */
#define OLD_MAX 3

size_t node_need(const struct area_map *map, size_t pieces)
{
    size_t more = leaves_for(pieces);
    size_t need = more + (map->height ? OLD_MAX : 0);
    size_t top;

    if (map->height && pieces <= LEAF_WIDTH)
        return OLD_MAX + map->height + 1; /* what is below, for the usual edit: one more in each level, and a root */
    for (unsigned level = 1; level < map->height; level++) {
        more = inner_for(OLD_MAX + more);
        need += more;
    }
    for (top = more + (map->height != 0); top > 1; need += top)
        top = inner_for(top);
    return need;
}

/* Takes spare nodes until there are `need`; all or none. */
static enum aspace_error take_spares(struct area_map *map, size_t need)
{
    size_t had = map->spares;

    while (map->spares < need) {
        struct area_map_node *node = slab_take(&map->nodes);

        if (!node) {
            node_trim(map, had);
            return ASPACE_NO_MEMORY;
        }
        node_release(map, node);
    }
    return ASPACE_OK;
}

/* ---- The held replaces: any number of edits in a row, with nothing taken between them ----
 *
 * Nodes that leave the tree are spare for the next edit. So the sequence needs what the levels have grown by at its worst
 * moment, and OLD_MAX for the edit that is being made then; not the sum of what each edit needs alone. Two bounds hold
 * for what a level has grown by since any earlier moment:
 *
 * - The sum of what each edit lets it grow by. For one edit that is d(0) = leaves_for(pieces), and above
 *   d(l) = inner_for(OLD_MAX + d(l-1)) <= 1 + (d(l-1) + 2) / WIDTH <= 1 + d(l-1) / (WIDTH / 2), divisions rounded down
 *   (WIDTH is INNER_WIDTH; where d(l-1) < WIDTH - 2 the first quotient is 0, elsewhere the second is no less). Summed over all edits:
 *   D(0) = the sum of leaves_for(pieces), D(l) <= edits + D(l-1) / (WIDTH / 2).
 * - All the nodes it can have. With c areas that is c / LEAF_MIN / INNER_MIN^l, for none but the root has fewer
 *   entries, or 1, the root, and then there is no level above. The old nodes and the new ones of an edit, which are
 *   there together, are so many each: twice that. There are never more areas than the most there were before the first
 *   held replace and all their pieces.
 *
 * Both hold for the rest of the sequence from any moment and any tree on, so trimming down to the bound on the way does
 * no harm. A thousand holds of one piece in a million areas take about 2,150 nodes; a thousand reserves would take
 * 8,000. */
static size_t held_need(const struct area_map_held *held)
{
    size_t all = (held->most + held->pieces) / LEAF_MIN;
    size_t grown = held->leaves;
    size_t need = OLD_MAX + smaller(grown, 2 * larger(all, 1));

    while (all > 1) {
        all /= INNER_MIN;
        grown = held->edits + grown / (INNER_WIDTH / 2);
        need += smaller(grown, 2 * larger(all, 1));
    }
    return need;
}

static enum aspace_error reserve_more(struct area_map *map, size_t pieces)
{
    struct area_map_held held = map->held;

    if (held.edits && held.most < map->count + pieces) {
        held.most = map->count + pieces;
        held.nodes = held_need(&held);
    }
    if (take_spares(map, held.nodes + node_need(map, pieces)))
        return ASPACE_NO_MEMORY;
    map->held = held;
    return ASPACE_OK;
}

enum aspace_error area_map_reserve(struct area_map *map, size_t pieces)
{
    if (!map->held.edits && pieces <= LEAF_WIDTH && map->spares >= OLD_MAX + map->height + 1)
        return ASPACE_OK; /* as node_need counts for the usual edit */
    return reserve_more(map, pieces);
}

enum aspace_error area_map_hold(struct area_map *map, size_t pieces)
{
    struct area_map_held held = map->held;

    held.edits++;
    held.pieces += pieces;
    held.leaves += leaves_for(pieces);
    held.most = larger(held.most, map->count);
    held.nodes = held_need(&held);
    if (take_spares(map, map->spares + held.nodes - map->held.nodes))
        return ASPACE_NO_MEMORY;
    map->held = held;
    return ASPACE_OK;
}

void area_map_unhold(struct area_map *map)
{
    if (!map->held.edits)
        return;
    map->held = (struct area_map_held){0};
    node_trim_surplus(map);
}
