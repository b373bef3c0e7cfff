/* The simulated machine through the memory set: eager map, protect and unmap of 1 GiB by pages of 4 KiB, a pair of
 * unmap and map of one page, and walks, each beside a floor of the same run in plain C: the same entries written into
 * tables that are there already, the same pair over a backend that does nothing, a bare walk of the same tables.
 * Cold is the first time that the host's memory is touched, warm is every other. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "core/space_diff.h"
#include "nop_backend.h"
#include "sim/machine.h"

#define PAGES   (UINT64_C(1) << 18) /* 1 GiB */
#define RAM     (UINT64_C(2) << 30)
#define REPEATS 9
#define PAIRS   20000
#define AREAS   1000
#define WALKS   (1 << 18)
#define ROUNDS  40 /* of walks and of pairs, each beside its floor: they are short */

#define RW (ASPACE_READ | ASPACE_WRITE)

struct row {
    const char *name;
    const char *unit;
    const char *floor_name;
    double ns;
    double floor;
};

enum {
    MAP_COLD,
    MAP_WARM,
    PROTECT_COLD,
    PROTECT,
    UNMAP_COLD,
    UNMAP,
    CLONE_COLD,
    CLONE_WARM,
    SNAPSHOT,
    RESTORE,
    DIFF,
    PAIR_EAGER,
    PAIR_LAZY,
    WALK,
    WALK_CHAIN,
    ACCESS,
    OTHERS, /* the other architectures */
    ROWS = OTHERS + 5,
};

static const char *const others[] = {"x86_64-la57", "aarch64", "riscv-sv39", "riscv-sv48", "riscv-sv57"};

static struct row rows[ROWS] = {
    [MAP_COLD] = {"map 1 GiB, cold", "entry", "entries written, cold", 0, 0},
    [MAP_WARM] = {"map 1 GiB, warm", "entry", "entries written, warm", 0, 0},
    [PROTECT_COLD] = {"protect 1 GiB, cold", "entry", "entries written, evicted", 0, 0},
    [PROTECT] = {"protect 1 GiB, warm", "entry", "entries written, warm", 0, 0},
    [UNMAP_COLD] = {"unmap 1 GiB, cold", "entry", "entries written, evicted", 0, 0},
    [UNMAP] = {"unmap 1 GiB, warm", "entry", "entries written, warm", 0, 0},
    [CLONE_COLD] = {"clone of 1 GiB, cold", "entry", "entries written, warm", 0, 0},
    [CLONE_WARM] = {"clone of 1 GiB, warm", "entry", "entries written, warm", 0, 0},
    [SNAPSHOT] = {"snapshot of 1 GiB", "entry", "entries written, warm", 0, 0},
    [RESTORE] = {"restore of 1 GiB", "entry", "entries written, warm", 0, 0},
    [DIFF] = {"diff of 1 GiB", "entry", "entries written, warm", 0, 0},
    [PAIR_EAGER] = {"unmap and map a page, eager", "pair", "the core alone", 0, 0},
    [PAIR_LAZY] = {"unmap and map a page, lazy", "pair", "the core alone", 0, 0},
    [WALK] = {"page walk, random", "walk", "bare walk", 0, 0},
    [WALK_CHAIN] = {"page walk, each waits for the last", "walk", "bare walk", 0, 0},
    [ACCESS] = {"access, a hit, random", "access", "bare walk", 0, 0},
    [OTHERS] = {"all three of 1 GiB, x86_64-la57", "entry", "written three times", 0, 0},
    [OTHERS + 1] = {"all three of 1 GiB, aarch64", "entry", "written three times", 0, 0},
    [OTHERS + 2] = {"all three of 1 GiB, riscv-sv39", "entry", "written three times", 0, 0},
    [OTHERS + 3] = {"all three of 1 GiB, riscv-sv48", "entry", "written three times", 0, 0},
    [OTHERS + 4] = {"all three of 1 GiB, riscv-sv57", "entry", "written three times", 0, 0},
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_sim: %s failed\n", what);
    exit(1);
}

