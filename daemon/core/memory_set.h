/* The memory set: areas over a backend, and every edit of them. Each edit is plan -> apply -> commit: it is worked out
 * and all its memory taken, then the backend is asked step by step (the first refusal rolls back), then it is
 * committed, which cannot fail. After any refusal areas, backend and generation are exactly what they were.
 *
 * All pages are page numbers. Not thread-safe: the space's owner alone calls it. On a refusal *why is filled and the
 * ret_ parameters are untouched. */
#ifndef CORE_MEMORY_SET_H
#define CORE_MEMORY_SET_H

#include "core/area_map.h"
#include "core/backend.h"
#include "core/journal.h"

/* What the edits of a transaction did, for who wants to know before it is committed. */
struct edit_sum {
    size_t edits;   /* that changed something */
    size_t split;   /* cuts through areas */
    size_t merged;  /* joins made */
    size_t removed; /* areas gone whole */
};

struct memory_set {
    struct area_map map;
    struct backend *backend; /* borrowed */
    enum aspace_merge merge;
    size_t max_areas;
    uint64_t lowest; /* pages below it are for those who ask for them: 1, so that a null pointer stays one, or more */
    uint64_t generation; /* grows by one with every edit, or transaction, that changed something */
    bool open;           /* a transaction is open */
    struct journal journal;
    struct edit_sum sum; /* of the open transaction */
};

void memory_set_init(struct memory_set *set, struct range bounds, struct backend *backend, enum aspace_merge merge,
                     size_t max_areas);
/* Frees what the set itself holds; the backend is not told. */
void memory_set_free(struct memory_set *set);

/* A transaction: any number of edits that become real together, in one generation. After an edit of it was refused the
 * only way on is memory_set_rollback, which cannot fail and leaves everything as it was at memory_set_begin. */
void memory_set_begin(struct memory_set *set);
/* The last step that can be refused; commit or roll back next. */
enum aspace_error memory_set_settle(struct memory_set *set, struct refusal *why);
void memory_set_commit(struct memory_set *set);
void memory_set_rollback(struct memory_set *set);

/* The generation that a reply tells: the one that the space has once an open transaction is committed. */
uint64_t memory_set_generation(const struct memory_set *set);

/* Where a range may be placed. Without hint and within, page 0 is left out. */
struct placement {
    uint64_t pages;
    uint64_t align; /* in pages, a power of two */
    uint64_t wish;  /* 0, or a larger one that is tried first, then its half, and so on */
    enum aspace_policy policy;
    bool has_hint;
    uint64_t hint; /* the lowest first page wanted */
    bool has_within;
    struct range within;
};

/* A free range by `place`. NotFound (with the largest hole of the window, if any) when none fits; InvalidParam when
 * `within` reaches outside the space. */
enum aspace_error memory_set_find_free(const struct memory_set *set, const struct placement *place, struct refusal *why,
                                       uint64_t *ret_page);

struct map_request {
    struct area_attr attr; /* delta is worked out from pa_page */
    bool placed;           /* by `place`; else at `range` */
    struct range range;
    struct placement place;
    enum aspace_overlap overlap;
    uint64_t pa_page; /* linear: the physical page that the first page gets; file: the page in the file */
};

/* Maps; ret_page is where, ret_area the whole area that it now lies in. */
enum aspace_error memory_set_map(struct memory_set *set, const struct map_request *request, struct refusal *why,
                                 uint64_t *ret_page, struct area *ret_area);

/* Unmaps what lies in `range`; ret_pages that were mapped, ret_removed areas that are gone whole. */
enum aspace_error memory_set_unmap(struct memory_set *set, struct range range, enum aspace_holes holes,
                                   struct refusal *why, uint64_t *ret_pages, size_t *ret_removed);

/* flags = (flags & ~clear) | set for what lies in `range`; ret_changed areas whose flags changed. */
enum aspace_error memory_set_protect(struct memory_set *set, struct range range, uint16_t set_flags,
                                     uint16_t clear_flags, enum aspace_holes holes, struct refusal *why,
                                     size_t *ret_changed);

/* Cuts the area that starts exactly at `start` down to `pages`, from its left or right side. */
enum aspace_error memory_set_shrink(struct memory_set *set, uint64_t start, uint64_t pages, enum aspace_side side,
                                    struct refusal *why, struct area *ret);

/* One area becomes two that meet at `at`. The backend is not asked: nothing that it sees changes. */
enum aspace_error memory_set_split(struct memory_set *set, uint64_t at, struct refusal *why, struct area *ret_left,
                                   struct area *ret_right);

/* Joins neighbours alike whose common edge lies inside `range` (not on its ends); ret_merged joins made. */
enum aspace_error memory_set_merge(struct memory_set *set, struct range range, struct refusal *why, size_t *ret_merged);

struct move_request {
    uint64_t start; /* of the area, exactly */
    bool has_new_start;
    uint64_t new_start;
    bool has_new_pages;
    uint64_t new_pages;
    enum aspace_overlap overlap;
};

/* What mremap does: the area that starts at `start`, with its contents, goes to new_start, or stays, and grows or shrinks
 * at its end. InvalidParam when old and new place overlap, or when neither is given; Unsupported for a move by a
 * backend that cannot. */
enum aspace_error memory_set_move(struct memory_set *set, const struct move_request *request, struct refusal *why,
                                  struct area *ret);

/* Unmaps everything; ret_removed areas. */
enum aspace_error memory_set_clear(struct memory_set *set, struct refusal *why, size_t *ret_removed);

/* Unmaps the areas with `made` set, for a live process: the others are its own. */
enum aspace_error memory_set_unmap_made(struct memory_set *set, struct refusal *why, size_t *ret_removed);

/* The same as unmap and protect for every area that carries `tag`, wherever it lies. O(areas of the space). */
enum aspace_error memory_set_unmap_tag(struct memory_set *set, uint32_t tag, struct refusal *why, uint64_t *ret_pages,
                                       size_t *ret_removed);
enum aspace_error memory_set_protect_tag(struct memory_set *set, uint32_t tag, uint16_t set_flags, uint16_t clear_flags,
                                         struct refusal *why, size_t *ret_changed);

/* The areas become those of `map`, which the set takes, in one generation; the backend has them already. Cannot fail. */
void memory_set_replace(struct memory_set *set, struct area_map *map);

/* InvalidParam if `range` reaches outside the space. */
enum aspace_error memory_set_check_range(const struct memory_set *set, struct range range, struct refusal *why);

/* The first area that touches `range`, or false. */
bool memory_set_first(const struct memory_set *set, struct range range, struct area *ret);

#endif
