/* What a CPU sees (walk, access) and what a debugger sees (read, write). */
#include <inttypes.h>
#include <string.h>

#include "sim/machine.h"

#define OFFSET_MASK (ASPACE_PAGE_SIZE - 1)

/* ---- The walk ---- */

enum aspace_error sim_refuse_untranslated(const struct arch *arch, uint64_t addr, struct refusal *why)
{
    refuse(why, ASPACE_INVALID_PARAM, "0x%" PRIx64 " is not an address that %s translates", addr, arch->name);
    why->param = "addr";
    return why->code;
}

enum aspace_error sim_op_walk(struct backend *backend, uint64_t addr, struct refusal *why, struct walk *ret)
{
    const struct sim *sim = sim_of(backend);

    return sim->arch->walk(sim, addr, why, ret);
}

/* The table that entry `i` of a walk is in. */
static uint64_t table_of(const struct sim *sim, const struct walk *walk, unsigned i)
{
    return i ? arch_frame(sim->arch, walk->entries[i - 1]) : sim->root;
}

void sim_op_walk_level(struct backend *backend, uint64_t addr, const struct walk *walk, unsigned i,
                       struct walk_level *ret)
{
    const struct sim *sim = sim_of(backend);
    const struct arch *arch = sim->arch;
    uint64_t entry = walk->entries[i];
    unsigned level = arch->levels - i;
    bool last = i + 1 == walk->count;
    bool leaf = last && (level == 1 || (entry && !arch_is_table(arch, entry)));
    bool present = !last || walk->has_pa;

    *ret = (struct walk_level){
        .table = page_addr(table_of(sim, walk, i)),
        .entry = entry,
        .index = (uint16_t)arch_index(page_of(addr), level),
        .flags = present ? arch->decode(entry, leaf) : 0,
        .level = (uint8_t)level,
        .present = present,
        .leaf = leaf,
    };
}

/* ---- The CPU's access ---- */

/* Whether the entries of a complete walk, the last of them a leaf, allow it: every level has a say. */
static bool walk_allows(const struct arch *arch, const struct walk *walk, enum aspace_access kind,
                        enum aspace_mode mode)
{
    for (unsigned i = 0; i < walk->count; i++)
        if (!arch->allows(walk->entries[i], i + 1 == walk->count, kind, mode))
            return false;
    return true;
}

/* Whether the area's flags, widened as the hardware widens them, allow it. */
bool sim_op_allows(struct backend *backend, const struct area *area, enum aspace_access kind, enum aspace_mode mode)
{
    const struct arch *arch = sim_of(backend)->arch;
    uint64_t entry = arch->encode(area->attr.flags, 1);

    return entry & ARCH_PRESENT && arch->allows(entry, true, kind, mode);
}

/* The bits that hardware sets in the entries of a complete walk. */
static enum aspace_error set_used(struct sim *sim, uint64_t addr, const struct walk *walk, enum aspace_access kind,
                                  struct refusal *why)
{
    for (unsigned i = 0; i < walk->count; i++) {
        uint64_t entry = sim->arch->use(walk->entries[i], i + 1 == walk->count, kind);
        struct undo step = {
            .kind = UNDO_WORD,
            .table = table_of(sim, walk, i),
            .index = (uint16_t)arch_index(page_of(addr), sim->arch->levels - i),
            .entry = walk->entries[i],
        };

        if (entry == step.entry)
            continue;
        if (!sim_log(sim, step))
            return refuse_no_memory(why);
        sim_table(sim, step.table)[step.index] = entry;
    }
    return ASPACE_OK;
}

static enum aspace_error hit(struct sim *sim, uint64_t addr, const struct walk *walk, enum aspace_access kind,
                             enum aspace_outcome outcome, struct refusal *why, struct access *ret)
{
    if (set_used(sim, addr, walk, kind, why))
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
    const struct arch *arch = sim->arch;
    struct walk walk;
    uint32_t code;
    bool filled;
    bool copied;

