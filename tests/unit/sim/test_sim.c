/* The simulated machine through its vtable: edits with commit and rollback, what a CPU sees and what a debugger does.
 * Entries and fault codes are constants worked out by hand; see test_x86_64.c. */
#include <stdlib.h>
#include <string.h>

#include "machine_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define LOW_BITS ~UINT64_C(0x000ffffffffff000) /* of an entry: all but the address */

static const struct backend_ops *ops_of(struct machine *m)
{
    return m->backend->ops;
}

static void commit(struct machine *m)
{
    ops_of(m)->commit(m->backend);
}

static void rollback(struct machine *m)
{
    ops_of(m)->rollback(m->backend);
}

static enum aspace_error map(struct machine *m, struct area area)
{
    return ops_of(m)->map(m->backend, &area, &m->why);
}

static enum aspace_error unmap(struct machine *m, struct area area)
{
    return ops_of(m)->unmap(m->backend, &area, &m->why);
}

static enum aspace_error protect(struct machine *m, struct area area, uint16_t flags)
{
    return ops_of(m)->protect(m->backend, &area, flags, &m->why);
}

/* Writes `value` to the first byte of the page. */
static void mark(struct machine *m, const struct area *area, uint64_t page, unsigned char value)
{
    machine_write(m, area, page_addr(page), &value, 1);
}

static unsigned marked(struct machine *m, const struct area *area, uint64_t page)
{
    unsigned char value;

    machine_read(m, area, page_addr(page), &value, 1);
    return value;
}

/* ---- transactions ---- */

static struct area of_backing(enum aspace_backing backing, uint64_t start)
{
    if (backing == ASPACE_BACKING_LAZY)
        return machine_lazy(start, 4, RW);
    if (backing == ASPACE_BACKING_EAGER)
        return machine_eager(start, 4, RW);
    return machine_linear(start, 4, RW, 40);
}

