/* The simulated machine as a backend: page tables of a real architecture in simulated RAM. Not thread-safe: the
 * space's owner alone calls it. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "core/backend.h"

#define SIM_DEFAULT_RAM (UINT64_C(1) << 30)

/* Makes a machine of `ram` bytes (a multiple of the page size, at least two pages) from physical address `ram_base` (also
 * a multiple) on, with an empty root table for areas within `bounds`. `arch` is one of ASPACE_ARCH_MAP. InvalidParam:
 * ram or ram_base is impossible, or bounds reach an address that the architecture does not translate. NoMemory: the host
 * has no room. The caller owns *ret and frees it with ops->destroy. */
enum aspace_error sim_create_at(const char *arch, uint64_t ram_base, uint64_t ram, struct range bounds,
                                struct refusal *why, struct backend **ret);

/* The same with RAM from address 0 on. */
static inline enum aspace_error sim_create(const char *arch, uint64_t ram, struct range bounds, struct refusal *why,
                                           struct backend **ret)
{
    return sim_create_at(arch, 0, ram, bounds, why, ret);
}

/* The default bounds of a space of that architecture, its lower half: x86_64 [0, 0x800000000000). */
struct range sim_default_bounds(const char *arch);

#endif
