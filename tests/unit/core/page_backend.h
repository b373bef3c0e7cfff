/* The test backend: an array of pages over a small universe, with a full undo log. It fails the running cmocka test
 * when a caller breaks backend.h's contract, and fails any n-th operation on request, half done, as a real one might. */
#ifndef TEST_PAGE_BACKEND_H
#define TEST_PAGE_BACKEND_H

#include "core/area_map.h"
#include "core/backend.h"

/* Changes that one transaction may make, in times of the universe's pages. */
#define PAGE_BACKEND_LOG 32

struct page_entry {
    uint64_t identity; /* which map call made the page; 0: nothing is mapped */
    uint64_t delta;
    uint16_t flags;
    uint16_t backing;
    uint8_t *frame; /* ASPACE_PAGE_SIZE bytes, or NULL before the first fill; the entry's */
};

struct page_undo {
    uint64_t index;
    bool gone;  /* by unmap: the frame goes at the commit */
    bool moved; /* here: the frame is the old place's again after a rollback */
    struct page_entry old;
};

struct page_backend {
    struct backend head;
    uint64_t base; /* first page of the universe, which may wrap around the top of the address space */
    uint64_t pages;
    struct page_entry *entries;
    struct page_undo *log; /* of the open transaction */
    size_t log_count;
    size_t log_capacity; /* taken at creation, so that edits make this backend allocate nothing */
    bool failed;         /* the open transaction can only be rolled back */
    uint64_t identities; /* handed out */
    unsigned maps, unmaps, protects, moves, prepares, commits, rollbacks; /* calls */
    /* Fault injection. */
    unsigned operations; /* calls that may fail since page_backend_fail */
    unsigned fail_at;    /* which of them fails, from 1; 0: none */
    enum aspace_error fail_with;
    bool fired;
    unsigned *destroyed; /* counted up by destroy, if not NULL */
};

/* A backend with nothing mapped. Freed by its destroy operation. */
struct page_backend *page_backend_create(uint64_t base, uint64_t pages);

/* From here on the n-th operation fails with `error`, once; 0 lets all pass. Counts anew. */
void page_backend_fail(struct page_backend *backend, unsigned nth, enum aspace_error error);

/* The entry of `page`, which must be in the universe. */
struct page_entry *page_backend_at(struct page_backend *backend, uint64_t page);

/* Fails the test unless the pages are exactly what the areas of `map` say and no transaction is open. */
void page_backend_expect(struct page_backend *backend, const struct area_map *map);

/* A copy of all entries, and whether they still are that copy. The caller frees it. */
struct page_entry *page_backend_copy(const struct page_backend *backend);
bool page_backend_same(const struct page_backend *backend, const struct page_entry *copy);

#endif
