/* Entries of Sv39, Sv48 and Sv57 against values worked out by hand from the RISC-V privileged manual, version 20211203,
 * figures 4.21 and 4.24 (V is bit 0, R 1, W 2, X 3, U 4, G 5, A 6, D 7, RSW 9:8, PPN 53:10, PBMT 62:61). The constants
 * are written out: nothing of riscv.c makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/arch.h"

#define ARCH (&arch_riscv_sv39)
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
    uint16_t back; /* what it allows: the flags, widened */
};

static const struct sample samples[] = {
    {R, 0x13, R},
    {R | W, 0x17, R | W},
    {R | X, 0x1b, R | X},
    {R | W | X, 0x1f, R | W | X},
    {X, 0x19, X},     /* execute-only is a row of table 4.5 */
    {W, 0x17, R | W}, /* W without R is reserved */
    {W | X, 0x1f, R | W | X},
    {R | KRNL, 0x03, R | KRNL},
    {R | W | KRNL | GLOB, 0x27, R | W | KRNL | GLOB},
    {X | KRNL, 0x09, X | KRNL},
    /* Svpbmt: 1 is NC, 2 is IO */
    {R | W | UNC, UINT64_C(0x2000000000000017), R | W | UNC},
    {R | W | KRNL | DEV, UINT64_C(0x4000000000000007), R | W | KRNL | DEV},
    {R | DEV | UNC, UINT64_C(0x4000000000000013), R | DEV},
    {R | ASPACE_SHARED, 0x13, R},
    {0, 0x20, 0},
    {KRNL | DEV, 0x20, 0},
};

static void area_flags_become_the_bits_that_the_manual_names_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++)
        for (unsigned level = 1; level <= 3; level++) { /* alike at every level */
            assert_int_equal(ARCH->encode(samples[i].flags, level), samples[i].entry);
            assert_int_equal(ARCH->lower(samples[i].entry, level), samples[i].entry);
            assert_int_equal(ARCH->decode(samples[i].entry, true), samples[i].back);
            assert_int_equal(ARCH->decode(samples[i].entry | UINT64_C(0x003fffffffffffc0), true), samples[i].back);
        }
}

/* A valid entry with R, W and X all 0 leads to a table (4.3.1). The number of the frame begins at bit 10. */
static void an_entry_without_permissions_leads_to_a_table(void **state)
{
    (void)state;
    assert_int_equal(ARCH->making, 0x01);
    assert_true(arch_is_table(ARCH, 0x20000c01));
    assert_false(arch_is_table(ARCH, 0x20000c09));
    assert_false(arch_is_table(ARCH, 0x20000c20));
    assert_int_equal(arch_frame(ARCH, 0x20000c01), 0x80003);
    assert_int_equal(arch_address(ARCH, 0x80003), 0x20000c00);
    assert_int_equal(arch_frame(ARCH, UINT64_MAX), UINT64_C(0x00000fffffffffff));
}

/* SUM = 1: S-mode reads and writes pages of U-mode, and never fetches from them; MXR = 0. */
static void u_mode_and_s_mode_may_what_the_entry_says(void **state)
{
    (void)state;
    assert_true(ARCH->allows(0x1f, true, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER));
    assert_true(ARCH->allows(0x1f, true, ASPACE_ACCESS_WRITE, ASPACE_MODE_KERNEL));
    assert_true(ARCH->allows(0x1f, true, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER));
    assert_false(ARCH->allows(0x1f, true, ASPACE_ACCESS_EXEC, ASPACE_MODE_KERNEL));
    assert_false(ARCH->allows(0x0f, true, ASPACE_ACCESS_READ, ASPACE_MODE_USER));
    assert_true(ARCH->allows(0x0f, true, ASPACE_ACCESS_EXEC, ASPACE_MODE_KERNEL));
    assert_false(ARCH->allows(0x19, true, ASPACE_ACCESS_READ, ASPACE_MODE_USER));
    assert_false(ARCH->allows(0x19, true, ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL));
    assert_false(ARCH->allows(0x13, true, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER));
    assert_false(ARCH->allows(0x13, true, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER));
    assert_true(ARCH->allows(0x01, false, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER));
}

static void hardware_sets_a_and_d_of_the_leaf_alone(void **state)
{
    (void)state;
    assert_int_equal(ARCH->use(0x17, true, ASPACE_ACCESS_READ), 0x57);
    assert_int_equal(ARCH->use(0x17, true, ASPACE_ACCESS_WRITE), 0xd7);
    assert_int_equal(ARCH->use(0x01, false, ASPACE_ACCESS_WRITE), 0x01);
}

/* Table 4.2. */
static void scause_is_the_manuals(void **state)
{
    static const enum arch_fault faults[] = {FAULT_NOT_PRESENT, FAULT_PERMISSION, FAULT_UNTRANSLATED};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ARCH->code(faults[i], 1, ASPACE_ACCESS_EXEC, ASPACE_MODE_USER), 12);
        assert_int_equal(ARCH->code(faults[i], 2, ASPACE_ACCESS_READ, ASPACE_MODE_KERNEL), 13);
        assert_int_equal(ARCH->code(faults[i], 3, ASPACE_ACCESS_WRITE, ASPACE_MODE_USER), 15);
    }
}

static void addresses_are_sign_extended_from_bit_38_47_or_56(void **state)
{
    static const struct {
        const struct arch *arch;
        unsigned levels;
        uint64_t good[2], bad[2];
    } rows[] = {
        {&arch_riscv_sv39,
         3,
         {UINT64_C(0x3fffffffff), UINT64_C(0xffffffc000000000)},
         {UINT64_C(0x4000000000), UINT64_C(0xffffffbfffffffff)}},
        {&arch_riscv_sv48,
         4,
         {UINT64_C(0x7fffffffffff), UINT64_C(0xffff800000000000)},
         {UINT64_C(0x800000000000), UINT64_C(0xffff7fffffffffff)}},
        {&arch_riscv_sv57,
         5,
         {UINT64_C(0xffffffffffffff), UINT64_C(0xff00000000000000)},
         {UINT64_C(0x100000000000000), UINT64_C(0xfeffffffffffffff)}},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++) {
            assert_int_equal(rows[i].arch->levels, rows[i].levels);
            assert_true(arch_translates(rows[i].arch, rows[i].good[j]));
            assert_false(arch_translates(rows[i].arch, rows[i].bad[j]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(area_flags_become_the_bits_that_the_manual_names_and_back),
        cmocka_unit_test(an_entry_without_permissions_leads_to_a_table),
        cmocka_unit_test(u_mode_and_s_mode_may_what_the_entry_says),
        cmocka_unit_test(hardware_sets_a_and_d_of_the_leaf_alone),
        cmocka_unit_test(scause_is_the_manuals),
        cmocka_unit_test(addresses_are_sign_extended_from_bit_38_47_or_56),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
