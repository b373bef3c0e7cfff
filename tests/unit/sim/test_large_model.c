/* Random transactions with pages of all sizes on every architecture against an oracle that is an array of small pages:
 * entries, contents and accesses. An injected fault or the end of RAM may refuse any of them. Prints its seed; ASPACE_SEED
 * repeats a run and ASPACE_STEPS sets its length. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine_fixture.h"

#define STEPS  160  /* for each architecture */
#define FRAMES 1900 /* not enough for all pages: refusals are part of it */

/* The universe: six large pages below the border of a gigabyte and two above it. */
#define BLOCKS    8
#define PAGES     (BLOCKS * (unsigned)SPAN2)
#define FIRST     (SPAN3 - 6 * SPAN2)
#define EDITS_MAX 64
#define LINEAR_PA UINT64_C(0x40000) /* outside RAM, at a multiple of 1 GiB */

struct oracle_page {
    unsigned area; /* which map or split made it; 0: nothing is mapped */
    uint16_t flags;
    uint8_t backing;
    uint8_t page;
    bool filled;
    uint64_t pa_page; /* linear */
    uint64_t stamp;   /* what its bytes are made of; 0: all 0 */
};

struct model {
    struct machine machine;
    struct inject inject;
    uint64_t random;
    unsigned areas;
    struct oracle_page pages[PAGES];
    struct oracle_page before[PAGES]; /* the open transaction */
    struct edit edits[EDITS_MAX];
    unsigned edit_count;
    unsigned passed;
    unsigned refused;
    unsigned large; /* large leaves seen */
};

static struct model model; /* large */

/* xorshift64*. */
static uint64_t roll(struct model *m, uint64_t below)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return (m->random * UINT64_C(2685821657736338717) >> 11) % below;
}

struct run {
    unsigned first;
    unsigned end;
};

/* Two of three begin and end where large pages do. */
static struct run roll_run(struct model *m)
{
    unsigned count = 1 + (unsigned)roll(m, roll(m, 3) ? 2 * SPAN2 : 20);
    unsigned first = (unsigned)roll(m, PAGES - count + 1);
    unsigned end = first + count;

    if (roll(m, 3)) {
        first &= ~(unsigned)(SPAN2 - 1);
        end = (end + (unsigned)SPAN2 - 1) & ~(unsigned)(SPAN2 - 1);
    }
    return (struct run){first, end};
}

/* The piece of one area that begins at `slot` and ends at `end` at the latest. */
static struct run piece_from(const struct model *m, unsigned slot, unsigned end)
{
    struct run run = {slot, slot};

    while (run.end < end && m->pages[run.end].area == m->pages[slot].area &&
           m->pages[run.end].flags == m->pages[slot].flags)
        run.end++;
    return run;
}

static struct area area_of(const struct model *m, struct run run)
{
    const struct oracle_page *page = &m->pages[run.first];
    struct area area = {.range = {FIRST + run.first, FIRST + run.end},
                        .attr = {.flags = page->flags & 1023, .backing = page->backing & 15, .page = page->page & 3}};

    if (page->backing == ASPACE_BACKING_LINEAR)
        area.attr.delta = page->pa_page - area.range.start;
    return area;
}

/* All of the area that `slot` lies in. */
static struct area whole_area(const struct model *m, unsigned slot)
{
    struct run run = {slot, 0};

    while (run.first > 0 && piece_from(m, run.first - 1, PAGES).end > slot)
        run.first--;
    run.end = piece_from(m, slot, PAGES).end;
    return area_of(m, run);
}

/* Pages that hardware has are filled now; those that are new lie in one leaf of `touched`, or are it alone. */
static void follow_fill(struct model *m, struct run run)
{
    for (unsigned slot = 0; slot < PAGES; slot++) {
        struct oracle_page *page = &m->pages[slot];
        bool there = machine_entry(&m->machine, FIRST + slot) != 0;

        if (there == page->filled)
            continue;
        assert_true(there && page->backing == ASPACE_BACKING_LAZY && page->area);
        assert_true(slot / SPAN2 >= run.first / SPAN2 && slot / SPAN2 <= (run.end - 1) / SPAN2);
        page->filled = true;
    }
}

static bool refused(enum aspace_error error)
{
    if (error)
        assert_int_equal(error, ASPACE_NO_MEMORY);
    return error != ASPACE_OK;
}

static bool try_edit(struct model *m, struct edit edit)
{
    if (refused(machine_try(&m->machine, &edit)))
        return false;
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
        if (!m->pages[slot].area)
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
    struct oracle_page page = {.flags = (uint16_t)roll(m, roll(m, 2) ? 8 : 256),
                               .backing = (uint8_t)roll(m, 3),
                               .page = roll(m, 4) ? ASPACE_PAGE_AUTO : (uint8_t)roll(m, 4)};
    uint64_t pa = LINEAR_PA + (roll(m, 2) ? SPAN2 * roll(m, 8) : roll(m, 2000));

    if (!unmap_run(m, run))
        return false;
    page.area = ++m->areas;
    page.filled = page.backing != ASPACE_BACKING_LAZY;
    for (unsigned slot = run.first; slot < run.end; slot++) {
        m->pages[slot] = page;
        m->pages[slot].pa_page = pa + slot - run.first;
    }
    return try_edit(m, (struct edit){.kind = EDIT_MAP, .area = area_of(m, run)});
}

