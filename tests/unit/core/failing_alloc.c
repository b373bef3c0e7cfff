/* The wrappers that the linker puts in place of the allocator. */
#include "failing_alloc.h"

#include <stddef.h>

static unsigned fail_at;
static unsigned allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void failing_alloc_arm(unsigned nth)
{
    fail_at = nth;
    allocations = 0;
}

bool failing_alloc_disarm(void)
{
    bool fired = fail_at && allocations >= fail_at;

    fail_at = 0;
    return fired;
}

unsigned failing_alloc_count(void)
{
    return allocations;
}

static bool strikes(void)
{
    return fail_at && ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return strikes() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return strikes() ? NULL : __real_aligned_alloc(alignment, size);
}
