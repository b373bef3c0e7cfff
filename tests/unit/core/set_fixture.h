/* A memory set over the test backend, built from a drawing and compared with one: a letter is a page, a run of one
 * letter an area, a dot a hole. Letters in upper case are rw- and the same in lower case r--:
 *   A B C D E  lazy      N  lazy, rwx (n: r-x)      G  eager
 *   L M        linear, delta 1000                   K  linear, delta 2000
 *   T U        lazy with tag 1                      V  lazy with tag 2
 * Ranges are drawn with brackets around their pages: "  [....]", or "|" for a single one. */
#ifndef TEST_SET_FIXTURE_H
#define TEST_SET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/memory_set.h"
#include "page_backend.h"

#define RW (ASPACE_READ | ASPACE_WRITE)

struct set_fixture {
    struct memory_set set;
    struct page_backend *backend;
    uint64_t base; /* the page that a drawing's first column is */
    struct refusal why;
    /* What set_fixture_before saw. */
    struct area *areas;
    struct page_entry *entries;
    uint64_t generation;
    unsigned commits;
};

/* A set over the `pages` pages from `base`, holding the areas of `drawing`. Freed with set_fixture_close. */
void set_fixture_open(struct set_fixture *f, uint64_t base, uint64_t pages, enum aspace_merge merge,
                      const char *drawing);
void set_fixture_close(struct set_fixture *f);

/* The same over 64 pages from page 16. */
void set_fixture_draw(struct set_fixture *f, enum aspace_merge merge, const char *drawing);

struct area_attr set_fixture_attr(char letter);
struct range set_fixture_range(const struct set_fixture *f, const char *drawing);

/* Maps the range drawn, as the letter says. */
enum aspace_error set_fixture_map(struct set_fixture *f, char letter, const char *drawing, enum aspace_overlap overlap);

/* Fails the test unless the areas are those of `drawing`, the backend agrees and the map is valid. */
void set_fixture_expect(struct set_fixture *f, const char *drawing);

/* Remembers everything; set_fixture_unchanged fails the test unless areas, pages and generation are as then. */
void set_fixture_before(struct set_fixture *f);
void set_fixture_unchanged(struct set_fixture *f);

/* Whether the area is the one drawn (alone) in `drawing`. */
bool set_fixture_is(const struct set_fixture *f, const struct area *area, const char *drawing);

#endif
