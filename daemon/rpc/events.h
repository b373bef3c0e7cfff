/* Events: what requests did to spaces, told to those who subscribed; and the monitor: the requests themselves. */
#ifndef RPC_EVENTS_H
#define RPC_EVENTS_H

#include "core/watch.h"
#include "rpc/call.h"

/* Around the handler, on its thread: what the edits of call->space note becomes notices of the call. If
 * call->recording. */
void events_begin(struct call *call, struct watch *watch);
void events_end(struct call *call, struct watch *watch);

/* On the loop's thread when the call has ended: tells of what it did, and of the call itself. */
void events_publish(struct call *call);
void monitor_publish(struct call *call); /* if somebody follows the monitor */

#endif
