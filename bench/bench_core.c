/* The core alone over a backend that does nothing: ns per operation for growing numbers of areas, each beside a floor
 * measured in the same run. Areas are one page each and one page apart, mapped in an order shuffled from a fixed
 * seed; for the middle third they are three pages each. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/memory_set.h"
#include "nop_backend.h"

#define LOOKUPS 200000
#define EDITS   200000 /* so many that the inner nodes of a million areas are in the cache for most of them */
#define BULK    100000
#define REPEATS 5

/* ---- The space under test ---- */

struct bench {
    size_t n;
    uint64_t pages;             /* of an area */
    uint64_t *starts;           /* sorted, for the flat search alone */
    uint32_t *order;            /* shuffled indexes */
    uint32_t *lookups;          /* LOOKUPS random indexes */
    struct map_request request; /* its range is set for each map: filling all of it is no work of the core's */
    struct memory_set set;
};

struct result {
    size_t n;
    double map, find, find_chain, flat, flat_chain, protect, third, pair, find_free, iterate, copy, bytes, bulk;
};

static uint64_t seed;

static uint64_t random_below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_core: %s failed\n", what);
    exit(1);
}

static void *need(void *memory)
{
    must(memory != NULL, "malloc");
    return memory;
}

static void shuffle(uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n - 1; i > 0; i--) {
        size_t j = random_below(i + 1);
        uint32_t t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
}

/* Worked out, not read: a lookup in a table of them would bring the flat search the very line that it looks for. */
static uint64_t start_of(const struct bench *b, size_t i)
{
    return 1 + i * (b->pages + 1);
}

static void map_at(struct bench *b, uint64_t page)
{
    struct refusal why;
    struct area area;
    uint64_t at;

    b->request.range = (struct range){page, page + b->pages};
    must(memory_set_map(&b->set, &b->request, &why, &at, &area) == ASPACE_OK, "map");
}

static void unmap_at(struct bench *b, uint64_t page, uint64_t pages)
{
    struct refusal why;
    uint64_t gone;
    size_t removed;

    must(memory_set_unmap(&b->set, (struct range){page, page + pages}, ASPACE_HOLES_REFUSE, &why, &gone, &removed) ==
             ASPACE_OK,
         "unmap");
}

static void protect_at(struct bench *b, uint64_t page, uint64_t pages, uint16_t flags)
{
    struct refusal why;
    size_t changed;

    must(memory_set_protect(&b->set, (struct range){page, page + pages}, flags, (uint16_t)(7 & ~flags),
                            ASPACE_HOLES_REFUSE, &why, &changed) == ASPACE_OK &&
             changed == 1,
         "protect");
}

static void begin(struct bench *b, size_t n, uint64_t pages)
{
    b->n = n;
    b->pages = pages;
    b->request = (struct map_request){.attr.flags = ASPACE_READ | ASPACE_WRITE};
    b->starts = need(malloc(n * sizeof(*b->starts)));
    b->order = need(malloc(n * sizeof(*b->order)));
    b->lookups = need(malloc(LOOKUPS * sizeof(*b->lookups)));
    for (size_t i = 0; i < n; i++)
        b->starts[i] = start_of(b, i);
    shuffle(b->order, n);
    for (size_t i = 0; i < LOOKUPS; i++)
        b->lookups[i] = (uint32_t)random_below(n);
    memory_set_init(&b->set, (struct range){0, UINT64_C(1) << 35}, &nop_backend, ASPACE_MERGE_OFF, SIZE_MAX);
}

static void end(struct bench *b)
{
    memory_set_free(&b->set);
    free(b->starts);
    free(b->order);
    free(b->lookups);
}

/* ---- Measurements; each returns ns per operation ---- */

/* Small maps are built several times, for a hundred calls alone would measure cold code and memory. The last stays. */
static double bench_map(struct bench *b)
{
    size_t rounds = EDITS / b->n + 1;
    uint64_t spent = 0;

    for (size_t r = 0; r < rounds; r++) {
        uint64_t began;

        memory_set_free(&b->set);
        began = clock_ns();
        for (size_t i = 0; i < b->n; i++)
            map_at(b, start_of(b, b->order[i]));
        spent += clock_ns() - began;
    }
    return (double)spent / (double)(rounds * b->n);
}

/* 0, but the compiler cannot know: what was found, masked with it, makes the next lookup wait for this one. */
static volatile uint64_t opaque_zero;

