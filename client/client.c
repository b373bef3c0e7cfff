/* One connection: requests out, replies and notifications in, both ways at once so that a long pipeline cannot block. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/calls.h"
#include "client/deadline.h"
#include "client/request.h"
#include "proto/frame.h"

#define READ_CHUNK ((size_t)64 << 10)
/* The daemon bounds its replies; this only keeps a peer that is no daemon from filling our memory. */
#define MESSAGE_MAX ((size_t)256 << 20)

struct aspace_client {
    int fd;
    int lost;  /* the negative error that ended the reading side; sticky */
    bool deaf; /* the peer takes no more bytes; what it sent before may still be there to read */
    struct frame_reader in;
    struct json_writer out; /* bytes not yet taken by the kernel start at `sent` */
    size_t sent;
    uint64_t last_id;
    struct calls calls;
    aspace_notification_fn *callback;
    void *callback_arg;
    uint64_t notified; /* notifications given to the callback so far */
};

int aspace_client_from_fd(int fd, struct aspace_client **ret)
{
    struct aspace_client *client;

    if (fd < 0)
        return -EINVAL;
    client = calloc(1, sizeof(*client));
    if (!client) {
        close(fd);
        return -ENOMEM;
    }
    client->fd = fd;
    frame_init(&client->in, MESSAGE_MAX, NULL);
    *ret = client;
    return 0;
}

void aspace_client_close(struct aspace_client *client)
{
    if (!client)
        return;
    close(client->fd);
    frame_free(&client->in);
    json_writer_free(&client->out);
    calls_free(&client->calls);
    free(client);
}

int aspace_client_fd(const struct aspace_client *client)
{
    return client->fd;
}

void aspace_client_on_notification(struct aspace_client *client, aspace_notification_fn *callback, void *arg)
{
    client->callback = callback;
    client->callback_arg = arg;
}

/* ---- In ---- */

static void take_notification(struct aspace_client *client, const char *method, struct aspace_reply *message)
{
    if (client->callback) {
        client->notified++;
        client->callback(client->callback_arg, method, message->value);
    }
    aspace_reply_free(message);
}

/* An error with id null is about a message that the daemon could not read, or about the connection. */
static struct pending_call *call_of(struct aspace_client *client, const struct aspace_reply *reply)
{
    struct pending_call *call = reply->id ? calls_find(&client->calls, reply->id) : calls_only_waiting(&client->calls);

    return call && call->reply ? NULL : call;
}

static int take_message(struct aspace_client *client, const char *text, size_t size)
{
    struct aspace_reply *message;
    struct pending_call *call;
    const char *method;
    int error = reply_read(text, size, &message);

    if (error)
        return error;
    method = reply_notification(message);
    if (method) {
        take_notification(client, method, message);
        return 0;
    }
    call = call_of(client, message);
    if (!call) {
        aspace_reply_free(message);
        return -EPROTO;
    }
    message->id = call->id;
    calls_deliver(&client->calls, call, message);
    return 0;
}

/* All whole messages that have been read. */
static int take_messages(struct aspace_client *client)
{
    const char *text;
    size_t size;

    for (;;) {
        int error;

        switch (frame_next(&client->in, &text, &size)) {
        case FRAME_MORE:
            return 0;
        case FRAME_MESSAGE:
            error = client->in.mode == FRAME_LINES ? take_message(client, text, size) : -EPROTO;
            if (error)
                return error;
            break;
        default:
            return -EPROTO;
        }
    }
}

