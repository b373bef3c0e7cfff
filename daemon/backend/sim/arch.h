/* The page tables of an architecture: data where loops over entries look, functions where a question is asked once an
 * access or once a range. Each architecture is one file that fills a struct arch and cites its manual. Every one here
 * has tables of 512 entries of 8 bytes over pages of 4 KiB; an entry of 0 is empty, and bit 0 makes one present. */
#ifndef SIM_ARCH_H
#define SIM_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "aspace/types.h"
#include "core/range.h"

#define ARCH_INDEX_BITS 9
#define ARCH_ENTRIES    (1u << ARCH_INDEX_BITS)
#define ARCH_PRESENT    UINT64_C(1)

/* The highest level with leaves that areas ask for: 1 is 4 KiB, 2 is 2 MiB, 3 is 1 GiB. All have these. */
#define ARCH_LEAF_LEVELS 3

/* Why a CPU faults. */
enum arch_fault {
    FAULT_NOT_PRESENT,  /* an entry is not present */
    FAULT_PERMISSION,   /* the entries do not allow it */
    FAULT_UNTRANSLATED, /* the tables have no place for the address */
};

/* Entries that a name is for. */
enum arch_where {
    ARCH_IN_TABLE = 1,  /* those that lead to tables */
    ARCH_IN_LEAF = 2,   /* leaves */
    ARCH_IN_ABSENT = 4, /* what is kept where an entry is not present */
};

/* The manual's name of a bit, or of a value of a field; in lower case if hardware leaves the bit to software. */
struct arch_name {
    const char *name;
    uint64_t mask; /* of an entry: */
    uint64_t value;
    unsigned where;
};

struct sim;
struct refusal;
struct walk;

struct arch {
    const char *name;
    unsigned levels;                /* of tables; 1 is the level of 4 KiB pages, the root has the highest */
    const char *const *level_names; /* of tables, from level 1 up */
    const struct arch_name *names;  /* of what an entry has beside its address; the last has none */
    unsigned half_bits;             /* addresses below 2^half_bits are translated, */
    bool upper_half;                /* and those from -2^half_bits up */
    unsigned physical_bits;         /* of an address that an entry can lead to */

    /* What the register that leads to the root holds (CR3, TTBR0_EL1, satp): the root's frame shifted left, with this. */
    unsigned root_shift;
    uint64_t root_mode;

    uint64_t address; /* of an entry: the number of the frame that it leads to, */
    unsigned shift;   /* beginning at this bit */
    uint64_t table;   /* of an entry of a level above 1: masked so, */
    uint64_t leads;   /* it is this if it leads to a table; else it is a leaf */
    uint64_t making;  /* the bits, beside the address, of one that is made to lead to a table */

    /* Of a leaf: what area flags decide; what hardware sets as the page is used; what marks a frame that the area does
     * not own (a bit that hardware leaves alone). */
    uint64_t flags;
    uint64_t used;
    uint64_t special;
    /* A frame that other spaces may have as well: `shared` is a bit that hardware leaves alone, and `writable` what a
     * leaf then goes without, with written_clears set. */
    uint64_t shared;
    uint64_t writable;
    uint64_t written;    /* of a leaf: what hardware sets when the page is written to, if it does that by setting */
    uint64_t table_used; /* what hardware sets in an entry that leads to a table */
    /* Where hardware marks a page as written to by clearing a bit of `flags`: that bit, and the bit that keeps the mark
     * while the page is not writable. Else 0. */
    uint64_t written_clears;
    uint64_t written_kept;

    /* The bits of a leaf of `level` for an area's flags; never 0. What the format cannot say is widened. */
    uint64_t (*encode)(uint16_t flags, unsigned level);
    /* What a present entry allows, as flags. */
    uint16_t (*decode)(uint64_t entry, bool leaf);
    /* A leaf of a higher level as one of `level`, with the same address. */
    uint64_t (*lower)(uint64_t leaf, unsigned level);
    /* Whether a present entry lets the access through. */
    bool (*allows)(uint64_t entry, bool leaf, enum aspace_access kind, enum aspace_mode mode);
    /* The entry after an access through it. */
    uint64_t (*use)(uint64_t entry, bool leaf, enum aspace_access kind);
    /* What the CPU reports of a fault that the walk met at `level`. */
    uint32_t (*code)(enum arch_fault fault, unsigned level, enum aspace_access kind, enum aspace_mode mode);
    /* The walk of walk.h. */
    enum aspace_error (*walk)(const struct sim *sim, uint64_t addr, struct refusal *why, struct walk *ret);
};

extern const struct arch arch_x86_64, arch_x86_64_la57, arch_aarch64, arch_riscv_sv39, arch_riscv_sv48, arch_riscv_sv57;

/* By name; NULL if there is none. */
const struct arch *arch_find(const char *name);

/* Addresses below this one are translated, and with upper_half those from its negative up. */
static inline uint64_t arch_half(const struct arch *arch)
{
    return UINT64_C(1) << arch->half_bits;
}

static inline bool arch_translates(const struct arch *arch, uint64_t addr)
{
    return arch->upper_half ? (addr + arch_half(arch)) >> (arch->half_bits + 1) == 0 : addr < arch_half(arch);
}

static inline bool arch_is_table(const struct arch *arch, uint64_t entry)
{
    return (entry & arch->table) == arch->leads;
}

/* The frame that `entry` leads to. */
static inline uint64_t arch_frame(const struct arch *arch, uint64_t entry)
{
    return (entry & arch->address) >> arch->shift;
}

/* The same as a physical address: with `arch` a constant, a mask and mostly no shift. */
static inline uint64_t arch_target(const struct arch *arch, uint64_t entry)
{
    return (entry & arch->address) << (ASPACE_PAGE_BITS - arch->shift);
}

/* What an entry for `frame` has of its address. */
static inline uint64_t arch_address(const struct arch *arch, uint64_t frame)
{
    return frame << arch->shift;
}

/* What `entry` has beside its address, by the architecture's own names, into `buffer` of ARCH_TEXT_MAX bytes: "P RW US".
 * Bits without a name stand at the end as a number. Returns `buffer`. */
#define ARCH_TEXT_MAX 96
char *arch_describe(const struct arch *arch, uint64_t entry, bool leaf, char *buffer);

static inline unsigned arch_index(uint64_t page, unsigned level)
{
    return (unsigned)(page >> (ARCH_INDEX_BITS * (level - 1))) & (ARCH_ENTRIES - 1);
}

/* Pages that one entry of a table of `level` covers. */
static inline uint64_t arch_span(unsigned level)
{
    return UINT64_C(1) << (ARCH_INDEX_BITS * (level - 1));
}

/* Bytes that a leaf of `level` maps. */
static inline uint64_t arch_leaf_size(unsigned level)
{
    return arch_span(level) << ASPACE_PAGE_BITS;
}

/* `leaf` as one whose frame is shared: what it was, but that no write goes through. */
static inline uint64_t arch_share(const struct arch *arch, uint64_t leaf)
{
    uint64_t kept = ~leaf & arch->written_clears ? arch->written_kept : 0;

    return (leaf & ~arch->writable) | arch->written_clears | kept | arch->shared;
}

#endif
