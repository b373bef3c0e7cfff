/* The tree of page tables in simulated RAM, of which absent parts are never visited. */
#include "sim/machine.h"

#include <stdlib.h>
#include <string.h>

static uint64_t *entry_of(const struct sim *sim, uint64_t table, uint64_t page, unsigned level)
{
    return &sim_table(sim, table)[arch_index(page, level)];
}

uint64_t *sim_leaf(const struct sim *sim, uint64_t page, unsigned *ret_level)
{
    uint64_t table = sim->root;

    for (unsigned level = sim->arch->levels;; level--) {
        uint64_t *entry = entry_of(sim, table, page, level);

        *ret_level = level;
        if (level == 1)
            return entry;
        if (!sim_child(sim, *entry, &table))
            return *entry ? entry : NULL;
    }
}

bool sim_page_table(const struct sim *sim, struct range range, uint64_t *ret)
{
    uint64_t table = sim->root;

    if ((range.start ^ (range.end - 1)) >= ARCH_ENTRIES)
        return false;
    for (unsigned level = sim->arch->levels; level > 1; level--)
        if (!sim_child(sim, *entry_of(sim, table, range.start, level), &table))
            return false;
    *ret = table;
    return true;
}

enum aspace_error sim_make_table(struct sim *sim, uint64_t page, unsigned level, struct refusal *why, uint64_t *ret)
{
    uint64_t table = sim->root;

    for (unsigned at = sim->arch->levels; at > level; at--) {
        uint64_t *entry = entry_of(sim, table, page, at);
        uint64_t child;

        if (!sim_child(sim, *entry, &child)) {
            if (sim_take_frame(sim, FRAME_TABLE, page, why, &child))
                return why->code;
            frames_add_live(&sim->frames, table, !*entry);
            *entry = arch_address(sim->arch, child) | sim->arch->making;
        }
        table = child;
    }
    *ret = table;
    return ASPACE_OK;
}

/* ---- Breaking large leaves ---- */

static enum aspace_error split(struct sim *sim, uint64_t table, uint64_t page, unsigned level, struct refusal *why)
{
    uint64_t *entry = entry_of(sim, table, page, level);
    uint64_t leaf = sim->arch->lower(*entry, level - 1);
    uint64_t step = arch_address(sim->arch, arch_span(level - 1));
    struct undo undo = {.kind = UNDO_SPLIT,
                        .level = (uint16_t)level,
                        .table = table,
                        .index = (uint16_t)arch_index(page, level),
                        .entry = *entry};
    uint64_t child;

    if (!sim_log(sim, undo))
        return refuse_no_memory(why);
    if (sim_take_frame(sim, FRAME_TABLE, page, why, &child)) {
        sim->logged--;
        return why->code;
    }
    for (unsigned i = 0; i < ARCH_ENTRIES; i++)
        sim_table(sim, child)[i] = leaf + i * step;
    frames_add_live(&sim->frames, child, ARCH_ENTRIES);
    *entry = arch_address(sim->arch, child) | sim->arch->making;
    return ASPACE_OK;
}

/* Until no leaf begins below `page` and ends above it. */
static enum aspace_error split_at(struct sim *sim, uint64_t page, struct refusal *why)
{
    uint64_t table = sim->root;

    for (unsigned level = sim->arch->levels; page & (arch_span(level) - 1); level--) {
        uint64_t entry = *entry_of(sim, table, page, level);
        uint64_t child;

        if (!entry)
            return ASPACE_OK;
        if (!sim_child(sim, entry, &child)) {
            if (split(sim, table, page, level, why))
                return why->code;
            sim_child(sim, *entry_of(sim, table, page, level), &child);
        }
        table = child;
    }
    return ASPACE_OK;
}

enum aspace_error sim_split_ends(struct sim *sim, struct range range, struct refusal *why)
{
    if (!sim->frames.ram->large)
        return ASPACE_OK;
    return split_at(sim, range.start, why) ? why->code : split_at(sim, range.end, why);
}

/* ---- Taking out ---- */

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

