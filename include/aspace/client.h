/* The C client of aspaced: connect to the daemon's Unix socket, call methods, pipeline calls, take notifications.
 *
 * Blocking and single-threaded: a client handle belongs to one thread at a time; different handles are independent.
 * Nothing here logs, exits or installs signal handlers; SIGPIPE is never raised.
 *
 * Every function that can fail returns 0 or a negative errno value for what happened HERE: -ECONNREFUSED or -ENOENT (no
 * daemon), -ECONNRESET (the connection was lost), -ETIMEDOUT, -ENOMEM, -EINVAL (a wrong argument), -EPROTO (the peer
 * does not speak the protocol). What the daemon refused is not such a failure: it is a reply with an error in it. */
#ifndef ASPACE_CLIENT_H
#define ASPACE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aspace/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct aspace_client;
struct aspace_reply;

/* No limit, for every timeout in milliseconds here, as is any other negative value. */
#define ASPACE_FOREVER (-1)

/* The daemon's socket path by the common rule: `path` if not NULL, else $ASPACED_SOCKET, else
 * $XDG_RUNTIME_DIR/aspaced.sock, else /run/aspaced/aspaced.sock for root, else /tmp/aspaced-UID/aspaced.sock.
 * Written to `buffer` of `size` bytes, NUL-terminated. -EINVAL if `path` is empty, -ENAMETOOLONG if it does not
 * fit there or in sun_path. */
int aspace_socket_path(const char *path, char *buffer, size_t size);

/* Connects to the daemon at `path` (NULL: the common rule). *ret is the caller's, freed by aspace_client_close. */
int aspace_client_connect(const char *path, int timeout_ms, struct aspace_client **ret);

/* Takes over `fd`, a connected stream socket; it is closed with the client, on failure too. */
int aspace_client_from_fd(int fd, struct aspace_client **ret);

/* Closes the connection and frees the client; replies given out before stay valid. NULL is fine. */
void aspace_client_close(struct aspace_client *client);

/* The socket, to wait on with poll(): readable when there is more to read. Replies that were read already do not show
 * there: receive with a timeout of 0 until -ETIMEDOUT, then wait. Stays the client's. */
int aspace_client_fd(const struct aspace_client *client);

/* Calls `method` with `params` (one JSON object or array as text, or NULL for none) and waits for its reply; replies
 * to other calls and notifications that come before it are kept. *ret is the caller's: aspace_reply_free. After
 * -ETIMEDOUT the call may still be carried out; its late reply is dropped. */
int aspace_client_call(struct aspace_client *client, const char *method, const char *params, int timeout_ms,
                       struct aspace_reply **ret);

/* Sends a call without waiting, any number of them; *ret_id is what its reply will carry. Replies that come in the
 * meantime are read and kept, so a long pipeline does not block. */
int aspace_client_send(struct aspace_client *client, const char *method, const char *params, int timeout_ms,
                       uint64_t *ret_id);

/* The reply to call `id`, or, with id 0, to any call sent and not yet received (the first that is there). -EINVAL if
 * no such call is waited for. After -ETIMEDOUT the call is still waited for. */
int aspace_client_receive(struct aspace_client *client, uint64_t id, int timeout_ms, struct aspace_reply **ret);

/* Sends a notification: never answered, not even if it fails. */
int aspace_client_notify(struct aspace_client *client, const char *method, const char *params, int timeout_ms);

/* `callback` gets each notification of the daemon's (the method's name, and its params as NUL-terminated JSON text or
 * NULL without any; valid during the call) while one of the functions above reads. NULL: they are dropped. The callback must not use the client. */
typedef void aspace_notification_fn(void *arg, const char *method, const char *params);
/* Set it before the call that makes the daemon tell something (events.subscribe, monitor.start): a notification may be
 * read together with the reply. */
void aspace_client_on_notification(struct aspace_client *client, aspace_notification_fn *callback, void *arg);

/* Reads notifications for up to `timeout_ms`, returning after the first that was given to the callback. -EINVAL without
 * a callback. */
int aspace_client_wait_notification(struct aspace_client *client, int timeout_ms);

/* The reply's call id; the code of its error, ASPACE_OK if it has a result. */
uint64_t aspace_reply_id(const struct aspace_reply *reply);
int aspace_reply_error(const struct aspace_reply *reply);

/* JSON text exactly as it came, NUL-terminated, the reply's own: the result (NULL after an error), or the error object
 * (NULL after a result). */
const char *aspace_reply_result(const struct aspace_reply *reply);
const char *aspace_reply_error_object(const struct aspace_reply *reply);

/* Members of the result, or of the error object after an error, by a path of names and indexes: "area.start",
 * "areas.0.flags", "data.hint". A whole number or a "0x…" string as uint64_t; a string unescaped into `buffer` (cut never:
 * -ENOBUFS). -ENOENT if there is no such member, -EINVAL if it is of another type, null, or a number below zero. */
int aspace_reply_u64(const struct aspace_reply *reply, const char *path, uint64_t *ret);
int aspace_reply_string(const struct aspace_reply *reply, const char *path, char *buffer, size_t size);
int aspace_reply_bool(const struct aspace_reply *reply, const char *path, bool *ret);

void aspace_reply_free(struct aspace_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
