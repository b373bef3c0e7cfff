/* Two maps walked side by side, and the pages of what both have. */
#include "core/space_diff.h"

#include <stdlib.h>
#include <string.h>

/* ---- Sides ---- */

static void side_load(struct side *side)
{
    if (!area_cursor_get(&side->cursor, &side->area))
        side->area = (struct area){.range = {PAGE_LIMIT, PAGE_LIMIT}};
}

/* The cursor goes to the first area that ends above `page`. */
static void side_pass(struct side *side, uint64_t page)
{
    while (side->area.range.end <= page && side->area.range.start < PAGE_LIMIT) {
        area_cursor_next(&side->cursor);
        side_load(side);
    }
}

static bool side_has(const struct side *side, uint64_t page)
{
    return side->area.range.start <= page;
}

/* Where what lies at `page` ends, area or hole. */
static uint64_t side_end(const struct side *side, uint64_t page)
{
    return side_has(side, page) ? side->area.range.end : side->area.range.start;
}

static void side_begin(struct side *side, const struct area_map *map, const struct tags *tags, uint64_t page)
{
    side->tags = tags;
    area_map_seek(map, page, &side->cursor);
    side_load(side);
}

/* ---- Pieces ---- */

static bool same_tag(const struct pieces *p, uint32_t before, uint32_t after)
{
    if (p->before.tags == p->after.tags || !before || !after)
        return before == after;
    return strcmp(tags_text(p->before.tags, before), tags_text(p->after.tags, after)) == 0;
}

/* What has become of what lies at `page`, on the left of which both cursors have nothing any more. */
static enum piece_change change_at(const struct pieces *p, uint64_t page)
{
    const struct area_attr *before = &p->before.area.attr;
    const struct area_attr *after = &p->after.area.attr;

    if (!side_has(&p->before, page))
        return side_has(&p->after, page) ? PIECE_MAPPED : PIECE_SAME;
    if (!side_has(&p->after, page))
        return PIECE_UNMAPPED;
    if (before->backing != after->backing || before->delta != after->delta || !same_tag(p, before->tag, after->tag))
        return PIECE_REPLACED;
    return before->flags == after->flags ? PIECE_SAME : PIECE_PROTECTED;
}

void pieces_begin(struct pieces *p, const struct area_map *before, const struct tags *before_tags,
                  const struct area_map *after, const struct tags *after_tags, bool joined, struct range window)
{
    uint64_t first = window.start - (window.start > 0);

    *p = (struct pieces){.window = window, .joined = joined};
    side_begin(&p->before, before, before_tags, first);
    side_begin(&p->after, after, after_tags, first);
    if (first == window.start)
        return;
    p->has_left = side_has(&p->after, first) &&
                  (side_end(&p->before, first) == window.start || side_end(&p->after, first) == window.start);
    p->left = p->after.area;
    p->left_changed = change_at(p, first) != PIECE_SAME;
}

/* Events alone make the areas meet where one of the pieces changed, or the areas met before. */
static void find_edge(const struct pieces *p, struct piece *piece, uint64_t page)
{
    const struct area *before = &p->before.area;
    const struct area *after = &p->after.area;
    bool edge_before = before->range.start == page;
    bool edge_after = after->range.start == page;
    bool told = p->left_changed || piece->change != PIECE_SAME || edge_before;
    uint64_t end = piece->change == PIECE_SAME ? before->range.end : piece->after.range.end;

    if (p->joined || !p->has_left || p->left.range.end < page || !side_has(&p->after, page) || edge_after == told)
        return;
    piece->has_edge = true;
    if (edge_after) {
        piece->edge = ASPACE_EVENT_SPLIT;
        piece->edge_before = (struct area){{p->left.range.start, end}, p->left.attr};
        piece->edge_after = p->left;
    } else {
        piece->edge = ASPACE_EVENT_MERGED;
        piece->edge_before = (struct area){{page, end}, after->attr};
        piece->edge_after = (struct area){{after->range.start, end}, after->attr};
    }
}

static void cut(const struct side *side, struct range range, struct area *ret)
{
    *ret = side->area;
    ret->range = range_meet(side->area.range, range);
    if (range_empty(ret->range))
        ret->range = (struct range){range.start, range.start};
}

static bool is_linear(const struct area *area)
{
    return !range_empty(area->range) && area->attr.backing == ASPACE_BACKING_LINEAR;
}

/* One piece, or a hole of both, and the window begins behind it. */
static bool step(struct pieces *p, struct piece *ret)
{
    uint64_t page = p->window.start;
    struct range range = {page, p->window.end};
    bool any;

    side_pass(&p->before, page);
    side_pass(&p->after, page);
    if (side_end(&p->before, page) < range.end)
        range.end = side_end(&p->before, page);
    if (side_end(&p->after, page) < range.end)
        range.end = side_end(&p->after, page);
    any = side_has(&p->before, page) || side_has(&p->after, page);
    if (any) {
        *ret = (struct piece){.change = change_at(p, page)};
        cut(&p->before, range, &ret->before);
        cut(&p->after, range, &ret->after);
        ret->linear = is_linear(&ret->before) || is_linear(&ret->after);
        find_edge(p, ret, page);
    }
    p->has_left = any && side_has(&p->after, page);
    p->left = p->after.area;
    p->left_changed = any && ret->change != PIECE_SAME;
    p->window.start = range.end;
    return any;
}

