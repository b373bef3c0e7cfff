/* A space like another one, over a clone of its backend. */
#include <stdlib.h>

#include "core/space.h"

/* Both in one family, which is made for the second member. */
static enum aspace_error join_family(struct space *space, struct space *clone, struct refusal *why)
{
    struct space_family *family = space->family;

    if (!family) {
        family = calloc(1, sizeof(*family));
        if (!family)
            return refuse_no_memory(why);
        family->members = 1;
        __atomic_store_n(&space->family, family, __ATOMIC_RELEASE); /* the registry may look at it meanwhile */
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
    if (area_map_copy(&set->map, NULL, &clone->set.map, why) || tags_copy(&space->tags, &clone->tags, why) ||
        join_family(space, clone, why)) {
        space_destroy(clone);
        return why->code;
    }
    *ret = clone;
    return ASPACE_OK;
}
