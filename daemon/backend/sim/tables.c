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

enum aspace_error sim_make_leaf_table(struct sim *sim, uint64_t page, struct refusal *why, uint64_t *ret)
{
    uint64_t table = sim->root;

    for (unsigned level = X86_LEVELS; level > 1; level--) {
        uint64_t *entry = entry_of(sim, table, page, level);
        uint64_t child;

        if (!sim_child(sim, *entry, &child)) {
            if (sim_take_frame(sim, FRAME_TABLE, page, why, &child))
                return why->code;
            if (!*entry)
                sim->frames.info[table].live++;
            *entry = page_addr(child) | X86_TABLE;
        }
        table = child;
    }
    *ret = table;
    return ASPACE_OK;
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
    if (!sim_child(sim, entry, &frame))
        return;
    for (unsigned i = 0; i < 1u << X86_INDEX_BITS && sim->frames.info[frame].live; i++) {
        uint64_t *below = &sim_table(sim, frame)[i];

        if (!*below)
            continue;
        sim_release(sim, *below, level - 1);
        *below = 0;
        sim->frames.info[frame].live--;
    }
    frames_give(&sim->frames, frame);
}

enum cut_mode {
    CUT_LOG,  /* into the log, to be freed at the commit */
    CUT_FREE, /* freed at once */
    CUT_MOVE, /* leaves go to another place, into the log */
    CUT_DROP, /* leaves are only forgotten: they were moved back */
};

struct cutter {
    struct sim *sim;
    enum cut_mode mode;
    uint64_t offset; /* MOVE: the new page minus the old one, modulo 2^64 */
    struct refusal *why;
};

static enum aspace_error log_cut(const struct cutter *c, uint64_t table, unsigned index, unsigned level)
{
    struct undo step = {
        .kind = UNDO_CUT, .level = level, .table = table, .index = index, .entry = sim_table(c->sim, table)[index]};

    return sim_log(c->sim, step) ? ASPACE_OK : refuse_no_memory(c->why);
}

/* A leaf that moves: its entry is put at the new place first. Each leaf has a step of its own, because the table that it
 * goes to may stand where one was that an earlier step emptied and took out: only the exact reverse undoes that. */
static enum aspace_error move_leaf(const struct cutter *c, uint64_t table, unsigned index, uint64_t page)
{
    uint64_t to = page + c->offset;
    struct undo step = {.kind = UNDO_MOVE,
                        .table = table,
                        .index = index,
                        .entry = sim_table(c->sim, table)[index],
                        .range = {to, to + 1}};
    uint64_t there;

    if (!sim_log(c->sim, step))
        return refuse_no_memory(c->why);
    if (sim_make_leaf_table(c->sim, to, c->why, &there)) {
        c->sim->logged--; /* the entry is still at its old place */
        sim_drop(c->sim, step.range);
        return c->why->code;
    }
    *entry_of(c->sim, there, to, 1) = step.entry;
    c->sim->frames.info[there].live++;
    return ASPACE_OK;
}

/* What becomes of an entry before it is taken out. Tables come here whole in the modes LOG and FREE, else empty. */
static enum aspace_error dispose(const struct cutter *c, uint64_t table, unsigned index, unsigned level, uint64_t page)
{
    uint64_t entry = sim_table(c->sim, table)[index];

    switch (c->mode) {
    case CUT_LOG:
        return log_cut(c, table, index, level);
    case CUT_MOVE:
        return level == 1 ? move_leaf(c, table, index, page) : log_cut(c, table, index, level);
    case CUT_DROP:
        if (level == 1)
            return ASPACE_OK;
        break;
    case CUT_FREE:
        break;
    }
    sim_release(c->sim, entry, level);
    return ASPACE_OK;
}

static enum aspace_error take_out(const struct cutter *c, uint64_t table, unsigned index, unsigned level, uint64_t page)
{
    if (dispose(c, table, index, level, page))
        return c->why->code;
    sim_table(c->sim, table)[index] = 0;
    c->sim->frames.info[table].live--;
    return ASPACE_OK;
}

/* Whether the entry that covers [page, next) may go without a look at what is below it. */
static bool goes_whole(const struct cutter *c, unsigned level, uint64_t page, uint64_t next, uint64_t end)
{
    bool covered = !(page & (sim_span(level) - 1)) && next <= end;

    return level == 1 || (covered && (c->mode == CUT_LOG || c->mode == CUT_FREE));
}

/* `range` lies inside what `table` covers. A table that becomes empty goes as well. */
static enum aspace_error cut_table(const struct cutter *c, uint64_t table, unsigned level, struct range range)
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
        if (!goes_whole(c, level, page, next, range.end)) {
            if (!sim_child(c->sim, entry, &child))
                continue;
            if (cut_table(c, child, level - 1, (struct range){page, next < range.end ? next : range.end}))
                return c->why->code;
            if (c->sim->frames.info[child].live)
                continue;
        }
        if (take_out(c, table, index, level, page))
            return c->why->code;
    }
    return ASPACE_OK;
}

enum aspace_error sim_cut(struct sim *sim, struct range range, struct refusal *why)
{
    struct cutter c = {.sim = sim, .mode = CUT_LOG, .why = why};

    return cut_table(&c, sim->root, X86_LEVELS, range);
}

enum aspace_error sim_move(struct sim *sim, struct range range, uint64_t to, struct refusal *why)
{
    struct cutter c = {.sim = sim, .mode = CUT_MOVE, .offset = to - range.start, .why = why};

    return cut_table(&c, sim->root, X86_LEVELS, range);
}

void sim_empty(struct sim *sim, struct range range)
{
    struct cutter c = {.sim = sim, .mode = CUT_FREE};

    cut_table(&c, sim->root, X86_LEVELS, range);
}

void sim_drop(struct sim *sim, struct range range)
{
    struct cutter c = {.sim = sim, .mode = CUT_DROP};

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