/* Appends `count` entries to those saved, and *ret is where; false if there is no memory. */
static bool save(struct sim *sim, const uint64_t *entries, unsigned count, uint64_t *ret)
{
    if (sim->saved_count + count > sim->saved_capacity) {
        size_t capacity = 2 * sim->saved_capacity + ARCH_ENTRIES;
        uint64_t *saved = realloc(sim->saved, capacity * sizeof(*saved));

        if (!saved)
            return false;
        sim->saved = saved;
        sim->saved_capacity = capacity;
    }
    memcpy(&sim->saved[sim->saved_count], entries, count * sizeof(*entries));
    *ret = sim->saved_count;
    sim->saved_count += count;
    return true;
}

static enum aspace_error log_cut(const struct cutter *c, uint64_t table, unsigned index, unsigned count, unsigned level)
{
    const uint64_t *entries = &sim_table(c->sim, table)[index];
    struct undo step = {.kind = UNDO_CUT,
                        .level = (uint16_t)level,
                        .table = table,
                        .index = (uint16_t)index,
                        .count = (uint16_t)count,
                        .entry = *entries};

    if ((count > 1 && !save(c->sim, entries, count, &step.entry)) || !sim_log(c->sim, step))
        return refuse_no_memory(c->why);
    return ASPACE_OK;
}

/* A leaf that moves: its entry is put at the new place first. Each leaf has a step of its own, because the table that it
 * goes to may stand where one was that an earlier step emptied and took out: only the exact reverse undoes that. */
static enum aspace_error move_leaf(const struct cutter *c, uint64_t table, unsigned index, unsigned level,
                                   uint64_t page)
{
    uint64_t to = page + c->offset;
    struct undo step = {.kind = UNDO_MOVE,
                        .level = (uint16_t)level,
                        .table = table,
                        .index = (uint16_t)index,
                        .entry = sim_table(c->sim, table)[index],
                        .range = {to, to + arch_span(level)}};
    uint64_t there;

    if (!sim_log(c->sim, step))
        return refuse_no_memory(c->why);
    if (sim_make_table(c->sim, to, level, c->why, &there)) {
        c->sim->logged--; /* the entry is still at its old place */
        sim_drop(c->sim, step.range);
        return c->why->code;
    }
    *entry_of(c->sim, there, to, level) = step.entry;
    frames_add_live(&c->sim->frames, there, 1);
    return ASPACE_OK;
}

/* What becomes of the entry of a level above 1 before it is taken out. */
static enum aspace_error dispose(const struct cutter *c, uint64_t table, unsigned index, unsigned level, uint64_t page)
{
    const uint64_t *entry = &sim_table(c->sim, table)[index];
    bool leaf = !arch_is_table(c->sim->arch, *entry);

    if (c->mode == CUT_DROP && leaf)
        return ASPACE_OK;
    if (c->mode == CUT_MOVE && leaf)
        return move_leaf(c, table, index, level, page);
    if (c->mode == CUT_LOG || c->mode == CUT_MOVE)
        return log_cut(c, table, index, 1, level);
    sim_release(c->sim, entry, 1, level);
    return ASPACE_OK;
}

static enum aspace_error take_out(const struct cutter *c, uint64_t table, unsigned index, unsigned level, uint64_t page)
{
    if (dispose(c, table, index, level, page))
        return c->why->code;
    sim_table(c->sim, table)[index] = 0;
    frames_add_live(&c->sim->frames, table, -1);
    return ASPACE_OK;
}

/* Entries in [index, index + count) that are not 0. */
static unsigned count_live(const uint64_t *entries, unsigned index, unsigned count)
{
    unsigned live = 0;

    for (unsigned i = index; i < index + count; i++)
        live += entries[i] != 0;
    return live;
}

static enum aspace_error move_pages(const struct cutter *c, uint64_t table, struct range range)
{
    for (uint64_t page = range.start; page < range.end; page++) {
        unsigned index = arch_index(page, 1);

        if (!sim_table(c->sim, table)[index])
            continue;
        if (move_leaf(c, table, index, 1, page))
            return c->why->code;
        sim_table(c->sim, table)[index] = 0;
        frames_add_live(&c->sim->frames, table, -1);
    }
    return ASPACE_OK;
}

