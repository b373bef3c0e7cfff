/* What a memory set must do, written as plainly as can be: an array of pages, each with what it is and whether an area
 * starts there. Nothing is fast and nothing is shared with the code under test but the words of its interface. */
#ifndef TEST_PAGE_ORACLE_H
#define TEST_PAGE_ORACLE_H

#include "core/memory_set.h"
#include "page_backend.h"

struct oracle_page {
    bool mapped;
    bool first; /* an area starts here */
    uint64_t identity;
    struct area_attr attr;
};

struct oracle {
    uint64_t base;
    uint64_t count;
    bool join; /* merge=auto */
    size_t max_areas;
    uint64_t generation;
    struct oracle_page *pages;
    struct oracle_page *next; /* an edit's outcome until it is accepted or dropped */
    /* A transaction. */
    bool open;
    bool changed;
    struct oracle_page *before;
};

void oracle_open(struct oracle *o, struct range bounds, enum aspace_merge merge, size_t max_areas);
void oracle_close(struct oracle *o);

/* Edits, on a copy: in the end oracle_accept or nothing. Ranges lie inside the bounds. */
void oracle_begin(struct oracle *o);
void oracle_unmap(struct oracle *o, struct range range, uint64_t *ret_pages, size_t *ret_removed);
void oracle_map(struct oracle *o, struct range range, const struct area_attr *attr, uint64_t identity);
void oracle_protect(struct oracle *o, struct range range, uint16_t set, uint16_t clear, size_t *ret_changed);
void oracle_split(struct oracle *o, uint64_t at);
void oracle_merge(struct oracle *o, struct range range, size_t *ret_merged);
void oracle_unmap_tag(struct oracle *o, uint32_t tag, uint64_t *ret_pages, size_t *ret_removed);
void oracle_protect_tag(struct oracle *o, uint32_t tag, uint16_t set, uint16_t clear, size_t *ret_changed);
/* The area that is `old` becomes `to`; pages beyond the old size get `identity`. */
void oracle_move(struct oracle *o, struct range old, struct range to, uint64_t identity);
/* Joins neighbours if the space does, and says whether the limit on areas is kept. */
bool oracle_finish(struct oracle *o);
void oracle_accept(struct oracle *o);

/* A transaction: edits accepted in it make one generation, or are taken back. */
void oracle_open_transaction(struct oracle *o);
void oracle_commit(struct oracle *o);
void oracle_rollback(struct oracle *o);

/* Questions about the accepted state. */
bool oracle_hole_in(const struct oracle *o, struct range range);
bool oracle_find(const struct oracle *o, uint64_t page, struct area *ret);
bool oracle_first(const struct oracle *o, struct range range, struct area *ret);
bool oracle_find_free(const struct oracle *o, struct range window, uint64_t pages, uint64_t align,
                      enum aspace_policy policy, uint64_t *ret);
bool oracle_largest_hole(const struct oracle *o, struct range window, struct range *ret);

/* Fails the test unless the set and its backend are exactly the accepted state. */
void oracle_expect(const struct oracle *o, const struct memory_set *set, struct page_backend *backend);

#endif
