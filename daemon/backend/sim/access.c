/* What a CPU sees (walk, access) and what a debugger sees (read, write). */
#include <inttypes.h>
#include <string.h>

#include "sim/machine.h"

#define OFFSET_MASK (ASPACE_PAGE_SIZE - 1)

/* ---- The walk ---- */

/* Levels from the root to the leaf or the first entry that is not present. */
static void walk_tables(const struct sim *sim, uint64_t addr, struct walk *walk)
{
    uint64_t table = sim->root;

    *walk = (struct walk){.page_size = ASPACE_PAGE_SIZE};
    for (unsigned level = X86_LEVELS; level; level--) {
        struct walk_level *at = &walk->levels[walk->count++];
        uint64_t next = 0;

        at->level = level;
        at->table = page_addr(table);
        at->index = sim_index(page_of(addr), level);
        at->entry = sim_table(sim, table)[at->index];
        at->leaf = level == 1;
        at->present = at->leaf ? at->entry & X86_PRESENT : sim_child(sim, at->entry, &next);
        if (!at->present)
            return;
        at->flags = x86_decode(at->entry, at->leaf);
        table = at->leaf ? page_of(at->entry & X86_ADDRESS) : next;
    }
    walk->has_pa = true;
    walk->pa = page_addr(table) | (addr & OFFSET_MASK);
}

enum aspace_error sim_op_walk(struct backend *backend, uint64_t addr, struct refusal *why, struct walk *ret)
{
    if (!x86_canonical(addr)) {
        refuse(why, ASPACE_INVALID_PARAM, "0x%" PRIx64 " is not a canonical address of x86_64", addr);
        why->param = "addr";
        return why->code;
    }
    walk_tables(sim_of(backend), addr, ret);
    return ASPACE_OK;
}

/* ---- The CPU's access, with CR0.WP = 1, EFER.NXE = 1, SMEP and SMAP off (SDM 4.6) ---- */

static uint32_t fault_code(enum aspace_access kind, enum aspace_mode mode)
{
    uint32_t code = mode == ASPACE_MODE_USER ? X86_FAULT_USER : 0;

    if (kind == ASPACE_ACCESS_WRITE)
        code |= X86_FAULT_WRITE;
    if (kind == ASPACE_ACCESS_EXEC)
        code |= X86_FAULT_FETCH;
    return code;
}

/* Whether the entries of a complete walk allow it: every level has a say. */
static bool walk_allows(const struct walk *walk, enum aspace_access kind, enum aspace_mode mode)
{
    for (unsigned i = 0; i < walk->count; i++) {
        uint64_t entry = walk->levels[i].entry;

        if ((mode == ASPACE_MODE_USER && !(entry & X86_USER)) ||
            (kind == ASPACE_ACCESS_WRITE && !(entry & X86_WRITE)) || (kind == ASPACE_ACCESS_EXEC && entry & X86_NX))
            return false;
    }
    return true;
}

/* Whether the area's flags, widened as the hardware widens them, allow it. */
static bool area_allows(const struct area *area, enum aspace_access kind, enum aspace_mode mode)
{
    uint64_t entry = x86_encode(area->attr.flags);
    struct walk leaf = {.count = 1, .levels = {{.entry = entry}}};

    return entry & X86_PRESENT && walk_allows(&leaf, kind, mode);
}

/* SDM 4.8: the accessed bit in every entry used, the dirty bit in the leaf that a write uses. */
static enum aspace_error set_used(struct sim *sim, const struct walk *walk, enum aspace_access kind,
                                  struct refusal *why)
{
    for (unsigned i = 0; i < walk->count; i++) {
        const struct walk_level *at = &walk->levels[i];
        uint64_t entry = at->entry | X86_ACCESSED;
        struct undo step = {
            .kind = UNDO_WORD, .table = page_of(at->table), .index = (unsigned)at->index, .entry = at->entry};

        if (at->leaf && kind == ASPACE_ACCESS_WRITE)
            entry |= X86_DIRTY;
        if (entry == at->entry)
            continue;
        if (!sim_log(sim, step))
            return refuse_no_memory(why);
        sim_table(sim, step.table)[step.index] = entry;
    }
    return ASPACE_OK;
}

static enum aspace_error hit(struct sim *sim, const struct walk *walk, enum aspace_access kind,
                             enum aspace_outcome outcome, struct refusal *why, struct access *ret)
{
    if (set_used(sim, walk, kind, why))
        return why->code;
    *ret = (struct access){.outcome = outcome, .has_pa = true, .pa = walk->pa};
    return ASPACE_OK;
}

static enum aspace_error fault(uint64_t addr, uint32_t code, const char *reason, struct access *ret)
{
    *ret = (struct access){.outcome = ASPACE_OUTCOME_FAULT, .reason = reason, .addr = addr, .code = code};
    return ASPACE_OK;
}

