/* A space: bytes over several areas, a CPU's access over a page's edge, tags, and the check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/space.h"
#include "page_backend.h"

#define P  ASPACE_PAGE_SIZE
#define RW (ASPACE_READ | ASPACE_WRITE)

struct fixture {
    struct space *space;
    struct page_backend *backend;
    struct refusal why;
};

static void map(struct fixture *f, uint64_t first, uint64_t pages, uint16_t flags, const char *tag)
{
    struct map_request request = {.attr = {.flags = flags}, .range = {first, first + pages}};
    struct area area;
    uint64_t page;

    assert_int_equal(space_map(f->space, &request, tag, &f->why, &page, &area), ASPACE_OK);
}

/* 64 pages from `base`: two areas that meet and one apart.
 *   ....AAAABBBB....CCCC
 */
static void open_space(struct fixture *f, uint64_t base)
{
    struct space_options options = {.name = "one",
                                    .tag = "a tag",
                                    .arch = "none",
                                    .bounds = {base, base + 64},
                                    .merge = ASPACE_MERGE_OFF,
                                    .max_areas = 1000};

    f->backend = page_backend_create(base, 64);
    assert_int_equal(space_create(&options, &f->backend->head, &f->why, &f->space), ASPACE_OK);
    map(f, base + 4, 4, RW, NULL);
    map(f, base + 8, 4, ASPACE_READ, NULL);
    map(f, base + 16, 4, RW, NULL);
}

static void a_space_has_the_name_and_tag_it_was_given(void **state)
{
    struct fixture f;

    (void)state;
    open_space(&f, 16);
    assert_string_equal(f.space->name, "one");
    assert_string_equal(f.space->tag, "a tag");
    assert_string_equal(f.space->arch, "none");
    space_destroy(f.space);
}

static void bytes_written_over_pages_and_areas_are_read_back(void **state)
{
    const uint64_t size = 5 * P + 100;
    uint64_t addr = page_addr(16 + 5) - 50;
    uint8_t *bytes = malloc(size);
    uint8_t *back = malloc(size);
    uint8_t around[2];
    struct fixture f;

    (void)state;
    assert_true(bytes && back);
    open_space(&f, 16);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(1 + i * 7 % 251);
    assert_int_equal(space_write(f.space, addr, bytes, size, &f.why), ASPACE_OK);
    assert_int_equal(space_read(f.space, addr, back, size, &f.why), ASPACE_OK);
    assert_memory_equal(bytes, back, size);
    assert_int_equal(f.backend->prepares, 2 * 2); /* each of the two areas, twice */
    assert_int_equal(space_read(f.space, addr - 1, around, 2, &f.why), ASPACE_OK);
    assert_int_equal(around[0], 0);
    assert_int_equal(around[1], bytes[0]);
    assert_int_equal(space_read(f.space, addr + size - 1, around, 2, &f.why), ASPACE_OK);
    assert_int_equal(around[0], bytes[size - 1]);
    assert_int_equal(around[1], 0);
    assert_int_equal(space_summarize(f.space).frames.data, 7);
    free(bytes);
    free(back);
    space_destroy(f.space);
}

static void bytes_at_a_hole_or_outside_are_refused_before_any_is_touched(void **state)
{
    static const struct {
        uint64_t addr;
        uint64_t size;
        enum aspace_error error;
    } cases[] = {
        {19 * P, 2 * P, ASPACE_NOT_FOUND},          /* starts in a hole */
        {27 * P, 2 * P, ASPACE_NOT_FOUND},          /* ends in one */
        {28 * P - 1, 2, ASPACE_NOT_FOUND},          /* by one byte */
        {20 * P, 16 * P, ASPACE_NOT_FOUND},         /* one in the middle */
        {15 * P, P, ASPACE_INVALID_PARAM},          /* below the space */
        {80 * P, P, ASPACE_INVALID_PARAM},          /* above it */
        {20 * P, 0, ASPACE_INVALID_PARAM},          /* empty */
        {20 * P, UINT64_MAX, ASPACE_INVALID_PARAM}, /* passes the end of all addresses */
        {20 * P, UINT64_C(1) << 40, ASPACE_INVALID_PARAM},
    };
    static uint8_t buffer[16 * P];
    struct page_entry *before;
    struct fixture f;

    (void)state;
    open_space(&f, 16);
    before = page_backend_copy(f.backend);
    memset(buffer, 0x55, sizeof(buffer));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(space_write(f.space, cases[i].addr, buffer, cases[i].size, &f.why), cases[i].error);
        assert_int_equal(space_read(f.space, cases[i].addr, buffer, cases[i].size, &f.why), cases[i].error);
        assert_int_equal(buffer[0], 0x55);
        assert_true(page_backend_same(f.backend, before));
        page_backend_expect(f.backend, &f.space->set.map);
    }
    free(before);
    space_destroy(f.space);
}

