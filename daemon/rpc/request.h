/* One request, step by step. Bind, start and finish on the loop's thread; execute on the thread that has the space. */
#ifndef RPC_REQUEST_H
#define RPC_REQUEST_H

#include "rpc/call.h"

#define REQUEST_NAMES_MAX 2

/* Finds the method, checks that the peer may call it, and the parameters into `params`, which becomes the call's. */
enum aspace_error request_bind(struct call *call, struct params *params);

/* The names of spaces that the bound call is about, as many as are returned: it runs when it has them all for itself.
 * They are the call's parameters'. */
unsigned request_names(const struct call *call, const char *names[REQUEST_NAMES_MAX]);

/* Looks up the spaces of the bound call, as far as there are any of those names. */
void request_find_space(struct call *call);

/* Whether it takes so long, by what it may touch, that it should not hold up the loop. After request_find_space. */
bool request_is_long(const struct call *call);

/* Whether it must run on a thread of the space's own. After request_find_space. */
bool request_needs_lane(const struct call *call);

/* After request_find_space: checks that there is a space, and its generation, and takes what the end must not lack: room for the reply, a place in the
 * registry. What a call destroys is out of the registry from here on. */
enum aspace_error request_start(struct call *call);

/* Brings a live space to what its target is now, as far as the call looks at it, and checks the generation; adopts a target
 * whose thread was spent. By the space's own thread. For a transaction the target stands still from here on. */
enum aspace_error request_sync(struct call *call);

/* Runs the handler and writes the whole reply, whatever it is, to call->out; call->code says how it ended. Without an
 * id nothing is written. */
void request_execute(struct call *call);

/* Writes the error reply of a call that could not be bound or started. */
void request_refuse(struct call *call);

/* Writes the error reply of a request that is not run because the replies to its batch pass the limit. */
void request_leave_out(struct call *call);

/* Puts in the registry what was made, counts, and tells who wants to know of it or waits for it. Exactly once for each call, refused ones included. */
void request_finish(struct call *call);

#endif
