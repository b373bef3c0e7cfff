/* Page-table entries of x86-64 with four levels. References are to the Intel 64 and IA-32 Architectures Software
 * Developer's Manual (SDM), volume 3A. */
#ifndef SIM_X86_64_H
#define SIM_X86_64_H

#include <stdbool.h>
#include <stdint.h>

#include "aspace/types.h"

/* SDM 4.5.4, tables 4-15 to 4-20: the format of entries with 4-level paging. */
#define X86_PRESENT  (UINT64_C(1) << 0)
#define X86_WRITE    (UINT64_C(1) << 1)
#define X86_USER     (UINT64_C(1) << 2)
#define X86_PWT      (UINT64_C(1) << 3)
#define X86_PCD      (UINT64_C(1) << 4)
#define X86_ACCESSED (UINT64_C(1) << 5)
#define X86_DIRTY    (UINT64_C(1) << 6)
#define X86_PS       (UINT64_C(1) << 7) /* levels 2 and 3: a leaf; level 4: reserved; level 1: PAT. Never set here */
#define X86_GLOBAL   (UINT64_C(1) << 8)
#define X86_NX       (UINT64_C(1) << 63)
#define X86_ADDRESS  UINT64_C(0x000ffffffffff000) /* bits 51:12 */

/* Bits 11:9 are ignored by the hardware. This one marks a frame that the area does not own (backing linear). */
#define X86_SPECIAL (UINT64_C(1) << 9)

/* An entry with P = 0 is ours altogether (SDM 4.5.4): with this bit it keeps the frame of a page that nobody may
 * touch, as Linux does with _PAGE_PROTNONE (arch/x86/include/asm/pgtable_types.h). */
#define X86_NO_ACCESS X86_GLOBAL

/* What area flags decide; the rest of a leaf (address, A, D, SPECIAL) stays when they change. */
#define X86_FLAGS (X86_PRESENT | X86_WRITE | X86_USER | X86_PWT | X86_PCD | X86_GLOBAL | X86_NX)

/* An entry that leads to a table allows everything: leaves decide. */
#define X86_TABLE (X86_PRESENT | X86_WRITE | X86_USER)

/* SDM 4.7, figure 4-12: the error code of a page fault. */
#define X86_FAULT_PRESENT 1u
#define X86_FAULT_WRITE   2u
#define X86_FAULT_USER    4u
#define X86_FAULT_FETCH   16u

/* SDM 4.5: levels, and bits of the page number that each one translates. */
#define X86_LEVELS     4
#define X86_INDEX_BITS 9

/* SDM 3.3.7.1: bits 63:47 of a linear address are all alike. */
static inline bool x86_canonical(uint64_t addr)
{
    return addr >> 47 == 0 || addr >> 47 == 0x1ffff;
}

/* The bits of a leaf for an area's flags. What the format cannot say is widened: whatever may be touched at all may be
 * read. Memory types as the PAT stands after reset (SDM 12.12.4, table 12-12): PCD and PWT is UC, PCD alone UC-. */
static inline uint64_t x86_encode(uint16_t flags)
{
    uint64_t bits = X86_PRESENT;

    if (!(flags & (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)))
        return X86_NO_ACCESS;
    if (flags & ASPACE_WRITE)
        bits |= X86_WRITE;
    if (!(flags & ASPACE_KERNEL))
        bits |= X86_USER;
    if (flags & ASPACE_GLOBAL)
        bits |= X86_GLOBAL;
    if (flags & ASPACE_DEVICE)
        bits |= X86_PCD | X86_PWT;
    else if (flags & ASPACE_UNCACHED)
        bits |= X86_PCD;
    if (!(flags & ASPACE_EXEC))
        bits |= X86_NX;
    return bits;
}

/* What a present entry allows, as flags. */
static inline uint16_t x86_decode(uint64_t entry, bool leaf)
{
    unsigned flags = ASPACE_READ;

    if (!(entry & X86_PRESENT))
        return 0;
    if (entry & X86_WRITE)
        flags |= ASPACE_WRITE;
    if (!(entry & X86_NX))
        flags |= ASPACE_EXEC;
    if (!(entry & X86_USER))
        flags |= ASPACE_KERNEL;
    if (leaf && entry & X86_GLOBAL)
        flags |= ASPACE_GLOBAL;
    if (leaf && entry & X86_PCD)
        flags |= entry & X86_PWT ? ASPACE_DEVICE : ASPACE_UNCACHED;
    return (uint16_t)flags;
}

#endif
