/* Descriptors of AArch64 against values worked out by hand from ARM DDI 0487J.a, D8.3 (block and page descriptors of
 * stage 1): valid is bit 0, page or table bit 1, AttrIndx bits 4:2, AP[1] 6, AP[2] 7, SH bits 9:8, AF 10, nG 11, DBM 51,
 * PXN 53, UXN 54. The constants are written out: nothing of aarch64.c makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/arch.h"

#define ARCH (&arch_aarch64)
#define R    ASPACE_READ
#define W    ASPACE_WRITE
#define X    ASPACE_EXEC
#define KRNL ASPACE_KERNEL
#define GLOB ASPACE_GLOBAL
#define DEV  ASPACE_DEVICE
#define UNC  ASPACE_UNCACHED

struct sample {
    uint16_t flags;
    uint64_t entry; /* a page */
    uint16_t back;  /* what it allows: the flags, widened */
};

static const struct sample samples[] = {
    /* EL0: page 3, AP[1] 0x40, AP[2] 0x80, inner shareable 0x300, nG 0x800; PXN bit 53 always, UXN bit 54; DBM bit 51 */
    {R, UINT64_C(0x0060000000000bc3), R},
    {R | W, UINT64_C(0x0068000000000bc3), R | W},
    {R | X, UINT64_C(0x0020000000000bc3), R | X},
    {R | W | X, UINT64_C(0x0028000000000bc3), R | W | X},
    {X, UINT64_C(0x0020000000000b83), X}, /* AP[1] = 0: data is out of reach for EL0 */
    {W, UINT64_C(0x0068000000000bc3), R | W},
    {W | X, UINT64_C(0x0028000000000bc3), R | W | X},
    /* EL1: AP[1] = 0, UXN always */
    {R | KRNL, UINT64_C(0x0060000000000b83), R | KRNL},
    {R | W | KRNL, UINT64_C(0x0068000000000b83), R | W | KRNL},
    {R | X | KRNL, UINT64_C(0x0040000000000b83), R | X | KRNL},
    {R | W | X | KRNL, UINT64_C(0x0048000000000b83), R | W | X | KRNL},
    {X | KRNL, UINT64_C(0x0040000000000b83), R | X | KRNL}, /* EL1 reads whatever is mapped */
    /* global: nG = 0 */
    {R | X | KRNL | GLOB, UINT64_C(0x0040000000000383), R | X | KRNL | GLOB},
    {R | W | GLOB, UINT64_C(0x00680000000003c3), R | W | GLOB},
    /* device: AttrIndx 2; uncached: AttrIndx 1, still shareable */
    {R | W | KRNL | DEV, UINT64_C(0x006800000000088b), R | W | KRNL | DEV},
    {R | W | UNC, UINT64_C(0x0068000000000bc7), R | W | UNC},
    {R | DEV | UNC, UINT64_C(0x00600000000008cb), R | DEV},
    {R | W | ASPACE_SHARED, UINT64_C(0x0068000000000bc3), R | W},
    /* nobody: invalid and not 0 */
    {0, UINT64_C(0x0200000000000080), 0},
    {KRNL | GLOB, UINT64_C(0x0200000000000080), 0},
};

#define SAMPLES (sizeof(samples) / sizeof(*samples))

static void area_flags_become_the_bits_that_the_manual_names_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_int_equal(ARCH->encode(samples[i].flags, 1), samples[i].entry);
        assert_int_equal(ARCH->decode(samples[i].entry, true), samples[i].back);
        /* the address, AF and the bits of software say nothing */
        assert_int_equal(ARCH->decode(samples[i].entry | UINT64_C(0x0580fffffffff400), true), samples[i].back);
    }
}

static void a_block_has_bit_1_clear_and_a_page_and_a_table_have_it_set(void **state)
{
    (void)state;
    assert_int_equal(ARCH->encode(R | W, 2), UINT64_C(0x0068000000000bc1));
    assert_int_equal(ARCH->encode(R | W, 3), UINT64_C(0x0068000000000bc1));
    assert_int_equal(ARCH->lower(UINT64_C(0x0068000040000fc1), 2), UINT64_C(0x0068000040000fc1));
    assert_int_equal(ARCH->lower(UINT64_C(0x0068000040000fc1), 1), UINT64_C(0x0068000040000fc3));
    assert_int_equal(ARCH->lower(UINT64_C(0x0200000040000080), 1), UINT64_C(0x0200000040000080));
    assert_int_equal(ARCH->making, 3);
    assert_true(arch_is_table(ARCH, UINT64_C(0x0000000012345003)));
    assert_false(arch_is_table(ARCH, UINT64_C(0x0068000040000fc1)));
    assert_false(arch_is_table(ARCH, UINT64_C(0x0200000040000080)));
    assert_int_equal(arch_frame(ARCH, UINT64_C(0x0068123456789fc3)), UINT64_C(0x123456789));
}

