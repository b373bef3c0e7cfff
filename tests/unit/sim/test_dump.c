/* The dump of the tables: names of levels and bits against entries worked out by hand from the manuals, runs, where it
 * begins and where it is ended. */
#include "machine_fixture.h"

#include <string.h>

#define KRNL ASPACE_KERNEL
#define GLOB ASPACE_GLOBAL

#define TOLD_MAX 64

struct told {
    struct dump_entry entries[TOLD_MAX];
    unsigned count;
    unsigned most; /* the dump is ended after so many */
};

static bool take(void *arg, const struct dump_entry *entry)
{
    struct told *told = arg;

    assert_in_range(told->count, 0, TOLD_MAX - 1);
    if (told->count == told->most)
        return false;
    told->entries[told->count++] = *entry;
    return true;
}

static void dump(struct machine *m, uint64_t start, struct told *told)
{
    told->count = 0;
    told->most = told->most ? told->most : TOLD_MAX;
    m->backend->ops->dump(m->backend, start, take, told);
}

static void expect(const struct dump_entry *entry, const char *name, uint64_t page, uint64_t pages, uint64_t count,
                   const char *bits)
{
    assert_string_equal(entry->name, name);
    assert_int_equal(entry->start, page_addr(page));
    assert_int_equal(entry->size, page_addr(pages));
    assert_int_equal(entry->count, count);
    assert_string_equal(entry->bits, bits);
}

/* ---- Bits ---- */

struct text {
    uint64_t entry;
    bool leaf;
    const char *bits;
};

static void expect_texts(const char *name, const struct text *texts, size_t count)
{
    char buffer[ARCH_TEXT_MAX];

    for (size_t i = 0; i < count; i++)
        assert_string_equal(arch_describe(arch_find(name), texts[i].entry, texts[i].leaf, buffer), texts[i].bits);
}

#define EXPECT_TEXTS(name, texts) expect_texts(name, texts, sizeof(texts) / sizeof(*(texts)))

/* SDM 4.5.4: P 0, R/W 1, U/S 2, PWT 3, PCD 4, A 5, D 6, PS 7, G 8, XD 63; the address is bits 51:12. */
static void bits_of_x86_64_have_the_names_of_the_manual(void **state)
{
    static const struct text texts[] = {
        {UINT64_C(0x0000000000001007), false, "P RW US"},
        {UINT64_C(0x0000000000001027), false, "P RW US A"},
        {UINT64_C(0x8000000012345067), true, "P RW US A D XD"},
        {UINT64_C(0x0000000012345001), true, "P"},
        {UINT64_C(0x000fffffffe00187), true, "P RW US PS G"},
        {UINT64_C(0x800000000000011b), true, "P RW PWT PCD G XD"},
        {UINT64_C(0x8000000000000213), true, "P RW PCD XD linear"},
        {UINT64_C(0x8000000000000405), true, "P US XD shared"},
        {UINT64_C(0x0000000000005100), true, "kept"},
        {UINT64_C(0x0000000000005560), true, "A D kept shared"},
        {UINT64_C(0x0010000000000803), true, "P RW 0x10000000000800"}, /* 52 and 11 are nobody's */
        {UINT64_C(0x0000000000001087), false, "P RW US 0x80"},         /* PS, in an entry that is said to lead on */
    };

    (void)state;
    EXPECT_TEXTS("x86_64", texts);
    EXPECT_TEXTS("x86_64-la57", texts);
}

/* D8.3: valid 0, table or page 1, AttrIndx 4:2, AP 7:6, SH 9:8, AF 10, nG 11, DBM 51, PXN 53, UXN 54. */
static void bits_of_aarch64_have_the_names_of_the_manual(void **state)
{
    static const struct text texts[] = {
        {UINT64_C(0x0000000000001003), false, "TABLE"},
        {UINT64_C(0x0068000000001fc3), true, "PAGE AP1 AP2 ISH AF nG DBM PXN UXN Attr0"},
        {UINT64_C(0x0060000000200781), true, "BLOCK AP2 ISH AF PXN UXN Attr0"},
        {UINT64_C(0x0160000000001ac7), true, "PAGE AP1 AP2 nG PXN UXN Attr1 linear 0x200"}, /* half of SH */
        {UINT64_C(0x00680000000018cb), true, "PAGE AP1 AP2 nG DBM PXN UXN Attr2"},
        {UINT64_C(0x0200000000005080), true, "kept"},
        {UINT64_C(0x0680000000005480), true, "AF kept shared written"},
    };

    (void)state;
    EXPECT_TEXTS("aarch64", texts);
}

