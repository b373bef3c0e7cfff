/* Half-open ranges of page numbers. An address has 64 bits and a page 12, so a page number has 52: starts, ends and
 * sizes never overflow, and the top page of the address space is a page like any other. Bytes are met at the edge. */
#ifndef CORE_RANGE_H
#define CORE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "aspace/types.h"
#include "base/refusal.h"

/* One more than the highest page number. */
#define PAGE_LIMIT (UINT64_C(1) << (64 - ASPACE_PAGE_BITS))

struct range {
    uint64_t start; /* first page */
    uint64_t end;   /* one past the last page; at most PAGE_LIMIT */
};

static inline uint64_t page_of(uint64_t addr)
{
    return addr >> ASPACE_PAGE_BITS;
}

/* The address of `page`; for PAGE_LIMIT it wraps to 0, which only an end can be: see range_last(). */
static inline uint64_t page_addr(uint64_t page)
{
    return page << ASPACE_PAGE_BITS;
}

/* The highest address in `r`, which must not be empty. */
static inline uint64_t range_last(struct range r)
{
    return page_addr(r.end) - 1;
}

static inline uint64_t range_pages(struct range r)
{
    return r.end - r.start;
}

/* The size in bytes; for the range of all pages it wraps to 0. */
static inline uint64_t range_bytes(struct range r)
{
    return page_addr(r.end - r.start);
}

static inline bool range_empty(struct range r)
{
    return r.start >= r.end;
}

static inline bool range_equal(struct range a, struct range b)
{
    return a.start == b.start && a.end == b.end;
}

static inline bool range_has_page(struct range r, uint64_t page)
{
    return r.start <= page && page < r.end;
}

static inline bool range_contains(struct range outer, struct range inner)
{
    return outer.start <= inner.start && inner.end <= outer.end;
}

static inline bool range_overlaps(struct range a, struct range b)
{
    return a.start < b.end && b.start < a.end;
}

/* What a and b share; empty (start >= end) if nothing. */
static inline struct range range_meet(struct range a, struct range b)
{
    return (struct range){a.start > b.start ? a.start : b.start, a.end < b.end ? a.end : b.end};
}

/* The range of `size` bytes at address `start`. InvalidParam if either is not page-aligned, the size is 0, or the range
 * passes the top of the address space (ending exactly at it is fine). *ret is untouched on failure. */
enum aspace_error range_from_bytes(uint64_t start, uint64_t size, struct refusal *why, struct range *ret);

#endif
