/* A feed: what is told to peers unasked, the last so many notices of it, and who follows it. A follower is a place in the
 * feed: a peer that does not read falls behind, and what is dropped meanwhile it has lost; it is told how many. So the
 * feed is the only store, and it is bounded. The loop's thread alone calls this, but for notice_new. */
#ifndef RPC_FEED_H
#define RPC_FEED_H

#include <stdint.h>

#include "aspace/types.h"
#include "proto/json.h"
#include "proto/methods.h"

struct peer;

struct notice {
    struct notice *next; /* until it is published, its maker's */
    unsigned kind;       /* below 32 */
    bool is_private;     /* not for guests */
    size_t size;
    char name[ASPACE_NAME_MAX + 1]; /* of the space, or the method */
    char bytes[];                   /* members of the notification's params */
};

/* Copies `text`; a `name` that is too long is cut. NULL without memory. On any thread. */
struct notice *notice_new(unsigned kind, const char *name, const char *text, size_t size);

struct feed {
    enum notification_id notice;
    enum notification_id lost;
    bool numbered;         /* its notices are told with seq and subscription */
    bool by_prefix;        /* the names that a follower wants are beginnings */
    struct notice **slots; /* a ring; notice `seq` lies at seq % capacity. NULL: nobody has ever followed */
    size_t capacity;
    uint64_t first; /* the oldest that is kept */
    uint64_t last;  /* the newest; first == last + 1: none is kept */
    size_t bytes;
    struct follower *followers;
};

struct follower {
    struct feed *feed;
    struct peer *peer;
    struct follower *next; /* in the feed */
    struct follower **link;
    struct follower *next_of_peer;
    uint64_t id;
    uint64_t at;   /* the next notice it looks at */
    uint64_t lost; /* that it wanted, since it was told last */
    uint32_t kinds;
    size_t name_count; /* 0: it wants all */
    char (*names)[ASPACE_NAME_MAX + 1];
};

/* A feed of `capacity` notices and so many KiB; takes nothing until somebody follows it. */
void feed_init(struct feed *feed, size_t capacity, enum notification_id notice, enum notification_id lost);
void feed_free(struct feed *feed);

/* Lets `peer` follow from the newest notice on. `names` becomes the follower's on success. NULL without memory. */
struct follower *feed_follow(struct feed *feed, struct peer *peer, uint64_t id, uint32_t kinds,
                             char (*names)[ASPACE_NAME_MAX + 1], size_t name_count);
/* Goes back to what came after `since`, as far as it is kept; returns how many notices are not. */
uint64_t feed_rewind(struct follower *follower, uint64_t since);
void feed_leave(struct follower *follower);

/* Tells the followers; the notice is the feed's from here on. */
void feed_publish(struct feed *feed, struct notice *notice);
/* So many notices about `name` could not be made. */
void feed_lose(struct feed *feed, const char *name, uint64_t count);

/* Writes the next notification for the peer. False if there is none. */
bool feed_next(struct peer *peer, struct json_writer *out);

#endif
