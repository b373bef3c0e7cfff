/* Page tables of AArch64: stage 1 of the EL1&0 regime, 4 KiB granule, four levels, the half that TTBR0_EL1 has, 48 bits.
 * References are to the Arm Architecture Reference Manual for A-profile architecture, ARM DDI 0487, issue J.a. The
 * manual counts lookup levels from 0, the root, to 3, the pages: its level is 4 less ours.
 *
 * Of the CPU: TCR_EL1.{T0SZ, TG0, IPS, EPD1, TBI0, HA, HD} = {16, 4 KiB, 48 bits, 1, 0, 1, 1} (FEAT_HAFDBS),
 * PSTATE.PAN = 0, SCTLR_EL1.WXN = 0, MAIR_EL1 = 0x0044ff. */
#include "sim/walk.h"

/* D8.3: a descriptor is valid with bit 0; above the last level bit 1 tells a table from a block, and in the last level it
 * is 1. Lookup levels 1 and 2 may have blocks, 1 GiB and 2 MiB. */
#define VALID ARCH_PRESENT
#define TABLE (UINT64_C(1) << 1)
#define PAGE  (UINT64_C(1) << 1)

/* D8.3, block and page descriptors of stage 1. */
#define ATTR_UNCACHED (UINT64_C(1) << 2) /* AttrIndx, bits 4:2: the byte of MAIR_EL1. 0: 0xff, Normal, write-back */
#define ATTR_DEVICE   (UINT64_C(2) << 2) /* 1: 0x44, Normal, non-cacheable; 2: 0x00, Device-nGnRnE */
#define ATTR          (UINT64_C(7) << 2)
#define AP1           (UINT64_C(1) << 6) /* EL0 may access data */
#define AP2           (UINT64_C(1) << 7) /* read-only, or with DBM: not yet written to */
#define SH_INNER      (UINT64_C(3) << 8) /* inner shareable */
#define AF            (UINT64_C(1) << 10)
#define NG            (UINT64_C(1) << 11)          /* not global */
#define ADDRESS       UINT64_C(0x0000fffffffff000) /* bits 47:12 */
#define DBM           (UINT64_C(1) << 51)
#define PXN           (UINT64_C(1) << 53)
#define UXN           (UINT64_C(1) << 54)

/* Bits 58:55 are left to software: one keeps the dirty state of a page that is not writable, as Linux's PTE_DIRTY does
 * (arch/arm64/include/asm/pgtable-prot.h), one marks a frame that the area does not own. */
#define WRITTEN (UINT64_C(1) << 55)
#define SPECIAL (UINT64_C(1) << 56)
#define SHARED  (UINT64_C(1) << 58) /* one that other spaces may have too */

/* An invalid descriptor is software's but for bit 0. This bit, with AP2, keeps it from being 0. */
#define NO_ACCESS (UINT64_C(1) << 57)

/* D8.2.1: lookup levels; D8.3.2: the names of descriptors' fields. */
static const char *const level_names[] = {"L3", "L2", "L1", "L0"};

#define LEAVES (ARCH_IN_LEAF | ARCH_IN_ABSENT)

static const struct arch_name names[] = {
    {"TABLE", VALID | TABLE, VALID | TABLE, ARCH_IN_TABLE},
    {"PAGE", VALID | PAGE, VALID | PAGE, ARCH_IN_LEAF},
    {"BLOCK", VALID | PAGE, VALID, ARCH_IN_LEAF},
    {"AP1", AP1, AP1, ARCH_IN_LEAF},
    {"AP2", AP2, AP2, ARCH_IN_LEAF},
    {"ISH", SH_INNER, SH_INNER, ARCH_IN_LEAF},
    {"AF", AF, AF, LEAVES},
    {"nG", NG, NG, ARCH_IN_LEAF},
    {"DBM", DBM, DBM, ARCH_IN_LEAF},
    {"PXN", PXN, PXN, ARCH_IN_LEAF},
    {"UXN", UXN, UXN, ARCH_IN_LEAF},
    {"Attr0", ATTR, 0, ARCH_IN_LEAF},
    {"Attr1", ATTR, ATTR_UNCACHED, ARCH_IN_LEAF},
    {"Attr2", ATTR, ATTR_DEVICE, ARCH_IN_LEAF},
    {"kept", NO_ACCESS | AP2, NO_ACCESS | AP2, ARCH_IN_ABSENT},
    {"linear", SPECIAL, SPECIAL, LEAVES},
    {"shared", SHARED, SHARED, LEAVES},
    {"written", WRITTEN, WRITTEN, LEAVES},
    {NULL, 0, 0, 0},
};

/* ESR_EL1 (D19.2.37): EC in bits 31:26, IL in bit 25, then the ISS, whose WnR is bit 6 and whose fault status is bits
 * 5:0, with the lookup level in the lowest two. */
#define EC_FETCH_EL0       UINT32_C(0x20)
#define EC_DATA_EL0        UINT32_C(0x24)
#define EC_FROM_EL1        UINT32_C(0x01) /* more, when the abort comes from EL1 itself */
#define ESR_EC             26
#define ESR_IL             (UINT32_C(1) << 25)
#define ESR_WNR            (UINT32_C(1) << 6)
#define STATUS_TRANSLATION UINT32_C(0x04)
#define STATUS_PERMISSION  UINT32_C(0x0c)

