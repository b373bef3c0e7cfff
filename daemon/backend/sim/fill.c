/* Putting frames behind pages: when an area is mapped, and one by one when a lazy page is first touched. */
#include <inttypes.h>
#include <string.h>

#include "sim/machine.h"

static enum aspace_error refuse_no_frame(struct sim *sim, struct refusal *why)
{
    sim->short_of_ram = true;
    refuse(why, ASPACE_NO_MEMORY, "all %" PRIu64 " frames of the simulated RAM are in use", sim->frames.total);
    why->hint = "unmap something, or create the space with more ram";
    return why->code;
}

enum aspace_error sim_take_frame(struct sim *sim, enum frame_kind kind, uint64_t page, struct refusal *why,
                                 uint64_t *ret)
{
    if (backend_frame_fails(&sim->backend, page, why))
        return why->code;
    return frames_take(&sim->frames, kind, ret) ? ASPACE_OK : refuse_no_frame(sim, why);
}

/* The highest level of leaf that the area asks for. */
static unsigned page_level(const struct area *area)
{
    return area->attr.page == ASPACE_PAGE_AUTO ? ARCH_LEAF_LEVELS : area->attr.page + 1u;
}

struct filler {
    struct sim *sim;
    const struct area *area;
    bool linear;
    unsigned level;                      /* the highest for leaves */
    bool strict;                         /* a leaf that could be of that level has to be */
    uint64_t bits[ARCH_LEAF_LEVELS + 1]; /* of a leaf, by level */
    struct refusal *why;
    uint64_t end;   /* of the pages to fill */
    uint64_t first; /* the frames that are taken for the next ones */
    uint64_t held;
};

/* Fields one by one, and no other: this is much of what a small map costs. */
static void filler_init(struct filler *f, struct sim *sim, const struct area *area, unsigned level, struct refusal *why)
{
    f->sim = sim;
    f->area = area;
    f->linear = area->attr.backing == ASPACE_BACKING_LINEAR;
    f->level = level;
    f->strict = area->attr.page != ASPACE_PAGE_AUTO;
    f->why = why;
    f->held = 0;
    for (unsigned i = 1; i <= level; i++)
        f->bits[i] = sim->arch->encode(area->attr.flags, i) | (f->linear ? sim->arch->special : 0);
}

/* ---- Pages of level 1 ---- */

/* Frames in one piece for at most `want` pages from `page` on; a fault to be injected wants them one by one. */
static enum aspace_error take_frames(struct filler *f, uint64_t page, uint64_t want)
{
    if (f->linear) {
        f->first = page + f->area->attr.delta;
        f->held = want;
        return ASPACE_OK;
    }
    if (want == 1 || f->sim->backend.inject) {
        if (sim_take_frame(f->sim, FRAME_DATA, page, f->why, &f->first))
            return f->why->code;
        f->held = 1;
        return ASPACE_OK;
    }
    f->held = frames_take_some(&f->sim->frames, FRAME_DATA, want, &f->first);
    return f->held ? ASPACE_OK : refuse_no_frame(f->sim, f->why);
}

static enum aspace_error take_raw_table(const struct filler *f, uint64_t page, uint64_t *ret)
{
    if (backend_frame_fails(&f->sim->backend, page, f->why))
        return f->why->code;
    return frames_take_raw_table(&f->sim->frames, ret) ? ASPACE_OK : refuse_no_frame(f->sim, f->why);
}

/* The loop that 2^18 entries a GiB go through; a whole table's has a length that the compiler knows. */
static void write_run(uint64_t *entries, uint64_t entry, uint64_t step, uint64_t count)
{
    if (count == ARCH_ENTRIES)
        for (uint64_t i = 0; i < ARCH_ENTRIES; i++)
            entries[i] = entry + i * step;
    else
        for (uint64_t i = 0; i < count; i++)
            entries[i] = entry + i * step;
}

/* The part of `table` that is `range`; what is behind a frame that could not be had stays as it was. Without large leaves
 * to come, frames are taken for the tables to come, too. */
static enum aspace_error fill_pages(struct filler *f, uint64_t table, struct range range)
{
    const uint64_t step = arch_address(f->sim->arch, 1);
    uint64_t count;

    for (uint64_t page = range.start; page < range.end; page += count) {
        uint64_t *entries = &sim_table(f->sim, table)[arch_index(page, 1)];

        if (!f->held && take_frames(f, page, (f->level == 1 ? f->end : range.end) - page))
            return f->why->code;
        count = f->held < range.end - page ? f->held : range.end - page;
        write_run(entries, arch_address(f->sim->arch, f->first) | f->bits[1], step, count);
        frames_add_live(&f->sim->frames, table, (int)count);
        f->first += count;
        f->held -= count;
    }
    return ASPACE_OK;
}

