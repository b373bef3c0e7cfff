/* The daemon as its methods see it: spaces, limits, counters, the wish to stop. The loop's thread alone touches it. */
#ifndef RPC_SERVICE_H
#define RPC_SERVICE_H

#include "base/histogram.h"
#include "base/limits.h"
#include "core/registry.h"
#include "proto/methods.h"
#include "rpc/feed.h"

struct actor;
struct audit;
struct job;
struct workers;

struct method_stats {
    uint64_t errors;
    struct histogram latency; /* in ns; its count is the number of requests */
};

/* The queues of spaces that have requests running or waiting (rpc/actor.h). */
struct actors {
    struct actor **list; /* sorted by name */
    size_t count;
    size_t capacity;
    struct actor *ready;
    bool pumping;
};

struct service;
typedef void service_fn(struct service *service);

struct service {
    struct registry registry;
    struct actors actors;
    struct workers *workers; /* borrowed; NULL: everything runs on the loop's thread, while the sender waits */
    struct audit *audit;     /* borrowed; NULL: none is kept */
    struct limits limits;
    uint64_t started_ns;
    uint64_t now; /* clock_ns() when the last request ended or the last messages came: no second look for the next */
    uint64_t reserved_ram; /* of users who are making clones of others' spaces */
    bool sandboxed;        /* it can trace no process */
    bool shutdown;         /* daemon.shutdown was asked for: finish pending replies and exit */

    uint64_t connections_accepted;
    uint64_t connections_refused;
    uint64_t connections_denied; /* of these, by who they are */
    uint64_t connections_open;
    uint64_t bytes_received;
    uint64_t bytes_sent;
    uint64_t messages;   /* whole ones read */
    uint64_t unreadable; /* of these, not JSON or no request: no method to count them under */
    struct method_stats methods[METHOD_COUNT];

    struct feed events;
    struct feed monitor;
    uint64_t subscriptions; /* ids given out */

    struct job *waits; /* daemon.wait requests that are parked (rpc/wait.h) */
    bool ending;       /* none is parked any more */
    uint64_t alarm_ms; /* when service_alarm is to be called; UINT64_MAX: not */
    /* The owner's: calls service_alarm in `ms` milliseconds, instead of when it was told before. NULL: it never does. */
    void (*set_alarm)(struct service *service, uint64_t ms);

    struct json_doc doc;  /* used again for every message */
    struct params params; /* and for every request */

    service_fn *on_closed; /* see service_close */
    size_t closing;        /* spaces ending on threads of their own */
    void *owner;           /* of on_closed, for its use */
};

void service_init(struct service *service, const struct limits *limits);
/* After the last message: lets everything end that still runs, ends the spaces that live on threads of their own, and
 * calls on_closed, perhaps before it returns. */
void service_close(struct service *service, service_fn *on_closed);
/* The time that set_alarm was told has come. wait.c */
void service_alarm(struct service *service);
/* The daemon ends: requests that wait are answered now, and none waits from here on. wait.c */
void service_end_waits(struct service *service);
/* Something has ended: goes on with service_close. */
void service_ended(struct service *service);
/* Destroys all spaces; nothing runs any more. */
void service_free(struct service *service);

#endif
