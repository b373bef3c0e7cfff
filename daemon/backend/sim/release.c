/* Giving back what entries lead to. Neighbours mostly have frames that are neighbours, too: they are gathered, and go
 * back together. */
#include "sim/machine.h"

/* So many entries are looked at together: of loops this long compilers make vectors. */
#define CHUNK 64

struct release {
    struct sim *sim;
    uint64_t first; /* gathered, not given back yet */
    uint64_t count;
};

static void give_gathered(struct release *r)
{
    if (r->count)
        frames_give_run(&r->sim->frames, r->first, r->count);
    r->count = 0;
}

/* The frames that `leaf` and those after it have. */
static void gather(struct release *r, uint64_t leaf, uint64_t count)
{
    uint64_t first = arch_frame(r->sim->arch, leaf);

    if (!leaf || leaf & r->sim->arch->special)
        return;
    if (first != r->first + r->count) {
        give_gathered(r);
        r->first = first;
    }
    r->count += count;
}

/* Whether the CHUNK leaves have frames that follow each other, all of them the area's own or none. */
static bool chunk_follows(const struct arch *arch, const uint64_t *entries)
{
    const uint64_t step = arch_address(arch, 1);
    const uint64_t mask = arch->address | arch->special;
    uint64_t differ = 0;

    for (unsigned i = 1; i < CHUNK; i++)
        differ |= ((entries[i] & mask) - (entries[i - 1] & mask)) ^ step;
    return !differ;
}

static void release_pages(struct release *r, const uint64_t *entries, unsigned count)
{
    for (unsigned n; count; count -= n, entries += n) {
        n = count < CHUNK ? count : CHUNK;
        if (n == CHUNK && chunk_follows(r->sim->arch, entries))
            gather(r, entries[0], CHUNK);
        else
            for (unsigned i = 0; i < n; i++)
                gather(r, entries[i], 1);
    }
}

/* One that cannot be, for its tables are damaged, counts as a wrong give. */
static void release_large(struct release *r, uint64_t leaf, unsigned level)
{
    uint64_t frame = arch_frame(r->sim->arch, leaf);

    if (level > ARCH_LEAF_LEVELS || frame & (arch_span(level) - 1))
        r->sim->frames.wrong_gives++;
    else
        gather(r, leaf, arch_span(level));
}

static void release(struct release *r, const uint64_t *entries, unsigned count, unsigned level);

static void release_table(struct release *r, uint64_t table, unsigned level)
{
    if (frames_live(&r->sim->frames, table))
        release(r, sim_table(r->sim, table), ARCH_ENTRIES, level);
    frames_give(&r->sim->frames, table);
}

static void release(struct release *r, const uint64_t *entries, unsigned count, unsigned level)
{
    if (level == 1) {
        release_pages(r, entries, count);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t child;

        if (!entries[i])
            continue;
        if (sim_child(r->sim, entries[i], &child))
            release_table(r, child, level - 1);
        else if (!arch_is_table(r->sim->arch, entries[i]))
            release_large(r, entries[i], level);
    }
}

void sim_release(struct sim *sim, const uint64_t *entries, unsigned count, unsigned level)
{
    struct release r = {.sim = sim};

    release(&r, entries, count, level);
    give_gathered(&r);
}
