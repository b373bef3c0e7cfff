/* Reconciling with what is really there: drawn cases, and random ones against an oracle that thinks page by page. */
#include "core/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page_backend.h"

#define PAGES 64

struct fixture {
    struct memory_set set;
    struct page_backend *backend;
    struct area_list found;
    struct refusal why;
};

static void start(struct fixture *f, enum aspace_merge merge)
{
    memset(f, 0, sizeof(*f));
    f->backend = page_backend_create(0, PAGES);
    memory_set_init(&f->set, (struct range){0, PAGES}, &f->backend->head, merge, 1000);
    f->found.window = (struct range){0, PAGES};
}

static void stop(struct fixture *f)
{
    memory_set_free(&f->set);
    f->backend->head.ops->destroy(&f->backend->head);
    area_list_free(&f->found);
}

/* A drawing, one character a page: a letter is an area's attributes (lower case: tag 1), '|' before a page a border. */
static size_t draw(const char *drawing, struct area *ret)
{
    size_t count = 0;
    uint64_t page = 0;
    char last = '.';
    bool border = false;

    for (const char *c = drawing; *c; c++) {
        if (*c == '|') {
            border = true;
            continue;
        }
        if (*c != '.' && *c == last && !border)
            ret[count - 1].range.end++;
        else if (*c != '.')
            ret[count++] = (struct area){{page, page + 1},
                                         {.tag = *c >= 'a',
                                          .flags = 1 + (uint16_t)((*c | 32) - 'a') % 2,
                                          .delta = (uint64_t)((*c | 32) - 'a') / 2}};
        last = *c;
        border = false;
        page++;
    }
    return count;
}

static void put(struct fixture *f, const char *drawing)
{
    struct area areas[PAGES];
    size_t count = draw(drawing, areas);

    assert_int_equal(area_map_reserve(&f->set.map, count), ASPACE_OK);
    area_map_replace(&f->set.map, (struct range){0, PAGES}, areas, count);
}

static void find(struct fixture *f, const char *drawing)
{
    struct area areas[PAGES];
    size_t count = draw(drawing, areas);

    f->found.count = 0;
    for (size_t i = 0; i < count; i++) {
        areas[i].attr.tag = 0;
        assert_int_equal(area_list_add(&f->found, &areas[i], &f->why), ASPACE_OK);
    }
}

static void expect(const struct fixture *f, const char *drawing)
{
    struct area areas[PAGES];
    size_t count = draw(drawing, areas);
    struct area_cursor cursor;
    struct area area = {{0, 0}, {0}};
    char problem[160];

    assert_true(area_map_validate(&f->set.map, problem, sizeof(problem)));
    area_map_seek(&f->set.map, 0, &cursor);
    for (size_t i = 0; i < count; i++, area_cursor_next(&cursor)) {
        assert_true(area_cursor_get(&cursor, &area));
        if (!range_equal(area.range, areas[i].range) || !area_attr_equal(&area.attr, &areas[i].attr))
            fail_msg("%s: area %zu is %d..%d flags %d tag %d", drawing, i, (int)area.range.start, (int)area.range.end,
                     area.attr.flags, (int)area.attr.tag);
    }
    assert_false(area_cursor_get(&cursor, &area));
}

struct drawn {
    const char *map;
    const char *found;
    const char *after;
    bool changed;
};

/* A and B are one thing with different flags, C and D another. */
static void the_drawn_cases_come_out(void **state)
{
    static const struct drawn cases[] = {
        {"AAAA", "AAAA", "AAAA", false},
        {"", "AAAA", "AAAA", true},
        {"AAAA", "", "", true},
        {"AA|AA", "AAAA", "AA|AA", false},    /* a split that the kernel does not see */
        {"aa|AA", "AAAA", "aaAA", false},     /* a tag that it does not see */
        {"AABBAA", "AAAAAA", "AAAAAA", true}, /* a protect undone by the target */
        {"AAAAAA", "AABBAA", "AABBAA", true}, /* and done */
        {"aaaaaa", "AABBAA", "aabbaa", true}, /* the tag stays with the thing */
        {"aaaa", "CCCC", "CCCC", true},       /* another thing has no tag */
        {"AA|AA", "AABB", "AABB", true},      /* the split becomes a border */
        {"AA..", "AAAA", "AAAA", true},       /* growth */
        {"aa..", "AAAA", "aaAA", true},       /* what grew has no tag */
        {"AAAA", "A..A", "A..A", true},       /* a hole */
        {"AAAA", "AA|AA", "AA|AA", true},     /* two where we knew one */
        {"AA|AA|AA", "AAAAAA", "AA|AA|AA", false},
        {"AA|AA|AA", "AABBAA", "AABBAA", true},
        {"AA..CC", "AA..DD", "AA..DD", true},
        {"..aabb..", "..AAAA..", "..aaaa..", true},
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        bool changed = !cases[i].changed;

        start(&f, ASPACE_MERGE_OFF);
        put(&f, cases[i].map);
        find(&f, cases[i].found);
        assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_OK);
        expect(&f, cases[i].after);
        if (changed != cases[i].changed)
            fail_msg("%s found %s: changed %d", cases[i].map, cases[i].found, changed);
        assert_int_equal(f.set.generation, changed);
        stop(&f);
    }
}

