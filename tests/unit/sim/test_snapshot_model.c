/* Spaces, clones, snapshots, restores and diffs against whole copies of every page. ASPACE_SEED and ASPACE_STEPS repeat or
 * lengthen a run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/space_diff.h"
#include "space_fixture.h"

#define PAGES     UINT64_C(2048) /* from BASE on: four leaves of 2 MiB */
#define BASE      UINT64_C(0x40000)
#define SPACES    3
#define SNAPSHOTS 3
#define STEPS     800

/* What a space, or a snapshot, is: whole copies. A page's version changes when it gets a frame or is written to: two sides of one
 * version share the page. */
struct copy {
    bool mapped[PAGES];
    uint16_t flags[PAGES];
    bool eager[PAGES];
    uint8_t byte[PAGES];
    uint64_t version[PAGES]; /* 0: no frame yet */
    bool written[PAGES];
};

struct model {
    struct space *space; /* NULL: none */
    struct copy now;
    bool kept[SNAPSHOTS];
    struct copy then[SNAPSHOTS];
};

static struct model models[SPACES];
static uint64_t versions;
static unsigned seed;

static unsigned any(unsigned below)
{
    return (unsigned)rand_r(&seed) % below;
}

static const char *name_of(unsigned snapshot)
{
    static const char *const names[SNAPSHOTS] = {"s0", "s1", "s2"};

    return names[snapshot];
}

/* ---- Comparing ---- */

static void expect_like(const struct model *m)
{
    static uint8_t bytes[PAGES * ASPACE_PAGE_SIZE];

    for (uint64_t page = 0, end; page < PAGES; page = end) {
        end = page + 1;
        if (!m->now.mapped[page])
            continue;
        while (end < PAGES && m->now.mapped[end])
            end++;
        assert_int_equal(space_read(m->space, page_addr(BASE + page), bytes, page_addr(end - page), &why), ASPACE_OK);
        for (uint64_t i = page; i < end; i++)
            assert_int_equal(bytes[page_addr(i - page) + 5], m->now.byte[i]);
    }
}

/* Areas, page by page, as events make them. */
static void take(struct copy *c, const struct note *note)
{
    const struct area *area = note->has_after ? &note->after : &note->before;

    if (note->kind == ASPACE_EVENT_SPLIT || note->kind == ASPACE_EVENT_MERGED)
        return;
    for (uint64_t i = area->range.start - BASE; i < area->range.end - BASE; i++) {
        if (note->has_before)
            assert_true(c->mapped[i] && c->flags[i] == note->before.attr.flags);
        c->mapped[i] = note->has_after;
        c->flags[i] = area->attr.flags;
        c->eager[i] = area->attr.backing == ASPACE_BACKING_EAGER;
    }
}

static void expect_same_areas(const struct copy *a, const struct copy *b)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(a->mapped[i], b->mapped[i]);
        if (a->mapped[i])
            assert_true(a->flags[i] == b->flags[i] && a->eager[i] == b->eager[i]);
    }
}

static bool differs(const struct copy *a, const struct copy *b, uint64_t i, bool bytes)
{
    if (!a->mapped[i] || !b->mapped[i] || a->eager[i] != b->eager[i])
        return false;
    if (bytes)
        return a->byte[i] != b->byte[i];
    if (a->version[i] && b->version[i])
        return a->version[i] != b->version[i];
    return (a->version[i] && a->written[i]) || (b->version[i] && b->written[i]);
}

