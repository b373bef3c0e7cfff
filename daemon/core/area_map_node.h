/* The nodes of the interval map: their layout, and what reading and editing share. Private to area_map*.c and to the
 * map's own test; nobody else may know what a node looks like. */
#ifndef CORE_AREA_MAP_NODE_H
#define CORE_AREA_MAP_NODE_H

#include "core/area_map.h"

/* Entries of a leaf and of an inner node; both kinds then have one size. A random find in a million areas waits for the
 * memory of one leaf: 32 keys are four cache lines that are read at once, and an insert moves half a kilobyte. With
 * leaves of 64 an edit of a large map takes a quarter more. */
#define LEAF_WIDTH  32
#define INNER_WIDTH 40

/* The fewest entries of a node that is not the root. Less than half, so that an area which comes and goes at the edge
 * does not merge and split a node each time. */
#define LEAF_MIN  (LEAF_WIDTH * 3 / 8)
#define INNER_MIN (INNER_WIDTH * 3 / 8)

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
    struct slab_block block;
    struct area_map_node *prev; /* in the same level */
    struct area_map_node *next; /* in the same level, or in the list of spares */
    unsigned count;
    unsigned level; /* 0 is a leaf */
    union {
        _Alignas(64) uint64_t keys[INNER_WIDTH]; /* of either kind: a leaf has the first LEAF_WIDTH of them */
        struct {
            uint64_t starts[LEAF_WIDTH];
            uint64_t ends[LEAF_WIDTH];
            struct area_attr attrs[LEAF_WIDTH];
        };
        struct {
            uint64_t firsts[INNER_WIDTH];
            uint64_t holes[INNER_WIDTH];
            struct area_map_node *children[INNER_WIDTH];
        };
    };
};

static inline unsigned level_width(unsigned level)
{
    return level ? INNER_WIDTH : LEAF_WIDTH;
}

static inline unsigned level_min(unsigned level)
{
    return level ? INNER_MIN : LEAF_MIN;
}

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

/* The last of the eight keys of a cache line that is at most `page`, or the first. No branch to guess wrong, and the
 * three keys of a step are read at once: halving takes more trips, and compilers like to make branches of it. */
static inline const uint64_t *search_line(const uint64_t *at, uint64_t page)
{
    at += 2 * ((size_t)(at[2] <= page) + (at[4] <= page) + (at[6] <= page));
    return at + (at[1] <= page);
}

/* The last entry whose key is at most `page`, or 0 if there is none. The first step reads all lines of keys but the
 * first, which is fetched meanwhile: so the second waits for no memory. */
static inline unsigned leaf_search(const struct area_map_node *leaf, uint64_t page)
{
    const uint64_t *keys = leaf->keys;
    size_t line = (size_t)(keys[8] <= page) + (keys[16] <= page) + (keys[24] <= page);

    __builtin_prefetch(keys);
    return (unsigned)(search_line(keys + 8 * line, page) - keys);
}

static inline unsigned inner_search(const struct area_map_node *node, uint64_t page)
{
    const uint64_t *keys = node->keys;
    size_t line = (size_t)(keys[8] <= page) + (keys[16] <= page) + (keys[24] <= page) + (keys[32] <= page);

    return (unsigned)(search_line(keys + 8 * line, page) - keys);
}

/* The same for the root, which alone may be nearly empty: a step less, by a branch that always goes the same way in one map. */
static inline unsigned root_search(const struct area_map_node *root, uint64_t page)
{
    return root->count > 8 ? inner_search(root, page) : (unsigned)(search_line(root->keys, page) - root->keys);
}

static inline unsigned node_search(const struct area_map_node *node, uint64_t page)
{
    return node->level ? inner_search(node, page) : leaf_search(node, page);
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
        node = node->children[inner_search(node, page)];
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

/* The largest hole after an area of the leaf. */
uint64_t leaf_hole(const struct area_map *map, const struct area_map_node *leaf);

/* The largest hole after an area below `node`: what its parent keeps. */
uint64_t node_hole(const struct area_map *map, const struct area_map_node *node);

/* Spare nodes. take needs one that was reserved. */
struct area_map_node *node_take(struct area_map *map, unsigned level);
void node_release(struct area_map *map, struct area_map_node *node);

/* Gives spares back until at most `keep` are left. */
void node_trim(struct area_map *map, size_t keep);

/* The same, leaving what is held and what the next small edits will want. */
void node_trim_surplus(struct area_map *map);

/* The nodes that a replace by `pieces` pieces can need at most. */
size_t node_need(const struct area_map *map, size_t pieces);

#endif
