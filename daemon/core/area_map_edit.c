/* Replacing a window of the interval map by new areas. An edit that stays in one leaf shifts it once; any other goes to
 * area_map_rebuild.c. Nothing here can fail: area_map_reserve has taken the nodes before. */
#include "core/area_map_edit.h"

#include <string.h>

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t hole_between(const struct area_map_node *leaf, unsigned at)
{
    return leaf->starts[at + 1] - leaf->ends[at];
}

uint64_t leaf_hole(const struct area_map *map, const struct area_map_node *leaf)
{
    unsigned inside = leaf->count - 1;
    unsigned half = (inside + 1) / 2;
    uint64_t low = 0;
    uint64_t high = leaf_after(map, leaf) - leaf->ends[inside];

    node_visit();
    for (unsigned i = 0; i < half; i++) { /* two chains, for one would wait for itself; the middle is in both */
        low = larger(low, hole_between(leaf, i));
        high = larger(high, hole_between(leaf, inside - half + i));
    }
    return larger(low, high);
}

uint64_t node_hole(const struct area_map *map, const struct area_map_node *node)
{
    uint64_t largest = 0;

    if (!node->level)
        return leaf_hole(map, node);
    node_visit();
    for (unsigned i = 0; i < node->count; i++)
        largest = larger(largest, node->holes[i]);
    return largest;
}

void path_settle(const struct area_map *map, const struct area_path *path, unsigned level)
{
    for (; level + 1 < map->height; level++) {
        const struct area_map_node *node = path->node[level];
        struct area_map_node *parent = path->node[level + 1];
        unsigned at = path->index[level + 1];
        uint64_t hole = node_hole(map, node);

        if (parent->keys[at] == node->keys[0] && parent->holes[at] == hole)
            return;
        parent->keys[at] = node->keys[0];
        parent->holes[at] = hole;
    }
}

/* The same when only holes changed, and of those that changed the largest was `old` and is now `now`: mostly there is
 * nothing to do, and no node to read through. */
static void settle_hole(const struct area_map *map, const struct area_path *path, uint64_t old, uint64_t now)
{
    for (unsigned level = 1; level < map->height; level++) {
        uint64_t *kept = &path->node[level]->holes[path->index[level]];
        uint64_t was = *kept;

        if (now < was && old < was)
            return;
        *kept = now >= was ? now : node_hole(map, path->node[level - 1]);
        if (*kept == was)
            return;
        old = was;
        now = *kept;
    }
}

void path_settle_before(const struct area_map *map, uint64_t page)
{
    struct area_path path;

    path_to(map, page, &path);
    path_settle(map, &path, 0);
}

void node_copy(struct area_map_node *to, unsigned at, const struct area_map_node *from, unsigned first, size_t count)
{
    memmove(&to->keys[at], &from->keys[first], count * sizeof(to->keys[0]));
    if (from->level) {
        memmove(&to->holes[at], &from->holes[first], count * sizeof(to->holes[0]));
        memmove(&to->children[at], &from->children[first], count * sizeof(struct area_map_node *));
    } else {
        memmove(&to->ends[at], &from->ends[first], count * sizeof(to->ends[0]));
        memmove(&to->attrs[at], &from->attrs[first], count * sizeof(to->attrs[0]));
    }
}

static inline void leaf_move(struct area_map_node *leaf, unsigned to, unsigned from)
{
    leaf->starts[to] = leaf->starts[from];
    leaf->ends[to] = leaf->ends[from];
    leaf->attrs[to] = leaf->attrs[from];
}

/* The areas from `from` on move to `to` on, all three parts in one loop: its end is guessed wrong once, where three calls
 * of memmove guess wrong twice each. */
static void leaf_shift(struct area_map_node *leaf, unsigned to, unsigned from)
{
    unsigned count = leaf->count;

    if (to > from)
        for (unsigned i = count; i-- > from;)
            leaf_move(leaf, i + (to - from), i);
    else if (to < from)
        for (unsigned i = from; i < count; i++)
            leaf_move(leaf, i - (from - to), i);
}

void node_open(struct area_map_node *node, unsigned lo, unsigned hi, unsigned count)
{
    unsigned total = node->count - (hi - lo) + count;

    if (!node->level)
        leaf_shift(node, lo + count, hi);
    else if (lo + count != hi)
        node_copy(node, lo + count, node, hi, node->count - hi);
    for (unsigned i = total; i < node->count; i++)
        node->keys[i] = KEY_NONE;
    node->count = total;
}

void leaf_set(struct area_map_node *leaf, unsigned at, const struct area *area)
{
    leaf->keys[at] = area->range.start;
    leaf->ends[at] = area->range.end;
    leaf->attrs[at] = area->attr;
}

void map_forget(struct area_map *map, const struct area_map_node *leaf, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        map->pages -= leaf->ends[i] - leaf->keys[i];
    map->count -= to - from;
}

static void count_areas(struct area_map *map, const struct area *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        map->pages += range_pages(pieces[i].range);
    map->count += count;
}

/* The largest hole after one of the areas [from, to): the few beside an edit. */
static inline uint64_t edit_hole(const struct area_map *map, const struct area_map_node *leaf, unsigned from,
                                 unsigned to)
{
    uint64_t largest = 0;

    for (unsigned i = from; i < to; i++)
        largest = larger(largest, (i + 1 < leaf->count ? leaf->starts[i + 1] : leaf_after(map, leaf)) - leaf->ends[i]);
    return largest;
}

