/* Frames of simulated RAM: a list of those given back, and a watermark above which none was ever handed out. */
#include "sim/frames.h"

#include <string.h>
#include <sys/mman.h>

static void *reserve(uint64_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

bool frames_init(struct frames *frames, uint64_t total)
{
    *frames = (struct frames){.total = total};
    frames->ram = reserve(total << ASPACE_PAGE_BITS);
    if (!frames->ram)
        return false;
    frames->info = reserve(total * sizeof(struct frame));
    if (frames->info)
        return true;
    munmap(frames->ram, total << ASPACE_PAGE_BITS);
    return false;
}

void frames_fini(struct frames *frames)
{
    munmap(frames->ram, frames->total << ASPACE_PAGE_BITS);
    munmap(frames->info, frames->total * sizeof(struct frame));
}

static bool next_free(struct frames *frames, uint64_t *ret)
{
    if (frames->freed) {
        frames->freed--;
        *ret = frames->free_list;
        frames->free_list = frames->info[*ret].next;
        return true;
    }
    if (frames->fresh == frames->total)
        return false;
    *ret = frames->fresh++;
    return true;
}

bool frames_take(struct frames *frames, enum frame_kind kind, uint64_t *ret)
{
    struct frame *info;

    if (!next_free(frames, ret))
        return false;
    info = &frames->info[*ret];
    if (info->dirty)
        memset(frames_at(frames, *ret), 0, ASPACE_PAGE_SIZE);
    *info = (struct frame){.kind = kind, .dirty = kind == FRAME_TABLE};
    if (kind == FRAME_TABLE)
        frames->tables++;
    else
        frames->data++;
    return true;
}

void frames_give(struct frames *frames, uint64_t frame)
{
    struct frame *info = &frames->info[frame];

    if (frame >= frames->total || info->kind == FRAME_FREE) {
        frames->wrong_gives++;
        return;
    }
    if (info->kind == FRAME_TABLE)
        frames->tables--;
    else
        frames->data--;
    *info = (struct frame){.kind = FRAME_FREE, .dirty = info->dirty, .next = (uint32_t)frames->free_list};
    frames->free_list = frame;
    frames->freed++;
}

uint64_t frames_take_some(struct frames *frames, enum frame_kind kind, uint64_t want, uint64_t *ret_first)
{
    uint64_t count = 0;
    uint64_t frame;

    if (frames->freed || want == 1)
        return frames_take(frames, kind, ret_first);
    *ret_first = frames->fresh;
    while (count < want && frames_take(frames, kind, &frame))
        count++;
    return count;
}

bool frames_take_run(struct frames *frames, enum frame_kind kind, unsigned order, uint64_t *ret)
{
    uint64_t size = UINT64_C(1) << order;
    uint64_t first = (frames->fresh + size - 1) & ~(size - 1);

    if (first > frames->total || frames->total - first < size)
        return false;
    while (frames->fresh < first) { /* what lies before the aligned piece is free for others */
        frames->info[frames->fresh] = (struct frame){.kind = FRAME_FREE, .next = (uint32_t)frames->free_list};
        frames->free_list = frames->fresh++;
        frames->freed++;
    }
    *ret = first;
    for (uint64_t i = 0; i < size; i++)
        frames->info[first + i] = (struct frame){.kind = kind};
    frames->fresh += size;
    frames->data += size;
    return true;
}

void frames_give_run(struct frames *frames, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        frames_give(frames, first + i);
}
