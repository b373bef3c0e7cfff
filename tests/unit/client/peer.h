/* The other end of a client's socket, played by a thread from a script. */
#ifndef UNIT_CLIENT_PEER_H
#define UNIT_CLIENT_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aspace/client.h"

struct peer {
    int fd;
    pthread_t thread;
    void (*script)(struct peer *peer);
    char *buffer; /* what was read; lines are cut off its front */
    size_t size;
    size_t capacity;
};

/* A client whose peer runs `script` in a thread of its own; the socket is closed when the script returns. */
struct aspace_client *peer_start(struct peer *peer, void (*script)(struct peer *peer));

/* The same, with three calls sent already. */
struct aspace_client *peer_start_three(struct peer *peer, void (*script)(struct peer *peer), uint64_t *ret_ids);

/* Waits for the script's end; call after aspace_client_close unless the script ends by itself. */
void peer_join(struct peer *peer);

/* For scripts: the next line without its LF, valid until the next call; NULL at the end. */
const char *peer_line(struct peer *peer);
/* Reads until the client closes. */
void peer_listen(struct peer *peer);
/* The id of the request in `line`. */
uint64_t peer_id(const char *line);
/* Sends all of it; false if the client is gone. */
bool peer_say(struct peer *peer, const char *text);
bool peer_reply(struct peer *peer, uint64_t id, const char *result);

#endif
