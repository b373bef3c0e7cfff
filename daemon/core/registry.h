/* All spaces of the daemon by name. Not thread-safe: the loop's thread alone calls it. */
#ifndef CORE_REGISTRY_H
#define CORE_REGISTRY_H

#include "core/space.h"

struct registry {
    struct space **spaces; /* sorted by name */
    size_t count;
    size_t capacity;
    size_t reserved; /* places kept for spaces being made */
    size_t limit;    /* at most this many spaces */
};

void registry_init(struct registry *registry, size_t limit);
/* Destroys all spaces. */
void registry_free(struct registry *registry);

/* NULL if there is none of that name. The registry's. */
struct space *registry_find(const struct registry *registry, const char *name);

/* Keeps a place for a space `name`, until registry_add or registry_unreserve: AlreadyExists, Busy at the limit,
 * NoMemory. */
enum aspace_error registry_reserve(struct registry *registry, const char *name, struct refusal *why);
void registry_unreserve(struct registry *registry);

/* Adds a space in the place that was kept for it; the registry owns it. Cannot fail. */
void registry_add(struct registry *registry, struct space *space);

/* Whether the RAM of spaces[i] is not that of a space before it, too: for sums over what is in RAM. */
bool registry_has_ram_first(const struct registry *registry, size_t i);

/* Takes it out; the caller owns it. */
void registry_remove(struct registry *registry, struct space *space);

#endif
