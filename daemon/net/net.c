/* The listener. */
#include "net/net.h"

#include <unistd.h>

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

int net_start(struct net *net, uv_loop_t *loop, struct service *service, int fd)
{
    int error = uv_pipe_init(loop, &net->listener, 0);

    net->service = service;
    net->connections = NULL;
    net->stopping = false;
    if (!error)
        error = uv_pipe_open(&net->listener, fd);
    if (error) {
        close(fd);
        return error;
    }
    net->listener.data = net;
    return uv_listen((uv_stream_t *)&net->listener, BACKLOG, on_connection);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct net *net = handle->data;

    handle->data = NULL;
    if (!net->connections)
        net->on_stopped(net);
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
