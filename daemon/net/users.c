/* How many connections each user has. */
#include "net/users.h"

#include <stdlib.h>

static struct user *find(struct users *users, uint32_t uid)
{
    for (size_t i = 0; i < users->count; i++)
        if (users->list[i].uid == uid)
            return &users->list[i];
    return NULL;
}

static struct user *add(struct users *users, uint32_t uid)
{
    size_t capacity = users->capacity ? 2 * users->capacity : 8;
    struct user *list;

    if (users->count == users->capacity) {
        list = realloc(users->list, capacity * sizeof(*list));
        if (!list)
            return NULL;
        users->list = list;
        users->capacity = capacity;
    }
    users->list[users->count] = (struct user){.uid = uid};
    return &users->list[users->count++];
}

bool users_enter(struct users *users, uint32_t uid, uint64_t most)
{
    struct user *user = find(users, uid);

    if (!user)
        user = add(users, uid);
    if (!user || user->connections >= most)
        return false;
    user->connections++;
    return true;
}

void users_leave(struct users *users, uint32_t uid)
{
    struct user *user = find(users, uid);

    if (!user || --user->connections)
        return;
    *user = users->list[--users->count];
    if (users->count)
        return;
    free(users->list);
    *users = (struct users){0};
}