/* Reads what is there without waiting: 0 if there was something, -EAGAIN if not. Any other error is sticky. */
static int read_some(struct aspace_client *client)
{
    char *room;
    ssize_t n;
    int error;

    if (client->lost)
        return client->lost;
    room = frame_room(&client->in, READ_CHUNK);
    if (!room)
        return -ENOMEM;
    do
        n = recv(client->fd, room, READ_CHUNK, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -EAGAIN;
    if (n <= 0) {
        client->lost = n == 0 || errno == EPIPE ? -ECONNRESET : -errno;
        return client->lost;
    }
    frame_fed(&client->in, (size_t)n);
    error = take_messages(client);
    if (error)
        client->lost = error;
    return error;
}

/* ---- Out ---- */

static bool all_sent(const struct aspace_client *client)
{
    return client->sent == client->out.size;
}

static void reset_out(struct aspace_client *client)
{
    client->out.size = 0;
    client->out.comma = false;
    client->sent = 0;
}

/* Hands over what the kernel takes without waiting. A peer that is gone is not an error yet: what it said before it
 * went is worth reading. */
static void write_some(struct aspace_client *client)
{
    while (!all_sent(client) && !client->deaf) {
        ssize_t n = send(client->fd, client->out.data + client->sent, client->out.size - client->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            client->sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            client->deaf = true;
    }
    reset_out(client);
}

/* Waits until the socket can be read, or, with bytes left to send, written. */
static int wait_socket(const struct aspace_client *client, const struct deadline *deadline)
{
    struct pollfd pollfd = {.fd = client->fd, .events = POLLIN | (all_sent(client) ? 0 : POLLOUT)};
    int n;

    do
        n = poll(&pollfd, 1, deadline_left(deadline));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n ? 0 : -ETIMEDOUT;
}

/* One turn of both directions; waits only if neither could move. 0, -ETIMEDOUT or what ended the connection. */
static int move(struct aspace_client *client, const struct deadline *deadline)
{
    size_t before = client->sent;
    size_t size = client->out.size;
    int error;

    write_some(client);
    error = read_some(client);
    if (error != -EAGAIN)
        return error;
    if (client->sent != before || client->out.size != size)
        return 0;
    return wait_socket(client, deadline);
}

/* Sends all of `out`, reading replies meanwhile. On a timeout the message that starts at `from` is taken back if none
 * of it has gone; else the rest goes out before whatever is sent next, and *ret_gone is set. */
static int flush(struct aspace_client *client, size_t from, int timeout_ms, bool *ret_gone)
{
    struct deadline deadline = deadline_in(timeout_ms);
    int error = 0;

    write_some(client);
    while (!error && !all_sent(client))
        error = move(client, &deadline);
    *ret_gone = true;
    if (error && client->sent <= from && !all_sent(client)) {
        client->out.size = from;
        *ret_gone = false;
    }
    return error;
}

static int prepare(struct aspace_client *client, const char *method, const char *params)
{
    if (!method)
        return -EINVAL;
    while (client->deaf && !client->lost) /* the last words of a peer that is gone */
        if (read_some(client) == -EAGAIN)
            break;
    if (client->lost || client->deaf)
        return client->lost ? client->lost : -ECONNRESET;
    return params ? request_check_params(params) : 0;
}

int aspace_client_notify(struct aspace_client *client, const char *method, const char *params, int timeout_ms)
{
    int error = prepare(client, method, params);
    size_t from = client->out.size;
    bool gone;

    if (!error)
        error = request_write(&client->out, method, params, 0);
    return error ? error : flush(client, from, timeout_ms, &gone);
}

/* A call that failed: one that has gone to the peer may still be answered. */
static void drop_call(struct aspace_client *client, uint64_t id, bool gone)
{
    struct pending_call *call = calls_find(&client->calls, id);

    if (gone)
        calls_give_up(&client->calls, call);
    else
        aspace_reply_free(calls_take(&client->calls, call));
}

int aspace_client_send(struct aspace_client *client, const char *method, const char *params, int timeout_ms,
                       uint64_t *ret_id)
{
    int error = prepare(client, method, params);
    uint64_t id = client->last_id + 1;
    size_t from = client->out.size;
    bool gone = false;

    if (!error)
        error = calls_add(&client->calls, id);
    if (error)
        return error;
    client->last_id = id;
    error = request_write(&client->out, method, params, id);
    if (!error)
        error = flush(client, from, timeout_ms, &gone);
    if (error && !calls_find(&client->calls, id)->reply) {
        drop_call(client, id, gone);
        return error;
    }
    *ret_id = id; /* answered before it was all sent, it counts as sent: a message too long is refused like that */
    return 0;
}

/* ---- Waiting ---- */

static struct pending_call *answered(const struct aspace_client *client, uint64_t id)
{
    struct pending_call *call = id ? calls_find(&client->calls, id) : client->calls.ready;

    return call && call->reply ? call : NULL;
}

static bool is_expected(const struct aspace_client *client, uint64_t id)
{
    const struct pending_call *call;

    if (!id)
        return client->calls.wanted != 0;
    call = calls_find(&client->calls, id);
    return call && !call->given_up;
}

int aspace_client_receive(struct aspace_client *client, uint64_t id, int timeout_ms, struct aspace_reply **ret)
{
    struct deadline deadline = deadline_in(timeout_ms);
    struct pending_call *call;

    if (!is_expected(client, id))
        return -EINVAL;
    while (!(call = answered(client, id))) {
        int error = move(client, &deadline);

        if (error && !answered(client, id)) /* what ended the connection may have come right behind the reply */
            return error;
    }
    *ret = calls_take(&client->calls, call);
    return 0;
}

int aspace_client_call(struct aspace_client *client, const char *method, const char *params, int timeout_ms,
                       struct aspace_reply **ret)
{
    struct deadline deadline = deadline_in(timeout_ms);
    uint64_t id;
    int error = aspace_client_send(client, method, params, timeout_ms, &id);

    if (error)
        return error;
    error = aspace_client_receive(client, id, deadline_left(&deadline), ret);
    if (error)
        calls_give_up(&client->calls, calls_find(&client->calls, id));
    return error;
}

int aspace_client_wait_notification(struct aspace_client *client, int timeout_ms)
{
    struct deadline deadline = deadline_in(timeout_ms);
    uint64_t before = client->notified;

    if (!client->callback)
        return -EINVAL;
    while (client->notified == before) {
        int error = move(client, &deadline);

        if (error)
            return error;
    }
    return 0;
}
