/* Fault injection: which operations of one space's backend shall fail although they need not, so that a caller can
 * force every refusal from outside. Keeps the list, counts, and decides; what fails is the asker's business
 * (core/backend.h). Not thread-safe: the space's owner alone calls it. */
#ifndef CORE_INJECT_H
#define CORE_INJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "aspace/types.h"
#include "base/refusal.h"
#include "core/range.h"

/* One fault. An operation is chosen if it is an `op` that touches `within`; frames are taken for a page. */
struct inject_fault {
    enum aspace_inject_op op;
    bool has_within;
    struct range within; /* pages */
    bool each;           /* each step-th chosen operation fails; else the step-th, and then those right after it */
    uint64_t step;       /* at least 1 */
    uint64_t count;      /* so many fail at most, at least 1 */
    enum aspace_error error;
    /* From here on it is inject's own. */
    uint64_t id;    /* from 1; never used again in its list */
    uint64_t seen;  /* chosen operations since it was set, spent or not */
    uint64_t fired; /* how many of them it has failed */
    uint64_t kept_seen;
    uint64_t kept_fired;
};

/* The faults of a space by rising id. All zeros is an empty one. */
struct inject {
    struct inject_fault *faults; /* owned */
    size_t count;
    size_t capacity;
    uint64_t last_id;
};

void inject_free(struct inject *inject);

/* Adds a copy of `fault`. NoMemory, also when there are `most` already: a fault that is spent stays until removed. */
enum aspace_error inject_add(struct inject *inject, const struct inject_fault *fault, size_t most, struct refusal *why,
                             uint64_t *ret_id);

/* Takes away the fault with that id; false if there is none. */
bool inject_remove(struct inject *inject, uint64_t id);

/* Counts one operation and says whether it shall fail, *why then filled. When several faults are due the one with the
 * lowest id fires; the others have seen the operation all the same. */
bool inject_fires(struct inject *inject, enum aspace_inject_op op, struct range range, struct refusal *why);

/* Keeps all counts, and puts them back: for a dry run, which meets the faults as the real one will, and uses up none.
 * In between no fault is added or removed. */
void inject_keep(struct inject *inject);
void inject_put_back(struct inject *inject);

#endif
