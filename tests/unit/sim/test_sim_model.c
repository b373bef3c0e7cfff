/* Random transactions against an oracle that is an array of pages: entries, contents and accesses are compared after
 * each. Prints its seed; ASPACE_SEED repeats a run and ASPACE_STEPS sets its length. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine_fixture.h"

#define STEPS  4000
#define FRAMES 72 /* too few for all pages: refusals are part of it */

/* The universe: windows over the borders of tables of level 1, 2 and 3. */
#define WINDOWS      3
#define WINDOW_PAGES 24
#define PAGES        (WINDOWS * WINDOW_PAGES)
#define EDITS_MAX    512

static const uint64_t window_starts[WINDOWS] = {SPAN2 - 12, SPAN3 - 12, SPAN4 - 12};

struct oracle_page {
    unsigned identity; /* which map call made it; 0: nothing is mapped */
    uint16_t flags;
    uint8_t backing;
    uint64_t pa_page; /* linear */
    bool filled;
    uint8_t bytes[ASPACE_PAGE_SIZE];
};

struct model {
    struct machine machine;
    uint64_t random;
    unsigned identities;
    struct oracle_page pages[PAGES];
    struct oracle_page before[PAGES]; /* the open transaction */
    struct edit edits[EDITS_MAX];     /* that the transaction made by now */
    unsigned edit_count;
    unsigned passed;
    unsigned refused;
};

static struct model model; /* large */

/* ---- random values ---- */

/* xorshift64*. */
static uint64_t roll(struct model *m, uint64_t below)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return (m->random * UINT64_C(2685821657736338717) >> 11) % below;
}

static bool one_in(struct model *m, uint64_t n)
{
    return roll(m, n) == 0;
}

static uint16_t roll_flags(struct model *m)
{
    return (uint16_t)(one_in(m, 3) ? roll(m, 256) : roll(m, 8));
}

/* A run of slots of the universe inside one window. */
struct run {
    unsigned first;
    unsigned end;
};

static struct run roll_run(struct model *m)
{
    unsigned window = (unsigned)roll(m, WINDOWS) * WINDOW_PAGES;
    unsigned count = 1 + (unsigned)roll(m, one_in(m, 4) ? WINDOW_PAGES : 6);
    unsigned first = (unsigned)roll(m, WINDOW_PAGES - count + 1);

    return (struct run){window + first, window + first + count};
}

static uint64_t page_at(unsigned slot)
{
    return window_starts[slot / WINDOW_PAGES] + slot % WINDOW_PAGES;
}

/* ---- pieces ---- */

/* The piece of one area that begins at `slot` and ends at `end` at the latest. */
static struct run piece_from(const struct model *m, unsigned slot, unsigned end)
{
    struct run run = {slot, slot};

    while (run.end < end && m->pages[run.end].identity == m->pages[slot].identity &&
           m->pages[run.end].flags == m->pages[slot].flags)
        run.end++;
    return run;
}

static struct area area_of(const struct model *m, struct run run)
{
    const struct oracle_page *page = &m->pages[run.first];
    struct area area = {.range = {page_at(run.first), page_at(run.first) + run.end - run.first},
                        .attr = {.flags = page->flags, .backing = page->backing}};

    if (page->backing == ASPACE_BACKING_LINEAR)
        area.attr.delta = page->pa_page - area.range.start;
    return area;
}

static bool try_edit(struct model *m, struct edit edit)
{
    if (machine_try(&m->machine, &edit)) {
        assert_int_equal(m->machine.why.code, ASPACE_NO_MEMORY);
        return false;
    }
    assert_true(m->edit_count < EDITS_MAX);
    m->edits[m->edit_count++] = edit;
    return true;
}

/* ---- edits, each on the machine and on the oracle ---- */

