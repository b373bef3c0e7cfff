/* Replacing a window of the interval map by new areas. An edit that stays in one leaf shifts it once; any other is made
 * level by level from the leaves up, each level handing the nodes that changed to the one above.
 * Nothing here can fail: area_map_reserve has taken the nodes before. */
#include <assert.h>
#include <string.h>

#include "core/area_map_node.h"

/* What an edit does to one level: between two places, what lay there goes and `count` entries come. */
struct edit {
    struct area_map *map;
    struct path left;          /* to the first entry that goes */
    struct path right;         /* to the last entry that goes; in a leaf to the one after it */
    const struct area *pieces; /* what comes in leaves; NULL above */
    struct area_map_node *run; /* what comes in inner nodes, linked */
    size_t count;
};

/* Writes entries into new nodes of one level, evenly filled. */
struct fill {
    struct area_map *map;
    unsigned level;
    size_t entries; /* that no node has been taken for */
    size_t nodes;   /* still to be taken */
    unsigned room;  /* in `last` */
    struct area_map_node *first;
    struct area_map_node *last;
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t leaf_hole(const struct area_map *map, const struct area_map_node *leaf, unsigned from, unsigned to)
{
    const uint64_t *starts = leaf->keys;
    const uint64_t *ends = leaf->ends;
    unsigned inside = to < leaf->count ? to : leaf->count - 1;
    uint64_t even = 0;
    uint64_t odd = 0;
    unsigned i = from;

    for (; i + 1 < inside; i += 2) { /* two chains, for one would wait for itself */
        even = larger(even, starts[i + 1] - ends[i]);
        odd = larger(odd, starts[i + 2] - ends[i + 1]);
    }
    if (i < inside)
        even = larger(even, starts[i + 1] - ends[i]);
    if (to == leaf->count && to > from)
        odd = larger(odd, leaf_after(map, leaf) - ends[to - 1]);
    return larger(even, odd);
}

uint64_t node_hole(const struct area_map *map, const struct area_map_node *node)
{
    uint64_t largest = 0;

    if (!node->level)
        return leaf_hole(map, node, 0, node->count);
    for (unsigned i = 0; i < node->count; i++)
        largest = larger(largest, node->holes[i]);
    return largest;
}

/* Returns the path's leaf. */
static struct area_map_node *path_to(const struct area_map *map, uint64_t page, struct path *path)
{
    struct area_map_node *node = map->root;
    unsigned level = map->height - 1;
    unsigned at = root_search(node, page);

