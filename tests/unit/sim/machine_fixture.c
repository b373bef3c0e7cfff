/* The fixture's steps over the vtable, and its photographs of the machine. */
#include "machine_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void machine_open_at(struct machine *m, const char *arch, uint64_t first, uint64_t frames)
{
    struct range half = sim_default_bounds(arch);

    memset(m, 0, sizeof(*m));
    assert_int_equal(sim_create_at(arch, page_addr(first), page_addr(frames), half, &m->why, &m->backend), ASPACE_OK);
    m->sim = sim_of(m->backend);
    area_map_init(&m->map, half);
}

void machine_open_arch(struct machine *m, const char *arch, uint64_t frames)
{
    machine_open_at(m, arch, 0, frames);
}

void machine_open(struct machine *m, uint64_t frames)
{
    machine_open_arch(m, "x86_64", frames);
}

void machine_close(struct machine *m)
{
    area_map_clear(&m->map);
    m->backend->ops->destroy(m->backend);
}

static struct area area_of(uint64_t start, uint64_t pages, uint16_t flags, enum aspace_backing backing)
{
    return (struct area){.range = {start, start + pages}, .attr = {.flags = flags, .backing = (uint8_t)backing}};
}

struct area machine_lazy(uint64_t start, uint64_t pages, uint16_t flags)
{
    return area_of(start, pages, flags, ASPACE_BACKING_LAZY);
}

struct area machine_eager(uint64_t start, uint64_t pages, uint16_t flags)
{
    return area_of(start, pages, flags, ASPACE_BACKING_EAGER);
}

struct area machine_linear(uint64_t start, uint64_t pages, uint16_t flags, uint64_t frame)
{
    struct area area = area_of(start, pages, flags, ASPACE_BACKING_LINEAR);

    area.attr.delta = frame - start;
    return area;
}

/* ---- the map ---- */

static void replace(struct machine *m, struct range window, const struct area *pieces, size_t count)
{
    assert_int_equal(area_map_reserve(&m->map, count), ASPACE_OK);
    area_map_replace(&m->map, window, pieces, count);
}

void machine_note(struct machine *m, const struct area *area)
{
    replace(m, area->range, area, 1);
}

void machine_forget(struct machine *m, struct range range)
{
    struct area_cursor cursor;
    struct area area;

    for (;;) {
        struct area left;
        struct area right;

        area_map_seek(&m->map, range.start, &cursor);
        if (!area_cursor_get(&cursor, &area) || area.range.start >= range.end)
            return;
        replace(m, area.range, NULL, 0);
        left = right = area;
        left.range.end = range.start;
        right.range.start = range.end;
        if (!range_empty(left.range))
            machine_note(m, &left);
        if (!range_empty(right.range))
            machine_note(m, &right);
    }
}

enum aspace_error machine_try(struct machine *m, const struct edit *edit)
{
    const struct backend_ops *ops = m->backend->ops;
    const struct area *area = &edit->area;

    switch (edit->kind) {
    case EDIT_MAP:
        return ops->map(m->backend, area, &m->why);
    case EDIT_UNMAP:
        return ops->unmap(m->backend, area, &m->why);
    case EDIT_PROTECT:
        return ops->protect(m->backend, area, edit->flags, &m->why);
    case EDIT_MOVE:
        return ops->move(m->backend, area, edit->to, &m->why);
    case EDIT_TOUCH:
        return ops->prepare_write(m->backend, area, page_addr(area->range.start), range_bytes(area->range), &m->why);
    }
    return ASPACE_INTERNAL_ERROR;
}

void machine_follow(struct machine *m, const struct edit *edit)
{
    struct area area = edit->area;

    if (edit->kind == EDIT_TOUCH)
        return;
    machine_forget(m, area.range);
    if (edit->kind == EDIT_UNMAP)
        return;
    if (edit->kind == EDIT_PROTECT)
        area.attr.flags = edit->flags;
    if (edit->kind == EDIT_MOVE) {
        area.range = (struct range){edit->to, edit->to + range_pages(area.range)};
        if (area.attr.backing == ASPACE_BACKING_LINEAR)
            area.attr.delta += edit->area.range.start - edit->to;
    }
    machine_note(m, &area);
}

/* ---- edits ---- */

static void do_edit(struct machine *m, const struct edit *edit)
{
    assert_int_equal(machine_try(m, edit), ASPACE_OK);
    m->backend->ops->commit(m->backend);
    machine_follow(m, edit);
}

void machine_map(struct machine *m, struct area area)
{
    do_edit(m, &(struct edit){.kind = EDIT_MAP, .area = area});
}

void machine_unmap(struct machine *m, struct area area, uint64_t start, uint64_t pages)
{
    area.range = (struct range){start, start + pages};
    do_edit(m, &(struct edit){.kind = EDIT_UNMAP, .area = area});
}

void machine_protect(struct machine *m, struct area *area, uint16_t flags)
{
    do_edit(m, &(struct edit){.kind = EDIT_PROTECT, .area = *area, .flags = flags});
    area->attr.flags = flags;
}

/* ---- bytes, accesses, walks ---- */