/* D8.4, direct permissions. Data: EL1 may read whatever is mapped; EL0 may with AP1, and both write without AP2. EL0
 * fetches without UXN, also where it may not read; EL1 without PXN, which every page of EL0 has here. A writable page is
 * made clean: DBM and AP2, of which the first write clears AP2 (D8.5). Device memory is shareable by itself. */
static uint64_t encode(uint16_t flags, unsigned level)
{
    uint64_t bits = VALID | AP2 | PXN | UXN;

    if (!(flags & (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)))
        return NO_ACCESS | AP2;
    if (level == 1)
        bits |= PAGE;
    if (flags & ASPACE_WRITE)
        bits |= DBM;
    if (flags & ASPACE_EXEC)
        bits &= flags & ASPACE_KERNEL ? ~PXN : ~UXN;
    if (!(flags & ASPACE_KERNEL) && flags & (ASPACE_READ | ASPACE_WRITE))
        bits |= AP1;
    if (!(flags & ASPACE_GLOBAL))
        bits |= NG;
    if (flags & ASPACE_DEVICE)
        return bits | ATTR_DEVICE;
    return bits | SH_INNER | (flags & ASPACE_UNCACHED ? ATTR_UNCACHED : 0);
}

static bool writable(uint64_t leaf)
{
    return !(leaf & AP2) || leaf & DBM;
}

/* A table's descriptor has no permissions that are used here. */
static uint16_t decode(uint64_t entry, bool leaf)
{
    bool user = entry & AP1 || !(entry & UXN);
    unsigned flags = 0;

    if (!(entry & VALID))
        return 0;
    if (!leaf)
        return ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC;
    if (entry & AP1 || !user)
        flags |= ASPACE_READ;
    if (flags && writable(entry))
        flags |= ASPACE_WRITE;
    if (!(entry & (user ? UXN : PXN)))
        flags |= ASPACE_EXEC;
    if (!user)
        flags |= ASPACE_KERNEL;
    if (!(entry & NG))
        flags |= ASPACE_GLOBAL;
    if ((entry & ATTR) == ATTR_DEVICE)
        flags |= ASPACE_DEVICE;
    if ((entry & ATTR) == ATTR_UNCACHED)
        flags |= ASPACE_UNCACHED;
    return (uint16_t)flags;
}

static uint64_t lower(uint64_t leaf, unsigned level)
{
    return level == 1 && leaf & VALID ? leaf | PAGE : leaf;
}

static bool allows(uint64_t entry, bool leaf, enum aspace_access kind, enum aspace_mode mode)
{
    bool user = mode == ASPACE_MODE_USER;

    if (!leaf)
        return true;
    switch (kind) {
    case ASPACE_ACCESS_READ:
        return !user || entry & AP1;
    case ASPACE_ACCESS_WRITE:
        return writable(entry) && (!user || entry & AP1);
    case ASPACE_ACCESS_EXEC:
        return user ? !(entry & UXN) : !(entry & PXN || (entry & AP1 && writable(entry)));
    }
    return false;
}

/* D8.5: the access flag of the block or page; a write to one with DBM clears AP2. */
static uint64_t use(uint64_t entry, bool leaf, enum aspace_access kind)
{
    if (!leaf)
        return entry;
    return (entry | AF) & ~(kind == ASPACE_ACCESS_WRITE ? AP2 : 0);
}

static uint32_t code(enum arch_fault fault, unsigned level, enum aspace_access kind, enum aspace_mode mode)
{
    uint32_t class = kind == ASPACE_ACCESS_EXEC ? EC_FETCH_EL0 : EC_DATA_EL0;
    uint32_t status = fault == FAULT_PERMISSION ? STATUS_PERMISSION : STATUS_TRANSLATION;

    if (mode == ASPACE_MODE_KERNEL)
        class += EC_FROM_EL1;
    if (fault != FAULT_UNTRANSLATED) /* which is a translation fault of level 0 */
        status += 4 - level;
    return class << ESR_EC | ESR_IL | (kind == ASPACE_ACCESS_WRITE ? ESR_WNR : 0) | status;
}

static enum aspace_error walk(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret)
{
    return walk_tables(&arch_aarch64, sim, addr, why, ret);
}

const struct arch arch_aarch64 = {
    .name = "aarch64",
    .levels = 4,
    .half_bits = 48,
    .physical_bits = 48,
    .root_shift = 12, /* TTBR0_EL1 (D19.2.155): BADDR, ASID 0, CnP 0 */
    .address = ADDRESS,
    .shift = 12,
    .table = VALID | TABLE,
    .leads = VALID | TABLE,
    .making = VALID | TABLE,
    .flags = VALID | PAGE | ATTR | AP1 | AP2 | SH_INNER | NG | DBM | PXN | UXN | WRITTEN | NO_ACCESS,
    .used = AF | AP2 | WRITTEN,
    .special = SPECIAL,
    .shared = SHARED,
    .writable = DBM,
    .written = WRITTEN,
    .written_clears = AP2,
    .written_kept = WRITTEN,
    .encode = encode,
    .decode = decode,
    .lower = lower,
    .allows = allows,
    .use = use,
    .code = code,
    .level_names = level_names,
    .names = names,
    .walk = walk,
};
