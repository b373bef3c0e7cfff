/* The simulated machine's life, its transactions and its vtable. */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/machine.h"

/* A root, and a frame beside it; and as many as 32 bits can number. */
#define RAM_LEAST (2 * ASPACE_PAGE_SIZE)
#define RAM_MOST  (UINT64_C(1) << 44)

/* An emptied log of more steps, or saved entries, is given back. */
#define LOG_KEEP 1024

/* ---- The log ---- */

struct undo *sim_log(struct sim *sim, struct undo step)
{
    if (sim->logged == sim->log_capacity) {
        size_t capacity = sim->log_capacity ? sim->log_capacity * 2 : 16;
        struct undo *log = realloc(sim->log, capacity * sizeof(*log));

        if (!log)
            return NULL;
        sim->log = log;
        sim->log_capacity = capacity;
    }
    sim->log[sim->logged] = step;
    return &sim->log[sim->logged++];
}

static void end_log(struct sim *sim)
{
    sim->logged = 0;
    sim->saved_count = 0;
    if (sim->log_capacity > LOG_KEEP) {
        free(sim->log);
        sim->log = NULL;
        sim->log_capacity = 0;
    }
    if (sim->saved_capacity > LOG_KEEP) {
        free(sim->saved);
        sim->saved = NULL;
        sim->saved_capacity = 0;
    }
}

/* The entries that a step of kind CUT took out. */
static const uint64_t *cut_entries(const struct sim *sim, const struct undo *step)
{
    return step->count > 1 ? &sim->saved[step->entry] : &step->entry;
}

static void put_back(struct sim *sim, const struct undo *step)
{
    const uint64_t *entries = cut_entries(sim, step);
    int live = 0;

    for (unsigned i = 0; i < step->count; i++)
        live += entries[i] != 0;
    memcpy(&sim_table(sim, step->table)[step->index], entries, step->count * sizeof(*entries));
    frames_add_live(&sim->frames, step->table, live);
}

/* The table that a leaf was broken into is as the split left it. */
static void join(struct sim *sim, const struct undo *step)
{
    uint64_t *entry = &sim_table(sim, step->table)[step->index];

    frames_give(&sim->frames, arch_frame(sim->arch, *entry));
    *entry = step->entry;
}

static void undo_step(struct sim *sim, const struct undo *step)
{
    switch (step->kind) {
    case UNDO_CUT:
        put_back(sim, step);
        break;
    case UNDO_MOVE:
        sim_table(sim, step->table)[step->index] = step->entry;
        frames_add_live(&sim->frames, step->table, 1);
        sim_drop(sim, step->range);
        break;
    case UNDO_SPLIT:
        join(sim, step);
        break;
    case UNDO_COPY:
        frames_give_run(&sim->frames, arch_frame(sim->arch, sim_table(sim, step->table)[step->index]), 1);
        sim_table(sim, step->table)[step->index] = step->entry;
        break;
    case UNDO_WORD:
        sim_table(sim, step->table)[step->index] = step->entry;
        break;
    case UNDO_FILL:
        sim_empty(sim, step->range);
        break;
    case UNDO_PROTECT:
        sim_set_flags(sim, step->range, step->flags);
        break;
    }
}

static void op_rollback(struct backend *backend)
{
    struct sim *sim = sim_of(backend);

    for (size_t i = sim->logged; i--;)
        undo_step(sim, &sim->log[i]);
    end_log(sim);
}

static void op_commit(struct backend *backend)
{
    struct sim *sim = sim_of(backend);

    for (size_t i = 0; i < sim->logged; i++) {
        const struct undo *step = &sim->log[i];

        if (step->kind == UNDO_CUT)
            sim_release(sim, cut_entries(sim, step), step->count, step->level);
        if (step->kind == UNDO_COPY)
            frames_give_run(&sim->frames, arch_frame(sim->arch, step->entry), 1);
    }
    end_log(sim);
}

/* ---- Edits ---- */

static enum aspace_error op_unmap(struct backend *backend, const struct area *piece, struct refusal *why)
{
    return sim_cut(sim_of(backend), piece->range, why);
}

static enum aspace_error op_protect(struct backend *backend, const struct area *piece, uint16_t flags,
                                    struct refusal *why)
{
    struct sim *sim = sim_of(backend);

    if (sim_split_ends(sim, piece->range, why))
        return why->code;
    if (!sim_log(sim, (struct undo){.kind = UNDO_PROTECT, .range = piece->range, .flags = piece->attr.flags}))
        return refuse_no_memory(why);
    sim_set_flags(sim, piece->range, flags);
    return ASPACE_OK;
}

static enum aspace_error op_move(struct backend *backend, const struct area *piece, uint64_t to, struct refusal *why)
{
    return sim_move(sim_of(backend), piece->range, to, why);
}

static void op_count_frames(struct backend *backend, struct frame_counts *ret)
{
    const struct frames *frames = &sim_of(backend)->frames;

    *ret = (struct frame_counts){
        .total = frames->total,
        .used = frames->data + frames->tables,
        .data = frames->data,
        .tables = frames->tables,
        .in_ram = __atomic_load_n(&frames->ram->used, __ATOMIC_RELAXED),
        .shared = __atomic_load_n(&frames->ram->shared, __ATOMIC_RELAXED),
    };
}

