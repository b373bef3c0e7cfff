/* A thread that reads lines and says what it was told to. */
#include "peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void *run(void *arg)
{
    struct peer *peer = arg;

    peer->script(peer);
    close(peer->fd);
    return NULL;
}

struct aspace_client *peer_start(struct peer *peer, void (*script)(struct peer *peer))
{
    struct aspace_client *client;
    int ends[2];

    *peer = (struct peer){.script = script};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
        abort();
    peer->fd = ends[1];
    if (aspace_client_from_fd(ends[0], &client) || pthread_create(&peer->thread, NULL, run, peer))
        abort();
    return client;
}

void peer_join(struct peer *peer)
{
    pthread_join(peer->thread, NULL);
    free(peer->buffer);
}

static void drop_line(struct peer *peer)
{
    size_t used = peer->size ? strlen(peer->buffer) + 1 : 0;

    memmove(peer->buffer, peer->buffer + used, peer->size - used);
    peer->size -= used;
}

const char *peer_line(struct peer *peer)
{
    static _Thread_local char line[65536];

    for (;;) {
        char *newline = peer->size ? memchr(peer->buffer, '\n', peer->size) : NULL;
        ssize_t n;

        if (newline) {
            *newline = '\0';
            snprintf(line, sizeof(line), "%s", peer->buffer);
            drop_line(peer);
            return line;
        }
        if (peer->capacity - peer->size < 4096)
            peer->buffer = realloc(peer->buffer, peer->capacity = 2 * peer->capacity + 8192);
        n = recv(peer->fd, peer->buffer + peer->size, 4096, 0);
        if (n <= 0)
            return NULL;
        peer->size += (size_t)n;
    }
}

uint64_t peer_id(const char *line)
{
    const char *id = strstr(line, "\"id\":");

    return id ? strtoull(id + 5, NULL, 10) : 0;
}

bool peer_say(struct peer *peer, const char *text)
{
    size_t size = strlen(text);

    while (size) {
        ssize_t n = send(peer->fd, text, size, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

bool peer_reply(struct peer *peer, uint64_t id, const char *result)
{
    char text[4096];

    snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 ",\"result\":%s}\n", id, result);
    return peer_say(peer, text);
}

void peer_listen(struct peer *peer)
{
    while (peer_line(peer))
        ;
}

struct aspace_client *peer_start_three(struct peer *peer, void (*script)(struct peer *peer), uint64_t *ret_ids)
{
    struct aspace_client *client = peer_start(peer, script);

    for (int i = 0; i < 3; i++) {
        if (aspace_client_send(client, "m", "[]", -1, &ret_ids[i]))
            abort();
    }
    return client;
}
