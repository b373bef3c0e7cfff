/* Areas against page tables against frames: what space.check asks. It trusts none of the three. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/area_map.h"
#include "sim/machine.h"

#define ADDR "0x%" PRIx64

/* After so many problems the rest would only repeat them. */
#define PROBLEMS_MAX 100

/* In place of a number of spaces: the frame was found among the free ones. */
#define NOTED_FREE UINT16_MAX

struct checker {
    struct sim *sim;
    const struct area_map *map;
    backend_problem_fn *report;
    void *arg;
    unsigned problems;
    uint16_t
        *seen; /* of each frame ever handed out, from the first on: the spaces that it is in use for; or NOTED_FREE */
    uint64_t data;
    uint64_t tables;
};

static void problem(struct checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct checker *c, const char *format, ...)
{
    char text[200];
    va_list args;

    if (++c->problems > PROBLEMS_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    c->report(c->arg, c->problems == PROBLEMS_MAX ? "there are more problems; only the first 99 are told" : text);
}

static uint16_t *seen(const struct checker *c, uint64_t frame)
{
    return &c->seen[frame - c->sim->frames.first];
}

/* Whether `frame` is one that may have been handed out, or written to. */
static bool is_known(const struct frames *frames, uint64_t frame)
{
    return frame >= frames->first && frame < frames->ram->fresh;
}

/* Notes that `frame` is in use as `kind`; false if that cannot be. */
static bool note_frame(struct checker *c, uint64_t frame, enum frame_kind kind, uint64_t addr)
{
    const struct frames *frames = &c->sim->frames;

    if (!is_known(frames, frame)) {
        problem(c, "the entry for " ADDR " leads to frame " ADDR ", which was never handed out", addr,
                page_addr(frame));
        return false;
    }
    if (frames_kind(frames, frame) != kind)
        problem(c, "frame " ADDR ", in use for " ADDR ", is not marked as %s", page_addr(frame), addr,
                kind == FRAME_TABLE ? "a page table" : "data");
    if (*seen(c, frame)) {
        problem(c, "frame " ADDR " is in use twice, again for " ADDR, page_addr(frame), addr);
        return false;
    }
    ++*seen(c, frame);
    if (kind == FRAME_TABLE)
        c->tables++;
    else
        c->data++;
    return true;
}

/* Sign-extends what the indexes of a walk give. */
static uint64_t canonical_page(const struct checker *c, uint64_t page)
{
    uint64_t half = page_of(arch_half(c->sim->arch));

    return c->sim->arch->upper_half && page >= half ? page + (PAGE_LIMIT - 2 * half) : page;
}

/* The part of a leaf of `level`, whose first page is at `addr`, that one area has. */
static void check_leaf_in(struct checker *c, uint64_t entry, unsigned level, uint64_t addr, const struct area *area)
{
    const struct arch *arch = c->sim->arch;
    uint64_t rest = arch->address | arch->used | arch->special | arch->shared;
    uint64_t flagged = arch->encode(area->attr.flags, level);
    bool linear = area->attr.backing == ASPACE_BACKING_LINEAR;

    if (entry & arch->shared)
        flagged = arch_share(arch, flagged);
    if ((entry & ~rest) != (flagged & ~rest) || entry != sim_reflag(arch, entry, level, area->attr.flags))
        problem(c, "the entry for " ADDR " is " ADDR ", which is not what the area's flags say", addr, entry);
    if (linear != !!(entry & arch->special))
        problem(c, "the entry for " ADDR " is %smarked as a fixed address, and the area is %slinear", addr,
                linear ? "not " : "", linear ? "" : "not ");
    else if (linear && arch_frame(arch, entry) != page_of(addr) + area->attr.delta)
        problem(c, "the entry for " ADDR " leads to " ADDR " and not to the fixed " ADDR, addr,
                page_addr(arch_frame(arch, entry)), page_addr(page_of(addr) + area->attr.delta));
}

/* A large leaf may lie in several areas that were one. */
static void check_leaf(struct checker *c, uint64_t entry, unsigned level, uint64_t page)
{
    uint64_t end = page + arch_span(level);
    uint64_t frame = arch_frame(c->sim->arch, entry);
    struct area area;

    if (frame & (arch_span(level) - 1))
        problem(c, "the level %u leaf for " ADDR " leads to " ADDR ", which is no multiple of its size", level,
                page_addr(page), page_addr(frame));
    for (uint64_t at = page; at < end; at = area.range.end) {
        if (!area_map_find(c->map, at, &area)) {
            problem(c, "there is an entry for " ADDR ", where no area lies", page_addr(at));
            return;
        }
        check_leaf_in(c, entry, level, page_addr(page), &area);
    }
    for (uint64_t i = 0; i < arch_span(level) && !(entry & c->sim->arch->special); i++) {
        if (frames_have(&c->sim->frames, frame + i) && frames_is_shared(&c->sim->frames, frame + i) &&
            !(entry & c->sim->arch->shared))
            problem(c, "frame " ADDR " is shared, and a write for " ADDR " goes through to it", page_addr(frame + i),
                    page_addr(page + i));
        if (!note_frame(c, frame + i, FRAME_DATA, page_addr(page + i)))
            return;
    }
}

/* Whether an entry of a level above 1 is a leaf as the architecture has them. */
static bool is_large_leaf(const struct arch *arch, uint64_t entry, unsigned level)
{
    return level <= ARCH_LEAF_LEVELS && !arch_is_table(arch, entry);
}

static void check_entry(struct checker *c, uint64_t entry, unsigned level, uint64_t at);

static void check_table(struct checker *c, uint64_t table, unsigned level, uint64_t page)
{
    unsigned live = 0;

    for (unsigned i = 0; i < ARCH_ENTRIES; i++) {
        uint64_t entry = sim_table(c->sim, table)[i];

        live += entry != 0;
        if (entry)
            check_entry(c, entry, level, page + i * arch_span(level));
    }
    if (frames_live(&c->sim->frames, table) != live)
        problem(c, "the table at " ADDR " is said to have %u entries and has %u", page_addr(table),
                frames_live(&c->sim->frames, table), live);
    if (live == 0 && table != c->sim->root)
        problem(c, "the table at " ADDR " is empty and still there", page_addr(table));
}

/* `at` is the page as the indexes give it. */
static void check_entry(struct checker *c, uint64_t entry, unsigned level, uint64_t at)
{
    const struct arch *arch = c->sim->arch;
    uint64_t page = canonical_page(c, at);
    uint64_t child;

    if (level == 1 || is_large_leaf(arch, entry, level))
        check_leaf(c, entry, level, page);
    else if (!sim_child(c->sim, entry, &child) || (entry & ~(arch->address | arch->table_used)) != arch->making)
        problem(c, "the level %u entry for " ADDR " is " ADDR ", which leads to no table", level, page_addr(page),
                entry);
    else if (note_frame(c, child, FRAME_TABLE, page_addr(page)))
        check_table(c, child, level - 1, at);
}

/* Eager and linear areas have an entry for every page. */
static void check_filled(struct checker *c)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(c->map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        uint64_t next;

        if (area.attr.backing == ASPACE_BACKING_LAZY)
            continue;
        for (uint64_t page = area.range.start; page < area.range.end && c->problems < PROBLEMS_MAX; page = next) {
            unsigned level;
            const uint64_t *entry = sim_leaf(c->sim, page, &level);

            next = page + 1;
            if (!entry || !*entry)
                problem(c, "there is no entry for " ADDR ", although its area is not lazy", page_addr(page));
            else
                next = (page | (arch_span(level) - 1)) + 1;
        }
    }
}