/* 4.3.1: V 0, R 1, W 2, X 3, U 4, G 5, A 6, D 7, RSW 9:8, PPN 53:10, PBMT 62:61. */
static void bits_of_riscv_have_the_names_of_the_manual(void **state)
{
    static const struct text texts[] = {
        {UINT64_C(0x0000000000000401), false, "V"},
        {UINT64_C(0x00000000000004d7), true, "V R W U A D"},
        {UINT64_C(0x0000000000000429), true, "V X G"},
        {UINT64_C(0x2000000000000403), true, "V R NC"},
        {UINT64_C(0x4000000000000507), true, "V R W IO linear"},
        {UINT64_C(0x0000000000000613), true, "V R U shared"},
        {UINT64_C(0x0000000000000420), true, "kept"},
        {UINT64_C(0x6000000000000403), true, "V R 0x6000000000000000"}, /* PBMT 3 is reserved */
    };

    (void)state;
    EXPECT_TEXTS("riscv-sv39", texts);
    EXPECT_TEXTS("riscv-sv48", texts);
    EXPECT_TEXTS("riscv-sv57", texts);
}

/* ---- The tree ---- */

struct shape {
    const char *arch;
    unsigned levels;
    const char *names[5]; /* from the root on */
    const char *table;    /* bits of an entry that leads to a table */
    const char *page;     /* of a page rw- */
    const char *large;    /* of a leaf of 2 MiB r-x,kernel */
};

static const struct shape shapes[] = {
    {"x86_64", 4, {"PML4", "PDPT", "PD", "PT"}, "P RW US", "P RW US XD linear", "P PS linear"},
    {"x86_64-la57", 5, {"PML5", "PML4", "PDPT", "PD", "PT"}, "P RW US", "P RW US XD linear", "P PS linear"},
    {"aarch64",
     4,
     {"L0", "L1", "L2", "L3"},
     "TABLE",
     "PAGE AP1 AP2 ISH nG DBM PXN UXN Attr0 linear",
     "BLOCK AP2 ISH nG UXN Attr0 linear"},
    {"riscv-sv39", 3, {"VPN2", "VPN1", "VPN0"}, "V", "V R W U linear", "V R X linear"},
    {"riscv-sv48", 4, {"VPN3", "VPN2", "VPN1", "VPN0"}, "V", "V R W U linear", "V R X linear"},
    {"riscv-sv57", 5, {"VPN4", "VPN3", "VPN2", "VPN1", "VPN0"}, "V", "V R W U linear", "V R X linear"},
};

/* Pages 3 to 9 of the first table of level 1, and two leaves of level 2 behind what that covers. */
static void every_architecture_has_its_levels_and_its_runs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        const struct shape *s = &shapes[i];
        struct area large = machine_linear(2 * SPAN2, 2 * SPAN2, RX | KRNL, 6 * SPAN2);
        struct machine m;
        struct told told = {.most = 0};

        machine_open_arch(&m, s->arch, 64);
        machine_map(&m, machine_linear(3, 7, RW, 1000));
        large.attr.page = ASPACE_PAGE_2M;
        machine_map(&m, large);
        dump(&m, 0, &told);
        assert_int_equal(told.count, s->levels + 1);
        for (unsigned level = s->levels; level > 1; level--) {
            const struct dump_entry *entry = &told.entries[s->levels - level];

            expect(entry, s->names[s->levels - level], 0, arch_span(level), 1, s->table);
            assert_int_equal(entry->at.level, level);
            assert_false(entry->at.leaf);
            assert_int_equal(entry->pa, entry[1].at.table);
        }
        expect(&told.entries[s->levels - 1], s->names[s->levels - 1], 3, 7, 7, s->page);
        assert_int_equal(told.entries[s->levels - 1].at.entry, machine_entry(&m, 3));
        assert_int_equal(told.entries[s->levels - 1].at.index, 3);
        expect(&told.entries[s->levels], s->names[s->levels - 2], 2 * SPAN2, 2 * SPAN2, 2, s->large);
        assert_int_equal(told.entries[s->levels - 1].pa, page_addr(1000));
        assert_int_equal(told.entries[s->levels].pa, page_addr(6 * SPAN2));
        assert_int_equal(told.entries[0].at.table, page_addr(m.sim->root));
        machine_close(&m);
    }
}

static void a_run_ends_where_flags_or_frames_do(void **state)
{
    struct area first = machine_linear(0, 4, RW, 100);
    struct area other = machine_linear(8, 4, RW, 300);
    struct machine m;
    struct told told = {.most = 0};

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, first);
    machine_map(&m, machine_linear(4, 4, RW | GLOB, 104)); /* the frames follow, the flags do not */
    machine_map(&m, other);                                /* the flags do, the frames do not */
    machine_map(&m, machine_linear(12, 4, RW, 304));       /* both follow: one run */
    dump(&m, 0, &told);
    assert_int_equal(told.count, 6);
    expect(&told.entries[3], "PT", 0, 4, 4, "P RW US XD linear");
    expect(&told.entries[4], "PT", 4, 4, 4, "P RW US G XD linear");
    expect(&told.entries[5], "PT", 8, 8, 8, "P RW US XD linear");
    assert_int_equal(told.entries[5].pa, page_addr(300));
    machine_close(&m);
}