static void a_write_that_cannot_be_prepared_writes_nothing(void **state)
{
    static uint8_t buffer[6 * P];
    struct page_entry *before;
    struct fixture f;
    uint8_t byte = 9;

    (void)state;
    open_space(&f, 16);
    assert_int_equal(space_write(f.space, 21 * P, &byte, 1, &f.why), ASPACE_OK);
    before = page_backend_copy(f.backend);
    memset(buffer, 0x55, sizeof(buffer));
    for (unsigned nth = 1; nth <= 2; nth++) {
        page_backend_fail(f.backend, nth, ASPACE_NO_MEMORY);
        assert_int_equal(space_write(f.space, 20 * P + 5, buffer, 6 * P, &f.why), ASPACE_NO_MEMORY);
        assert_true(f.backend->fired);
        assert_true(page_backend_same(f.backend, before));
        page_backend_expect(f.backend, &f.space->set.map);
    }
    page_backend_fail(f.backend, 0, ASPACE_OK);
    assert_int_equal(space_read(f.space, 21 * P, &byte, 1, &f.why), ASPACE_OK);
    assert_int_equal(byte, 9);
    free(before);
    space_destroy(f.space);
}

static void a_read_that_the_backend_refuses_is_refused(void **state)
{
    struct fixture f;
    uint8_t byte;

    (void)state;
    open_space(&f, 16);
    page_backend_fail(f.backend, 1, ASPACE_BAD_STATE);
    assert_int_equal(space_read(f.space, 20 * P, &byte, 1, &f.why), ASPACE_BAD_STATE);
    space_destroy(f.space);
}

static void the_last_byte_of_the_address_space_can_be_written_and_read(void **state)
{
    uint8_t bytes[4] = {1, 2, 3, 4};
    uint8_t back[4] = {0};
    struct access access;
    struct area area;
    struct fixture f;
    bool has_area;

    (void)state;
    open_space(&f, PAGE_LIMIT - 64);
    map(&f, PAGE_LIMIT - 2, 2, RW, NULL);
    assert_int_equal(space_write(f.space, UINT64_MAX - 3, bytes, 4, &f.why), ASPACE_OK);
    assert_int_equal(space_read(f.space, UINT64_MAX - 3, back, 4, &f.why), ASPACE_OK);
    assert_memory_equal(bytes, back, 4);
    assert_int_equal(space_write(f.space, UINT64_MAX, bytes, 1, &f.why), ASPACE_OK);
    assert_int_equal(space_write(f.space, UINT64_MAX, bytes, 2, &f.why), ASPACE_INVALID_PARAM);
    assert_int_equal(
        space_access(f.space, UINT64_MAX, 1, ASPACE_ACCESS_READ, ASPACE_MODE_USER, &f.why, &access, &area, &has_area),
        ASPACE_OK);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_HIT);
    assert_int_equal(
        space_access(f.space, UINT64_MAX, 2, ASPACE_ACCESS_READ, ASPACE_MODE_USER, &f.why, &access, &area, &has_area),
        ASPACE_INVALID_PARAM);
    space_destroy(f.space);
}

/* ---- access ---- */

static struct access touch(struct fixture *f, uint64_t addr, uint64_t size, enum aspace_access kind,
                           struct area *ret_area, bool *ret_has_area)
{
    struct access access;

