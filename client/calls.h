/* The calls of one client that are under way, by id: waiting for their reply, holding it until it is asked for, or
 * given up so that their late reply is dropped. Not for outside programs. */
#ifndef CLIENT_CALLS_H
#define CLIENT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/reply.h"

struct pending_call {
    uint64_t id;
    bool given_up;
    struct aspace_reply *reply;     /* owned; NULL while waiting */
    struct pending_call *same_slot; /* next of the hash slot's chain */
    struct pending_call *ready_next;
    struct pending_call **ready_link; /* what points here in the ready list; NULL while not in it */
};

/* Start from {0}. */
struct calls {
    struct pending_call **slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;      /* of all calls in the table */
    size_t wanted;     /* of those that were not given up */
    struct pending_call *ready;
    struct pending_call **ready_tail; /* NULL while `ready` was never used */
};

void calls_free(struct calls *c);

/* Enters a call that waits. 0 or -ENOMEM. */
int calls_add(struct calls *c, uint64_t id);

/* NULL if there is no such call. */
struct pending_call *calls_find(const struct calls *c, uint64_t id);

/* The only call that waits for its reply; NULL if there is none or more than one. */
struct pending_call *calls_only_waiting(const struct calls *c);

/* Gives the call its reply, which is taken over: kept behind the earlier ones, or dropped with the call if that was
 * given up. False, with `reply` freed, if it has one already. */
bool calls_deliver(struct calls *c, struct pending_call *call, struct aspace_reply *reply);

/* Nobody will ask for it any more: goes at once if its reply is there, else when that comes. */
void calls_give_up(struct calls *c, struct pending_call *call);

/* Takes the call out; its reply, if there is one, is the caller's. */
struct aspace_reply *calls_take(struct calls *c, struct pending_call *call);

#endif
