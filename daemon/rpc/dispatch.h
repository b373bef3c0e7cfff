/* From a message's text to its reply's text: reading, the method table, the handler, the envelope. No I/O, no uv. */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include "rpc/service.h"

/* Carries out the message (a request, notification or batch) and appends the reply to `out` as one JSON text. True if
 * there is one; false for notifications, with `out` as before. On lack of memory even for an error reply out->failed
 * is set. */
bool dispatch_message(struct service *service, const char *text, size_t size, struct json_writer *out);

/* Appends an error reply with id null: for what is wrong with the connection's bytes themselves. */
void dispatch_refuse(struct json_writer *out, enum aspace_error code, const char *message);

#endif
