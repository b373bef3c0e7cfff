/* A connected client as the methods see it: where answers go, and how much of it is in flight. Embedded in the
 * connection; the loop's thread alone touches it. */
#ifndef RPC_PEER_H
#define RPC_PEER_H

#include <stddef.h>

struct exchange;

struct peer {
    /* The answer to a message that was answered later: one JSON text, size 0 for none, `text` NULL when there was no
     * memory for it. The text is only borrowed. */
    void (*answer)(struct peer *peer, const char *text, size_t size);
    struct exchange *exchanges; /* messages being answered later */
    size_t in_flight;           /* how many */
    size_t in_flight_bytes;     /* and of what size */
};

/* The peer goes: what is in flight still ends properly, and nobody is told. */
void peer_leave(struct peer *peer);

#endif
