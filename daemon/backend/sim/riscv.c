/* Page tables of RISC-V: Sv39, Sv48 and Sv57, which differ in the number of levels alone. References are to The RISC-V
 * Instruction Set Manual, Volume II: Privileged Architecture, version 20211203; hardware that sets A and D is the Svadu
 * extension, version 1.0.
 *
 * Of the hart: menvcfg.PBMTE = 1 (Svpbmt), menvcfg.ADUE = 1 (Svadu), sstatus.SUM = 1, sstatus.MXR = 0. */
#include "sim/walk.h"

/* 4.4.1, figure 4.21; 4.3.1: the meaning of the bits. */
#define VALID    ARCH_PRESENT
#define READ     (UINT64_C(1) << 1)
#define WRITE    (UINT64_C(1) << 2)
#define EXEC     (UINT64_C(1) << 3)
#define USER     (UINT64_C(1) << 4)
#define GLOBAL   (UINT64_C(1) << 5)
#define ACCESSED (UINT64_C(1) << 6)
#define DIRTY    (UINT64_C(1) << 7)
#define SPECIAL  (UINT64_C(1) << 8)           /* RSW, bits 9:8, are software's: a frame that the area does not own, */
#define SHARED   (UINT64_C(1) << 9)           /* and one that other spaces may have too */
#define ADDRESS  UINT64_C(0x003ffffffffffc00) /* the PPN, bits 53:10 */

/* Chapter 6, Svpbmt, table 6.1: bits 62:61. */
#define NON_CACHEABLE (UINT64_C(1) << 61)
#define IO            (UINT64_C(2) << 61)

/* With V = 0 the other bits are software's (4.3.1): this one keeps the frame of a page that nobody may touch. */
#define NO_ACCESS GLOBAL

/* 4.3.2: the part of the address that is the index. */
static const char *const level_names[] = {"VPN0", "VPN1", "VPN2", "VPN3", "VPN4"};

#define LEAVES (ARCH_IN_LEAF | ARCH_IN_ABSENT)

static const struct arch_name names[] = {
    {"V", VALID, VALID, ARCH_IN_TABLE | ARCH_IN_LEAF},
    {"R", READ, READ, ARCH_IN_LEAF},
    {"W", WRITE, WRITE, ARCH_IN_LEAF},
    {"X", EXEC, EXEC, ARCH_IN_LEAF},
    {"U", USER, USER, ARCH_IN_LEAF},
    {"G", GLOBAL, GLOBAL, ARCH_IN_LEAF},
    {"A", ACCESSED, ACCESSED, LEAVES},
    {"D", DIRTY, DIRTY, LEAVES},
    {"NC", NON_CACHEABLE | IO, NON_CACHEABLE, ARCH_IN_LEAF},
    {"IO", NON_CACHEABLE | IO, IO, ARCH_IN_LEAF},
    {"kept", NO_ACCESS, NO_ACCESS, ARCH_IN_ABSENT},
    {"linear", SPECIAL, SPECIAL, LEAVES},
    {"shared", SHARED, SHARED, LEAVES},
    {NULL, 0, 0, 0},
};

/* 4.1.8, table 4.2: scause of a page fault. */
#define FETCH_PAGE_FAULT 12u
#define LOAD_PAGE_FAULT  13u
#define STORE_PAGE_FAULT 15u

/* Table 4.5: a page may be for execution alone; writable without readable is reserved, hence widened. */
static uint64_t encode(uint16_t flags, unsigned level)
{
    uint64_t bits = VALID;

    (void)level;
    if (!(flags & (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)))
        return NO_ACCESS;
    if (flags & (ASPACE_READ | ASPACE_WRITE))
        bits |= READ;
    if (flags & ASPACE_WRITE)
        bits |= WRITE;
    if (flags & ASPACE_EXEC)
        bits |= EXEC;
    if (!(flags & ASPACE_KERNEL))
        bits |= USER;
    if (flags & ASPACE_GLOBAL)
        bits |= GLOBAL;
    if (flags & ASPACE_DEVICE)
        bits |= IO;
    else if (flags & ASPACE_UNCACHED)
        bits |= NON_CACHEABLE;
    return bits;
}

