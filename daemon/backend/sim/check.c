/* Areas against page tables against frames: what space.check asks. It trusts none of the three. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/area_map.h"
#include "sim/machine.h"

#define ADDR "0x%" PRIx64

/* What an entry may have beside the bits that its area, or its being a table, decides. */
#define TABLE_REST (X86_ADDRESS | X86_ACCESSED)
#define LEAF_REST  (TABLE_REST | X86_DIRTY | X86_SPECIAL)

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
static uint64_t canonical_page(uint64_t page)
{
    return page >> 35 & 1 ? page | (PAGE_LIMIT - (UINT64_C(1) << 36)) : page;
}

static void check_leaf(struct checker *c, uint64_t entry, uint64_t page)
{
    uint64_t addr = page_addr(page);
    uint64_t frame = page_of(entry & X86_ADDRESS);
    struct area area;
    bool linear;

    if (!area_map_find(c->map, page, &area)) {
        problem(c, "there is an entry for " ADDR ", where no area lies", addr);
        return;
    }
    linear = area.attr.backing == ASPACE_BACKING_LINEAR;
    if ((entry & ~LEAF_REST) != x86_encode(area.attr.flags))
        problem(c, "the entry for " ADDR " is " ADDR ", which is not what the area's flags say", addr, entry);
    if (linear != !!(entry & X86_SPECIAL))
        problem(c, "the entry for " ADDR " is %smarked as a fixed address, and the area is %slinear", addr,
                linear ? "not " : "", linear ? "" : "not ");
    else if (linear && frame != page + area.attr.delta)
        problem(c, "the entry for " ADDR " leads to " ADDR " and not to the fixed " ADDR, addr, page_addr(frame),
                page_addr(page + area.attr.delta));
    else if (!linear)
        note_frame(c, frame, FRAME_DATA, addr);
}

static void check_table(struct checker *c, uint64_t table, unsigned level, uint64_t page)
{
    unsigned live = 0;

    for (unsigned i = 0; i < 1u << X86_INDEX_BITS; i++) {
        uint64_t entry = sim_table(c->sim, table)[i];
        uint64_t at = page + i * sim_span(level);
        uint64_t child;

        live += entry != 0;
        if (!entry)
            continue;
        if (level == 1)
            check_leaf(c, entry, canonical_page(at));
        else if (!sim_child(c->sim, entry, &child) || (entry & ~TABLE_REST) != X86_TABLE)
            problem(c, "the level %u entry for " ADDR " is " ADDR ", which leads to no table", level,
                    page_addr(canonical_page(at)), entry);
        else if (note_frame(c, child, FRAME_TABLE, page_addr(canonical_page(at))))
            check_table(c, child, level - 1, at);
    }
    if (c->sim->frames.info[table].live != live)
        problem(c, "the table at " ADDR " is said to have %u entries and has %u", page_addr(table),
                (unsigned)c->sim->frames.info[table].live, live);
    if (live == 0 && table != c->sim->root)
        problem(c, "the table at " ADDR " is empty and still there", page_addr(table));
}

/* Eager and linear areas have an entry for every page. */
static void check_filled(struct checker *c)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(c->map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        if (area.attr.backing == ASPACE_BACKING_LAZY)
            continue;
        for (uint64_t page = area.range.start; page < area.range.end && c->problems < PROBLEMS_MAX; page++) {
            const uint64_t *entry = sim_leaf(c->sim, page);

            if (!entry || !*entry)
                problem(c, "there is no entry for " ADDR ", although its area is not lazy", page_addr(page));
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
    check_table(&c, sim->root, X86_LEVELS, 0);
    check_filled(&c);
    check_counts(&c);
    check_free_list(&c);
    free(c.seen);
}
