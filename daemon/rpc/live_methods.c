/* Spaces over live processes: making them, letting them run, and keeping them true. */
#include <limits.h>
#include <stdlib.h>

#include "ptrace/ptrace.h"
#include "rpc/request.h"

bool create_is_live(const struct call *call)
{
    return call_number(call, PARAM_BACKEND) == BACKEND_PTRACE || call_has(call, PARAM_PID) ||
           call_has(call, PARAM_COMMAND);
}

/* What belongs to the other backend is refused, not passed over. */
static enum aspace_error check_live_params(struct call *call)
{
    static const enum param_id of_sim[] = {PARAM_ARCH, PARAM_RANGE, PARAM_RAM, PARAM_RAM_BASE};

    if (call_has(call, PARAM_BACKEND) && call_number(call, PARAM_BACKEND) != BACKEND_PTRACE)
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_BACKEND, "pid and command go with backend ptrace");
    for (size_t i = 0; i < sizeof(of_sim) / sizeof(*of_sim); i++)
        if (call_has(call, of_sim[i]))
            return call_refuse_param(call, ASPACE_INVALID_PARAMS, of_sim[i],
                                     "%s is for simulated spaces: a live process has what it has",
                                     param_names[of_sim[i]]);
    if (call_has(call, PARAM_PID) == call_has(call, PARAM_COMMAND))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_PID,
                                 call_has(call, PARAM_PID) ? "give pid or command, not both"
                                                           : "backend ptrace wants the pid of a process, or a command");
    if (call_has(call, PARAM_KEEP) && !call_has(call, PARAM_COMMAND))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_KEEP,
                                 "keep goes with command: other processes always outlive their space");
    return ASPACE_OK;
}

static enum aspace_error read_pid(struct call *call, pid_t *ret)
{
    uint64_t pid = call_number(call, PARAM_PID);

    if (call_has(call, PARAM_PID) && (pid == 0 || pid > INT_MAX))
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_PID, "no process has such a pid");
    *ret = (pid_t)pid;
    return ASPACE_OK;
}

enum aspace_error create_live(struct call *call, struct space_options *options, struct backend **ret)
{
    struct ptrace_options how = {
        .tracer.seccomp =
            call_number(call, PARAM_SECCOMP) == SECCOMP_SUSPEND ? TRACER_SECCOMP_SUSPEND : TRACER_SECCOMP_REFUSE,
        .tracer.agent = call_number(call, PARAM_AGENT),
        .keep = call_number(call, PARAM_KEEP),
    };
    char **command = NULL;
    enum aspace_error error;

    if (check_live_params(call) || read_pid(call, &how.tracer.pid))
        return call->why.code;
    if (call_has(call, PARAM_COMMAND) && params_texts(call->params, PARAM_COMMAND, &call->why, &command))
        return call->why.code;
    how.tracer.command = command;
    error = ptrace_create(&how, &call->why, ret);
    free(command);
    if (error)
        return error;
    options->arch = ptrace_arch();
    options->bounds = ptrace_bounds();
    options->lowest = ptrace_lowest_page();
    options->pid = (uint64_t)ptrace_pid(*ret);
    options->agent = how.tracer.agent;
    return ASPACE_OK;
}

/* ---- True now ---- */

/* What of the space the call looks at; all of it where that is not said in a few pages. */
static struct range looked_at(const struct call *call)
{
    struct range all = call->space->set.map.bounds;
    enum param_id first = call_has(call, PARAM_ADDR) ? PARAM_ADDR : call_has(call, PARAM_AT) ? PARAM_AT : PARAM_START;
    uint64_t start = page_of(call_number(call, first));
    uint64_t size = call_has(call, PARAM_SIZE) ? call_number(call, PARAM_SIZE) : 1;
    struct range range = {start, page_of(call_number(call, first) + size - 1) + 1};

    if (!call_has(call, first) || call_has(call, PARAM_TAG) || call_has(call, PARAM_NEW_START) ||
        call->method->id == METHOD_AREA_LIST || !size)
        return all;
    /* One page more on each side: neighbours are joined or told. What is no range is refused later. */
    range.start -= range.start > all.start;
    range.end += range.end < all.end;
    return range_contains(all, range) && !range_empty(range) ? range : all;
}

enum aspace_error request_sync(struct call *call)
{
    struct backend *backend = call->space->backend;
    const struct backend_ops *ops = backend->ops;
    bool transaction = call->method->traits & METHOD_MANY || call->method->id == METHOD_SPACE_CHECK;

    if (ops->thread_spent && ops->thread_spent(backend))
        ops->adopt(backend);
    if (call->method->traits & METHOD_UNSYNCED)
        return ASPACE_OK;
    if (space_sync(call->space, transaction ? call->space->set.map.bounds : looked_at(call), transaction, &call->why))
        return call->why.code;
    if (call_check_generation(call)) {
        ops->rollback(backend);
        return call->why.code;
    }
    return ASPACE_OK;
}

static enum aspace_error only_live(struct call *call)
{
    if (ptrace_is(call->space->backend))
        return ASPACE_OK;
    return refuse(&call->why, ASPACE_UNSUPPORTED, "space %s is simulated: there is no process behind it",
                  call->space->name);
}

static enum aspace_error write_live(struct call *call)
{
    struct space_summary summary = space_summarize(call->space);

    write_space(call->out, call->space, &summary);
    return ASPACE_OK;
}

enum aspace_error space_resume(struct call *call)
{
    if (only_live(call) || ptrace_resume(call->space->backend, &call->why))
        return call->why.code;
    return write_live(call);
}

enum aspace_error space_sync_method(struct call *call)
{
    if (only_live(call) || ptrace_follow(call->space->backend, &call->why) ||
        space_sync(call->space, call->space->set.map.bounds, false, &call->why))
        return call->why.code;
    return write_live(call);
}