/* R, W and X all 0 is what makes an entry lead to a table; it says nothing of permissions. */
static uint16_t decode(uint64_t entry, bool leaf)
{
    unsigned flags = 0;

    if (!(entry & VALID))
        return 0;
    if (!leaf)
        return ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC;
    if (entry & READ)
        flags |= ASPACE_READ;
    if (entry & WRITE)
        flags |= ASPACE_WRITE;
    if (entry & EXEC)
        flags |= ASPACE_EXEC;
    if (!(entry & USER))
        flags |= ASPACE_KERNEL;
    if (entry & GLOBAL)
        flags |= ASPACE_GLOBAL;
    if (entry & IO)
        flags |= ASPACE_DEVICE;
    if (entry & NON_CACHEABLE)
        flags |= ASPACE_UNCACHED;
    return (uint16_t)flags;
}

/* 4.3.2, step 6: a leaf is the same at every level. */
static uint64_t lower(uint64_t leaf, unsigned level)
{
    (void)level;
    return leaf;
}

/* 4.3.1: S-mode may read and write pages of U-mode with SUM = 1, and never fetches from them. */
static bool allows(uint64_t entry, bool leaf, enum aspace_access kind, enum aspace_mode mode)
{
    static const uint64_t needs[] = {
        [ASPACE_ACCESS_READ] = READ, [ASPACE_ACCESS_WRITE] = WRITE, [ASPACE_ACCESS_EXEC] = EXEC};

    if (!leaf)
        return true;
    if (mode == ASPACE_MODE_USER ? !(entry & USER) : entry & USER && kind == ASPACE_ACCESS_EXEC)
        return false;
    return entry & needs[kind];
}

/* 4.3.1 and Svadu: in the leaf alone; in other entries A, D and U are reserved. */
static uint64_t use(uint64_t entry, bool leaf, enum aspace_access kind)
{
    if (!leaf)
        return entry;
    return entry | ACCESSED | (kind == ASPACE_ACCESS_WRITE ? DIRTY : 0);
}

/* 4.4.1: an address whose upper bits are not all alike is a page fault, too. */
static uint32_t code(enum arch_fault fault, unsigned level, enum aspace_access kind, enum aspace_mode mode)
{
    static const uint32_t causes[] = {[ASPACE_ACCESS_READ] = LOAD_PAGE_FAULT,
                                      [ASPACE_ACCESS_WRITE] = STORE_PAGE_FAULT,
                                      [ASPACE_ACCESS_EXEC] = FETCH_PAGE_FAULT};

    (void)fault, (void)level, (void)mode;
    return causes[kind];
}

static enum aspace_error walk_3(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_riscv_sv39, sim, addr, why, ret);
}

static enum aspace_error walk_4(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_riscv_sv48, sim, addr, why, ret);
}

static enum aspace_error walk_5(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_riscv_sv57, sim, addr, why, ret);
}

#define FORMAT                                                                                                         \
    .upper_half = true, .physical_bits = 56, .address = ADDRESS, .shift = 10, .table = VALID | READ | WRITE | EXEC,    \
    .leads = VALID, .making = VALID, .flags = VALID | READ | WRITE | EXEC | USER | GLOBAL | NON_CACHEABLE | IO,        \
    .used = ACCESSED | DIRTY, .special = SPECIAL, .shared = SHARED, .writable = WRITE, .written = DIRTY,               \
    .encode = encode, .decode = decode, .lower = lower, .allows = allows, .use = use, .code = code,                    \
    .level_names = level_names, .names = names

/* 4.1.11, table 4.4: satp's MODE in bits 63:60, ASID 0, the root's PPN. */
#define SATP_MODE(mode) .root_shift = 0, .root_mode = UINT64_C(mode) << 60

/* 4.4: bits 63:39 of an address equal bit 38; 4.5: bits 63:48 equal bit 47; 4.6: bits 63:57 equal bit 56. */
const struct arch arch_riscv_sv39 = {
    .walk = walk_3, .name = "riscv-sv39", .levels = 3, .half_bits = 38, SATP_MODE(8), FORMAT};
const struct arch arch_riscv_sv48 = {
    .walk = walk_4, .name = "riscv-sv48", .levels = 4, .half_bits = 47, SATP_MODE(9), FORMAT};
const struct arch arch_riscv_sv57 = {
    .walk = walk_5, .name = "riscv-sv57", .levels = 5, .half_bits = 56, SATP_MODE(10), FORMAT};