    while (level) {
        path->node[level] = node;
        path->index[level--] = at;
        node = node->children[at];
        at = node_search(node, page);
    }
    path->node[0] = node;
    path->index[0] = at;
    return node;
}

/* Moves the part of the path above `level` to the node before, or after, the one it leads to. */
static void path_step(struct path *path, unsigned level, bool forward)
{
    unsigned up = level + 1;

    while (forward ? path->index[up] + 1 == path->node[up]->count : path->index[up] == 0)
        up++;
    path->index[up] += forward ? 1 : -1U;
    while (--up > level) {
        path->node[up] = path->node[up + 1]->children[path->index[up + 1]];
        path->index[up] = forward ? 0 : path->node[up]->count - 1;
    }
}

/* Copies what the parents keep of the path's node at `level` up the tree, as far as it changed. */
static void settle(const struct area_map *map, const struct path *path, unsigned level)
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
static void settle_hole(const struct area_map *map, const struct path *path, uint64_t old, uint64_t now)
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

/* The last area of the leaf that holds `page` got another hole behind it. */
static void settle_before(const struct area_map *map, uint64_t page)
{
    struct path path;

    path_to(map, page, &path);
    settle(map, &path, 0);
}

static void copy_entries(struct area_map_node *to, unsigned at, const struct area_map_node *from, unsigned first,
                         size_t count)
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

/* AAAABBBBCCCC -> AAAA......CCCC: makes room for `count` entries where [lo, hi) lie. The caller writes them. */
static void open_entries(struct area_map_node *node, unsigned lo, unsigned hi, unsigned count)
{
    unsigned total = node->count - (hi - lo) + count;

    if (lo + count != hi)
        copy_entries(node, lo + count, node, hi, node->count - hi);
    for (unsigned i = total; i < node->count; i++)
        node->keys[i] = KEY_NONE;
    node->count = total;
}

static void set_area(struct area_map_node *leaf, unsigned at, const struct area *area)
{
    leaf->keys[at] = area->range.start;
    leaf->ends[at] = area->range.end;
    leaf->attrs[at] = area->attr;
}

static void set_child(const struct area_map *map, struct area_map_node *node, unsigned at, struct area_map_node *child)
{
    node->keys[at] = child->keys[0];
    node->holes[at] = node_hole(map, child);
    node->children[at] = child;
}

static void forget_areas(struct area_map *map, const struct area_map_node *leaf, unsigned from, unsigned to)
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

/* The edit of a lone leaf: [lo, hi) of it become the pieces. */
static void edit_leaf(struct edit *edit, unsigned lo, unsigned hi)
{
    struct area_map *map = edit->map;
    struct area_map_node *leaf = edit->left.node[0];
    unsigned count = (unsigned)edit->count;
    unsigned from = lo ? lo - 1 : 0;
    uint64_t old = leaf_hole(map, leaf, from, hi);

    forget_areas(map, leaf, lo, hi);
    open_entries(leaf, lo, hi, count);
    for (unsigned i = 0; i < count; i++)
        set_area(leaf, lo + i, &edit->pieces[i]);
    if (map->height == 1)
        return;
    if (lo) {
        settle_hole(map, &edit->left, old, leaf_hole(map, leaf, from, lo + count));
        return;
    }
    settle(map, &edit->left, 0);
    if (leaf->prev)
        settle_before(map, leaf->prev->keys[0]);
}

static struct area_map_node *fill_node(struct fill *fill)
{
    struct area_map_node *node;

    if (fill->room)
        return fill->last;
    fill->room = (unsigned)((fill->entries + fill->nodes - 1) / fill->nodes);
    fill->entries -= fill->room;
    fill->nodes--;
    node = node_take(fill->map, fill->level);
    node->prev = fill->last;
    if (fill->last)
        fill->last->next = node;
    else
        fill->first = node;
    fill->last = node;
    return node;
}

static void fill_entries(struct fill *fill, const struct area_map_node *from, unsigned lo, unsigned hi)
{
    while (lo < hi) {
        struct area_map_node *node = fill_node(fill);
        unsigned count = hi - lo < fill->room ? hi - lo : fill->room;

        copy_entries(node, node->count, from, lo, count);
        node->count += count;
        fill->room -= count;
        lo += count;
    }
}

static void fill_edit(struct fill *fill, const struct edit *edit)
{
    struct area_map_node *child = edit->run;

    for (size_t i = 0; i < edit->count; i++) {
        struct area_map_node *node = fill_node(fill);

        if (!fill->level) {
            set_area(node, node->count, &edit->pieces[i]);
        } else {
            set_child(fill->map, node, node->count, child);
            child = child->next;
        }
        node->count++;
        fill->room--;
    }
}

/* Puts the run of new nodes where the old ones [first, last] were, and those among the spares. */
static void swap_run(struct area_map *map, const struct fill *fill, struct area_map_node *first,
                     struct area_map_node *last)
{
    struct area_map_node *before = first->prev;
    struct area_map_node *after = last->next;

