/* Putting frames behind pages: when an area is mapped, and one by one when a lazy page is first touched. */
#include <inttypes.h>

#include "sim/machine.h"

#define LEAF_PAGES (1u << X86_INDEX_BITS)

/* SDM 4.1.4: at most 52 bits of physical address. */
#define PHYSICAL_PAGES (UINT64_C(1) << (52 - ASPACE_PAGE_BITS))

enum aspace_error sim_take_frame(struct sim *sim, enum frame_kind kind, uint64_t page, struct refusal *why,
                                 uint64_t *ret)
{
    if (backend_frame_fails(&sim->backend, page, why))
        return why->code;
    if (frames_take(&sim->frames, kind, ret))
        return ASPACE_OK;
    refuse(why, ASPACE_NO_MEMORY, "all %" PRIu64 " frames of the simulated RAM are in use", sim->frames.total);
    why->hint = "unmap something, or create the space with more ram";
    return why->code;
}

/* One leaf: a frame of its own, or the fixed address of a linear area. */
static enum aspace_error put_page(struct sim *sim, const struct area *area, uint64_t page, uint64_t bits,
                                  struct refusal *why, uint64_t *entry)
{
    uint64_t frame = page + area->attr.delta;

    if (area->attr.backing == ASPACE_BACKING_LINEAR)
        bits |= X86_SPECIAL;
    else if (sim_take_frame(sim, FRAME_DATA, page, why, &frame))
        return why->code;
    *entry = page_addr(frame) | bits;
    return ASPACE_OK;
}

/* Fills the part of `range` that one leaf table covers. */
static enum aspace_error put_leaves(struct sim *sim, const struct area *area, struct range range, uint64_t bits,
                                    struct refusal *why)
{
    uint64_t table;
    uint64_t *entries;

    if (sim_make_leaf_table(sim, range.start, why, &table))
        return why->code;
    entries = sim_table(sim, table);
    for (uint64_t page = range.start; page < range.end; page++) {
        if (put_page(sim, area, page, bits, why, &entries[sim_index(page, 1)]))
            return why->code;
        sim->frames.info[table].live++;
    }
    return ASPACE_OK;
}

/* Fills all of `range`, logged before: an undo empties the whole range, so a failure midway needs no more than that. */
static enum aspace_error put_range(struct sim *sim, const struct area *area, struct range range, struct refusal *why)
{
    uint64_t bits = x86_encode(area->attr.flags);
    uint64_t next;

    if (!sim_log(sim, (struct undo){.kind = UNDO_FILL, .range = range}))
        return refuse_no_memory(why);
    for (uint64_t page = range.start; page < range.end; page = next) {
        next = (page | (LEAF_PAGES - 1)) + 1;
        if (next > range.end)
            next = range.end;
        if (put_leaves(sim, area, (struct range){page, next}, bits, why))
            return why->code;
    }
    return ASPACE_OK;
}

static enum aspace_error check_linear(const struct area *area, struct refusal *why)
{
    uint64_t first = area->range.start + area->attr.delta;

    if (first <= PHYSICAL_PAGES && PHYSICAL_PAGES - first >= range_pages(area->range))
        return ASPACE_OK;
    refuse(why, ASPACE_INVALID_PARAM,
           "physical address 0x%" PRIx64 " plus size 0x%" PRIx64 " passes the 52 bits that the architecture has",
           page_addr(first), range_bytes(area->range));
    why->param = "pa";
    return why->code;
}

enum aspace_error sim_op_map(struct backend *backend, const struct area *area, struct refusal *why)
{
    if (area->attr.backing == ASPACE_BACKING_LAZY)
        return ASPACE_OK;
    if (area->attr.backing == ASPACE_BACKING_LINEAR && check_linear(area, why))
        return why->code;
    return put_range(sim_of(backend), area, area->range, why);
}

enum aspace_error sim_fill(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                           bool *ret_filled)
{
    const uint64_t *entry = sim_leaf(sim, page);

    *ret_filled = false;
    if (area->attr.backing != ASPACE_BACKING_LAZY || (entry && *entry))
        return ASPACE_OK;
    if (put_range(sim, area, (struct range){page, page + 1}, why))
        return why->code;
    *ret_filled = true;
    return ASPACE_OK;
}