    assert_int_equal(
        space_access(f->space, addr, size, kind, ASPACE_MODE_USER, &f->why, &access, ret_area, ret_has_area),
        ASPACE_OK);
    page_backend_expect(f->backend, &f->space->set.map);
    return access;
}

static void an_access_over_two_pages_is_the_heavier_of_both(void **state)
{
    struct access access;
    struct fixture f;
    struct area area;
    bool has_area;

    (void)state;
    open_space(&f, 16);
    access = touch(&f, 20 * P + 8, 8, ASPACE_ACCESS_READ, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FILLED);
    access = touch(&f, 20 * P + 8, 8, ASPACE_ACCESS_WRITE, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_HIT);
    assert_int_equal(access.pa, 20 * P + 8 + 1);
    access = touch(&f, 21 * P - 4, 8, ASPACE_ACCESS_READ, &area, &has_area); /* hit, then filled */
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FILLED);
    assert_int_equal(access.pa, 21 * P - 4 + 1); /* of the first byte */
    access = touch(&f, 21 * P - 4, 8, ASPACE_ACCESS_READ, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_HIT);
    space_destroy(f.space);
}

static void an_access_faults_at_the_first_page_that_faults(void **state)
{
    struct access access;
    struct fixture f;
    struct area area;
    bool has_area;

    (void)state;
    open_space(&f, 16);
    access = touch(&f, 24 * P - 4, 8, ASPACE_ACCESS_WRITE, &area, &has_area); /* into the read-only area */
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
    assert_true(access.addr == 24 * P && has_area && area.range.start == 24);
    assert_string_equal(access.reason, "protection");
    access = touch(&f, 28 * P - 4, 8, ASPACE_ACCESS_READ, &area, &has_area); /* into the hole */
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
    assert_true(access.addr == 28 * P && !has_area);
    access = touch(&f, 32 * P - 4, 8, ASPACE_ACCESS_READ, &area, &has_area); /* out of the hole */
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
    assert_true(access.addr == 32 * P - 4 && !has_area);
    assert_int_equal(page_backend_at(f.backend, 32)->frame == NULL, true);
    space_destroy(f.space);
}

static void an_access_of_nothing_is_refused(void **state)
{
    struct access access;
    struct fixture f;
    struct area area;
    bool has_area;

    (void)state;
    open_space(&f, 16);
    touch(&f, 20 * P + 1, P, ASPACE_ACCESS_READ, &area, &has_area);
    assert_int_equal(
        space_access(f.space, 20 * P, 0, ASPACE_ACCESS_READ, ASPACE_MODE_USER, &f.why, &access, &area, &has_area),
        ASPACE_INVALID_PARAM);
    assert_string_equal(f.why.param, "size");
    space_destroy(f.space);
}

