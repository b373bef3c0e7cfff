/* Dispatch over the method table. */
#include "rpc/dispatch.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "proto/rpc.h"
#include "rpc/call.h"

static call_handler *const handlers[METHOD_COUNT] = {
    [METHOD_RPC_DISCOVER] = rpc_discover,
    [METHOD_DAEMON_PING] = daemon_ping,
    [METHOD_DAEMON_INFO] = daemon_info,
    [METHOD_DAEMON_STATS] = daemon_stats,
    [METHOD_DAEMON_SHUTDOWN] = daemon_shutdown,
    [METHOD_SPACE_CREATE] = space_create_method,
    [METHOD_SPACE_DESTROY] = space_destroy_method,
    [METHOD_SPACE_CLEAR] = space_clear_method,
    [METHOD_SPACE_LIST] = space_list,
    [METHOD_SPACE_INFO] = space_info,
    [METHOD_SPACE_CHECK] = space_check_method,
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
    [METHOD_MEMORY_ACCESS] = memory_access,
    [METHOD_MEMORY_READ] = memory_read,
    [METHOD_MEMORY_WRITE] = memory_write,
    [METHOD_INJECT_SET] = inject_set,
    [METHOD_INJECT_CLEAR] = inject_clear,
    [METHOD_INJECT_LIST] = inject_list,
};

/* A place in the output to come back to. */
struct mark {
    size_t size;
    bool comma;
};

static struct mark mark_here(const struct json_writer *out)
{
    return (struct mark){out->size, out->comma};
}

static void back_to(struct json_writer *out, struct mark mark)
{
    out->size = mark.size;
    out->comma = mark.comma;
    out->failed = false;
}

/* ---- Error replies ---- */

void write_error_details(struct json_writer *out, const struct refusal *why, const struct space *space)
{
    struct area area;

    if (space) {
        json_name(out, "space");
        json_string(out, space->name);
    }
    if (why->has_conflict && space && area_map_find(&space->set.map, page_of(why->conflict), &area))
        write_area_member(out, "conflict", space, &area, true);
    if (why->has_hole) {
        json_name(out, "largest_hole");
        json_begin_object(out);
        json_name(out, "start");
        json_hex(out, why->hole_start);
        json_name(out, "size");
        json_hex(out, why->hole_size);
        json_end_object(out);
    }
}

static void write_refusal(struct json_writer *out, const struct rpc_request *request, const struct refusal *why,
                          const struct space *space)
{
    rpc_begin_error(out, request, why);
    write_error_details(out, why, space);
    rpc_end_error(out);
}

void dispatch_refuse(struct json_writer *out, enum aspace_error code, const char *message)
{
    struct refusal why;

    refuse(&why, code, "%s", message);
    out->comma = false;
    write_refusal(out, NULL, &why, NULL);
}

/* ---- One request ---- */

/* How much of an unknown method's name is shown: whole characters of UTF-8 within `most` bytes. */
static int shown_bytes(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return (int)size;
    while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return (int)most;
}

static const struct method *find_method(struct call *call, const struct rpc_request *request)
{
    const struct json_token *token = &request->doc->tokens[request->method];
    const char *text = request->doc->text + token->start;
    const struct method *method = NULL;
    char name[64];
    size_t size;

    if (json_unescape(request->doc, request->method, name, sizeof(name), &size))
        method = method_by_name(name, size);
    if (!method) {
        refuse(&call->why, ASPACE_METHOD_NOT_FOUND, "there is no method \"%.*s\"",
               shown_bytes(text, token->end - token->start, 80), text);
        call->why.hint = "rpc.discover lists the methods";
    }
    return method;
}

static enum aspace_error find_space(struct call *call)
{
    const char *name = call_text(call, PARAM_SPACE);

    call->space = registry_find(&call->service->registry, name);
    if (!call->space)
        return call_refuse_param(call, ASPACE_NOT_FOUND, PARAM_SPACE, "there is no space named %s", name);
    return ASPACE_OK;
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

enum aspace_error call_run(struct call *call)
{
    return handlers[call->method->id](call);
}

/* Everything between the envelope and the handler. */
static enum aspace_error run(struct call *call, const struct rpc_request *request)
{
    struct params *params = &call->service->params;

