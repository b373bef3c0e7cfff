/* What makes areas real: the interface that memory_set drives and every backend implements.
 *
 * A transaction: any number of map, unmap, protect and prepare_write calls, then exactly one commit or one rollback.
 * The backend keeps the undo of each step. After a call that failed the caller always rolls back. commit and rollback
 * cannot fail; after a rollback entries, frames and contents are exactly what they were. All pieces lie inside one
 * area, and map is only asked for a range that is free (or was unmapped earlier in the transaction). */
#ifndef CORE_BACKEND_H
#define CORE_BACKEND_H

#include <stddef.h>

#include "core/area.h"
#include "core/inject.h"
#include "core/watch.h"

#define WALK_LEVELS_MAX 5

/* What an entry of the page tables says. */
struct walk_level {
    uint64_t table; /* physical address of the table */
    uint64_t entry; /* the raw entry */
    uint16_t index; /* of the entry in it */
    uint16_t flags; /* what the entry alone says; 0 if not present */
    uint8_t level;  /* 1 is the level of 4 KiB pages; the root has the highest */
    bool present;
    bool leaf;
};

/* What the hardware reads on the way of an address: raw entries, the root's first. */
struct walk {
    uint64_t entries[WALK_LEVELS_MAX];
    uint8_t count; /* levels visited */
    bool has_pa;
    uint64_t pa;        /* of the address asked for */
    uint64_t page_size; /* of the leaf in bytes; the base page's if there is none */
};

/* What a dump of the tables tells of: one entry that leads to a table, or a run of leaves in one table whose frames follow
 * each other and which are alike in all else. `at` is the first of them. */
struct dump_entry {
    struct walk_level at;
    const char *name; /* of that level of tables, by the architecture; static */
    uint64_t start;   /* address that it is for */
    uint64_t size;    /* bytes of addresses */
    uint64_t count;   /* entries */
    uint64_t pa;      /* what it leads to; a leaf that is not present keeps one */
    char bits[96];    /* what the entry has beside that address, by the architecture's names */
};

/* Takes an entry; false ends the dump. */
typedef bool dump_fn(void *arg, const struct dump_entry *entry);

/* What a CPU would do. */
struct access {
    enum aspace_outcome outcome;
    bool has_pa;
    uint64_t pa; /* of the first byte, after a hit, fill or copy */
    /* outcome FAULT only: */
    const char *reason; /* static text: unmapped, protection, noncanonical */
    uint64_t addr;      /* the address that faulted */
    uint32_t code;      /* what the CPU reports: x86 the error code */
};

/* In frames of ASPACE_PAGE_SIZE. */
struct frame_counts {
    uint64_t total;
    uint64_t used; /* data + tables */
    uint64_t data;
    uint64_t tables;
    uint64_t shared; /* data frames of that RAM that more than one space has */
    uint64_t in_ram; /* frames of that RAM in use by all spaces that have it, each once */
};

/* RAM written to a file. */
struct export
{
    uint64_t root;     /* what the register that leads to the page tables holds: CR3, TTBR0_EL1, satp */
    uint64_t ram_base; /* physical address that the file begins with */
    uint64_t ram;      /* bytes: the file's size */
    uint64_t frames;   /* that hold something; the rest is a hole of the file */
};

/* Areas in order, of a window. Start from {0}. */
struct area_list {
    struct range window;
    struct area *areas;
    size_t count;
    size_t capacity;
};

/* NoMemory. reconcile.c */
enum aspace_error area_list_add(struct area_list *list, const struct area *area, struct refusal *why);
void area_list_free(struct area_list *list);

struct area_map;

/* Runs of pages, in order. Start from {.runs = …, .most = …}. */
struct page_runs {
    struct range *runs; /* room for `most` */
    size_t most;
    size_t count;
    uint64_t pages; /* in all of them */
};

/* `pages`, which lie above what is there, as well: joined to the last run if they follow it. False if there is no room. */
static inline bool page_runs_add(struct page_runs *list, struct range pages)
{
    if (list->count && list->runs[list->count - 1].end == pages.start)
        list->runs[list->count - 1].end = pages.end;
    else if (list->count == list->most)
        return false;
    else
        list->runs[list->count++] = pages;
    list->pages += range_pages(pages);
    return true;
}

/* Takes one problem found by a check, a plain sentence. */
typedef void backend_problem_fn(void *arg, const char *problem);

struct backend;

struct backend_ops {
    const char *name;            /* "sim" */
    unsigned backings;           /* bit by enum aspace_backing: those that a map may ask for */
    enum aspace_backing backing; /* that of a map that asks for none */
    bool large_pages;            /* map looks at area_attr.page; else areas ask for 4 KiB alone */