/* With `chain` each lookup waits for the one before. */
static double bench_find(struct bench *b, bool chain)
{
    uint64_t began = clock_ns();
    uint64_t mask = opaque_zero;
    uint64_t carry = 0;

    for (size_t i = 0; i < LOOKUPS; i++) {
        struct area area;

        must(area_map_find(&b->set.map, start_of(b, b->lookups[i + carry]), &area), "find");
        if (chain)
            carry = area.range.start & mask;
    }
    return (double)(clock_ns() - began) / LOOKUPS;
}

/* The last index whose start is not above `page`, without a branch in the loop. */
static size_t flat_find(const uint64_t *starts, size_t n, uint64_t page)
{
    const uint64_t *base = starts;

    while (n > 1) {
        size_t half = n / 2;

        base = base[half] <= page ? base + half : base;
        n -= half;
    }
    return (size_t)(base - starts);
}

static double bench_flat(struct bench *b, bool chain)
{
    uint64_t began = clock_ns();
    uint64_t mask = opaque_zero;
    uint64_t carry = 0;

    for (size_t i = 0; i < LOOKUPS; i++) {
        size_t at = flat_find(b->starts, b->n, start_of(b, b->lookups[i + carry]));

        must(at == b->lookups[i], "flat find");
        if (chain)
            carry = at & mask;
    }
    return (double)(clock_ns() - began) / LOOKUPS;
}

static double bench_protect(struct bench *b)
{
    uint64_t began = clock_ns();

    for (size_t i = 0; i < EDITS; i += 2) {
        protect_at(b, start_of(b, b->lookups[i]), b->pages, ASPACE_READ);
        protect_at(b, start_of(b, b->lookups[i]), b->pages, ASPACE_READ | ASPACE_WRITE);
    }
    return (double)(clock_ns() - began) / EDITS;
}

static double bench_pair(struct bench *b)
{
    uint64_t began = clock_ns();

    for (size_t i = 0; i < EDITS; i++) {
        unmap_at(b, start_of(b, b->lookups[i]), b->pages);
        map_at(b, start_of(b, b->lookups[i]));
    }
    return (double)(clock_ns() - began) / EDITS;
}

/* The middle page of three; what it splits is put right again outside the time. */
static double bench_third(struct bench *b)
{
    size_t batch = b->n < 1000 ? b->n / 2 : 500;
    uint64_t spent = 0;
    size_t done = 0;

    while (done < EDITS) {
        uint64_t began = clock_ns();
        size_t first = done % (b->n - batch + 1);

        for (size_t i = 0; i < batch; i++)
            protect_at(b, start_of(b, b->order[first + i]) + 1, 1, ASPACE_READ);
        spent += clock_ns() - began;
        for (size_t i = 0; i < batch; i++) {
            unmap_at(b, start_of(b, b->order[first + i]), b->pages);
            map_at(b, start_of(b, b->order[first + i]));
        }
        done += batch;
    }
    return (double)spent / (double)done;
}

/* Every hole is one page but for the one at the end. */
static double bench_find_free(struct bench *b)
{
    struct placement place = {.pages = 2, .align = 1, .policy = ASPACE_POLICY_FIRST};
    uint64_t began = clock_ns();
    struct refusal why;
    uint64_t page;

    for (size_t i = 0; i < EDITS; i++)
        must(memory_set_find_free(&b->set, &place, &why, &page) == ASPACE_OK && page > start_of(b, b->n - 1),
             "find_free");
    return (double)(clock_ns() - began) / EDITS;
}

static double bench_iterate(struct bench *b)
{
    size_t rounds = LOOKUPS / b->n + 1;
    uint64_t began = clock_ns();
    uint64_t sum = 0;

    for (size_t r = 0; r < rounds; r++) {
        struct area_cursor cursor;
        struct area area;

        area_map_seek(&b->set.map, 0, &cursor);
        for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor))
            sum += range_pages(area.range);
    }
    must(sum == rounds * b->n * b->pages, "iterate");
    return (double)(clock_ns() - began) / (double)(rounds * b->n);
}

static double bench_copy(struct bench *b)
{
    size_t rounds = LOOKUPS / b->n + 1;
    struct area *from = need(calloc(b->n, sizeof(*from)));
    struct area *to = need(calloc(b->n, sizeof(*to)));
    uint64_t began = clock_ns();
    double ns;

    for (size_t r = 0; r < rounds; r++) {
        from[0].range.start = r;
        memcpy(to, from, b->n * sizeof(*to));
        must(to[0].range.start == r, "copy");
    }
    ns = (double)(clock_ns() - began) / (double)(rounds * b->n);
    free(from);
    free(to);
    return ns;
}