static void keep_least(double *best, double value)
{
    if (*best == 0 || value < *best)
        *best = value;
}

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t random_below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

/* ---- A space ---- */

static struct refusal why;

static struct backend *new_machine_of(const char *arch)
{
    struct backend *backend;

    must(sim_create(arch, RAM, sim_default_bounds(arch), &why, &backend) == ASPACE_OK, "sim_create");
    return backend;
}

static struct backend *new_machine(void)
{
    return new_machine_of("x86_64");
}

static void map_at(struct memory_set *set, uint64_t page, uint64_t pages, enum aspace_backing backing)
{
    struct map_request request = {.attr = {.flags = RW, .backing = backing & 15}, .range = {page, page + pages}};
    struct area area;
    uint64_t at;

    must(memory_set_map(set, &request, &why, &at, &area) == ASPACE_OK, "map");
}

static void unmap_at(struct memory_set *set, uint64_t page, uint64_t pages)
{
    uint64_t gone;
    size_t removed;

    must(memory_set_unmap(set, (struct range){page, page + pages}, ASPACE_HOLES_REFUSE, &why, &gone, &removed) ==
             ASPACE_OK,
         "unmap");
}

static void protect_at(struct memory_set *set, uint64_t page, uint64_t pages, uint16_t flags)
{
    size_t changed;

    must(memory_set_protect(set, (struct range){page, page + pages}, flags, (uint16_t)(7 & ~flags), ASPACE_HOLES_REFUSE,
                            &why, &changed) == ASPACE_OK &&
             changed == 1,
         "protect");
}

/* ---- 1 GiB ---- */

static double per_page(uint64_t began)
{
    return (double)(clock_ns() - began) / (double)PAGES;
}

/* Cold is for map the first touch of the host's memory. What protect and unmap find was written before, so that to them
 * cold is that none of it is in a cache any more. */
static void evict(void)
{
    const size_t size = 256 << 20; /* a hundred times the tables */
    uint8_t *buffer = malloc(size);

    must(buffer != NULL, "malloc");
    for (size_t i = 0; i < size; i += 64)
        ((volatile uint8_t *)buffer)[i] = 1;
    free(buffer);
}

/* Its own function, so that nothing of the sim's knowledge about tables helps it. */
__attribute__((noinline)) static void write_entries(uint64_t *const *tables, uint64_t frame, uint64_t bits)
{
    for (uint64_t t = 0; t < PAGES / ARCH_ENTRIES; t++)
        for (uint64_t i = 0; i < ARCH_ENTRIES; i++)
            tables[t][i] = (frame + t * ARCH_ENTRIES + i) << ASPACE_PAGE_BITS | bits;
}

static void bench_floor(void)
{
    size_t size = PAGES * sizeof(uint64_t);
    uint64_t **tables = malloc(PAGES / ARCH_ENTRIES * sizeof(*tables));
    uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t began;

    must(tables && memory != MAP_FAILED, "mmap");
    for (uint64_t t = 0; t < PAGES / ARCH_ENTRIES; t++)
        tables[t] = (uint64_t *)(void *)(memory + t * ASPACE_PAGE_SIZE);
    began = clock_ns();
    write_entries(tables, 1000, 7);
    keep_least(&rows[MAP_COLD].floor, per_page(began));
    for (int i = 0; i < 3; i++) {
        began = clock_ns();
        write_entries(tables, 1000, 5 + i);
        keep_least(&rows[MAP_WARM].floor, per_page(began));
    }
    evict();
    began = clock_ns();
    write_entries(tables, 1000, 9);
    keep_least(&rows[PROTECT_COLD].floor, per_page(began));
    rows[UNMAP_COLD].floor = rows[PROTECT_COLD].floor;
    rows[CLONE_COLD].floor = rows[CLONE_WARM].floor = rows[PROTECT].floor = rows[UNMAP].floor = rows[MAP_WARM].floor;
    rows[SNAPSHOT].floor = rows[RESTORE].floor = rows[DIFF].floor = rows[MAP_WARM].floor;
    munmap(memory, size);
    free(tables);
}

