/* The way of an address through the tables, as a template: each architecture's file makes a function of it, in which the
 * compiler knows the format. An entry with no other bits than those that lead to a table are made with needs no further
 * look, so that the CPU has several walks under way. */
#ifndef SIM_WALK_H
#define SIM_WALK_H

#include "sim/machine.h"

/* The entry of `level` on the way, noted as one that leads to a table and allows everything. */
static inline __attribute__((always_inline)) uint64_t walk_step(const struct arch *arch, const struct sim *sim,
                                                                uint64_t addr, uint64_t table, unsigned level,
                                                                struct walk *walk)
{
    struct walk_level *at = &walk->levels[arch->levels - level];
    const void *entries = sim->frames.bytes + table;
    uint64_t entry = ((const uint64_t *)entries)[arch_index(page_of(addr), level)];

    *at = (struct walk_level){
        .table = table,
        .entry = entry,
        .flags = ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC,
        .level = (uint8_t)level,
        .present = true,
    };
    return entry;
}

/* The entry that a walk ends with. */
static inline __attribute__((always_inline)) void walk_end(const struct arch *arch, uint64_t addr, uint64_t entry,
                                                           unsigned level, struct walk *walk)
{
    struct walk_level *at = &walk->levels[arch->levels - level];
    bool leaf = level == 1 || (entry && !arch_is_table(arch, entry));

    walk->count = (uint8_t)(arch->levels - level + 1);
    at->leaf = leaf;
    if (__builtin_expect(leaf && entry & ARCH_PRESENT, 1)) {
        at->flags = arch->decode(entry, true);
        walk->has_pa = true;
        walk->page_size = arch_leaf_size(level);
        walk->pa = page_addr(arch_frame(arch, entry)) | (addr & (arch_leaf_size(level) - 1));
    } else {
        at->flags = 0;
        at->present = false;
        walk->has_pa = false;
        walk->page_size = ASPACE_PAGE_SIZE;
        walk->pa = 0;
    }
}

/* Levels from the root to the leaf or the first entry that is not present. InvalidParam if the tables
 * have no place for `addr`. `arch`, the space's, is a constant. */
static inline __attribute__((always_inline)) enum aspace_error
walk_tables(const struct arch *arch, const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *walk)
{
    const uint64_t odd = ~(arch->address | arch->table_used);
    const uint64_t first = page_addr(sim->frames.first);
    const uint64_t size = page_addr(sim->frames.total);
    uint64_t table = page_addr(sim->root);
    uint64_t entry;

    if (!arch_translates(arch, addr))
        return sim_refuse_untranslated(arch, addr, why);
#pragma GCC unroll 4
    for (unsigned level = arch->levels; level > 1; level--) {
        bool plain;

        entry = walk_step(arch, sim, addr, table, level, walk);
        plain = __builtin_expect((entry & odd) == arch->making, 1);
        table = page_addr(arch_frame(arch, entry));
        if (!(plain || arch_is_table(arch, entry)) || table - first >= size) {
            walk_end(arch, addr, entry, level, walk);
            return ASPACE_OK;
        }
        if (!plain)
            walk->levels[arch->levels - level].flags = arch->decode(entry, false);
    }
    entry = walk_step(arch, sim, addr, table, 1, walk);
    walk_end(arch, addr, entry, 1, walk);
    return ASPACE_OK;
}

#endif
