/* Frames of simulated RAM: zeros when handed out, each to one owner, counted; and a host that has no room. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/frames.h"
#include "sim/sim.h"

/* ---- a host that refuses ---- */

/* Calls that a RAM takes: the bytes, two arrays about frames, the blocks. */
#define MMAPS 4

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

/* ---- a host with larger pages ---- */

static size_t large_page;          /* of the host that is played; 0: it is as it is */
static const uint8_t *large_start; /* where its pages begin */

long __real_sysconf(int name);
long __wrap_sysconf(int name);
int __real_madvise(void *addr, size_t size, int advice);
int __wrap_madvise(void *addr, size_t size, int advice);

long __wrap_sysconf(int name)
{
    return large_page && name == _SC_PAGESIZE ? (long)large_page : __real_sysconf(name);
}

/* As the kernel does it: a start within a page is EINVAL, an end within one is rounded up (mm/madvise.c). */
int __wrap_madvise(void *addr, size_t size, int advice)
{
    if (large_page) {
        if ((size_t)((const uint8_t *)addr - large_start) % large_page) {
            errno = EINVAL;
            return -1;
        }
        size = (size + large_page - 1) / large_page * large_page;
    }
    return __real_madvise(addr, size, advice);
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
    if (frames_kind(f, frame) == FRAME_TABLE)
        frames_add_live(f, frame, 1);
    else
        frames_touch(f, frame); /* as every writer must say */
    memset(frames_at(f, frame), 0xa5, ASPACE_PAGE_SIZE);
}

/* ---- tests ---- */

static void new_ram_has_no_frame_in_use(void **state)
{
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 0, 7));
    assert_int_equal(f.total, 7);
    assert_int_equal(f.data, 0);
    assert_int_equal(f.tables, 0);
    for (uint64_t i = 0; i < f.total; i++)
        assert_int_equal(frames_kind(&f, i), FRAME_FREE);
    frames_fini(&f);
}

static void a_frame_is_zero_when_handed_out_even_after_dirty_use(void **state)
{
    static const enum frame_kind kinds[] = {FRAME_DATA, FRAME_TABLE};
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 0, 1));
    for (unsigned i = 0; i < 8; i++) { /* every kind after every kind, and once more */
        uint64_t frame = take(&f, kinds[(i ^ i >> 1) & 1]);

        assert_int_equal(frame, 0);
        assert_true(is_zero(&f, frame));
        scribble(&f, frame);
        frames_give(&f, frame);
    }
    frames_fini(&f);
}

static void a_table_with_live_entries_is_zero_when_handed_out_as_data(void **state)
{
    struct frames f;
    uint64_t frame;

    (void)state;
    assert_true(frames_init(&f, 0, 1));
    frame = take(&f, FRAME_TABLE);
    frames_add_live(&f, frame, 1);
    memset(frames_at(&f, frame), 0x5a, ASPACE_PAGE_SIZE);
    frames_give(&f, frame);
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    frames_fini(&f);
}

