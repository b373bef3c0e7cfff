/* The life of a space, and what it adds to its memory set: tags, injected faults and the check. */
#include "core/space.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/reconcile.h"

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

enum aspace_error space_create(const struct space_options *options, struct backend *backend, struct refusal *why,
                               struct space **ret)
{
    struct space *space = calloc(1, sizeof(*space));

    if (space && options->tag)
        space->tag = copy_text(options->tag);
    if (!space || (options->tag && !space->tag)) {
        free(space);
        backend->ops->destroy(backend);
        return refuse_no_memory(why);
    }
    snprintf(space->name, sizeof(space->name), "%s", options->name);
    space->arch = options->arch;
    space->pid = options->pid;
    space->agent = options->agent;
    space->backend = backend;
    memory_set_init(&space->set, options->bounds, backend, options->merge, options->max_areas);
    if (options->lowest)
        space->set.lowest = options->lowest;
    *ret = space;
    return ASPACE_OK;
}

void space_family_leave(struct space_family *family)
{
    if (family && --family->members == 0)
        free(family);
}

void space_destroy(struct space *space)
{
    while (space->snapshot_count)
        space_destroy(space->snapshots[--space->snapshot_count]);
    free(space->snapshots);
    memory_set_free(&space->set);
    tags_free(&space->tags);
    inject_free(&space->inject);
    space->backend->ops->destroy(space->backend);
    space_family_leave(space->family);
    free(space->tag);
    free(space);
}

struct space_summary space_count(const struct space *space)
{
    const struct memory_set *set = &space->set;
    struct space_summary summary = {.generation = set->generation, .areas = set->map.count, .pages = set->map.pages};

    if (space->backend->ops->count_frames)
        space->backend->ops->count_frames(space->backend, &summary.frames);
    summary.resident = summary.frames.data;
    summary.snapshots = space->snapshot_count;
    summary.kept = space->kept;
    return summary;
}

static struct space_summary add_resident(const struct space *space, struct space_summary summary)
{
    if (space->backend->ops->resident)
        summary.resident = space->backend->ops->resident(space->backend);
    return summary;
}

struct space_summary space_summarize(const struct space *space)
{
    return add_resident(space, space_count(space));
}

struct space_summary space_seen(const struct space *space)
{
    return add_resident(space, space->away ? space->summary : space_count(space));
}

enum aspace_error space_map(struct space *space, struct map_request *request, const char *tag, struct refusal *why,
                            uint64_t *ret_page, struct area *ret_area)
{
    request->attr.tag = 0;
    if (tag && tags_intern(&space->tags, &space->set.map, tag, why, &request->attr.tag))
        return why->code;
    return memory_set_map(&space->set, request, why, ret_page, ret_area);
}

/* ---- Injected faults ---- */

/* The backend knows the list only while there is something in it. */
static void tell_backend(struct space *space)
{
    space->backend->inject = space->inject.count ? &space->inject : NULL;
}

enum aspace_error space_inject(struct space *space, const struct inject_fault *fault, size_t most, struct refusal *why,
                               uint64_t *ret_id)
{
    if (fault->has_within && memory_set_check_range(&space->set, fault->within, why)) {
        why->param = "within";
        return why->code;
    }
    if (inject_add(&space->inject, fault, most, why, ret_id))
        return why->code;
    tell_backend(space);
    return ASPACE_OK;
}

enum aspace_error space_uninject(struct space *space, uint64_t id, struct refusal *why)
{
    if (!inject_remove(&space->inject, id)) {
        refuse(why, ASPACE_NOT_FOUND, "the space has no injected fault %" PRIu64, id);
        why->param = "id";
        return why->code;
    }
    tell_backend(space);
    return ASPACE_OK;
}

void space_uninject_all(struct space *space)
{
    space->inject.count = 0;
    tell_backend(space);
}

/* ---- What others change ---- */

/* Grown so that it cuts no area of the map. */
static struct range whole_areas(const struct area_map *map, struct range window)
{
    struct area area;

    if (area_map_find(map, window.start, &area))
        window.start = area.range.start;
    if (area_map_find(map, window.end - 1, &area))
        window.end = area.range.end;
    return window;
}

enum aspace_error space_sync(struct space *space, struct range window, bool hold, struct refusal *why)
{
    struct backend *backend = space->backend;
    const struct area_list *found;
    bool changed;

    if (!backend->ops->sync || range_empty(window))
        return ASPACE_OK;
    window = whole_areas(&space->set.map, window);
    do {
        if (backend->ops->sync(backend, window, hold, why, &found))
            return why->code;
        window = whole_areas(&space->set.map, found->window);
    } while (!range_equal(window, found->window));
    if (memory_set_reconcile(&space->set, found, why, &changed) == ASPACE_OK)
        return ASPACE_OK;
    if (hold)
        backend->ops->rollback(backend);
    return why->code;
}

/* ---- The check ---- */

static void check_tags(struct space *space, backend_problem_fn *report, void *arg)
{
    struct area_cursor cursor;
    struct area area;
    char problem[120];

    area_map_seek(&space->set.map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        if (area.attr.tag <= space->tags.capacity && (!area.attr.tag || tags_text(&space->tags, area.attr.tag)))
            continue;
        snprintf(problem, sizeof(problem), "the area at 0x%" PRIx64 " carries tag %" PRIu32 ", which does not exist",
                 page_addr(area.range.start), area.attr.tag);
        report(arg, problem);
    }
}

struct snapshot_report {
    const struct space *snapshot;
    backend_problem_fn *report;
    void *arg;
};

static void report_of_snapshot(void *arg, const char *problem)
{
    const struct snapshot_report *to = arg;
    char text[400];

    snprintf(text, sizeof(text), "in the snapshot %s: %s", to->snapshot->name, problem);
    to->report(to->arg, text);
}

void space_check(struct space *space, backend_problem_fn *report, void *arg)
{
    char problem[160];

    for (size_t i = 0; i < space->snapshot_count; i++)
        space_check(space->snapshots[i], report_of_snapshot,
                    &(struct snapshot_report){space->snapshots[i], report, arg});
    if (!area_map_validate(&space->set.map, problem, sizeof(problem))) {
        report(arg, problem);
        return; /* what is built on a broken map would only repeat it */
    }
    if (!tags_validate(&space->tags, problem, sizeof(problem)))
        report(arg, problem);
    check_tags(space, report, arg);
    if (space->backend->ops->check)
        space->backend->ops->check(space->backend, &space->set.map, report, arg);
}