/* A table of level 1 that `range` fills whole: its old bytes need not be zeroed, but for those that stay without a
 * frame. */
static enum aspace_error fill_new_table(struct filler *f, uint64_t *entry, struct range range)
{
    uint64_t table;

    if (take_raw_table(f, range.start, &table))
        return f->why->code;
    *entry = arch_address(f->sim->arch, table) | f->sim->arch->making;
    if (fill_pages(f, table, range) == ASPACE_OK)
        return ASPACE_OK;
    memset(sim_table(f->sim, table) + frames_live(&f->sim->frames, table), 0,
           (ARCH_ENTRIES - frames_live(&f->sim->frames, table)) * sizeof(uint64_t));
    return f->why->code;
}

/* ---- The levels above ---- */

/* Whether the pages of `part` can have one leaf of `level`. */
static bool fits_leaf(const struct filler *f, struct range part, unsigned level, uint64_t entry)
{
    return level <= f->level && !entry && range_pages(part) == arch_span(level) &&
           !(f->linear && (part.start + f->area->attr.delta) & (arch_span(level) - 1));
}

static enum aspace_error refuse_no_run(const struct filler *f, unsigned level)
{
    f->sim->short_of_ram = true;
    refuse(f->why, ASPACE_NO_MEMORY, "the simulated RAM has no 0x%" PRIx64 " bytes free in one aligned piece",
           arch_leaf_size(level));
    f->why->hint = "ask for page=auto, which takes smaller pages then, or create the space with more ram";
    return f->why->code;
}

/* One leaf; *ret_done is false if there is no run of frames and smaller ones will do. */
static enum aspace_error fill_leaf(const struct filler *f, uint64_t table, uint64_t page, unsigned level,
                                   bool *ret_done)
{
    uint64_t frame = page + f->area->attr.delta;

    if (!f->linear) {
        if (backend_frame_fails(&f->sim->backend, page, f->why))
            return f->why->code;
        *ret_done = frames_take_run(&f->sim->frames, FRAME_DATA, ARCH_INDEX_BITS * (level - 1), &frame);
        if (!*ret_done)
            return f->strict && level == f->level ? refuse_no_run(f, level) : ASPACE_OK;
    }
    *ret_done = true;
    f->sim->frames.ram->large = true;
    sim_table(f->sim, table)[arch_index(page, level)] = arch_address(f->sim->arch, frame) | f->bits[level];
    frames_add_live(&f->sim->frames, table, 1);
    return ASPACE_OK;
}

static enum aspace_error child_table(const struct filler *f, uint64_t table, uint64_t page, unsigned level,
                                     uint64_t *ret)
{
    uint64_t *entry = &sim_table(f->sim, table)[arch_index(page, level)];

    if (sim_child(f->sim, *entry, ret))
        return ASPACE_OK;
    if (sim_take_frame(f->sim, FRAME_TABLE, page, f->why, ret))
        return f->why->code;
    frames_add_live(&f->sim->frames, table, 1);
    *entry = arch_address(f->sim->arch, *ret) | f->sim->arch->making;
    return ASPACE_OK;
}

static enum aspace_error fill_table(struct filler *f, uint64_t table, unsigned level, struct range range);

/* The pages of `part`, which one entry of `table` covers. */
static enum aspace_error fill_part(struct filler *f, uint64_t table, unsigned level, struct range part)
{
    uint64_t *entry = &sim_table(f->sim, table)[arch_index(part.start, level)];
    uint64_t child;
    bool done = false;

    if (fits_leaf(f, part, level, *entry) && fill_leaf(f, table, part.start, level, &done))
        return f->why->code;
    if (done)
        return ASPACE_OK;
    if (level == 2 && !*entry && range_pages(part) == ARCH_ENTRIES) {
        frames_add_live(&f->sim->frames, table, 1);
        if (fill_new_table(f, entry, part) == ASPACE_OK)
            return ASPACE_OK;
        frames_add_live(&f->sim->frames, table, -!*entry);
        return f->why->code;
    }
    return child_table(f, table, part.start, level, &child) ? f->why->code : fill_table(f, child, level - 1, part);
}

/* `range` lies inside what `table` covers, and nothing is in it. */
static enum aspace_error fill_table(struct filler *f, uint64_t table, unsigned level, struct range range)
{
    uint64_t span = arch_span(level);
    struct range part = range;

