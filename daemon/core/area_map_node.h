/* The nodes of the interval map: their layout, and what reading and editing share. Private to area_map*.c and to the
 * map's own test; nobody else may know what a node looks like. */
#ifndef CORE_AREA_MAP_NODE_H
#define CORE_AREA_MAP_NODE_H

#include "core/area_map.h"

/* Entries of a node. Of 32, 64 and 128, measured with random finds and shuffled inserts of 100 to a million areas, 64 is
 * best or near it everywhere: 32 slows the finds in 1,000 areas by half (a level more), 128 the inserts into 1,000 and
 * more by a tenth, and makes a small map larger. Prefetching a leaf's keys on the way down gained nothing. */
#define NODE_WIDTH 64

/* The fewest entries of a node that is not the root. Less than half, so that an area which comes and goes at the edge
 * does not merge and split a node each time. */
#define NODE_MIN (NODE_WIDTH * 3 / 8)

/* What a rebuilt node is filled to, if nodes allow: room for a few more before it must be rebuilt again. */
#define NODE_TARGET (NODE_WIDTH * 7 / 8)

/* Fills the unused keys: above every page, so that a search needs no count. */
#define KEY_NONE UINT64_MAX

/* A leaf holds areas, an inner node children. Keys are the areas' starts, or the first start below each child.
 *
 *   leaf   keys  [10 ][30 ][50 ]        inner   keys     [10][90][..]
 *          ends  [20 ][35 ][60 ]                holes    [15][ 7][..]   the largest hole after an area of the child
 *          attrs [   ][   ][   ]                children [ *][ *][..]
 *   holes after:  20-30 35-50 60-(first start of the next leaf, or the bounds' end)
 *
 * A hole belongs to the area before it. So a new area, which a search puts behind an area of its leaf, changes no
 * other leaf's holes; and the hole before the first area needs no place at all, as the root's first key ends it. */
struct area_map_node {
    _Alignas(64) uint64_t keys[NODE_WIDTH];
    union {
        struct {
            uint64_t ends[NODE_WIDTH];
            struct area_attr attrs[NODE_WIDTH];
        };
        struct {
            uint64_t holes[NODE_WIDTH];
            struct area_map_node *children[NODE_WIDTH];
        };
    };
    struct area_map_node *prev; /* in the same level */
    struct area_map_node *next; /* in the same level, or in the list of spares */
    unsigned count;
    unsigned level; /* 0 is a leaf */
};

/* Counts the nodes that are read or written, so that a test can hold what an edit costs; nothing in a release. */
#ifdef ASPACE_CHECKS
extern _Thread_local uint64_t node_visit_count;

static inline uint64_t node_visits(void)
{
    return node_visit_count;
}

static inline void node_visits_set(uint64_t count)
{
    node_visit_count = count;
}
#else
static inline uint64_t node_visits(void)
{
    return 0;
}

static inline void node_visits_set(uint64_t count)
{
    (void)count;
}
#endif

static inline void node_visit(void)
{
    node_visits_set(node_visits() + 1);
}

/* One step of a search: of four parts of `width` keys from `at`, the start of the one that `page` lies in. */
static inline const uint64_t *search_step(const uint64_t *at, size_t width, uint64_t page)
{
    size_t part = (size_t)(at[width] <= page) + (at[2 * width] <= page) + (at[3 * width] <= page);

    return at + part * width;
}

/* The last entry whose key is at most `page`, or 0 if there is none. No branch to guess wrong, and the three keys of a
 * step are read at once: halving takes twice the trips to memory, and compilers like to make branches of it. */
static inline unsigned node_search(const struct area_map_node *node, uint64_t page)
{
    const uint64_t *at = node->keys;

    at = search_step(at, 16, page);
    at = search_step(at, 4, page);
    at = search_step(at, 1, page);
    return (unsigned)(at - node->keys);
}

/* The same for the root, which alone may be nearly empty: then most steps can go, and a branch that always goes the same
 * way in one map costs nothing. */
static inline unsigned root_search(const struct area_map_node *root, uint64_t page)
{
    const uint64_t *at = root->keys;

    if (root->count > 16)
        at = search_step(at, 16, page);
    if (root->count > 4)
        at = search_step(at, 4, page);
    at = search_step(at, 1, page);
    return (unsigned)(at - root->keys);
}

static inline struct area_map_node *leaf_at(const struct area_map *map, uint64_t page)
{
    struct area_map_node *node = map->root;

    node_visit();
    if (map->height < 2)
        return node;
    node = node->children[root_search(node, page)];
    for (unsigned level = map->height; level > 2; level--) {
        node_visit();
        node = node->children[node_search(node, page)];
    }
    return node;
}

/* The way to the last area that starts at or before `page`, or the first one. The map is not empty. Returns the leaf. */
struct area_map_node *path_to(const struct area_map *map, uint64_t page, struct area_path *path);

static inline struct area leaf_area(const struct area_map_node *leaf, unsigned at)
{
    return (struct area){{leaf->keys[at], leaf->ends[at]}, leaf->attrs[at]};
}

/* The first start behind the leaf, or the bounds' end: where the hole after its last area ends. */
static inline uint64_t leaf_after(const struct area_map *map, const struct area_map_node *leaf)
{
    return leaf->next ? leaf->next->keys[0] : map->bounds.end;
}

/* Where the hole before the first area ends. */
static inline uint64_t map_first(const struct area_map *map)
{
    return map->root ? map->root->keys[0] : map->bounds.end;
}

/* The largest hole after one of the entries [from, to) of a leaf. */
uint64_t leaf_hole(const struct area_map *map, const struct area_map_node *leaf, unsigned from, unsigned to);

/* The largest hole after an area below `node`: what its parent keeps. */
uint64_t node_hole(const struct area_map *map, const struct area_map_node *node);

/* Spare nodes. take needs one that was reserved. */
struct area_map_node *node_take(struct area_map *map, unsigned level);
void node_release(struct area_map *map, struct area_map_node *node);

/* Gives spares back to malloc until at most `keep` are left. */
void node_trim(struct area_map *map, size_t keep);

/* The same, leaving what is held and what the next small edits will want. */
void node_trim_surplus(struct area_map *map);

/* The nodes that a replace by `pieces` pieces can need at most. */
size_t node_need(const struct area_map *map, size_t pieces);

#endif
