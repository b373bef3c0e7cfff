/* What is really there: the kernel's mappings as areas, and what can be told of their pages. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ptrace/target.h"

#define ADDR "0x%" PRIx64
/* Asked for one by one up to here; past it the whole text is read. */
#define QUERIES_MAX 48

/* ---- A mapping as an area ---- */

static bool is_special(const struct mapping *m)
{
    return m->name[0] == '[' && strncmp(m->name, "[anon", 5) != 0;
}

static enum aspace_backing backing_of(const struct mapping *m)
{
    if (strcmp(m->name, "[heap]") == 0)
        return ASPACE_BACKING_HEAP;
    if (strcmp(m->name, "[stack]") == 0)
        return ASPACE_BACKING_STACK;
    if (is_special(m))
        return ASPACE_BACKING_SPECIAL;
    return m->inode || m->name[0] == '/' ? ASPACE_BACKING_FILE : ASPACE_BACKING_ANON;
}

/* The pages that a tracer has there, of this space or another one: a target whose trampoline changes would die of the
 * next edit through it. */
static bool is_ours(const struct target *t, const struct mapping *m)
{
    struct range own = tracer_own_pages(t->tracer);

    if (!range_empty(own) && range_has_page(own, page_of(m->start)))
        return true;
    return !m->inode && !m->name[0] && tracer_is_trampoline(t->tracer, m->start);
}

static enum aspace_error to_area(struct target *t, const struct mapping *m, struct refusal *why, struct area *ret)
{
    bool ours = is_ours(t, m);
    enum aspace_backing backing = ours ? ASPACE_BACKING_SPECIAL : backing_of(m);
    uint16_t path;

    if (target_path_id(t, ours ? "[aspaced]" : m->name, why, &path))
        return why->code;
    *ret = (struct area){
        {page_of(m->start), page_of(m->end)},
        {
            .flags = (uint16_t)((m->read ? ASPACE_READ : 0) | (m->write ? ASPACE_WRITE : 0) |
                                (m->exec ? ASPACE_EXEC : 0) | (m->shared ? ASPACE_SHARED : 0)),
            .backing = backing,
            .path = path,
            .delta = backing == ASPACE_BACKING_FILE ? page_of(m->offset) - page_of(m->start) : 0,
        },
    };
    return ASPACE_OK;
}

/* ---- All of them ---- */

struct reading {
    struct target *t;
    struct refusal *why;
    enum aspace_error error;
};

static bool take(void *arg, const struct mapping *m)
{
    struct reading *r = arg;
    struct area area;

    if (page_of(m->start) >= ptrace_bounds().end)
        return true; /* the vsyscall page */
    r->error = to_area(r->t, m, r->why, &area);
    if (!r->error)
        r->error = area_list_add(&r->t->found, &area, r->why);
    return !r->error;
}

static enum aspace_error read_all(struct target *t, struct refusal *why)
{
    struct reading reading = {t, why, ASPACE_OK};

    t->found.count = 0;
    t->found.window = ptrace_bounds();
    if (maps_read(&t->maps, take, &reading, why))
        return why->code;
    return reading.error;
}

/* Where the target cannot be stopped (another debugger has it, it waits for a disk) it is read while it runs: an area
 * that changes in that moment may then be seen twice or not at all, which the order tells. */
static enum aspace_error read_running(struct target *t, struct refusal *why)
{
    for (int attempt = 0; attempt < 5; attempt++) {
        bool torn = false;

        if (read_all(t, why))
            return why->code;
        for (size_t i = 1; i < t->found.count; i++)
            torn |= t->found.areas[i].range.start < t->found.areas[i - 1].range.end;
        if (!torn)
            return ASPACE_OK;
    }
    return refuse(why, ASPACE_BUSY, "the target changes its mappings faster than they can be read");
}

static enum aspace_error read_stopped(struct target *t, bool hold, struct refusal *why)
{
    bool begun = t->begun;
    enum aspace_error error;

    if (target_begin(t, TRACER_ALL_THREADS, why))
        return hold || why->code == ASPACE_TARGET_GONE ? why->code : read_running(t, why);
    error = read_all(t, why);
    if (!begun && (!hold || error))
        target_end(t);
    return error;
}

/* ---- Some of them ---- */

/* Nothing is mapped from where was asked up to the window's end. */
static bool is_hole(const struct mapping *m, bool is_there, struct range window)
{
    return !is_there || (page_of(m->start) >= window.end && page_of(m->start) < ptrace_bounds().end);
}