/* Replaces a window of up to BULK areas by as many, as import and the undo of a large edit do: ns an area. */
static double bench_bulk(struct bench *b)
{
    size_t count = b->n < BULK ? b->n : BULK;
    size_t rounds = BULK / count;
    size_t first = (b->n - count) / 2;
    struct range window = {start_of(b, first), start_of(b, first + count - 1) + b->pages};
    struct area *pieces = need(calloc(count, sizeof(*pieces)));
    uint64_t began;
    double ns;

    for (size_t i = 0; i < count; i++)
        pieces[i].range = (struct range){start_of(b, first + i), start_of(b, first + i) + b->pages};
    began = clock_ns();
    for (size_t r = 0; r < rounds; r++) {
        must(area_map_reserve(&b->set.map, count) == ASPACE_OK, "reserve");
        area_map_replace(&b->set.map, window, pieces, count);
    }
    ns = (double)(clock_ns() - began) / (double)(rounds * count);
    free(pieces);
    return ns;
}

/* ---- A run ---- */

static void keep_least(double *best, double value)
{
    if (*best == 0 || value < *best)
        *best = value;
}

static void run_once(size_t n, struct result *r)
{
    struct bench b;

    begin(&b, n, 1);
    keep_least(&r->map, bench_map(&b));
    keep_least(&r->find, bench_find(&b, false));
    keep_least(&r->flat, bench_flat(&b, false));
    keep_least(&r->find_chain, bench_find(&b, true));
    keep_least(&r->flat_chain, bench_flat(&b, true));
    keep_least(&r->iterate, bench_iterate(&b));
    keep_least(&r->copy, bench_copy(&b));
    keep_least(&r->find_free, bench_find_free(&b));
    keep_least(&r->protect, bench_protect(&b));
    keep_least(&r->pair, bench_pair(&b));
    keep_least(&r->bytes, (double)area_map_memory(&b.set.map) / (double)n);
    keep_least(&r->bulk, bench_bulk(&b));
    end(&b);
    begin(&b, n, 3);
    bench_map(&b);
    keep_least(&r->third, bench_third(&b));
    end(&b);
}

static void print_table(const struct result *r, size_t count)
{
    printf("core over a backend that does nothing; ns per operation, the least of %d runs\n\n", REPEATS);
    printf("%9s %8s %8s %8s %6s %8s %8s %6s %8s %8s %8s %9s %8s %6s %6s %6s\n", "areas", "map", "find", "flat", "ratio",
           "chained", "flat", "ratio", "protect", "third", "pair", "find_free", "iterate", "copy", "bytes", "bulk");
    for (size_t i = 0; i < count; i++, r++)
        printf("%9zu %8.1f %8.1f %8.1f %6.2f %8.1f %8.1f %6.2f %8.1f %8.1f %8.1f %9.1f %8.2f %6.2f %6.1f %6.2f\n", r->n,
               r->map, r->find, r->flat, r->find / r->flat, r->find_chain, r->flat_chain, r->find_chain / r->flat_chain,
               r->protect, r->third, r->pair, r->find_free, r->iterate, r->copy, r->bytes, r->bulk);
}

static void print_json(const struct result *r, size_t count)
{
    printf("{\"unit\":\"ns\",\"rows\":[");
    for (size_t i = 0; i < count; i++, r++)
        printf("%s{\"areas\":%zu,\"map\":%.2f,\"find\":%.2f,\"flat\":%.2f,\"find_chain\":%.2f,\"flat_chain\":%.2f,"
               "\"protect\":%.2f,\"third\":%.2f,\"pair\":%.2f,\"find_free\":%.2f,\"iterate\":%.3f,\"copy\":%.3f,"
               "\"bytes_per_area\":%.2f,\"bulk\":%.2f}",
               i ? "," : "", r->n, r->map, r->find, r->flat, r->find_chain, r->flat_chain, r->protect, r->third,
               r->pair, r->find_free, r->iterate, r->copy, r->bytes, r->bulk);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {100, 1000, 10000, 100000, 1000000};
    struct result results[sizeof(sizes) / sizeof(sizes[0])] = {{0}};
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

    if (argc > 2 || (argc == 2 && !json)) {
        fprintf(stderr, "usage: bench_core [--json]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        results[i].n = sizes[i];
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            seed = 0x9e3779b97f4a7c15u;
            run_once(sizes[i], &results[i]);
        }
    }
    if (json)
        print_json(results, sizeof(sizes) / sizeof(sizes[0]));
    else
        print_table(results, sizeof(sizes) / sizeof(sizes[0]));
    return 0;
}
