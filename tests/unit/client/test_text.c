/* Sizes for people, and text that is safe to print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ctl/clean.h"
#include "ctl/size.h"

static void check_size(uint64_t bytes, const char *wanted)
{
    char text[SIZE_TEXT_MAX];

    assert_string_equal(size_format(bytes, text), wanted);
}

static void test_sizes_are_exact_when_whole_and_cut_to_a_decimal_when_not(void **state)
{
    (void)state;
    check_size(0, "0 B");
    check_size(1023, "1023 B");
    check_size(1024, "1 KiB");
    check_size(132 << 10, "132 KiB");
    check_size(1 << 20, "1 MiB");
    check_size((1 << 20) + 4096, "1.0 MiB");
    check_size((1 << 20) - 1, "1023.9 KiB");
    check_size(UINT64_C(0x800000000000), "128 TiB");
    check_size(UINT64_MAX, "15.9 EiB");
    check_size(UINT64_C(1) << 63, "8 EiB");
}

static void check_clean(const char *text, const char *wanted)
{
    char *clean = clean_text(text, strlen(text));

    assert_string_equal(clean, wanted);
    free(clean);
}

static void test_control_characters_and_bad_utf8_are_escaped(void **state)
{
    (void)state;
    check_clean("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    check_clean("\n\x1b\x7f", "\\012\\033\\177");
    check_clean("\xc2\x9b", "\\302\\233");
    check_clean("\xc2\xa0", "\xc2\xa0");
    check_clean("\xed\xa0\x80", "\\355\\240\\200");
    check_clean("\xf4\x90\x80\x80", "\\364\\220\\200\\200");
    check_clean("\xe2\x82", "\\342\\202");
    check_clean("\xe0\x80\xaf", "\\340\\200\\257");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_exact_when_whole_and_cut_to_a_decimal_when_not),
        cmocka_unit_test(test_control_characters_and_bad_utf8_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