/* All of it, in windows as small as the limit makes them. */
static void expect_diff(struct space *space, const struct copy *now, struct space *other, const struct copy *before)
{
    static struct copy mirror;
    static bool told[PAGES];
    bool bytes = any(2);
    size_t most = 1 + any(any(2) ? 10 : 2000);
    struct range window = {0, PAGE_LIMIT};

    mirror = *before;
    memset(told, 0, sizeof(told));
    while (!range_empty(window)) {
        struct space_diff diff;

        assert_int_equal(space_diff(space, other, window, most, bytes, &why, &diff), ASPACE_OK);
        assert_true(diff.next > window.start);
        for (size_t i = 0; i < diff.count; i++)
            take(&mirror, &diff.notes[i]);
        for (size_t i = 0; i < diff.written.count; i++)
            for (uint64_t page = diff.written.runs[i].start; page < diff.written.runs[i].end; page++)
                told[page - BASE] = true;
        window.start = diff.next;
        space_diff_free(&diff);
        if (diff.next == window.end)
            break;
    }
    expect_same_areas(&mirror, now);
    for (uint64_t i = 0; i < PAGES; i++)
        if (told[i] != differs(now, before, i, bytes))
            fail_msg("page %" PRIu64 " is %stold, by %s: versions %" PRIu64 " and %" PRIu64, i, told[i] ? "" : "not ",
                     bytes ? "bytes" : "frames", now->version[i], before->version[i]);
}

/* ---- Steps ---- */

static void write_page(struct model *m, uint64_t i, uint8_t byte)
{
    if (!m->now.mapped[i] || space_write(m->space, page_addr(BASE + i) + 5, &byte, 1, &why))
        return;
    m->now.byte[i] = byte;
    m->now.version[i] = ++versions;
    m->now.written[i] = true;
}

static void touch_page(struct model *m, uint64_t i, enum aspace_access kind)
{
    enum aspace_outcome outcome;

    if (!m->now.mapped[i] || m->now.eager[i]) /* a large page's dirty bit is that of all its pages */
        return;
    outcome = touch(m->space, BASE + i, kind);
    if (outcome == ASPACE_OUTCOME_FAULT)
        return;
    if (kind == ASPACE_ACCESS_WRITE || outcome == ASPACE_OUTCOME_FILLED)
        m->now.version[i] = ++versions;
    m->now.written[i] = m->now.written[i] || kind == ASPACE_ACCESS_WRITE;
}

static void map_pages(struct model *m, struct range range, bool eager)
{
    enum aspace_page page = eager && any(2) ? ASPACE_PAGE_AUTO : ASPACE_PAGE_4K;

    if (try_map(m->space, (struct range){BASE + range.start, BASE + range.end}, RW,
                eager ? ASPACE_BACKING_EAGER : ASPACE_BACKING_LAZY, page))
        return;
    for (uint64_t i = range.start; i < range.end; i++) {
        m->now.mapped[i] = true;
        m->now.flags[i] = RW;
        m->now.eager[i] = eager;
        m->now.byte[i] = 0;
        m->now.version[i] = eager ? ++versions : 0;
        m->now.written[i] = false;
    }
}

static void protect_pages(struct model *m, struct range range, uint16_t flags)
{
    size_t changed;

    if (memory_set_protect(&m->space->set, (struct range){BASE + range.start, BASE + range.end}, flags, RW,
                           ASPACE_HOLES_SKIP, &why, &changed))
        return;
    for (uint64_t i = range.start; i < range.end; i++)
        m->now.flags[i] = flags;
}

static void unmap_pages(struct model *m, struct range range)
{
    uint64_t pages;
    size_t removed;

    if (memory_set_unmap(&m->space->set, (struct range){BASE + range.start, BASE + range.end}, ASPACE_HOLES_SKIP, &why,
                         &pages, &removed) == ASPACE_OK)
        memset(m->now.mapped + range.start, false, range_pages(range));
}

static void step_clone(struct model *m)
{
    struct model *other = &models[any(SPACES)];

    if (other->space && other != m && any(2)) {
        space_destroy(other->space);
        memset(other, 0, sizeof(*other));
    } else if (!other->space && space_clone(m->space, "c", NULL, &why, &other->space) == ASPACE_OK) {
        other->now = m->now;
    }
}