static bool allowed(uint64_t entry, enum aspace_access kind, enum aspace_mode mode)
{
    return ARCH->allows(entry, true, kind, mode);
}

static void el0_and_el1_may_what_ap_uxn_and_pxn_say(void **state)
{
    static const struct {
        uint64_t entry;
        const char *user, *kernel;
    } rows[] = {
        {UINT64_C(0x0060000000000bc3), "r", "r"},    /* AP 11 */
        {UINT64_C(0x0068000000000bc3), "rw", "rw"},  /* AP 11, DBM */
        {UINT64_C(0x0060000000000b43), "rw", "rw"},  /* AP 01 */
        {UINT64_C(0x0020000000000bc3), "rx", "r"},   /* UXN = 0 */
        {UINT64_C(0x0020000000000b83), "x", "r"},    /* AP 10: EL0 fetches alone */
        {UINT64_C(0x0040000000000b83), "", "rx"},    /* PXN = 0 */
        {UINT64_C(0x0048000000000b83), "", "rwx"},   /* and DBM */
        {UINT64_C(0x0000000000000b43), "rwx", "rw"}, /* writable by EL0: EL1 never fetches */
    };
    static const char kinds[] = "rwx";

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int kind = 0; kind < 3; kind++) {
            bool user = false;
            bool kernel = false;

            for (const char *c = rows[i].user; *c; c++)
                user |= *c == kinds[kind];
            for (const char *c = rows[i].kernel; *c; c++)
                kernel |= *c == kinds[kind];
            assert_int_equal(allowed(rows[i].entry, (enum aspace_access)kind, ASPACE_MODE_USER), user);
            assert_int_equal(allowed(rows[i].entry, (enum aspace_access)kind, ASPACE_MODE_KERNEL), kernel);
        }
}

/* D8.5: AF of the leaf; AP[2] goes with the first write. A table's descriptor has neither. */
static void hardware_sets_af_and_clears_ap2_of_the_leaf_alone(void **state)
{
    const uint64_t page = UINT64_C(0x0068000000000bc3);

    (void)state;
    assert_int_equal(ARCH->use(page, true, ASPACE_ACCESS_READ), UINT64_C(0x0068000000000fc3));
    assert_int_equal(ARCH->use(page, true, ASPACE_ACCESS_EXEC), UINT64_C(0x0068000000000fc3));
    assert_int_equal(ARCH->use(page, true, ASPACE_ACCESS_WRITE), UINT64_C(0x0068000000000f43));
    assert_int_equal(ARCH->use(UINT64_C(0x12345003), false, ASPACE_ACCESS_WRITE), UINT64_C(0x12345003));
}

/* D19.2.37: EC 31:26, IL 25, WnR 6, DFSC 5:0: 0b0001LL a translation fault, 0b0011LL a permission fault. */
static void esr_el1_is_the_manuals(void **state)
{
    (void)state;
    /* EC 0x24, a data abort from EL0: 0x90000000; IL: 0x02000000; translation, level 3 */
    assert_int_equal(ARCH->code(FAULT_NOT_PRESENT, 1, ASPACE_ACCESS_READ, ASPACE_MODE_USER), 0x92000007);
    assert_int_equal(ARCH->code(FAULT_NOT_PRESENT, 4, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER), 0x92000044);
    /* EC 0x25, from EL1 */
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 1, ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL), 0x9600004f);
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 2, ASPACE_ACCESS_READ, ASPACE_MODE_USER), 0x9200000e);
    /* EC 0x20 and 0x21: an instruction abort */
    assert_int_equal(ARCH->code(FAULT_PERMISSION, 3, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER), 0x8200000d);
    assert_int_equal(ARCH->code(FAULT_NOT_PRESENT, 2, ASPACE_ACCESS_EXEC, ASPACE_MODE_KERNEL), 0x86000006);
    /* outside of TTBR0's half: translation, level 0 */
    assert_int_equal(ARCH->code(FAULT_UNTRANSLATED, 4, ASPACE_ACCESS_READ, ASPACE_MODE_USER), 0x92000004);
}

static void addresses_of_48_bits_are_translated_and_no_others(void **state)
{
    (void)state;
    assert_true(arch_translates(ARCH, 0));
    assert_true(arch_translates(ARCH, UINT64_C(0x0000ffffffffffff)));
    assert_false(arch_translates(ARCH, UINT64_C(0x0001000000000000)));
    assert_false(arch_translates(ARCH, UINT64_C(0xffff000000000000)));
    assert_false(arch_translates(ARCH, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(area_flags_become_the_bits_that_the_manual_names_and_back),
        cmocka_unit_test(a_block_has_bit_1_clear_and_a_page_and_a_table_have_it_set),
        cmocka_unit_test(el0_and_el1_may_what_ap_uxn_and_pxn_say),
        cmocka_unit_test(hardware_sets_af_and_clears_ap2_of_the_leaf_alone),
        cmocka_unit_test(esr_el1_is_the_manuals),
        cmocka_unit_test(addresses_of_48_bits_are_translated_and_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