static void op_destroy(struct backend *backend)
{
    struct sim *sim = sim_of(backend);

    if (frames_in_family(&sim->frames))
        sim_release_all(sim);
    frames_fini(&sim->frames);
    free(sim->log);
    free(sim->saved);
    free(sim);
}

static const struct backend_ops ops = {
    .name = "sim",
    .large_pages = true,
    .backings = 1 << ASPACE_BACKING_LAZY | 1 << ASPACE_BACKING_EAGER | 1 << ASPACE_BACKING_LINEAR,
    .backing = ASPACE_BACKING_LAZY,
    .map = sim_op_map,
    .unmap = op_unmap,
    .protect = op_protect,
    .move = op_move,
    .commit = op_commit,
    .rollback = op_rollback,
    .prepare_write = sim_op_prepare_write,
    .read = sim_op_read,
    .write = sim_op_write,
    .access = sim_op_access,
    .allows = sim_op_allows,
    .walk = sim_op_walk,
    .walk_level = sim_op_walk_level,
    .dump = sim_op_dump,
    .clone = sim_op_clone,
    .restore = sim_op_restore,
    .diff = sim_op_diff,
    .export = sim_op_export,
    .check = sim_op_check,
    .count_frames = op_count_frames,
    .destroy = op_destroy,
};

/* ---- The beginning ---- */

struct range sim_default_bounds(const char *arch)
{
    return (struct range){0, page_of(arch_half(arch_find(arch)))};
}

static enum aspace_error check_bounds(const struct arch *arch, struct range bounds, struct refusal *why)
{
    uint64_t half = page_of(arch_half(arch));

    if (!range_empty(bounds) && (bounds.end <= half || (arch->upper_half && bounds.start >= PAGE_LIMIT - half)))
        return ASPACE_OK;
    if (arch->upper_half)
        refuse(why, ASPACE_INVALID_PARAM,
               "the range from 0x%" PRIx64 " to 0x%" PRIx64 " does not lie inside one half of what %s translates: [0, "
               "0x%" PRIx64 ") and from 0x%" PRIx64 " up",
               page_addr(bounds.start), range_last(bounds), arch->name, arch_half(arch), -arch_half(arch));
    else
        refuse(why, ASPACE_INVALID_PARAM,
               "the range from 0x%" PRIx64 " to 0x%" PRIx64 " does not lie inside what %s translates: [0, 0x%" PRIx64
               ")",
               page_addr(bounds.start), range_last(bounds), arch->name, arch_half(arch));
    why->param = "range";
    why->hint = "choose a range inside, or another arch";
    return why->code;
}

static enum aspace_error check_ram(uint64_t ram, struct refusal *why)
{
    if (ram % ASPACE_PAGE_SIZE == 0 && ram >= RAM_LEAST && ram <= RAM_MOST)
        return ASPACE_OK;
    refuse(why, ASPACE_INVALID_PARAM,
           "ram 0x%" PRIx64 " is not a multiple of the page size from 0x%" PRIx64 " to 0x%" PRIx64, ram, RAM_LEAST,
           RAM_MOST);
    why->param = "ram";
    return why->code;
}

static enum aspace_error check_ram_base(uint64_t ram_base, uint64_t ram, struct refusal *why)
{
    if (ram_base % ASPACE_PAGE_SIZE == 0 && ram_base <= RAM_MOST - ram)
        return ASPACE_OK;
    if (ram_base % ASPACE_PAGE_SIZE)
        refuse(why, ASPACE_INVALID_PARAM, "ram_base 0x%" PRIx64 " is not a multiple of the page size 0x%" PRIx64,
               ram_base, ASPACE_PAGE_SIZE);
    else
        refuse(why, ASPACE_INVALID_PARAM,
               "ram_base 0x%" PRIx64 " plus ram 0x%" PRIx64 " passes 0x%" PRIx64 ", below which all simulated RAM lies",
               ram_base, ram, RAM_MOST);
    why->param = "ram_base";
    return why->code;
}

enum aspace_error sim_create_at(const char *arch, uint64_t ram_base, uint64_t ram, struct range bounds,
                                struct refusal *why, struct backend **ret)
{
    const struct arch *tables = arch_find(arch);
    struct sim *sim;

    if (!tables)
        return refuse(why, ASPACE_UNSUPPORTED, "there is no architecture %s", arch);
    if (check_bounds(tables, bounds, why) || check_ram(ram, why) || check_ram_base(ram_base, ram, why))
        return why->code;
    sim = calloc(1, sizeof(*sim));
    if (!sim)
        return refuse_no_memory(why);
    if (!frames_init(&sim->frames, page_of(ram_base), page_of(ram))) {
        free(sim);
        refuse(why, ASPACE_NO_MEMORY, "the host cannot reserve 0x%" PRIx64 " bytes for the simulated RAM", ram);
        why->hint = "ask for less ram, or allow the host to overcommit (vm.overcommit_memory)";
        why->param = "ram";
        return why->code;
    }
    sim->backend.ops = &ops;
    sim->arch = tables;
    sim->table_least = arch_address(tables, sim->frames.first) | tables->making;
    sim->table_end = arch_address(tables, sim->frames.total);
    frames_take(&sim->frames, FRAME_TABLE, &sim->root);
    *ret = &sim->backend;
    return ASPACE_OK;
}
