/* Entries of x86-64 against values worked out by hand from the SDM, volume 3A, table 4-20 (a leaf: P is bit 0, R/W 1,
 * U/S 2, PWT 3, PCD 4, A 5, D 6, G 8, XD 63) and table 4-19 (an entry that leads to a table: no D, no G). The
 * constants are written out: nothing of x86_64.h makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/x86_64.h"

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
        assert_int_equal(x86_encode(samples[i].flags), samples[i].entry);
}

static void an_entry_says_the_flags_that_it_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(x86_decode(samples[i].entry, true), samples[i].back);
}

static void address_and_used_bits_say_nothing_about_flags(void **state)
{
    const uint64_t rest = UINT64_C(0x000ffffffffffe60); /* bits 51:12, 11:9, D and A */

    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_int_equal(x86_decode(samples[i].entry | rest, true), samples[i].back);
}

/* With P = 0 the hardware ignores every other bit (SDM table 4-20). */
static void an_entry_that_is_not_present_allows_nothing(void **state)
{
    (void)state;
    assert_int_equal(x86_decode(0, true), 0);
    assert_int_equal(x86_decode(UINT64_C(0xfffffffffffffffe), true), 0);
    assert_int_equal(x86_decode(UINT64_C(0xfffffffffffffffe), false), 0);
}

/* Above a leaf PCD and PWT are about the access to the next table, and bit 8 is ignored. */
static void an_entry_that_leads_to_a_table_has_permissions_and_no_memory_type(void **state)
{
    (void)state;
    assert_int_equal(x86_decode(UINT64_C(0x0000000012345067), false), R | W | X);
    assert_int_equal(x86_decode(UINT64_C(0x000000001234511f), false), R | W | X);
    assert_int_equal(x86_decode(UINT64_C(0x8000000012345001), false), R | KRNL);
}

static void every_combination_of_flags_sets_only_bits_that_are_about_flags(void **state)
{
    const uint64_t about_flags = UINT64_C(0x800000000000011f);

    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        uint64_t entry = x86_encode((uint16_t)flags);

        assert_int_equal(entry & ~about_flags, 0);
        assert_int_not_equal(entry, 0); /* 0 means that there is no page */
        assert_int_equal(entry & 1, (flags & (R | W | X)) != 0);
        assert_int_equal(x86_encode((uint16_t)(flags & ~(unsigned)ASPACE_SHARED)), entry);
        if (entry & 1) /* what an entry allows encodes to the same entry */
            assert_int_equal(x86_encode(x86_decode(entry, true)), entry);
    }
    assert_int_equal(X86_FLAGS, about_flags);
}

static void the_fields_of_an_entry_do_not_overlap_and_lie_where_the_manual_says(void **state)
{
    (void)state;
    assert_int_equal(X86_ADDRESS, UINT64_C(0x000ffffffffff000));
    assert_int_equal(X86_ACCESSED, 0x20);
    assert_int_equal(X86_DIRTY, 0x40);
    assert_int_equal(X86_SPECIAL & ~UINT64_C(0xe00), 0); /* one of the ignored bits 11:9 */
    assert_int_equal(X86_FLAGS & (X86_ADDRESS | X86_ACCESSED | X86_DIRTY | X86_SPECIAL), 0);
    assert_int_equal(X86_TABLE, 7);
}

/* SDM figure 4-12: P is bit 0, W/R 1, U/S 2, I/D 4. */
static void the_bits_of_a_fault_code_are_the_manuals(void **state)
{
    (void)state;
    assert_int_equal(X86_FAULT_PRESENT, 0x01);
    assert_int_equal(X86_FAULT_WRITE, 0x02);
    assert_int_equal(X86_FAULT_USER, 0x04);
    assert_int_equal(X86_FAULT_FETCH, 0x10);
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
        assert_true(x86_canonical(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(x86_canonical(bad[i]));
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
        cmocka_unit_test(the_bits_of_a_fault_code_are_the_manuals),
        cmocka_unit_test(addresses_whose_top_17_bits_are_alike_are_canonical_and_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
