/* The histogram's quantiles against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"

static struct histogram h;

static int clear(void **state)
{
    (void)state;
    h = (struct histogram){0};
    return 0;
}

static void an_empty_histogram_has_quantile_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
}

static void small_values_are_kept_exactly(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < 8; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_quantile(&h, 0.5), 3);
    assert_int_equal(histogram_quantile(&h, 1.0), 7);
}

static void the_largest_value_fits_and_is_the_maximum(void **state)
{
    (void)state;
    histogram_add(&h, UINT64_MAX);
    assert_true(histogram_quantile(&h, 0.5) == UINT64_MAX);
    assert_true(h.max == UINT64_MAX);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void a_quantile_is_never_too_small_and_at_most_an_eighth_too_large(void **state)
{
    static uint64_t values[10000];
    static const double quantiles[] = {0.01, 0.5, 0.9, 0.99, 0.999, 1.0};
    uint64_t x = 88172645463325252u;

    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = x >> (x % 60);
        histogram_add(&h, values[i]);
    }
    qsort(values, 10000, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        uint64_t exact = values[(size_t)(quantiles[i] * 10000 + 0.5) - 1];
        uint64_t got = histogram_quantile(&h, quantiles[i]);

        assert_true(got >= exact);
        assert_true(got - exact <= exact / 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_histogram_has_quantile_zero, clear),
        cmocka_unit_test_setup(small_values_are_kept_exactly, clear),
        cmocka_unit_test_setup(the_largest_value_fits_and_is_the_maximum, clear),
        cmocka_unit_test_setup(a_quantile_is_never_too_small_and_at_most_an_eighth_too_large, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