/* The leaves of a table of level 1 that lie in `range`. */
static enum aspace_error cut_pages(const struct cutter *c, uint64_t table, struct range range)
{
    unsigned index = arch_index(range.start, 1);
    unsigned count = (unsigned)range_pages(range);
    uint64_t *entries = sim_table(c->sim, table);
    unsigned live;

    if (c->mode == CUT_MOVE)
        return move_pages(c, table, range);
    live = count_live(entries, index, count);
    if (!live)
        return ASPACE_OK;
    if (c->mode == CUT_LOG && log_cut(c, table, index, count, 1))
        return c->why->code;
    if (c->mode == CUT_FREE)
        sim_release(c->sim, &entries[index], count, 1);
    entries[index] = 0;
    if (count > 1)
        memset(&entries[index], 0, count * sizeof(*entries));
    frames_add_live(&c->sim->frames, table, -(int)live);
    return ASPACE_OK;
}

/* Whether `child`, the part `part` of which is cut, may go without each of its entries being looked at: in modes where
 * leaves need nothing done to them now, if nothing in it lies outside of the part. */
static bool goes_whole(const struct cutter *c, uint64_t child, unsigned level, struct range part)
{
    if (c->mode != CUT_LOG && c->mode != CUT_FREE)
        return false;
    if (range_pages(part) == arch_span(level + 1))
        return true;
    return level == 1 && count_live(sim_table(c->sim, child), arch_index(part.start, 1), (unsigned)range_pages(part)) ==
                             frames_live(&c->sim->frames, child);
}

static enum aspace_error cut_table(const struct cutter *c, uint64_t table, unsigned level, struct range range);

/* What the entry for `part` leads to, up to the entry itself; *ret_gone says whether that is to go as well. */
static enum aspace_error cut_below(const struct cutter *c, uint64_t table, unsigned level, struct range part,
                                   bool *ret_gone)
{
    uint64_t *entry = entry_of(c->sim, table, part.start, level);
    uint64_t child;

    *ret_gone = *entry != 0;
    if (!*entry)
        return ASPACE_OK;
    if (!sim_child(c->sim, *entry, &child)) {
        if (c->mode != CUT_MOVE || !(c->offset & (arch_span(level) - 1)))
            return ASPACE_OK; /* a leaf goes whole, for none straddles the range */
        if (split(c->sim, table, part.start, level, c->why))
            return c->why->code;
        sim_child(c->sim, *entry, &child);
    }
    if (goes_whole(c, child, level - 1, part))
        return ASPACE_OK;
    if (cut_table(c, child, level - 1, part))
        return c->why->code;
    *ret_gone = !frames_live(&c->sim->frames, child);
    return ASPACE_OK;
}

/* `range` lies inside what `table` covers. A table that becomes empty goes as well. */
static enum aspace_error cut_table(const struct cutter *c, uint64_t table, unsigned level, struct range range)
{
    uint64_t span = arch_span(level);
    struct range part = range;
    bool gone;

    if (level == 1)
        return cut_pages(c, table, range);
    for (; part.start < range.end; part.start = part.end) {
        part.end = (part.start & ~(span - 1)) + span;
        if (part.end > range.end)
            part.end = range.end;
        if (cut_below(c, table, level, part, &gone) ||
            (gone && take_out(c, table, arch_index(part.start, level), level, part.start)))
            return c->why->code;
    }
    return ASPACE_OK;
}

enum aspace_error sim_cut(struct sim *sim, struct range range, struct refusal *why)
{
    struct cutter c = {.sim = sim, .mode = CUT_LOG, .why = why};
    uint64_t table;

    if (sim_page_table(sim, range, &table) && frames_live(&sim->frames, table) > range_pages(range))
        return cut_pages(&c, table, range); /* no leaf is broken, and no table goes */
    return sim_split_ends(sim, range, why) ? why->code : cut_table(&c, sim->root, sim->arch->levels, range);
}

enum aspace_error sim_move(struct sim *sim, struct range range, uint64_t to, struct refusal *why)
{
    struct cutter c = {.sim = sim, .mode = CUT_MOVE, .offset = to - range.start, .why = why};

    return sim_split_ends(sim, range, why) ? why->code : cut_table(&c, sim->root, sim->arch->levels, range);
}

