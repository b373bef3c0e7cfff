/* The tree of page tables as a list: what page.dump tells. */
#include "sim/machine.h"

struct dumper {
    const struct sim *sim;
    uint64_t from; /* the first page wanted, as the indexes of a walk give it */
    dump_fn *each;
    void *arg;
};

/* The indexes of a walk leave out what an address only repeats: upper bits that are all alike. */
static uint64_t index_page(const struct arch *arch, uint64_t page)
{
    uint64_t half = page_of(arch_half(arch));

    if (!arch->upper_half || page < half)
        return page;
    return page < PAGE_LIMIT - half ? half : page - (PAGE_LIMIT - 2 * half); /* between the halves: the upper one */
}

static uint64_t address_of(const struct arch *arch, uint64_t page)
{
    uint64_t half = page_of(arch_half(arch));

    return page_addr(arch->upper_half && page >= half ? page + (PAGE_LIMIT - 2 * half) : page);
}

/* Leaves from `index` on that follow each other. */
static unsigned run_length(const struct arch *arch, const uint64_t *entries, unsigned index, unsigned level)
{
    uint64_t step = arch_address(arch, arch_span(level));
    unsigned count = 1;

    while (index + count < ARCH_ENTRIES && entries[index + count] == entries[index] + count * step)
        count++;
    return count;
}

/* `page` is that of `index`, as the indexes give it. */
static void describe(const struct arch *arch, uint64_t table, unsigned index, unsigned level, uint64_t page,
                     uint64_t entry, unsigned count, struct dump_entry *ret)
{
    bool leaf = level == 1 || !arch_is_table(arch, entry);
    bool present = entry & ARCH_PRESENT;

    ret->at = (struct walk_level){
        .level = level,
        .table = page_addr(table),
        .index = index,
        .entry = entry,
        .flags = present ? arch->decode(entry, leaf) : 0,
        .present = present,
        .leaf = leaf,
    };
    ret->name = arch->level_names[level - 1];
    ret->start = address_of(arch, page);
    ret->size = count * arch_leaf_size(level);
    ret->count = count;
    ret->pa = page_addr(arch_frame(arch, entry));
    _Static_assert(sizeof(ret->bits) >= ARCH_TEXT_MAX, "the text of an entry fits");
    arch_describe(arch, entry, leaf, ret->bits);
}

/* The entries of `table` whose first page is `page`; false if the dump is over. */
static bool dump_table(const struct dumper *d, uint64_t table, unsigned level, uint64_t page)
{
    const struct arch *arch = d->sim->arch;
    const uint64_t *entries = sim_table(d->sim, table);
    unsigned count;

    for (unsigned i = d->from > page ? arch_index(d->from, level) : 0; i < ARCH_ENTRIES; i += count) {
        uint64_t at = page + i * arch_span(level);
        struct dump_entry told;
        uint64_t child;
        bool leaf = level == 1 || !arch_is_table(arch, entries[i]);

        count = entries[i] && leaf ? run_length(arch, entries, i, level) : 1;
        if (!entries[i])
            continue;
        describe(arch, table, i, level, at, entries[i], count, &told);
        if (!d->each(d->arg, &told) ||
            (!leaf && sim_child(d->sim, entries[i], &child) && !dump_table(d, child, level - 1, at)))
            return false;
    }
    return true;
}

void sim_op_dump(struct backend *backend, uint64_t start, dump_fn *each, void *arg)
{
    const struct sim *sim = sim_of(backend);
    struct dumper d = {.sim = sim, .from = index_page(sim->arch, page_of(start)), .each = each, .arg = arg};

    if (d.from >> (ARCH_INDEX_BITS * sim->arch->levels))
        return; /* beyond all that the tables have a place for */
    dump_table(&d, sim->root, sim->arch->levels, 0);
}
