/* Simulated RAM in frames of one page: one reserved mapping of the host, so that frames nobody touched cost nothing. The
 * number of a frame is that of its physical page: the first one has any.
 * Data and page tables take their frames here. Several spaces, a family of clones, may have one RAM: each holds a struct
 * frames, with its own counts, and a frame of data may then belong to more than one of them. Not thread-safe: one space
 * of a family at a time. */
#ifndef SIM_FRAMES_H
#define SIM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aspace/types.h"
#include "sim/buddy.h"

enum frame_kind { FRAME_FREE, FRAME_DATA, FRAME_TABLE };

/* What is known of a frame in the byte that it has in `state`: its kind, and these. */
#define FRAME_KIND   0x03u
#define FRAME_DIRTY  0x04u /* may hold something else than zeros */
#define FRAME_SHARED 0x08u /* data that more than one space has */
#define FRAME_KEPT   0x10u /* free, and written to at a fixed address: the bytes stay until it is handed out */

/* Frames just given back one by one, which the next are taken from. */
#define FRAMES_HOT 64

struct frames;

struct ram {
    uint8_t *bytes; /* these three are indexed by a frame's number, and begin at that of the first */
    uint8_t *state; /* of each frame */
    uint16_t *note; /* of a table: its entries that are not 0; of shared data: the spaces that have it, less one */
    uint64_t first; /* number of a frame */
    uint64_t total; /* frames */
    uint64_t host;  /* frames in a page of the host, which gives and takes whole ones; a power of two */
    uint64_t used;  /* by all spaces, shared frames once */
    uint64_t shared;
    uint64_t fresh;     /* frames from here on were never handed out, nor written to */
    struct buddy buddy; /* the free ones, but for those in `hot` */
    uint32_t hot[FRAMES_HOT];
    unsigned hot_count;
    uint64_t stale;       /* free frames that are dirty: the host's memory is still behind them */
    uint64_t stale_first; /* they lie in [stale_first, stale_end) */
    uint64_t stale_end;
    struct frames *spaces; /* that have this RAM */
    bool large;            /* a large leaf was ever made in one of them: edits look for one to break */
    size_t space_count;
};

/* A space's part. */
struct frames {
    struct ram *ram;
    uint8_t *bytes; /* the RAM's, which stay where they are */
    uint8_t *state;
    uint16_t *note;
    uint64_t first;
    uint64_t total;
    uint64_t data;
    uint64_t tables;
    uint64_t wrong_gives; /* of frames that were not in use: a mistake of ours, which a check tells of */
    struct frames *next;  /* in ram->spaces */
};

/* A RAM of `total` frames from number `first` on, the last of them below 2^32. False if the host has no room. `frames` must
 * stay where it is. */
bool frames_init(struct frames *frames, uint64_t first, uint64_t total);
/* Has the RAM of `other` as well, and nothing in it yet. False if that has as many spaces as can be counted. */
bool frames_join(struct frames *frames, struct frames *other);
/* Leaves the RAM, which ends with the last space. Any other has given back all of its frames before. */
void frames_fini(struct frames *frames);
/* Whether there are other spaces. */
static inline bool frames_in_family(const struct frames *frames)
{
    return frames->ram->space_count > 1;
}

/* A frame of zeros. False, and *ret untouched, if all are in use. */
bool frames_take(struct frames *frames, enum frame_kind kind, uint64_t *ret);
/* A frame for a table whose bytes the caller overwrites wholly: they are anything. */
bool frames_take_raw_table(struct frames *frames, uint64_t *ret);

/* Gives back a frame that is in use. Any other is left alone and counted in wrong_gives. */
void frames_give(struct frames *frames, uint64_t frame);

/* 2^order frames of zeros for data, in one piece that begins at a multiple of it. False if there is none. */
bool frames_take_run(struct frames *frames, enum frame_kind kind, unsigned order, uint64_t *ret);

/* Frames of zeros in one piece, at most `want` (at least 1) and as many as come easily: how many, 0 if all are in use. */
uint64_t frames_take_some(struct frames *frames, enum frame_kind kind, uint64_t want, uint64_t *ret_first);

/* Gives back `count` frames of data from `first` on, whichever way they were taken. Those that other spaces have too
 * are theirs alone from then on. */
void frames_give_run(struct frames *frames, uint64_t first, uint64_t count);

/* `count` frames of data that another space of the family has are this one's, too. */
void frames_share_run(struct frames *frames, uint64_t first, uint64_t count);

/* Whether there is such a frame. */
static inline bool frames_have(const struct frames *frames, uint64_t frame)
{
    return frame - frames->first < frames->total;
}

/* Frames that can still be taken. */
static inline uint64_t frames_free(const struct frames *frames)
{
    return frames->ram->total - frames->ram->used;
}

static inline enum frame_kind frames_kind(const struct frames *frames, uint64_t frame)
{
    return (enum frame_kind)(frames->state[frame] & FRAME_KIND);
}

/* Whether another space has `frame`, too. */
static inline bool frames_is_shared(const struct frames *frames, uint64_t frame)
{
    return frames->state[frame] & FRAME_SHARED;
}

/* To be told before bytes of `frame` are written, unless it is a table. */
static inline void frames_touch(struct frames *frames, uint64_t frame)
{
    frames->state[frame] |= FRAME_DIRTY;
    if (frames_kind(frames, frame) != FRAME_FREE)
        return;
    frames->state[frame] |= FRAME_KEPT;
    if (frame >= frames->ram->fresh)
        frames->ram->fresh = frame + 1;
}

/* The entries of table `frame` that are not 0. */
static inline unsigned frames_live(const struct frames *frames, uint64_t frame)
{
    return frames->note[frame];
}

static inline void frames_add_live(struct frames *frames, uint64_t frame, int more)
{
    frames->note[frame] = (uint16_t)(frames->note[frame] + more);
}

/* The bytes of `frame`, which there must be. */
static inline void *frames_at(const struct frames *frames, uint64_t frame)
{
    return frames->bytes + (frame << ASPACE_PAGE_BITS);
}

#endif
