/* One peer. Replies gather in `out` while a chunk of bytes is worked through and go to the kernel in one write; a peer
 * that does not read its replies is not read from until it does. */
#include "net/connection.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "rpc/dispatch.h"

#define READ_CHUNK 65536
/* An empty buffer of replies larger than this is given back. */
#define REPLIES_KEEP (256 * 1024)
/* Descriptors that no connection gets, but to be refused; those for the work it has no longer than its refusal. */
#define DESCRIPTORS_KEPT (16 + DESCRIPTORS_FOR_WORK)
/* How long a connection that we end waits for its peer to take the last reply and close. */
#define LINGER_MS 2000
/* How often a connection that is not read from is looked at. */
#define HANG_UP_MS 1000

static void pump(struct connection *c);

/* ---- The end ---- */

static void forget(struct connection *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    peer_leave(&c->peer);
    frame_free(&c->in);
    json_writer_free(&c->out);
    json_writer_free(&c->flight);
    json_writer_free(&c->late);
    json_writer_free(&c->body);
    if (!c->net->connections) {
        frame_pool_free(&c->net->frames);
        json_writer_free(&c->net->replies);
    }
    c->net->service->connections_open--;
    if (c->user)
        users_leave(c->user);
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct net *net = c->net;

    if (--c->open_handles)
        return;
    forget(c);
    free(c);
    if (net->stopping && !net->connections && !net->listener.data)
        net_stopped(net);
}

void connection_close(struct connection *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
    uv_close((uv_handle_t *)&c->linger, on_closed);
}

/* Whether the peer has closed its whole socket, not only its writing side. */
static bool has_hung_up(const struct connection *c)
{
    struct pollfd pollfd = {0};
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&c->pipe, &fd))
        return true;
    pollfd.fd = fd;
    return poll(&pollfd, 1, 0) == 1 && pollfd.revents & (POLLHUP | POLLERR);
}

static void on_linger(uv_timer_t *timer)
{
    struct connection *c = timer->data;

    if (c->ending || has_hung_up(c))
        connection_close(c);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status; /* the peer may be gone: then the read side ends too */
    if (!((struct connection *)request->handle->data)->discard)
        connection_close(request->handle->data);
}

static size_t unsent(const struct connection *c)
{
    return c->out.size + c->late.size + c->flight.size - c->sent;
}

/* Everything is flushed and nothing more will come. Closing a socket with unread bytes in it would cut off the reply
 * at the peer's end, so we end our side first and drop what still comes for a while. */
static void end(struct connection *c)
{
    if (c->ending || c->closing)
        return;
    c->ending = true;
    if (c->abrupt) {
        connection_close(c);
        return;
    }
    uv_timer_start(&c->linger, on_linger, LINGER_MS, 0);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, on_shutdown))
        connection_close(c);
}

/* ---- Out ---- */

/* The replies in flight are out. */
static void land(struct connection *c)
{
    json_writer_free(&c->flight);
    c->sent = 0;
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->handle->data;

    c->writing = false;
    if (status == 0)
        c->net->service->bytes_sent += c->flight.size - c->sent;
    land(c);
    if (status < 0)
        connection_close(c);
    else
        pump(c);
}

/* What the kernel did not take at once, from `sent` on. */
static void write_rest(struct connection *c, size_t sent)
{
    uv_buf_t buffer;

    c->flight = c->out;
    c->out = (struct json_writer){0};
    c->sent = sent;
    buffer = uv_buf_init(c->flight.data + sent, (unsigned)(c->flight.size - sent));
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &buffer, 1, on_written))
        connection_close(c);
}

/* Hands the replies to the kernel: at once what it takes at once, the rest by a write request. */
static void flush(struct connection *c)
{
    uv_buf_t buffer;
    int n;

    if (c->writing || c->closing || !c->out.size)
        return;
    buffer = uv_buf_init(c->out.data, (unsigned)c->out.size);
    n = uv_try_write((uv_stream_t *)&c->pipe, &buffer, 1);
    if (n > 0)
        c->net->service->bytes_sent += (uint64_t)n;
    if (n < 0 && n != UV_EAGAIN)
        connection_close(c);
    else if (n > 0 && (size_t)n == c->out.size)
        c->out.size = 0;
    else
        write_rest(c, n > 0 ? (size_t)n : 0);
}

