/* Frames of simulated RAM: what each is, whose it is, and the host's memory behind those that nobody has. */
#include "sim/frames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Free frames that the host keeps memory for, at most: 16 MiB. */
#define STALE_MOST 4096

/* So many frames at once fill the hot ones, when they are empty. */
#define HOT_ORDER 4

/* So many bytes of `state` are looked at together: of loops this long compilers make vectors. */
#define GROUP 64
#define STRIP 16 /* the same where counts of owners are looked at as well */

/* ---- Life ---- */

/* Memory for `each` bytes a frame. The frames before the first have none: what is returned is where theirs would be. */
static void *reserve(const struct ram *ram, uint64_t each)
{
    void *at =
        mmap(NULL, ram->total * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : (void *)((uintptr_t)at - ram->first * each);
}

static void release(const struct ram *ram, void *zeroth, uint64_t each)
{
    if (zeroth)
        munmap((void *)((uintptr_t)zeroth + ram->first * each), ram->total * each);
}

static void ram_free(struct ram *ram)
{
    release(ram, ram->bytes, ASPACE_PAGE_SIZE);
    release(ram, ram->state, sizeof(*ram->state));
    release(ram, ram->note, sizeof(*ram->note));
    free(ram);
}

/* 1, but for hosts with pages of 16 or 64 KiB. */
static uint64_t host_frames(void)
{
    long size = sysconf(_SC_PAGESIZE);

    return size > (long)ASPACE_PAGE_SIZE ? (uint64_t)size >> ASPACE_PAGE_BITS : 1;
}

static struct ram *ram_new(uint64_t first, uint64_t total)
{
    struct ram *ram = calloc(1, sizeof(*ram));

    if (!ram)
        return NULL;
    ram->first = ram->fresh = first;
    ram->total = total;
    ram->host = host_frames();
    ram->bytes = reserve(ram, ASPACE_PAGE_SIZE);
    ram->state = reserve(ram, sizeof(*ram->state));
    ram->note = reserve(ram, sizeof(*ram->note));
    if (ram->bytes && ram->state && ram->note && buddy_init(&ram->buddy, first, total))
        return ram;
    ram_free(ram);
    return NULL;
}

static void enter(struct frames *frames, struct ram *ram)
{
    *frames = (struct frames){
        .ram = ram,
        .bytes = ram->bytes,
        .state = ram->state,
        .note = ram->note,
        .first = ram->first,
        .total = ram->total,
        .next = ram->spaces,
    };
    ram->spaces = frames;
    ram->space_count++;
}

bool frames_init(struct frames *frames, uint64_t first, uint64_t total)
{
    struct ram *ram = ram_new(first, total);

    if (!ram)
        return false;
    enter(frames, ram);
    return true;
}

bool frames_join(struct frames *frames, struct frames *other)
{
    if (other->ram->space_count == UINT16_MAX)
        return false;
    enter(frames, other->ram);
    return true;
}

void frames_fini(struct frames *frames)
{
    struct ram *ram = frames->ram;
    struct frames **at = &ram->spaces;

    while (*at != frames)
        at = &(*at)->next;
    *at = frames->next;
    if (--ram->space_count)
        return;
    buddy_fini(&ram->buddy);
    ram_free(ram);
}

/* ---- The host's memory ---- */

/* Gives the host the pages that lie wholly in these frames. The bytes begin with a page of the host's. */
static void give_back(struct ram *ram, uint64_t first, uint64_t end)
{
    uint64_t mask = ram->host - 1;

    first = ram->first + ((first - ram->first + mask) & ~mask);
    end = ram->first + ((end - ram->first) & ~mask);
    if (first >= end)
        return;
    madvise(ram->bytes + (first << ASPACE_PAGE_BITS), (end - first) << ASPACE_PAGE_BITS, MADV_DONTNEED);
    memset(ram->state + first, FRAME_FREE, end - first);
}

/* Gives the host what it holds behind free frames. */
static void trim(struct ram *ram)
{
    uint64_t first = ram->stale_first;

    while (first < ram->stale_end) {
        uint64_t end = first;

        while (end < ram->stale_end && ram->state[end] == FRAME_DIRTY)
            end++;
        give_back(ram, first, end);
        first = end + 1;
    }
    ram->stale = 0;
}

static void note_stale(struct ram *ram, uint64_t first, uint64_t count, uint64_t dirty)
{
    if (!dirty)
        return;
    if (!ram->stale || first < ram->stale_first)
        ram->stale_first = first;
    if (!ram->stale || first + count > ram->stale_end)
        ram->stale_end = first + count;
    ram->stale += dirty;
    if (ram->stale >= STALE_MOST)
        trim(ram);
}

/* ---- Counts, read also while another thread has the family: for a summary ---- */

static void change_used(struct ram *ram, int64_t more)
{
    __atomic_store_n(&ram->used, ram->used + (uint64_t)more, __ATOMIC_RELAXED);
}

static void change_shared(struct ram *ram, int64_t more)
{
    __atomic_store_n(&ram->shared, ram->shared + (uint64_t)more, __ATOMIC_RELAXED);
}

/* ---- Taking ---- */

static void clean(struct ram *ram, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        if (!(ram->state[i] & FRAME_DIRTY))
            continue;
        memset(ram->bytes + (i << ASPACE_PAGE_BITS), 0, ASPACE_PAGE_SIZE);
        ram->stale -= ram->stale > 0;
    }
}

