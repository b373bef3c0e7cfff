/* Writing the client's own messages. Not for outside programs. */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "proto/json.h"

/* 0; -EINVAL if `params` is not exactly one JSON object or array, -ENOMEM. */
int request_check_params(const char *params);

/* Adds a request with its line feed to `w`, whole or, with -ENOMEM, not at all. Checked `params` may be NULL. Id 0: a
 * notification. */
int request_write(struct json_writer *w, const char *method, const char *params, uint64_t id);

#endif