static void bench_gib(void)
{
    struct backend *backend = new_machine();
    struct memory_set set;
    uint64_t began;

    memory_set_init(&set, sim_default_bounds("x86_64"), backend, ASPACE_MERGE_OFF, SIZE_MAX);
    for (int i = 0; i < 4; i++) {
        bool cold = i == 3;

        began = clock_ns();
        map_at(&set, PAGES, PAGES, ASPACE_BACKING_EAGER);
        keep_least(&rows[i ? MAP_WARM : MAP_COLD].ns, per_page(began));
        if (cold)
            evict();
        began = clock_ns();
        protect_at(&set, PAGES, PAGES, ASPACE_READ);
        keep_least(&rows[cold ? PROTECT_COLD : PROTECT].ns, per_page(began));
        if (cold)
            evict();
        began = clock_ns();
        unmap_at(&set, PAGES, PAGES);
        keep_least(&rows[cold ? UNMAP_COLD : UNMAP].ns, per_page(began));
    }
    memory_set_free(&set);
    backend->ops->destroy(backend);
}

/* Map, protect and unmap of one architecture, warm. */
static void bench_other(unsigned i)
{
    struct backend *backend = new_machine_of(others[i]);
    struct memory_set set;
    uint64_t began;

    memory_set_init(&set, sim_default_bounds(others[i]), backend, ASPACE_MERGE_OFF, SIZE_MAX);
    for (int run = 0; run < 3; run++) {
        began = clock_ns();
        map_at(&set, PAGES, PAGES, ASPACE_BACKING_EAGER);
        protect_at(&set, PAGES, PAGES, ASPACE_READ);
        unmap_at(&set, PAGES, PAGES);
        if (run)
            keep_least(&rows[OTHERS + i].ns, per_page(began));
    }
    rows[OTHERS + i].floor = 3 * rows[MAP_WARM].floor;
    memory_set_free(&set);
    backend->ops->destroy(backend);
}

static void bench_clone(void)
{
    struct backend *backend = new_machine();
    struct backend *clone;
    struct refusal refusal;
    struct memory_set set;
    uint64_t began;

    memory_set_init(&set, sim_default_bounds("x86_64"), backend, ASPACE_MERGE_OFF, SIZE_MAX);
    map_at(&set, PAGES, PAGES, ASPACE_BACKING_EAGER);
    for (int i = 0; i < 3; i++) {
        began = clock_ns();
        must(backend->ops->clone(backend, &refusal, &clone) == ASPACE_OK, "clone");
        keep_least(&rows[i ? CLONE_WARM : CLONE_COLD].ns, per_page(began));
        clone->ops->destroy(clone);
    }
    memory_set_free(&set);
    backend->ops->destroy(backend);
}

/* Every 256th page is written to in between. */
static void bench_snapshots(void)
{
    struct space_options options = {
        .name = "s", .arch = "x86_64", .bounds = sim_default_bounds("x86_64"), .max_areas = SIZE_MAX};
    struct space_diff diff;
    struct space *space;
    uint8_t byte = 1;
    uint64_t began;

    must(space_create(&options, new_machine(), &why, &space) == ASPACE_OK, "space_create");
    map_at(&space->set, PAGES, PAGES, ASPACE_BACKING_EAGER);
    for (int i = 0; i < 3; i++) {
        began = clock_ns();
        must(space_snapshot(space, "kept", 1, &why) == ASPACE_OK, "snapshot");
        keep_least(&rows[SNAPSHOT].ns, per_page(began));
        for (uint64_t page = PAGES; page < 2 * PAGES; page += 256)
            must(space_write(space, page_addr(page), &byte, 1, &why) == ASPACE_OK, "write");
        began = clock_ns();
        must(space_diff(space, space->snapshots[0], options.bounds, 10000, false, &why, &diff) == ASPACE_OK, "diff");
        keep_least(&rows[DIFF].ns, per_page(began));
        must(diff.written.pages == PAGES / 256, "diff");
        space_diff_free(&diff);
        began = clock_ns();
        must(space_restore(space, "kept", &why) == ASPACE_OK, "restore");
        keep_least(&rows[RESTORE].ns, per_page(began));
        must(space_drop(space, "kept", &why) == ASPACE_OK, "drop");
    }
    space_destroy(space);
}