static bool unmap_run(struct model *m, struct run run)
{
    struct run piece;

    for (unsigned slot = run.first; slot < run.end; slot = piece.end) {
        piece = piece_from(m, slot, run.end);
        if (!m->pages[slot].identity)
            continue;
        if (!try_edit(m, (struct edit){.kind = EDIT_UNMAP, .area = area_of(m, piece)}))
            return false;
        memset(&m->pages[piece.first], 0, (piece.end - piece.first) * sizeof(m->pages[0]));
    }
    return true;
}

static bool step_map(struct model *m)
{
    struct run run = roll_run(m);
    uint8_t backing = (uint16_t)roll(m, 3);
    uint16_t flags = roll_flags(m);

    if (!unmap_run(m, run))
        return false;
    m->identities++;
    for (unsigned slot = run.first; slot < run.end; slot++) {
        m->pages[slot].identity = m->identities;
        m->pages[slot].flags = flags;
        m->pages[slot].backing = backing;
        m->pages[slot].filled = backing != ASPACE_BACKING_LAZY;
        if (backing == ASPACE_BACKING_LINEAR) /* outside RAM, where no bytes are */
            m->pages[slot].pa_page = UINT64_C(0x100000) + m->identities * 100 + slot - run.first;
    }
    return try_edit(m, (struct edit){.kind = EDIT_MAP, .area = area_of(m, run)});
}

static bool step_unmap(struct model *m)
{
    return unmap_run(m, roll_run(m));
}

static bool step_protect(struct model *m)
{
    struct run run = roll_run(m);
    uint16_t flags = roll_flags(m);
    struct run piece;

    for (unsigned slot = run.first; slot < run.end; slot = piece.end) {
        piece = piece_from(m, slot, run.end);
        if (!m->pages[slot].identity)
            continue;
        if (!try_edit(m, (struct edit){.kind = EDIT_PROTECT, .area = area_of(m, piece), .flags = flags}))
            return false;
        for (unsigned s = piece.first; s < piece.end; s++)
            m->pages[s].flags = flags;
    }
    return true;
}

static bool step_move(struct model *m)
{
    struct run from = roll_run(m);
    struct run to = roll_run(m);

    from = piece_from(m, from.first, from.end);
    if (!m->pages[from.first].identity)
        return true;
    if (to.first % WINDOW_PAGES + (from.end - from.first) > WINDOW_PAGES)
        return true;
    to.end = to.first + (from.end - from.first);
    if (to.first < from.end && from.first < to.end)
        return true;
    if (!unmap_run(m, to) ||
        !try_edit(m, (struct edit){.kind = EDIT_MOVE, .area = area_of(m, from), .to = page_at(to.first)}))
        return false;
    memcpy(&m->pages[to.first], &m->pages[from.first], (from.end - from.first) * sizeof(m->pages[0]));
    memset(&m->pages[from.first], 0, (from.end - from.first) * sizeof(m->pages[0]));
    m->identities++;
    for (unsigned slot = to.first; slot < to.end; slot++)
        m->pages[slot].identity = m->identities;
    return true;
}

static bool step_touch(struct model *m)
{
    struct run run = roll_run(m);

    run = piece_from(m, run.first, run.end);
    if (!m->pages[run.first].identity || m->pages[run.first].backing == ASPACE_BACKING_LINEAR)
        return true;
    if (!try_edit(m, (struct edit){.kind = EDIT_TOUCH, .area = area_of(m, run)}))
        return false;
    for (unsigned slot = run.first; slot < run.end; slot++)
        m->pages[slot].filled = true;
    return true;
}

/* ---- bytes and accesses, each a transaction of its own ---- */