static void borrow_buffer(struct connection *c)
{
    if (c->out.data || c->out.failed)
        return;
    c->out = c->net->replies;
    c->net->replies = (struct json_writer){0};
}

/* With no replies in it. */
static void give_back_buffer(struct connection *c)
{
    struct json_writer *spare = &c->net->replies;

    if (c->out.size || c->out.failed)
        return;
    if (spare->data || c->out.capacity > REPLIES_KEEP)
        json_writer_free(&c->out);
    else
        *spare = c->out;
    c->out = (struct json_writer){0};
}

/* ---- In ---- */

/* A reply in the connection's framing. */
static void put_reply(struct connection *c, struct json_writer *out, const char *text, size_t size)
{
    char header[48];
    int n;

    if (c->in.mode == FRAME_HEADERS) {
        n = snprintf(header, sizeof(header), "Content-Length: %zu\r\n\r\n", size);
        json_bytes(out, header, (size_t)n);
        json_bytes(out, text, size);
    } else {
        json_bytes(out, text, size);
        json_bytes(out, "\n", 1);
    }
}

static void answer_framed(struct connection *c)
{
    put_reply(c, &c->out, c->body.data, c->body.size);
    c->out.failed |= c->body.failed;
    c->body.size = 0;
    if (c->body.capacity > REPLIES_KEEP)
        json_writer_free(&c->body);
}

/* In newline framing a reply goes straight to the output. */
static void answer(struct connection *c, const char *text, size_t size)
{
    bool framed = c->in.mode == FRAME_HEADERS;
    struct json_writer *out = framed ? &c->body : &c->out;

    if (dispatch_message(c->net->service, &c->peer, text, size, out) != DISPATCHED_REPLY)
        return;
    if (framed)
        answer_framed(c);
    else
        json_bytes(&c->out, "\n", 1);
}

/* The connection gets a turn when this one of the loop is over: it may be at work just now. */
static void schedule(struct connection *c)
{
    if (c->due || c->closing)
        return;
    c->due = true;
    c->next_due = c->net->due;
    c->net->due = c;
}

/* Past the high water until under the low one, half of it. */
static bool is_choked(struct connection *c)
{
    uint64_t high = c->net->service->limits.pending;

    if (unsent(c) > high)
        c->choked = true;
    else if (unsent(c) <= high / 2)
        c->choked = false;
    return c->choked;
}

/* The answer to a message that took longer. */
static void on_answer(struct peer *peer, const char *text, size_t size)
{
    struct connection *c = (struct connection *)peer;

    if (size)
        put_reply(c, &c->late, text, size);
    c->out.failed |= !text;
    schedule(c);
}

static void on_wake(struct peer *peer)
{
    schedule((struct connection *)peer);
}

static void take_late(struct connection *c)
{
    if (c->late.size)
        json_bytes(&c->out, c->late.data, c->late.size);
    c->out.failed |= c->late.failed;
    c->late.size = 0;
    if (c->late.capacity > REPLIES_KEEP)
        json_writer_free(&c->late);
}

/* Notifications, as long as the peer reads. */
static void take_notices(struct connection *c)
{
    bool framed = c->in.mode == FRAME_HEADERS;

    if (!c->peer.followers || (c->finishing && !c->peer.in_flight))
        return;
    while (!c->out.failed && !is_choked(c) && feed_next(&c->peer, framed ? &c->body : &c->out)) {
        if (framed)
            answer_framed(c);
        else
            json_bytes(&c->out, "\n", 1);
    }
}

static void refuse_bytes(struct connection *c, enum aspace_error code, const char *message, const char *hint)
{
    if (c->in.mode == FRAME_HEADERS) {
        dispatch_refuse(&c->body, code, message, hint);
        answer_framed(c);
    } else {
        dispatch_refuse(&c->out, code, message, hint);
        json_bytes(&c->out, "\n", 1);
    }
    c->finishing = true;
    c->discard = true;
}

static void refuse_long(struct connection *c)
{
    char message[120];

    snprintf(message, sizeof(message), "the message is longer than the limit of %llu bytes (--max-message)",
             (unsigned long long)c->net->service->limits.message);
    refuse_bytes(c, ASPACE_INVALID_REQUEST, message, NULL);
}

/* Its user has too much in flight; when that has become less, it gets a turn. */
static bool is_held(struct connection *c)
{
    const struct limits *limits = &c->net->service->limits;

    if (!c->user ||
        (c->user->load.in_flight < limits->user_inflight && c->user->load.in_flight_bytes <= limits->user_pending))
        return false;
    c->user->held = true;
    return true;
}

