/* Simulated RAM in frames of one page: one reserved mapping of the host, so that frames nobody touched cost nothing.
 * Data and page tables take their frames here. Not thread-safe. */
#ifndef SIM_FRAMES_H
#define SIM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aspace/types.h"

enum frame_kind { FRAME_FREE, FRAME_DATA, FRAME_TABLE };

/* What is known of a frame. */
struct frame {
    uint32_t kind : 2;  /* enum frame_kind */
    uint32_t dirty : 1; /* may hold something else than zeros */
    uint32_t live : 29; /* a table: its entries that are not 0 */
    uint32_t next;      /* a frame in the list of free ones: the next one; of the last one nothing */
};

struct frames {
    uint8_t *ram;
    struct frame *info;
    uint64_t total;
    uint64_t fresh;     /* frames from here on were never handed out */
    uint64_t freed;     /* frames in the list of those given back */
    uint64_t free_list; /* the first of them, if there is one */
    uint64_t data;
    uint64_t tables;
    uint64_t wrong_gives; /* of frames that were not in use: a mistake of ours, which a check tells of */
};

/* Reserves `total` frames (at most 2^32). False if the host has no room. */
bool frames_init(struct frames *frames, uint64_t total);
void frames_fini(struct frames *frames);

/* A frame of zeros. False if all are in use. */
bool frames_take(struct frames *frames, enum frame_kind kind, uint64_t *ret);

/* Gives back a frame that is in use. Any other is left alone and counted in wrong_gives. */
void frames_give(struct frames *frames, uint64_t frame);

/* 2^order frames in one piece that begins at a multiple of it, all zeros. False if there is none. */
bool frames_take_run(struct frames *frames, enum frame_kind kind, unsigned order, uint64_t *ret);

/* Frames of zeros in one piece, at most `want` and as many as come easily: how many, 0 if all are in use. */
uint64_t frames_take_some(struct frames *frames, enum frame_kind kind, uint64_t want, uint64_t *ret_first);

/* Gives back `count` frames from `first` on, whichever way they were taken. */
void frames_give_run(struct frames *frames, uint64_t first, uint64_t count);

/* The entries of table `frame` that are not 0. */
static inline unsigned frames_live(const struct frames *frames, uint64_t frame)
{
    return frames->info[frame].live;
}

static inline void frames_add_live(struct frames *frames, uint64_t frame, int more)
{
    frames->info[frame].live = (unsigned)((int)frames->info[frame].live + more) & ((1u << 29) - 1);
}

/* The bytes of `frame`, which must be below `total`. */
static inline void *frames_at(const struct frames *frames, uint64_t frame)
{
    return frames->ram + (frame << ASPACE_PAGE_BITS);
}

#endif
