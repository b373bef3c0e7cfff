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

struct checker {
    struct sim *sim;
    const struct area_map *map;
    backend_problem_fn *report;
    void *arg;
    unsigned problems;
    uint8_t *seen; /* a bit for each frame ever handed out */
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

/* Notes that `frame` is in use as `kind`; false if that cannot be. */
static bool note_frame(struct checker *c, uint64_t frame, enum frame_kind kind, uint64_t addr)
{
    uint8_t bit = (uint8_t)(1u << (frame & 7));

    if (frame >= c->sim->frames.fresh) {
        problem(c, "the entry for " ADDR " leads to frame " ADDR ", which was never handed out", addr,
                page_addr(frame));
        return false;
    }
    if (c->sim->frames.info[frame].kind != (unsigned)kind)
        problem(c, "frame " ADDR ", in use for " ADDR ", is not marked as %s", page_addr(frame), addr,
                kind == FRAME_TABLE ? "a page table" : "data");
    if (c->seen[frame / 8] & bit) {
        problem(c, "frame " ADDR " is in use twice, again for " ADDR, page_addr(frame), addr);
        return false;
    }
    c->seen[frame / 8] |= bit;
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
    uint64_t rest = arch->address | arch->used | arch->special;
    bool linear = area->attr.backing == ASPACE_BACKING_LINEAR;

    if ((entry & ~rest) != (arch->encode(area->attr.flags, level) & ~rest) ||
        entry != sim_reflag(arch, entry, level, area->attr.flags))
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
    for (uint64_t i = 0; i < arch_span(level) && !(entry & c->sim->arch->special); i++)
        if (!note_frame(c, frame + i, FRAME_DATA, page_addr(page + i)))
            return;
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

/* The list of free frames: each of them free, each once, and with those in use all that were ever handed out. */
static void check_free_list(struct checker *c)
{
    const struct frames *frames = &c->sim->frames;
    uint64_t at = frames->free_list;

    if (frames->freed + frames->data + frames->tables != frames->fresh)
        problem(c, "of %" PRIu64 " frames ever handed out %" PRIu64 " are in use and %" PRIu64 " free", frames->fresh,
                frames->data + frames->tables, frames->freed);
    if (frames->wrong_gives)
        problem(c, "frames that were not in use were given back %" PRIu64 " times", frames->wrong_gives);
    for (uint64_t i = 0; i < frames->freed; i++, at = frames->info[at].next) {
        if (at < frames->fresh && frames->info[at].kind == FRAME_FREE && !(c->seen[at / 8] >> (at & 7) & 1)) {
            c->seen[at / 8] |= (uint8_t)(1u << (at & 7));
            continue;
        }
        problem(c, "frame " ADDR " is in the list of free frames, and is in use or there twice", page_addr(at));
        return;
    }
}

static void check_counts(struct checker *c)
{
    const struct frames *frames = &c->sim->frames;

    if (c->tables != frames->tables)
        problem(c, "%" PRIu64 " frames are said to be page tables, and %" PRIu64 " are", frames->tables, c->tables);
    if (c->data != frames->data)
        problem(c, "%" PRIu64 " frames are said to hold data, and %" PRIu64 " are in use", frames->data, c->data);
    for (uint64_t f = 0; f < frames->fresh; f++)
        if (frames->info[f].kind != FRAME_FREE && !(c->seen[f / 8] >> (f & 7) & 1))
            problem(c, "frame " ADDR " is marked as in use, and nothing leads to it", page_addr(f));
}

void sim_op_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg)
{
    struct sim *sim = sim_of(backend);
    struct checker c = {.sim = sim, .map = map, .report = report, .arg = arg};

    c.seen = calloc(sim->frames.fresh / 8 + 1, 1);
    if (!c.seen) {
        report(arg, "the daemon has no memory for the check itself");
        return;
    }
    note_frame(&c, sim->root, FRAME_TABLE, 0);
    check_table(&c, sim->root, sim->arch->levels, 0);
    check_filled(&c);
    check_counts(&c);
    check_free_list(&c);
    free(c.seen);
}
