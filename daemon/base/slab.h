/* Blocks of one size, cut from chunks of memory that grow with their number: a few blocks at first, 2 MiB on huge pages
 * once there are many, so that a walk through them seldom misses the TLB. Not thread-safe. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

struct slab_chunk;

struct slab {
    size_t size;              /* of a block, a multiple of SLAB_ALIGN; 0 will not do */
    size_t bytes;             /* of all chunks */
    struct slab_chunk *first; /* those with a free block come first */
    struct slab_chunk *last;
};

/* What blocks are aligned to: a cache line. */
#define SLAB_ALIGN 64

/* What every block begins with. It is the slab's, also while the block is used; the rest is its user's. */
struct slab_block {
    struct slab_chunk *chunk;
};

/* No chunks yet; start from this. */
#define SLAB_INIT(block_size)                                                                                          \
    {                                                                                                                  \
        .size = (block_size)                                                                                           \
    }

/* A block, its contents undefined but for the head; NULL without memory. */
void *slab_take(struct slab *slab);

/* Gives a block back; a chunk with no used block left goes at once. */
void slab_give(struct slab *slab, void *block);

/* Frees all chunks, whatever is used in them. */
void slab_clear(struct slab *slab);

#endif
