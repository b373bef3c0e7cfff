/* One request, from its envelope to its reply. */
#include "rpc/request.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/audit.h"
#include "rpc/events.h"
#include "rpc/quota.h"
#include "rpc/rights.h"
#include "rpc/wait.h"

static call_handler *const handlers[METHOD_COUNT] = {
    [METHOD_RPC_DISCOVER] = rpc_discover,
    [METHOD_DAEMON_PING] = daemon_ping,
    [METHOD_DAEMON_INFO] = daemon_info,
    [METHOD_DAEMON_STATS] = daemon_stats,
    [METHOD_DAEMON_SHUTDOWN] = daemon_shutdown,
    [METHOD_SPACE_CREATE] = space_create_method,
    [METHOD_SPACE_CLONE] = space_clone_method,
    [METHOD_SPACE_DESTROY] = space_destroy_method,
    [METHOD_SPACE_CLEAR] = space_clear_method,
    [METHOD_SPACE_LIST] = space_list,
    [METHOD_SPACE_INFO] = space_info,
    [METHOD_SPACE_RESUME] = space_resume,
    [METHOD_SPACE_SYNC] = space_sync_method,
    [METHOD_SPACE_CHECK] = space_check_method,
    [METHOD_SPACE_SNAPSHOT] = space_snapshot_method,
    [METHOD_SPACE_RESTORE] = space_restore_method,
    [METHOD_SPACE_DROP] = space_drop_method,
    [METHOD_SPACE_SNAPSHOTS] = space_snapshots,
    [METHOD_SPACE_DIFF] = space_diff_method,
    [METHOD_AREA_MAP] = area_map_method,
    [METHOD_AREA_UNMAP] = area_unmap,
    [METHOD_AREA_PROTECT] = area_protect,
    [METHOD_AREA_SHRINK] = area_shrink,
    [METHOD_AREA_SPLIT] = area_split,
    [METHOD_AREA_MERGE] = area_merge,
    [METHOD_AREA_MOVE] = area_move,
    [METHOD_SPACE_APPLY] = space_apply,
    [METHOD_AREA_FIND] = area_find,
    [METHOD_AREA_FIND_FREE] = area_find_free,
    [METHOD_AREA_OVERLAPS] = area_overlaps,
    [METHOD_AREA_LIST] = area_list,
    [METHOD_PAGE_WALK] = page_walk,
    [METHOD_PAGE_DUMP] = page_dump,
    [METHOD_PAGE_EXPORT] = page_export,
    [METHOD_MEMORY_ACCESS] = memory_access,
    [METHOD_MEMORY_READ] = memory_read,
    [METHOD_MEMORY_WRITE] = memory_write,
    [METHOD_INJECT_SET] = inject_set,
    [METHOD_INJECT_CLEAR] = inject_clear,
    [METHOD_INJECT_LIST] = inject_list,
    [METHOD_DAEMON_WAIT] = daemon_wait,
    [METHOD_EVENTS_SUBSCRIBE] = events_subscribe,
    [METHOD_EVENTS_UNSUBSCRIBE] = events_unsubscribe,
    [METHOD_MONITOR_START] = monitor_start,
    [METHOD_MONITOR_STOP] = monitor_stop,
};

/* ---- Bind ---- */

/* How much of an unknown method's name is shown: whole characters of UTF-8 within `most` bytes. */
static int shown_bytes(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return (int)size;
    while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return (int)most;
}

static const struct method *find_method(struct call *call)
{
    const struct json_doc *doc = call->request.doc;
    const struct json_token *token = &doc->tokens[call->request.method];
    const char *text = doc->text + token->start;
    const struct method *method = NULL;
    char name[64];
    size_t size;

    if (!token->escaped)
        method = method_by_name(text, token->end - token->start);
    else if (json_unescape(doc, call->request.method, name, sizeof(name), &size))
        method = method_by_name(name, size);
    if (!method) {
        refuse(&call->why, ASPACE_METHOD_NOT_FOUND, "there is no method \"%.*s\"",
               shown_bytes(text, token->end - token->start, 80), text);
        call->why.hint = "rpc.discover lists the methods";
    }
    return method;
}

enum aspace_error request_bind(struct call *call, struct params *params)
{
    if (call->peer)
        call->who = call->peer->who;
    call->method = find_method(call);
    /* who may not do it learns nothing else: rights come first */
    if (!call->method || rights_check_method(call) ||
        method_bind(call->method, call->request.doc, call->request.params, &call->why, params))
        return call->why.code;
    call->params = params;
    return ASPACE_OK;
}

unsigned request_names(const struct call *call, const char *names[REQUEST_NAMES_MAX])
{
    unsigned count = 0;

    if (call->method->traits & METHOD_ON_SPACE)
        names[count++] = call_text(call, PARAM_SPACE);
    if (call->method->traits & (METHOD_MAKES_SPACE | METHOD_OTHER)) {
        names[count] = call_text(call, call->method->traits & METHOD_OTHER ? PARAM_OTHER : PARAM_NAME);
        count += count == 0 || strcmp(names[0], names[1]) != 0;
    }
    return count;
}

/* ---- Start ---- */

bool request_needs_lane(const struct call *call)
{
    return call->method->id == METHOD_SPACE_CREATE ? create_is_live(call) : call->space && call->space->lane;
}

void request_find_space(struct call *call)
{
    if (call->method->traits & METHOD_ON_SPACE)
        call->space = registry_find(&call->service->registry, call_text(call, PARAM_SPACE));
    if (call->method->traits & METHOD_OTHER)
        call->other = registry_find(&call->service->registry, call_text(call, PARAM_OTHER));
}