    enum aspace_error (*map)(struct backend *backend, const struct area *area, struct refusal *why);
    enum aspace_error (*unmap)(struct backend *backend, const struct area *piece, struct refusal *why);
    /* `piece` has its flags as they were; `flags` are the new ones. */
    enum aspace_error (*protect)(struct backend *backend, const struct area *piece, uint16_t flags,
                                 struct refusal *why);
    void (*commit)(struct backend *backend);
    void (*rollback)(struct backend *backend);

    /* Optional from here on: NULL means Unsupported, or nothing to do. */

    /* The last step of a transaction that may fail, just before commit: a backend that only noted the steps so far
     * makes them now. */
    enum aspace_error (*settle)(struct backend *backend, struct refusal *why);

    /* A backend that others change too: what is really there in `window`, or more of it, cut at no area; without tags.
     * `hold`: it stays as it is until the commit or rollback that follows. The list is the backend's, until its next
     * call. */
    enum aspace_error (*sync)(struct backend *backend, struct range window, bool hold, struct refusal *why,
                              const struct area_list **ret);
    /* Whether there is a border at the start of `page` between two areas alike that no edit of ours can take away. */
    bool (*border)(struct backend *backend, uint64_t page);
    /* The text of a path id that sync gave; NULL for 0. */
    const char *(*path)(const struct backend *backend, uint16_t id);

    /* Moves what makes `piece` real to the pages from `to` on, which are free (or were unmapped earlier in the
     * transaction) and do not overlap it. Part of a transaction. */
    enum aspace_error (*move)(struct backend *backend, const struct area *piece, uint64_t to, struct refusal *why);

    /* Makes `area` real as more of the area that ends where it starts. Part of a transaction. NULL: by map. */
    enum aspace_error (*grow)(struct backend *backend, const struct area *area, struct refusal *why);

    /* Makes [addr, addr + size), inside `area` and not empty, such that a write to it cannot fail. Part of a
     * transaction. Whoever writes to several areas prepares them all twice: what an earlier one found free, a later
     * one may have taken for itself. */
    enum aspace_error (*prepare_write)(struct backend *backend, const struct area *area, uint64_t addr, uint64_t size,
                                       struct refusal *why);
    /* Debugger's access: flags are not looked at. Both inside `area`; write only after prepare_write of the range. */
    enum aspace_error (*read)(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                              size_t size, struct refusal *why);
    enum aspace_error (*write)(struct backend *backend, const struct area *area, uint64_t addr, const void *buffer,
                               size_t size, struct refusal *why);
    /* What a CPU in `mode` would do at `addr`, one byte; accessed and dirty bits, and a demand fill, are done for
     * real. `area` is the area there or NULL. A fault is an outcome, not a failure. */
    enum aspace_error (*access)(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why,
                                struct access *ret);
    /* Whether an access in `area` goes through, a demand fill included. Changes nothing. */
    bool (*allows)(struct backend *backend, const struct area *area, enum aspace_access kind, enum aspace_mode mode);
    enum aspace_error (*walk)(struct backend *backend, uint64_t addr, struct refusal *why, struct walk *ret);
    /* What entry `i` of the walk of `addr`, just made, says. */
    void (*walk_level)(struct backend *backend, uint64_t addr, const struct walk *walk, unsigned i,
                       struct walk_level *ret);
    /* Gives the entries of the page tables, but empty ones, that are for addresses from `start` on; an entry comes before
     * those of the table that it leads to. */
    void (*dump)(struct backend *backend, uint64_t start, dump_fn *each, void *arg);
    /* A backend with the same contents, which share what is not written to from then on: they are a family. NoMemory,
     * Busy if the family is full. */
    enum aspace_error (*clone)(struct backend *backend, struct refusal *why, struct backend **ret);
    /* All that is in `backend` goes, and what is in `from`, a clone of it, is there instead, as after a clone of that.
     * Between transactions. NoMemory. */
    enum aspace_error (*restore)(struct backend *backend, struct backend *from, struct refusal *why);
    /* Appends to *runs the pages of `range` that one of two backends alike in kind was written to since they parted,
     * which is what they do not share; `bytes`: of these only those whose bytes differ, and so it always is with two that
     * are no family. Pages at fixed addresses are passed over. Returns the page that it came to: the range's end, or
     * where the runs were full. */
    uint64_t (*diff)(struct backend *backend, struct backend *other, struct range range, bool bytes,
                     struct page_runs *runs);
    /* Writes RAM, page tables and all, to a new file at the absolute `path`, whose offsets are physical addresses less
     * that of its first byte, mode 0600. AlreadyExists if there is something; after any other refusal there is no such
     * file, either. */
    enum aspace_error (*export)(struct backend *backend, const char *path, struct refusal *why, struct export *ret);
    /* Compares `map` with what is really there and reports each difference. */
    void (*check)(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg);
    void (*count_frames)(struct backend *backend, struct frame_counts *ret);
    /* Pages in memory, for a backend without frames. Also while another thread has the space. */
    uint64_t (*resident)(const struct backend *backend);