static bool step_protect(struct model *m)
{
    struct run run = roll_run(m);
    uint16_t flags = (uint16_t)roll(m, 8);
    struct run piece;

    for (unsigned slot = run.first; slot < run.end; slot = piece.end) {
        piece = piece_from(m, slot, run.end);
        if (!m->pages[slot].area)
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
    to.end = to.first + (from.end - from.first);
    if (!m->pages[from.first].area || to.end > PAGES || (to.first < from.end && from.first < to.end))
        return true;
    if (!unmap_run(m, to) ||
        !try_edit(m, (struct edit){.kind = EDIT_MOVE, .area = area_of(m, from), .to = FIRST + to.first}))
        return false;
    memcpy(&m->pages[to.first], &m->pages[from.first], (from.end - from.first) * sizeof(m->pages[0]));
    memset(&m->pages[from.first], 0, (from.end - from.first) * sizeof(m->pages[0]));
    m->areas++;
    for (unsigned slot = to.first; slot < to.end; slot++)
        m->pages[slot].area = m->areas;
    return true;
}

/* The backend is not asked: a large leaf may lie in two areas then. */
static bool step_split(struct model *m)
{
    unsigned at = 1 + (unsigned)roll(m, PAGES - 1);
    unsigned end = piece_from(m, at, PAGES).end;
    struct edit edit;

    if (!m->pages[at].area || m->edit_count == EDITS_MAX)
        return true;
    m->areas++;
    for (unsigned slot = at; slot < end; slot++)
        m->pages[slot].area = m->areas;
    edit = (struct edit){.kind = EDIT_PROTECT, .area = area_of(m, (struct run){at, end})};
    edit.flags = edit.area.attr.flags; /* which has the map follow, and changes nothing */
    m->edits[m->edit_count++] = edit;
    return true;
}

static bool step_touch(struct model *m)
{
    struct run run = roll_run(m);
    struct area whole;

    run.end = piece_from(m, run.first, run.first + 20 < run.end ? run.first + 20 : run.end).end;
    if (!m->pages[run.first].area || m->pages[run.first].backing == ASPACE_BACKING_LINEAR)
        return true;
    whole = whole_area(m, run.first);
    if (refused(m->machine.backend->ops->prepare_write(m->machine.backend, &whole, page_addr(FIRST + run.first),
                                                       page_addr(run.end - run.first), &m->machine.why)))
        return false;
    follow_fill(m, run);
    for (unsigned slot = run.first; slot < run.end; slot++)
        assert_true(m->pages[slot].filled);
    return true;
}

/* ---- bytes and accesses ---- */

static void page_bytes(uint64_t stamp, uint64_t *words)
{
    for (unsigned i = 0; i < ASPACE_PAGE_SIZE / 8; i++)
        words[i] = stamp ? stamp * (i + 1) : 0;
}

static void step_write(struct model *m)
{
    unsigned slot = (unsigned)roll(m, PAGES);
    uint64_t words[ASPACE_PAGE_SIZE / 8];
    struct area whole;

    if (!m->pages[slot].area || m->pages[slot].backing == ASPACE_BACKING_LINEAR)
        return;
    whole = whole_area(m, slot);
    page_bytes(m->random, words);
    if (refused(machine_try_write(&m->machine, &whole, page_addr(FIRST + slot), words, sizeof(words)))) {
        m->refused++;
        return;
    }
    m->passed++;
    follow_fill(m, (struct run){slot, slot + 1});
    m->pages[slot].stamp = m->random;
}

/* What the architectures widen differently is asked of them; test_ARCH.c says that they are right. */
static void step_access(struct model *m)
{
    unsigned slot = (unsigned)roll(m, PAGES);
    struct oracle_page *page = &m->pages[slot];
    enum aspace_access kind = (enum aspace_access)roll(m, 3);
    enum aspace_mode mode = (enum aspace_mode)roll(m, 2);
    const struct backend_ops *ops = m->machine.backend->ops;
    uint64_t addr = page_addr(FIRST + slot) + roll(m, ASPACE_PAGE_SIZE);
    struct area whole = whole_area(m, slot);
    bool good = page->area && ops->allows(m->machine.backend, &whole, kind, mode);
    struct access access;

    if (refused(
            ops->access(m->machine.backend, page->area ? &whole : NULL, addr, kind, mode, &m->machine.why, &access))) {
        assert_true(good && !page->filled);
        ops->rollback(m->machine.backend);
        m->refused++;
        return;
    }
    ops->commit(m->machine.backend);
    if (!good) {
        assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
        assert_string_equal(access.reason, page->area ? "protection" : "unmapped");
        return;
    }
    assert_int_equal(access.outcome, page->filled ? ASPACE_OUTCOME_HIT : ASPACE_OUTCOME_FILLED);
    follow_fill(m, (struct run){slot, slot + 1});
    assert_int_equal(access.pa, machine_walk(&m->machine, addr).pa);
}

/* ---- the comparison ---- */

static void expect_page(struct model *m, unsigned slot)
{
    const struct oracle_page *page = &m->pages[slot];
    uint64_t addr = page_addr(FIRST + slot);
    struct walk walk = machine_walk(&m->machine, addr + 5);
    struct area area = area_of(m, (struct run){slot, slot + 1});
    uint64_t words[ASPACE_PAGE_SIZE / 8];
    uint64_t bytes[ASPACE_PAGE_SIZE / 8];

    assert_int_equal(walk.has_pa, page->filled && (page->flags & RWX));
    if (walk.has_pa && page->backing == ASPACE_BACKING_LINEAR)
        assert_int_equal(walk.pa, page_addr(page->pa_page) + 5);
    m->large += walk.page_size > ASPACE_PAGE_SIZE;
    if (!page->area || page->backing == ASPACE_BACKING_LINEAR)
        return;
    machine_read(&m->machine, &area, addr, bytes, sizeof(bytes));
    page_bytes(page->stamp, words);
    assert_memory_equal(bytes, words, sizeof(bytes));
}

static void expect_all(struct model *m)
{
    uint64_t data = 0;
    struct frame_counts counts;

    for (unsigned slot = 0; slot < PAGES; slot++) {
        assert_int_equal(machine_entry(&m->machine, FIRST + slot) != 0, m->pages[slot].filled);
        data += m->pages[slot].filled && m->pages[slot].backing != ASPACE_BACKING_LINEAR;
        expect_page(m, slot);
    }
    m->machine.backend->ops->count_frames(m->machine.backend, &counts);
    assert_int_equal(counts.data, data);
    machine_expect_sound(&m->machine);
}

/* ---- transactions ---- */

static bool step_edit(struct model *m)
{
    switch (roll(m, 9)) {
    case 0:
    case 1:
    case 2:
        return step_map(m);
    case 3:
        return roll(m, 2) ? unmap_run(m, roll_run(m)) : step_touch(m);
    case 4:
        return step_touch(m);
    case 5:
        return step_protect(m);
    case 6:
        return step_split(m);
    default:
        return step_move(m);
    }
}

/* At times one of the next frames that are taken fails. */
static void arm(struct model *m)
{
    struct inject_fault fault = {
        .op = ASPACE_INJECT_FRAME, .error = ASPACE_NO_MEMORY, .step = 1 + roll(m, roll(m, 2) ? 6 : 600), .count = 1};
    uint64_t id;

    m->inject.count = 0;
    m->machine.backend->inject = NULL;
    if (roll(m, 3))
        return;
    assert_int_equal(inject_add(&m->inject, &fault, 4, &m->machine.why, &id), ASPACE_OK);
    m->machine.backend->inject = &m->inject;
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
    if (!passed || !roll(m, 4)) {
        m->machine.backend->ops->rollback(m->machine.backend);
        memcpy(m->pages, m->before, sizeof(m->pages));
        machine_expect_same(&m->machine, image);
        return;
    }
    machine_forget_image(image);
    m->machine.backend->ops->commit(m->machine.backend);
    for (unsigned i = 0; i < m->edit_count; i++)
        machine_follow(&m->machine, &m->edits[i]);
    m->passed++;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static void run_model(struct model *m, const char *arch, uint64_t seed, uint64_t steps)
{
    static const uint64_t firsts[] = {0, UINT64_C(0x80000), UINT64_C(0x80001),
                                      (UINT64_C(1) << 32) - FRAMES}; /* of RAM */

    memset(m, 0, sizeof(*m));
    m->random = seed * 2 + 1; /* not 0 */
    machine_open_at(&m->machine, arch, firsts[seed / 2 % 4], FRAMES);
    for (uint64_t step = 0; step < steps; step++) {
        arm(m);
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
        m->machine.backend->inject = NULL;
        if (step % 4 == 3)
            expect_all(m);
    }
    printf("%s: %u passed, %u refused, %u large\n", arch, m->passed, m->refused, m->large);
    if (steps >= STEPS)
        assert_true(m->passed > steps / 8 && m->refused && m->large);
    inject_free(&m->inject);
    machine_close(&m->machine);
}

static void random_transactions_with_pages_of_all_sizes_do_what_an_array_of_pages_says(void **state)
{
    static const char *const archs[] = {
#define X(name, text) text,
        ASPACE_ARCH_MAP(X)
#undef X
    };
    uint64_t seed = number_from("ASPACE_SEED", (uint64_t)time(NULL));
    uint64_t steps = number_from("ASPACE_STEPS", STEPS);

    (void)state;
    printf("ASPACE_SEED=%" PRIu64 " ASPACE_STEPS=%" PRIu64 "\n", seed, steps);
    fflush(stdout);
    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
        run_model(&model, archs[i], seed + i, steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_transactions_with_pages_of_all_sizes_do_what_an_array_of_pages_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