/* ---- The other spaces of the family ---- */

/* What `count` entries of a table of `level` of `sim` lead to, whatever it is. */
static void note_entries(struct checker *c, const struct sim *sim, const uint64_t *entries, unsigned level)
{
    for (unsigned i = 0; i < ARCH_ENTRIES; i++) {
        uint64_t frame = arch_frame(sim->arch, entries[i]);
        bool table = level > 1 && arch_is_table(sim->arch, entries[i]);
        uint64_t span = table ? 1 : arch_span(level);

        if (!entries[i] || (!table && entries[i] & sim->arch->special) || !is_known(&sim->frames, frame) ||
            !is_known(&sim->frames, frame + span - 1))
            continue;
        for (uint64_t f = frame; f < frame + span; f++)
            *seen(c, f) += *seen(c, f) < NOTED_FREE - 1;
        if (table)
            note_entries(c, sim, sim_table(sim, frame), level - 1);
    }
}

static void note_others(struct checker *c)
{
    const struct frames *frames = c->sim->frames.ram->spaces;

    for (; frames; frames = frames->next) {
        const struct sim *sim = (const struct sim *)(const void *)((const char *)frames - offsetof(struct sim, frames));

        if (sim == c->sim)
            continue;
        ++*seen(c, sim->root);
        note_entries(c, sim, sim_table(sim, sim->root), sim->arch->levels);
    }
}

