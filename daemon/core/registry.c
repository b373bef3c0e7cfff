/* A sorted array of spaces: listing is in order, finding a binary search. */
#include "core/registry.h"

#include <stdlib.h>
#include <string.h>

void registry_init(struct registry *registry, size_t limit)
{
    *registry = (struct registry){.limit = limit};
}

void registry_free(struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        space_destroy(registry->spaces[i]);
    free(registry->spaces);
    registry_init(registry, registry->limit);
}

/* The first index whose name is not below `name`. */
static size_t position(const struct registry *registry, const char *name)
{
    size_t low = 0;
    size_t high = registry->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(registry->spaces[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct space *registry_find(const struct registry *registry, const char *name)
{
    size_t i = position(registry, name);

    return i < registry->count && strcmp(registry->spaces[i]->name, name) == 0 ? registry->spaces[i] : NULL;
}

enum aspace_error registry_reserve(struct registry *registry, const char *name, struct refusal *why)
{
    if (registry_find(registry, name)) {
        refuse(why, ASPACE_ALREADY_EXISTS, "a space named %s is there already", name);
        why->param = "name";
        return why->code;
    }
    if (registry->count + registry->reserved >= registry->limit) {
        refuse(why, ASPACE_BUSY, "the limit of %zu spaces is reached", registry->limit);
        why->hint = "destroy a space, or start the daemon with a larger --max-spaces";
        return why->code;
    }
    if (registry->count + registry->reserved == registry->capacity) {
        size_t capacity = registry->capacity ? registry->capacity * 2 : 16;
        struct space **spaces = realloc(registry->spaces, capacity * sizeof(*spaces));

        if (!spaces)
            return refuse_no_memory(why);
        registry->spaces = spaces;
        registry->capacity = capacity;
    }
    registry->reserved++;
    return ASPACE_OK;
}

void registry_unreserve(struct registry *registry)
{
    registry->reserved--;
}

void registry_add(struct registry *registry, struct space *space)
{
    size_t i = position(registry, space->name);

    memmove(&registry->spaces[i + 1], &registry->spaces[i], (registry->count - i) * sizeof(*registry->spaces));
    registry->spaces[i] = space;
    registry->count++;
    registry->reserved--;
}

void registry_remove(struct registry *registry, struct space *space)
{
    size_t i = position(registry, space->name);

    registry->count--;
    memmove(&registry->spaces[i], &registry->spaces[i + 1], (registry->count - i) * sizeof(*registry->spaces));
}

void registry_begin_sum(struct registry *registry)
{
    registry->sums++;
}

bool registry_count_ram(struct registry *registry, const struct space *space)
{
    struct space_family *family = __atomic_load_n(&space->family, __ATOMIC_ACQUIRE); /* join_family may be at it */

    if (!family)
        return true;
    if (family->counted == registry->sums)
        return false;
    family->counted = registry->sums;
    return true;
}
