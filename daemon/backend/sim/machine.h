/* The simulated machine from inside: RAM, the root table, and the log that undoes a transaction. Private to sim. */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "sim/frames.h"
#include "sim/sim.h"
#include "sim/x86_64.h"

enum undo_kind {
    UNDO_CUT,     /* an entry was taken out: put `entry` back; at the commit what it leads to is freed */
    UNDO_MOVE,    /* an entry went to the page that `range` is: put `entry` back here and drop it there */
    UNDO_WORD,    /* accessed and dirty bits: put `entry` back */
    UNDO_FILL,    /* `range` was filled: empty it again */
    UNDO_PROTECT, /* `range` had `flags` */
};

struct undo {
    enum undo_kind kind;
    unsigned level; /* CUT: of the table that the entry was in */
    uint64_t table; /* CUT, MOVE, WORD */
    unsigned index;
    uint16_t flags;
    uint64_t entry;
    struct range range;
};

struct sim {
    struct backend backend;
    struct frames frames;
    uint64_t root; /* the frame of the highest table */
    struct undo *log;
    size_t logged;
    size_t log_capacity;
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

static inline unsigned sim_index(uint64_t page, unsigned level)
{
    return (unsigned)(page >> (X86_INDEX_BITS * (level - 1))) & ((1u << X86_INDEX_BITS) - 1);
}

/* Pages that one entry of a table of `level` covers. */
static inline uint64_t sim_span(unsigned level)
{
    return UINT64_C(1) << (X86_INDEX_BITS * (level - 1));
}

/* The table that `entry`, of a level above 1, leads to; false if it leads to none in RAM. */
static inline bool sim_child(const struct sim *sim, uint64_t entry, uint64_t *ret)
{
    *ret = page_of(entry & X86_ADDRESS);
    return entry & X86_PRESENT && !(entry & X86_PS) && *ret < sim->frames.total;
}

/* The leaf entry of `page`, or NULL if there is no table for it. */
uint64_t *sim_leaf(const struct sim *sim, uint64_t page);

/* The frame of the leaf table for `page`, made with all above it if it is not there. NoMemory if RAM is used up; tables
 * made by then stay, empty, for sim_empty to take away. */
enum aspace_error sim_make_leaf_table(struct sim *sim, uint64_t page, struct refusal *why, uint64_t *ret);

/* Takes out what lies in `range` with the tables that become empty, into the log. NoMemory for the log. */
enum aspace_error sim_cut(struct sim *sim, struct range range, struct refusal *why);

/* The same, and frees it at once. Cannot fail. */
void sim_empty(struct sim *sim, struct range range);

/* The same for entries that were moved there: only the tables are freed. Cannot fail. */
void sim_drop(struct sim *sim, struct range range);

/* Moves the entries in `range` to the pages from `to` on, logged. NoMemory: frames for tables there, or the log's. */
enum aspace_error sim_move(struct sim *sim, struct range range, uint64_t to, struct refusal *why);

/* Frees what an entry out of a table of `level` leads to. */
void sim_release(struct sim *sim, uint64_t entry, unsigned level);

/* Gives the leaves in `range` the bits of `flags`. */
void sim_set_flags(struct sim *sim, struct range range, uint16_t flags);

/* ---- fill.c ---- */

/* Gives `page` of a lazy area a frame if it has none, logged. NoMemory. *ret_filled says whether it did. */
enum aspace_error sim_fill(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                           bool *ret_filled);

/* A frame on behalf of `page`. NoMemory if RAM is used up, or what an injected fault says. */
enum aspace_error sim_take_frame(struct sim *sim, enum frame_kind kind, uint64_t page, struct refusal *why,
                                 uint64_t *ret);

/* ---- the operations of the vtable ---- */

enum aspace_error sim_op_map(struct backend *backend, const struct area *area, struct refusal *why);
enum aspace_error sim_op_access(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why,
                                struct access *ret);
enum aspace_error sim_op_walk(struct backend *backend, uint64_t addr, struct refusal *why, struct walk *ret);
enum aspace_error sim_op_prepare_write(struct backend *backend, const struct area *area, uint64_t addr, uint64_t size,
                                       struct refusal *why);
enum aspace_error sim_op_read(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                              size_t size, struct refusal *why);
enum aspace_error sim_op_write(struct backend *backend, const struct area *area, uint64_t addr, const void *buffer,
                               size_t size, struct refusal *why);
void sim_op_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg);

#endif
