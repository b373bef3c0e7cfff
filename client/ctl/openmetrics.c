/* The daemon's counters as OpenMetrics text (the specification's version 1.0.0), for Prometheus and its like. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json_text.h"
#include "ctl/print.h"

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void begin(const char *family, const char *type, const char *unit, const char *help)
{
    printf("# TYPE aspaced_%s %s\n", family, type);
    if (unit)
        printf("# UNIT aspaced_%s %s\n", family, unit);
    printf("# HELP aspaced_%s %s\n", family, help);
}

/* A family of one sample; nothing if the daemon does not have it. */
static void counter(const cJSON *object, const char *name, const char *family, const char *help)
{
    if (!json_has(object, name))
        return;
    begin(family, "counter", NULL, help);
    printf("aspaced_%s_total %" PRIu64 "\n", family, json_number(object, name));
}

static void gauge(const cJSON *object, const char *name, const char *family, const char *help)
{
    if (!json_has(object, name))
        return;
    begin(family, "gauge", NULL, help);
    printf("aspaced_%s %" PRIu64 "\n", family, json_number(object, name));
}

/* A gauge with a sample for each member of an object. */
static void gauges(const cJSON *object, const char *family, const char *label, const char *help)
{
    const cJSON *one;

    if (!object)
        return;
    begin(family, "gauge", NULL, help);
    cJSON_ArrayForEach(one, object)
    {
        printf("aspaced_%s{%s=\"%s\"} %" PRIu64 "\n", family, label, one->string, json_number(object, one->string));
    }
}

static void quantile(const cJSON *method, const char *name, const char *text)
{
    printf("aspaced_request_duration_seconds{method=\"%s\",quantile=\"%s\"} %.9f\n", method->string, text,
           (double)json_number(method, name) / 1e9);
}

static void durations(const cJSON *by_method)
{
    const cJSON *method;

    begin("request_duration_seconds", "summary", "seconds", "Time from reading a request to the end of its work.");
    cJSON_ArrayForEach(method, by_method)
    {
        quantile(method, "p50_ns", "0.5");
        quantile(method, "p99_ns", "0.99");
        quantile(method, "p999_ns", "0.999");
        printf("aspaced_request_duration_seconds_count{method=\"%s\"} %" PRIu64 "\n", method->string,
               json_number(method, "requests"));
        printf("aspaced_request_duration_seconds_sum{method=\"%s\"} %.9f\n", method->string,
               (double)json_number(method, "total_ns") / 1e9);
    }
}

static void errors(const cJSON *by_method)
{
    const cJSON *method;

    begin("request_errors", "counter", NULL, "Requests that were refused, by method.");
    cJSON_ArrayForEach(method, by_method)
    {
        printf("aspaced_request_errors_total{method=\"%s\"} %" PRIu64 "\n", method->string,
               json_number(method, "errors"));
    }
}

void print_openmetrics(const cJSON *stats)
{
    const cJSON *connections = member(stats, "connections");
    const cJSON *bytes = member(stats, "bytes");
    const cJSON *queues = member(stats, "queues");
    const cJSON *audit = member(stats, "audit");

    begin("uptime_seconds", "gauge", "seconds", "Time since the daemon's start.");
    printf("aspaced_uptime_seconds %.3f\n", (double)json_number(stats, "uptime_ms") / 1e3);
    gauge(connections, "open", "connections_open", "Connections now.");
    counter(connections, "accepted", "connections_accepted", "Connections that were let in.");
    counter(connections, "refused", "connections_refused", "Connections that were not, for whatever reason.");
    counter(connections, "denied", "connections_denied", "Of these, for who they are.");
    counter(bytes, "received", "bytes_received", "Bytes from peers.");
    counter(bytes, "sent", "bytes_sent", "Bytes to peers.");
    counter(stats, "messages", "messages", "Whole messages read.");
    counter(stats, "requests", "requests", "Requests served, batches taken apart.");
    counter(stats, "errors", "errors", "Requests that were refused.");
    durations(member(stats, "methods"));
    errors(member(stats, "methods"));
    gauge(stats, "spaces", "spaces", "Spaces that exist.");
    gauge(stats, "areas", "areas", "Areas in all of them.");
    gauges(member(stats, "frames"), "frames", "kind", "Simulated frames.");
    gauge(queues, "spaces", "queues_spaces", "Spaces with requests that run or wait beside the loop.");
    gauge(queues, "requests", "queues_requests", "Requests that run or wait beside the loop.");
    gauge(queues, "waiting", "queues_waiting", "Requests of daemon.wait that are waiting.");
    counter(audit, "lines", "audit_lines", "Lines written to the audit log.");
    counter(audit, "lost", "audit_lost", "Lines that the audit log could not take.");
    puts("# EOF");
}
