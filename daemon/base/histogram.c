/* Log-linear buckets: the exponent and the three bits below the leading one. */
#include "base/histogram.h"

#define SUB_BITS  3
#define SUB_COUNT (1u << SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned exponent;

    if (value < SUB_COUNT)
        return (unsigned)value;
    exponent = 63u - (unsigned)__builtin_clzll(value);
    return (exponent - SUB_BITS + 1) * SUB_COUNT + ((unsigned)(value >> (exponent - SUB_BITS)) & (SUB_COUNT - 1));
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    unsigned shift;

    if (bucket < SUB_COUNT)
        return bucket;
    shift = bucket / SUB_COUNT - 1;
    return ((uint64_t)(SUB_COUNT + bucket % SUB_COUNT + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
}

uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
    uint64_t wanted = (uint64_t)(quantile * (double)h->count + 0.5);
    uint64_t seen = 0;

    if (!h->count)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted && seen)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return h->max;
}