static bool is_full(struct connection *c)
{
    const struct limits *limits = &c->net->service->limits;

    return is_held(c) || is_choked(c) || unsent(c) + c->peer.in_flight_bytes > limits->pending ||
           c->peer.in_flight >= limits->inflight;
}

static bool may_take_more(struct connection *c)
{
    return !c->finishing && !c->closing && !c->out.failed && !is_full(c);
}

/* Works through the whole messages that are there, until replies pile up. */
static void take_messages(struct connection *c)
{
    const char *text;
    size_t size;

    dispatch_begin(c->net->service);
    while (may_take_more(c)) {
        switch (frame_next(&c->in, &text, &size)) {
        case FRAME_MESSAGE:
            answer(c, text, size);
            break;
        case FRAME_TOO_LONG:
            refuse_long(c);
            break;
        case FRAME_GARBAGE:
            refuse_bytes(c, ASPACE_PARSE_ERROR,
                         "these bytes are neither JSON lines ('{' or '[' first) nor Content-Length headers", NULL);
            break;
        case FRAME_MORE:
            c->finishing = c->in.eof;
            return;
        }
        if (c->net->service->shutdown && !c->net->stopping) {
            c->net->on_shutdown(c->net);
            return;
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *c = handle->data;

    (void)suggested;
    buffer->base = frame_room(&c->in, READ_CHUNK);
    buffer->len = buffer->base ? READ_CHUNK : 0; /* 0: libuv reports UV_ENOBUFS */
}

/* A peer that goes on sending when it has been refused is cut off after a message's worth. */
static void drop(struct connection *c, size_t size)
{
    c->dropped += size;
    if (c->dropped > c->net->service->limits.message && unsent(c) == 0)
        connection_close(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *c = stream->data;

    (void)buffer;
    if (n == 0) {
        frame_fed(&c->in, 0);
        return;
    }
    if (n > 0)
        c->net->service->bytes_received += (uint64_t)n;
    if (n == UV_EOF && c->discard && unsent(c)) {
        c->discard = false; /* nothing more to drop; the reply still goes out */
    } else if (n == UV_EOF && !c->discard) {
        frame_eof(&c->in);
    } else if (n < 0) {
        connection_close(c);
        return;
    } else if (c->discard || c->finishing) {
        drop(c, (size_t)n); /* frame_room gives the same place again */
        return;
    } else {
        frame_fed(&c->in, (size_t)n);
    }
    pump(c);
}

static void set_reading(struct connection *c, bool wanted)
{
    if (c->closing || wanted == c->reading)
        return;
    c->reading = wanted;
    if (!wanted)
        uv_read_stop((uv_stream_t *)&c->pipe);
    else if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read))
        connection_close(c);
}

/* Everything is said, and nothing more will come. */
static bool is_over(const struct connection *c)
{
    return c->finishing && unsent(c) == 0 && c->peer.in_flight == 0;
}

/* A peer that asks and does not read. */
static void check_unsent(struct connection *c)
{
    uint64_t limit = c->net->service->limits.unsent;

    if (unsent(c) <= limit || c->closing)
        return;
    log_line(LOG_WARNING,
             "connection %llu (process %d, user %u) is closed: %zu bytes that it did not read pass the limit of %llu "
             "(--max-unsent)",
             (unsigned long long)c->peer.number, (int)c->peer.who.pid, c->peer.who.uid, unsent(c),
             (unsigned long long)limit);
    connection_close(c);
}

/* It is not read from: should it go, nothing shows it but this. */
static void await_hang_up(struct connection *c)
{
    if (has_hung_up(c))
        connection_close(c);
    else if (!uv_is_active((uv_handle_t *)&c->linger))
        uv_timer_start(&c->linger, on_linger, HANG_UP_MS, HANG_UP_MS);
}

/* Moves everything on as far as it goes: messages, replies, reading, the end. */
static void pump(struct connection *c)
{
    bool full;

    c->pumping = true;
    borrow_buffer(c);
    do {
        take_messages(c);
        take_late(c);
        take_notices(c);
        check_unsent(c);
        if (c->out.failed) {
            log_line(LOG_ERROR, "out of memory for a reply: a connection is closed");
            connection_close(c);
        }
        full = is_full(c);
        flush(c);
    } while (!c->closing && full && !is_full(c)); /* replies had piled up and are gone: there may be messages left */
    c->pumping = false;
    give_back_buffer(c);
    if (is_over(c))
        end(c);
    set_reading(c, c->discard || (may_take_more(c) && !c->in.eof));
    if (c->ending || c->closing)
        return;
    if (c->reading)
        uv_timer_stop(&c->linger);
    else
        await_hang_up(c);
}

void connection_wake(struct connection *c)
{
    schedule(c);
}

void connection_turn(struct connection *c)
{
    if (!c->closing)
        pump(c);
}

void connection_finish(struct connection *c)
{
    c->finishing = true;
    set_reading(c, c->discard);
    take_late(c);
    flush(c);
    if (!c->closing && is_over(c))
        end(c);
}

/* ---- The beginning ---- */

/* Descriptors are given lowest first, so that a new one tells how many there are. A few are kept back: with none left not even
 * the refusal could be sent, nor a log be opened. */
static bool is_crowded(struct connection *c)
{
    struct net *net = c->net;
    bool before = net->crowded;
    uv_os_fd_t fd;
    uint64_t used = uv_fileno((uv_handle_t *)&c->pipe, &fd) ? UINT64_MAX - DESCRIPTORS_KEPT : (uint64_t)fd;

    net->crowded = used + DESCRIPTORS_KEPT >= net->descriptors;
    c->abrupt = used + DESCRIPTORS_FOR_WORK >= net->descriptors;
    if (net->crowded && !before)
        log_line(LOG_WARNING,
                 "the limit of %llu descriptors is nearly reached: new connections are refused until others close "
                 "(ulimit -n, LimitNOFILE=)",
                 (unsigned long long)net->descriptors);
    return net->crowded;
}

static bool is_admitted(struct connection *c)
{
    uv_os_fd_t fd;

    return !uv_fileno((uv_handle_t *)&c->pipe, &fd) && admission_check(&c->net->admission, fd, &c->peer.who);
}

static void refuse_peer(struct connection *c)
{
    char message[80];

    snprintf(message, sizeof(message), "user %u may not connect to this daemon", c->peer.who.uid);
    refuse_bytes(c, ASPACE_DENIED, message,
                 "its own user and root may, and whom it is started with --allow-uid, --allow-gid or --read-only-gid "
                 "for");
    c->net->service->connections_denied++;
    log_line(LOG_DEBUG, "user %u (process %d) is refused", c->peer.who.uid, (int)c->peer.who.pid);
}

static void admit(struct connection *c)
{
    struct service *service = c->net->service;

    if (!is_admitted(c)) {
        refuse_peer(c);
    } else if (service->connections_open > service->limits.connections) {
        refuse_bytes(c, ASPACE_BUSY, "the limit on connections is reached (--max-connections)", NULL);
    } else if (is_crowded(c)) {
        refuse_bytes(c, ASPACE_BUSY, "the daemon has no descriptors left", "close connections, or raise its ulimit -n");
    } else if (!(c->user = users_enter(&c->net->users, c->peer.who.uid, service->limits.user_connections))) {
        refuse_bytes(c, ASPACE_BUSY, "the limit on connections of one user is reached (--max-user-connections)", NULL);
    } else {
        c->peer.user = &c->user->load;
        service->connections_accepted++;
        pump(c);
        return;
    }
    service->connections_refused++;
    pump(c);
}

static struct connection *connection_new(struct net *net)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->net = net;
    c->peer.answer = on_answer;
    c->peer.wake = on_wake;
    c->peer.number = ++net->last_number;
    frame_init(&c->in, net->service->limits.message, &net->frames);
    uv_pipe_init(net->listener.loop, &c->pipe, 0);
    uv_timer_init(net->listener.loop, &c->linger);
    c->pipe.data = c->linger.data = c;
    c->open_handles = 2;
    c->next = net->connections;
    c->link = &net->connections;
    if (c->next)
        c->next->link = &c->next;
    net->connections = c;
    net->service->connections_open++;
    return c;
}

void connection_accept(struct net *net)
{
    struct connection *c = connection_new(net);

    if (!c) {
        log_line(LOG_ERROR, "out of memory for a connection");
        return;
    }
    if (uv_accept((uv_stream_t *)&net->listener, (uv_stream_t *)&c->pipe))
        connection_close(c);
    else
        admit(c);
}