static void step_write(struct model *m)
{
    struct run run = roll_run(m);
    uint8_t bytes[WINDOW_PAGES * ASPACE_PAGE_SIZE] = {0};
    size_t skip = (size_t)roll(m, ASPACE_PAGE_SIZE);
    size_t size;
    struct area area;

    run = piece_from(m, run.first, run.end);
    if (!m->pages[run.first].identity)
        return;
    size = 1 + (size_t)roll(m, (run.end - run.first) * ASPACE_PAGE_SIZE - skip);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + m->random);
    area = area_of(m, run);
    if (machine_try_write(&m->machine, &area, page_addr(area.range.start) + skip, bytes, size)) {
        bool linear = area.attr.backing == ASPACE_BACKING_LINEAR;

        assert_int_equal(m->machine.why.code, linear ? ASPACE_BAD_STATE : ASPACE_NO_MEMORY);
        m->refused++;
        return;
    }
    assert_int_not_equal(area.attr.backing, ASPACE_BACKING_LINEAR);
    m->passed++;
    for (size_t i = 0; i < size; i++) {
        struct oracle_page *page = &m->pages[run.first + (skip + i) / ASPACE_PAGE_SIZE];

        page->filled = true;
        page->bytes[(skip + i) % ASPACE_PAGE_SIZE] = bytes[i];
    }
}

static bool allowed(const struct oracle_page *page, enum aspace_access kind, enum aspace_mode mode)
{
    if (!(page->flags & RWX) || (mode == ASPACE_MODE_USER && page->flags & ASPACE_KERNEL))
        return false;
    return kind == ASPACE_ACCESS_READ || page->flags & (kind == ASPACE_ACCESS_WRITE ? ASPACE_WRITE : ASPACE_EXEC);
}

/* SDM 4.7: P, W, U, I are bits 0, 1, 2, 4. */
static uint32_t fault_code(const struct oracle_page *page, enum aspace_access kind, enum aspace_mode mode)
{
    bool present = page->identity && page->filled && page->flags & RWX;

    return (present ? 1u : 0u) | (kind == ASPACE_ACCESS_WRITE ? 2u : 0u) | (mode == ASPACE_MODE_USER ? 4u : 0u) |
           (kind == ASPACE_ACCESS_EXEC ? 16u : 0u);
}

static void step_access(struct model *m)
{
    unsigned slot = (unsigned)roll(m, PAGES);
    struct oracle_page *page = &m->pages[slot];
    enum aspace_access kind = (enum aspace_access)roll(m, 3);
    enum aspace_mode mode = (enum aspace_mode)roll(m, 2);
    const struct backend_ops *ops = m->machine.backend->ops;
    uint64_t addr = page_addr(page_at(slot)) + roll(m, ASPACE_PAGE_SIZE);
    struct area area = area_of(m, (struct run){slot, slot + 1});
    struct access access;

    if (ops->access(m->machine.backend, page->identity ? &area : NULL, addr, kind, mode, &m->machine.why, &access)) {
        assert_int_equal(m->machine.why.code, ASPACE_NO_MEMORY);
        assert_true(page->identity && !page->filled && allowed(page, kind, mode));
        ops->rollback(m->machine.backend);
        m->refused++;
        return;
    }
    ops->commit(m->machine.backend);
    if (!page->identity || !allowed(page, kind, mode)) {
        assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
        assert_string_equal(access.reason, page->identity ? "protection" : "unmapped");
        assert_int_equal(access.addr, addr);
        assert_int_equal(access.code, fault_code(page, kind, mode));
        return;
    }
    assert_int_equal(access.outcome, page->filled ? ASPACE_OUTCOME_HIT : ASPACE_OUTCOME_FILLED);
    page->filled = true;
    assert_int_equal(access.pa,
                     (machine_entry(&m->machine, page_at(slot)) & UINT64_C(0x000ffffffffff000)) | (addr & 0xfff));
    assert_true(machine_entry(&m->machine, page_at(slot)) & 0x20);
    if (kind == ASPACE_ACCESS_WRITE)
        assert_true(machine_entry(&m->machine, page_at(slot)) & 0x40);
}

/* ---- the comparison ---- */