enum aspace_error sim_op_access(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why, struct access *ret)
{
    struct sim *sim = sim_of(backend);
    uint32_t code = fault_code(kind, mode);
    struct walk walk;
    bool filled;

    if (!x86_canonical(addr))
        return fault(addr, 0, "noncanonical", ret); /* a general protection fault, whose code is 0 */
    walk_tables(sim, addr, &walk);
    if (walk.has_pa) {
        if (walk_allows(&walk, kind, mode))
            return hit(sim, &walk, kind, ASPACE_OUTCOME_HIT, why, ret);
        return fault(addr, code | X86_FAULT_PRESENT, "protection", ret);
    }
    if (!area)
        return fault(addr, code, "unmapped", ret);
    if (!area_allows(area, kind, mode))
        return fault(addr, code, "protection", ret);
    if (sim_fill(sim, area, page_of(addr), why, &filled))
        return why->code;
    if (!filled)
        return fault(addr, code, "not-present", ret);
    walk_tables(sim, addr, &walk);
    return hit(sim, &walk, kind, ASPACE_OUTCOME_FILLED, why, ret);
}

/* ---- The debugger's bytes ---- */

/* The frame behind `page`; false if the page has none yet. BadState if the entry leads outside RAM. */
static enum aspace_error frame_of(const struct sim *sim, uint64_t page, struct refusal *why, uint64_t *ret, bool *any)
{
    const uint64_t *entry = sim_leaf(sim, page);

    *any = entry && *entry;
    if (!*any)
        return ASPACE_OK;
    *ret = page_of(*entry & X86_ADDRESS);
    if (*ret < sim->frames.total)
        return ASPACE_OK;
    refuse(why, ASPACE_BAD_STATE, "there is no RAM at physical address 0x%" PRIx64 ", where 0x%" PRIx64 " leads",
           page_addr(*ret), page_addr(page));
    why->hint = "the simulated RAM ends at the space's ram; linear areas may lie beyond it, but hold no bytes there";
    return why->code;
}

static enum aspace_error check_writable(const struct sim *sim, const struct area *area, uint64_t page,
                                        struct refusal *why)
{
    uint64_t frame;
    bool any;

    if (frame_of(sim, page, why, &frame, &any))
        return why->code;
    if (area->attr.backing != ASPACE_BACKING_LINEAR || !any || sim->frames.info[frame].kind != FRAME_TABLE)
        return ASPACE_OK;
    refuse(why, ASPACE_DENIED, "the frame at physical address 0x%" PRIx64 " holds page tables of this space",
           page_addr(frame));
    why->hint = "change the tables by map, unmap and protect";
    return why->code;
}

enum aspace_error sim_op_prepare_write(struct backend *backend, const struct area *area, uint64_t addr, uint64_t size,
                                       struct refusal *why)
{
    struct sim *sim = sim_of(backend);
    bool filled;

    for (uint64_t page = page_of(addr); page <= page_of(addr + (size - 1)); page++)
        if (sim_fill(sim, area, page, why, &filled) || check_writable(sim, area, page, why))
            return why->code;
    return ASPACE_OK;
}

/* The bytes from `addr` that lie in its page, at most `size`. */
static size_t in_page(uint64_t addr, size_t size)
{
    size_t room = (size_t)(ASPACE_PAGE_SIZE - (addr & OFFSET_MASK));

    return size < room ? size : room;
}

enum aspace_error sim_op_read(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                              size_t size, struct refusal *why)
{
    const struct sim *sim = sim_of(backend);
    char *to = buffer;

    (void)area;
    while (size) {
        size_t piece = in_page(addr, size);
        uint64_t frame;
        bool any;

        if (frame_of(sim, page_of(addr), why, &frame, &any))
            return why->code;
        if (any)
            memcpy(to, (char *)frames_at(&sim->frames, frame) + (addr & OFFSET_MASK), piece);
        else
            memset(to, 0, piece); /* a lazy page without a frame */
        to += piece;
        addr += piece;
        size -= piece;
    }
    return ASPACE_OK;
}

enum aspace_error sim_op_write(struct backend *backend, const struct area *area, uint64_t addr, const void *buffer,
                               size_t size, struct refusal *why)
{
    struct sim *sim = sim_of(backend);
    const char *from = buffer;

    while (size) {
        size_t piece = in_page(addr, size);
        uint64_t frame;
        bool any;

        if (check_writable(sim, area, page_of(addr), why) || frame_of(sim, page_of(addr), why, &frame, &any))
            return why->code;
        sim->frames.info[frame].dirty = 1;
        memcpy((char *)frames_at(&sim->frames, frame) + (addr & OFFSET_MASK), from, piece);
        from += piece;
        addr += piece;
        size -= piece;
    }
    return ASPACE_OK;
}
