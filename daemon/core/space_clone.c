/* A space like another one, over a clone of its backend. */
#include <stdlib.h>

#include "core/space.h"

static enum aspace_error copy_areas(const struct area_map *from, struct area_map *to, struct refusal *why)
{
    struct area *areas = malloc((from->count ? from->count : 1) * sizeof(*areas));
    struct area_cursor cursor;
    size_t count = 0;

    if (!areas || area_map_reserve(to, from->count)) {
        free(areas);
        return refuse_no_memory(why);
    }
    area_map_seek(from, 0, &cursor);
    for (; area_cursor_get(&cursor, &areas[count]); area_cursor_next(&cursor))
        if (++count == from->count)
            break;
    if (count)
        area_map_replace(to, to->bounds, areas, count);
    free(areas);
    return ASPACE_OK;
}

/* Both in one family, which is made for the second member. */
static enum aspace_error join_family(struct space *space, struct space *clone, struct refusal *why)
{
    struct space_family *family = space->family;

    if (!family) {
        family = calloc(1, sizeof(*family));
        if (!family)
            return refuse_no_memory(why);
        family->members = 1;
        space->family = family;
    }
    family->members++;
    clone->family = family;
    return ASPACE_OK;
}

enum aspace_error space_clone(struct space *space, const char *name, const char *tag, struct refusal *why,
                              struct space **ret)
{
    const struct memory_set *set = &space->set;
    struct space_options options = {.name = name,
                                    .tag = tag,
                                    .arch = space->arch,
                                    .bounds = set->map.bounds,
                                    .lowest = set->lowest,
                                    .merge = set->merge,
                                    .max_areas = set->max_areas};
    struct backend *backend;
    struct space *clone;

    if (!space->backend->ops->clone)
        return refuse(why, ASPACE_UNSUPPORTED, "the %s backend cannot be cloned", space->backend->ops->name);
    if (space->backend->ops->clone(space->backend, why, &backend) || space_create(&options, backend, why, &clone))
        return why->code;
    if (copy_areas(&set->map, &clone->set.map, why) || tags_copy(&space->tags, &clone->tags, why) ||
        join_family(space, clone, why)) {
        space_destroy(clone);
        return why->code;
    }
    *ret = clone;
    return ASPACE_OK;
}
