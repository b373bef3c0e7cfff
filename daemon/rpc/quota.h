/* What one user may have of spaces, whoever's they are to use. The loop's thread alone calls this. */
#ifndef RPC_QUOTA_H
#define RPC_QUOTA_H

#include "rpc/call.h"

/* Busy if the caller's user may not make another space. Places kept for spaces that are being made count as theirs. */
enum aspace_error quota_check_space(struct call *call);

/* Before a request that edits call->space: how many areas that may hold, now that its owner has others, and how many of the
 * owner's the request may take meanwhile. NoMemory if what it makes is too much at once. */
enum aspace_error quota_promise_areas(struct call *call);

/* NoMemory, with `param` to blame, if `ram` bytes more would be too much for the caller's user. */
enum aspace_error quota_check_ram(struct call *call, enum param_id param, uint64_t ram);

/* The same for a clone of the call's space: its RAM counts for each user who has a space with it. What is allowed is kept
 * for the call until quota_end. */
enum aspace_error quota_check_clone(struct call *call);
void quota_end(struct call *call);

#endif
