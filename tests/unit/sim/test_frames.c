/* Frames of simulated RAM: zeros when handed out, each to one owner, counted; and a host that has no room. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "sim/frames.h"
#include "sim/sim.h"

/* ---- a host that refuses ---- */

static unsigned refuse_nth; /* this call of mmap fails, counted down; 0 is none */

void *__real_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (refuse_nth && --refuse_nth == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(addr, size, prot, flags, fd, offset);
}

/* ---- helpers ---- */

static uint64_t take(struct frames *f, enum frame_kind kind)
{
    uint64_t frame = UINT64_MAX;

    assert_true(frames_take(f, kind, &frame));
    assert_true(frame < f->total);
    return frame;
}

static bool is_zero(const struct frames *f, uint64_t frame)
{
    const uint8_t *bytes = frames_at(f, frame);

    for (size_t i = 0; i < ASPACE_PAGE_SIZE; i++)
        if (bytes[i])
            return false;
    return true;
}

static void scribble(struct frames *f, uint64_t frame)
{
    f->info[frame].dirty = 1; /* as every writer must say */
    memset(frames_at(f, frame), 0xa5, ASPACE_PAGE_SIZE);
}

/* ---- tests ---- */

static void new_ram_has_no_frame_in_use(void **state)
{
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 7));
    assert_int_equal(f.total, 7);
    assert_int_equal(f.data, 0);
    assert_int_equal(f.tables, 0);
    for (uint64_t i = 0; i < f.total; i++)
        assert_int_equal(f.info[i].kind, FRAME_FREE);
    frames_fini(&f);
}

static void a_frame_is_zero_when_handed_out_even_after_dirty_use(void **state)
{
    static const enum frame_kind kinds[] = {FRAME_DATA, FRAME_TABLE};
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 1));
    for (unsigned i = 0; i < 8; i++) { /* every kind after every kind, and once more */
        uint64_t frame = take(&f, kinds[(i ^ i >> 1) & 1]);

        assert_int_equal(frame, 0);
        assert_true(is_zero(&f, frame));
        scribble(&f, frame);
        frames_give(&f, frame);
    }
    frames_fini(&f);
}

static void a_table_counts_as_dirty_without_being_told(void **state)
{
    struct frames f;
    uint64_t frame;

    (void)state;
    assert_true(frames_init(&f, 1));
    frame = take(&f, FRAME_TABLE);
    memset(frames_at(&f, frame), 0x5a, ASPACE_PAGE_SIZE);
    frames_give(&f, frame);
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    frames_fini(&f);
}

static void a_free_frame_that_was_written_through_a_fixed_address_is_zero_when_handed_out(void **state)
{
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 3));
    scribble(&f, 0); /* never handed out by now */
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    frames_give(&f, 0);
    scribble(&f, 0); /* in the list of free ones */
    assert_int_equal(take(&f, FRAME_DATA), 0);
    assert_true(is_zero(&f, 0));
    frames_fini(&f);
}

static void no_frame_has_two_owners_and_the_one_after_the_last_is_refused(void **state)
{
    enum { TOTAL = 100 };
    struct frames f;
    bool taken[TOTAL] = {false};
    uint64_t none = 12345;

    (void)state;
    assert_true(frames_init(&f, TOTAL));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < TOTAL; i++) {
            uint64_t frame = take(&f, i % 3 ? FRAME_DATA : FRAME_TABLE);

            assert_false(taken[frame]);
            taken[frame] = true;
        }
        assert_false(frames_take(&f, FRAME_DATA, &none));
        assert_false(frames_take(&f, FRAME_TABLE, &none));
        assert_int_equal(none, 12345);
        for (unsigned i = 0; i < TOTAL; i++) {
            frames_give(&f, i * 37 % TOTAL); /* 37 is prime to it: every one once */
            taken[i] = false;
        }
    }
    frames_fini(&f);
}

static void frames_are_counted_by_kind(void **state)
{
    struct frames f;
    uint64_t data[3];
    uint64_t tables[2];
    uint64_t none;

    (void)state;
    assert_true(frames_init(&f, 5));
    for (unsigned i = 0; i < 3; i++)
        data[i] = take(&f, FRAME_DATA);
    for (unsigned i = 0; i < 2; i++)
        tables[i] = take(&f, FRAME_TABLE);
    assert_false(frames_take(&f, FRAME_TABLE, &none));
    assert_int_equal(f.data, 3);
    assert_int_equal(f.tables, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f.info[data[i]].kind, FRAME_DATA);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(f.info[tables[i]].kind, FRAME_TABLE);
    frames_give(&f, data[1]);
    assert_int_equal(f.data, 2);
    assert_int_equal(f.tables, 2);
    assert_int_equal(f.info[data[1]].kind, FRAME_FREE);
    frames_give(&f, tables[0]);
    assert_int_equal(f.data, 2);
    assert_int_equal(f.tables, 1);
    frames_fini(&f);
}

static void a_table_handed_out_again_starts_without_live_entries(void **state)
{
    struct frames f;
    uint64_t frame;

    (void)state;
    assert_true(frames_init(&f, 1));
    frame = take(&f, FRAME_TABLE);
    f.info[frame].live = 17;
    frames_give(&f, frame);
    assert_int_equal(f.info[take(&f, FRAME_TABLE)].live, 0);
    frames_fini(&f);
}

/* 16 TiB: more than any host of these tests has. */
static void frames_that_nobody_touches_cost_nothing(void **state)
{
    struct frames f;

    (void)state;
    if (!frames_init(&f, UINT64_C(1) << 32))
        skip(); /* a host with a limit on address space */
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    assert_true(is_zero(&f, f.total - 1));
    frames_fini(&f);
}

static void a_host_without_room_is_refused_and_keeps_nothing(void **state)
{
    struct frames f;

    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        refuse_nth = nth;
        assert_false(frames_init(&f, 4));
        assert_int_equal(refuse_nth, 0);
    }
    /* RAM was reserved before the second refusal: the host must have it back. */
    assert_int_equal(msync(f.ram, 4 * ASPACE_PAGE_SIZE, MS_ASYNC), -1);
    assert_int_equal(errno, ENOMEM);
}

static void a_machine_on_a_host_without_room_is_refused_with_the_parameter_that_is_too_large(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct backend *backend = NULL;
        struct refusal why;

        refuse_nth = nth;
        assert_int_equal(sim_create("x86_64", 4 * ASPACE_PAGE_SIZE, sim_default_bounds("x86_64"), &why, &backend),
                         ASPACE_NO_MEMORY);
        assert_int_equal(refuse_nth, 0);
        assert_int_equal(why.code, ASPACE_NO_MEMORY);
        assert_string_equal(why.param, "ram");
        assert_non_null(why.hint);
        assert_null(backend);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_ram_has_no_frame_in_use),
        cmocka_unit_test(a_frame_is_zero_when_handed_out_even_after_dirty_use),
        cmocka_unit_test(a_table_counts_as_dirty_without_being_told),
        cmocka_unit_test(a_free_frame_that_was_written_through_a_fixed_address_is_zero_when_handed_out),
        cmocka_unit_test(no_frame_has_two_owners_and_the_one_after_the_last_is_refused),
        cmocka_unit_test(frames_are_counted_by_kind),
        cmocka_unit_test(a_table_handed_out_again_starts_without_live_entries),
        cmocka_unit_test(frames_that_nobody_touches_cost_nothing),
        cmocka_unit_test(a_host_without_room_is_refused_and_keeps_nothing),
        cmocka_unit_test(a_machine_on_a_host_without_room_is_refused_with_the_parameter_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
