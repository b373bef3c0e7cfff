/* Page tables of x86-64 with four and with five levels. References are to the Intel 64 and IA-32 Architectures Software
 * Developer's Manual (SDM), volume 3A, order number 253668-078 (December 2022). Of the CPU: CR0.WP = 1, CR4.PGE = 1,
 * EFER.NXE = 1, SMEP and SMAP off, the PAT as it stands after reset. */
#include "sim/walk.h"

/* SDM 4.5.4, tables 4-15 to 4-20: the format of entries with 4-level and 5-level paging. */
#define PRESENT  ARCH_PRESENT
#define WRITE    (UINT64_C(1) << 1)
#define USER     (UINT64_C(1) << 2)
#define PWT      (UINT64_C(1) << 3)
#define PCD      (UINT64_C(1) << 4)
#define ACCESSED (UINT64_C(1) << 5)
#define DIRTY    (UINT64_C(1) << 6)
#define PS       (UINT64_C(1) << 7) /* levels 2 and 3: a leaf; levels 4 and 5: reserved; level 1: PAT, 0 here */
#define GLOBAL   (UINT64_C(1) << 8)
#define NX       (UINT64_C(1) << 63)
#define ADDRESS  UINT64_C(0x000ffffffffff000) /* bits 51:12; of a large leaf those below its size, PAT's too, are 0 */

/* Bits 11:9 are ignored by the hardware. */
#define SPECIAL (UINT64_C(1) << 9)
#define SHARED  (UINT64_C(1) << 10)

/* An entry with P = 0 is ours altogether (SDM 4.5.4): with this bit it keeps the frame of a page that nobody may
 * touch, as Linux does with _PAGE_PROTNONE (arch/x86/include/asm/pgtable_types.h). */
#define NO_ACCESS GLOBAL

/* SDM 4.5, figure 4-8: the names of tables, and of bits (4.5.4). */
static const char *const level_names[] = {"PT", "PD", "PDPT", "PML4", "PML5"};

#define PRESENT_ONES (ARCH_IN_TABLE | ARCH_IN_LEAF)
#define LEAVES       (ARCH_IN_LEAF | ARCH_IN_ABSENT)

static const struct arch_name names[] = {
    {"P", PRESENT, PRESENT, PRESENT_ONES},
    {"RW", WRITE, WRITE, PRESENT_ONES},
    {"US", USER, USER, PRESENT_ONES},
    {"PWT", PWT, PWT, PRESENT_ONES},
    {"PCD", PCD, PCD, PRESENT_ONES},
    {"A", ACCESSED, ACCESSED, PRESENT_ONES | ARCH_IN_ABSENT},
    {"D", DIRTY, DIRTY, LEAVES},
    {"PS", PS, PS, ARCH_IN_LEAF},
    {"G", GLOBAL, GLOBAL, ARCH_IN_LEAF},
    {"XD", NX, NX, PRESENT_ONES},
    {"kept", NO_ACCESS, NO_ACCESS, ARCH_IN_ABSENT},
    {"linear", SPECIAL, SPECIAL, LEAVES},
    {"shared", SHARED, SHARED, LEAVES},
    {NULL, 0, 0, 0},
};

/* SDM 4.7, figure 4-12: the error code of a page fault. */
#define CODE_PRESENT 1u
#define CODE_WRITE   2u
#define CODE_USER    4u
#define CODE_FETCH   16u

/* Whatever may be touched at all may be read. Memory types as the PAT stands after reset (SDM 12.12.4, table 12-12):
 * PCD and PWT is UC, PCD alone UC-. */
static uint64_t encode(uint16_t flags, unsigned level)
{
    uint64_t bits = PRESENT;

    if (!(flags & (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)))
        return NO_ACCESS;
    if (level > 1)
        bits |= PS;
    if (flags & ASPACE_WRITE)
        bits |= WRITE;
    if (!(flags & ASPACE_KERNEL))
        bits |= USER;
    if (flags & ASPACE_GLOBAL)
        bits |= GLOBAL;
    if (flags & ASPACE_DEVICE)
        bits |= PCD | PWT;
    else if (flags & ASPACE_UNCACHED)
        bits |= PCD;
    if (!(flags & ASPACE_EXEC))
        bits |= NX;
    return bits;
}