/* Whether any of `count` frames from `first` on is dirty. */
static bool any_dirty(const struct ram *ram, uint64_t first, uint64_t count)
{
    const uint8_t *state = ram->state + first;
    uint8_t all = 0;

    for (; count >= GROUP; count -= GROUP, state += GROUP)
        for (unsigned i = 0; i < GROUP; i++)
            all |= state[i];
    while (count)
        all |= state[--count];
    return all & FRAME_DIRTY;
}

/* Frames that were just found free are the space's. */
static void hand_out(struct frames *frames, enum frame_kind kind, uint64_t first, uint64_t count)
{
    struct ram *ram = frames->ram;

    if (any_dirty(ram, first, count))
        clean(ram, first, count);
    if (count == 1)
        ram->state[first] = (uint8_t)kind;
    else
        memset(ram->state + first, (int)kind, count);
    change_used(ram, (int64_t)count);
    if (first + count > ram->fresh)
        ram->fresh = first + count;
    if (kind == FRAME_TABLE)
        frames->tables += count;
    else
        frames->data += count;
}

/* Lowest last, for that is taken first. */
static bool fill_hot(struct ram *ram)
{
    uint64_t first;
    uint64_t count = buddy_take_some(&ram->buddy, UINT64_C(1) << HOT_ORDER, &first);

    while (count)
        ram->hot[ram->hot_count++] = (uint32_t)(first + --count);
    return ram->hot_count;
}

static bool next_free(struct ram *ram, uint64_t *ret)
{
    if (!ram->hot_count && !fill_hot(ram))
        return false;
    *ret = ram->hot[--ram->hot_count];
    return true;
}

bool frames_take(struct frames *frames, enum frame_kind kind, uint64_t *ret)
{
    if (!next_free(frames->ram, ret))
        return false;
    hand_out(frames, kind, *ret, 1);
    frames->note[*ret] = 0;
    return true;
}

bool frames_take_raw_table(struct frames *frames, uint64_t *ret)
{
    if (!next_free(frames->ram, ret))
        return false;
    frames->ram->stale -= frames->ram->stale > 0 && frames->state[*ret] & FRAME_DIRTY;
    frames->state[*ret] = FRAME_FREE;
    hand_out(frames, FRAME_TABLE, *ret, 1);
    frames->note[*ret] = 0;
    return true;
}

/* The hot ones back among the others, the first `count` of them. */
static void cool(struct ram *ram, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        buddy_give(&ram->buddy, ram->hot[i], 1);
    ram->hot_count -= count;
    memmove(ram->hot, ram->hot + count, ram->hot_count * sizeof(*ram->hot));
}

bool frames_take_run(struct frames *frames, enum frame_kind kind, unsigned order, uint64_t *ret)
{
    struct ram *ram = frames->ram;

    if (!buddy_take(&ram->buddy, order, ret)) {
        cool(ram, ram->hot_count);
        if (!buddy_take(&ram->buddy, order, ret))
            return false;
    }
    hand_out(frames, kind, *ret, UINT64_C(1) << order);
    return true;
}

uint64_t frames_take_some(struct frames *frames, enum frame_kind kind, uint64_t want, uint64_t *ret_first)
{
    uint64_t count = want > 1 ? buddy_take_some(&frames->ram->buddy, want, ret_first) : 0;

    if (!count)
        return frames_take(frames, kind, ret_first);
    hand_out(frames, kind, *ret_first, count);
    return count;
}

/* ---- Giving ---- */

static void take_back_one(struct ram *ram, uint64_t frame)
{
    if (ram->hot_count == FRAMES_HOT)
        cool(ram, FRAMES_HOT / 2);
    ram->hot[ram->hot_count++] = (uint32_t)frame;
}

/* Frames whose state says already that they are free. */
static void take_back(struct ram *ram, uint64_t first, uint64_t count, uint64_t dirty)
{
    change_used(ram, -(int64_t)count);
    if (count == 1)
        take_back_one(ram, first);
    else if (count)
        buddy_give(&ram->buddy, first, count);
    note_stale(ram, first, count, dirty);
}

/* Nothing but zeros is in a table without live entries. */
static void give_table(struct frames *frames, uint64_t frame)
{
    bool dirty = frames->note[frame] != 0;

    frames->tables--;
    frames->state[frame] = dirty ? FRAME_DIRTY : FRAME_FREE;
    take_back(frames->ram, frame, 1, dirty);
}

void frames_give(struct frames *frames, uint64_t frame)
{
    if (frames_have(frames, frame) && frames_kind(frames, frame) == FRAME_TABLE)
        give_table(frames, frame);
    else
        frames_give_run(frames, frame, 1);
}

