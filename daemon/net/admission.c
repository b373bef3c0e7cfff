/* Who may connect. */
#include "net/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many groups are asked for without allocating; the kernel allows 65536 (NGROUPS_MAX). */
#define GROUPS_USUAL 64

bool id_list_add(struct id_list *list, uint32_t id)
{
    if (list->count == ADMISSION_IDS_MAX)
        return false;
    list->ids[list->count++] = id;
    return true;
}

static bool has(const struct id_list *list, uint32_t id)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->ids[i] == id)
            return true;
    return false;
}

static bool has_any(const struct id_list *list, const uint32_t *ids, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (has(list, ids[i]))
            return true;
    return false;
}

bool admission_is_open(const struct admission *admission)
{
    return admission->uids.count || admission->gids.count || admission->read_only_gids.count;
}

bool admission_decide(const struct admission *admission, uint32_t own_uid, const uint32_t *groups, unsigned count,
                      struct identity *who)
{
    who->is_own = who->uid == own_uid;
    who->is_guest = who->uid != 0 && !who->is_own;
    who->looks_only = false;
    if (!who->is_guest || has(&admission->uids, who->uid) || has_any(&admission->gids, groups, count))
        return true;
    who->looks_only = true;
    return has_any(&admission->read_only_gids, groups, count);
}

/* The supplementary groups into *groups, which is `usual` or a new buffer; how many. A peer whose groups cannot be
 * learnt counts as having none: that never lets anybody in. */
static unsigned read_groups(int fd, uint32_t *usual, uint32_t **groups)
{
    socklen_t size = GROUPS_USUAL * sizeof(*usual);

    *groups = usual;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, usual, &size) == 0)
        return size / sizeof(*usual);
    if (errno != ERANGE || !(*groups = malloc(size + sizeof(*usual)))) { /* socket(7): size is now what it takes */
        *groups = usual;
        return 0;
    }
    return getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, *groups, &size) == 0 ? size / sizeof(*usual) : 0;
}

bool admission_check(const struct admission *admission, int fd, struct identity *ret)
{
    uint32_t usual[GROUPS_USUAL + 1];
    uint32_t *groups;
    struct ucred peer;
    socklen_t size = sizeof(peer);
    unsigned count;
    bool admitted;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    *ret = (struct identity){.uid = peer.uid, .gid = peer.gid, .pid = peer.pid};
    count = read_groups(fd, usual, &groups);
    groups[count++] = peer.gid; /* both buffers have room for one more */
    admitted = admission_decide(admission, geteuid(), groups, count, ret);
    if (groups != usual)
        free(groups);
    return admitted;
}
