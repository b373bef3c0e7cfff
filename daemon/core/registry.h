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
    uint64_t sums;   /* begun so far */
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

/* A sum over the RAM of spaces, in which that of a family counts once: begins one; whether the RAM of `space` is in none of
 * those that were asked about since, and it is from here on. */
void registry_begin_sum(struct registry *registry);
bool registry_count_ram(struct registry *registry, const struct space *space);

/* Takes it out; the caller owns it. */
void registry_remove(struct registry *registry, struct space *space);

#endif