/* ---- One page ---- */

static double time_pairs(struct backend *backend, enum aspace_backing backing)
{
    static uint64_t places[PAIRS];
    struct memory_set set;
    uint64_t began;
    double ns;

    memory_set_init(&set, sim_default_bounds("x86_64"), backend, ASPACE_MERGE_OFF, SIZE_MAX);
    for (uint64_t i = 0; i < AREAS; i++)
        map_at(&set, 1 + 2 * i, 1, backing);
    for (int i = 0; i < PAIRS; i++)
        places[i] = 1 + 2 * random_below(AREAS);
    began = clock_ns();
    for (int i = 0; i < PAIRS; i++) {
        unmap_at(&set, places[i], 1);
        map_at(&set, places[i], 1, backing);
    }
    ns = (double)(clock_ns() - began) / PAIRS;
    memory_set_free(&set);
    return ns;
}

static void bench_pairs(void)
{
    struct backend *machine = new_machine();

    keep_least(&rows[PAIR_EAGER].floor, time_pairs(&nop_backend, ASPACE_BACKING_EAGER));
    keep_least(&rows[PAIR_EAGER].ns, time_pairs(machine, ASPACE_BACKING_EAGER));
    machine->ops->destroy(machine);
    machine = new_machine();
    keep_least(&rows[PAIR_LAZY].floor, time_pairs(&nop_backend, ASPACE_BACKING_LAZY));
    keep_least(&rows[PAIR_LAZY].ns, time_pairs(machine, ASPACE_BACKING_LAZY));
    machine->ops->destroy(machine);
}

/* ---- Walks ---- */

/* Four levels of x86-64's format, all of them present. */
static uint64_t bare_walk(const uint8_t *ram, uint64_t root, uint64_t addr)
{
    uint64_t at = root;

#pragma GCC unroll 4
    for (unsigned shift = 39; shift >= 12; shift -= 9)
        at = ((const uint64_t *)(const void *)(ram + at))[addr >> shift & 511] & UINT64_C(0x000ffffffffff000);
    return at | (addr & 4095);
}

/* 0, but the compiler cannot know: what was found, masked with it, makes the next walk wait for this one. */
static volatile uint64_t opaque_zero;

/* `chain` is known where these are inlined: else the compiler might have every walk wait. */
static inline __attribute__((always_inline)) double time_bare(const struct sim *sim, const uint64_t *addrs, bool chain)
{
    uint64_t mask = opaque_zero;
    uint64_t root = page_addr(sim->root);
    uint64_t began = clock_ns();
    uint64_t carry = 0;
    uint64_t sum = 0;

    for (int i = 0; i < WALKS; i++) {
        uint64_t pa = bare_walk(sim->frames.bytes, root, addrs[i] + carry);

        sum += pa;
        if (chain)
            carry = pa & mask;
    }
    must(sum != 0, "bare walk");
    return (double)(clock_ns() - began) / WALKS;
}

static inline __attribute__((always_inline)) double time_walks(struct backend *backend, const uint64_t *addrs,
                                                               bool chain)
{
    uint64_t mask = opaque_zero;
    uint64_t began = clock_ns();
    uint64_t carry = 0;
    struct walk walk;

    for (int i = 0; i < WALKS; i++) {
        must(backend->ops->walk(backend, addrs[i] + carry, &why, &walk) == ASPACE_OK && walk.has_pa, "walk");
        if (chain)
            carry = walk.pa & mask;
    }
    return (double)(clock_ns() - began) / WALKS;
}

