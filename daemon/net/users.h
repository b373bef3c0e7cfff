/* What each user has of connections and of messages in flight. Few users are connected at once, so a list does. */
#ifndef NET_USERS_H
#define NET_USERS_H

#include "rpc/peer.h"

struct users;

/* There is one as long as it has a connection or something in flight. */
struct user {
    struct peer_user load; /* first */
    struct users *users;
    struct user *next;
    uint32_t uid;
    uint64_t connections;
    bool held; /* connections are not read from, as too much is in flight; the owner's */
};

/* Start from {0}. */
struct users {
    struct user *first;
    void (*less)(struct user *user); /* something of it that was in flight has ended; NULL: nobody asks */
    void *data;                      /* the owner's */
};

/* One connection more for the user: NULL if that passes `most`, or without memory; then nothing is counted. */
struct user *users_enter(struct users *users, uint32_t uid, uint64_t most);

/* One connection less. */
void users_leave(struct user *user);

#endif