static void pages_that_nobody_may_touch_are_told_with_their_frames(void **state)
{
    struct area area = machine_eager(0, 4, RW);
    struct machine m;
    struct told told = {.most = 0};
    uint64_t pa;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    pa = machine_walk(&m, 0).pa;
    machine_protect(&m, &area, 0);
    dump(&m, 0, &told);
    assert_int_equal(told.count, 4);
    expect(&told.entries[3], "PT", 0, 4, 4, "kept");
    assert_false(told.entries[3].at.present);
    assert_true(told.entries[3].at.leaf);
    assert_int_equal(told.entries[3].at.flags, 0);
    assert_int_equal(told.entries[3].pa, pa);
    machine_close(&m);
}

/* ---- Where it begins and ends ---- */

static void it_begins_with_the_tables_that_lead_to_the_start(void **state)
{
    struct machine m;
    struct told told = {.most = 0};

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_eager(0, 2, RW));
    machine_map(&m, machine_eager(10, 4, RW));
    machine_map(&m, machine_eager(SPAN2 + 1, 1, RW));
    machine_map(&m, machine_eager(SPAN4, 1, RW));
    dump(&m, page_addr(12), &told); /* inside of a run, which then begins there */
    assert_int_equal(told.count, 3 + 1 + 2 + 4);
    expect(&told.entries[3], "PT", 12, 2, 2, "P RW US XD");
    expect(&told.entries[4], "PD", SPAN2, SPAN2, 1, "P RW US");
    dump(&m, page_addr(SPAN2 + 1) + 5, &told); /* inside of a page, which is told whole */
    assert_int_equal(told.count, 3 + 1 + 4);
    expect(&told.entries[2], "PD", SPAN2, SPAN2, 1, "P RW US");
    expect(&told.entries[3], "PT", SPAN2 + 1, 1, 1, "P RW US XD");
    dump(&m, page_addr(SPAN4 + 1), &told); /* nothing is in them from there on, but they reach beyond */
    assert_int_equal(told.count, 3);
    dump(&m, page_addr(2 * SPAN4), &told);
    assert_int_equal(told.count, 0);
    dump(&m, UINT64_MAX, &told);
    assert_int_equal(told.count, 0);
    machine_close(&m);
}

static void the_one_who_takes_entries_ends_it(void **state)
{
    struct machine m;

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, machine_eager(0, 2, RW));
    machine_map(&m, machine_eager(SPAN2, 2, RW));
    for (unsigned most = 1; most <= 6; most++) {
        struct told told = {.most = most};

        dump(&m, 0, &told);
        assert_int_equal(told.count, most);
    }
    machine_close(&m);
}

static void addresses_of_the_upper_half_are_sign_extended(void **state)
{
    static const char *const archs[] = {"x86_64", "x86_64-la57", "riscv-sv39", "riscv-sv48", "riscv-sv57"};

    (void)state;
    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++) {
        const struct arch *arch = arch_find(archs[i]);
        struct range upper = {PAGE_LIMIT - page_of(arch_half(arch)), PAGE_LIMIT};
        struct area first = machine_eager(upper.start, 1, R);
        struct area last = machine_eager(PAGE_LIMIT - 1, 1, R);
        struct backend *backend;
        struct refusal why;
        struct told told = {.most = TOLD_MAX};

        assert_int_equal(sim_create(archs[i], page_addr(64), upper, &why, &backend), ASPACE_OK);
        assert_int_equal(backend->ops->map(backend, &first, &why), ASPACE_OK);
        assert_int_equal(backend->ops->map(backend, &last, &why), ASPACE_OK);
        backend->ops->commit(backend);
        backend->ops->dump(backend, arch_half(arch), take, &told); /* from between the halves on */
        assert_int_equal(told.count, 2 * arch->levels);
        assert_int_equal(told.entries[0].start, -arch_half(arch));
        assert_int_equal(told.entries[arch->levels - 1].start, -arch_half(arch));
        assert_int_equal(told.entries[2 * arch->levels - 1].start, -ASPACE_PAGE_SIZE);
        told.count = 0;
        backend->ops->dump(backend, UINT64_MAX, take, &told);
        assert_int_equal(told.count, arch->levels);
        assert_int_equal(told.entries[arch->levels - 1].start, -ASPACE_PAGE_SIZE);
        backend->ops->destroy(backend);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_x86_64_have_the_names_of_the_manual),
        cmocka_unit_test(bits_of_aarch64_have_the_names_of_the_manual),
        cmocka_unit_test(bits_of_riscv_have_the_names_of_the_manual),
        cmocka_unit_test(every_architecture_has_its_levels_and_its_runs),
        cmocka_unit_test(a_run_ends_where_flags_or_frames_do),
        cmocka_unit_test(pages_that_nobody_may_touch_are_told_with_their_frames),
        cmocka_unit_test(it_begins_with_the_tables_that_lead_to_the_start),
        cmocka_unit_test(the_one_who_takes_entries_ends_it),
        cmocka_unit_test(addresses_of_the_upper_half_are_sign_extended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
