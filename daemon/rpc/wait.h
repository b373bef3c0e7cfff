/* daemon.wait: requests that are answered when something has happened to a space. One passes through the queue of its
 * space, so that what was asked for before it is done, and then stands aside: it is looked at after each request to that
 * space, at its deadline, when its peer leaves and when the daemon ends. The loop's thread alone calls this. */
#ifndef RPC_WAIT_H
#define RPC_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct job;
struct service;
struct space;

/* In a job. */
struct wait {
    bool parked;
    uint64_t deadline_ms; /* of clock_ns() / 1000000; UINT64_MAX: none */
    struct job *next;     /* of those that wait for the same space */
    struct job **link;
    struct job *next_of_all;
    struct job **link_of_all;
};

/* The job has left its queue: it is answered now, or parked. */
void wait_begin(struct job *job);

/* A request to the space has ended. */
void waits_look(struct service *service, struct space *space);
/* The space leaves the registry, and nobody looks at it any more. */
void waits_detach(struct call *call);
/* The space is gone. */
void waits_gone(struct call *call);
/* The peer of a parked job has left: it ends. */
void wait_give_up(struct job *job);

/* How many are parked. */
size_t waits_count(const struct service *service);

#endif