    for (struct area_map_node *node = first, *next; node != after; node = next) {
        next = node->next;
        node_release(map, node);
    }
    if (fill->first) {
        fill->first->prev = before;
        fill->last->next = after;
    }
    if (before)
        before->next = fill->first ? fill->first : after;
    if (after)
        after->prev = fill->last ? fill->last : before;
}

/* The levels from `level` up are no longer needed; they lie between the two paths as a whole. */
static void release_above(struct edit *edit, unsigned level)
{
    struct fill none = {.map = edit->map};

    for (; level < edit->map->height; level++)
        swap_run(edit->map, &none, edit->left.node[level], edit->right.node[level]);
}

static void set_root(struct area_map *map, struct area_map_node *root)
{
    map->root = root;
    map->height = root ? root->level + 1 : 0;
}

/* Levels on top of a run that has none, until one node holds all. */
static void grow_root(struct edit *edit, unsigned level)
{
    while (edit->count > 1 || edit->pieces) {
        size_t nodes = (edit->count + NODE_WIDTH - 1) / NODE_WIDTH;
        struct fill fill = {.map = edit->map, .level = level++, .entries = edit->count, .nodes = nodes};

        fill_edit(&fill, edit);
        edit->pieces = NULL;
        edit->run = fill.first;
        edit->count = nodes;
    }
    set_root(edit->map, edit->run);
}

/* A neighbour to rebuild along with the nodes of `level`: one that shares the parent, the emptier of two; when there
 * is none and one is needed, a cousin. */
static struct area_map_node *sibling(const struct edit *edit, unsigned level, bool needed)
{
    struct area_map_node *prev = edit->left.node[level]->prev;
    struct area_map_node *next = edit->right.node[level]->next;
    const struct area_map_node *parent = edit->right.node[level + 1];
    bool has_prev = edit->left.index[level + 1] > 0;
    bool has_next = edit->right.index[level + 1] + 1 < parent->count;