    if (!arch_translates(arch, addr))
        return fault(addr, arch->code(FAULT_UNTRANSLATED, arch->levels, kind, mode), "noncanonical", ret);
    arch->walk(sim, addr, why, &walk);
    code = arch->code(walk.has_pa ? FAULT_PERMISSION : FAULT_NOT_PRESENT, arch->levels - (walk.count - 1), kind, mode);
    if (walk.has_pa) {
        if (walk_allows(arch, &walk, kind, mode))
            return hit(sim, addr, &walk, kind, ASPACE_OUTCOME_HIT, why, ret);
        if (kind == ASPACE_ACCESS_WRITE && area && sim_op_allows(backend, area, kind, mode)) {
            if (sim_unshare(sim, area, page_of(addr), why, &copied))
                return why->code;
            arch->walk(sim, addr, why, &walk);
            if (copied && walk_allows(arch, &walk, kind, mode))
                return hit(sim, addr, &walk, kind, ASPACE_OUTCOME_COPIED, why, ret);
        }
        return fault(addr, code, "protection", ret);
    }
    if (!area)
        return fault(addr, code, "unmapped", ret);
    if (!sim_op_allows(backend, area, kind, mode))
        return fault(addr, code, "protection", ret);
    if (sim_fill(sim, area, page_of(addr), why, &filled))
        return why->code;
    if (!filled)
        return fault(addr, code, "not-present", ret);
    arch->walk(sim, addr, why, &walk);
    return hit(sim, addr, &walk, kind, ASPACE_OUTCOME_FILLED, why, ret);
}

/* ---- The debugger's bytes ---- */

#define NO_FRAME UINT64_MAX

/* The frame behind `page`, in RAM or not; NO_FRAME if the page has none yet. */
static uint64_t frame_behind(const struct sim *sim, uint64_t page)
{
    unsigned level;
    const uint64_t *entry = sim_leaf(sim, page, &level);

    return entry && *entry ? arch_frame(sim->arch, *entry) + (page & (arch_span(level) - 1)) : NO_FRAME;
}

static enum aspace_error refuse_no_ram(uint64_t frame, uint64_t page, struct refusal *why)
{
    if (frame == NO_FRAME)
        return refuse(why, ASPACE_BAD_STATE, "the page tables have no frame for 0x%" PRIx64, page_addr(page));
    refuse(why, ASPACE_BAD_STATE, "there is no RAM at physical address 0x%" PRIx64 ", where 0x%" PRIx64 " leads",
           page_addr(frame), page_addr(page));
    why->hint =
        "the simulated RAM is ram bytes from ram_base on; linear areas may lie beside it, but hold no bytes there";
    return why->code;
}

/* Whether `frame`, behind a page that has one or was given one, may be written to. */
static enum aspace_error check_writable(const struct sim *sim, const struct area *area, uint64_t page, uint64_t frame,
                                        struct refusal *why)
{
    if (!frames_have(&sim->frames, frame))
        return refuse_no_ram(frame, page, why);
    if (area->attr.backing != ASPACE_BACKING_LINEAR || frames_kind(&sim->frames, frame) != FRAME_TABLE)
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
    bool copied;

    for (uint64_t page = page_of(addr); page <= page_of(addr + (size - 1)); page++)
        if (sim_fill(sim, area, page, why, &filled) || check_writable(sim, area, page, frame_behind(sim, page), why) ||
            sim_unshare(sim, area, page, why, &copied))
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
        uint64_t frame = frame_behind(sim, page_of(addr));

        if (frame == NO_FRAME)
            memset(to, 0, piece); /* a lazy page */
        else if (frames_have(&sim->frames, frame))
            memcpy(to, (char *)frames_at(&sim->frames, frame) + (addr & OFFSET_MASK), piece);
        else
            return refuse_no_ram(frame, page_of(addr), why);
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
        uint64_t frame = frame_behind(sim, page_of(addr));

        if (check_writable(sim, area, page_of(addr), frame, why))
            return why->code;
        frames_touch(&sim->frames, frame);
        memcpy((char *)frames_at(&sim->frames, frame) + (addr & OFFSET_MASK), from, piece);
        from += piece;
        addr += piece;
        size -= piece;
    }
    return ASPACE_OK;
}
