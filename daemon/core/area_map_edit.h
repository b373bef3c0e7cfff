/* What the two halves of editing the interval map share: the edit of a leaf (area_map_edit.c) and the rebuilding of
 * nodes (area_map_rebuild.c). Private to them. */
#ifndef CORE_AREA_MAP_EDIT_H
#define CORE_AREA_MAP_EDIT_H

#include "core/area_map_node.h"

/* What an edit does to one level: between two places, what lay there goes and `count` entries come. */
struct edit {
    struct area_map *map;
    struct area_path *left;    /* to the first entry that goes */
    struct area_path *right;   /* to the last entry that goes; in a leaf to the one after it */
    const struct area *pieces; /* what comes in leaves; NULL above */
    struct area_map_node *run; /* what comes in inner nodes, linked */
    size_t count;
};

/* Copies what the parents keep of the path's node at `level` up the tree, as far as it changed. */
void path_settle(const struct area_map *map, const struct area_path *path, unsigned level);

/* The same for the leaf that holds `page`, whose last area got another hole behind it. */
void path_settle_before(const struct area_map *map, uint64_t page);

void node_copy(struct area_map_node *to, unsigned at, const struct area_map_node *from, unsigned first, size_t count);

/* AAAABBBBCCCC -> AAAA......CCCC: makes room for `count` entries where [lo, hi) lie. The caller writes them. */
void node_open(struct area_map_node *node, unsigned lo, unsigned hi, unsigned count);

void leaf_set(struct area_map_node *leaf, unsigned at, const struct area *area);

/* The areas [from, to) of a leaf no longer count. */
void map_forget(struct area_map *map, const struct area_map_node *leaf, unsigned from, unsigned to);

/* Makes the edit in every level that it changes; both paths are set. Of an empty map: the pieces become the map. */
void edit_rebuild(struct edit *edit);
void edit_plant(struct edit *edit);

#endif
