/* Lines of the audit log. */
#include "rpc/audit.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "rpc/call.h"

static void write_peer(struct json_writer *w, const struct identity *who)
{
    json_name(w, "peer");
    json_begin_object(w);
    json_name_uint(w, "uid", who->uid);
    json_name_uint(w, "gid", who->gid);
    json_name(w, "pid");
    json_int(w, who->pid);
    json_end_object(w);
}

/* As they came, on one line: line ends stand between tokens only, since a string has none in it (RFC 8259, 7). */
static void write_params(struct json_writer *w, const struct rpc_request *request)
{
    const struct json_token *token = &request->doc->tokens[request->params];
    size_t size = token->end - token->start;
    size_t start;

    if (!request->params)
        return;
    if (size > AUDIT_PARAMS_MAX) {
        json_name_uint(w, "params_size", size);
        return;
    }
    json_name(w, "params");
    start = w->size;
    json_raw(w, request->doc->text + token->start, size);
    for (size_t i = start; i < w->size; i++)
        if ((unsigned char)w->data[i] < ' ')
            w->data[i] = ' ';
}

static void write_outcome(struct json_writer *w, const struct call *call)
{
    const struct space *space = call->made ? call->made : call->space;

    json_name_string(w, "outcome", call->code ? aspace_error_name(call->code) : "ok");
    if (call->code)
        json_name_string(w, "message", call->why.message);
    if (space)
        json_name_uint(w, "generation", space_seen(space).generation);
    json_name_uint(w, "ns", clock_ns() - call->began);
}

static void write_line(struct json_writer *w, const struct call *call)
{
    char text[64];
    struct timespec now;
    struct tm utc;
    size_t size;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + size, sizeof(text) - size, ".%06ldZ", now.tv_nsec / 1000);
    json_begin_object(w);
    json_name_string(w, "time", text);
    write_peer(w, &call->who);
    json_name_string(w, "method", call->method->name);
    write_params(w, &call->request);
    write_outcome(w, call);
    json_end_object(w);
    json_bytes(w, "\n", 1);
}

void audit_call(struct call *call)
{
    struct audit *audit = call->service->audit;
    struct json_writer line = {0};

    if (!call->method || !(call->method->traits & (METHOD_MUTATES | METHOD_BY_OWNER)))
        return;
    write_line(&line, call);
    audit->write(audit, line.failed ? NULL : line.data, line.size);
    json_writer_free(&line);
}