    if (has_prev && has_next)
        return prev->count <= next->count ? prev : next;
    if (has_prev || has_next)
        return has_prev ? prev : next;
    if (!needed)
        return NULL;
    return prev ? prev : next;
}

/* What the nodes of a level become when they cannot stay as they are:
 *
 *   [sibling] [AAAA____] ... [____CCCC] [sibling]     with BBBB in the gap, and at most one of the siblings
 *   -> new nodes, evenly filled, in their place
 *
 * An overfull node first spreads over a sibling, and two that are nearly full become three: so nodes stay about four
 * fifths full under random inserts where plain splitting leaves 69 %. */
static void rebuild(struct edit *edit, unsigned level, unsigned lo, unsigned hi, size_t total)
{
    struct area_map_node *left = edit->left.node[level];
    struct area_map_node *right = edit->right.node[level];
    bool alone = !left->prev && !right->next;
    bool wants = total < NODE_MIN || (total > NODE_WIDTH && total <= 2 * NODE_WIDTH);
    struct area_map_node *extra = !alone && wants ? sibling(edit, level, total < NODE_MIN) : NULL;
    struct area_map_node *before = extra && extra == left->prev ? extra : NULL;
    struct area_map_node *after = before ? NULL : extra;
    size_t entries = total + (extra ? extra->count : 0);
    size_t most = (left == right ? 1 : 2) + (extra ? 1 : 0) + (edit->count + NODE_WIDTH - 1) / NODE_WIDTH;
    size_t nodes = (entries + NODE_TARGET - 1) / NODE_TARGET;
    struct fill fill = {.map = edit->map, .level = level, .entries = entries};

    if (alone && entries <= NODE_WIDTH)
        nodes = 1;
    fill.nodes = nodes = nodes < most ? nodes : most; /* `most` is what node_need counts on */
    if (before)
        fill_entries(&fill, before, 0, before->count);
    fill_entries(&fill, left, 0, lo);
    fill_edit(&fill, edit);
    fill_entries(&fill, right, hi, right->count);
    if (after)
        fill_entries(&fill, after, 0, after->count);
    if (extra)
        path_step(before ? &edit->left : &edit->right, level, !before);
    swap_run(edit->map, &fill, before ? before : left, after ? after : right);
    edit->pieces = NULL;
    edit->run = fill.first;
    edit->count = nodes;
}

/* An inner node that keeps its place: its children [lo, hi) become the run. */
static void edit_inner(struct edit *edit, unsigned level, unsigned lo, unsigned hi)
{
    struct area_map_node *node = edit->left.node[level];
    struct area_map_node *child = edit->run;

    open_entries(node, lo, hi, (unsigned)edit->count);
    for (unsigned i = 0; i < edit->count; i++, child = child->next)
        set_child(edit->map, node, lo + i, child);
    settle(edit->map, &edit->left, level);
}

/* One level of the edit. False when the levels above need no more. */
static bool edit_level(struct edit *edit, unsigned level)
{
    struct area_map *map = edit->map;
    struct area_map_node *left = edit->left.node[level];
    struct area_map_node *right = edit->right.node[level];
    unsigned lo = edit->left.index[level];
    unsigned hi = edit->right.index[level] + (level ? 1 : 0);
    size_t total = lo + edit->count + (right->count - hi);
    bool alone = !left->prev && !right->next;

    if (level && left == right && total <= NODE_WIDTH && total >= (alone ? 2 : NODE_MIN)) {
        edit_inner(edit, level, lo, hi);
        return false;
    }
    if (alone && total <= (level ? 1 : 0)) {
        release_above(edit, level);
        set_root(map, level ? edit->run : NULL); /* the one child that is left has just been rebuilt */
        return false;
    }
    rebuild(edit, level, lo, hi, total);
    if (alone && edit->count == 1) {
        release_above(edit, level + 1);
        set_root(map, edit->run);
        return false;
    }
    return true;
}

static void edit_levels(struct edit *edit)
{
    struct area_map *map = edit->map;
    const struct area_map_node *leaf = edit->left.node[0];
    bool first = edit->left.index[0] == 0;
    uint64_t before = first && leaf->prev ? leaf->prev->keys[0] : KEY_NONE;
    unsigned height = map->height;
    unsigned level = 0;

    for (; leaf != edit->right.node[0]; leaf = leaf->next)
        forget_areas(map, leaf, leaf == edit->left.node[0] ? edit->left.index[0] : 0, leaf->count);
    forget_areas(map, leaf, leaf == edit->left.node[0] ? edit->left.index[0] : 0, edit->right.index[0]);
    while (edit_level(edit, level))
        if (++level == height) {
            grow_root(edit, level);
            break;
        }
    if (before != KEY_NONE && map->root)
        settle_before(map, before);
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
    if (count > NODE_WIDTH - kept)
        return false;
    return kept + count >= (map->height == 1 ? 1 : NODE_MIN);
}

void area_map_replace(struct area_map *map, struct range window, const struct area *pieces, size_t count)
{
    struct edit edit; /* the paths are large and filled where they are needed */
    struct area_map_node *leaf;
    unsigned lo;
    unsigned hi;

    if (count)
        window = whole_window(window, pieces, count);
    if (range_empty(window))
        return;
    edit.map = map;
    edit.pieces = pieces;
    edit.run = NULL;
    edit.count = count;
    if (!map->root) {
        grow_root(&edit, 0);
        count_areas(map, pieces, count);
        return;
    }
    leaf = path_to(map, window.start, &edit.left);
    lo = edit.left.index[0];
    lo += leaf->ends[lo] <= window.start;
    for (hi = lo; hi < leaf->count && leaf->keys[hi] < window.end; hi++)
        ;
    if (stays_in_leaf(map, leaf, window, lo, hi, count)) {
        edit_leaf(&edit, lo, hi);
    } else {
        leaf = path_to(map, window.end - 1, &edit.right);
        edit.left.index[0] = lo;
        edit.right.index[0] += leaf->keys[edit.right.index[0]] < window.end;
        edit_levels(&edit);
        node_trim_surplus(map);
    }
    count_areas(map, pieces, count);
}
