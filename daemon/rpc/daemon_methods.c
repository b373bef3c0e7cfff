/* rpc.discover and daemon.*: the daemon about itself. */
#include <unistd.h>

#include "aspace/version.h"
#include "base/clock.h"
#include "ptrace/ptrace.h"
#include "rpc/actor.h"
#include "rpc/audit.h"
#include "rpc/call.h"
#include "rpc/wait.h"

enum aspace_error rpc_discover(struct call *call)
{
    methods_write_openrpc(call->out);
    return ASPACE_OK;
}

static enum aspace_error empty_result(struct call *call)
{
    json_begin_object(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error daemon_ping(struct call *call)
{
    return empty_result(call);
}

enum aspace_error daemon_shutdown(struct call *call)
{
    call->service->shutdown = true;
    return empty_result(call);
}

static void write_uptime(struct call *call)
{
    json_name_uint(call->out, "uptime_ms", (clock_ns() - call->service->started_ns) / 1000000);
}

static void write_limits(struct json_writer *w, const struct limits *limits)
{
    json_name(w, "limits");
    json_begin_object(w);
#define X(name, value, least, most, text) json_name_uint(w, "max_" #name, limits->name);
    LIMIT_MAP(X)
#undef X
    json_end_object(w);
}

enum aspace_error daemon_info(struct call *call)
{
    struct json_writer *w = call->out;

    json_begin_object(w);
    json_name_string(w, "name", "aspaced");
    json_name_string(w, "version", ASPACE_VERSION);
    json_name_uint(w, "protocol", ASPACE_PROTOCOL);
    json_name_uint(w, "pid", (uint64_t)getpid());
    write_uptime(call);
    json_name(w, "backends");
    json_begin_array(w);
    json_string(w, "sim");
    if (ptrace_available() && !call->service->sandboxed)
        json_string(w, "ptrace");
    json_end_array(w);
    write_limits(w, &call->service->limits);
    json_end_object(w);
    return ASPACE_OK;
}

static void write_method_stats(struct json_writer *w, const struct method_stats *stats)
{
    json_begin_object(w);
    json_name_uint(w, "requests", stats->latency.count);
    json_name_uint(w, "errors", stats->errors);
    json_name_uint(w, "p50_ns", histogram_quantile(&stats->latency, 0.5));
    json_name_uint(w, "p99_ns", histogram_quantile(&stats->latency, 0.99));
    json_name_uint(w, "p999_ns", histogram_quantile(&stats->latency, 0.999));
    json_name_uint(w, "max_ns", stats->latency.max);
    json_name_uint(w, "total_ns", stats->latency.sum);
    json_end_object(w);
}

/* The methods that were called at all, by name. */
static void write_methods(struct json_writer *w, const struct service *service)
{
    json_name(w, "methods");
    json_begin_object(w);
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (!service->methods[i].latency.count)
            continue;
        json_name(w, methods[i].name);
        write_method_stats(w, &service->methods[i]);
    }
    json_end_object(w);
}

static void write_connections(struct json_writer *w, const struct service *service)
{
    json_name(w, "connections");
    json_begin_object(w);
    json_name_uint(w, "open", service->connections_open);
    json_name_uint(w, "accepted", service->connections_accepted);
    json_name_uint(w, "refused", service->connections_refused);
    json_name_uint(w, "denied", service->connections_denied);
    json_end_object(w);
}

static void write_requests(struct json_writer *w, const struct service *service)
{
    uint64_t requests = service->unreadable;
    uint64_t errors = service->unreadable;

    for (int i = 0; i < METHOD_COUNT; i++) {
        requests += service->methods[i].latency.count;
        errors += service->methods[i].errors;
    }
    json_name_uint(w, "messages", service->messages);
    json_name_uint(w, "requests", requests);
    json_name_uint(w, "errors", errors);
}

static void write_spaces(struct json_writer *w, struct registry *registry)
{
    struct frame_counts sum = {0};
    uint64_t areas = 0;

    registry_begin_sum(registry);
    for (size_t i = 0; i < registry->count; i++) {
        struct space_summary one = space_seen(registry->spaces[i]);

        areas += one.areas;
        if (registry_count_ram(registry, registry->spaces[i])) {
            sum.total += one.frames.total;
            sum.used += one.frames.in_ram;
            sum.shared += one.frames.shared;
        }
        sum.data += one.frames.data + one.kept.data;
        sum.tables += one.frames.tables + one.kept.tables;
    }
    json_name_uint(w, "spaces", registry->count);
    json_name_uint(w, "areas", areas);
    json_name(w, "frames");
    json_begin_object(w);
    json_name_uint(w, "used", sum.used);
    json_name_uint(w, "data", sum.data);
    json_name_uint(w, "tables", sum.tables);
    json_name_uint(w, "shared", sum.shared);
    json_name_uint(w, "total", sum.total);
    json_end_object(w);
}

static void write_bytes(struct json_writer *w, const struct service *service)
{
    json_name(w, "bytes");
    json_begin_object(w);
    json_name_uint(w, "received", service->bytes_received);
    json_name_uint(w, "sent", service->bytes_sent);
    json_end_object(w);
}

static void write_queues(struct json_writer *w, const struct service *service)
{
    json_name(w, "queues");
    json_begin_object(w);
    json_name_uint(w, "spaces", service->actors.count);
    json_name_uint(w, "requests", actors_depth(&service->actors));
    json_name_uint(w, "waiting", waits_count(service));
    json_end_object(w);
}

static void write_audit(struct json_writer *w, struct audit *audit)
{
    if (!audit)
        return;
    json_name(w, "audit");
    json_begin_object(w);
    json_name_uint(w, "lines", atomic_load(&audit->lines));
    json_name_uint(w, "lost", atomic_load(&audit->lost));
    json_end_object(w);
}

enum aspace_error daemon_stats(struct call *call)
{
    struct json_writer *w = call->out;

    json_begin_object(w);
    write_uptime(call);
    write_connections(w, call->service);
    write_bytes(w, call->service);
    write_requests(w, call->service);
    write_methods(w, call->service);
    write_queues(w, call->service);
    write_audit(w, call->service->audit);
    write_spaces(w, &call->service->registry);
    json_end_object(w);
    return ASPACE_OK;
}