enum aspace_error machine_try_write(struct machine *m, const struct area *area, uint64_t addr, const void *bytes,
                                    size_t size)
{
    const struct backend_ops *ops = m->backend->ops;

    if (ops->prepare_write(m->backend, area, addr, size, &m->why) ||
        ops->write(m->backend, area, addr, bytes, size, &m->why)) {
        ops->rollback(m->backend);
        return m->why.code;
    }
    ops->commit(m->backend);
    return ASPACE_OK;
}

void machine_write(struct machine *m, const struct area *area, uint64_t addr, const void *bytes, size_t size)
{
    assert_int_equal(machine_try_write(m, area, addr, bytes, size), ASPACE_OK);
}

void machine_read(struct machine *m, const struct area *area, uint64_t addr, void *bytes, size_t size)
{
    assert_int_equal(m->backend->ops->read(m->backend, area, addr, bytes, size, &m->why), ASPACE_OK);
}

struct access machine_access(struct machine *m, const struct area *area, uint64_t addr, enum aspace_access kind,
                             enum aspace_mode mode)
{
    struct access access;

    assert_int_equal(m->backend->ops->access(m->backend, area, addr, kind, mode, &m->why, &access), ASPACE_OK);
    m->backend->ops->commit(m->backend);
    return access;
}

struct walk machine_walk(struct machine *m, uint64_t addr)
{
    struct walk walk;

    assert_int_equal(m->backend->ops->walk(m->backend, addr, &m->why, &walk), ASPACE_OK);
    return walk;
}

struct walk_level machine_walk_level(struct machine *m, uint64_t addr, const struct walk *walk, unsigned i)
{
    struct walk_level level;

    assert_true(i < walk->count);
    m->backend->ops->walk_level(m->backend, addr, walk, i, &level);
    return level;
}

uint64_t machine_entry(struct machine *m, uint64_t page)
{
    unsigned level;
    const uint64_t *entry = sim_leaf(m->sim, page, &level);

    return entry ? *entry : 0;
}

void machine_expect_frames(struct machine *m, uint64_t data, uint64_t tables)
{
    struct frame_counts counts;

    m->backend->ops->count_frames(m->backend, &counts);
    assert_int_equal(counts.data, data);
    assert_int_equal(counts.tables, tables);
    assert_int_equal(counts.used, data + tables);
}

/* ---- the check ---- */

static void take_problem(void *arg, const char *problem)
{
    struct machine *m = arg;

    assert_true(m->problems < sizeof(m->told) / sizeof(m->told[0]));
    snprintf(m->told[m->problems++], sizeof(m->told[0]), "%s", problem);
}

void machine_check(struct machine *m)
{
    m->problems = 0;
    m->backend->ops->check(m->backend, &m->map, take_problem, m);
}

void machine_expect_sound(struct machine *m)
{
    machine_check(m);
    if (m->problems)
        fail_msg("%u problems: %s", m->problems, m->told[0]);
}

void machine_expect_problem(struct machine *m, const char *part)
{
    machine_check(m);
    for (unsigned i = 0; i < m->problems; i++)
        if (strstr(m->told[i], part))
            return;
    fail_msg("none of %u problems says \"%s\"; the first: %s", m->problems, part, m->problems ? m->told[0] : "");
}

/* ---- photographs ---- */

struct machine_image {
    uint64_t count; /* frames below fresh */
    uint64_t data;
    uint64_t tables;
    uint8_t *state; /* of these */
    uint16_t *note;
    uint8_t *bytes; /* their contents */
};

struct machine_image *machine_photograph(struct machine *m)
{
    const struct frames *frames = &m->sim->frames;
    struct machine_image *image = malloc(sizeof(*image));

    assert_non_null(image);
    *image = (struct machine_image){
        .count = frames->ram->fresh - frames->first, .data = frames->data, .tables = frames->tables};
    image->state = malloc(image->count);
    image->note = malloc(image->count * sizeof(*image->note));
    image->bytes = malloc(image->count * ASPACE_PAGE_SIZE);
    assert_true(image->state && image->note && image->bytes);
    memcpy(image->state, frames->state + frames->first, image->count);
    memcpy(image->note, frames->note + frames->first, image->count * sizeof(*image->note));
    memcpy(image->bytes, frames_at(frames, frames->first), image->count * ASPACE_PAGE_SIZE);
    return image;
}

/* Frames that were free may have been taken and given back meanwhile; nothing else may have changed. */
void machine_expect_same(struct machine *m, struct machine_image *image)
{
    const struct frames *frames = &m->sim->frames;

    assert_int_equal(frames->data, image->data);
    assert_int_equal(frames->tables, image->tables);
    assert_int_equal(m->sim->logged, 0);
    for (uint64_t f = frames->first; f < frames->ram->fresh; f++) {
        uint64_t i = f - frames->first;

        if (i >= image->count || (image->state[i] & FRAME_KIND) == FRAME_FREE) {
            assert_int_equal(frames_kind(frames, f), FRAME_FREE);
            continue;
        }
        assert_int_equal(frames_kind(frames, f), image->state[i] & FRAME_KIND);
        if (frames_kind(frames, f) == FRAME_TABLE)
            assert_int_equal(frames_live(frames, f), image->note[i]);
        assert_memory_equal(frames_at(frames, f), image->bytes + i * ASPACE_PAGE_SIZE, ASPACE_PAGE_SIZE);
    }
    machine_forget_image(image);
}

void machine_forget_image(struct machine_image *image)
{
    free(image->state);
    free(image->note);
    free(image->bytes);
    free(image);
}