/* The edit of a lone leaf: [lo, hi) of it become the pieces. */
static void edit_leaf(struct edit *edit, unsigned lo, unsigned hi)
{
    struct area_map *map = edit->map;
    struct area_map_node *leaf = edit->left->node[0];
    unsigned count = (unsigned)edit->count;
    unsigned from = lo - 1; /* its hole changes too */
    uint64_t old = map->height > 1 && lo ? edit_hole(map, leaf, from, hi) : 0;

    map_forget(map, leaf, lo, hi);
    node_open(leaf, lo, hi, count);
    for (unsigned i = 0; i < count; i++)
        leaf_set(leaf, lo + i, &edit->pieces[i]);
    if (map->height == 1)
        return;
    if (lo) {
        settle_hole(map, edit->left, old, edit_hole(map, leaf, from, lo + count));
        return;
    }
    path_settle(map, edit->left, 0);
    if (leaf->prev)
        path_settle_before(map, leaf->prev->keys[0]);
}

/* The usual edit of all: one area comes into a hole behind another one. False if it is not that, or the leaf is full. */
static bool insert_one(const struct edit *edit, struct range window)
{
    struct area_map *map = edit->map;
    struct area_map_node *leaf = edit->left->node[0];
    unsigned at = edit->left->index[0];
    unsigned count = leaf->count;
    uint64_t after;
    uint64_t before;

    if (edit->count != 1 || count == LEAF_WIDTH || window.start < leaf->ends[at])
        return false;
    before = leaf->ends[at++];
    after = at < count ? leaf->starts[at] : leaf_after(map, leaf);
    if (after < window.end)
        return false;
    leaf_shift(leaf, at + 1, at);
    leaf_set(leaf, at, edit->pieces);
    leaf->count = count + 1;
    settle_hole(map, edit->left, after - before, larger(window.start - before, after - window.end));
    return true;
}

/* True if all that the edit does is to give the area `at` of the leaf other attributes. */
static bool only_attr(const struct edit *edit, struct range window, unsigned at)
{
    const struct area_map_node *leaf = edit->left->node[0];

    return edit->count == 1 && leaf->starts[at] == window.start && leaf->ends[at] == window.end &&
           range_equal(edit->pieces[0].range, window);
}

/* The window and the pieces together, for the pieces may lie beside it. */
static struct range whole_window(struct range window, const struct area *pieces, size_t count)
{
    struct range span = {pieces[0].range.start, pieces[count - 1].range.end};

    if (range_empty(window))
        return span;
    return (struct range){span.start < window.start ? span.start : window.start,
                          span.end > window.end ? span.end : window.end};
}

/* True if the edit of [lo, hi) stays in the leaf and leaves it filled as it must be. */
static bool stays_in_leaf(const struct area_map *map, const struct area_map_node *leaf, struct range window,
                          unsigned lo, unsigned hi, size_t count)
{
    unsigned kept = leaf->count - (hi - lo);

    if (hi == leaf->count && leaf->next && leaf->next->keys[0] < window.end)
        return false;
    if (count > LEAF_WIDTH - kept)
        return false;
    return kept + count >= (map->height == 1 ? 1 : LEAF_MIN);
}

/* True if the path leads to the last area that starts at or before `page`, as path_to's would. */
static bool path_leads_to(const struct area_path *path, uint64_t page)
{
    const struct area_map_node *leaf = path->node[0];
    unsigned at = path->index[0];

    if (leaf->keys[at] > page)
        return at == 0 && !leaf->prev;
    if (at + 1 < leaf->count)
        return leaf->keys[at + 1] > page;
    return !leaf->next || leaf->next->keys[0] > page;
}

static void replace_beyond_leaf(struct edit *edit, struct range window)
{
    struct area_path right;
    const struct area_map_node *leaf = path_to(edit->map, window.end - 1, &right);

    right.index[0] += leaf->keys[right.index[0]] < window.end;
    edit->right = &right;
    edit_rebuild(edit);
    node_trim_surplus(edit->map);
}

void area_map_replace_at(struct area_map *map, struct area_path *path, struct range window, const struct area *pieces,
                         size_t count)
{
    struct edit edit = {map, path, NULL, pieces, NULL, count};
    struct area_map_node *leaf;
    unsigned lo;
    unsigned hi;

    if (count)
        window = whole_window(window, pieces, count);
    if (range_empty(window))
        return;
    if (!map->root) {
        edit_plant(&edit);
        count_areas(map, pieces, count);
        return;
    }
    if (!path_leads_to(path, window.start))
        path_to(map, window.start, path);
    leaf = path->node[0];
    lo = path->index[0];
    if (insert_one(&edit, window)) {
        count_areas(map, pieces, 1);
        return;
    }
    if (only_attr(&edit, window, lo)) {
        leaf->attrs[lo] = pieces[0].attr;
        return;
    }
    lo += leaf->ends[lo] <= window.start;
    for (hi = lo; hi < leaf->count && leaf->keys[hi] < window.end; hi++)
        ;
    path->index[0] = lo;
    if (stays_in_leaf(map, leaf, window, lo, hi, count))
        edit_leaf(&edit, lo, hi);
    else
        replace_beyond_leaf(&edit, window);
    count_areas(map, pieces, count);
}

void area_map_replace(struct area_map *map, struct range window, const struct area *pieces, size_t count)
{
    struct area_path path;

    if (count)
        window = whole_window(window, pieces, count);
    if (map->root)
        path_to(map, window.start, &path);
    area_map_replace_at(map, &path, window, pieces, count);
}
