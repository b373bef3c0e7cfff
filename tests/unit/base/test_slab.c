/* The slab: blocks that lie apart, chunks that come and go, and what is left when there is no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/slab.h"

#define SIZE  1088
#define HUGE  ((size_t)2 << 20)
#define LARGE ((size_t)10000) /* blocks; more than 8 MiB of them */

static bool no_memory;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return no_memory ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
    return no_memory ? MAP_FAILED : __real_mmap(addr, size, prot, flags, fd, offset);
}

struct block {
    struct slab_block head;
    size_t number;
    char rest[SIZE - sizeof(struct slab_block) - sizeof(size_t)];
};

static struct block *take(struct slab *slab, size_t number)
{
    struct block *block = slab_take(slab);

    assert_non_null(block);
    assert_int_equal((uintptr_t)block % SLAB_ALIGN, 0);
    block->number = number;
    memset(block->rest, (int)(number & 0xff), sizeof(block->rest));
    return block;
}

static void assert_kept(const struct block *block, size_t number)
{
    assert_int_equal(block->number, number);
    for (size_t i = 0; i < sizeof(block->rest); i++)
        if ((unsigned char)block->rest[i] != (number & 0xff))
            fail_msg("block %zu was written over at byte %zu", number, i);
}

static void blocks_keep_what_is_written_while_others_come_and_go(void **state)
{
    static struct block *blocks[LARGE];
    struct slab slab = SLAB_INIT(SIZE);
    size_t seed = 1;

    (void)state;
    for (size_t i = 0; i < LARGE; i++)
        blocks[i] = take(&slab, i);
    for (size_t round = 0; round < 3 * LARGE; round++) {
        size_t i = (seed = seed * 6364136223846793005u + 1442695040888963407u) % LARGE;

        if (blocks[i]) {
            assert_kept(blocks[i], i);
            slab_give(&slab, blocks[i]);
            blocks[i] = NULL;
        } else {
            blocks[i] = take(&slab, i);
        }
    }
    for (size_t i = 0; i < LARGE; i++) {
        if (!blocks[i])
            continue;
        assert_kept(blocks[i], i);
        slab_give(&slab, blocks[i]);
    }
    assert_int_equal(slab.bytes, 0);
    assert_null(slab.first);
    assert_null(slab.last);
}

/* Of a small slab a sixteenth or a few blocks, of a large one a huge page. */
static void little_memory_lies_unused(void **state)
{
    struct slab slab = SLAB_INIT(SIZE);

    (void)state;
    for (size_t used = 1; used <= 2 * LARGE; used++) {
        size_t most = used * SIZE;

        take(&slab, used);
        most += slab.bytes > (size_t)9 << 20 ? HUGE : most / 16 + 4 * SIZE;
        assert_true(slab.bytes <= most + used * 16); /* and the heads of the chunks */
    }
    slab_clear(&slab);
    assert_int_equal(slab.bytes, 0);
}

static void many_blocks_lie_on_huge_pages(void **state)
{
    struct slab slab = SLAB_INIT(SIZE);
    struct block *block = NULL;

    (void)state;
    for (size_t used = 0; used < LARGE; used++)
        block = take(&slab, used);
    assert_int_equal((uintptr_t)block->head.chunk % HUGE, 0);
    assert_int_equal((uintptr_t)block / HUGE, (uintptr_t)block->head.chunk / HUGE);
    slab_clear(&slab);
}

static void a_block_that_came_back_is_the_next_one_taken(void **state)
{
    struct slab slab = SLAB_INIT(SIZE);
    struct block *kept = take(&slab, 1);
    struct block *block = take(&slab, 2);

    (void)state;
    slab_give(&slab, block);
    assert_ptr_equal(take(&slab, 3), block);
    assert_kept(kept, 1);
    slab_clear(&slab);
}

/* Both kinds of chunk in turn: each time one is wanted there is no memory first. */
static void without_memory_nothing_is_taken_and_nothing_lost(void **state)
{
    struct slab slab = SLAB_INIT(SIZE);
    struct block *first = NULL;
    size_t refused = 0;

    (void)state;
    for (size_t used = 0; used < LARGE;) {
        size_t bytes = slab.bytes;
        struct block *block;

        no_memory = true;
        block = slab_take(&slab);
        no_memory = false;
        assert_int_equal(slab.bytes, bytes);
        if (block) {
            used++;
        } else {
            refused++;
            block = take(&slab, used++);
        }
        first = first ? first : block;
    }
    assert_true(refused > 10);
    assert_kept(first, 0);
    slab_clear(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_what_is_written_while_others_come_and_go),
        cmocka_unit_test(little_memory_lies_unused),
        cmocka_unit_test(many_blocks_lie_on_huge_pages),
        cmocka_unit_test(a_block_that_came_back_is_the_next_one_taken),
        cmocka_unit_test(without_memory_nothing_is_taken_and_nothing_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
