/* The daemon as its methods see it: spaces, limits, counters, the wish to stop. The loop's thread alone touches it. */
#ifndef RPC_SERVICE_H
#define RPC_SERVICE_H

#include "base/histogram.h"
#include "base/limits.h"
#include "core/registry.h"
#include "proto/methods.h"

struct method_stats {
    uint64_t errors;
    struct histogram latency; /* in ns; its count is the number of requests */
};

struct service {
    struct registry registry;
    struct limits limits;
    uint64_t started_ns;
    bool shutdown; /* daemon.shutdown was asked for: finish pending replies and exit */

    uint64_t connections_accepted;
    uint64_t connections_refused;
    uint64_t connections_open;
    uint64_t messages;   /* whole ones read */
    uint64_t unreadable; /* of these, not JSON or no request: no method to count them under */
    struct method_stats methods[METHOD_COUNT];

    struct json_doc doc;  /* used again for every message */
    struct params params; /* and for every request */
};

void service_init(struct service *service, const struct limits *limits);
/* Destroys all spaces. */
void service_free(struct service *service);

#endif
