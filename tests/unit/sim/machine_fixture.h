/* A simulated machine with the areas that are mapped in it, driven through its vtable as memory_set would. Every step
 * fails the running cmocka test when it is refused, unless its name says try. All pages are page numbers. */
#ifndef TEST_MACHINE_FIXTURE_H
#define TEST_MACHINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/area_map.h"
#include "sim/machine.h"

#define R   (ASPACE_READ)
#define RW  (ASPACE_READ | ASPACE_WRITE)
#define RX  (ASPACE_READ | ASPACE_EXEC)
#define RWX (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)

/* Pages that one entry of a level 2, 3 and 4 table covers. */
#define SPAN2 UINT64_C(0x200)
#define SPAN3 UINT64_C(0x40000)
#define SPAN4 UINT64_C(0x8000000)

struct machine {
    struct backend *backend;
    struct sim *sim; /* the same from inside */
    struct area_map map;
    struct refusal why;
    unsigned problems;   /* that the last check told */
    char told[101][320]; /* all of them */
};

/* A machine of `frames` frames over the lower half, nothing mapped; of x86_64 unless told. */
void machine_open(struct machine *m, uint64_t frames);
/* RAM begins at frame `first`. */
void machine_open_at(struct machine *m, const char *arch, uint64_t first, uint64_t frames);
void machine_open_arch(struct machine *m, const char *arch, uint64_t frames);
void machine_close(struct machine *m);

struct area machine_lazy(uint64_t start, uint64_t pages, uint16_t flags);
struct area machine_eager(uint64_t start, uint64_t pages, uint16_t flags);
/* To the physical pages from `frame` on. */
struct area machine_linear(uint64_t start, uint64_t pages, uint16_t flags, uint64_t frame);

/* Puts `area` into the map, or takes out what lies in `range`: what a check compares with. */
void machine_note(struct machine *m, const struct area *area);
void machine_forget(struct machine *m, struct range range);

/* One step of a transaction. */
enum edit_kind { EDIT_MAP, EDIT_UNMAP, EDIT_PROTECT, EDIT_MOVE, EDIT_TOUCH };

struct edit {
    enum edit_kind kind;
    struct area area; /* the piece, as it is before the edit */
    uint16_t flags;   /* PROTECT: the new ones */
    uint64_t to;      /* MOVE: the new first page */
};

/* Asks the backend for the edit; the caller ends the transaction. TOUCH prepares all of the piece for writes. */
enum aspace_error machine_try(struct machine *m, const struct edit *edit);
/* Has the map follow an edit that was committed. */
void machine_follow(struct machine *m, const struct edit *edit);

/* Maps and commits; the area is noted. */
void machine_map(struct machine *m, struct area area);
/* Unmaps the part of `area` in [start, start + pages) and commits; what is left of the area is noted. */
void machine_unmap(struct machine *m, struct area area, uint64_t start, uint64_t pages);
/* Gives all of `area` other flags and commits. */
void machine_protect(struct machine *m, struct area *area, uint16_t flags);

/* A debugger's bytes, committed. */
enum aspace_error machine_try_write(struct machine *m, const struct area *area, uint64_t addr, const void *bytes,
                                    size_t size);
void machine_write(struct machine *m, const struct area *area, uint64_t addr, const void *bytes, size_t size);
void machine_read(struct machine *m, const struct area *area, uint64_t addr, void *bytes, size_t size);

/* A CPU's access, committed. */
struct access machine_access(struct machine *m, const struct area *area, uint64_t addr, enum aspace_access kind,
                             enum aspace_mode mode);
struct walk machine_walk(struct machine *m, uint64_t addr);
/* What entry `i` of that says. */
struct walk_level machine_walk_level(struct machine *m, uint64_t addr, const struct walk *walk, unsigned i);
/* The raw leaf entry of `page`; 0 if there is none. */
uint64_t machine_entry(struct machine *m, uint64_t page);

/* Fails the test unless so many frames are in use. */
void machine_expect_frames(struct machine *m, uint64_t data, uint64_t tables);

/* Runs the check; machine_expect_sound fails the test if it tells of a problem, machine_expect_problem unless one of
 * them has `part` in it. */
void machine_check(struct machine *m);
void machine_expect_sound(struct machine *m);
void machine_expect_problem(struct machine *m, const char *part);

/* All that a transaction must leave as it was: every table and data frame's bytes, kinds and counts. */
struct machine_image;
struct machine_image *machine_photograph(struct machine *m);
/* Fails the test unless everything is as in the image, which it frees. */
void machine_expect_same(struct machine *m, struct machine_image *image);
void machine_forget_image(struct machine_image *image);

#endif
