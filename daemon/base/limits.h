/* What a peer may use up: every limit with its option, default and meaning, written down once. The options, --help,
 * daemon.info and the checks come from this list. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#include <stdint.h>

/* X(name, default, least, most, "what it bounds"). The option is --max-NAME, with - for _; the name in daemon.info
 * max_NAME. */
#define LIMIT_MAP(X)                                                                                                   \
    X(message, UINT64_C(1) << 20, 256, UINT64_C(1) << 30, "bytes of one message from a peer")                          \
    X(batch, 16384, 1, 1 << 24, "requests in one batch: nobody else is served meanwhile")                              \
    X(connections, 1024, 1, 1 << 20, "connections at once")                                                            \
    X(user_connections, 1 << 20, 1, 1 << 20, "connections of one user at once")                                        \
    X(pending, UINT64_C(4) << 20, 4096, UINT64_C(1) << 32,                                                             \
      "bytes of unsent replies and messages being answered past which a connection is not read from")                  \
    X(inflight, 256, 1, 1 << 16, "messages of one connection being answered, past which it is not read from")          \
    X(user_inflight, 65536, 1, 1 << 24, "messages of one user being answered, past which none of its is read")         \
    X(user_pending, UINT64_C(1) << 30, 4096, UINT64_C(1) << 40,                                                        \
      "bytes of messages of one user being answered, past which none of its is read")                                  \
    X(reply, UINT64_C(64) << 20, 4096, UINT64_C(1) << 32,                                                              \
      "bytes of replies to one batch past which its other requests are refused")                                       \
    X(unsent, UINT64_C(256) << 20, 65536, UINT64_C(1) << 40,                                                           \
      "bytes of unsent replies past which a connection is closed")                                                     \
    X(events, 65536, 1, 1 << 24, "events kept for subscribers, and so many KiB of them")                               \
    X(subscriptions, 64, 1, 4096, "subscriptions to events of one connection")                                         \
    X(spaces, 1024, 1, 1 << 20, "spaces at once")                                                                      \
    X(user_spaces, 1 << 20, 1, 1 << 20, "spaces at once that one user has made")                                       \
    X(user_ram, UINT64_C(1) << 44, 8192, UINT64_C(1) << 44, "bytes of simulated RAM of all spaces of one user")        \
    X(areas, UINT64_C(4) << 20, 1, UINT64_C(1) << 32, "areas of one space")                                            \
    X(user_areas, UINT64_C(1) << 52, 1, UINT64_C(1) << 52, "areas of all spaces of one user")                          \
    X(faults, 64, 1, 4096, "injected faults of one space")                                                             \
    X(snapshots, 64, 1, 4096, "snapshots of one space")                                                                \
    X(ram, UINT64_C(1) << 40, 8192, UINT64_C(1) << 44, "bytes of simulated RAM of one space")                          \
    X(read, UINT64_C(1) << 20, 1, UINT64_C(1) << 28, "bytes of one memory.read")

struct limits {
#define X(name, value, least, most, text) uint64_t name;
    LIMIT_MAP(X)
#undef X
};

/* All at their defaults. */
static inline struct limits limits_default(void)
{
    return (struct limits){
#define X(name, value, least, most, text) .name = (value),
        LIMIT_MAP(X)
#undef X
    };
}

#endif
