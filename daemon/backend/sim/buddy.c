/* The free blocks of simulated RAM. */
#include "sim/buddy.h"

#include <sys/mman.h>

#define WORD_BITS 64

static uint64_t words_for(uint64_t bits)
{
    return bits / WORD_BITS + 1;
}

static unsigned log2_of(uint64_t value)
{
    return WORD_BITS - 1 - (unsigned)__builtin_clzll(value);
}

/* ---- A set ---- */

/* Gives the set its rows for `bits` numbers, from *words on, or only counts them. */
static void lay_out(struct buddy_set *set, uint64_t bits, uint64_t *memory, uint64_t *words)
{
    set->depth = 0;
    set->bits = bits;
    do {
        set->rows[set->depth++] = memory ? memory + *words : NULL;
        *words += words_for(bits);
        bits = words_for(bits);
    } while (bits > 1);
}

static void add(struct buddy_set *set, uint64_t number)
{
    for (unsigned row = 0; row < set->depth; row++, number /= WORD_BITS) {
        uint64_t *word = &set->rows[row][number / WORD_BITS];
        uint64_t old = *word;

        *word = old | UINT64_C(1) << number % WORD_BITS;
        if (old)
            return;
    }
}

static void take_away(struct buddy_set *set, uint64_t number)
{
    for (unsigned row = 0; row < set->depth; row++, number /= WORD_BITS) {
        uint64_t *word = &set->rows[row][number / WORD_BITS];

        *word &= ~(UINT64_C(1) << number % WORD_BITS);
        if (*word)
            return;
    }
}

static bool has(const struct buddy_set *set, uint64_t number)
{
    return set->rows[0][number / WORD_BITS] >> number % WORD_BITS & 1;
}

static bool is_empty(const struct buddy_set *set)
{
    return !set->rows[set->depth - 1][0];
}

/* Of a set that is not empty. */
static uint64_t lowest(const struct buddy_set *set)
{
    uint64_t number = 0;

    for (unsigned row = set->depth; row--;)
        number = number * WORD_BITS + (unsigned)__builtin_ctzll(set->rows[row][number]);
    return number;
}

/* ---- Blocks ---- */

static void add_block(struct buddy *buddy, unsigned order, uint64_t block)
{
    add(&buddy->sets[order], block);
    buddy->nonempty |= UINT64_C(1) << order;
}

static void take_block_away(struct buddy *buddy, unsigned order, uint64_t block)
{
    take_away(&buddy->sets[order], block);
    if (is_empty(&buddy->sets[order]))
        buddy->nonempty &= ~(UINT64_C(1) << order);
}

/* With its other half, if that is free, it is one of the next order, and so on. */
static void give_block(struct buddy *buddy, unsigned order, uint64_t block)
{
    while (order + 1 < buddy->orders && has(&buddy->sets[order], block ^ 1)) {
        take_block_away(buddy, order, block ^ 1);
        block /= 2;
        order++;
    }
    add_block(buddy, order, block);
}

bool buddy_take(struct buddy *buddy, unsigned order, uint64_t *ret_first)
{
    uint64_t fit = order < BUDDY_ORDERS ? buddy->nonempty >> order : 0;
    unsigned at = order;
    uint64_t block;

    if (!fit)
        return false;
    at += (unsigned)__builtin_ctzll(fit);
    block = lowest(&buddy->sets[at]);
    take_block_away(buddy, at, block);
    while (at > order) {
        block *= 2;
        add_block(buddy, --at, block + 1);
    }
    buddy->free -= UINT64_C(1) << order;
    *ret_first = block << order;
    return true;
}

uint64_t buddy_take_some(struct buddy *buddy, uint64_t want, uint64_t *ret_first)
{
    unsigned order = log2_of(want);

    if (!buddy->nonempty)
        return 0;
    if (!(buddy->nonempty >> order))
        order = log2_of(buddy->nonempty);
    buddy_take(buddy, order, ret_first);
    return UINT64_C(1) << order;
}

void buddy_give(struct buddy *buddy, uint64_t first, uint64_t count)
{
    buddy->free += count;
    while (count) {
        unsigned order = log2_of(count);
        unsigned aligned = first ? (unsigned)__builtin_ctzll(first) : order;

        if (aligned < order)
            order = aligned;
        if (order >= buddy->orders)
            order = buddy->orders - 1;
        give_block(buddy, order, first >> order);
        first += UINT64_C(1) << order;
        count -= UINT64_C(1) << order;
    }
}

bool buddy_next(const struct buddy *buddy, unsigned order, uint64_t from, uint64_t *ret_block)
{
    const struct buddy_set *set = &buddy->sets[order];

    if (is_empty(set))
        return false;
    for (; from < set->bits; from = (from / WORD_BITS + 1) * WORD_BITS) {
        uint64_t word = set->rows[0][from / WORD_BITS] >> from % WORD_BITS;

        if (!word)
            continue;
        *ret_block = from + (unsigned)__builtin_ctzll(word);
        return true;
    }
    return false;
}

/* ---- Life ---- */

static uint64_t lay_out_all(struct buddy *buddy, uint64_t total, uint64_t *memory)
{
    uint64_t words = 0;

    for (unsigned order = 0; order < buddy->orders; order++)
        lay_out(&buddy->sets[order], (total >> order) + 1, memory, &words); /* one more: the other half of the last */
    return words;
}

bool buddy_init(struct buddy *buddy, uint64_t first, uint64_t count)
{
    uint64_t total = first + count;

    *buddy = (struct buddy){.orders = log2_of(total) + 1};
    buddy->size = lay_out_all(buddy, total, NULL) * sizeof(uint64_t);
    buddy->memory = mmap(NULL, buddy->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (buddy->memory == MAP_FAILED)
        return false;
    lay_out_all(buddy, total, buddy->memory);
    buddy_give(buddy, first, count);
    return true;
}

void buddy_fini(struct buddy *buddy)
{
    munmap(buddy->memory, buddy->size);
}
