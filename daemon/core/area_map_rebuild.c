/* Rebuilding the interval map's nodes: an edit that does not stay in one leaf, made level by level from the leaves up,
 * each level handing the nodes that changed to the one above. Nodes are only taken that area_map_reserve took before, as
 * it counts them (area_map_spare.c). */
#include "core/area_map_edit.h"

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

/* Moves the part of the path above `level` to the node before, or after, the one it leads to. */
static void path_step(struct area_path *path, unsigned level, bool forward)
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

static void set_child(const struct area_map *map, struct area_map_node *node, unsigned at, struct area_map_node *child)
{
    node->keys[at] = child->keys[0];
    node->holes[at] = node_hole(map, child);
    node->children[at] = child;
}

static struct area_map_node *fill_node(struct fill *fill)
{
    struct area_map_node *node;

    if (fill->room)
        return fill->last;
    node_visit();
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

        node_copy(node, node->count, from, lo, count);
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
            leaf_set(node, node->count, &edit->pieces[i]);
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
        node_visit();
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
        swap_run(edit->map, &none, edit->left->node[level], edit->right->node[level]);
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
        size_t width = level_width(level);
        size_t nodes = (edit->count + width - 1) / width;
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
    struct area_map_node *prev = edit->left->node[level]->prev;
    struct area_map_node *next = edit->right->node[level]->next;
    const struct area_map_node *parent = edit->right->node[level + 1];
    bool has_prev = edit->left->index[level + 1] > 0;
    bool has_next = edit->right->index[level + 1] + 1 < parent->count;

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
    struct area_map_node *left = edit->left->node[level];
    struct area_map_node *right = edit->right->node[level];
    bool alone = !left->prev && !right->next;
    size_t width = level_width(level);
    size_t target = width * 7 / 8; /* room for a few more before it must be rebuilt again */
    bool scarce = total < level_min(level);
    bool wants = scarce || (total > width && total <= 2 * width);
    struct area_map_node *extra = !alone && wants ? sibling(edit, level, scarce) : NULL;
    struct area_map_node *before = extra && extra == left->prev ? extra : NULL;
    struct area_map_node *after = before ? NULL : extra;
    size_t entries = total + (extra ? extra->count : 0);
    size_t most = (left == right ? 1 : 2) + (extra ? 1 : 0) + (edit->count + width - 1) / width;
    size_t nodes = (entries + target - 1) / target;
    struct fill fill = {.map = edit->map, .level = level, .entries = entries};

    if (alone && entries <= width)
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
        path_step(before ? edit->left : edit->right, level, !before);
    swap_run(edit->map, &fill, before ? before : left, after ? after : right);
    edit->pieces = NULL;
    edit->run = fill.first;
    edit->count = nodes;
}

/* An inner node that keeps its place: its children [lo, hi) become the run. */
static void edit_inner(struct edit *edit, unsigned level, unsigned lo, unsigned hi)
{
    struct area_map_node *node = edit->left->node[level];
    struct area_map_node *child = edit->run;

    node_open(node, lo, hi, (unsigned)edit->count);
    for (unsigned i = 0; i < edit->count; i++, child = child->next)
        set_child(edit->map, node, lo + i, child);
    path_settle(edit->map, edit->left, level);
}

/* One level of the edit. False when the levels above need no more. */
static bool edit_level(struct edit *edit, unsigned level)
{
    struct area_map *map = edit->map;
    struct area_map_node *left = edit->left->node[level];
    struct area_map_node *right = edit->right->node[level];
    unsigned lo = edit->left->index[level];
    unsigned hi = edit->right->index[level] + (level ? 1 : 0);
    size_t total = lo + edit->count + (right->count - hi);
    bool alone = !left->prev && !right->next;

    if (level && left == right && total <= INNER_WIDTH && total >= (alone ? 2 : INNER_MIN)) {
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

void edit_rebuild(struct edit *edit)
{
    struct area_map *map = edit->map;
    const struct area_map_node *leaf = edit->left->node[0];
    bool first = edit->left->index[0] == 0;
    uint64_t before = first && leaf->prev ? leaf->prev->keys[0] : KEY_NONE;
    unsigned height = map->height;
    unsigned level = 0;

    for (; leaf != edit->right->node[0]; leaf = leaf->next)
        map_forget(map, leaf, leaf == edit->left->node[0] ? edit->left->index[0] : 0, leaf->count);
    map_forget(map, leaf, leaf == edit->left->node[0] ? edit->left->index[0] : 0, edit->right->index[0]);
    while (edit_level(edit, level))
        if (++level == height) {
            grow_root(edit, level);
            break;
        }
    if (before != KEY_NONE && map->root)
        path_settle_before(map, before);
}

void edit_plant(struct edit *edit)
{
    grow_root(edit, 0);
}