/* ---- What is known of frames ---- */

/* `count` frames from `first` on are said to be free. */
static void note_free(struct checker *c, uint64_t first, uint64_t count)
{
    const struct ram *ram = c->sim->frames.ram;

    if (!frames_have(&c->sim->frames, first) || count > ram->total - (first - ram->first))
        problem(c, "frame " ADDR " is among the free ones, and there is no such frame", page_addr(first));
    for (uint64_t f = first; f < first + count && is_known(&c->sim->frames, f); f++) {
        if ((ram->state[f] & FRAME_KIND) == FRAME_FREE && !*seen(c, f)) {
            *seen(c, f) = NOTED_FREE;
            continue;
        }
        problem(c, "frame " ADDR " is among the free ones, and is in use or there twice", page_addr(f));
        return;
    }
}

static void check_free(struct checker *c)
{
    const struct ram *ram = c->sim->frames.ram;
    uint64_t free = ram->hot_count;

    for (unsigned i = 0; i < ram->hot_count; i++)
        note_free(c, ram->hot[i], 1);
    for (unsigned order = 0; order < ram->buddy.orders; order++) {
        for (uint64_t block = ram->first >> order; buddy_next(&ram->buddy, order, block, &block); block++) {
            note_free(c, block << order, UINT64_C(1) << order);
            free += UINT64_C(1) << order;
        }
    }
    if (free + ram->used != ram->total || free != ram->buddy.free + ram->hot_count)
        problem(c, "of %" PRIu64 " frames %" PRIu64 " are said to be in use, and %" PRIu64 " are free", ram->total,
                ram->used, free);
}

/* One that is in use, against the spaces that it was found in. */
static void check_owners(struct checker *c, uint64_t frame)
{
    const struct frames *frames = &c->sim->frames;
    unsigned owners = 1;

    if (frames_is_shared(frames, frame))
        owners += frames->note[frame];
    if (!*seen(c, frame))
        problem(c, "frame " ADDR " is marked as in use, and nothing leads to it", page_addr(frame));
    else if (*seen(c, frame) != owners)
        problem(c, "frame " ADDR " is said to belong to %u spaces, and %u lead to it", page_addr(frame), owners,
                *seen(c, frame));
}

static void check_counts(struct checker *c)
{
    const struct frames *frames = &c->sim->frames;
    uint64_t shared = 0;

    if (c->tables != frames->tables)
        problem(c, "%" PRIu64 " frames are said to be page tables, and %" PRIu64 " are", frames->tables, c->tables);
    if (c->data != frames->data)
        problem(c, "%" PRIu64 " frames are said to hold data, and %" PRIu64 " are in use", frames->data, c->data);
    if (frames->wrong_gives)
        problem(c, "frames that were not in use were given back %" PRIu64 " times", frames->wrong_gives);
    for (uint64_t f = frames->first; f < frames->ram->fresh; f++) {
        shared += frames_is_shared(frames, f);
        if (frames_kind(frames, f) != FRAME_FREE)
            check_owners(c, f);
        else if (*seen(c, f) != NOTED_FREE)
            problem(c, "frame " ADDR " is marked as free, and is not among the free ones", page_addr(f));
    }
    if (shared != frames->ram->shared)
        problem(c, "%" PRIu64 " frames are said to be shared, and %" PRIu64 " are", frames->ram->shared, shared);
}

void sim_op_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg)
{
    struct sim *sim = sim_of(backend);
    struct checker c = {.sim = sim, .map = map, .report = report, .arg = arg};

    c.seen = calloc(sim->frames.ram->fresh - sim->frames.first + 1, sizeof(*c.seen));
    if (!c.seen) {
        report(arg, "the daemon has no memory for the check itself");
        return;
    }
    note_frame(&c, sim->root, FRAME_TABLE, 0);
    check_table(&c, sim->root, sim->arch->levels, 0);
    check_filled(&c);
    note_others(&c);
    check_free(&c);
    check_counts(&c);
    free(c.seen);
}
