/* inject.*: parameters to injected faults, and their list to JSON. */
#include "rpc/call.h"

#define X(name, text) ASPACE_##name,
static const enum aspace_error errors[] = {ASPACE_INJECT_ERROR_MAP(X)}; /* by the index of the choice */
#undef X

/* A count that is 1 unless given, and never 0. */
static enum aspace_error read_positive(struct call *call, enum param_id id, uint64_t *ret)
{
    *ret = call_has(call, id) ? call_number(call, id) : 1;
    if (*ret)
        return ASPACE_OK;
    return call_refuse_param(call, ASPACE_INVALID_PARAM, id, "%s 0 would never fail anything: write 1 or more",
                             param_names[id]);
}

static enum aspace_error read_fault(struct call *call, struct inject_fault *fault)
{
    *fault = (struct inject_fault){
        .op = (enum aspace_inject_op)call_number(call, PARAM_OP),
        .has_within = call_has(call, PARAM_WITHIN),
        .each = call_has(call, PARAM_EVERY),
        .error = errors[call_number(call, PARAM_ERROR)],
    };
    if (fault->each && call_has(call, PARAM_NTH))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_EVERY,
                                 "every cannot stand beside nth: say which one fails, or how often one does");
    if (read_positive(call, fault->each ? PARAM_EVERY : PARAM_NTH, &fault->step) ||
        read_positive(call, PARAM_TIMES, &fault->count))
        return call->why.code;
    return fault->has_within ? call_bounds(call, PARAM_WITHIN, &fault->within) : ASPACE_OK;
}

enum aspace_error inject_set(struct call *call)
{
    struct inject_fault fault;
    uint64_t id;

    if (read_fault(call, &fault) || space_inject(call->space, &fault, call->service->limits.faults, &call->why, &id))
        return call->why.code;
    json_begin_object(call->out);
    json_name_uint(call->out, "id", id);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error inject_clear(struct call *call)
{
    size_t before = call->space->inject.count;

    if (!call_has(call, PARAM_ID))
        space_uninject_all(call->space);
    else if (space_uninject(call->space, call_number(call, PARAM_ID), &call->why))
        return call->why.code;
    json_begin_object(call->out);
    json_name_uint(call->out, "cleared", before - call->space->inject.count);
    json_end_object(call->out);
    return ASPACE_OK;
}

static void write_injected(struct json_writer *w, const struct inject_fault *fault)
{
    json_begin_object(w);
    json_name_uint(w, "id", fault->id);
    json_name_string(w, "op", inject_op_names[fault->op]);
    json_name_uint(w, fault->each ? "every" : "nth", fault->step);
    if (fault->has_within) {
        json_name(w, "within");
        json_begin_array(w);
        json_hex(w, page_addr(fault->within.start));
        json_hex(w, page_addr(fault->within.end));
        json_end_array(w);
    }
    json_name_string(w, "error", aspace_error_name(fault->error));
    json_name_uint(w, "count", fault->count);
    json_name_uint(w, "seen", fault->seen);
    json_name_uint(w, "fired", fault->fired);
    json_end_object(w);
}

enum aspace_error inject_list(struct call *call)
{
    const struct inject *inject = &call->space->inject;

    json_begin_object(call->out);
    json_name(call->out, "faults");
    json_begin_array(call->out);
    for (size_t i = 0; i < inject->count; i++)
        write_injected(call->out, &inject->faults[i]);
    json_end_array(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}
