/* How two spaces differ: in areas, as the events that would make the areas of the one those of the other, and in pages.
 * Not thread-safe: the caller has both spaces. */
#ifndef CORE_SPACE_DIFF_H
#define CORE_SPACE_DIFF_H

#include "core/space.h"

/* ---- Areas, piece by piece ---- */

enum piece_change { PIECE_SAME, PIECE_MAPPED, PIECE_UNMAPPED, PIECE_PROTECTED, PIECE_REPLACED };

/* A range that no area of either side begins or ends in, and in which at least one has an area. The page size that areas ask
 * for is not compared, for nobody sees it. */
struct piece {
    enum piece_change change;
    struct area before; /* the part of the area that lies in the range; empty if there is none */
    struct area after;
    bool linear; /* one side's is */
    /* How the areas left and right of the range's start meet, where the change alone does not say it: SPLIT or MERGED. */
    bool has_edge;
    enum aspace_event edge;
    struct area edge_before; /* see struct note; both with the tags of `after` */
    struct area edge_after;
};

struct side {
    const struct tags *tags;
    struct area_cursor cursor;
    struct area area; /* under the cursor; past the end one that begins and ends at PAGE_LIMIT */
};

struct pieces {
    struct side before;
    struct side after;
    struct range window; /* what is left of it */
    bool joined;         /* neighbours alike are one area by themselves: there are no edges to tell */
    bool has_left;       /* `after` has an area at the page before the window, and a piece ends there: */
    bool left_changed;
    struct area left;
};

void pieces_begin(struct pieces *pieces, const struct area_map *before, const struct tags *before_tags,
                  const struct area_map *after, const struct tags *after_tags, bool joined, struct range window);
/* The next piece, cut at the window's ends; false if there is none. */
bool pieces_next(struct pieces *pieces, struct piece *ret);

/* The piece as events without generation, at most PIECE_NOTES: how many. `before` has the tags of `before` but in those of an
 * edge. */
#define PIECE_NOTES 3
size_t piece_notes(const struct piece *piece, struct note *ret);

/* ---- Spaces ---- */

struct space_diff {
    struct note *notes; /* by rising address */
    size_t count;
    struct page_runs written;
    uint64_t next; /* the page to go on at; the window's end if that was all */
};

/* What has become of `other` in `space`, within `window`, until there are `most` notes, or runs of pages: a piece is told
 * whole. Pages: see backend_ops.diff. Unsupported if the backends or architectures cannot be compared, NoMemory. Free with
 * space_diff_free. */
enum aspace_error space_diff(struct space *space, struct space *other, struct range window, size_t most, bool bytes,
                             struct refusal *why, struct space_diff *ret);
void space_diff_free(struct space_diff *diff);

#endif
