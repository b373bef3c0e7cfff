/* What each user has of connections and of messages in flight. */
#include "net/users.h"

#include <stdlib.h>

static void drop_if_idle(struct user *user)
{
    struct user **link = &user->users->first;

    if (user->connections || user->load.in_flight)
        return;
    while (*link != user)
        link = &(*link)->next;
    *link = user->next;
    free(user);
}

static void on_less(struct peer_user *load)
{
    struct user *user = (struct user *)load;

    if (user->users->less)
        user->users->less(user);
    drop_if_idle(user);
}

static struct user *add(struct users *users, uint32_t uid)
{
    struct user *user = calloc(1, sizeof(*user));

    if (!user)
        return NULL;
    user->load.less = on_less;
    user->users = users;
    user->uid = uid;
    user->next = users->first;
    users->first = user;
    return user;
}

struct user *users_enter(struct users *users, uint32_t uid, uint64_t most)
{
    struct user *user = users->first;

    while (user && user->uid != uid)
        user = user->next;
    if (!user)
        user = add(users, uid);
    if (!user || user->connections >= most)
        return NULL;
    user->connections++;
    return user;
}

void users_leave(struct user *user)
{
    user->connections--;
    drop_if_idle(user);
}