static double time_accesses(struct backend *backend, const struct area *area, const uint64_t *addrs)
{
    uint64_t began = clock_ns();
    struct access access;

    for (int i = 0; i < WALKS; i++) {
        must(backend->ops->access(backend, area, addrs[i], ASPACE_ACCESS_WRITE, ASPACE_MODE_USER, &why, &access) ==
                     ASPACE_OK &&
                 access.outcome == ASPACE_OUTCOME_HIT,
             "access");
        backend->ops->commit(backend);
    }
    return (double)(clock_ns() - began) / WALKS;
}

static void bench_walks(void)
{
    struct area area = {.range = {PAGES, 2 * PAGES}, .attr = {.flags = RW, .backing = ASPACE_BACKING_EAGER}};
    struct backend *backend = new_machine();
    const struct sim *sim = sim_of(backend);
    uint64_t *addrs = malloc(WALKS * sizeof(*addrs));

    must(addrs && backend->ops->map(backend, &area, &why) == ASPACE_OK, "map");
    backend->ops->commit(backend);
    for (int i = 0; i < WALKS; i++)
        addrs[i] = page_addr(PAGES) + random_below(PAGES << ASPACE_PAGE_BITS);
    time_accesses(backend, &area, addrs); /* sets the bits that hardware sets once */
    for (int i = 0; i < ROUNDS; i++) {
        keep_least(&rows[WALK].floor, time_bare(sim, addrs, false));
        keep_least(&rows[WALK].ns, time_walks(backend, addrs, false));
        keep_least(&rows[WALK_CHAIN].floor, time_bare(sim, addrs, true));
        keep_least(&rows[WALK_CHAIN].ns, time_walks(backend, addrs, true));
        keep_least(&rows[ACCESS].ns, time_accesses(backend, &area, addrs));
    }
    rows[ACCESS].floor = rows[WALK].floor;
    backend->ops->destroy(backend);
    free(addrs);
}

/* ---- A run ---- */

static void print_table(void)
{
    printf("the simulated machine, x86_64 if none is named; ns, the least of %d runs, of %d for pages alone\n\n",
           REPEATS, ROUNDS);
    printf("%-36s %-7s %9s   %-24s %9s %7s %7s\n", "", "per", "ns", "floor", "ns", "ratio", "over");
    for (int i = 0; i < ROWS; i++)
        printf("%-36s %-7s %9.2f   %-24s %9.2f %7.2f %7.2f\n", rows[i].name, rows[i].unit, rows[i].ns,
               rows[i].floor_name, rows[i].floor, rows[i].ns / rows[i].floor, rows[i].ns - rows[i].floor);
}

static void print_json(void)
{
    printf("{\"unit\":\"ns\",\"arch\":\"x86_64\",\"rows\":[");
    for (int i = 0; i < ROWS; i++)
        printf("%s{\"name\":\"%s\",\"per\":\"%s\",\"ns\":%.3f,\"floor\":\"%s\",\"floor_ns\":%.3f}", i ? "," : "",
               rows[i].name, rows[i].unit, rows[i].ns, rows[i].floor_name, rows[i].floor);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

    if (argc > 2 || (argc == 2 && !json)) {
        fprintf(stderr, "usage: bench_sim [--json]\n");
        return 2;
    }
    for (int i = 0; i < REPEATS; i++) {
        bench_floor();
        bench_gib();
        for (unsigned other = 0; other < sizeof(others) / sizeof(*others); other++)
            bench_other(other);
        bench_clone();
        bench_snapshots();
    }
    for (int i = 0; i < ROUNDS; i++)
        bench_pairs();
    bench_walks();
    if (json)
        print_json();
    else
        print_table();
    return 0;
}