/* False: too many, or the kernel cannot be asked like this. */
static bool read_some(struct target *t, struct range window, struct refusal *why, enum aspace_error *ret)
{
    char name[MAPS_NAME_MAX];
    uint64_t page = window.start;

    t->found.count = 0;
    t->found.window = window;
    *ret = ASPACE_OK;
    for (unsigned queries = 0; page < t->found.window.end; queries++) {
        struct mapping m;
        struct area area;
        bool is_there;

        if (t->maps.no_query || queries == QUERIES_MAX)
            return false;
        *ret = maps_query(&t->maps, page_addr(page), name, why, &m, &is_there);
        if (*ret == ASPACE_UNSUPPORTED)
            return false;
        if (*ret)
            return true;
        if (t->found.count == 0 && is_hole(&m, is_there, t->found.window))
            t->found.window.end = is_there ? page_of(m.end) : ptrace_bounds().end; /* what comes next is told too */
        if (!is_there || page_of(m.start) >= t->found.window.end)
            return true;
        *ret = to_area(t, &m, why, &area);
        if (!*ret)
            *ret = area_list_add(&t->found, &area, why);
        if (*ret)
            return true;
        if (area.range.start < t->found.window.start)
            t->found.window.start = area.range.start;
        if (area.range.end > t->found.window.end)
            t->found.window.end = area.range.end;
        page = area.range.end;
    }
    return true;
}

/* ---- sync ---- */

enum tracer_fate target_fate(struct target *t)
{
    enum tracer_fate fate = tracer_fate(t->tracer);

    if (t->head.watch && fate != TRACER_ALIVE && fate != t->fate_told) {
        watch_target(t->head.watch, fate == TRACER_EXECED ? ASPACE_EVENT_TARGET_EXEC : ASPACE_EVENT_TARGET_EXIT);
        t->fate_told = fate;
    }
    return fate;
}

static enum aspace_error check_fate(struct target *t, struct refusal *why)
{
    switch (target_fate(t)) {
    case TRACER_ALIVE:
        return ASPACE_OK;
    case TRACER_EXECED:
        refuse(why, ASPACE_TARGET_GONE, "process %d has replaced its image by exec", (int)tracer_pid(t->tracer));
        why->hint = "space.sync goes on with the new image";
        return why->code;
    case TRACER_EXITED:
        break;
    }
    refuse(why, ASPACE_TARGET_GONE, "process %d has exited", (int)tracer_pid(t->tracer));
    why->hint = "destroy the space";
    return why->code;
}

enum aspace_error target_sync(struct backend *backend, struct range window, bool hold, struct refusal *why,
                              const struct area_list **ret)
{
    struct target *t = target_of(backend);
    enum aspace_error error;

    if (check_fate(t, why))
        return why->code;
    window = range_meet(window, ptrace_bounds());
    if (hold || range_equal(window, ptrace_bounds()) || !read_some(t, window, why, &error))
        error = read_stopped(t, hold, why);
    if (!error)
        *ret = &t->found;
    return error;
}

/* The kernel keeps neighbours apart that differ in more than is seen: anonymous pages that were moved, madvise. By the
 * last list of sync, which holds the areas around the page. */
bool target_border(struct backend *backend, uint64_t page)
{
    const struct area_list *found = &target_of(backend)->found;

    for (size_t i = 0; i < found->count; i++)
        if (found->areas[i].range.start == page)
            return true;
    return false;
}

