/* From a message's text to its reply's text: reading, the method table, the handler, the envelope. No I/O, no uv. */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include "rpc/peer.h"
#include "rpc/service.h"

enum dispatched {
    DISPATCHED_REPLY,  /* the reply is in the output */
    DISPATCHED_SILENT, /* there is none: notifications */
    DISPATCHED_LATER,  /* peer->answer will be called, for notifications as well; perhaps it has been already */
};

/* Before the messages that have come together: the first one's time begins here, each other's when the one before has
 * been carried out. */
void dispatch_begin(struct service *service);

/* Carries out the message (a request, notification or batch) of `peer` and appends the reply to `out` as one JSON text.
 * Without a reply, or with one that comes later, `out` is as before (but for what peer->answer added). On lack of memory
 * even for an error reply out->failed is set. */
enum dispatched dispatch_message(struct service *service, struct peer *peer, const char *text, size_t size,
                                 struct json_writer *out);

/* Appends an error reply with id null: for what is wrong with the connection or its bytes themselves. `hint` may be
 * NULL, and is static text. */
void dispatch_refuse(struct json_writer *out, enum aspace_error code, const char *message, const char *hint);

#endif