/* Areas at 20 to 23 rw- and 24 to 27 r--, then a hole. */
static void more_than_a_page_only_asks_and_is_told_the_first_address_that_faults(void **state)
{
    struct access access;
    struct fixture f;
    struct area area;
    bool has_area;

    (void)state;
    open_space(&f, 16);
    access = touch(&f, 20 * P + 5, 8 * P - 5, ASPACE_ACCESS_READ, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_HIT);
    assert_true(!access.has_pa && !has_area);
    assert_null(page_backend_at(f.backend, 20)->frame);
    access = touch(&f, 20 * P + 5, 8 * P, ASPACE_ACCESS_READ, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
    assert_true(access.addr == 28 * P && !has_area);
    access = touch(&f, 20 * P + 5, 8 * P - 5, ASPACE_ACCESS_WRITE, &area, &has_area);
    assert_int_equal(access.outcome, ASPACE_OUTCOME_FAULT);
    assert_true(access.addr == 24 * P && has_area && area.range.start == 24);
    assert_string_equal(access.reason, "protection");
    access = touch(&f, 24 * P + 5, 2 * P, ASPACE_ACCESS_WRITE, &area, &has_area);
    assert_true(access.addr == 24 * P + 5 && has_area);
    access = touch(&f, 28 * P + 7, 1000 * P, ASPACE_ACCESS_EXEC, &area, &has_area);
    assert_true(access.addr == 28 * P + 7 && !has_area);
    assert_null(page_backend_at(f.backend, 20)->frame);
    space_destroy(f.space);
}

static void an_access_that_fails_at_its_second_page_gives_the_first_ones_frame_back(void **state)
{
    struct access access = {.pa = 99};
    struct fixture f;
    struct area area = {{7, 8}, {0}};
    bool has_area = false;

    (void)state;
    open_space(&f, 16);
    page_backend_fail(f.backend, 2, ASPACE_NO_MEMORY);
    assert_int_equal(
        space_access(f.space, 21 * P - 4, 8, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, &f.why, &access, &area, &has_area),
        ASPACE_NO_MEMORY);
    assert_true(access.pa == 99 && area.range.start == 7 && !has_area); /* the results are untouched */
    assert_int_equal(space_summarize(f.space).frames.data, 0);
    page_backend_expect(f.backend, &f.space->set.map);
    space_destroy(f.space);
}

/* ---- what a backend need not have ---- */

static void what_the_backend_lacks_is_unsupported(void **state)
{
    struct backend_ops few;
    struct access access;
    struct fixture f;
    struct area area;
    bool has_area;
    uint8_t byte = 0;

    (void)state;
    open_space(&f, 16);
    few = *f.backend->head.ops;
    few.read = NULL;
    few.write = NULL;
    few.access = NULL;
    few.count_frames = NULL;
    f.backend->head.ops = &few;
    assert_int_equal(space_read(f.space, 20 * P, &byte, 1, &f.why), ASPACE_UNSUPPORTED);
    assert_int_equal(space_write(f.space, 20 * P, &byte, 1, &f.why), ASPACE_UNSUPPORTED);
    assert_int_equal(
        space_access(f.space, 20 * P, 1, ASPACE_ACCESS_READ, ASPACE_MODE_USER, &f.why, &access, &area, &has_area),
        ASPACE_UNSUPPORTED);
    assert_int_equal(space_summarize(f.space).frames.data, 0);
    space_destroy(f.space);
}

/* ---- tags and the check ---- */

static void an_areas_tag_is_its_text(void **state)
{
    struct fixture f;
    struct area area;

    (void)state;
    open_space(&f, 16);
    map(&f, 40, 2, RW, "heap");
    map(&f, 42, 2, RW, "heap");
    map(&f, 44, 2, RW, "stack");
    assert_true(area_map_find(&f.space->set.map, 43, &area));
    assert_string_equal(tags_text(&f.space->tags, area.attr.tag), "heap");
    assert_int_equal(f.space->tags.count, 2);
    assert_true(area_map_find(&f.space->set.map, 20, &area));
    assert_null(tags_text(&f.space->tags, area.attr.tag));
    space_destroy(f.space);
}

static void count_problem(void *arg, const char *problem)
{
    ++*(unsigned *)arg;
    assert_int_not_equal(strlen(problem), 0);
}

struct seen {
    const char *problem; /* what is looked for */
    unsigned count;
    unsigned others;
};

static void look_for(void *arg, const char *problem)
{
    struct seen *seen = arg;

    *(strstr(problem, seen->problem) ? &seen->count : &seen->others) += 1;
}

static void assert_told(struct space *space, const char *problem, unsigned count)
{
    struct seen seen = {.problem = problem};

    space_check(space, look_for, &seen);
    if (seen.count != count || seen.others)
        fail_msg("'%s' is told %u times and other problems %u times", problem, seen.count, seen.others);
}

/* Sets a field wrong, checks that it is told, and nothing else, and sets it right. */
#define ASSERT_TOLD(space, problem, field, wrong)                                                                      \
    do {                                                                                                               \
        __typeof__(field) right_ = (field);                                                                            \
        (field) = (wrong);                                                                                             \
        assert_told(space, problem, 1);                                                                                \
        (field) = right_;                                                                                              \
        assert_told(space, "", 0);                                                                                     \
    } while (0)

/* The slot of the table that holds `id`, of 0 an empty one. */
static uint32_t *slot_with(const struct tags *tags, uint32_t id)
{
    uint32_t *slot = tags->slots;

    while (*slot != id)
        slot++;
    return slot;
}

static void damaged_tags_are_told(void **state)
{
    struct fixture f;
    struct tags *tags;
    char other[] = "other";
    uint32_t *slot;
    uint32_t *empty;

    (void)state;
    open_space(&f, 16);
    map(&f, 40, 2, RW, "heap");
    map(&f, 42, 2, RW, "stack");
    tags = &f.space->tags;
    slot = slot_with(tags, 2);
    empty = slot_with(tags, 0);
    assert_told(f.space, "", 0);
    ASSERT_TOLD(f.space, "tag 1 is not found by its text", tags->texts[0], other);
    ASSERT_TOLD(f.space, "tag 2 is not found by its text", tags->texts[1], tags->texts[0]);
    ASSERT_TOLD(f.space, "tag 2 is not found by its text", *slot, 0);
    ASSERT_TOLD(f.space, "tag 2 is not found by its text", *slot, 1);
    ASSERT_TOLD(f.space, "tag 2 is not found by its text", *slot, tags->capacity + 1);
    ASSERT_TOLD(f.space, "2 texts and 3 slots in use, but the table says 2", *empty, 1);
    ASSERT_TOLD(f.space, "2 texts and 2 slots in use, but the table says 3", tags->count, 3);
    ASSERT_TOLD(f.space, "tag 3 is free, below the lowest free one", tags->lowest, 3);
    space_destroy(f.space);
}

static void an_area_with_a_tag_that_does_not_exist_is_told(void **state)
{
    const struct area wrong[] = {{{100, 101}, {.tag = 2}}, {{102, 103}, {.tag = UINT32_MAX}}};
    struct fixture f;

    (void)state;
    open_space(&f, 64);
    map(&f, 90, 2, RW, "heap");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(area_map_reserve(&f.space->set.map, 1), ASPACE_OK);
        area_map_replace(&f.space->set.map, wrong[i].range, &wrong[i], 1);
    }
    assert_told(f.space, "which does not exist", 2);
    space_destroy(f.space);
}