static void a_free_frame_that_was_written_through_a_fixed_address_is_zero_when_handed_out(void **state)
{
    struct frames f;

    (void)state;
    assert_true(frames_init(&f, 0, 3));
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
    assert_true(frames_init(&f, 0, TOTAL));
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
    assert_true(frames_init(&f, 0, 5));
    for (unsigned i = 0; i < 3; i++)
        data[i] = take(&f, FRAME_DATA);
    for (unsigned i = 0; i < 2; i++)
        tables[i] = take(&f, FRAME_TABLE);
    assert_false(frames_take(&f, FRAME_TABLE, &none));
    assert_int_equal(f.data, 3);
    assert_int_equal(f.tables, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(frames_kind(&f, data[i]), FRAME_DATA);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(frames_kind(&f, tables[i]), FRAME_TABLE);
    frames_give(&f, data[1]);
    assert_int_equal(f.data, 2);
    assert_int_equal(f.tables, 2);
    assert_int_equal(frames_kind(&f, data[1]), FRAME_FREE);
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
    assert_true(frames_init(&f, 0, 1));
    frame = take(&f, FRAME_TABLE);
    frames_add_live(&f, frame, 17);
    frames_give(&f, frame);
    assert_int_equal(frames_live(&f, take(&f, FRAME_TABLE)), 0);
    frames_fini(&f);
}

/* 16 TiB: more than any host of these tests has. */
static void frames_that_nobody_touches_cost_nothing(void **state)
{
    struct frames f;

    (void)state;
    if (!frames_init(&f, 0, UINT64_C(1) << 32))
        skip(); /* a host with a limit on address space */
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    assert_true(is_zero(&f, f.total - 1));
    frames_fini(&f);
}

/* The host's mappings, by their number; 0 where ThreadSanitizer maps its own beside them as it likes. */
static unsigned mappings(void)
{
#ifdef __SANITIZE_THREAD__
    return 0;
#endif
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned lines = 0;

    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void a_host_without_room_is_refused_and_keeps_nothing(void **state)
{
    const uint64_t total = UINT64_C(1) << 20; /* mappings that are not joined to what lies beside them */
    struct frames f;
    unsigned before;

    (void)state;
    mappings(); /* whatever stdio wants */
    before = mappings();
    for (unsigned nth = 1; nth <= MMAPS; nth++) {
        refuse_nth = nth;
        assert_false(frames_init(&f, 0, total));
        assert_int_equal(refuse_nth, 0);
        assert_in_range(mappings(), 0, before);
    }
}

/* ---- blocks ---- */

static void a_run_is_aligned_and_in_one_piece(void **state)
{
    struct frames f;
    uint64_t odd;
    uint64_t run;

    (void)state;
    assert_true(frames_init(&f, 0, UINT64_C(3) << 18)); /* 3 GiB */
    odd = take(&f, FRAME_DATA);
    for (unsigned order = 0; order <= 18; order += 9) {
        assert_true(frames_take_run(&f, FRAME_DATA, order, &run));
        assert_int_equal(run & ((UINT64_C(1) << order) - 1), 0);
    }
    assert_true(frames_take_run(&f, FRAME_DATA, 18, &run));
    assert_int_equal(f.data, 2 + 512 + (2 << 18));
    assert_false(frames_take_run(&f, FRAME_DATA, 18, &run));
    frames_give(&f, odd);
    assert_int_equal(frames_free(&f), f.total - f.data);
    frames_fini(&f);
}

static void single_frames_given_back_in_any_order_become_a_large_run_again(void **state)
{
    enum { TOTAL = 1 << 9 };
    struct frames f;
    uint64_t run;

    (void)state;
    assert_true(frames_init(&f, 0, TOTAL));
    for (unsigned i = 0; i < TOTAL; i++)
        take(&f, FRAME_DATA);
    for (unsigned i = 0; i < TOTAL; i++)
        frames_give(&f, i * 37 % TOTAL);
    assert_true(frames_take_run(&f, FRAME_DATA, 9, &run));
    assert_int_equal(run, 0);
    frames_fini(&f);
}

static void frames_in_bulk_are_as_many_as_there_are(void **state)
{
    struct frames f;
    uint64_t first;
    uint64_t count = 0;
    unsigned calls = 0;

    (void)state;
    assert_true(frames_init(&f, 0, (1 << 18) + 100));
    for (uint64_t got; (got = frames_take_some(&f, FRAME_DATA, 512, &first)); count += got)
        calls++;
    assert_int_equal(count, (1 << 18) + 100);
    assert_in_range(calls, 513, 520);
    frames_fini(&f);
}

/* ---- the host's memory ---- */

static uint64_t resident(const struct frames *f)
{
    static unsigned char pages[1 << 14];
    uint64_t host = (uint64_t)__real_sysconf(_SC_PAGESIZE);
    uint64_t size = f->total << ASPACE_PAGE_BITS;
    uint64_t count = 0;

    assert_true(f->total <= sizeof(pages));
    assert_int_equal(mincore(f->bytes + (f->first << ASPACE_PAGE_BITS), size, pages), 0);
    for (uint64_t i = 0; i < (size + host - 1) / host; i++)
        count += pages[i] & 1;
    return count * host >> ASPACE_PAGE_BITS;
}

static void the_host_has_its_memory_back_once_much_of_it_is_free(void **state)
{
    struct frames f;
    uint64_t first;

    (void)state;
    assert_true(frames_init(&f, 0, 1 << 14));
    assert_true(frames_take_run(&f, FRAME_DATA, 13, &first));
    for (uint64_t i = 0; i < 1 << 13; i++)
        scribble(&f, first + i);
    assert_in_range(resident(&f), 1 << 13, 1 << 14);
    frames_give_run(&f, first, 1 << 13);
    assert_int_equal(resident(&f), 0);
    assert_true(is_zero(&f, take(&f, FRAME_DATA)));
    frames_fini(&f);
}

static void what_was_written_to_a_free_frame_stays_when_the_host_has_its_memory_back(void **state)
{
    struct frames f;
    uint64_t first;

    (void)state;
    assert_true(frames_init(&f, 0, 1 << 14));
    assert_true(frames_take_run(&f, FRAME_DATA, 13, &first));
    for (uint64_t i = 0; i < 1 << 13; i++)
        scribble(&f, first + i);
    frames_give_run(&f, first, 100);
    frames_touch(&f, first + 7); /* through a linear area */
    memset(frames_at(&f, first + 7), 0x77, 1);
    frames_give_run(&f, first + 100, (1 << 13) - 100);
    assert_int_equal(*(uint8_t *)frames_at(&f, first + 7), 0x77);
    frames_fini(&f);
}

static void frames_in_use_keep_their_bytes_on_a_host_with_larger_pages(void **state)
{
    struct frames f;
    uint64_t first;
    uint64_t frame;

    (void)state;
    large_page = 1 << 16;
    assert_true(frames_init(&f, 3, 1 << 14)); /* its pages are not where the numbers of frames are round */
    large_start = f.bytes + (f.first << ASPACE_PAGE_BITS);
    assert_true(frames_take_run(&f, FRAME_DATA, 13, &first));
    for (uint64_t i = 0; i < 1 << 13; i++)
        scribble(&f, first + i);
    for (uint64_t i = 0; i < 1 << 13; i++)
        if (i % 100 != 42)
            frames_give_run(&f, first + i, 1);
    assert_in_range(resident(&f), 1, 3 * (1 << 13) / 4); /* much went back, but not the pages that are used in part */
    for (uint64_t i = 42; i < 1 << 13; i += 100)
        for (size_t byte = 0; byte < ASPACE_PAGE_SIZE; byte++)
            assert_int_equal(((uint8_t *)frames_at(&f, first + i))[byte], 0xa5);
    while (frames_take(&f, FRAME_DATA, &frame))
        assert_true(is_zero(&f, frame));
    frames_fini(&f);
    large_page = 0;
}

/* ---- sharing ---- */

static void a_shared_frame_is_free_once_its_last_space_gave_it_back(void **state)
{
    struct frames a;
    struct frames b;
    struct frames c;
    uint64_t first;

    (void)state;
    assert_true(frames_init(&a, 0, 64));
    assert_false(frames_in_family(&a));
    assert_true(frames_join(&b, &a));
    assert_true(frames_join(&c, &b));
    assert_true(frames_in_family(&a));
    assert_true(frames_take_run(&a, FRAME_DATA, 4, &first));
    memset(frames_at(&a, first + 3), 1, 1);
    frames_touch(&a, first + 3);
    frames_share_run(&b, first, 16);
    frames_share_run(&c, first + 3, 9);
    assert_int_equal(a.ram->shared, 16);
    assert_int_equal(a.ram->used, 16);
    assert_int_equal(a.data + b.data + c.data, 16 + 16 + 9);
    frames_give_run(&a, first, 16);
    assert_int_equal(a.data, 0);
    assert_int_equal(a.ram->used, 16);
    assert_int_equal(a.ram->shared, 9);
    frames_give_run(&b, first, 16);
    assert_int_equal(a.ram->used, 9);
    assert_int_equal(a.ram->shared, 0);
    frames_fini(&b);
    frames_fini(&a);
    assert_int_equal(*(uint8_t *)frames_at(&c, first + 3), 1);
    frames_give_run(&c, first + 3, 9);
    assert_int_equal(c.ram->used, 0);
    frames_give(&c, first + 3);
    assert_int_equal(c.wrong_gives, 1);
    frames_fini(&c);
}

/* ---- a model ---- */

#define MODEL_TOTAL  1500
#define MODEL_SPACES 3

/* Random takes, gives and sharing; beside it who has each frame, and a byte that each holds. */
static void any_mixture_of_takes_gives_and_sharing_keeps_every_frame_with_its_owners(void **state)
{
    static bool has[MODEL_SPACES][MODEL_TOTAL];
    static uint8_t byte[MODEL_TOTAL];
    struct frames f[MODEL_SPACES];
    const char *given = getenv("ASPACE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

    (void)state;
    print_message("seed %u (ASPACE_SEED repeats it)\n", seed);
    memset(has, 0, sizeof(has));
    assert_true(frames_init(&f[0], 0, MODEL_TOTAL));
    for (unsigned s = 1; s < MODEL_SPACES; s++)
        assert_true(frames_join(&f[s], &f[0]));
    for (unsigned round = 0; round < 5000; round++) {
        unsigned s = (unsigned)rand_r(&seed) % MODEL_SPACES;
        uint64_t first = 0;
        uint64_t count = 0;
        uint64_t used = 0;

        switch (rand_r(&seed) % 6) {
        case 0:
            count = frames_take(&f[s], FRAME_DATA, &first);
            break;
        case 1:
            count = frames_take_some(&f[s], FRAME_DATA, 1 + (unsigned)rand_r(&seed) % 300, &first);
            break;
        case 2: {
            unsigned order = (unsigned)rand_r(&seed) % 8;

            count = frames_take_run(&f[s], FRAME_DATA, order, &first) ? UINT64_C(1) << order : 0;
            assert_int_equal(first & (count ? count - 1 : 0), 0);
            break;
        }
        case 3: /* share what the next space has and this one has not */
            first = (unsigned)rand_r(&seed) % MODEL_TOTAL;
            for (uint64_t i = first; i < MODEL_TOTAL && has[(s + 1) % MODEL_SPACES][i] && !has[s][i]; i++) {
                count++;
                has[s][i] = true;
            }
            frames_share_run(&f[s], first, count);
            count = 0;
            break;
        default: /* give back a run of what this space has */
            first = (unsigned)rand_r(&seed) % MODEL_TOTAL;
            for (uint64_t i = first; i < MODEL_TOTAL && has[s][i]; i++) {
                count++;
                has[s][i] = false;
            }
            if (count)
                frames_give_run(&f[s], first, count);
            count = 0;
        }
        for (uint64_t i = first; i < first + count; i++) { /* taken */
            for (unsigned other = 0; other < MODEL_SPACES; other++)
                assert_false(has[other][i]);
            assert_int_equal(*(uint8_t *)frames_at(&f[0], i), 0);
            has[s][i] = true;
            byte[i] = (uint8_t)(1 + rand_r(&seed) % 255);
            frames_touch(&f[s], i);
            *(uint8_t *)frames_at(&f[s], i) = byte[i];
        }
        for (uint64_t i = 0; i < MODEL_TOTAL; i++) {
            unsigned owners = has[0][i] + has[1][i] + has[2][i];

            used += owners > 0;
            assert_int_equal(frames_kind(&f[0], i), owners ? FRAME_DATA : FRAME_FREE);
            assert_int_equal(frames_is_shared(&f[0], i), owners > 1);
            if (owners)
                assert_int_equal(*(uint8_t *)frames_at(&f[0], i), byte[i]);
        }
        assert_int_equal(f[0].ram->used, used);
        assert_int_equal(f[0].ram->buddy.free + f[0].ram->hot_count, MODEL_TOTAL - used);
    }
    for (unsigned s = MODEL_SPACES; s--;) {
        assert_int_equal(f[s].wrong_gives, 0);
        frames_fini(&f[s]);
    }
}

static void frames_are_numbered_from_the_first_on_and_others_are_not_there(void **state)
{
    enum { TOTAL = 100 };
    static const uint64_t firsts[] = {1, UINT64_C(0x80000), UINT64_C(0x80001), (UINT64_C(1) << 32) - TOTAL};

    (void)state;
    for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
        uint64_t first = firsts[i];
        bool taken[TOTAL] = {false};
        struct frames f;
        uint64_t run;

        assert_true(frames_init(&f, first, TOTAL));
        assert_false(frames_have(&f, first - 1));
        assert_false(frames_have(&f, first + TOTAL));
        assert_true(frames_take_run(&f, FRAME_DATA, 5, &run));
        assert_true(frames_have(&f, run) && frames_have(&f, run + 31));
        assert_int_equal(run % 32, 0);
        frames_give_run(&f, run, 32);
        for (unsigned n = 0; n < TOTAL; n++) {
            uint64_t frame;

            assert_true(frames_take(&f, FRAME_DATA, &frame));
            assert_true(frames_have(&f, frame));
            assert_false(taken[frame - first]);
            assert_true(is_zero(&f, frame));
            taken[frame - first] = true;
            scribble(&f, frame);
        }
        assert_false(frames_take(&f, FRAME_DATA, &run));
        frames_give_run(&f, first, TOTAL);
        assert_int_equal(f.wrong_gives, 0);
        frames_give(&f, first - 1);
        frames_give_run(&f, first + TOTAL - 1, 2);
        assert_int_equal(f.wrong_gives, 2);
        assert_int_equal(frames_free(&f), TOTAL);
        frames_fini(&f);
    }
}

static void a_machine_on_a_host_without_room_is_refused_with_the_parameter_that_is_too_large(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= MMAPS; nth++) {
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
        cmocka_unit_test(frames_are_numbered_from_the_first_on_and_others_are_not_there),
        cmocka_unit_test(a_frame_is_zero_when_handed_out_even_after_dirty_use),
        cmocka_unit_test(a_table_with_live_entries_is_zero_when_handed_out_as_data),
        cmocka_unit_test(a_free_frame_that_was_written_through_a_fixed_address_is_zero_when_handed_out),
        cmocka_unit_test(no_frame_has_two_owners_and_the_one_after_the_last_is_refused),
        cmocka_unit_test(frames_are_counted_by_kind),
        cmocka_unit_test(a_table_handed_out_again_starts_without_live_entries),
        cmocka_unit_test(frames_that_nobody_touches_cost_nothing),
        cmocka_unit_test(a_host_without_room_is_refused_and_keeps_nothing),
        cmocka_unit_test(a_run_is_aligned_and_in_one_piece),
        cmocka_unit_test(single_frames_given_back_in_any_order_become_a_large_run_again),
        cmocka_unit_test(frames_in_bulk_are_as_many_as_there_are),
        cmocka_unit_test(the_host_has_its_memory_back_once_much_of_it_is_free),
        cmocka_unit_test(what_was_written_to_a_free_frame_stays_when_the_host_has_its_memory_back),
        cmocka_unit_test(frames_in_use_keep_their_bytes_on_a_host_with_larger_pages),
        cmocka_unit_test(a_shared_frame_is_free_once_its_last_space_gave_it_back),
        cmocka_unit_test(any_mixture_of_takes_gives_and_sharing_keeps_every_frame_with_its_owners),
        cmocka_unit_test(a_machine_on_a_host_without_room_is_refused_with_the_parameter_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
