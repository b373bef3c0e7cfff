/* Drawings to areas and back. */
#include "set_fixture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct area_attr set_fixture_attr(char letter)
{
    bool lower = letter >= 'a';
    struct area_attr attr = {.flags = lower ? ASPACE_READ : RW, .backing = ASPACE_BACKING_LAZY};

    switch (lower ? letter - 'a' + 'A' : letter) {
    case 'N':
        attr.flags |= ASPACE_EXEC;
        break;
    case 'G':
        attr.backing = ASPACE_BACKING_EAGER;
        break;
    case 'L':
    case 'M':
    case 'K':
        attr.backing = ASPACE_BACKING_LINEAR;
        attr.delta = letter == 'K' || letter == 'k' ? 2000 : 1000;
        break;
    case 'T':
    case 'U':
        attr.tag = 1;
        break;
    case 'V':
        attr.tag = 2;
        break;
    }
    return attr;
}

struct range set_fixture_range(const struct set_fixture *f, const char *drawing)
{
    const char *single = strchr(drawing, '|');
    const char *first = single ? single : strchr(drawing, '[');
    const char *last = single ? single : strchr(drawing, ']');

    assert_true(first && last);
    return (struct range){f->base + (uint64_t)(first - drawing), f->base + (uint64_t)(last - drawing) + 1};
}

static enum aspace_error map_range(struct set_fixture *f, char letter, struct range range, enum aspace_overlap overlap)
{
    struct map_request request = {.attr = set_fixture_attr(letter), .range = range, .overlap = overlap};
    uint64_t page = PAGE_LIMIT;
    struct area area;
    enum aspace_error error;

    request.pa_page = range.start + request.attr.delta;
    error = memory_set_map(&f->set, &request, &f->why, &page, &area);
    if (!error) {
        assert_int_equal(page, range.start);
        assert_true(range_contains(area.range, range));
    }
    return error;
}

enum aspace_error set_fixture_map(struct set_fixture *f, char letter, const char *drawing, enum aspace_overlap overlap)
{
    return map_range(f, letter, set_fixture_range(f, drawing), overlap);
}

/* The next run of letters from *at on. */
static bool next_run(const struct set_fixture *f, const char *drawing, size_t *at, struct area *ret)
{
    size_t start = *at + strspn(drawing + *at, ". ");
    size_t end = start;

    while (drawing[end] && drawing[end] == drawing[start])
        end++;
    *at = end;
    if (start == end)
        return false;
    *ret = (struct area){{f->base + start, f->base + end}, set_fixture_attr(drawing[start])};
    return true;
}

void set_fixture_open(struct set_fixture *f, uint64_t base, uint64_t pages, enum aspace_merge merge,
                      const char *drawing)
{
    struct area area;
    size_t at = 0;

    *f = (struct set_fixture){.base = base};
    f->backend = page_backend_create(base, pages);
    memory_set_init(&f->set, (struct range){base, base + pages}, &f->backend->head, merge, 1000000);
    while (next_run(f, drawing, &at, &area))
        assert_int_equal(map_range(f, drawing[at - 1], area.range, ASPACE_OVERLAP_FAIL), ASPACE_OK);
    set_fixture_expect(f, drawing);
}

void set_fixture_draw(struct set_fixture *f, enum aspace_merge merge, const char *drawing)
{
    set_fixture_open(f, 16, 64, merge, drawing);
}

static void forget(struct set_fixture *f)
{
    free(f->areas);
    free(f->entries);
    f->areas = NULL;
    f->entries = NULL;
}

void set_fixture_close(struct set_fixture *f)
{
    forget(f);
    memory_set_free(&f->set);
    f->backend->head.ops->destroy(&f->backend->head);
}

static bool same_area(const struct area *x, const struct area *y)
{
    return range_equal(x->range, y->range) && area_attr_equal(&x->attr, &y->attr);
}

bool set_fixture_is(const struct set_fixture *f, const struct area *area, const char *drawing)
{
    struct area drawn;
    size_t at = 0;

    return next_run(f, drawing, &at, &drawn) && same_area(area, &drawn);
}

static void expect_valid(struct set_fixture *f)
{
    char problem[160];

    if (!area_map_validate(&f->set.map, problem, sizeof(problem)))
        fail_msg("the map is broken: %s", problem);
    page_backend_expect(f->backend, &f->set.map);
}

void set_fixture_expect(struct set_fixture *f, const char *drawing)
{
    struct area_cursor cursor;
    struct area area;
    struct area drawn;
    size_t at = 0;
    size_t count = 0;

    area_map_seek(&f->set.map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        if (!next_run(f, drawing, &at, &drawn) || !same_area(&area, &drawn))
            fail_msg("not \"%s\": there is an area from column %" PRIu64 " to %" PRIu64 " with flags 0x%x", drawing,
                     area.range.start - f->base, area.range.end - f->base, (unsigned)area.attr.flags);
        count++;
    }
    if (next_run(f, drawing, &at, &drawn))
        fail_msg("not \"%s\": no area at column %" PRIu64, drawing, drawn.range.start - f->base);
    assert_int_equal(f->set.map.count, count);
    expect_valid(f);
}

void set_fixture_before(struct set_fixture *f)
{
    struct area_cursor cursor;
    size_t i = 0;

    forget(f);
    f->areas = calloc(f->set.map.count + 1, sizeof(*f->areas));
    assert_non_null(f->areas);
    area_map_seek(&f->set.map, 0, &cursor);
    for (; area_cursor_get(&cursor, &f->areas[i]); area_cursor_next(&cursor))
        i++;
    f->areas[i].range = (struct range){0, 0}; /* the end */
    f->entries = page_backend_copy(f->backend);
    f->generation = f->set.generation;
    f->commits = f->backend->commits;
}

void set_fixture_unchanged(struct set_fixture *f)
{
    struct area_cursor cursor;
    struct area area;
    size_t i = 0;

    area_map_seek(&f->set.map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor))
        if (!same_area(&area, &f->areas[i++]))
            fail_msg("area %zu is not what it was", i - 1);
    assert_true(range_empty(f->areas[i].range));
    assert_true(page_backend_same(f->backend, f->entries));
    assert_int_equal(f->set.generation, f->generation);
    assert_int_equal(f->backend->commits, f->commits);
    expect_valid(f);
}
