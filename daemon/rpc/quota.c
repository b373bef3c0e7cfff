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

enum aspace_error quota_check_ram(struct call *call, uint64_t ram)
{
    const struct registry *registry = &call->service->registry;
    uint64_t most = call->service->limits.user_ram;
    uint64_t left = most;

    for (size_t i = 0; i < registry->count; i++) {
        uint64_t taken = space_seen(registry->spaces[i]).frames.total * ASPACE_PAGE_SIZE;

        if (registry->spaces[i]->owner == call->who.uid && registry_has_ram_first(registry, i))
            left -= taken < left ? taken : left;
    }
    if (ram <= left)
        return ASPACE_OK;
    call_refuse_param(call, ASPACE_NO_MEMORY, PARAM_RAM,
                      "ram 0x%" PRIx64 " passes what is left, 0x%" PRIx64 ", of the 0x%" PRIx64 " bytes of one user",
                      ram, left, most);
    call->why.hint = "ask for less, destroy a space, or start the daemon with a larger --max-user-ram";
    return call->why.code;
}
