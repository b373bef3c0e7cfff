/* The way of an address through the tables, as a template: each architecture's file makes a function of it, in which the
 * compiler knows the format. It keeps the raw entries alone: what they say is asked for by those who tell it. */
#ifndef SIM_WALK_H
#define SIM_WALK_H

#include "sim/machine.h"

static inline __attribute__((always_inline)) uint64_t walk_entry(const struct sim *sim, uint64_t table, uint64_t addr,
                                                                 unsigned level)
{
    const void *entries = sim->frames.bytes + table;

    return ((const uint64_t *)entries)[arch_index(page_of(addr), level)];
}

/* Whether `entry` has no other bits than one that is made to lead to a table in RAM, but for what hardware sets: any bit
 * above the address makes its difference to the least of those too great. */
static inline __attribute__((always_inline)) bool walk_plain(const struct arch *arch, const struct sim *sim,
                                                             uint64_t entry)
{
    uint64_t above = entry - sim->table_least;

    return above < sim->table_end && !(above & (arch_address(arch, 1) - 1) & ~arch->table_used);
}

static inline __attribute__((always_inline)) void walk_found(const struct arch *arch, uint64_t addr, uint64_t entry,
                                                             unsigned level, struct walk *walk)
{
    walk->count = (uint8_t)(arch->levels - level + 1);
    walk->has_pa = true;
    walk->page_size = arch_leaf_size(level);
    walk->pa = arch_target(arch, entry) | (addr & (arch_leaf_size(level) - 1));
}

/* The rest of a walk, from `table` of `level` on, whatever there is. */
static __attribute__((noinline)) enum aspace_error walk_rest(const struct arch *arch, const struct sim *sim,
                                                             uint64_t addr, uint64_t table, unsigned level,
                                                             struct walk *walk)
{
    uint64_t entry;

    for (;; level--) {
        entry = walk_entry(sim, table, addr, level);
        walk->entries[arch->levels - level] = entry;
        table = arch_target(arch, entry);
        if (level == 1 || !arch_is_table(arch, entry) || !frames_have(&sim->frames, page_of(table)))
            break;
    }
    if (entry & ARCH_PRESENT && (level == 1 || !arch_is_table(arch, entry))) {
        walk_found(arch, addr, entry, level, walk);
        return ASPACE_OK;
    }
    walk->count = (uint8_t)(arch->levels - level + 1);
    walk->has_pa = false;
    walk->page_size = ASPACE_PAGE_SIZE;
    walk->pa = 0;
    return ASPACE_OK;
}

/* Levels from the root to the leaf or the first entry that is not present. InvalidParam if the tables have no place for
 * `addr`. `arch`, the space's, is a constant. It leaves what is not usual to walk_rest, so that it keeps little in hand:
 * the fewer instructions a walk takes, the more walks the CPU has under way. */
static inline __attribute__((always_inline)) enum aspace_error
walk_tables(const struct arch *arch, const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *walk)
{
    const uint64_t low = arch_address(arch, 1) - 1;
    uint64_t table = page_addr(sim->root);
    uint64_t entry;

    if (__builtin_expect(!arch_translates(arch, addr), 0))
        return sim_refuse_untranslated(arch, addr, why);
#pragma GCC unroll 4
    for (unsigned level = arch->levels; level > 1; level--) {
        entry = walk_entry(sim, table, addr, level);
        if (__builtin_expect(!walk_plain(arch, sim, entry), 0))
            return walk_rest(arch, sim, addr, table, level, walk);
        walk->entries[arch->levels - level] = entry;
        table = (entry & ~low) << (ASPACE_PAGE_BITS - arch->shift);
    }
    entry = walk_entry(sim, table, addr, 1);
    if (__builtin_expect(!(entry & ARCH_PRESENT), 0))
        return walk_rest(arch, sim, addr, table, 1, walk);
    walk->entries[arch->levels - 1] = entry;
    walk_found(arch, addr, entry, 1, walk);
    return ASPACE_OK;
}

#endif