/* Marks a whole group free and adds the dirty ones; false if not all are data of this space alone. */
static bool set_group_free(uint8_t *state, uint64_t *dirty)
{
    uint8_t differ = 0;
    uint8_t sum = 0;

    for (unsigned i = 0; i < GROUP; i++)
        differ |= (state[i] & (uint8_t)~FRAME_DIRTY) ^ FRAME_DATA;
    if (differ)
        return false;
    for (unsigned i = 0; i < GROUP; i++) {
        state[i] &= FRAME_DIRTY;
        sum += state[i] / FRAME_DIRTY;
    }
    *dirty += sum;
    return true;
}

/* Marks frames free, from `first` on and at most `count`, up to the first that is not data of this space alone; how
 * many, and how many of these are dirty. */
static uint64_t set_free(struct frames *frames, uint64_t first, uint64_t count, uint64_t *ret_dirty)
{
    uint8_t *state = frames->state + first;
    uint64_t dirty = 0;
    uint64_t i = 0;

    while (count - i >= GROUP && set_group_free(state + i, &dirty))
        i += GROUP;
    for (; i < count && (state[i] & ~FRAME_DIRTY) == FRAME_DATA; i++) {
        state[i] &= FRAME_DIRTY;
        dirty += state[i] != 0;
    }
    *ret_dirty = dirty;
    return i;
}

/* So many frames that others have, too: one owner less. Adds those that have one left; false, and nothing done, if not all
 * are such frames. */
static bool give_shared_strip(uint8_t *state, uint16_t *note, unsigned count, uint64_t *alone)
{
    uint8_t differ = 0;
    uint16_t last = 0;

    for (unsigned i = 0; i < count; i++)
        differ |= (state[i] & (uint8_t)~FRAME_DIRTY) ^ (FRAME_DATA | FRAME_SHARED);
    if (differ)
        return false;
    for (unsigned i = 0; i < count; i++) {
        note[i]--;
        last += !note[i];
        state[i] &= note[i] ? 0xff : (uint8_t)~FRAME_SHARED;
    }
    *alone += last;
    return true;
}

/* Data that others have, too, from `first` on and at most `count`, up to the first that is not: how many. */
static uint64_t give_shared(struct frames *frames, uint64_t first, uint64_t count)
{
    uint8_t *state = frames->state + first;
    uint16_t *note = frames->note + first;
    uint64_t alone = 0;
    uint64_t i = 0;

    while (count - i >= STRIP && give_shared_strip(state + i, note + i, STRIP, &alone))
        i += STRIP;
    while (i < count && give_shared_strip(state + i, note + i, 1, &alone))
        i++;
    frames->data -= i;
    change_shared(frames->ram, -(int64_t)alone);
    return i;
}

void frames_give_run(struct frames *frames, uint64_t first, uint64_t count)
{
    if (!frames_have(frames, first) || count > frames->total - (first - frames->first)) {
        frames->wrong_gives++;
        return;
    }
    while (count) {
        uint64_t dirty;
        uint64_t done = set_free(frames, first, count, &dirty);

        frames->data -= done;
        take_back(frames->ram, first, done, dirty);
        if (done < count)
            done += give_shared(frames, first + done, count - done);
        if (done == 0) {
            frames->wrong_gives++;
            done = 1;
        }
        first += done;
        count -= done;
    }
}

/* ---- Sharing ---- */

/* A whole group that no other space has; false, and nothing done, if there is one that others have. */
static bool share_group(uint8_t *state, uint16_t *note)
{
    uint8_t all = 0;

    for (unsigned i = 0; i < GROUP; i++)
        all |= state[i];
    if (all & FRAME_SHARED)
        return false;
    for (unsigned i = 0; i < GROUP; i++)
        state[i] |= FRAME_SHARED;
    for (unsigned i = 0; i < GROUP; i++)
        note[i] = 1;
    return true;
}

/* One owner more for each of `count` frames; how many had one alone. */
static uint16_t share_strip(uint8_t *state, uint16_t *note, unsigned count)
{
    uint16_t newly = 0;

    for (unsigned i = 0; i < count; i++) {
        uint16_t shared = (state[i] & FRAME_SHARED) != 0;

        note[i] = (uint16_t)((note[i] & -shared) + 1);
        newly += !shared;
        state[i] |= FRAME_SHARED;
    }
    return newly;
}

void frames_share_run(struct frames *frames, uint64_t first, uint64_t count)
{
    uint8_t *state = frames->state + first;
    uint16_t *note = frames->note + first;
    uint64_t newly = 0;
    uint64_t i = 0;

    for (; count - i >= GROUP && share_group(state + i, note + i); i += GROUP)
        newly += GROUP;
    for (; count - i >= STRIP; i += STRIP)
        newly += share_strip(state + i, note + i, STRIP);
    for (; i < count; i++)
        newly += share_strip(state + i, note + i, 1);
    change_shared(frames->ram, (int64_t)newly);
    frames->data += count;
}