    if (level == 1)
        return fill_pages(f, table, range);
    for (; part.start < range.end; part.start = part.end) {
        part.end = (part.start & ~(span - 1)) + span;
        if (part.end > range.end)
            part.end = range.end;
        if (fill_part(f, table, level, part))
            return f->why->code;
    }
    return ASPACE_OK;
}

/* Fills all of `range`, logged before: an undo empties the whole range, so a failure midway needs no more than that. */
static enum aspace_error fill_range(struct filler *f, struct range range)
{
    uint64_t table;

    if (!sim_log(f->sim, (struct undo){.kind = UNDO_FILL, .range = range}))
        return refuse_no_memory(f->why);
    f->end = range.end;
    if (sim_page_table(f->sim, range, &table))
        return fill_pages(f, table, range);
    if (fill_table(f, f->sim->root, f->sim->arch->levels, range) == ASPACE_OK)
        return ASPACE_OK;
    if (f->held && !f->linear)
        frames_give_run(&f->sim->frames, f->first, f->held);
    return f->why->code;
}

/* ---- Mapping ---- */

static enum aspace_error check_linear(const struct sim *sim, const struct area *area, struct refusal *why)
{
    uint64_t physical_pages = UINT64_C(1) << (sim->arch->physical_bits - ASPACE_PAGE_BITS);
    uint64_t first = area->range.start + area->attr.delta;

    if (first <= physical_pages && physical_pages - first >= range_pages(area->range))
        return ASPACE_OK;
    refuse(why, ASPACE_INVALID_PARAM,
           "physical address 0x%" PRIx64 " plus size 0x%" PRIx64 " passes the %u bits that %s has", page_addr(first),
           range_bytes(area->range), sim->arch->physical_bits, sim->arch->name);
    why->param = "pa";
    return why->code;
}

enum aspace_error sim_op_map(struct backend *backend, const struct area *area, struct refusal *why)
{
    struct sim *sim = sim_of(backend);
    struct filler f;

    if (area->attr.backing == ASPACE_BACKING_LAZY)
        return ASPACE_OK;
    if (area->attr.backing == ASPACE_BACKING_LINEAR && check_linear(sim, area, why))
        return why->code;
    filler_init(&f, sim, area, page_level(area), why);
    return fill_range(&f, area->range);
}

/* ---- Lazy pages ---- */

/* The pages of a leaf of `level` that has `page` in it. */
static struct range leaf_range(uint64_t page, unsigned level)
{
    uint64_t start = page & ~(arch_span(level) - 1);

    return (struct range){start, start + arch_span(level)};
}

/* The highest level of which nothing is there yet around `page`; 0 if the page itself is. */
static unsigned empty_level(const struct sim *sim, uint64_t page)
{
    uint64_t table = sim->root;
    unsigned level = sim->arch->levels;

    for (; level > 1; level--) {
        uint64_t entry = sim_table(sim, table)[arch_index(page, level)];

        if (!sim_child(sim, entry, &table))
            return entry ? 0 : level;
    }
    return sim_table(sim, table)[arch_index(page, 1)] ? 0 : 1;
}

/* Fills around `page` with one leaf of `level`. *ret_done is false, with all as before, if RAM has not enough for it. */
static enum aspace_error fill_large(struct sim *sim, const struct area *area, uint64_t page, unsigned level,
                                    struct refusal *why, bool *ret_done)
{
    struct range range = leaf_range(page, level);
    size_t logged = sim->logged;
    struct filler f;

    filler_init(&f, sim, area, level, why);
    f.strict = true;
    sim->short_of_ram = false;
    *ret_done = fill_range(&f, range) == ASPACE_OK;
    if (*ret_done || !sim->short_of_ram)
        return *ret_done ? ASPACE_OK : why->code;
    sim_empty(sim, range);
    sim->logged = logged;
    return ASPACE_OK;
}

enum aspace_error sim_fill(struct sim *sim, const struct area *area, uint64_t page, struct refusal *why,
                           bool *ret_filled)
{
    unsigned empty = area->attr.backing == ASPACE_BACKING_LAZY ? empty_level(sim, page) : 0;
    unsigned level = page_level(area) < empty ? page_level(area) : empty;
    struct filler f;

    *ret_filled = empty != 0;
    if (!empty)
        return ASPACE_OK;
    for (; level > 1; level--) {
        bool done;

        if (!range_contains(area->range, leaf_range(page, level)))
            continue;
        if (fill_large(sim, area, page, level, why, &done))
            return why->code;
        if (done)
            return ASPACE_OK;
    }
    filler_init(&f, sim, area, 1, why);
    return fill_range(&f, (struct range){page, page + 1});
}
