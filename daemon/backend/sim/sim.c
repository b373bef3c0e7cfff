/* The simulated machine's life, its transactions and its vtable. */
#include "sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/machine.h"

const char *const sim_arch_names[] = {"x86_64", NULL};

/* Pages of one canonical half: 2^47 bytes. */
#define HALF_PAGES (UINT64_C(1) << (47 - ASPACE_PAGE_BITS))

/* A root, and a frame beside it; and as many as 32 bits can number. */
#define RAM_LEAST (2 * ASPACE_PAGE_SIZE)
#define RAM_MOST  (UINT64_C(1) << 44)

/* An emptied log larger than this is given back. */
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
    if (sim->log_capacity <= LOG_KEEP)
        return;
    free(sim->log);
    sim->log = NULL;
    sim->log_capacity = 0;
}

static void undo_step(struct sim *sim, const struct undo *step)
{
    switch (step->kind) {
    case UNDO_CUT:
        sim_table(sim, step->table)[step->index] = step->entry;
        sim->frames.info[step->table].live++;
        break;
    case UNDO_MOVE:
        sim_table(sim, step->table)[step->index] = step->entry;
        sim->frames.info[step->table].live++;
        sim_drop(sim, step->range);
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

    for (size_t i = 0; i < sim->logged; i++)
        if (sim->log[i].kind == UNDO_CUT)
            sim_release(sim, sim->log[i].entry, sim->log[i].level);
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
    };
}

static void op_destroy(struct backend *backend)
{
    struct sim *sim = sim_of(backend);

    frames_fini(&sim->frames);
    free(sim->log);
    free(sim);
}

static const struct backend_ops ops = {
    .name = "sim",
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
    .walk = sim_op_walk,
    .check = sim_op_check,
    .count_frames = op_count_frames,
    .destroy = op_destroy,
};

/* ---- The beginning ---- */

struct range sim_default_bounds(const char *arch)
{
    (void)arch; /* there is one */
    return (struct range){0, HALF_PAGES};
}

static enum aspace_error check_bounds(struct range bounds, struct refusal *why)
{
    if (!range_empty(bounds) && (bounds.end <= HALF_PAGES || bounds.start >= PAGE_LIMIT - HALF_PAGES))
        return ASPACE_OK;
    refuse(why, ASPACE_INVALID_PARAM,
           "the range from 0x%" PRIx64 " to 0x%" PRIx64 " does not lie inside one canonical half of x86_64",
           page_addr(bounds.start), range_last(bounds));
    why->param = "range";
    why->hint = "the halves are [0, 0x800000000000) and from 0xffff800000000000 up";
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

enum aspace_error sim_create(const char *arch, uint64_t ram, struct range bounds, struct refusal *why,
                             struct backend **ret)
{
    struct sim *sim;

    if (strcmp(arch, sim_arch_names[0]) != 0)
        return refuse(why, ASPACE_UNSUPPORTED, "there is no architecture %s", arch);
    if (check_bounds(bounds, why) || check_ram(ram, why))
        return why->code;
    sim = calloc(1, sizeof(*sim));
    if (!sim)
        return refuse_no_memory(why);
    if (!frames_init(&sim->frames, page_of(ram))) {
        free(sim);
        refuse(why, ASPACE_NO_MEMORY, "the host cannot reserve 0x%" PRIx64 " bytes for the simulated RAM", ram);
        why->hint = "ask for less ram, or allow the host to overcommit (vm.overcommit_memory)";
        why->param = "ram";
        return why->code;
    }
    sim->backend.ops = &ops;
    frames_take(&sim->frames, FRAME_TABLE, &sim->root);
    *ret = &sim->backend;
    return ASPACE_OK;
}
