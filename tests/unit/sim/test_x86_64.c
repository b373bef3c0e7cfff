/* Entries of x86-64 against values worked out by hand from the SDM, volume 3A, table 4-20 (a leaf: P is bit 0, R/W 1,
 * U/S 2, PWT 3, PCD 4, A 5, D 6, G 8, XD 63) and table 4-19 (an entry that leads to a table: no D, no G). The
 * constants are written out: nothing of x86_64.c makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/arch.h"

#define ARCH (&arch_x86_64)

#define R    ASPACE_READ
#define W    ASPACE_WRITE
#define X    ASPACE_EXEC
#define KRNL ASPACE_KERNEL
#define GLOB ASPACE_GLOBAL
#define DEV  ASPACE_DEVICE
#define UNC  ASPACE_UNCACHED

struct sample {
    uint16_t flags;
    uint64_t entry;
    uint16_t back; /* what the entry allows: the flags, widened */
};

static const struct sample samples[] = {
    /* user: P and U are 5; W 2; XD the top bit */
    {R, UINT64_C(0x8000000000000005), R},
    {R | W, UINT64_C(0x8000000000000007), R | W},
    {R | X, UINT64_C(0x0000000000000005), R | X},
    {R | W | X, UINT64_C(0x0000000000000007), R | W | X},
    /* supervisor: P is 1 */
    {R | KRNL, UINT64_C(0x8000000000000001), R | KRNL},
    {R | W | KRNL, UINT64_C(0x8000000000000003), R | W | KRNL},
    {R | X | KRNL, UINT64_C(0x0000000000000001), R | X | KRNL},
    {R | W | X | KRNL, UINT64_C(0x0000000000000003), R | W | X | KRNL},
    /* global: 0x100 */
    {R | GLOB, UINT64_C(0x8000000000000105), R | GLOB},
    {R | W | X | GLOB, UINT64_C(0x0000000000000107), R | W | X | GLOB},
    {R | W | KRNL | GLOB, UINT64_C(0x8000000000000103), R | W | KRNL | GLOB},
    {R | X | KRNL | GLOB, UINT64_C(0x0000000000000101), R | X | KRNL | GLOB},
    /* device: PCD and PWT, 0x18; uncached: PCD alone, 0x10 */
    {R | DEV, UINT64_C(0x800000000000001d), R | DEV},
    {R | W | DEV, UINT64_C(0x800000000000001f), R | W | DEV},
    {R | W | KRNL | DEV, UINT64_C(0x800000000000001b), R | W | KRNL | DEV},
    {R | W | X | UNC, UINT64_C(0x0000000000000017), R | W | X | UNC},
    {R | UNC, UINT64_C(0x8000000000000015), R | UNC},
    {R | W | KRNL | GLOB | UNC, UINT64_C(0x8000000000000113), R | W | KRNL | GLOB | UNC},
    {R | W | KRNL | GLOB | DEV, UINT64_C(0x800000000000011b), R | W | KRNL | GLOB | DEV},
    {R | W | DEV | UNC, UINT64_C(0x800000000000001f), R | W | DEV}, /* the stronger one wins */
    /* shared says nothing in an entry */
    {R | W | ASPACE_SHARED, UINT64_C(0x8000000000000007), R | W},
    /* widened: whatever may be touched may be read */
    {W, UINT64_C(0x8000000000000007), R | W},
    {X, UINT64_C(0x0000000000000005), R | X},
    {W | X, UINT64_C(0x0000000000000007), R | W | X},
    {W | KRNL, UINT64_C(0x8000000000000003), R | W | KRNL},
    {X | KRNL, UINT64_C(0x0000000000000001), R | X | KRNL},
    /* nothing may be touched: not present, and not 0 so that it keeps its frame; other attributes wait in the area */
    {0, UINT64_C(0x0000000000000100), 0},
    {KRNL, UINT64_C(0x0000000000000100), 0},
    {GLOB | DEV, UINT64_C(0x0000000000000100), 0},
};

#define SAMPLES (sizeof(samples) / sizeof(*samples))

static void area_flags_become_the_bits_that_the_manual_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(ARCH->encode(samples[i].flags, 1), samples[i].entry);
}

static void an_entry_says_the_flags_that_it_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(ARCH->decode(samples[i].entry, true), samples[i].back);
}

static void address_and_used_bits_say_nothing_about_flags(void **state)
{
    const uint64_t rest = UINT64_C(0x000ffffffffffe60); /* bits 51:12, 11:9, D and A */

    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(ARCH->decode(samples[i].entry | rest, true), samples[i].back);
}

/* With P = 0 the hardware ignores every other bit (SDM table 4-20). */
static void an_entry_that_is_not_present_allows_nothing(void **state)
{
    (void)state;
    assert_int_equal(ARCH->decode(0, true), 0);
    assert_int_equal(ARCH->decode(UINT64_C(0xfffffffffffffffe), true), 0);
    assert_int_equal(ARCH->decode(UINT64_C(0xfffffffffffffffe), false), 0);
}

