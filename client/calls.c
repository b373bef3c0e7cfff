/* A chained hash table by id with a list of those that are answered, in order of arrival. */
#include "client/calls.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 16

static struct pending_call **slot_of(const struct calls *c, uint64_t id)
{
    return &c->slots[id & (c->slot_count - 1)]; /* ids are given out in order: the low bits spread them evenly */
}

static int grow(struct calls *c)
{
    size_t slot_count = c->slot_count ? 2 * c->slot_count : FIRST_SLOTS;
    struct calls larger = {.slots = calloc(slot_count, sizeof(struct pending_call *)), .slot_count = slot_count};

    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < c->slot_count; i++) {
        while (c->slots[i]) {
            struct pending_call *call = c->slots[i];
            struct pending_call **slot = slot_of(&larger, call->id);

            c->slots[i] = call->same_slot;
            call->same_slot = *slot;
            *slot = call;
        }
    }
    free(c->slots);
    c->slots = larger.slots;
    c->slot_count = slot_count;
    return 0;
}

void calls_free(struct calls *c)
{
    for (size_t i = 0; i < c->slot_count; i++) {
        while (c->slots[i]) {
            struct pending_call *call = c->slots[i];

            c->slots[i] = call->same_slot;
            aspace_reply_free(call->reply);
            free(call);
        }
    }
    free(c->slots);
    *c = (struct calls){0};
}

int calls_add(struct calls *c, uint64_t id)
{
    struct pending_call *call;
    struct pending_call **slot;

    if (c->count >= c->slot_count && grow(c))
        return -ENOMEM;
    call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    slot = slot_of(c, id);
    call->id = id;
    call->same_slot = *slot;
    *slot = call;
    c->count++;
    c->wanted++;
    return 0;
}

struct pending_call *calls_find(const struct calls *c, uint64_t id)
{
    struct pending_call *call = c->slot_count ? *slot_of(c, id) : NULL;

    while (call && call->id != id)
        call = call->same_slot;
    return call;
}

struct pending_call *calls_only_waiting(const struct calls *c)
{
    struct pending_call *only = NULL;

    for (size_t i = 0; i < c->slot_count; i++) {
        for (struct pending_call *call = c->slots[i]; call; call = call->same_slot) {
            if (call->reply)
                continue;
            if (only)
                return NULL;
            only = call;
        }
    }
    return only;
}

static void make_ready(struct calls *c, struct pending_call *call)
{
    if (!c->ready)
        c->ready_tail = &c->ready;
    call->ready_link = c->ready_tail;
    *c->ready_tail = call;
    c->ready_tail = &call->ready_next;
}

static void leave_ready(struct calls *c, struct pending_call *call)
{
    if (!call->ready_link)
        return;
    *call->ready_link = call->ready_next;
    if (call->ready_next)
        call->ready_next->ready_link = call->ready_link;
    else
        c->ready_tail = call->ready_link;
}

static void forget(struct calls *c, struct pending_call *call)
{
    struct pending_call **link = slot_of(c, call->id);

    while (*link != call)
        link = &(*link)->same_slot;
    *link = call->same_slot;
    leave_ready(c, call);
    c->count--;
    c->wanted -= !call->given_up;
    free(call);
}

bool calls_deliver(struct calls *c, struct pending_call *call, struct aspace_reply *reply)
{
    if (call->reply) {
        aspace_reply_free(reply);
        return false;
    }
    if (call->given_up) {
        aspace_reply_free(reply);
        forget(c, call);
        return true;
    }
    call->reply = reply;
    make_ready(c, call);
    return true;
}

void calls_give_up(struct calls *c, struct pending_call *call)
{
    if (call->reply) {
        aspace_reply_free(calls_take(c, call));
        return;
    }
    c->wanted -= !call->given_up;
    call->given_up = true;
}

struct aspace_reply *calls_take(struct calls *c, struct pending_call *call)
{
    struct aspace_reply *reply = call->reply;

    forget(c, call);
    return reply;
}
