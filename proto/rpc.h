/* The JSON-RPC 2.0 envelope: what is a request, and how a reply looks. Knows nothing of methods but their names. */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

#include "base/refusal.h"
#include "proto/json.h"

/* One request, as token indexes into its document; 0 means absent. */
struct rpc_request {
    const struct json_doc *doc;
    uint32_t id; /* string, number or null; absent: a notification, never answered */
    uint32_t method;
    uint32_t params; /* object or array */
};

/* Reads the request at `token`. InvalidRequest if it is none (jsonrpc not "2.0", method no string, id or params of a
 * wrong type, a duplicate member); then ret->id is still set if a usable one is there, and the refusal is answered
 * even without an id (as null). */
enum aspace_error rpc_read_request(const struct json_doc *doc, uint32_t token, struct refusal *why,
                                   struct rpc_request *ret);

/* {"jsonrpc":"2.0","id":ID,"result":  … the caller writes one value …  rpc_end_result. `request` gives the id as it was
 * written. */
void rpc_begin_result(struct json_writer *w, const struct rpc_request *request);
void rpc_end_result(struct json_writer *w);

/* A whole error reply but for what the caller adds to `data`: rpc_begin_error writes up to and including data's name,
 * errno, param and hint, the caller may add members (conflict, largest_hole, space), rpc_end_error closes.
 * `request` may be NULL: id null. `errno` is the name ("EEXIST") or null. */
void rpc_begin_error(struct json_writer *w, const struct rpc_request *request, const struct refusal *why);
void rpc_end_error(struct json_writer *w);

/* The other side: what the client reads. */
struct rpc_reply {
    const struct json_doc *doc;
    uint32_t id;     /* 0: a notification (then method is set) */
    uint32_t result; /* 0: an error or a notification */
    uint32_t error;
    uint32_t method;
    uint32_t params;
};

/* Reads a message of the daemon's at `token`; false if it is neither a reply nor a notification. */
bool rpc_read_reply(const struct json_doc *doc, uint32_t token, struct rpc_reply *ret);

#endif