static void with_merge_auto_neighbours_alike_are_one(void **state)
{
    struct fixture f;
    bool changed;

    (void)state;
    start(&f, ASPACE_MERGE_AUTO);
    find(&f, "AA|AABB|BB..A");
    assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_OK);
    expect(&f, "AAAABBBB..A");
    stop(&f);
}

static void a_window_leaves_the_rest_alone(void **state)
{
    struct fixture f;
    bool changed;

    (void)state;
    start(&f, ASPACE_MERGE_OFF);
    put(&f, "AA..BB..aa");
    find(&f, "....AA");
    f.found.window = (struct range){3, 7};
    assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_OK);
    expect(&f, "AA..AA..aa");
    stop(&f);
}

static void past_the_limit_of_areas_nothing_changes(void **state)
{
    struct fixture f;
    bool changed;

    (void)state;
    start(&f, ASPACE_MERGE_OFF);
    f.set.max_areas = 2;
    put(&f, "AA..");
    find(&f, "A.A.A");
    assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_NO_MEMORY);
    expect(&f, "AA..");
    assert_int_equal(f.set.generation, 0);
    stop(&f);
}

/* ---- Random ---- */

struct page {
    bool mapped;
    bool border; /* an area begins here */
    struct area_attr attr;
};

static void to_pages(const struct area *areas, size_t count, struct page *ret)
{
    memset(ret, 0, PAGES * sizeof(*ret));
    for (size_t i = 0; i < count; i++)
        for (uint64_t p = areas[i].range.start; p < areas[i].range.end; p++)
            ret[p] = (struct page){true, p == areas[i].range.start, areas[i].attr};
}

static size_t random_areas(struct area *ret, bool tags)
{
    size_t count = 0;
    uint64_t page = (uint64_t)rand() % 4;

    while (page < PAGES) {
        uint64_t end = page + 1 + (uint64_t)rand() % 8;

        ret[count++] = (struct area){{page, end < PAGES ? end : PAGES},
                                     {.flags = (uint16_t)(1 + rand() % 2),
                                      .delta = (uint64_t)(rand() % 4 == 0),
                                      .tag = tags ? (uint32_t)rand() % 3 : 0}};
        page = end + (rand() % 3 ? 0 : (uint64_t)rand() % 5);
    }
    return count;
}

/* The rules, said of a page and the one before it. */
static void check_page(const struct page *before, const struct page *found, const struct page *after, unsigned p)
{
    bool same = before[p].mapped && before[p].attr.delta == found[p].attr.delta;
    bool alike;
    bool was_split;

    assert_int_equal(after[p].mapped, found[p].mapped);
    if (!found[p].mapped)
        return;
    assert_int_equal(after[p].attr.flags, found[p].attr.flags);
    assert_int_equal(after[p].attr.delta, found[p].attr.delta);
    assert_int_equal(after[p].attr.tag, same ? before[p].attr.tag : 0);
    if (found[p].border || p == 0 || !after[p - 1].mapped) {
        assert_true(after[p].border);
        return;
    }
    alike = area_attr_equal(&after[p - 1].attr, &after[p].attr);
    was_split = same && before[p].border && before[p - 1].mapped &&
                before[p - 1].attr.delta == found[p - 1].attr.delta &&
                area_attr_equal(&before[p - 1].attr, &before[p].attr);
    assert_int_equal(after[p].border, !alike || was_split);
}

static void random_maps_follow_random_truths(void **state)
{
    const char *given = getenv("ASPACE_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : 20261123;
    struct area areas[PAGES];
    struct page before[PAGES];
    struct page found[PAGES];
    struct page after[PAGES];

    (void)state;
    print_message("ASPACE_SEED=%u\n", seed);
    srand(seed);
    for (unsigned round = 0; round < 20000; round++) {
        struct fixture f;
        struct area_cursor cursor;
        size_t count = random_areas(areas, true);
        bool changed;

        start(&f, ASPACE_MERGE_OFF);
        to_pages(areas, count, before);
        assert_int_equal(area_map_reserve(&f.set.map, count), ASPACE_OK);
        area_map_replace(&f.set.map, (struct range){0, PAGES}, areas, count);
        count = random_areas(areas, false);
        to_pages(areas, count, found);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(area_list_add(&f.found, &areas[i], &f.why), ASPACE_OK);
        assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_OK);
        area_map_seek(&f.set.map, 0, &cursor);
        for (count = 0; area_cursor_get(&cursor, &areas[count]); count++)
            area_cursor_next(&cursor);
        to_pages(areas, count, after);
        for (unsigned p = 0; p < PAGES; p++)
            check_page(before, found, after, p);
        assert_int_equal(memory_set_reconcile(&f.set, &f.found, &f.why, &changed), ASPACE_OK);
        assert_false(changed); /* once is enough */
        stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_drawn_cases_come_out),         cmocka_unit_test(with_merge_auto_neighbours_alike_are_one),
        cmocka_unit_test(a_window_leaves_the_rest_alone),   cmocka_unit_test(past_the_limit_of_areas_nothing_changes),
        cmocka_unit_test(random_maps_follow_random_truths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