    if (method_bind(call->method, request->doc, request->params, &call->why, params))
        return call->why.code;
    call->params = params;
    if (call->method->traits & METHOD_ON_SPACE) {
        if (find_space(call) || call_check_generation(call))
            return call->why.code;
    }
    if ((call->method->traits & METHOD_MUTATES) && !json_writer_reserve(call->out, CALL_RESULT_MAX))
        return refuse_no_memory(&call->why);
    if (call_run(call))
        return call->why.code;
    return call->out->failed ? refuse_no_memory(&call->why) : ASPACE_OK;
}

static void count(struct service *service, const struct call *call, enum aspace_error code, uint64_t began)
{
    struct method_stats *stats = &service->methods[call->method->id];

    histogram_add(&stats->latency, clock_ns() - began);
    stats->errors += code != ASPACE_OK;
}

static void dispatch_request(struct service *service, const struct rpc_request *request, struct json_writer *out)
{
    uint64_t began = clock_ns();
    struct mark mark = mark_here(out);
    struct call call = {.service = service, .out = out};
    enum aspace_error code = ASPACE_METHOD_NOT_FOUND;

    rpc_begin_result(out, request);
    call.method = find_method(&call, request);
    if (call.method) {
        code = run(&call, request);
        count(service, &call, code, began);
    } else {
        service->unreadable++;
    }
    if (code == ASPACE_OK) {
        rpc_end_result(out);
        if (out->failed)
            code = refuse_no_memory(&call.why);
    }
    if (code != ASPACE_OK) {
        back_to(out, mark);
        write_refusal(out, request, &call.why, call.space);
    }
    if (!request->id)
        back_to(out, mark);
}

/* One element of a message: whatever stands there. */
static void dispatch_value(struct service *service, uint32_t token, struct json_writer *out)
{
    struct rpc_request request;
    struct refusal why;

    if (rpc_read_request(&service->doc, token, &why, &request)) {
        service->unreadable++;
        write_refusal(out, &request, &why, NULL);
        return;
    }
    dispatch_request(service, &request, out);
}

/* A short batch can ask for more reply than there is memory: past the limit the rest is refused, unexecuted. */
static void refuse_rest(struct service *service, uint32_t token, struct json_writer *out)
{
    struct rpc_request request;
    struct refusal why;

    if (rpc_read_request(&service->doc, token, &why, &request) == ASPACE_OK) {
        if (!request.id)
            return;
        refuse(&why, ASPACE_BUSY,
               "the replies to this batch pass the limit of %" PRIu64 " bytes; this request was not run",
               service->limits.reply);
        why.hint = "send fewer requests in one batch, or start the daemon with a larger --max-reply";
    }
    write_refusal(out, &request, &why, NULL);
}

static void dispatch_batch(struct service *service, struct json_writer *out)
{
    const struct json_doc *doc = &service->doc;
    size_t start = out->size;

    if (doc->tokens[0].count == 0) {
        service->unreadable++;
        dispatch_refuse(out, ASPACE_INVALID_REQUEST, "a batch holds at least one request");
        return;
    }
    json_begin_array(out);
    for (uint32_t token = 1; token < doc->count && !out->failed; token = doc->tokens[token].next) {
        if (out->size - start > service->limits.reply)
            refuse_rest(service, token, out);
        else
            dispatch_value(service, token, out);
    }
    json_end_array(out);
}

static void refuse_text(struct service *service, enum aspace_error code, struct json_writer *out)
{
    struct refusal why;

    if (code == ASPACE_NO_MEMORY)
        refuse_no_memory(&why);
    else
        refuse(&why, code, "%s at byte %zu", service->doc.error, service->doc.error_at);
    write_refusal(out, NULL, &why, NULL);
}

bool dispatch_message(struct service *service, const char *text, size_t size, struct json_writer *out)
{
    struct mark mark;
    enum aspace_error code;
    bool batch;

    out->comma = false;
    mark = mark_here(out);
    service->messages++;
    code = json_read(&service->doc, text, size);
    batch = code == ASPACE_OK && service->doc.tokens[0].type == JSON_ARRAY;
    if (code) {
        service->unreadable++;
        refuse_text(service, code, out);
    } else if (batch) {
        dispatch_batch(service, out);
    } else {
        dispatch_value(service, 0, out);
    }
    if (batch && !out->failed && out->size == mark.size + 2)
        back_to(out, mark); /* "[]": nothing but notifications */
    return out->failed || out->size > mark.size;
}
