/* How many connections each user has. Few users are connected at once, so a list does. */
#ifndef NET_USERS_H
#define NET_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user {
    uint32_t uid;
    uint64_t connections; /* never 0 */
};

/* Start from {0}. */
struct users {
    struct user *list;
    size_t count;
    size_t capacity;
};

/* One connection more for the user: false if that passes `most`, or without memory; then nothing is counted. */
bool users_enter(struct users *users, uint32_t uid, uint64_t most);

/* One connection less; the list's memory goes with the last. */
void users_leave(struct users *users, uint32_t uid);

#endif
