/* What a peer may do. */
#include "rpc/rights.h"

#include "rpc/request.h"

enum aspace_error rights_check_method(struct call *call)
{
    if (call->method->traits & METHOD_BY_OWNER && !call->who.is_own) {
        refuse(&call->why, ASPACE_DENIED, "%s is for the daemon's own user alone", call->method->name);
        call->why.hint = "it makes a file in that user's name: connect as that user";
        return call->why.code;
    }
    if (!call->who.looks_only || !(call->method->traits & METHOD_MUTATES))
        return ASPACE_OK;
    refuse(&call->why, ASPACE_DENIED, "this connection may look and not touch: %s changes something",
           call->method->name);
    call->why.hint = "the daemon was started with --read-only-gid for a group of yours; --allow-uid or --allow-gid "
                     "would let you do this";
    return call->why.code;
}

enum aspace_error rights_check_space(struct call *call)
{
    if (!request_needs_lane(call))
        return ASPACE_OK;
    if (call->who.is_guest) {
        refuse(&call->why, ASPACE_DENIED, "spaces over live processes are for the daemon's own user and root");
        call->why.hint = "run an aspaced of your own: aspacectl run";
        return call->why.code;
    }
    if (call->service->sandboxed) {
        refuse(&call->why, ASPACE_DENIED, "this daemon has given up what it takes to trace processes");
        call->why.hint = "start it without --sandbox";
        return call->why.code;
    }
    return ASPACE_OK;
}
