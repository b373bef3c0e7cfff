/* A histogram of durations with a bounded relative error: eight buckets for every power of two, so that a quantile is
 * right to one part in eight whatever the scale. Not thread-safe. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (62 * 8)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint32_t buckets[HISTOGRAM_BUCKETS];
};

/* Start from {0}. */
void histogram_add(struct histogram *h, uint64_t value);

/* A value that `quantile` (0 to 1) of those added are not above, at most one eighth too large; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *h, double quantile);

#endif
