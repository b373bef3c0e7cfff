/* space.*: making spaces, looking at them, ending them. */
#include <inttypes.h>

#include "rpc/quota.h"
#include "sim/sim.h"

static enum aspace_error read_ram(struct call *call, uint64_t *ret)
{
    uint64_t limit = call->service->limits.ram;

    *ret = call_has(call, PARAM_RAM) ? call_number(call, PARAM_RAM) : SIM_DEFAULT_RAM;
    if (*ret <= limit)
        return quota_check_ram(call, PARAM_RAM, *ret);
    call_refuse_param(call, ASPACE_NO_MEMORY, PARAM_RAM,
                      "ram 0x%" PRIx64 " passes the limit of 0x%" PRIx64 " bytes a space", *ret, limit);
    call->why.hint = "ask for less, or start the daemon with a larger --max-ram";
    return call->why.code;
}

/* What belongs to the other backend is refused, not passed over. */
static enum aspace_error check_sim_params(struct call *call)
{
    static const enum param_id of_live[] = {PARAM_SECCOMP, PARAM_KEEP, PARAM_AGENT};

    for (size_t i = 0; i < sizeof(of_live) / sizeof(*of_live); i++)
        if (call_has(call, of_live[i]))
            return call_refuse_param(call, ASPACE_INVALID_PARAMS, of_live[i],
                                     "%s is for live processes: it goes with pid or command", param_names[of_live[i]]);
    return ASPACE_OK;
}

static enum aspace_error create_sim(struct call *call, struct space_options *options, struct backend **ret)
{
    uint64_t ram;

    if (check_sim_params(call))
        return call->why.code;
    options->arch = arch_names[call_number(call, PARAM_ARCH)];
    options->bounds = sim_default_bounds(options->arch);
    if (call_has(call, PARAM_RANGE) && call_bounds(call, PARAM_RANGE, &options->bounds))
        return call->why.code;
    if (read_ram(call, &ram))
        return call->why.code;
    return sim_create_at(options->arch, call_has(call, PARAM_RAM_BASE) ? call_number(call, PARAM_RAM_BASE) : 0, ram,
                         options->bounds, &call->why, ret);
}

enum aspace_error space_create_method(struct call *call)
{
    struct space_options options = {
        .name = call_text(call, PARAM_NAME),
        .tag = call_text(call, PARAM_TAG),
        .merge = (enum aspace_merge)call_number(call, PARAM_MERGE),
        .max_areas = call->service->limits.areas,
    };
    struct space_summary summary;
    struct backend *backend;

    bool live = create_is_live(call);

    if ((live ? create_live(call, &options, &backend) : create_sim(call, &options, &backend)) ||
        space_create(&options, backend, &call->why, &call->made))
        return call->why.code;
    if (space_sync(call->made, call->made->set.map.bounds, false, &call->why)) {
        space_destroy(call->made);
        call->made = NULL;
        return call->why.code;
    }
    summary = space_summarize(call->made);
    write_space(call->out, call->made, &summary);
    return ASPACE_OK;
}

enum aspace_error space_clone_method(struct call *call)
{
    struct space_summary summary;

    if (space_clone(call->space, call_text(call, PARAM_NAME), call_text(call, PARAM_TAG), &call->why, &call->made))
        return call->why.code;
    summary = space_summarize(call->made);
    write_space(call->out, call->made, &summary);
    return ASPACE_OK;
}

enum aspace_error space_destroy_method(struct call *call)
{
    space_destroy(call->space);
    call->space = NULL;
    json_begin_object(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error space_clear_method(struct call *call)
{
    size_t removed;

    if (call->space->pid ? memory_set_unmap_made(&call->space->set, &call->why, &removed)
                         : memory_set_clear(&call->space->set, &call->why, &removed))
        return call->why.code;
    json_begin_object(call->out);
    json_name_uint(call->out, "removed", removed);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error space_list(struct call *call)
{
    const struct registry *registry = &call->service->registry;

    json_begin_object(call->out);
    json_name(call->out, "spaces");
    json_begin_array(call->out);
    for (size_t i = 0; i < registry->count; i++) {
        struct space_summary summary = space_seen(registry->spaces[i]);

        write_space(call->out, registry->spaces[i], &summary);
    }
    json_end_array(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error space_info(struct call *call)
{
    struct space_summary summary = space_summarize(call->space);

    write_space(call->out, call->space, &summary);
    return ASPACE_OK;
}

struct problems {
    struct json_writer *out;
    bool any;
};

static void write_problem(void *arg, const char *problem)
{
    struct problems *problems = arg;

    problems->any = true;
    json_string(problems->out, problem);
}

enum aspace_error space_check_method(struct call *call)
{
    struct problems problems = {call->out, false};

    json_begin_object(call->out);
    json_name(call->out, "problems");
    json_begin_array(call->out);
    space_check(call->space, write_problem, &problems);
    call->space->backend->ops->rollback(call->space->backend); /* a live target has stood still for it */
    json_end_array(call->out);
    json_name_bool(call->out, "ok", !problems.any);
    json_end_object(call->out);
    return ASPACE_OK;
}
