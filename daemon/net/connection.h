/* One peer: its frames in, its replies out, with a bound on both. Inside the net layer only. */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "net/net.h"
#include "proto/frame.h"
#include "rpc/peer.h"

struct connection {
    struct peer peer;
    uv_pipe_t pipe;
    uv_timer_t linger;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct net *net;
    struct connection *next;
    struct connection **link; /* what points to us in the list */
    struct frame_reader in;
    struct json_writer out;    /* replies not yet handed to the kernel */
    struct json_writer flight; /* replies being written */
    size_t sent;               /* bytes of `flight` that are out */
    struct json_writer late;   /* answers that came while messages were worked through: they go behind */
    struct json_writer body;   /* header framing: one reply, until its length is known */
    bool writing;
    bool reading;
    bool finishing; /* no more requests: flush, then close */
    bool abrupt;    /* closed at its end without waiting for the peer */
    bool discard;   /* finishing with bytes of the peer's still to come: they are dropped */
    size_t dropped; /* so many by now */
    bool closing;
    bool ending; /* our side is being shut down */
    bool pumping;
    bool choked; /* past the high water of unsent bytes, and not yet under the low one */
    bool due;    /* in the net's list */
    struct connection *next_due;
    struct user *user; /* among whose it counts, or NULL */
    unsigned open_handles;
};

/* Takes the next connection from the listener. A peer that may not connect is told so and closed. */
void connection_accept(struct net *net);

/* No more requests are read; closes when all replies are flushed. */
void connection_finish(struct connection *connection);

/* Moves on what has come for it since its last turn: later answers, notifications. */
void connection_turn(struct connection *connection);

/* It gets a turn. */
void connection_wake(struct connection *connection);

/* Closes at once. Idempotent; the memory goes when libuv is done with it. */
void connection_close(struct connection *connection);

#endif
