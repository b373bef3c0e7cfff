/* The list of faults is short and looked at only while there are any: a plain array. */
#include "core/inject.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void inject_free(struct inject *inject)
{
    free(inject->faults);
    *inject = (struct inject){0};
}

static bool make_room(struct inject *inject)
{
    size_t capacity = inject->capacity ? inject->capacity * 2 : 4;
    struct inject_fault *faults;

    if (inject->count < inject->capacity)
        return true;
    faults = realloc(inject->faults, capacity * sizeof(*faults));
    if (!faults)
        return false;
    inject->faults = faults;
    inject->capacity = capacity;
    return true;
}

enum aspace_error inject_add(struct inject *inject, const struct inject_fault *fault, size_t most, struct refusal *why,
                             uint64_t *ret_id)
{
    struct inject_fault *added;

    if (inject->count >= most) {
        refuse(why, ASPACE_NO_MEMORY, "the space has %zu injected faults, which is the limit", inject->count);
        why->hint = "clear some (inject.clear, aspacectl uninject), or start the daemon with a larger --max-faults";
        return why->code;
    }
    if (!make_room(inject))
        return refuse_no_memory(why);
    added = &inject->faults[inject->count++];
    *added = *fault;
    added->id = ++inject->last_id;
    added->seen = added->fired = 0;
    *ret_id = added->id;
    return ASPACE_OK;
}

bool inject_remove(struct inject *inject, uint64_t id)
{
    for (size_t i = 0; i < inject->count; i++) {
        if (inject->faults[i].id != id)
            continue;
        inject->count--;
        memmove(&inject->faults[i], &inject->faults[i + 1], (inject->count - i) * sizeof(*inject->faults));
        return true;
    }
    return false;
}

static bool chooses(const struct inject_fault *fault, enum aspace_inject_op op, struct range range)
{
    return fault->op == op && (!fault->has_within || range_overlaps(fault->within, range));
}

/* An operation that another fault has failed in its place does not use up a fault's nth: the next one is due. */
static bool is_due(const struct inject_fault *fault)
{
    if (fault->fired >= fault->count)
        return false;
    return fault->each ? fault->seen % fault->step == 0 : fault->seen >= fault->step;
}

static const char *op_text(enum aspace_inject_op op)
{
#define X(name, text) text,
    static const char *const texts[] = {ASPACE_INJECT_OP_MAP(X)};
#undef X

    return texts[op];
}

bool inject_fires(struct inject *inject, enum aspace_inject_op op, struct range range, struct refusal *why)
{
    struct inject_fault *firing = NULL;

    for (size_t i = 0; i < inject->count; i++) {
        struct inject_fault *fault = &inject->faults[i];

        if (!chooses(fault, op, range))
            continue;
        fault->seen++;
        if (!firing && is_due(fault))
            firing = fault;
    }
    if (!firing)
        return false;
    firing->fired++;
    refuse(why, firing->error, "injected fault %" PRIu64 " (%s) refused the range from 0x%" PRIx64 " to 0x%" PRIx64,
           firing->id, op_text(op), page_addr(range.start), range_last(range));
    why->hint = "inject.list (aspacectl faults) shows the space's faults, inject.clear (uninject) takes them away";
    return true;
}

void inject_keep(struct inject *inject)
{
    for (size_t i = 0; i < inject->count; i++) {
        inject->faults[i].kept_seen = inject->faults[i].seen;
        inject->faults[i].kept_fired = inject->faults[i].fired;
    }
}

void inject_put_back(struct inject *inject)
{
    for (size_t i = 0; i < inject->count; i++) {
        inject->faults[i].seen = inject->faults[i].kept_seen;
        inject->faults[i].fired = inject->faults[i].kept_fired;
    }
}