bool pieces_next(struct pieces *p, struct piece *ret)
{
    while (!range_empty(p->window))
        if (step(p, ret))
            return true;
    return false;
}

static void add_note(struct note *notes, size_t *count, enum aspace_event kind, const struct area *before,
                     const struct area *after)
{
    struct note *note = &notes[(*count)++];

    *note = (struct note){.kind = kind, .has_before = before != NULL, .has_after = after != NULL};
    if (before)
        note->before = *before;
    if (after)
        note->after = *after;
}

size_t piece_notes(const struct piece *piece, struct note *ret)
{
    size_t count = 0;

    if (piece->change == PIECE_PROTECTED)
        add_note(ret, &count, ASPACE_EVENT_PROTECTED, &piece->before, &piece->after);
    if (piece->change == PIECE_UNMAPPED || piece->change == PIECE_REPLACED)
        add_note(ret, &count, ASPACE_EVENT_UNMAPPED, &piece->before, NULL);
    if (piece->change == PIECE_MAPPED || piece->change == PIECE_REPLACED)
        add_note(ret, &count, ASPACE_EVENT_MAPPED, NULL, &piece->after);
    if (piece->has_edge)
        add_note(ret, &count, piece->edge, &piece->edge_before, &piece->edge_after);
    return count;
}

/* ---- Spaces ---- */

struct differ {
    struct space *space;
    struct space *other;
    bool bytes;
    uint64_t compared; /* pages below are */
    struct space_diff *diff;
};

/* The diff ends at `page`, perhaps in the midst of a piece that was told whole. */
static void end_at(struct space_diff *diff, uint64_t page)
{
    diff->next = page;
    for (size_t i = diff->count; i-- > 0 && i + PIECE_NOTES >= diff->count;) {
        struct note *note = &diff->notes[i];

        if (note->kind == ASPACE_EVENT_PROTECTED && note->after.range.end > page)
            note->before.range.end = note->after.range.end = page;
    }
}

/* The pages up to `end`; false if the runs are full before that. */
static bool compare_pages(struct differ *d, uint64_t end)
{
    struct range range = {d->compared, end};
    struct backend *backend = d->space->backend;

    d->compared = end;
    range = range_meet(range, range_meet(d->space->set.map.bounds, d->other->set.map.bounds));
    if (range_empty(range))
        return true;
    end = backend->ops->diff(backend, d->other->backend, range, d->bytes, &d->diff->written);
    end_at(d->diff, end);
    return end == range.end;
}

/* One that changed; `start` is its first page. False if there is no more room: the diff goes on there. */
static bool take_piece(struct differ *d, const struct piece *piece, uint64_t start, size_t most)
{
    struct note notes[PIECE_NOTES];
    size_t count = piece_notes(piece, notes);
    bool pages = piece->linear || (piece->change != PIECE_SAME && piece->change != PIECE_PROTECTED);

    if (count || pages) {
        if (!compare_pages(d, start))
            return false;
        if (d->diff->count && d->diff->count + count > most) {
            d->diff->next = start;
            return false;
        }
    }
    if (count)
        memcpy(&d->diff->notes[d->diff->count], notes, count * sizeof(*notes));
    d->diff->count += count;
    if (pages)
        d->compared = range_empty(piece->after.range) ? piece->before.range.end : piece->after.range.end;
    return true;
}

static void walk_both(struct differ *d, struct range window, size_t most)
{
    struct pieces pieces;
    struct piece piece;

    d->compared = window.start;
    pieces_begin(&pieces, &d->other->set.map, &d->other->tags, &d->space->set.map, &d->space->tags,
                 d->space->set.merge == ASPACE_MERGE_AUTO && d->other->set.merge == ASPACE_MERGE_AUTO, window);
    while (pieces_next(&pieces, &piece))
        if (!take_piece(d, &piece, piece.before.range.start, most))
            return;
    if (compare_pages(d, window.end))
        d->diff->next = window.end;
}

static enum aspace_error check_alike(const struct space *space, const struct space *other, struct refusal *why)
{
    const struct backend_ops *ops = space->backend->ops;

    if (!ops->diff || !other->backend->ops->diff)
        return refuse(why, ASPACE_UNSUPPORTED, "spaces of the %s backend cannot be compared",
                      ops->diff ? other->backend->ops->name : ops->name);
    if (ops == other->backend->ops && strcmp(space->arch, other->arch) == 0)
        return ASPACE_OK;
    refuse(why, ASPACE_UNSUPPORTED, "%s has the page tables of %s, and %s those of %s", space->name, space->arch,
           other->name, other->arch);
    why->param = "other";
    return why->code;
}

enum aspace_error space_diff(struct space *space, struct space *other, struct range window, size_t most, bool bytes,
                             struct refusal *why, struct space_diff *ret)
{
    struct space_diff diff = {.next = window.end};
    struct differ d = {.space = space, .other = other, .bytes = bytes, .diff = &diff};

    if (check_alike(space, other, why))
        return why->code;
    diff.written.most = most;
    diff.written.runs = malloc(most * sizeof(*diff.written.runs));
    diff.notes = malloc((most + PIECE_NOTES) * sizeof(*diff.notes));
    if (!diff.written.runs || !diff.notes) {
        space_diff_free(&diff);
        return refuse_no_memory(why);
    }
    walk_both(&d, window, most);
    *ret = diff;
    return ASPACE_OK;
}

void space_diff_free(struct space_diff *diff)
{
    free(diff->written.runs);
    free(diff->notes);
    *diff = (struct space_diff){0};
}
