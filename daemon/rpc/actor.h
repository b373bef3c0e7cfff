/* Spaces as actors: requests to one space run one after the other, in the order in which they came, each alone; those to
 * different spaces side by side. An actor is the queue of a space's name (so that what follows a space.create waits for
 * it) and exists only while something is queued or running. The loop's thread alone calls this. */
#ifndef RPC_ACTOR_H
#define RPC_ACTOR_H

#include "rpc/request.h"
#include "rpc/task.h"
#include "rpc/wait.h"

struct exchange;

/* One request that is answered later. */
struct job {
    struct task task;
    struct call call;
    struct params params;
    struct json_writer out;
    struct exchange *exchange;
    struct job *next; /* in its exchange */
    struct actor *actors[REQUEST_NAMES_MAX];
    struct job *behind[REQUEST_NAMES_MAX]; /* the next in each actor's queue */
    unsigned actor_count;
    bool running;
    struct wait wait;                                 /* of a METHOD_WAITS method */
    struct space_family *families[REQUEST_NAMES_MAX]; /* that it keeps busy; NULL: none */
    struct lane *lane;                                /* it runs there; NULL: in the pool or on the loop's thread */
};

/* Whether the bound call must wait: there are requests before it, or a relative of its space is busy. After
 * request_find_space. */
bool actors_busy(struct service *service, const struct call *call);

/* Queues a job whose call is bound and starts it when it can; one about no space at once. exchange_job_done is called when it has ended, perhaps
 * before this returns. NoMemory: the job is not queued. */
enum aspace_error actors_add(struct service *service, struct job *job, struct refusal *why);

/* How many jobs run or wait. */
size_t actors_depth(const struct actors *actors);

#endif
