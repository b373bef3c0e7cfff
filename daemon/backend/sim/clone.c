/* Copy-on-write: a machine with the same pages in the same RAM. Tables are copied, frames of data are shared, and the
 * leaves of both lead to them without the right to write until one of the two has a frame of its own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/machine.h"

/* ---- What can fail ---- */

struct copier {
    struct sim *from;
    struct sim *to;
    struct refusal *why;
};

/* The faults that are injected into `asked`, for each table that a copy of `table` of `level` takes. */
static enum aspace_error ask_faults(const struct copier *c, struct backend *asked, uint64_t table, unsigned level,
                                    uint64_t page)
{
    unsigned left = level > 1 ? frames_live(&c->from->frames, table) : 0;

    if (backend_frame_fails(asked, page, c->why))
        return c->why->code;
    for (unsigned i = 0; left && i < ARCH_ENTRIES; i++) {
        uint64_t entry = sim_table(c->from, table)[i];
        uint64_t child;

        left -= entry != 0;
        if (entry && sim_child(c->from, entry, &child) &&
            ask_faults(c, asked, child, level - 1, page + i * arch_span(level)))
            return c->why->code;
    }
    return ASPACE_OK;
}

/* Whether the copy's tables can be had, when `more` frames will be free, too. */
static enum aspace_error check_room(const struct copier *c, struct backend *asked, uint64_t more)
{
    if (asked->inject && ask_faults(c, asked, c->from->root, c->from->arch->levels, 0))
        return c->why->code;
    if (frames_free(&c->to->frames) + more >= c->from->frames.tables)
        return ASPACE_OK;
    refuse(c->why, ASPACE_NO_MEMORY, "the simulated RAM has no frames left for %" PRIu64 " page tables more",
           c->from->frames.tables - more);
    c->why->hint = "unmap something, drop a snapshot, or create the space with more ram: clones share it";
    return c->why->code;
}

/* ---- The copy, which cannot fail ---- */

static uint64_t take_table(struct copier *c)
{
    uint64_t frame = 0;

    frames_take_raw_table(&c->to->frames, &frame); /* check_room has said that there is one */
    return frame;
}

/* A full table whose frames follow each other: true, and it is done. */
static bool copy_run(struct copier *c, uint64_t *from, uint64_t *to)
{
    const struct arch *arch = c->from->arch;
    const uint64_t step = arch_address(arch, 1);
    const uint64_t mask = arch->address | arch->special;
    const uint64_t first = from[0] & mask;
    uint64_t differ = first & arch->special;

    for (unsigned i = 0; i < ARCH_ENTRIES; i++)
        differ |= (from[i] & mask) ^ (first + i * step);
    if (differ || arch->written_clears)
        return false;
    for (unsigned i = 0; i < ARCH_ENTRIES; i++)
        to[i] = from[i] = (from[i] & ~arch->writable) | arch->shared;
    frames_share_run(&c->to->frames, first >> arch->shift, ARCH_ENTRIES);
    return true;
}

static void share_leaf(struct copier *c, uint64_t *from, uint64_t *to, unsigned level)
{
    const struct arch *arch = c->from->arch;

    if (*from && !(*from & arch->special)) {
        *from = arch_share(arch, *from);
        frames_share_run(&c->to->frames, arch_frame(arch, *from), arch_span(level));
    }
    *to = *from;
}

static uint64_t copy_table(struct copier *c, uint64_t table, unsigned level)
{
    uint64_t copy = take_table(c);
    uint64_t *from = sim_table(c->from, table);
    uint64_t *to = sim_table(c->to, copy);
    unsigned live = frames_live(&c->from->frames, table);

    frames_add_live(&c->to->frames, copy, (int)live);
    if (level == 1 && live == ARCH_ENTRIES && copy_run(c, from, to))
        return copy;
    for (unsigned i = 0; i < ARCH_ENTRIES; i++) {
        uint64_t child;

        if (level == 1 || !from[i] || !sim_child(c->from, from[i], &child))
            share_leaf(c, &from[i], &to[i], level);
        else
            to[i] = (from[i] & ~c->from->arch->address) | arch_address(c->from->arch, copy_table(c, child, level - 1));
    }
    return copy;
}