/* In this form each flag is a shift and a mask. */
static uint16_t decode(uint64_t entry, bool leaf)
{
    unsigned flags = ASPACE_READ | (entry & WRITE ? ASPACE_WRITE : 0) | (entry & NX ? 0 : ASPACE_EXEC) |
                     (entry & USER ? 0 : ASPACE_KERNEL) | (leaf && entry & GLOBAL ? ASPACE_GLOBAL : 0);

    if (!(entry & PRESENT))
        return 0;
    if (leaf && entry & PCD)
        flags |= entry & PWT ? ASPACE_DEVICE : ASPACE_UNCACHED;
    return (uint16_t)flags;
}

static uint64_t lower(uint64_t leaf, unsigned level)
{
    return level == 1 ? leaf & ~PS : leaf;
}

/* SDM 4.6: every level has a say. */
static bool allows(uint64_t entry, bool leaf, enum aspace_access kind, enum aspace_mode mode)
{
    (void)leaf;
    return !((mode == ASPACE_MODE_USER && !(entry & USER)) || (kind == ASPACE_ACCESS_WRITE && !(entry & WRITE)) ||
             (kind == ASPACE_ACCESS_EXEC && entry & NX));
}

/* SDM 4.8: the accessed bit in every entry used, the dirty bit in the leaf that a write uses. */
static uint64_t use(uint64_t entry, bool leaf, enum aspace_access kind)
{
    return entry | ACCESSED | (leaf && kind == ASPACE_ACCESS_WRITE ? DIRTY : 0);
}

static uint32_t code(enum arch_fault fault, unsigned level, enum aspace_access kind, enum aspace_mode mode)
{
    uint32_t bits = mode == ASPACE_MODE_USER ? CODE_USER : 0;

    (void)level;
    if (fault == FAULT_UNTRANSLATED)
        return 0; /* not canonical: a general protection fault, whose code is 0 (SDM 6.15, interrupt 13) */
    if (fault == FAULT_PERMISSION)
        bits |= CODE_PRESENT;
    if (kind == ASPACE_ACCESS_WRITE)
        bits |= CODE_WRITE;
    if (kind == ASPACE_ACCESS_EXEC)
        bits |= CODE_FETCH;
    return bits;
}

static enum aspace_error walk_4(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_x86_64, sim, addr, why, ret);
}

static enum aspace_error walk_5(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_x86_64_la57, sim, addr, why, ret);
}

/* An entry that leads to a table allows everything: leaves decide. */
/* SDM 4.5.2, table 4-12: CR3 has the root's address in bits 51:12, and no PCID here. */
#define FORMAT                                                                                                         \
    .root_shift = 12, .upper_half = true, .physical_bits = 52, /* SDM 4.1.4 */                                         \
        .address = ADDRESS, .shift = 12, .table = PRESENT | PS, .leads = PRESENT, .making = PRESENT | WRITE | USER,    \
    .flags = PRESENT | WRITE | USER | PWT | PCD | PS | GLOBAL | NX, .used = ACCESSED | DIRTY, .special = SPECIAL,      \
    .shared = SHARED, .writable = WRITE, .written = DIRTY, .table_used = ACCESSED, .encode = encode, .decode = decode, \
    .lower = lower, .allows = allows, .use = use, .code = code, .level_names = level_names, .names = names

/* SDM 4.5, and 3.3.7.1 of volume 1: bits 63:47 of a linear address are all alike. */
const struct arch arch_x86_64 = {.walk = walk_4, .name = "x86_64", .levels = 4, .half_bits = 47, FORMAT};

/* SDM 4.5 with CR4.LA57 = 1: bits 63:56 are all alike. */
const struct arch arch_x86_64_la57 = {.walk = walk_5, .name = "x86_64-la57", .levels = 5, .half_bits = 56, FORMAT};
