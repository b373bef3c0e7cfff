/* Which pages two machines do not share: their trees walked side by side. A leaf is what one of its frames is at a page
 * that it maps, so that a large one can stand beside the small ones that it was broken into. */
#include <string.h>

#include "sim/machine.h"

struct differ {
    const struct sim *a;
    const struct sim *b;
    bool bytes;
    bool strangers; /* they have RAM of their own each */
    struct page_runs *runs;
    uint64_t full_at; /* the page that there was no room for */
};

/* What an entry leads to: a table, a leaf, or nothing. */
struct end {
    const uint64_t *table;
    uint64_t leaf;  /* 0: none */
    uint64_t delta; /* of a leaf: frame minus page, modulo 2^64 */
};

/* What the entry of a table of `level`, or the leaf in its place, is for `page`. */
static struct end end_at(const struct sim *sim, const struct end *above, unsigned level, uint64_t page)
{
    struct end end = {0};
    uint64_t entry;
    uint64_t child;

    if (!above->table)
        return *above;
    entry = above->table[arch_index(page, level)];
    if (!entry)
        return end;
    if (level > 1 && sim_child(sim, entry, &child)) {
        end.table = sim_table(sim, child);
        return end;
    }
    end.leaf = entry;
    end.delta = arch_frame(sim->arch, entry) - (page & ~(arch_span(level) - 1));
    return end;
}

static bool add(struct differ *d, uint64_t start, uint64_t end)
{
    if (page_runs_add(d->runs, (struct range){start, end}))
        return true;
    d->full_at = start;
    return false;
}

/* Whether a page that the other machine has no frame for was written to: by a debugger, or by the CPU. */
static bool was_written(const struct sim *sim, const struct end *end, uint64_t page)
{
    const struct arch *arch = sim->arch;

    return sim->frames.state[page + end->delta] & FRAME_DIRTY || end->leaf & arch->written ||
           ~end->leaf & arch->written_clears;
}

static const void *bytes_at(const struct sim *sim, const struct end *end, uint64_t page)
{
    static const uint64_t zeros[ASPACE_PAGE_SIZE / sizeof(uint64_t)];

    return end->leaf ? frames_at(&sim->frames, page + end->delta) : zeros;
}

static bool page_differs(const struct differ *d, const struct end *a, const struct end *b, uint64_t page)
{
    if (d->bytes || d->strangers)
        return memcmp(bytes_at(d->a, a, page), bytes_at(d->b, b, page), ASPACE_PAGE_SIZE) != 0;
    if (a->leaf && b->leaf)
        return true;
    return a->leaf ? was_written(d->a, a, page) : was_written(d->b, b, page);
}

/* Whether there is no byte of ours behind it. */
static bool is_foreign(const struct sim *sim, const struct end *end, struct range range)
{
    return end->leaf && (end->leaf & sim->arch->special || !frames_have(&sim->frames, range.start + end->delta) ||
                         !frames_have(&sim->frames, range.end - 1 + end->delta));
}

/* Neither leads to a table. */
static bool compare_leaves(struct differ *d, const struct end *a, const struct end *b, struct range range)
{
    if ((!a->leaf && !b->leaf) || (a->leaf && b->leaf && a->delta == b->delta && !d->strangers) ||
        is_foreign(d->a, a, range) || is_foreign(d->b, b, range))
        return true;
    for (uint64_t page = range.start; page < range.end; page++)
        if (page_differs(d, a, b, page) && !add(d, page, page + 1))
            return false;
    return true;
}

/* So many pages from an entry on are shared, at least: what most are is passed over quickly. */
static unsigned shared_entries(const struct differ *d, const uint64_t *a, const uint64_t *b, uint64_t count)
{
    const uint64_t address = d->a->arch->address;
    unsigned done = 0;

    for (; !d->strangers && done + 16 <= count; done += 16) {
        uint64_t differ = 0;

        for (unsigned i = done; i < done + 16; i++)
            differ |= ((a[i] ^ b[i]) & address) | ((a[i] != 0) ^ (b[i] != 0));
        if (differ)
            break;
    }
    return done;
}

/* Two tables of level 1. */
static bool compare_pages(struct differ *d, const struct end *a, const struct end *b, struct range range)
{
    for (uint64_t page = range.start; page < range.end;) {
        unsigned index = arch_index(page, 1);
        uint64_t next = page + shared_entries(d, &a->table[index], &b->table[index], range.end - page);
        uint64_t stop = next + 16 < range.end ? next + 16 : range.end;

        for (page = next; page < stop; page++) {
            struct end of_a = end_at(d->a, a, 1, page);
            struct end of_b = end_at(d->b, b, 1, page);

            if (!compare_leaves(d, &of_a, &of_b, (struct range){page, page + 1}))
                return false;
        }
    }
    return true;
}

/* At least one leads to a table of `level`, which covers `range`. */
static bool compare_tables(struct differ *d, const struct end *a, const struct end *b, unsigned level,
                           struct range range)
{
    const uint64_t span = arch_span(level);
    struct range part = range;

    if (level == 1 && a->table && b->table)
        return compare_pages(d, a, b, range);
    for (; part.start < range.end; part.start = part.end) {
        struct end of_a = end_at(d->a, a, level, part.start);
        struct end of_b = end_at(d->b, b, level, part.start);

        part.end = (part.start & ~(span - 1)) + span;
        if (part.end > range.end)
            part.end = range.end;
        if (!(of_a.table || of_b.table ? compare_tables(d, &of_a, &of_b, level - 1, part)
                                       : compare_leaves(d, &of_a, &of_b, part)))
            return false;
    }
    return true;
}

uint64_t sim_op_diff(struct backend *backend, struct backend *other, struct range range, bool bytes,
                     struct page_runs *runs)
{
    const struct sim *a = sim_of(backend);
    const struct sim *b = sim_of(other);
    struct differ d = {.a = a, .b = b, .bytes = bytes, .strangers = a->frames.ram != b->frames.ram, .runs = runs};
    struct end root_a = {.table = sim_table(a, a->root)};
    struct end root_b = {.table = sim_table(b, b->root)};

    return compare_tables(&d, &root_a, &root_b, a->arch->levels, range) ? range.end : d.full_at;
}
