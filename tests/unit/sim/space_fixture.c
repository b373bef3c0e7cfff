/* The steps of the fixture. */
#include "space_fixture.h"

const char *const space_archs[] = {"x86_64", "x86_64-la57", "aarch64", "riscv-sv39", "riscv-sv48", "riscv-sv57"};

struct refusal why;

struct space *make_space(const char *arch, uint64_t frames)
{
    struct space_options options = {
        .name = "a", .arch = arch, .bounds = sim_default_bounds(arch), .max_areas = 100000, .lowest = 0};
    struct backend *backend;
    struct space *space;

    assert_int_equal(sim_create_at(arch, page_addr(SPACE_RAM_FIRST), page_addr(frames), options.bounds, &why, &backend),
                     ASPACE_OK);
    assert_int_equal(space_create(&options, backend, &why, &space), ASPACE_OK);
    return space;
}

struct space *clone_of(struct space *space)
{
    struct space *clone;

    assert_int_equal(space_clone(space, "b", NULL, &why, &clone), ASPACE_OK);
    return clone;
}

enum aspace_error try_map(struct space *space, struct range range, uint16_t flags, enum aspace_backing backing,
                          enum aspace_page page)
{
    struct map_request request = {.attr = {.flags = flags & 0x1ff, .backing = backing & 15, .page = page & 3},
                                  .range = range,
                                  .overlap = ASPACE_OVERLAP_REPLACE};
    uint64_t at;
    struct area area;

    return space_map(space, &request, NULL, &why, &at, &area);
}

void map(struct space *space, uint64_t start, uint64_t pages, uint16_t flags, enum aspace_backing backing,
         enum aspace_page page)
{
    assert_int_equal(try_map(space, (struct range){start, start + pages}, flags, backing, page), ASPACE_OK);
}

static void tell(void *arg, const char *problem)
{
    (void)arg;
    fail_msg("%s", problem);
}

void expect_sound(struct space *space)
{
    space_check(space, tell, NULL);
}

void put(struct space *space, uint64_t page, uint8_t byte)
{
    assert_int_equal(space_write(space, page_addr(page) + 5, &byte, 1, &why), ASPACE_OK);
}

uint8_t get(struct space *space, uint64_t page)
{
    uint8_t byte;

    assert_int_equal(space_read(space, page_addr(page) + 5, &byte, 1, &why), ASPACE_OK);
    return byte;
}

enum aspace_outcome touch(struct space *space, uint64_t page, enum aspace_access kind)
{
    struct access access;
    struct area area;
    bool has;

    assert_int_equal(space_access(space, page_addr(page), 1, kind, ASPACE_MODE_USER, &why, &access, &area, &has),
                     ASPACE_OK);
    return access.outcome;
}

struct frame_counts counts(struct space *space)
{
    return space_summarize(space).frames;
}