static void a_check_reports_nothing_until_something_is_broken(void **state)
{
    struct fixture f;
    unsigned problems = 0;
    uint32_t count;

    (void)state;
    open_space(&f, 16);
    map(&f, 40, 2, RW, "heap");
    space_check(f.space, count_problem, &problems);
    assert_int_equal(problems, 0);
    count = f.space->tags.capacity;
    f.space->tags.capacity = 0; /* as if the table had lost its texts */
    space_check(f.space, count_problem, &problems);
    assert_int_equal(problems, 2); /* of the table, and of the area that carries a tag */
    f.space->tags.capacity = count;
    f.space->set.map.count++;
    space_check(f.space, count_problem, &problems);
    assert_int_equal(problems, 3);
    f.space->set.map.count--;
    space_destroy(f.space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_space_has_the_name_and_tag_it_was_given),
        cmocka_unit_test(bytes_written_over_pages_and_areas_are_read_back),
        cmocka_unit_test(bytes_at_a_hole_or_outside_are_refused_before_any_is_touched),
        cmocka_unit_test(a_write_that_cannot_be_prepared_writes_nothing),
        cmocka_unit_test(a_read_that_the_backend_refuses_is_refused),
        cmocka_unit_test(the_last_byte_of_the_address_space_can_be_written_and_read),
        cmocka_unit_test(an_access_over_two_pages_is_the_heavier_of_both),
        cmocka_unit_test(an_access_faults_at_the_first_page_that_faults),
        cmocka_unit_test(an_access_of_nothing_is_refused),
        cmocka_unit_test(more_than_a_page_only_asks_and_is_told_the_first_address_that_faults),
        cmocka_unit_test(an_access_that_fails_at_its_second_page_gives_the_first_ones_frame_back),
        cmocka_unit_test(what_the_backend_lacks_is_unsupported),
        cmocka_unit_test(an_areas_tag_is_its_text),
        cmocka_unit_test(damaged_tags_are_told),
        cmocka_unit_test(an_area_with_a_tag_that_does_not_exist_is_told),
        cmocka_unit_test(a_check_reports_nothing_until_something_is_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
