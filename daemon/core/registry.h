/* All spaces of the daemon by name. Not thread-safe: the loop's thread alone calls it. */
#ifndef CORE_REGISTRY_H
#define CORE_REGISTRY_H

#include "core/space.h"

struct registry {
    struct space **spaces; /* sorted by name */
    size_t count;
    size_t capacity;
    size_t limit; /* at most this many spaces */
};

void registry_init(struct registry *registry, size_t limit);
/* Destroys all spaces. */
void registry_free(struct registry *registry);

/* NULL if there is none of that name. The registry's. */
struct space *registry_find(const struct registry *registry, const char *name);

/* Whether a space `name` could be added now: AlreadyExists, Busy at the limit, NoMemory; takes the room for it. */
enum aspace_error registry_reserve(struct registry *registry, const char *name, struct refusal *why);

/* Adds a space after registry_reserve of its name; the registry owns it. Cannot fail. */
void registry_add(struct registry *registry, struct space *space);

/* Takes it out and destroys it. */
void registry_destroy(struct registry *registry, struct space *space);

#endif
