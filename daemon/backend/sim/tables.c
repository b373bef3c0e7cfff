/* The tree of page tables: four levels in simulated RAM, of which absent parts are never visited. */
#include "sim/machine.h"

static uint64_t *entry_of(const struct sim *sim, uint64_t table, uint64_t page, unsigned level)
{
    return &sim_table(sim, table)[sim_index(page, level)];
}

uint64_t *sim_leaf(const struct sim *sim, uint64_t page)
{
    uint64_t table = sim->root;

    for (unsigned level = X86_LEVELS; level > 1; level--)
        if (!sim_child(sim, *entry_of(sim, table, page, level), &table))
            return NULL;
    return entry_of(sim, table, page, 1);
}

bool sim_make_leaf_table(struct sim *sim, uint64_t page, uint64_t *ret)
{
    uint64_t table = sim->root;

    for (unsigned level = X86_LEVELS; level > 1; level--) {
        uint64_t *entry = entry_of(sim, table, page, level);
        uint64_t child;

        if (!sim_child(sim, *entry, &child)) {
            if (!frames_take(&sim->frames, FRAME_TABLE, &child))
                return false;
            *entry = page_addr(child) | X86_TABLE;
            sim->frames.info[table].live++;
        }
        table = child;
    }
    *ret = table;
    return true;
}

/* ---- Taking out ---- */

/* What an entry leads to is freed from the leaves up; the depth is the levels'. */
void sim_release(struct sim *sim, uint64_t entry, unsigned level)
{
    uint64_t frame = page_of(entry & X86_ADDRESS);

    if (level == 1) {
        if (!(entry & X86_SPECIAL))
            frames_give(&sim->frames, frame);
        return;
    }
    for (unsigned i = 0; sim->frames.info[frame].live; i++) {
        uint64_t *below = &sim_table(sim, frame)[i];

        if (!*below)
            continue;
        sim_release(sim, *below, level - 1);
        *below = 0;
        sim->frames.info[frame].live--;
    }
    frames_give(&sim->frames, frame);
}

struct cutter {
    struct sim *sim;
    bool logged; /* into the log; else freed at once */
};

static bool take_out(const struct cutter *c, uint64_t table, unsigned index, unsigned level)
{
    uint64_t *entry = &sim_table(c->sim, table)[index];

    if (!c->logged)
        sim_release(c->sim, *entry, level);
    else if (!sim_log(c->sim,
                      (struct undo){.kind = UNDO_CUT, .level = level, .table = table, .index = index, .entry = *entry}))
        return false;
    *entry = 0;
    c->sim->frames.info[table].live--;
    return true;
}

/* `range` lies inside what `table` covers. Entries covered whole go whole, with all below them. */
static bool cut_table(const struct cutter *c, uint64_t table, unsigned level, struct range range)
{
    uint64_t span = sim_span(level);
    uint64_t next;

    for (uint64_t page = range.start; page < range.end; page = next) {
        unsigned index = sim_index(page, level);
        uint64_t entry = sim_table(c->sim, table)[index];
        uint64_t child;

        next = (page & ~(span - 1)) + span;
        if (!entry)
            continue;
        if (level > 1 && (page & (span - 1) || next > range.end)) {
            if (!sim_child(c->sim, entry, &child))
                continue;
            if (!cut_table(c, child, level - 1, (struct range){page, next < range.end ? next : range.end}))
                return false;
            if (c->sim->frames.info[child].live)
                continue;
        }
        if (!take_out(c, table, index, level))
            return false;
    }
    return true;
}

bool sim_cut(struct sim *sim, struct range range)
{
    struct cutter c = {sim, true};

    return cut_table(&c, sim->root, X86_LEVELS, range);
}

void sim_empty(struct sim *sim, struct range range)
{
    struct cutter c = {sim, false};

    cut_table(&c, sim->root, X86_LEVELS, range);
}

/* ---- Flags ---- */

static void set_flags_below(struct sim *sim, uint64_t table, unsigned level, struct range range, uint64_t bits)
{
    uint64_t span = sim_span(level);
    uint64_t next;

    for (uint64_t page = range.start; page < range.end; page = next) {
        uint64_t *entry = &sim_table(sim, table)[sim_index(page, level)];
        uint64_t child;

        next = (page & ~(span - 1)) + span;
        if (level == 1) {
            if (*entry)
                *entry = (*entry & ~X86_FLAGS) | bits;
        } else if (sim_child(sim, *entry, &child)) {
            set_flags_below(sim, child, level - 1, (struct range){page, next < range.end ? next : range.end}, bits);
        }
    }
}

void sim_set_flags(struct sim *sim, struct range range, uint16_t flags)
{
    set_flags_below(sim, sim->root, X86_LEVELS, range, x86_encode(flags));
}
