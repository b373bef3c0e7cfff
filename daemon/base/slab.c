/* Blocks of one size: chunks, and the free blocks in them. */
#include "base/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* From so many bytes on a chunk is a huge page. It is about what the TLB reaches with pages of 4 KiB, and then an
 * unused chunk is no more than a fifth. */
#define HUGE_FROM ((size_t)8 << 20)
#define HUGE_SIZE ((size_t)2 << 20)

/* A smaller chunk adds a part of what there is, so that little lies unused; but at least a few blocks. */
#define GROWTH     16
#define BLOCKS_MIN 4

struct free_block {
    struct slab_block head;
    struct free_block *next;
};

struct slab_chunk {
    struct slab_chunk *prev;
    struct slab_chunk *next;
    struct free_block *freed; /* blocks that came back */
    size_t fresh;             /* blocks at the end that were never used */
    size_t used;
    size_t bytes; /* of the whole chunk; HUGE_SIZE only if it was mapped */
};

/* The blocks lie behind the chunk's head, each on its own cache lines. */
#define HEAD_SIZE ((sizeof(struct slab_chunk) + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN)

static void link_first(struct slab *slab, struct slab_chunk *chunk)
{
    chunk->prev = NULL;
    chunk->next = slab->first;
    *(slab->first ? &slab->first->prev : &slab->last) = chunk;
    slab->first = chunk;
}

static void link_last(struct slab *slab, struct slab_chunk *chunk)
{
    chunk->next = NULL;
    chunk->prev = slab->last;
    *(slab->last ? &slab->last->next : &slab->first) = chunk;
    slab->last = chunk;
}

static void chunk_unlink(struct slab *slab, struct slab_chunk *chunk)
{
    *(chunk->prev ? &chunk->prev->next : &slab->first) = chunk->next;
    *(chunk->next ? &chunk->next->prev : &slab->last) = chunk->prev;
}

static bool chunk_full(const struct slab_chunk *chunk)
{
    return !chunk->freed && !chunk->fresh;
}

/* A huge page, or what looks like one to a system without them: 2 MiB, aligned. Kernels before 6.7 do not align a
 * mapping, so twice the size is asked for and the ends are given back. */
static void *map_huge(void)
{
    char *base = mmap(NULL, 2 * HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t lead;

    if (base == MAP_FAILED)
        return NULL;
    lead = -(uintptr_t)base & (HUGE_SIZE - 1);
    if (lead)
        munmap(base, lead);
    munmap(base + lead + HUGE_SIZE, HUGE_SIZE - lead);
    madvise(base + lead, HUGE_SIZE, MADV_HUGEPAGE); /* advice: without it the memory is as good, only slower */
    return base + lead;
}

static bool add_chunk(struct slab *slab)
{
    size_t blocks = slab->bytes / slab->size / GROWTH;
    size_t bytes = HEAD_SIZE + (blocks < BLOCKS_MIN ? BLOCKS_MIN : blocks) * slab->size;
    bool huge = slab->bytes >= HUGE_FROM;
    struct slab_chunk *chunk = huge ? map_huge() : aligned_alloc(SLAB_ALIGN, bytes);

    if (!chunk)
        return false;
    bytes = huge ? HUGE_SIZE : bytes;
    *chunk = (struct slab_chunk){.fresh = (bytes - HEAD_SIZE) / slab->size, .bytes = bytes};
    slab->bytes += bytes;
    link_first(slab, chunk);
    return true;
}

static void chunk_free(struct slab *slab, struct slab_chunk *chunk)
{
    slab->bytes -= chunk->bytes;
    if (chunk->bytes == HUGE_SIZE)
        munmap(chunk, HUGE_SIZE);
    else
        free(chunk);
}

/* Fresh blocks are taken from the chunk's end downwards, so that their count says where they are. */
static struct free_block *chunk_take(struct slab_chunk *chunk, size_t size)
{
    struct free_block *block = chunk->freed;

    chunk->used++;
    if (block) {
        chunk->freed = block->next;
        return block;
    }
    block = (void *)((char *)chunk + HEAD_SIZE + --chunk->fresh * size);
    block->head.chunk = chunk;
    return block;
}

void *slab_take(struct slab *slab)
{
    struct slab_chunk *chunk = slab->first;
    void *block;

    if (!chunk || chunk_full(chunk)) {
        if (!add_chunk(slab))
            return NULL;
        chunk = slab->first;
    }
    block = chunk_take(chunk, slab->size);
    if (chunk_full(chunk)) {
        chunk_unlink(slab, chunk);
        link_last(slab, chunk);
    }
    return block;
}

void slab_give(struct slab *slab, void *block)
{
    struct free_block *freed = block;
    struct slab_chunk *chunk = freed->head.chunk;

    if (--chunk->used == 0) {
        chunk_unlink(slab, chunk);
        chunk_free(slab, chunk);
        return;
    }
    if (chunk_full(chunk)) {
        chunk_unlink(slab, chunk);
        link_first(slab, chunk);
    }
    freed->next = chunk->freed;
    chunk->freed = freed;
}

void slab_clear(struct slab *slab)
{
    while (slab->first) {
        struct slab_chunk *chunk = slab->first;

        slab->first = chunk->next;
        chunk_free(slab, chunk);
    }
    slab->last = NULL;
}