static void a_map_that_is_rolled_back_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned backing = 0; backing < 3; backing++) {
        struct machine m;
        struct machine_image *before;

        machine_open(&m, 64);
        before = machine_photograph(&m);
        assert_int_equal(map(&m, of_backing(backing, SPAN2 - 2)), ASPACE_OK);
        rollback(&m);
        machine_expect_same(&m, before);
        machine_expect_frames(&m, 0, 1);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void each_backing_takes_the_frames_that_it_promises(void **state)
{
    static const uint64_t data[] = {0, 4, 0};
    static const uint64_t tables[] = {1, 5, 5};

    (void)state;
    for (unsigned backing = 0; backing < 3; backing++) {
        struct machine m;
        struct area area = of_backing(backing, SPAN2 - 2);

        machine_open(&m, 64);
        machine_map(&m, area);
        machine_expect_frames(&m, data[backing], tables[backing]);
        machine_expect_sound(&m);
        machine_unmap(&m, area, area.range.start, 4);
        machine_expect_frames(&m, 0, 1);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void an_unmap_that_is_rolled_back_brings_back_every_byte(void **state)
{
    (void)state;
    for (unsigned backing = 0; backing < 3; backing++) {
        struct machine m;
        struct machine_image *before;
        struct area area = of_backing(backing, SPAN2 - 2);

        machine_open(&m, 64);
        machine_map(&m, area);
        for (uint64_t page = area.range.start; page < area.range.end; page++)
            mark(&m, &area, page, (unsigned char)(page & 0xff));
        before = machine_photograph(&m);
        assert_int_equal(unmap(&m, area), ASPACE_OK);
        rollback(&m);
        machine_expect_same(&m, before);
        for (uint64_t page = area.range.start; page < area.range.end; page++)
            assert_int_equal(marked(&m, &area, page), page & 0xff);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void a_protect_that_is_rolled_back_leaves_the_entries_as_they_were(void **state)
{
    (void)state;
    for (unsigned backing = 0; backing < 3; backing++) {
        struct machine m;
        struct machine_image *before;
        struct area area = of_backing(backing, SPAN2 - 2);

        machine_open(&m, 64);
        machine_map(&m, area);
        mark(&m, &area, SPAN2, 9);
        machine_access(&m, &area, page_addr(SPAN2), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
        before = machine_photograph(&m);
        assert_int_equal(protect(&m, area, 0), ASPACE_OK);
        assert_int_equal(machine_entry(&m, SPAN2) & 1, 0);
        rollback(&m);
        machine_expect_same(&m, before);
        machine_close(&m);
    }
}

static void unmap_and_map_of_the_same_pages_in_one_transaction_gives_zeros_and_can_be_undone(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area area = machine_eager(SPAN2 - 2, 4, RW);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    mark(&m, &area, SPAN2, 77);
    before = machine_photograph(&m);
    assert_int_equal(unmap(&m, area), ASPACE_OK);
    assert_int_equal(map(&m, area), ASPACE_OK);
    assert_int_equal(marked(&m, &area, SPAN2), 0);
    rollback(&m);
    machine_expect_same(&m, before);
    assert_int_equal(marked(&m, &area, SPAN2), 77);
    assert_int_equal(unmap(&m, area), ASPACE_OK);
    assert_int_equal(map(&m, area), ASPACE_OK);
    commit(&m);
    assert_int_equal(marked(&m, &area, SPAN2), 0);
    machine_expect_frames(&m, 4, 5);
    machine_expect_sound(&m);
    machine_close(&m);
}

/* ---- protect ---- */

static void pages_that_nobody_may_touch_keep_their_contents(void **state)
{
    struct machine m;
    struct area area = machine_lazy(100, 4, RW);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    mark(&m, &area, 101, 42);
    machine_protect(&m, &area, 0);
    assert_int_equal(machine_entry(&m, 101) & LOW_BITS, 0x100);
    assert_false(machine_walk(&m, page_addr(101)).has_pa);
    assert_int_equal(marked(&m, &area, 101), 42);
    machine_expect_sound(&m);
    machine_protect(&m, &area, RW);
    assert_int_equal(machine_entry(&m, 101) & LOW_BITS, UINT64_C(0x8000000000000007));
    assert_int_equal(marked(&m, &area, 101), 42);
    machine_expect_frames(&m, 1, 4);
    machine_unmap(&m, area, 100, 4);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

static void a_page_that_nobody_may_touch_gives_its_frame_back_when_unmapped(void **state)
{
    struct machine m;
    struct area area = machine_eager(100, 4, 0);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_expect_frames(&m, 4, 4);
    machine_expect_sound(&m);
    machine_unmap(&m, area, 100, 4);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

/* A is 0x20, D 0x40. */
static void accessed_and_dirty_bits_stay_when_flags_change(void **state)
{
    struct machine m;
    struct area area = machine_eager(100, 2, RW);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_access(&m, &area, page_addr(100), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    machine_access(&m, &area, page_addr(101), ASPACE_ACCESS_READ, ASPACE_MODE_USER);
    machine_protect(&m, &area, RX);
    assert_int_equal(machine_entry(&m, 100) & LOW_BITS, 0x65);
    assert_int_equal(machine_entry(&m, 101) & LOW_BITS, 0x25);
    machine_protect(&m, &area, 0);
    assert_int_equal(machine_entry(&m, 100) & LOW_BITS, 0x160);
    machine_protect(&m, &area, RW | ASPACE_KERNEL);
    assert_int_equal(machine_entry(&m, 100) & LOW_BITS, UINT64_C(0x8000000000000063));
    machine_expect_sound(&m);
    machine_close(&m);
}

static void protecting_a_linear_area_keeps_its_address_and_mark(void **state)
{
    struct machine m;
    struct area area = machine_linear(100, 2, RW, 40);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    assert_int_equal(machine_entry(&m, 101), UINT64_C(0x8000000000029207)); /* bit 9: SPECIAL */
    machine_protect(&m, &area, R);
    assert_int_equal(machine_entry(&m, 101), UINT64_C(0x8000000000029205));
    machine_expect_sound(&m);
    machine_close(&m);
}

/* ---- the walk ---- */

/* Address 0x123456789abc: indexes 0x24, 0xd1, 0xb3, 0x189 (bits 47:39, 38:30, 29:21, 20:12) and offset 0xabc. */
static void a_walk_shows_every_level_with_its_raw_entry(void **state)
{
    static const unsigned indexes[] = {0x24, 0xd1, 0xb3, 0x189};
    const uint64_t addr = UINT64_C(0x123456789abc);
    struct machine m;
    struct walk walk;
    uint64_t table = 0;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_linear(page_of(addr), 1, RW, 0x7654321));
    walk = machine_walk(&m, addr);
    assert_int_equal(walk.count, 4);
    assert_int_equal(walk.page_size, 4096);
    for (unsigned i = 0; i < 4; i++) {
        const struct walk_level level = machine_walk_level(&m, addr, &walk, i);
        const struct walk_level *at = &level;

        assert_int_equal(at->level, 4 - i);
        assert_int_equal(at->table, table);
        assert_int_equal(at->index, indexes[i]);
        assert_true(at->present);
        assert_int_equal(at->leaf, i == 3);
        assert_memory_equal((char *)frames_at(&m.sim->frames, page_of(table)) + indexes[i] * 8, &at->entry, 8);
        if (i < 3) {
            assert_int_equal(at->entry & LOW_BITS, 0x007);
            assert_int_equal(at->flags, RWX);
        }
        table = at->entry & ~LOW_BITS;
    }
    assert_int_equal(walk.entries[3], UINT64_C(0x8000007654321207));
    assert_int_equal(machine_walk_level(&m, addr, &walk, 3).flags, RW);
    assert_true(walk.has_pa);
    assert_int_equal(walk.pa, UINT64_C(0x7654321abc));
    machine_close(&m);
}

static void a_walk_ends_with_the_first_entry_that_is_not_present(void **state)
{
    static const struct {
        uint64_t page;
        unsigned levels;
    } cases[] = {{SPAN4, 1}, {SPAN3, 2}, {SPAN2, 3}, {1, 4}};
    struct machine m;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_eager(0, 1, RW));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct walk walk = machine_walk(&m, page_addr(cases[i].page));
        struct walk_level last = machine_walk_level(&m, page_addr(cases[i].page), &walk, walk.count - 1);

        assert_int_equal(walk.count, cases[i].levels);
        assert_false(walk.has_pa);
        assert_false(last.present);
        assert_int_equal(last.entry, 0);
        assert_int_equal(last.flags, 0);
        assert_int_equal(walk.page_size, 4096);
    }
    machine_close(&m);
}

static void a_walk_changes_nothing(void **state)
{
    struct machine m;
    struct machine_image *before;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_eager(5, 1, RW));
    before = machine_photograph(&m);
    machine_walk(&m, page_addr(5));
    machine_walk(&m, page_addr(SPAN4));
    machine_expect_same(&m, before);
    machine_close(&m);
}

static void a_walk_of_a_noncanonical_address_is_an_invalid_parameter(void **state)
{
    struct machine m;
    struct walk walk;

    (void)state;
    machine_open(&m, 64);
    assert_int_equal(ops_of(&m)->walk(m.backend, UINT64_C(0x800000000000), &m.why, &walk), ASPACE_INVALID_PARAM);
    assert_string_equal(m.why.param, "addr");
    machine_close(&m);
}

/* ---- the CPU ---- */

/* Whether an access is allowed, with CR0.WP and EFER.NXE set, SMEP and SMAP off (SDM 4.6.1), said over the flags. */
static bool may(unsigned flags, enum aspace_access kind, enum aspace_mode mode)
{
    if (!(flags & RWX) || (flags & ASPACE_KERNEL && mode == ASPACE_MODE_USER))
        return false;
    switch (kind) {
    case ASPACE_ACCESS_READ:
        return true; /* even if only w or x was asked for */
    case ASPACE_ACCESS_WRITE:
        return flags & ASPACE_WRITE; /* in kernel mode too: WP */
    case ASPACE_ACCESS_EXEC:
        return flags & ASPACE_EXEC; /* in kernel mode user pages too: no SMEP */
    }
    return false;
}

/* The code for kind and mode but for P: W/R 2, U/S 4, I/D 16. */
static uint32_t code_of(enum aspace_access kind, enum aspace_mode mode)
{
    return (kind == ASPACE_ACCESS_WRITE ? 2u : 0) | (kind == ASPACE_ACCESS_EXEC ? 16u : 0) |
           (mode == ASPACE_MODE_USER ? 4u : 0);
}

static void expect_fault(const struct access *access, uint64_t addr, const char *reason, uint32_t code)
{
    assert_int_equal(access->outcome, ASPACE_OUTCOME_FAULT);
    assert_false(access->has_pa);
    assert_string_equal(access->reason, reason);
    assert_int_equal(access->addr, addr);
    assert_int_equal(access->code, code);
}

/* One page with `flags`, accessed once. */
static void try_access(enum aspace_backing backing, unsigned flags, enum aspace_access kind, enum aspace_mode mode)
{
    struct machine m;
    struct area area = of_backing(backing, 100);
    uint64_t addr = page_addr(101) + 0x123;
    struct access access;

    area.attr.flags = (uint16_t)flags;
    machine_open(&m, 64);
    machine_map(&m, area);
    access = machine_access(&m, &area, addr, kind, mode);
    if (may(flags, kind, mode)) {
        assert_int_equal(access.outcome, backing == ASPACE_BACKING_LAZY ? ASPACE_OUTCOME_FILLED : ASPACE_OUTCOME_HIT);
        assert_true(access.has_pa);
        assert_int_equal(access.pa, machine_walk(&m, addr).pa);
        access = machine_access(&m, &area, addr, kind, mode);
        assert_int_equal(access.outcome, ASPACE_OUTCOME_HIT);
    } else {
        bool present = flags & RWX && backing != ASPACE_BACKING_LAZY;

        expect_fault(&access, addr, "protection", code_of(kind, mode) | (present ? 1u : 0));
        machine_expect_frames(&m, backing == ASPACE_BACKING_EAGER ? 4 : 0, backing == ASPACE_BACKING_LAZY ? 1 : 4);
    }
    machine_expect_sound(&m);
    machine_close(&m);
}

static void an_access_does_what_the_manual_says_for_every_combination_of_flags(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++)
        for (unsigned kind = 0; kind < 3; kind++)
            for (unsigned mode = 0; mode < 2; mode++)
                for (unsigned backing = 0; backing < 3; backing++)
                    try_access(backing, flags, kind, mode);
}

/* The same in numbers, so that the loop above cannot be wrong in the same way: codes written by hand. */
static void a_fault_tells_the_code_that_a_cpu_reports(void **state)
{
    static const struct {
        uint16_t flags;
        enum aspace_access kind;
        enum aspace_mode mode;
        uint32_t code;
    } cases[] = {
        {R, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, 0x07},
        {R, ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL, 0x03}, /* WP */
        {RW, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER, 0x15},   /* NX */
        {RW, ASPACE_ACCESS_EXEC, ASPACE_MODE_KERNEL, 0x11},
        {RWX | ASPACE_KERNEL, ASPACE_ACCESS_READ, ASPACE_MODE_USER, 0x05},
        {RWX | ASPACE_KERNEL, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, 0x07},
        {RWX | ASPACE_KERNEL, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER, 0x15},
        {R | ASPACE_KERNEL, ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL, 0x03},
        {0, ASPACE_ACCESS_READ, ASPACE_MODE_USER, 0x04},
        {0, ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL, 0x00},
        {0, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, 0x06},
        {0, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER, 0x14},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct machine m;
        struct area area = machine_eager(100, 1, cases[i].flags);
        struct access access;

        machine_open(&m, 64);
        machine_map(&m, area);
        access = machine_access(&m, &area, page_addr(100), cases[i].kind, cases[i].mode);
        expect_fault(&access, page_addr(100), "protection", cases[i].code);
        machine_close(&m);
    }
}

static void an_access_where_no_area_lies_is_a_fault_of_a_page_that_is_not_there(void **state)
{
    static const uint32_t user_codes[] = {0x04, 0x06, 0x14};
    struct machine m;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_eager(100, 1, RWX));
    for (unsigned kind = 0; kind < 3; kind++) {
        struct access user = machine_access(&m, NULL, page_addr(101) + 1, kind, ASPACE_MODE_USER);
        struct access kernel = machine_access(&m, NULL, page_addr(101) + 1, kind, ASPACE_MODE_KERNEL);

        expect_fault(&user, page_addr(101) + 1, "unmapped", user_codes[kind]);
        expect_fault(&kernel, page_addr(101) + 1, "unmapped", user_codes[kind] & ~4u);
    }
    machine_expect_frames(&m, 1, 4);
    machine_close(&m);
}

static void an_access_to_a_noncanonical_address_is_a_fault_without_a_code(void **state)
{
    struct machine m;
    struct access access;

    (void)state;
    machine_open(&m, 64);
    access = machine_access(&m, NULL, UINT64_C(0x800000000000), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    expect_fault(&access, UINT64_C(0x800000000000), "noncanonical", 0);
    machine_close(&m);
}

static void an_access_sets_the_accessed_bit_on_every_level_and_dirty_on_a_written_leaf_alone(void **state)
{
    struct machine m;
    struct area area = machine_eager(100, 1, RW);
    struct walk walk;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_access(&m, &area, page_addr(100), ASPACE_ACCESS_READ, ASPACE_MODE_USER);
    walk = machine_walk(&m, page_addr(100));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(walk.entries[i] & 0x60, 0x20);
    machine_access(&m, &area, page_addr(100), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    walk = machine_walk(&m, page_addr(100));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(walk.entries[i] & 0x60, i == 3 ? 0x60 : 0x20);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void an_access_that_faults_changes_nothing(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area eager = machine_eager(100, 1, R);
    struct area lazy = machine_lazy(200, 1, R);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, eager);
    machine_map(&m, lazy);
    before = machine_photograph(&m);
    machine_access(&m, &eager, page_addr(100), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER);
    machine_access(&m, &lazy, page_addr(200), ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL);
    machine_access(&m, NULL, page_addr(300), ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL);
    machine_expect_same(&m, before);
    machine_close(&m);
}

static void an_access_that_is_rolled_back_leaves_no_frame_and_no_bit(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area eager = machine_eager(100, 1, RW);
    struct area lazy = machine_lazy(SPAN3, 1, RW);
    struct access access;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, eager);
    machine_map(&m, lazy);
    before = machine_photograph(&m);
    assert_int_equal(
        ops_of(&m)->access(m.backend, &eager, page_addr(100), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, &m.why, &access),
        ASPACE_OK);
    assert_int_equal(
        ops_of(&m)->access(m.backend, &lazy, page_addr(SPAN3), ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, &m.why, &access),
        ASPACE_OK);
    rollback(&m);
    machine_expect_same(&m, before);
    machine_close(&m);
}

/* ---- the debugger ---- */

static void a_write_over_several_pages_is_read_back_whole(void **state)
{
    enum { SIZE = 3 * 4096 };
    struct machine m;
    struct area area = machine_lazy(SPAN2 - 2, 5, 0); /* flags are not looked at */
    uint64_t addr = page_addr(SPAN2 - 2) + 4000;
    unsigned char *out = malloc(SIZE);
    unsigned char *in = malloc(SIZE);

    (void)state;
    assert_true(out && in);
    for (unsigned i = 0; i < SIZE; i++)
        out[i] = (unsigned char)(i * 7 + 1);
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_write(&m, &area, addr, out, SIZE);
    machine_read(&m, &area, addr, in, SIZE);
    assert_memory_equal(in, out, SIZE);
    machine_read(&m, &area, addr - 4000, in, 4000);
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(in[i], 0);
    machine_expect_frames(&m, 4, 5);
    machine_expect_sound(&m);
    machine_close(&m);
    free(out);
    free(in);
}

static void reading_a_lazy_page_gives_zeros_and_takes_no_frame(void **state)
{
    struct machine m;
    struct area area = machine_lazy(100, 3, RW);
    unsigned char bytes[8192];

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    memset(bytes, 0xff, sizeof(bytes));
    machine_read(&m, &area, page_addr(100) + 100, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], 0);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

static void a_frame_unmapped_and_mapped_again_is_zero(void **state)
{
    struct machine m;
    struct area area = machine_eager(100, 1, RW);

    (void)state;
    machine_open(&m, 5); /* but one frame for data */
    for (unsigned i = 0; i < 3; i++) {
        machine_map(&m, area);
        assert_int_equal(marked(&m, &area, 100), 0);
        mark(&m, &area, 100, 200);
        machine_unmap(&m, area, 100, 1);
    }
    machine_close(&m);
}

static void two_linear_areas_on_one_frame_share_its_bytes(void **state)
{
    struct machine m;
    struct area one = machine_linear(100, 1, RW, 50);
    struct area two = machine_linear(SPAN3, 2, R, 49);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, one);
    machine_map(&m, two);
    mark(&m, &one, 100, 33);
    assert_int_equal(marked(&m, &two, SPAN3 + 1), 33);
    machine_expect_sound(&m);
    machine_close(&m);
}

static void a_linear_area_beyond_ram_translates_but_holds_no_bytes(void **state)
{
    struct machine m;
    struct area area = machine_linear(100, 2, RW, 63); /* its second page is beyond */
    char bytes[2] = "x";

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    assert_int_equal(machine_access(&m, &area, page_addr(101) + 5, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER).pa,
                     64 * 4096 + 5);
    mark(&m, &area, 100, 1);
    assert_int_equal(machine_try_write(&m, &area, page_addr(101) - 1, bytes, 2), ASPACE_BAD_STATE);
    assert_int_equal(ops_of(&m)->read(m.backend, &area, page_addr(101) - 1, bytes, 2, &m.why), ASPACE_BAD_STATE);
    assert_non_null(m.why.hint);
    machine_read(&m, &area, page_addr(101) - 1, bytes, 1);
    assert_int_equal(bytes[0], 0); /* the refused write changed nothing */
    machine_expect_sound(&m);
    machine_close(&m);
}

static void a_write_through_a_linear_area_to_a_page_table_is_denied(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area area = machine_linear(100, 4, RW, 0); /* frame 0 is the root */
    uint64_t entry = 0;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    before = machine_photograph(&m);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(machine_try_write(&m, &area, page_addr(100 + i), &entry, 8), ASPACE_DENIED);
    assert_non_null(m.why.hint);
    machine_expect_same(&m, before);
    machine_read(&m, &area, page_addr(100), &entry, 8); /* to look is allowed */
    assert_int_equal(entry, machine_walk(&m, 0).entries[0]);
    machine_close(&m);
}

static void a_linear_area_must_lie_within_52_bits_of_physical_address(void **state)
{
    const uint64_t frames = UINT64_C(1) << 40;
    static const struct {
        uint64_t below; /* first frame: so many below the limit */
        uint64_t pages;
        enum aspace_error error;
    } cases[] = {
        {4, 4, ASPACE_OK},
        {4, 5, ASPACE_INVALID_PARAM},
        {1, 1, ASPACE_OK},
        {0, 1, ASPACE_INVALID_PARAM},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct machine m;
        struct machine_image *before;

        machine_open(&m, 64);
        before = machine_photograph(&m);
        assert_int_equal(map(&m, machine_linear(100, cases[i].pages, RW, frames - cases[i].below)), cases[i].error);
        if (cases[i].error)
            assert_string_equal(m.why.param, "pa");
        rollback(&m);
        machine_expect_same(&m, before);
        machine_close(&m);
    }
}

/* ---- the edges of the world ---- */

static void the_highest_page_of_the_upper_half_is_a_page_like_any_other(void **state)
{
    const struct range upper = {PAGE_LIMIT - (UINT64_C(1) << 35), PAGE_LIMIT};
    struct machine m = {0};
    struct area area = machine_eager(PAGE_LIMIT - 2, 2, RW | ASPACE_KERNEL);
    struct area first = machine_lazy(upper.start, 1, RW);
    struct walk walk;
    char text[8] = "";

    (void)state;
    assert_int_equal(sim_create("x86_64", 64 * ASPACE_PAGE_SIZE, upper, &m.why, &m.backend), ASPACE_OK);
    m.sim = sim_of(m.backend);
    area_map_init(&m.map, upper);
    machine_map(&m, area);
    machine_map(&m, first);
    machine_write(&m, &area, UINT64_C(0xfffffffffffffff8), "the top", 8);
    machine_read(&m, &area, UINT64_C(0xfffffffffffffff8), text, 8);
    assert_string_equal(text, "the top");
    walk = machine_walk(&m, UINT64_C(0xffffffffffffffff));
    assert_int_equal(walk.pa & 0xfff, 0xfff);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(machine_walk_level(&m, UINT64_C(0xffffffffffffffff), &walk, i).index, 511);
    assert_int_equal(
        machine_access(&m, &first, UINT64_C(0xffff800000000000), ASPACE_ACCESS_READ, ASPACE_MODE_USER).outcome,
        ASPACE_OUTCOME_FILLED);
    assert_int_equal(arch_index(page_of(UINT64_C(0xffff800000000000)), 4), 256);
    machine_expect_sound(&m);
    machine_protect(&m, &area, RX);
    machine_expect_sound(&m);
    machine_unmap(&m, area, PAGE_LIMIT - 2, 2);
    machine_unmap(&m, first, upper.start, 1);
    machine_expect_frames(&m, 0, 1);
    machine_close(&m);
}

static void impossible_machines_are_refused(void **state)
{
    static const struct {
        const char *arch;
        uint64_t ram;
        struct range bounds;
        enum aspace_error error;
        const char *param;
    } cases[] = {
        {"vax", 0x10000, {0, 100}, ASPACE_UNSUPPORTED, NULL},
        {"x86_64", 0, {0, 100}, ASPACE_INVALID_PARAM, "ram"},
        {"x86_64", 4096, {0, 100}, ASPACE_INVALID_PARAM, "ram"},
        {"x86_64", 0x10001, {0, 100}, ASPACE_INVALID_PARAM, "ram"},
        {"x86_64", (UINT64_C(1) << 44) + 4096, {0, 100}, ASPACE_INVALID_PARAM, "ram"},
        {"x86_64", 0x10000, {5, 5}, ASPACE_INVALID_PARAM, "range"},
        {"x86_64", 0x10000, {0, (UINT64_C(1) << 35) + 1}, ASPACE_INVALID_PARAM, "range"},
        {"x86_64", 0x10000, {0, PAGE_LIMIT}, ASPACE_INVALID_PARAM, "range"},
        {"x86_64", 0x10000, {PAGE_LIMIT - (UINT64_C(1) << 35) - 1, PAGE_LIMIT}, ASPACE_INVALID_PARAM, "range"},
    };
    struct backend *backend = NULL;
    struct refusal why;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(sim_create(cases[i].arch, cases[i].ram, cases[i].bounds, &why, &backend), cases[i].error);
        assert_int_equal(why.code, cases[i].error);
        if (cases[i].param)
            assert_string_equal(why.param, cases[i].param);
        assert_null(backend);
    }
}

static void ram_begins_where_it_was_told_to(void **state)
{
    static const uint64_t bases[] = {UINT64_C(0x1000), UINT64_C(0x40000000), UINT64_C(0x80201000),
                                     (UINT64_C(1) << 44) - 0x10000};

    (void)state;
    for (size_t i = 0; i < COUNT(bases); i++) {
        struct area area = machine_eager(5, 2, RW);
        struct area inside = machine_linear(100, 1, RW, 0);
        struct area below = machine_linear(200, 1, RW, page_of(bases[i]) - 1);
        struct machine m;
        struct walk walk;
        char bytes[4] = "";

        machine_open_at(&m, "x86_64", page_of(bases[i]), 16);
        machine_map(&m, area);
        walk = machine_walk(&m, page_addr(5));
        for (unsigned level = 0; level < 4; level++)
            assert_in_range(machine_walk_level(&m, page_addr(5), &walk, level).table, bases[i],
                            bases[i] + page_addr(15));
        assert_in_range(walk.pa, bases[i], bases[i] + page_addr(15));
        inside.attr.delta = page_of(machine_walk(&m, page_addr(6)).pa) - 100;
        machine_map(&m, inside);
        machine_map(&m, below);
        machine_write(&m, &area, page_addr(6), "abc", 4);
        machine_read(&m, &inside, page_addr(100), bytes, sizeof(bytes));
        assert_string_equal(bytes, "abc");
        assert_int_equal(machine_access(&m, &below, page_addr(200), ASPACE_ACCESS_READ, ASPACE_MODE_USER).pa,
                         bases[i] - ASPACE_PAGE_SIZE);
        assert_int_equal(machine_try_write(&m, &below, page_addr(200), "abc", 4), ASPACE_BAD_STATE);
        machine_expect_sound(&m);
        machine_unmap(&m, area, 5, 2);
        machine_expect_sound(&m);
        machine_close(&m);
    }
}

static void ram_that_begins_at_an_impossible_place_is_refused(void **state)
{
    static const uint64_t bases[] = {1, 0x40000800, (UINT64_C(1) << 44) - 0xf000, UINT64_C(1) << 44, -ASPACE_PAGE_SIZE};

    (void)state;
    for (size_t i = 0; i < COUNT(bases); i++) {
        struct backend *backend = NULL;
        struct refusal why;

        assert_int_equal(sim_create_at("x86_64", bases[i], page_addr(16), sim_default_bounds("x86_64"), &why, &backend),
                         ASPACE_INVALID_PARAM);
        assert_string_equal(why.param, "ram_base");
        assert_null(backend);
    }
}

static void the_least_machine_has_a_root_and_one_frame(void **state)
{
    struct machine m;
    struct frame_counts counts;

    (void)state;
    machine_open(&m, 2);
    machine_expect_frames(&m, 0, 1);
    ops_of(&m)->count_frames(m.backend, &counts);
    assert_int_equal(counts.total, 2);
    assert_int_equal(counts.shared, 0);
    assert_string_equal(ops_of(&m)->name, "sim");
    machine_expect_sound(&m);
    machine_close(&m);
}

static void the_default_range_of_x86_64_is_its_lower_half(void **state)
{
    struct range bounds = sim_default_bounds("x86_64");

    (void)state;
    assert_int_equal(page_addr(bounds.start), 0);
    assert_int_equal(page_addr(bounds.end), UINT64_C(0x800000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_that_is_rolled_back_leaves_nothing),
        cmocka_unit_test(each_backing_takes_the_frames_that_it_promises),
        cmocka_unit_test(an_unmap_that_is_rolled_back_brings_back_every_byte),
        cmocka_unit_test(a_protect_that_is_rolled_back_leaves_the_entries_as_they_were),
        cmocka_unit_test(unmap_and_map_of_the_same_pages_in_one_transaction_gives_zeros_and_can_be_undone),
        cmocka_unit_test(pages_that_nobody_may_touch_keep_their_contents),
        cmocka_unit_test(a_page_that_nobody_may_touch_gives_its_frame_back_when_unmapped),
        cmocka_unit_test(accessed_and_dirty_bits_stay_when_flags_change),
        cmocka_unit_test(protecting_a_linear_area_keeps_its_address_and_mark),
        cmocka_unit_test(a_walk_shows_every_level_with_its_raw_entry),
        cmocka_unit_test(a_walk_ends_with_the_first_entry_that_is_not_present),
        cmocka_unit_test(a_walk_changes_nothing),
        cmocka_unit_test(a_walk_of_a_noncanonical_address_is_an_invalid_parameter),
        cmocka_unit_test(an_access_does_what_the_manual_says_for_every_combination_of_flags),
        cmocka_unit_test(a_fault_tells_the_code_that_a_cpu_reports),
        cmocka_unit_test(an_access_where_no_area_lies_is_a_fault_of_a_page_that_is_not_there),
        cmocka_unit_test(an_access_to_a_noncanonical_address_is_a_fault_without_a_code),
        cmocka_unit_test(an_access_sets_the_accessed_bit_on_every_level_and_dirty_on_a_written_leaf_alone),
        cmocka_unit_test(an_access_that_faults_changes_nothing),
        cmocka_unit_test(an_access_that_is_rolled_back_leaves_no_frame_and_no_bit),
        cmocka_unit_test(a_write_over_several_pages_is_read_back_whole),
        cmocka_unit_test(reading_a_lazy_page_gives_zeros_and_takes_no_frame),
        cmocka_unit_test(a_frame_unmapped_and_mapped_again_is_zero),
        cmocka_unit_test(two_linear_areas_on_one_frame_share_its_bytes),
        cmocka_unit_test(a_linear_area_beyond_ram_translates_but_holds_no_bytes),
        cmocka_unit_test(a_write_through_a_linear_area_to_a_page_table_is_denied),
        cmocka_unit_test(a_linear_area_must_lie_within_52_bits_of_physical_address),
        cmocka_unit_test(the_highest_page_of_the_upper_half_is_a_page_like_any_other),
        cmocka_unit_test(impossible_machines_are_refused),
        cmocka_unit_test(the_least_machine_has_a_root_and_one_frame),
        cmocka_unit_test(ram_begins_where_it_was_told_to),
        cmocka_unit_test(ram_that_begins_at_an_impossible_place_is_refused),
        cmocka_unit_test(the_default_range_of_x86_64_is_its_lower_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
