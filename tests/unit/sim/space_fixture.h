/* Simulated spaces, driven as the daemon drives them. Every step fails the running cmocka test when it is refused, unless its
 * name says try. All pages are page numbers; a page's byte is the one at offset 5. */
#ifndef TEST_SPACE_FIXTURE_H
#define TEST_SPACE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/space.h"
#include "sim/machine.h"

#define R  (ASPACE_READ)
#define RW (ASPACE_READ | ASPACE_WRITE)

extern const char *const space_archs[];
#define SPACE_ARCHS 6

extern struct refusal why;

/* The physical page that their RAM begins with. */
#define SPACE_RAM_FIRST UINT64_C(0x80001)

/* A space "a" with so many frames of RAM. */
struct space *make_space(const char *arch, uint64_t frames);
/* A clone "b". */
struct space *clone_of(struct space *space);

enum aspace_error try_map(struct space *space, struct range range, uint16_t flags, enum aspace_backing backing,
                          enum aspace_page page);
void map(struct space *space, uint64_t start, uint64_t pages, uint16_t flags, enum aspace_backing backing,
         enum aspace_page page);
void put(struct space *space, uint64_t page, uint8_t byte);
uint8_t get(struct space *space, uint64_t page);
/* What a CPU in user mode does. */
enum aspace_outcome touch(struct space *space, uint64_t page, enum aspace_access kind);
struct frame_counts counts(struct space *space);

/* Runs the check, which must tell of nothing. */
void expect_sound(struct space *space);

#endif
