/* The simulated machine from inside: RAM, the root table, and the log that undoes a transaction. Private to sim. */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "sim/arch.h"
#include "sim/frames.h"
#include "sim/sim.h"

enum undo_kind {
    UNDO_CUT,     /* entries were taken out: put them back; at the commit what they lead to is freed */
    UNDO_MOVE,    /* a leaf went to the pages that `range` is: put `entry` back here and drop it there */
    UNDO_SPLIT,   /* the leaf `entry` was broken into a table: put it back and free the table */
    UNDO_COPY,    /* the leaf `entry` got a frame of its own: free that and put it back; at the commit its share goes */
    UNDO_WORD,    /* accessed and dirty bits: put `entry` back */
    UNDO_FILL,    /* `range` was filled: empty it again */
    UNDO_PROTECT, /* `range` had `flags` */
};

struct undo {
    enum undo_kind kind;
    uint16_t flags;
    uint16_t level; /* of the table that the entries are in */
    uint16_t index; /* of the first */
    uint16_t count; /* CUT: how many */
    uint64_t table; /* CUT, MOVE, SPLIT, COPY, WORD */
    uint64_t entry; /* CUT of more than one: where in `saved` they are */
    struct range range;
};

struct sim {
    struct backend backend;
    const struct arch *arch;
    struct frames frames;
    uint64_t root;        /* the frame of the highest table */
    uint64_t table_least; /* the entry that leads to a table in RAM's first frame, */
    uint64_t table_end;   /* and how far above it those for other frames are, at most */
    bool cloned;          /* leaves may be shared */
    bool short_of_ram;    /* the last refusal was for want of frames, not of anything else */
    struct undo *log;
    size_t logged;
    size_t log_capacity;
    uint64_t *saved; /* entries that the log tells of */
    size_t saved_count;
    size_t saved_capacity;
};

static inline struct sim *sim_of(struct backend *backend)
{
    return (struct sim *)backend; /* its first member */
}

/* Appends to the log; NULL if there is no memory. Taken before the step, so that undoing never allocates. */
struct undo *sim_log(struct sim *sim, struct undo step);

/* ---- tables.c: the tree of tables ---- */

static inline uint64_t *sim_table(const struct sim *sim, uint64_t frame)
{
    return frames_at(&sim->frames, frame);
}

/* The table that `entry`, of a level above 1, leads to; false if it leads to none in RAM. */
static inline bool sim_child(const struct sim *sim, uint64_t entry, uint64_t *ret)
{
    *ret = arch_frame(sim->arch, entry);
    return arch_is_table(sim->arch, entry) && frames_have(&sim->frames, *ret);
}

/* The leaf entry of `page`, or NULL if there is no table for it. It is of *ret_level, and 0 only in level 1. */
uint64_t *sim_leaf(const struct sim *sim, uint64_t page, unsigned *ret_level);

/* The table of level 1 that all of `range` lies in; false if it lies in several, or that one is not there. */
bool sim_page_table(const struct sim *sim, struct range range, uint64_t *ret);

/* The frame of the table of `level` for `page`, made with all above it if it is not there. NoMemory if RAM is used up;
 * tables made by then stay, empty, for sim_empty to take away. */
enum aspace_error sim_make_table(struct sim *sim, uint64_t page, unsigned level, struct refusal *why, uint64_t *ret);

/* Takes out what lies in `range` with the tables that become empty, into the log; a leaf that lies in it partly is split
 * first. NoMemory: the log's, or a frame for a split. */
enum aspace_error sim_cut(struct sim *sim, struct range range, struct refusal *why);

/* The same for a range that was filled whole, and frees it at once. Cannot fail. */
void sim_empty(struct sim *sim, struct range range);

/* The same for entries that were moved there: only the tables are freed. Cannot fail. */
void sim_drop(struct sim *sim, struct range range);

/* Moves the entries in `range` to the pages from `to` on, logged; leaves that would not be aligned there are split.
 * NoMemory: frames for tables, or the log's. */
enum aspace_error sim_move(struct sim *sim, struct range range, uint64_t to, struct refusal *why);

/* Breaks leaves that lie on both sides of an end of `range` until none does, logged. NoMemory. */
enum aspace_error sim_split_ends(struct sim *sim, struct range range, struct refusal *why);

/* Gives the leaves in `range`, which none straddles, the bits of `flags`. */
void sim_set_flags(struct sim *sim, struct range range, uint16_t flags);

/* `leaf` of `level` with the bits of `flags`; its address and what hardware noted stay. */
uint64_t sim_reflag(const struct arch *arch, uint64_t leaf, unsigned level, uint16_t flags);

/* ---- release.c ---- */

/* Frees what `count` entries of a table of `level` lead to. */
void sim_release(struct sim *sim, const uint64_t *entries, unsigned count, unsigned level);

/* ---- clone.c ---- */

/* Gives `page` of `area` a frame of its own if it has one with others, or might: logged. A large leaf of which others have
 * a part is broken into small ones first. NoMemory. *ret_copied says whether anything was done. */
enum aspace_error sim_unshare(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                              bool *ret_copied);

/* Gives back all that the machine has but its root: before it leaves a family. */
void sim_release_all(struct sim *sim);

/* ---- fill.c ---- */

/* Gives `page` of a lazy area a frame if it has none, logged: a large page if the area asks for them, one fits, and RAM
 * has it. NoMemory. *ret_filled says whether it did. */
enum aspace_error sim_fill(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                           bool *ret_filled);

/* A frame on behalf of `page`. NoMemory if RAM is used up, or what an injected fault says. */
enum aspace_error sim_take_frame(struct sim *sim, enum frame_kind kind, uint64_t page, struct refusal *why,
                                 uint64_t *ret);

/* ---- access.c ---- */

enum aspace_error sim_refuse_untranslated(const struct arch *arch, uint64_t addr, struct refusal *why);

/* ---- the operations of the vtable ---- */

enum aspace_error sim_op_map(struct backend *backend, const struct area *area, struct refusal *why);
enum aspace_error sim_op_access(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why,
                                struct access *ret);
bool sim_op_allows(struct backend *backend, const struct area *area, enum aspace_access kind, enum aspace_mode mode);
enum aspace_error sim_op_walk(struct backend *backend, uint64_t addr, struct refusal *why, struct walk *ret);
void sim_op_walk_level(struct backend *backend, uint64_t addr, const struct walk *walk, unsigned i,
                       struct walk_level *ret);
void sim_op_dump(struct backend *backend, uint64_t start, dump_fn *each, void *arg);
enum aspace_error sim_op_prepare_write(struct backend *backend, const struct area *area, uint64_t addr, uint64_t size,
                                       struct refusal *why);
enum aspace_error sim_op_read(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                              size_t size, struct refusal *why);
enum aspace_error sim_op_write(struct backend *backend, const struct area *area, uint64_t addr, const void *buffer,
                               size_t size, struct refusal *why);
enum aspace_error sim_op_clone(struct backend *backend, struct refusal *why, struct backend **ret);
enum aspace_error sim_op_restore(struct backend *backend, struct backend *from, struct refusal *why);
uint64_t sim_op_diff(struct backend *backend, struct backend *other, struct range range, bool bytes,
                     struct page_runs *runs);
enum aspace_error sim_op_export(struct backend *backend, const char *path, struct refusal *why, struct export *ret);
void sim_op_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg);

#endif
