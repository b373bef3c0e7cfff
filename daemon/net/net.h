/* The network side on libuv: a listener and its connections, bytes in, whole messages to dispatch, replies out. All on
 * the loop's thread. */
#ifndef NET_NET_H
#define NET_NET_H

#include <uv.h>

#include "net/admission.h"
#include "net/users.h"
#include "proto/frame.h"
#include "rpc/service.h"

struct connection;
struct net;

typedef void net_fn(struct net *net);

struct net {
    uv_pipe_t listener;
    uv_prepare_t before_poll; /* both write what has gathered in a turn of the loop */
    uv_check_t after_poll;
    struct service *service;
    struct admission admission; /* set before net_start */
    struct users users;
    struct connection *connections; /* a doubly linked list */
    struct connection *due;         /* what has something to write in this turn */
    uint64_t last_number;           /* of connections */
    struct frame_pool frames;       /* what a connection holds only while it has bytes in them: */
    struct json_writer replies;     /* buffers of requests and of replies */
    uint64_t descriptors;           /* so many may the process have */
    bool crowded;                   /* they are nearly used up, and that was said */
    bool stopping;
    net_fn *on_shutdown; /* a peer asked for daemon.shutdown */
    net_fn *on_stopped;  /* after net_stop: the last handle is closed */
    void *data;          /* the owner's */
};

/* Listens on `fd`, a bound stream socket that the net owns from here on (on failure it is closed as well). 0 or a
 * negative libuv error. */
int net_start(struct net *net, uv_loop_t *loop, struct service *service, int fd);

/* No more connections and no more requests: replies already made are flushed, then every connection closes. Calls
 * on_stopped when all is closed. May be called again; does nothing then. */
void net_stop(struct net *net);

/* The last handle of the connections and the listener is closed. */
void net_stopped(struct net *net);

/* After net_stop: closes at once what is still open. */
void net_abort(struct net *net);

#endif
