/* The listener. */
#include "net/net.h"

#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "net/connection.h"

#define BACKLOG 512

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0) {
        log_line(LOG_WARNING, "cannot accept a connection: %s", uv_strerror(status));
        return;
    }
    connection_accept(listener->data);
}

/* One write a connection and turn, however many answers and notifications came for it. */
static void take_turns(struct net *net)
{
    while (net->due) {
        struct connection *c = net->due;

        net->due = c->next_due;
        c->due = false;
        connection_turn(c);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    take_turns(prepare->data);
}

static void on_check(uv_check_t *check)
{
    take_turns(check->data);
}

/* Those of its connections that were held back for it may go on. */
static void on_less(struct user *user)
{
    const struct net *net = user->users->data;

    if (!user->held)
        return;
    user->held = false;
    for (struct connection *c = net->connections; c; c = c->next)
        if (c->user == user)
            connection_wake(c);
}

static void start_turns(struct net *net, uv_loop_t *loop)
{
    uv_prepare_init(loop, &net->before_poll);
    uv_check_init(loop, &net->after_poll);
    net->before_poll.data = net->after_poll.data = net;
    uv_prepare_start(&net->before_poll, on_prepare);
    uv_check_start(&net->after_poll, on_check);
    uv_unref((uv_handle_t *)&net->before_poll);
    uv_unref((uv_handle_t *)&net->after_poll);
}

void net_stopped(struct net *net)
{
    uv_close((uv_handle_t *)&net->before_poll, NULL);
    uv_close((uv_handle_t *)&net->after_poll, NULL);
    net->on_stopped(net);
}

int net_start(struct net *net, uv_loop_t *loop, struct service *service, int fd)
{
    int error = uv_pipe_init(loop, &net->listener, 0);

    net->service = service;
    net->connections = NULL;
    net->users = (struct users){.less = on_less, .data = net};
    net->stopping = false;
    net->crowded = false;
    net->descriptors = descriptors_limit();
    if (!error)
        error = uv_pipe_open(&net->listener, fd);
    if (error) {
        close(fd);
        return error;
    }
    net->listener.data = net;
    error = uv_listen((uv_stream_t *)&net->listener, BACKLOG, on_connection);
    if (!error)
        start_turns(net, loop);
    return error;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct net *net = handle->data;

    handle->data = NULL;
    if (!net->connections)
        net_stopped(net);
}

/* Calls `each` on every connection; it may close the one that it gets. */
static void for_each(struct net *net, void (*each)(struct connection *))
{
    struct connection *next;

    for (struct connection *c = net->connections; c; c = next) {
        next = c->next;
        each(c);
    }
}

void net_stop(struct net *net)
{
    if (net->stopping)
        return;
    net->stopping = true;
    uv_close((uv_handle_t *)&net->listener, on_listener_closed);
    for_each(net, connection_finish);
}

void net_abort(struct net *net)
{
    for_each(net, connection_close);
}