static void copy_tree(struct copier *c)
{
    c->to->root = copy_table(c, c->from->root, c->from->arch->levels);
    c->to->cloned = c->from->cloned = true;
}

/* ---- The operations ---- */

enum aspace_error sim_op_clone(struct backend *backend, struct refusal *why, struct backend **ret)
{
    struct sim *from = sim_of(backend);
    struct sim *to = calloc(1, sizeof(*to));
    struct copier c = {.from = from, .to = to, .why = why};

    if (!to)
        return refuse_no_memory(why);
    to->backend.ops = from->backend.ops;
    to->arch = from->arch;
    to->table_least = from->table_least;
    to->table_end = from->table_end;
    if (!frames_join(&to->frames, &from->frames)) {
        free(to);
        return refuse(why, ASPACE_BUSY, "the RAM has as many clones as can be counted");
    }
    if (check_room(&c, backend, 0)) {
        frames_fini(&to->frames);
        free(to);
        return why->code;
    }
    copy_tree(&c);
    *ret = &to->backend;
    return ASPACE_OK;
}

/* What was there goes first, so that a full RAM does as well: nothing can fail then. */
enum aspace_error sim_op_restore(struct backend *backend, struct backend *from, struct refusal *why)
{
    struct sim *to = sim_of(backend);
    struct copier c = {.from = sim_of(from), .to = to, .why = why};

    if (check_room(&c, backend, to->frames.tables))
        return why->code;
    sim_release_all(to);
    copy_tree(&c);
    return ASPACE_OK;
}

void sim_release_all(struct sim *sim)
{
    sim_release(sim, sim_table(sim, sim->root), ARCH_ENTRIES, sim->arch->levels);
    frames_give(&sim->frames, sim->root);
}

/* ---- The first write ---- */

/* The last space that has a frame keeps it; any other gets a copy. */
static enum aspace_error own_frame(struct sim *sim, uint64_t *leaf, uint64_t page, uint64_t flagged,
                                   struct refusal *why)
{
    uint64_t offset = (uint64_t)(uintptr_t)leaf - (uint64_t)(uintptr_t)sim->frames.bytes;
    struct undo step = {.kind = UNDO_WORD,
                        .table = page_of(offset),
                        .index = (uint16_t)(offset % ASPACE_PAGE_SIZE / sizeof(*leaf)),
                        .entry = *leaf};
    uint64_t old = arch_frame(sim->arch, *leaf);
    uint64_t frame = old;

    if (!sim_log(sim, step))
        return refuse_no_memory(why);
    if (frames_is_shared(&sim->frames, old)) {
        if (sim_take_frame(sim, FRAME_DATA, page, why, &frame)) {
            sim->logged--;
            return why->code;
        }
        sim->log[sim->logged - 1].kind = UNDO_COPY;
        if (sim->frames.state[old] & FRAME_DIRTY) {
            frames_touch(&sim->frames, frame);
            memcpy(frames_at(&sim->frames, frame), frames_at(&sim->frames, old), ASPACE_PAGE_SIZE);
        }
    }
    *leaf = (flagged & ~sim->arch->address) | arch_address(sim->arch, frame);
    return ASPACE_OK;
}

/* Whether another space has any frame of a leaf of `level`. */
static bool is_shared(const struct sim *sim, uint64_t leaf, unsigned level)
{
    const uint8_t *state = sim->frames.state + arch_frame(sim->arch, leaf);
    uint8_t all = 0;

    for (uint64_t i = 0; i < arch_span(level); i++)
        all |= state[i];
    return all & FRAME_SHARED;
}

enum aspace_error sim_unshare(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                              bool *ret_copied)
{
    unsigned level;
    uint64_t *leaf = sim->cloned ? sim_leaf(sim, page, &level) : NULL;

    *ret_copied = leaf && *leaf & sim->arch->shared;
    if (!*ret_copied)
        return ASPACE_OK;
    if (level > 1 && is_shared(sim, *leaf, level)) {
        if (sim_split_ends(sim, (struct range){page, page + 1}, why))
            return why->code;
        leaf = sim_leaf(sim, page, &level);
    }
    return own_frame(sim, leaf, page, sim_reflag(sim->arch, *leaf & ~sim->arch->shared, level, area->attr.flags), why);
}
