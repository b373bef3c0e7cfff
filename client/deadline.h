/* A point in time by which something must be done. Not for outside programs. */
#ifndef CLIENT_DEADLINE_H
#define CLIENT_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* In milliseconds of the monotonic clock; negative: never. */
struct deadline {
    int64_t at_ms;
};

static inline int64_t deadline_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Negative: never. */
static inline struct deadline deadline_in(int timeout_ms)
{
    return (struct deadline){timeout_ms < 0 ? -1 : deadline_now() + timeout_ms};
}

/* Milliseconds left, 0 when it has passed, -1 for never: what poll() takes. */
static inline int deadline_left(const struct deadline *d)
{
    int64_t left;

    if (d->at_ms < 0)
        return -1;
    left = d->at_ms - deadline_now();
    return left > 0 ? (int)left : 0;
}

static inline bool deadline_passed(const struct deadline *d)
{
    return deadline_left(d) == 0;
}

#endif
