/* What a peer may do, once it is connected (net/admission.h says who may connect). The loop's thread alone calls this. */
#ifndef RPC_RIGHTS_H
#define RPC_RIGHTS_H

#include "rpc/call.h"

/* Denied if the peer may only look and the method changes something. */
enum aspace_error rights_check_method(struct call *call);

/* Of a bound call, after request_find_space. Denied if it is about a live process and the peer is a guest: the daemon
 * does that with its own rights, which a guest does not have. Denied as well if this daemon has given up ptrace. */
enum aspace_error rights_check_space(struct call *call);

#endif
