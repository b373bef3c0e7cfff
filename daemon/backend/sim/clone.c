/* Copy-on-write: a machine with the same pages in the same RAM. Tables are copied, frames of data are shared, and the
 * leaves of both lead to them without the right to write until one of the two has a frame of its own. */
#include <stdlib.h>
#include <string.h>

#include "sim/machine.h"

/* ---- Tables for the copy: all that can fail ---- */

struct copier {
    struct sim *from;
    struct sim *to;
    uint32_t *tables; /* the copy's, in the order in which they are met */
    size_t taken;
    size_t used;
    struct refusal *why;
};

static enum aspace_error take_table(struct copier *c, uint64_t page)
{
    uint64_t frame;

    if (backend_frame_fails(&c->from->backend, page, c->why))
        return c->why->code;
    if (!frames_take_raw_table(&c->to->frames, &frame)) {
        refuse(c->why, ASPACE_NO_MEMORY, "the simulated RAM has no frame left for the clone's page tables");
        c->why->hint = "unmap something, or create the space with more ram: clones share it";
        return c->why->code;
    }
    c->tables[c->taken++] = (uint32_t)frame;
    return ASPACE_OK;
}

/* For `table` of `level` and those below it. */
static enum aspace_error take_tables(struct copier *c, uint64_t table, unsigned level, uint64_t page)
{
    unsigned left = level > 1 ? frames_live(&c->from->frames, table) : 0;

    if (take_table(c, page))
        return c->why->code;
    for (unsigned i = 0; left && i < ARCH_ENTRIES; i++) {
        uint64_t entry = sim_table(c->from, table)[i];
        uint64_t child;

        left -= entry != 0;
        if (entry && sim_child(c->from, entry, &child) && take_tables(c, child, level - 1, page + i * arch_span(level)))
            return c->why->code;
    }
    return ASPACE_OK;
}

static void give_tables(struct copier *c)
{
    while (c->taken)
        frames_give(&c->to->frames, c->tables[--c->taken]);
}

/* ---- The copy, which cannot fail ---- */

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
    uint64_t copy = c->tables[c->used++];
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

static enum aspace_error copy_tree(struct copier *c)
{
    c->tables = malloc(c->from->frames.tables * sizeof(*c->tables));
    if (!c->tables)
        return refuse_no_memory(c->why);
    if (take_tables(c, c->from->root, c->from->arch->levels, 0)) {
        give_tables(c);
        free(c->tables);
        return c->why->code;
    }
    c->to->root = copy_table(c, c->from->root, c->from->arch->levels);
    c->to->cloned = c->from->cloned = true;
    free(c->tables);
    return ASPACE_OK;
}

enum aspace_error sim_op_clone(struct backend *backend, struct refusal *why, struct backend **ret)
{
    struct sim *from = sim_of(backend);
    struct sim *to = calloc(1, sizeof(*to));
    struct copier c = {.from = from, .to = to, .why = why};

    if (!to)
        return refuse_no_memory(why);
    to->backend.ops = from->backend.ops;
    to->arch = from->arch;
    if (!frames_join(&to->frames, &from->frames)) {
        free(to);
        return refuse(why, ASPACE_BUSY, "the RAM has as many clones as can be counted");
    }
    if (copy_tree(&c)) {
        frames_fini(&to->frames);
        free(to);
        return why->code;
    }
    *ret = &to->backend;
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

enum aspace_error sim_unshare(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                              bool *ret_copied)
{
    unsigned level;
    uint64_t *leaf = sim->cloned ? sim_leaf(sim, page, &level) : NULL;

    *ret_copied = leaf && *leaf & sim->arch->shared;
    if (!*ret_copied)
        return ASPACE_OK;
    if (level > 1) {
        if (sim_split_ends(sim, (struct range){page, page + 1}, why))
            return why->code;
        leaf = sim_leaf(sim, page, &level);
    }
    return own_frame(sim, leaf, page, sim_reflag(sim->arch, *leaf & ~sim->arch->shared, 1, area->attr.flags), why);
}
