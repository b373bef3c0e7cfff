/* The interval map: areas in order in a B+tree keyed by start, with the largest hole of every subtree kept in its
 * parent. It knows ranges and nothing of what an area means; policy (who may overlap, what a backend says) is
 * memory_set's. All pages here are page numbers. Not thread-safe: its space's owner alone calls it.
 *
 * An edit is reserved first (area_map_reserve, which alone can fail) and made after (area_map_replace, which cannot). */
#ifndef CORE_AREA_MAP_H
#define CORE_AREA_MAP_H

#include <stddef.h>

#include "base/slab.h"
#include "core/area.h"

struct area_map_node;

/* What the held replaces may need; see area_map_spare.c. */
struct area_map_held {
    size_t edits;  /* calls of area_map_hold */
    size_t pieces; /* the sum of theirs */
    size_t leaves; /* the sum of the leaves that their pieces fill */
    size_t most;   /* the largest count of areas since the first hold */
    size_t nodes;  /* spares kept for them */
};

struct area_map {
    struct area_map_node *root;  /* NULL while empty */
    unsigned height;             /* levels; 0 while empty, 1 for a lone leaf */
    size_t count;                /* areas */
    uint64_t pages;              /* sum of the areas' sizes */
    struct range bounds;         /* holes are counted within these; every area lies inside */
    struct slab nodes;           /* the memory of all nodes */
    struct area_map_node *spare; /* reserved nodes */
    size_t spares;
    struct area_map_held held;
};

/* A place in the order: an area, or past the last one. Any edit of the map makes it invalid. It points into a leaf, whose
 * areas lie in three arrays, so that reading on costs no call. */
struct area_cursor {
    const struct area_map_node *leaf;
    const uint64_t *starts;
    const uint64_t *ends;
    const struct area_attr *attrs;
    unsigned index;
    unsigned count; /* of the leaf's areas; 0 past the end */
};

/* Enough: 2^52 areas in the emptiest nodes allowed are 12 levels. */
#define AREA_LEVELS_MAX 16

/* The way down to an area: at each level a node and an index in it; node[0] is the leaf. Any edit makes it invalid. */
struct area_path {
    struct area_map_node *node[AREA_LEVELS_MAX];
    unsigned index[AREA_LEVELS_MAX];
};

/* An empty map for areas within `bounds`. Allocates nothing. */
void area_map_init(struct area_map *map, struct range bounds);

/* Frees all nodes, spares too; the map is empty afterwards and may be used again. */
void area_map_clear(struct area_map *map);

/* Instead of what it holds `map` gets what `from`, which has the same bounds and is not to be used any more, holds. The
 * bounds are not written to: another thread may be reading them (space.list does). */
void area_map_take(struct area_map *map, const struct area_map *from);

/* The area that holds `page`, or false (then *ret is untouched). O(log n). */
bool area_map_find(const struct area_map *map, uint64_t page, struct area *ret);

/* Puts the cursor on the first area whose end lies above `page`: the one that holds it or the next one. */
void area_map_seek(const struct area_map *map, uint64_t page, struct area_cursor *ret);

/* The same, and keeps the way for an edit that begins there: area_map_replace_at. */
void area_map_locate(const struct area_map *map, uint64_t page, struct area_path *ret_path,
                     struct area_cursor *ret_cursor);

/* The area under the cursor, or false past the end. */
static inline bool area_cursor_get(const struct area_cursor *cursor, struct area *ret)
{
    unsigned at = cursor->index;

    if (at >= cursor->count)
        return false;
    *ret = (struct area){{cursor->starts[at], cursor->ends[at]}, cursor->attrs[at]};
    return true;
}

/* The step from a leaf's last area; area_cursor_next is the one to call. */
bool area_cursor_next_leaf(struct area_cursor *cursor);

/* One area on or back; false if there is none (the cursor is then past the end). Prev from past the end fails: seek. */
static inline bool area_cursor_next(struct area_cursor *cursor)
{
    return ++cursor->index < cursor->count || area_cursor_next_leaf(cursor);
}
bool area_cursor_prev(struct area_cursor *cursor);

/* The area just before the first one whose end lies above `page` (so the last with end <= page), or false. */
bool area_map_before(const struct area_map *map, uint64_t page, struct area *ret);

/* The areas of `from` in an empty map of the same bounds; with `tags` their tags become tags[tag - 1]. NoMemory, and it
 * stays empty. */
enum aspace_error area_map_copy(const struct area_map *from, const uint32_t *tags, struct area_map *to,
                                struct refusal *why);

/* Takes enough spare nodes that area_map_replace with `pieces` pieces cannot fail next. NoMemory otherwise, map unchanged. */
enum aspace_error area_map_reserve(struct area_map *map, size_t pieces);

/* Erases every area that touches `window` (an area that straddles its edge goes whole) and puts `pieces` in: sorted,
 * disjoint, not touching what stays, `count` of them, all inside the bounds. Needs area_map_reserve(map, count) before.
 * Cannot fail. O(log n + areas erased + count). The pieces stay the caller's. */
void area_map_replace(struct area_map *map, struct range window, const struct area *pieces, size_t count);

/* The same by a path that area_map_locate made since the last edit: if it leads to where the edit begins, the way down is
 * saved. The path is used up. */
void area_map_replace_at(struct area_map *map, struct area_path *path, struct range window, const struct area *pieces,
                         size_t count);

/* For a transaction that must be undoable without memory. Each call takes nodes for one more area_map_replace of `pieces`
 * pieces: to be made later with no reserve, after the last edit of the transaction, and never to fail, whatever edits
 * come in between and in whatever order all the held ones are made. Neither the reserves of those edits nor trimming
 * touch these nodes. Call it before or after the edit's own area_map_reserve. NoMemory; what was held stays held. */
enum aspace_error area_map_hold(struct area_map *map, size_t pieces);

/* Ends the transaction: forgets all holds and gives back what they took. */
void area_map_unhold(struct area_map *map);

/* Finds `pages` free pages in `window` whose first page is a multiple of `align` (a power of two, in pages), by
 * `policy`. False if none fits. First and top are O(log n) but for holes that are large enough and fail on alignment
 * alone; best also visits every hole that fits unless one fits exactly. */
bool area_map_find_free(const struct area_map *map, struct range window, uint64_t pages, uint64_t align,
                        enum aspace_policy policy, uint64_t *ret);

/* The largest hole in `window`, clipped to it; the lowest of equals. False if the window is full. O(log n). */
bool area_map_largest_hole(const struct area_map *map, struct range window, struct range *ret);

/* Checks every invariant: order, disjointness, bounds, fill, depth, separators, links, holes, counts. True if all
 * hold; else false and `problem` (of `size` bytes) says in a sentence which one does not. O(n). */
bool area_map_validate(const struct area_map *map, char *problem, size_t size);

/* Bytes taken for nodes, spares and what is not yet used included. */
size_t area_map_memory(const struct area_map *map);

#endif