/* ---- Pages ---- */

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT        (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED        (UINT64_C(1) << 62)
#define PAGEMAP_FILE_OR_SHARED (UINT64_C(1) << 61)
#define PAGEMAP_EXCLUSIVE      (UINT64_C(1) << 56)

static enum aspace_error read_pagemap(struct target *t, uint64_t page, struct refusal *why, uint64_t *ret)
{
    int fd = tracer_open_file(t->tracer, "pagemap", O_RDONLY);
    ssize_t n = fd < 0 ? -1 : pread(fd, ret, sizeof(*ret), (off_t)(page * sizeof(*ret)));
    int error = errno;

    if (fd >= 0)
        close(fd);
    if (n == (ssize_t)sizeof(*ret))
        return ASPACE_OK;
    if (n >= 0)
        return refuse(why, ASPACE_TARGET_GONE, "the target's page map has no page at " ADDR, page_addr(page));
    return refuse(why, error == EACCES || error == EPERM ? ASPACE_DENIED : ASPACE_BAD_STATE,
                  "cannot read the target's page map: %s", strerror(error));
}

/* The page fault's error code of x86 (SDM volume 3, 4.7): present, write, user, instruction fetch. */
static uint32_t fault_code(bool present, enum aspace_access kind, enum aspace_mode mode)
{
    return (present ? 1u : 0) | (kind == ASPACE_ACCESS_WRITE ? 2u : 0) | (mode == ASPACE_MODE_USER ? 4u : 0) |
           (kind == ASPACE_ACCESS_EXEC ? 16u : 0);
}

static bool permits(uint16_t flags, enum aspace_access kind)
{
    switch (kind) {
    case ASPACE_ACCESS_READ: /* writable and executable pages can be read on this hardware */
        return flags & (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC);
    case ASPACE_ACCESS_WRITE:
        return flags & ASPACE_WRITE;
    case ASPACE_ACCESS_EXEC:
        return flags & ASPACE_EXEC;
    }
    return false;
}

/* Answered from what the kernel shows, and nothing is touched: filled and copied say what a real access would do. */
enum aspace_error target_access(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why, struct access *ret)
{
    struct target *t = target_of(backend);
    uint64_t entry = 0;
    bool present;

    if (area && read_pagemap(t, page_of(addr), why, &entry))
        return why->code;
    present = entry & PAGEMAP_PRESENT;
    *ret = (struct access){.outcome = ASPACE_OUTCOME_HIT};
    if (!area || !permits(area->attr.flags, kind)) {
        ret->outcome = ASPACE_OUTCOME_FAULT;
        ret->reason = area ? "protection" : "unmapped";
        ret->addr = addr;
        ret->code = fault_code(present, kind, mode);
    } else if (!present) {
        ret->outcome = ASPACE_OUTCOME_FILLED;
    } else if (kind == ASPACE_ACCESS_WRITE && !(area->attr.flags & ASPACE_SHARED) &&
               (entry & PAGEMAP_FILE_OR_SHARED || !(entry & PAGEMAP_EXCLUSIVE))) {
        ret->outcome = ASPACE_OUTCOME_COPIED;
    }
    return ASPACE_OK;
}

/* ---- check ---- */

static void report_page(const struct area *map, const struct area *found, uint64_t page, backend_problem_fn *report,
                        void *arg)
{
    char problem[200];

    if (!found)
        snprintf(problem, sizeof(problem), "page " ADDR " is in an area and not mapped in the target", page_addr(page));
    else if (!map)
        snprintf(problem, sizeof(problem), "page " ADDR " is mapped in the target and in no area", page_addr(page));
    else
        snprintf(problem, sizeof(problem), "page " ADDR " has other flags or another backing in the target",
                 page_addr(page));
    report(arg, problem);
}

/* The next place above `page` where either side begins or ends. */
static uint64_t next_edge(uint64_t page, const struct area *area, uint64_t best)
{
    if (!area)
        return best;
    if (area->range.start > page && area->range.start < best)
        return area->range.start;
    return area->range.start <= page && area->range.end < best ? area->range.end : best;
}

static bool alike(const struct area_attr *a, const struct area_attr *b)
{
    struct area_attr untagged = *a;

    untagged.tag = b->tag;
    untagged.made = b->made;
    return area_attr_equal(&untagged, b);
}

/* Run by run from both sides at once; one report for each run that differs. */
void target_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg)
{
    struct target *t = target_of(backend);
    const struct area_list *found;
    struct refusal why;
    uint64_t page = 0;
    size_t i = 0;

    if (target_sync(backend, ptrace_bounds(), false, &why, &found)) {
        report(arg, why.message);
        return;
    }
    while (page < t->found.window.end) {
        struct area_cursor cursor;
        struct area area;
        const struct area *there;
        const struct area *ours;
        bool in_map;
        bool in_target;

        area_map_seek(map, page, &cursor);
        ours = area_cursor_get(&cursor, &area) ? &area : NULL;
        while (i < found->count && found->areas[i].range.end <= page)
            i++;
        there = i < found->count ? &found->areas[i] : NULL;
        in_map = ours && range_has_page(ours->range, page);
        in_target = there && range_has_page(there->range, page);
        if (in_map != in_target || (in_map && !alike(&ours->attr, &there->attr)))
            report_page(in_map ? ours : NULL, in_target ? there : NULL, page, report, arg);
        page = next_edge(page, there, next_edge(page, ours, t->found.window.end));
    }
}
