/* Who may connect, and who of those may look and not touch: decided by what the kernel says about the peer. */
#ifndef NET_ADMISSION_H
#define NET_ADMISSION_H

#include <stdbool.h>

#include "rpc/peer.h"

#define ADMISSION_IDS_MAX 64

struct id_list {
    unsigned count;
    uint32_t ids[ADMISSION_IDS_MAX];
};

/* The daemon's own user and root may always do everything; so may the users and groups of the first two lists. Who is
 * in a group of the third alone may only look. All others are refused. */
struct admission {
    struct id_list uids;
    struct id_list gids;
    struct id_list read_only_gids;
};

/* False if the list is full. */
bool id_list_add(struct id_list *list, uint32_t id);

/* Whether the lists let anybody in at all beside the daemon's own user and root. */
bool admission_is_open(const struct admission *admission);

/* Asks the kernel who is at the other end of the socket `fd` (as it was at connect(2), supplementary groups included) and
 * decides. Sets *ret if anything could be learnt, also about one who is refused. */
bool admission_check(const struct admission *admission, int fd, struct identity *ret);

/* The rule by itself: `groups` are all of the peer's. True if it may connect; sets who->looks_only and who->is_guest. */
bool admission_decide(const struct admission *admission, uint32_t own_uid, const uint32_t *groups, unsigned count,
                      struct identity *who);

#endif
