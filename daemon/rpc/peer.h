/* A connected client as the methods see it: where answers go, and how much of it is in flight. Embedded in the
 * connection; the loop's thread alone touches it. */
#ifndef RPC_PEER_H
#define RPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;
struct follower;

/* Who is at the other end, as the kernel said when it connected. */
struct identity {
    uint32_t uid;
    uint32_t gid;
    int32_t pid;     /* it may be another process by now */
    bool looks_only; /* may call no METHOD_MUTATES method */
    bool is_own;     /* the daemon's own user */
    bool is_guest;   /* neither root nor the daemon's own user */
};

/* What all connections of one user have in flight, and messages of those that have left. */
struct peer_user {
    size_t in_flight;
    size_t in_flight_bytes;
    void (*less)(struct peer_user *user); /* it has become less; may free it */
};

struct peer {
    /* The answer to a message that was answered later: one JSON text, size 0 for none, `text` NULL when there was no
     * memory for it. The text is only borrowed. */
    void (*answer)(struct peer *peer, const char *text, size_t size);
    struct identity who;
    /* There may be something for feed_next. NULL: nobody asks. */
    void (*wake)(struct peer *peer);
    uint64_t number;            /* of the connection, for people */
    struct follower *followers; /* its places in feeds (rpc/feed.h) */
    struct exchange *exchanges; /* messages being answered later */
    size_t in_flight;           /* how many */
    size_t in_flight_bytes;     /* and of what size */
    struct peer_user *user;     /* they count there too; or NULL */
};

/* The peer goes: what is in flight still ends properly, and nobody is told. */
void peer_leave(struct peer *peer);

#endif
