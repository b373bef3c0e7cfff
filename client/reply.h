/* A reply as the client keeps it: its text, the tokens of it, and where the parts are. Not for outside programs. */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include "aspace/client.h"
#include "proto/json.h"
#include "proto/rpc.h"

struct aspace_reply {
    struct json_doc doc; /* of `text` */
    struct rpc_reply parts;
    uint64_t id; /* 0: the daemon's null, for a message that it could not read */
    int error;
    const char *value; /* the result or the error object, NUL-terminated, in `text` */
    char text[];
};

/* A message of the daemon's, copied. Also used for notifications: then value is their params, or NULL.
 * 0, -ENOMEM, or -EPROTO if it is no reply to a call of ours and no notification. */
int reply_read(const char *text, size_t size, struct aspace_reply **ret);

/* The method's name of a notification, NUL-terminated, in the reply; NULL if it is a reply. */
const char *reply_notification(struct aspace_reply *reply);

#endif