enum aspace_error call_check_generation(struct call *call)
{
    uint64_t generation = call->space->set.generation;

    if (!call_has(call, PARAM_IF_GENERATION) || call_number(call, PARAM_IF_GENERATION) == generation)
        return ASPACE_OK;
    call_refuse_param(call, ASPACE_CONFLICT, PARAM_IF_GENERATION,
                      "the space is at generation %" PRIu64 ", not %" PRIu64, generation,
                      call_number(call, PARAM_IF_GENERATION));
    call->why.hint = "read the space again and decide anew";
    return call->why.code;
}

enum aspace_error request_start(struct call *call)
{
    struct registry *registry = &call->service->registry;
    unsigned traits = call->method->traits;

    if (traits & METHOD_ON_SPACE && !call->space)
        return call_refuse_param(call, ASPACE_NOT_FOUND, PARAM_SPACE, "there is no space named %s",
                                 call_text(call, PARAM_SPACE));
    if (traits & METHOD_OTHER && !call->other) {
        call_refuse_param(call, ASPACE_NOT_FOUND, PARAM_OTHER, "there is no space named %s",
                          call_text(call, PARAM_OTHER));
        call->why.hint = "a snapshot is written SPACE@SNAPSHOT";
        return call->why.code;
    }
    if (rights_check_space(call))
        return call->why.code;
    if (traits & METHOD_ON_SPACE && !call->space->lane && call_check_generation(call))
        return call->why.code; /* a live space's is known when it is synced */
    if (traits & METHOD_MUTATES && !json_writer_reserve(call->out, CALL_RESULT_MAX))
        return refuse_no_memory(&call->why);
    if (traits & METHOD_MUTATES && call->space && quota_promise_areas(call))
        return call->why.code;
    if (traits & METHOD_MAKES_SPACE) {
        if (quota_check_space(call) || (call->space && quota_check_clone(call)))
            return call->why.code;
        if (registry_reserve(registry, call_text(call, PARAM_NAME), &call->why))
            return call->why.code;
        call->reserved = true;
    }
    if (traits & METHOD_ENDS_SPACE) {
        registry_remove(registry, call->space);
        call->generation = call->space->set.generation;
        waits_detach(call);
    }
    call->recording = call->service->events.slots != NULL;
    return ASPACE_OK;
}

/* ---- Execute ---- */

enum aspace_error call_run(struct call *call)
{
    return handlers[call->method->id](call);
}

/* A live space is looked at first, so that the answer is true now. */
static enum aspace_error run(struct call *call)
{
    if (call->space && call->space->lane && request_sync(call))
        return call->why.code;
    return call_run(call);
}

static enum aspace_error run_watched(struct call *call)
{
    struct watch watch;
    enum aspace_error code;

    events_begin(call, &watch);
    code = run(call);
    events_end(call, &watch);
    return code;
}

void write_error_details(struct json_writer *out, const struct refusal *why, const struct space *space)
{
    struct area area;

    if (space)
        json_name_string(out, "space", space->name);
    if (why->has_operation)
        json_name_uint(out, "operation", why->operation);
    if (why->has_conflict && space && area_map_find(&space->set.map, page_of(why->conflict), &area))
        write_area_member(out, "conflict", space, &area, true);
    if (why->has_hole) {
        json_name(out, "largest_hole");
        json_begin_object(out);
        json_name_hex(out, "start", why->hole_start);
        json_name_hex(out, "size", why->hole_size);
        json_end_object(out);
    }
}

void request_refuse(struct call *call)
{
    call->code = call->why.code;
    if (!call->request.id)
        return;
    rpc_begin_error(call->out, &call->request, &call->why);
    write_error_details(call->out, &call->why, call->space);
    rpc_end_error(call->out);
}

/* A short batch can ask for more reply than there is memory. */
void request_leave_out(struct call *call)
{
    refuse(&call->why, ASPACE_BUSY,
           "the replies to this batch pass the limit of %" PRIu64 " bytes; this request was not run",
           call->service->limits.reply);
    call->why.hint = "send fewer requests in one batch, or start the daemon with a larger --max-reply";
    request_refuse(call);
}

void request_execute(struct call *call)
{
    struct json_writer *out = call->out;
    size_t size = out->size;
    bool comma = out->comma;

    rpc_begin_result(out, &call->request);
    call->code = call->recording ? run_watched(call) : run(call);
    rpc_end_result(out);
    if (call->code == ASPACE_OK && out->failed)
        call->code = refuse_no_memory(&call->why);
    if (call->code == ASPACE_OK && call->request.id)
        return;
    out->size = size;
    out->comma = comma;
    out->failed = false;
    if (call->code)
        request_refuse(call);
}

/* ---- Finish ---- */

static void count(const struct call *call)
{
    struct method_stats *stats;

    call->service->now = clock_ns();
    if (!call->method) {
        call->service->unreadable++;
        return;
    }
    stats = &call->service->methods[call->method->id];
    histogram_add(&stats->latency, call->service->now - call->began);
    stats->errors += call->code != ASPACE_OK;
}

void request_finish(struct call *call)
{
    if (call->made) {
        call->made->owner = call->who.uid;
        registry_add(&call->service->registry, call->made);
    } else if (call->reserved) {
        registry_unreserve(&call->service->registry);
    }
    if (call->space)
        call->space->promised = 0;
    quota_end(call);
    count(call);
    if (call->service->audit)
        audit_call(call);
    events_publish(call);
    if (call->service->monitor.followers)
        monitor_publish(call);
    if (call->space && call->space->waits)
        waits_look(call->service, call->space);
    if (call->waits)
        waits_gone(call);
}