static void step_snapshot(struct model *m, unsigned which)
{
    if (m->kept[which]) {
        assert_int_equal(space_drop(m->space, name_of(which), &why), ASPACE_OK);
        m->kept[which] = false;
    } else if (space_snapshot(m->space, name_of(which), SNAPSHOTS, &why) == ASPACE_OK) {
        m->kept[which] = true;
        m->then[which] = m->now;
    }
}

/* Whoever watches sees the one become the other. */
static void step_restore(struct model *m, unsigned which)
{
    static struct copy mirror;
    struct watch watch = {.most = 100000};

    if (!m->kept[which])
        return;
    m->space->backend->watch = &watch;
    if (space_restore(m->space, name_of(which), &why) == ASPACE_OK) {
        mirror = m->now;
        for (size_t i = 0; i < watch.kept; i++)
            take(&mirror, &watch.notes[i]);
        m->now = m->then[which];
        expect_same_areas(&mirror, &m->now);
    }
    m->space->backend->watch = NULL;
    watch_free(&watch);
}

static void step_diff(struct model *m, unsigned which)
{
    const struct model *other = &models[any(SPACES)];

    if (m->kept[which]) {
        struct space *snapshot;

        assert_int_equal(space_find_snapshot(m->space, name_of(which), &why, &snapshot), ASPACE_OK);
        expect_diff(m->space, &m->now, snapshot, &m->then[which]);
    }
    if (other->space)
        expect_diff(m->space, &m->now, other->space, &other->now);
}

/* Refusals for want of RAM may come; they change nothing. */
static void step(void)
{
    struct model *m = &models[any(SPACES)];
    unsigned which = any(SNAPSHOTS);
    uint64_t page = any(PAGES);
    uint64_t count = 1 + any(any(4) ? 20 : 700);
    struct range range = {page, page + (count < PAGES - page ? count : PAGES - page)};

    if (!m->space)
        return;
    switch (any(12)) {
    case 0:
        step_clone(m);
        return;
    case 1:
        map_pages(m, range, any(2));
        return;
    case 2:
        unmap_pages(m, range);
        return;
    case 3:
        protect_pages(m, range, any(2) ? RW : R);
        return;
    case 4:
        touch_page(m, page, any(2) ? ASPACE_ACCESS_WRITE : ASPACE_ACCESS_READ);
        return;
    case 5:
        step_snapshot(m, which);
        return;
    case 6:
        step_restore(m, which);
        return;
    case 7:
        step_diff(m, which);
        return;
    default:
        for (uint64_t i = page; i < page + 3 && i < PAGES; i++)
            write_page(m, i, (uint8_t)any(4));
    }
}

static unsigned from_environment(const char *name, unsigned fallback)
{
    const char *text = getenv(name);

    return text ? (unsigned)strtoul(text, NULL, 0) : fallback;
}

static void expect_all_sound(void)
{
    for (unsigned s = 0; s < SPACES; s++) {
        if (!models[s].space)
            continue;
        expect_like(&models[s]);
        expect_sound(models[s].space);
    }
}

static void any_mixture_is_what_whole_copies_would_be(void **state)
{
    unsigned steps = from_environment("ASPACE_STEPS", STEPS);

    (void)state;
    seed = from_environment("ASPACE_SEED", (unsigned)time(NULL));
    print_message("ASPACE_SEED=%u\n", seed);
    for (size_t a = 0; a < SPACE_ARCHS; a++) {
        memset(models, 0, sizeof(models));
        models[0].space = make_space(space_archs[a], any(3) ? 12000 : 4000);
        map_pages(&models[0], (struct range){0, PAGES}, true);
        for (unsigned i = 0; i < steps; i++) {
            step();
            if (i % 40 == 0)
                expect_all_sound();
        }
        expect_all_sound();
        for (unsigned s = 0; s < SPACES; s++)
            if (models[s].space)
                space_destroy(models[s].space);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_mixture_is_what_whole_copies_would_be)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