    /* Whether only the thread that has called the backend up to now may go on calling it; NULL: any may, one at a time. */
    bool (*thread_bound)(struct backend *backend);
    /* Whether the thread that has called the backend up to now must end, and another one call it from here on. */
    bool (*thread_spent)(struct backend *backend);
    /* That other thread calls this first. */
    void (*adopt)(struct backend *backend);

    /* Frees the backend and all that it holds. Never NULL. */
    void (*destroy)(struct backend *backend);
};

/* The head of every backend's own struct. */
struct backend {
    const struct backend_ops *ops;
    struct inject *inject; /* faults to inject, the space's; NULL while there are none */
    struct watch *watch;   /* who is told of each step; NULL while nobody is */
};

/* ---- Where faults are injected and steps noted: edits ask the backend through these alone ---- */

static inline enum aspace_error backend_map(struct backend *backend, const struct area *area, struct refusal *why)
{
    if (backend->inject && inject_fires(backend->inject, ASPACE_INJECT_MAP, area->range, why))
        return why->code;
    if (backend->ops->map(backend, area, why))
        return why->code;
    if (backend->watch)
        watch_note(backend->watch, ASPACE_EVENT_MAPPED, NULL, area);
    return ASPACE_OK;
}

static inline enum aspace_error backend_grow(struct backend *backend, const struct area *area, struct refusal *why)
{
    if (!backend->ops->grow)
        return backend_map(backend, area, why);
    if (backend->inject && inject_fires(backend->inject, ASPACE_INJECT_MAP, area->range, why))
        return why->code;
    if (backend->ops->grow(backend, area, why))
        return why->code;
    if (backend->watch)
        watch_note(backend->watch, ASPACE_EVENT_MAPPED, NULL, area);
    return ASPACE_OK;
}

static inline enum aspace_error backend_unmap(struct backend *backend, const struct area *piece, struct refusal *why)
{
    if (backend->inject && inject_fires(backend->inject, ASPACE_INJECT_UNMAP, piece->range, why))
        return why->code;
    if (backend->ops->unmap(backend, piece, why))
        return why->code;
    if (backend->watch)
        watch_note(backend->watch, ASPACE_EVENT_UNMAPPED, piece, NULL);
    return ASPACE_OK;
}

static inline enum aspace_error backend_protect(struct backend *backend, const struct area *piece, uint16_t flags,
                                                struct refusal *why)
{
    if (backend->inject && inject_fires(backend->inject, ASPACE_INJECT_PROTECT, piece->range, why))
        return why->code;
    if (backend->ops->protect(backend, piece, flags, why))
        return why->code;
    if (backend->watch) {
        struct area after = *piece;

        after.attr.flags = flags;
        watch_note(backend->watch, ASPACE_EVENT_PROTECTED, piece, &after);
    }
    return ASPACE_OK;
}

/* For injection a move is the unmap of the old place, then the map of the new one. */
static inline enum aspace_error backend_move(struct backend *backend, const struct area *piece, uint64_t to,
                                             struct refusal *why)
{
    struct range new_range = {to, to + range_pages(piece->range)};

    if (backend->inject && (inject_fires(backend->inject, ASPACE_INJECT_UNMAP, piece->range, why) ||
                            inject_fires(backend->inject, ASPACE_INJECT_MAP, new_range, why)))
        return why->code;
    if (backend->ops->move(backend, piece, to, why))
        return why->code;
    if (backend->watch) {
        struct area after = area_moved(piece, to);

        watch_note(backend->watch, ASPACE_EVENT_MOVED, piece, &after);
    }
    return ASPACE_OK;
}

static inline enum aspace_error backend_settle(struct backend *backend, struct refusal *why)
{
    return backend->ops->settle ? backend->ops->settle(backend, why) : ASPACE_OK;
}

/* A backend with frames asks this before it takes one, of data or for a table, on behalf of `page`; after true it
 * refuses the operation with *why. */
static inline bool backend_frame_fails(struct backend *backend, uint64_t page, struct refusal *why)
{
    return backend->inject && inject_fires(backend->inject, ASPACE_INJECT_FRAME, (struct range){page, page + 1}, why);
}

#endif