static void expect_page(struct model *m, unsigned slot)
{
    const struct oracle_page *page = &m->pages[slot];
    struct walk walk = machine_walk(&m->machine, page_addr(page_at(slot)) + 5);
    struct area area = area_of(m, (struct run){slot, slot + 1});
    uint8_t bytes[ASPACE_PAGE_SIZE];

    assert_int_equal(machine_entry(&m->machine, page_at(slot)) != 0, page->filled);
    assert_int_equal(walk.has_pa, page->filled && (page->flags & RWX));
    if (walk.has_pa && page->backing == ASPACE_BACKING_LINEAR)
        assert_int_equal(walk.pa, page_addr(page->pa_page) + 5);
    if (!page->identity || page->backing == ASPACE_BACKING_LINEAR)
        return;
    machine_read(&m->machine, &area, page_addr(page_at(slot)), bytes, sizeof(bytes));
    assert_memory_equal(bytes, page->bytes, sizeof(bytes));
}

static void expect_all(struct model *m)
{
    uint64_t data = 0;
    struct frame_counts counts;

    for (unsigned slot = 0; slot < PAGES; slot++) {
        expect_page(m, slot);
        data += m->pages[slot].filled && m->pages[slot].backing != ASPACE_BACKING_LINEAR;
    }
    m->machine.backend->ops->count_frames(m->machine.backend, &counts);
    assert_int_equal(counts.data, data);
    machine_expect_sound(&m->machine);
}

/* ---- transactions ---- */

static bool step_edit(struct model *m)
{
    switch (roll(m, 8)) {
    case 0:
    case 1:
    case 2:
        return step_map(m);
    case 3:
        return step_unmap(m);
    case 4:
        return step_touch(m);
    case 5:
        return step_protect(m);
    default:
        return step_move(m);
    }
}

static void follow(struct model *m)
{
    m->machine.backend->ops->commit(m->machine.backend);
    for (unsigned i = 0; i < m->edit_count; i++)
        machine_follow(&m->machine, &m->edits[i]);
    m->passed++;
}

static void give_up(struct model *m, struct machine_image *image)
{
    m->machine.backend->ops->rollback(m->machine.backend);
    memcpy(m->pages, m->before, sizeof(m->pages));
    machine_expect_same(&m->machine, image);
}

/* One to four edits, all or none: at times none although all went through. */
static void step_transaction(struct model *m)
{
    struct machine_image *image = machine_photograph(&m->machine);
    uint64_t edits = 1 + roll(m, 4);
    bool passed = true;

    memcpy(m->before, m->pages, sizeof(m->pages));
    m->edit_count = 0;
    while (passed && edits--)
        passed = step_edit(m);
    m->refused += !passed;
    if (!passed || one_in(m, 4)) {
        give_up(m, image);
        return;
    }
    machine_forget_image(image);
    follow(m);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_transactions_do_what_an_array_of_pages_says(void **state)
{
    struct model *m = &model;
    uint64_t seed = number_from("ASPACE_SEED", (uint64_t)time(NULL));
    uint64_t steps = number_from("ASPACE_STEPS", STEPS);

    (void)state;
    printf("ASPACE_SEED=%" PRIu64 " ASPACE_STEPS=%" PRIu64 "\n", seed, steps);
    fflush(stdout);
    m->random = seed * 2 + 1; /* not 0 */
    machine_open_at(&m->machine, "x86_64", seed % 2 ? UINT64_C(0x80000) : 0, FRAMES);
    for (uint64_t step = 0; step < steps; step++) {
        switch (roll(m, 4)) {
        case 0:
            step_write(m);
            break;
        case 1:
            step_access(m);
            break;
        default:
            step_transaction(m);
        }
        expect_all(m);
    }
    printf("%u passed, %u refused\n", m->passed, m->refused);
    if (steps >= STEPS)
        assert_true(m->passed > steps / 4 && m->refused > steps / 100);
    machine_close(&m->machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_transactions_do_what_an_array_of_pages_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
