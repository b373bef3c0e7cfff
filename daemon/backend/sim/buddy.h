/* Which frames are free, as blocks of 2^order that begin at a multiple of their size: a bit a block and order, with
 * words above that say where bits are, so that finding, splitting and joining take a few words each. Knows numbers
 * alone, neither what a frame holds nor whose it is. Not thread-safe. */
#ifndef SIM_BUDDY_H
#define SIM_BUDDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDDY_ORDERS 33 /* up to 2^32 frames in one block */
#define BUDDY_DEPTH  6  /* 64^6 bits, and more than 2^32 */

/* A set of block numbers. A word of rows[n + 1] has a bit for each word of rows[n] that is not 0; the last row is one
 * word. */
struct buddy_set {
    uint64_t *rows[BUDDY_DEPTH];
    unsigned depth;
    uint64_t bits; /* in the first row */
};

struct buddy {
    struct buddy_set sets[BUDDY_ORDERS];
    unsigned orders;   /* those that there is room for */
    uint64_t nonempty; /* a bit for each order that has a block */
    uint64_t free;     /* frames in all blocks */
    void *memory;
    size_t size;
};

/* `count` frames from `first` on free (the last is below 2^32). False if the host has no room. */
bool buddy_init(struct buddy *buddy, uint64_t first, uint64_t count);
void buddy_fini(struct buddy *buddy);

/* The lowest free block of the smallest order that will do. False, and *ret untouched, if there is none. */
bool buddy_take(struct buddy *buddy, unsigned order, uint64_t *ret_first);

/* One block of at most `want` frames (at least 1), as large as there is: how many, 0 if nothing is free. */
uint64_t buddy_take_some(struct buddy *buddy, uint64_t want, uint64_t *ret_first);

/* Frames that are free again, any that are not in a block. */
void buddy_give(struct buddy *buddy, uint64_t first, uint64_t count);

/* The first block of `order` at or above block number `from`; false if there is none. Slow: for checks. */
bool buddy_next(const struct buddy *buddy, unsigned order, uint64_t from, uint64_t *ret_block);

#endif
