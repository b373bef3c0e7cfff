/* An area: a range and what it is. Plain data, 32 bytes, passed by value or copied; it owns nothing. */
#ifndef CORE_AREA_H
#define CORE_AREA_H

#include "aspace/types.h"
#include "core/range.h"

struct area_attr {
    uint64_t delta; /* linear: physical page minus virtual page (modulo 2^64), so that pieces need no change; file: page
                     * in the file minus virtual page; else 0 */
    uint32_t tag;   /* an id of the space's tag table; 0 is no tag */
    uint16_t flags : 9;   /* enum aspace_flags */
    uint16_t made : 1;    /* in a live process: an edit of ours made it, not the process */
    uint16_t backing : 4; /* enum aspace_backing */
    uint16_t page : 2;    /* enum aspace_page: the page size asked for */
    uint16_t path;        /* an id of the space's path table; 0 is no path */
};

struct area {
    struct range range;
    struct area_attr attr;
};

/* Alike in all but the range: neighbours for which this holds may be joined. */
static inline bool area_attr_equal(const struct area_attr *a, const struct area_attr *b)
{
    return a->delta == b->delta && a->tag == b->tag && a->flags == b->flags && a->backing == b->backing &&
           a->page == b->page && a->made == b->made && a->path == b->path;
}

/* The same area at the pages from `to` on: what its pages stand for goes along. */
static inline struct area area_moved(const struct area *area, uint64_t to)
{
    struct area moved = {{to, to + range_pages(area->range)}, area->attr};

    if (area->attr.backing == ASPACE_BACKING_LINEAR || area->attr.backing == ASPACE_BACKING_FILE)
        moved.attr.delta += area->range.start - to;
    return moved;
}

#endif