void sim_empty(struct sim *sim, struct range range)
{
    struct cutter c = {.sim = sim, .mode = CUT_FREE};

    cut_table(&c, sim->root, sim->arch->levels, range);
}

void sim_drop(struct sim *sim, struct range range)
{
    struct cutter c = {.sim = sim, .mode = CUT_DROP};

    cut_table(&c, sim->root, sim->arch->levels, range);
}

/* ---- Flags ---- */

/* How a leaf gets other flags: what stays of it, what it gets, and what is turned over if it was written to, where
 * hardware notes that in one of the bits that flags decide. */
struct reflag {
    uint64_t keep;
    uint64_t set;
    uint64_t turn;
};

static struct reflag reflag_to(const struct arch *arch, unsigned level, uint16_t flags)
{
    return (struct reflag){
        .keep = ~arch->flags,
        .set = arch->encode(flags, level),
        .turn = flags & ASPACE_WRITE ? arch->written_clears : arch->written_kept,
    };
}

static uint64_t reflag(const struct arch *arch, const struct reflag *r, uint64_t leaf)
{
    uint64_t written = (~leaf & arch->written_clears) | (leaf & arch->written_kept);
    uint64_t flagged = ((leaf & r->keep) | r->set) ^ (written ? r->turn : 0);

    return leaf & arch->shared ? arch_share(arch, flagged) : flagged;
}

uint64_t sim_reflag(const struct arch *arch, uint64_t leaf, unsigned level, uint16_t flags)
{
    struct reflag r = reflag_to(arch, level, flags);

    return reflag(arch, &r, leaf);
}

/* The two loops that 2^18 entries a GiB go through: all are leaves, of frames that nobody else has. */
static void reflag_plain(const struct reflag *r, uint64_t *entries, unsigned count)
{
    const uint64_t keep = r->keep;
    const uint64_t set = r->set;

    for (unsigned i = 0; i < count; i++)
        entries[i] = (entries[i] & keep) | set;
}

/* Each of the three is one bit: as shifts they are done to several entries at once. */
static void reflag_noted(const struct arch *arch, const struct reflag *r, uint64_t *entries, unsigned count)
{
    const uint64_t keep = r->keep;
    const uint64_t set = r->set;
    const int clears = __builtin_ctzll(arch->written_clears);
    const int kept = __builtin_ctzll(arch->written_kept);
    const int turn = __builtin_ctzll(r->turn);

    for (unsigned i = 0; i < count; i++)
        entries[i] = ((entries[i] & keep) | set) ^ ((~entries[i] >> clears | entries[i] >> kept) & 1) << turn;
}

static void reflag_pages(const struct arch *arch, const struct reflag *r, uint64_t *entries, unsigned count, bool plain)
{
    if (plain && !arch->written_clears) {
        reflag_plain(r, entries, count);
        return;
    }
    if (plain) {
        reflag_noted(arch, r, entries, count);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        if (entries[i])
            entries[i] = reflag(arch, r, entries[i]);
}

static void set_flags_below(struct sim *sim, uint64_t table, unsigned level, struct range range, uint16_t flags)
{
    struct reflag r = reflag_to(sim->arch, level, flags);
    uint64_t span = arch_span(level);
    uint64_t next;

    if (level == 1) {
        reflag_pages(sim->arch, &r, entry_of(sim, table, range.start, 1), (unsigned)range_pages(range),
                     frames_live(&sim->frames, table) == ARCH_ENTRIES && !sim->cloned);
        return;
    }
    for (uint64_t page = range.start; page < range.end; page = next) {
        uint64_t *entry = entry_of(sim, table, page, level);
        uint64_t child;

        next = (page & ~(span - 1)) + span;
        if (sim_child(sim, *entry, &child))
            set_flags_below(sim, child, level - 1, (struct range){page, next < range.end ? next : range.end}, flags);
        else if (*entry)
            *entry = reflag(sim->arch, &r, *entry);
    }
}

void sim_set_flags(struct sim *sim, struct range range, uint16_t flags)
{
    set_flags_below(sim, sim->root, sim->arch->levels, range, flags);
}
