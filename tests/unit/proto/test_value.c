/* Numbers and flags as texts. */
#include "cmocka_all.h"

#include "proto/methods.h"

/* ---- Numbers ---- */

static void reads(const char *text, bool suffix, uint64_t wanted)
{
    uint64_t value = ~wanted;

    if (!number_parse(text, strlen(text), suffix, &value) || value != wanted)
        fail_msg("%s read as 0x%llx", text, (unsigned long long)value);
}

static void refuses(const char *text, bool suffix)
{
    uint64_t value = 42;

    if (number_parse(text, strlen(text), suffix, &value))
        fail_msg("%s read as 0x%llx", text, (unsigned long long)value);
    assert_int_equal(value, 42);
}

static void numbers_are_hex_or_decimal(void **state)
{
    (void)state;
    reads("0", false, 0);
    reads("0x0", false, 0);
    reads("31", false, 31);
    reads("0x1F", false, 31);
    reads("0x1f", false, 31);
    reads("0x00000000000000000000001f", false, 31);
    reads("0xffffffffffffffff", false, UINT64_MAX);
    reads("18446744073709551615", false, UINT64_MAX);
}

static void what_passes_64_bits_is_no_number(void **state)
{
    (void)state;
    refuses("0x10000000000000000", false);
    refuses("0x000010000000000000000", false);
    reads("0x0000ffffffffffffffff", false, UINT64_MAX);
    refuses("18446744073709551616", false);
    refuses("18446744073709551620", false);
    refuses("99999999999999999999999", false);
    refuses("16777216T", true);
    refuses("0xffffffffffffffffK", true);
    reads("16777215T", true, UINT64_C(16777215) << 40);
}

static void other_texts_are_no_numbers(void **state)
{
    static const char *const bad[] = {"",    "0x",  "x",   "-1",  "+1",   " 1",  "1 ",    "1.5",     "1e3",
                                      "0xg", "0X1", "1_0", "1,0", "0x-1", "0b1", "0x1_0", "\xd9\xa1"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refuses(bad[i], false);
        refuses(bad[i], true);
    }
    assert_false(number_parse("1\0", 2, true, &(uint64_t){0}));
}

static void sizes_take_suffixes_and_addresses_do_not(void **state)
{
    static const char letters[] = "KMGTkmgt";
    char text[8];

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "3%c", letters[i]);
        reads(text, true, UINT64_C(3) << 10 * (i % 4 + 1));
        refuses(text, false);
    }
    reads("0x10K", true, 16 << 10);
    refuses("0x10K", false);
    refuses("4KB", true);
    refuses("4KiB", true);
    refuses("4P", true);
    refuses("K", true);
    refuses("0xK", true);
    refuses("4 K", true);
}

/* ---- Flags ---- */

static void every_set_of_flags_comes_back_from_its_text(void **state)
{
    char text[FLAGS_TEXT_MAX];
    struct flags_change change;

    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        flags_format((uint16_t)flags, text);
        assert_true(flags_parse(text, strlen(text), false, &change));
        assert_int_equal(change.set, flags);
        assert_int_equal(change.clear, ~flags & 7);
    }
    assert_string_equal(flags_format(0xff, text), "rwx,kernel,global,device,uncached,shared");
    assert_string_equal(flags_format(0, text), "---");
}

static void becomes(const char *text, unsigned set, unsigned clear)
{
    struct flags_change change = {0xffff, 0xffff};

    if (!flags_parse(text, strlen(text), true, &change) || change.set != set || change.clear != clear)
        fail_msg("%s read as +0x%x -0x%x", text, change.set, change.clear);
}

static void attributes_come_in_any_order(void **state)
{
    (void)state;
    becomes("r-x,global,kernel", ASPACE_READ | ASPACE_EXEC | ASPACE_GLOBAL | ASPACE_KERNEL, ASPACE_WRITE);
}

static void flags_clear_permissions_and_keep_attributes(void **state)
{
    (void)state;
    becomes("rw-", ASPACE_READ | ASPACE_WRITE, ASPACE_EXEC);
    becomes("rw-,kernel", ASPACE_READ | ASPACE_WRITE | ASPACE_KERNEL, ASPACE_EXEC);
    becomes("---", 0, ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC);
}

static void changes_set_and_clear_what_they_name(void **state)
{
    (void)state;
    becomes("+w", ASPACE_WRITE, 0);
    becomes("-x", 0, ASPACE_EXEC);
    becomes("+r-w", ASPACE_READ, ASPACE_WRITE);
    becomes("+rw-x", ASPACE_READ | ASPACE_WRITE, ASPACE_EXEC);
    becomes("+w,-global", ASPACE_WRITE, ASPACE_GLOBAL);
    becomes("-rwx,+kernel", ASPACE_KERNEL, 7);
    becomes("+xwr", 7, 0);
    becomes("-rw", 0, ASPACE_READ | ASPACE_WRITE);
}

static void what_can_be_flags_is_no_change(void **state)
{
    (void)state;
    becomes("-w-", ASPACE_WRITE, ASPACE_READ | ASPACE_EXEC);
    becomes("-wx", ASPACE_WRITE | ASPACE_EXEC, ASPACE_READ);
    becomes("--x", ASPACE_EXEC, ASPACE_READ | ASPACE_WRITE);
}

static void other_texts_are_no_flags(void **state)
{
    static const char *const bad[] = {"",
                                      "+",
                                      "-",
                                      "--",
                                      "r",
                                      "rw",
                                      "w",
                                      "rwxx",
                                      "wr-",
                                      "RW-",
                                      "r w",
                                      "rw-,",
                                      ",rw-",
                                      "rw-,unknown",
                                      "rw-,Kernel",
                                      "rw- ,kernel",
                                      "rw-,kernel,kernel",
                                      "rw-,kernel,",
                                      "rw-,,kernel",
                                      "+q",
                                      "+w,",
                                      "+w,kernel",
                                      "++w-",
                                      "+w,,+r",
                                      "+ww",
                                      "+w-w",
                                      "+kernel-kernel",
                                      "+w,+unknown",
                                      ",+w",
                                      "+w +r",
                                      "rw-,+kernel",
                                      "rw-,r",
                                      "+rkernel"};
    struct flags_change change;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (flags_parse(bad[i], strlen(bad[i]), true, &change))
            fail_msg("%s read as +0x%x -0x%x", bad[i], change.set, change.clear);
    }
    assert_false(flags_parse("+w", 2, false, &change));
    assert_false(flags_parse("-x", 2, false, &change));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_hex_or_decimal),
        cmocka_unit_test(what_passes_64_bits_is_no_number),
        cmocka_unit_test(other_texts_are_no_numbers),
        cmocka_unit_test(sizes_take_suffixes_and_addresses_do_not),
        cmocka_unit_test(every_set_of_flags_comes_back_from_its_text),
        cmocka_unit_test(attributes_come_in_any_order),
        cmocka_unit_test(flags_clear_permissions_and_keep_attributes),
        cmocka_unit_test(changes_set_and_clear_what_they_name),
        cmocka_unit_test(what_can_be_flags_is_no_change),
        cmocka_unit_test(other_texts_are_no_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