/* Above a leaf PCD and PWT are about the access to the next table, and bit 8 is ignored. */
static void an_entry_that_leads_to_a_table_has_permissions_and_no_memory_type(void **state)
{
    (void)state;
    assert_int_equal(ARCH->decode(UINT64_C(0x0000000012345067), false), R | W | X);
    assert_int_equal(ARCH->decode(UINT64_C(0x000000001234511f), false), R | W | X);
    assert_int_equal(ARCH->decode(UINT64_C(0x8000000012345001), false), R | KRNL);
}

static void every_combination_of_flags_sets_only_bits_that_are_about_flags(void **state)
{
    const uint64_t about_flags = UINT64_C(0x800000000000011f);

    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        uint64_t entry = ARCH->encode((uint16_t)flags, 1);

        assert_int_equal(entry & ~about_flags, 0);
        assert_int_not_equal(entry, 0); /* 0 means that there is no page */
        assert_int_equal(entry & 1, (flags & (R | W | X)) != 0);
        assert_int_equal(ARCH->encode((uint16_t)(flags & ~(unsigned)ASPACE_SHARED), 1), entry);
        if (entry & 1) /* what an entry allows encodes to the same entry */
            assert_int_equal(ARCH->encode(ARCH->decode(entry, true), 1), entry);
    }
    assert_int_equal(ARCH->flags, about_flags | 0x80); /* and the bit of a large leaf */
}

static void the_fields_of_an_entry_do_not_overlap_and_lie_where_the_manual_says(void **state)
{
    (void)state;
    assert_int_equal(ARCH->address, UINT64_C(0x000ffffffffff000));
    assert_int_equal(ARCH->used, 0x60);                    /* A and D */
    assert_int_equal(ARCH->special & ~UINT64_C(0xe00), 0); /* one of the ignored bits 11:9 */
    assert_int_equal(ARCH->flags & (ARCH->address | ARCH->used | ARCH->special), 0);
    assert_int_equal(ARCH->making, 7);
}

/* SDM tables 4-15 and 4-17: bit 7 of a leaf that maps 1 GiB or 2 MiB is 1; an entry that is not present has none. */
static void a_large_leaf_has_bit_7_and_a_small_one_has_not(void **state)
{
    (void)state;
    assert_int_equal(ARCH->encode(R | W, 2), UINT64_C(0x8000000000000087));
    assert_int_equal(ARCH->encode(R | X | KRNL | GLOB, 3), UINT64_C(0x0000000000000181));
    assert_int_equal(ARCH->lower(UINT64_C(0x80000000400000e7), 2), UINT64_C(0x80000000400000e7));
    assert_int_equal(ARCH->lower(UINT64_C(0x80000000400000e7), 1), UINT64_C(0x8000000040000067));
    assert_false(arch_is_table(ARCH, UINT64_C(0x80000000400000e7)));
    assert_true(arch_is_table(ARCH, UINT64_C(0x0000000012345067)));
    assert_false(arch_is_table(ARCH, UINT64_C(0x0000000012345066)));
}

/* SDM figure 4-12: P is bit 0, W/R 1, U/S 2, I/D 4; a general protection fault over an address has code 0. */
static void the_bits_of_a_fault_code_are_the_manuals(void **state)
{
    (void)state;
    assert_int_equal(ARCH->code(FAULT_NOT_PRESENT, 1, ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL), 0x00);
    assert_int_equal(ARCH->code(FAULT_NOT_PRESENT, 4, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER), 0x06);
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 1, ASPACE_ACCESS_READ, ASPACE_MODE_USER), 0x05);
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 2, ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL), 0x03);
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 1, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER), 0x15);
    assert_int_equal(ARCH->code(FAULT_UNTRANSLATED, 4, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER), 0x00);
}

static void addresses_whose_top_17_bits_are_alike_are_canonical_and_no_others(void **state)
{
    static const uint64_t good[] = {
        0, UINT64_C(0x1000), UINT64_C(0x00007fffffffffff), UINT64_C(0xffff800000000000), UINT64_C(0xffffffffffffffff),
    };
    static const uint64_t bad[] = {
        UINT64_C(0x0000800000000000), UINT64_C(0x0001000000000000), UINT64_C(0x7fffffffffffffff),
        UINT64_C(0x8000000000000000), UINT64_C(0xfffe800000000000), UINT64_C(0xffff7fffffffffff),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(arch_translates(ARCH, good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(arch_translates(ARCH, bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(area_flags_become_the_bits_that_the_manual_names),
        cmocka_unit_test(an_entry_says_the_flags_that_it_allows),
        cmocka_unit_test(address_and_used_bits_say_nothing_about_flags),
        cmocka_unit_test(an_entry_that_is_not_present_allows_nothing),
        cmocka_unit_test(an_entry_that_leads_to_a_table_has_permissions_and_no_memory_type),
        cmocka_unit_test(every_combination_of_flags_sets_only_bits_that_are_about_flags),
        cmocka_unit_test(the_fields_of_an_entry_do_not_overlap_and_lie_where_the_manual_says),
        cmocka_unit_test(a_large_leaf_has_bit_7_and_a_small_one_has_not),
        cmocka_unit_test(the_bits_of_a_fault_code_are_the_manuals),
        cmocka_unit_test(addresses_whose_top_17_bits_are_alike_are_canonical_and_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
