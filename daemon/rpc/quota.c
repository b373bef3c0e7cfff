/* What one user may have of spaces. Counted when it is asked: making a space is rare, and nothing can go out of step. */
#include "rpc/quota.h"

#include <inttypes.h>

enum aspace_error quota_check_space(struct call *call)
{
    const struct registry *registry = &call->service->registry;
    uint64_t most = call->service->limits.user_spaces;
    uint64_t count = registry->reserved;

    if (registry->count + count < most)
        return ASPACE_OK;
    for (size_t i = 0; i < registry->count; i++)
        count += registry->spaces[i]->owner == call->who.uid;
    if (count < most)
        return ASPACE_OK;
    refuse(&call->why, ASPACE_BUSY, "the limit of %" PRIu64 " spaces of one user is reached", most);
    call->why.hint = "destroy a space, or start the daemon with a larger --max-user-spaces";
    return call->why.code;
}

/* Areas of a user's spaces but one, and what the requests that run on them may add. */
static uint64_t areas_of(const struct registry *registry, uint32_t uid, const struct space *but)
{
    uint64_t areas = 0;

    for (size_t i = 0; i < registry->count; i++) {
        const struct space *space = registry->spaces[i];

        if (space->owner == uid && space != but)
            areas += space_seen(space).areas + space->promised;
    }
    return areas;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many areas more there may be when the request has run: an edit of a range leaves two pieces at its ends, or one and what it
 * puts between. */
static uint64_t may_add(const struct call *call)
{
    const struct params *params = call->params;
    struct refusal why;
    struct space *snapshot;

    if (call->method->traits & METHOD_MANY)
        return 2 * (uint64_t)params->doc->tokens[params->value[PARAM_OPS].token].count;
    if (call->method->id != METHOD_SPACE_RESTORE)
        return 2;
    return space_find_snapshot(call->space, call_text(call, PARAM_NAME), &why, &snapshot) ? 0 : snapshot->set.map.count;
}

static enum aspace_error refuse_areas(struct call *call)
{
    refuse(&call->why, ASPACE_NO_MEMORY, "the limit of %" PRIu64 " areas of one user is reached",
           call->service->limits.user_areas);
    call->why.hint = "destroy a space, unmap or merge areas, or start the daemon with a larger --max-user-areas";
    return call->why.code;
}

enum aspace_error quota_promise_areas(struct call *call)
{
    const struct registry *registry = &call->service->registry;
    const struct limits *limits = &call->service->limits;
    struct space *space = call->space;
    uint64_t here;
    uint64_t others;

    space->set.max_areas = limits->areas;
    if ((registry->count + registry->reserved + 1) * limits->areas <= limits->user_areas)
        return ASPACE_OK;
    here = space_seen(space).areas;
    if (call->method->traits & METHOD_MAKES_SPACE) {
        if (areas_of(registry, call->who.uid, NULL) + here > limits->user_areas)
            return refuse_areas(call);
        space->promised = here;
        return ASPACE_OK;
    }
    others = areas_of(registry, space->owner, space);
    if (space->pid) { /* what the target has must be seen, whoever else has areas */
        bool maps = call->method->traits & (METHOD_MAPS | METHOD_MANY);

        return maps && others + here >= limits->user_areas ? refuse_areas(call) : ASPACE_OK;
    }
    space->set.max_areas = least(limits->areas, others < limits->user_areas ? limits->user_areas - others : 0);
    space->promised = least(may_add(call), space->set.max_areas - least(here, space->set.max_areas));
    return ASPACE_OK;
}

static uint64_t ram_of(const struct space *space)
{
    return space_seen(space).frames.total * ASPACE_PAGE_SIZE;
}

enum aspace_error quota_check_ram(struct call *call, enum param_id param, uint64_t ram)
{
    struct registry *registry = &call->service->registry;
    uint64_t most = call->service->limits.user_ram;
    uint64_t left = most - (call->service->reserved_ram < most ? call->service->reserved_ram : most);

    registry_begin_sum(registry);
    for (size_t i = 0; i < registry->count; i++) {
        const struct space *space = registry->spaces[i];

        if (space->owner == call->who.uid && registry_count_ram(registry, space))
            left -= ram_of(space) < left ? ram_of(space) : left;
    }
    if (ram <= left)
        return ASPACE_OK;
    call_refuse_param(call, ASPACE_NO_MEMORY, param,
                      "ram 0x%" PRIx64 " passes what is left, 0x%" PRIx64 ", of the 0x%" PRIx64 " bytes of one user",
                      ram, left, most);
    call->why.hint = "ask for less, destroy a space, or start the daemon with a larger --max-user-ram";
    return call->why.code;
}

static bool has_relative(const struct call *call)
{
    const struct registry *registry = &call->service->registry;

    for (size_t i = 0; i < registry->count; i++) {
        const struct space *space = registry->spaces[i];

        if (space->owner == call->who.uid &&
            (space == call->space ||
             (call->space->family && __atomic_load_n(&space->family, __ATOMIC_ACQUIRE) == call->space->family)))
            return true;
    }
    return false;
}

enum aspace_error quota_check_clone(struct call *call)
{
    uint64_t ram = ram_of(call->space);

    if (has_relative(call))
        return ASPACE_OK;
    if (quota_check_ram(call, PARAM_SPACE, ram))
        return call->why.code;
    call->reserved_ram = ram;
    call->service->reserved_ram += ram;
    return ASPACE_OK;
}

void quota_end(struct call *call)
{
    call->service->reserved_ram -= call->reserved_ram;
    call->reserved_ram = 0;
}
