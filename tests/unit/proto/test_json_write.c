/* The writer: what it writes, and that the reader takes it. */
#include "cmocka_all.h"

#include "proto/json.h"

static struct json_writer w;

static int start(void **state)
{
    (void)state;
    w = (struct json_writer){0};
    return 0;
}

static int stop(void **state)
{
    (void)state;
    json_writer_free(&w);
    return 0;
}

static void expect(const char *wanted)
{
    struct json_doc doc = {0};

    assert_false(w.failed);
    if (w.size != strlen(wanted) || memcmp(w.data, wanted, w.size) != 0)
        fail_msg("wrote %.*s, not %s", (int)w.size, w.data, wanted);
    assert_int_equal(json_read(&doc, w.data, w.size), ASPACE_OK);
    json_free(&doc);
    w.size = 0;
    w.comma = false;
}

static void commas_come_by_themselves(void **state)
{
    (void)state;
    json_begin_array(&w);
    json_begin_object(&w);
    json_end_object(&w);
    json_begin_array(&w);
    json_end_array(&w);
    json_begin_object(&w);
    json_name(&w, "a");
    json_bool(&w, true);
    json_name(&w, "b");
    json_begin_array(&w);
    json_null(&w);
    json_bool(&w, false);
    json_end_array(&w);
    json_name(&w, "c");
    json_raw(&w, "{\"x\":1}", 7);
    json_end_object(&w);
    json_string(&w, "s");
    json_end_array(&w);
    expect("[{},[],{\"a\":true,\"b\":[null,false],\"c\":{\"x\":1}},\"s\"]");
}

static void bytes_count_as_no_value(void **state)
{
    (void)state;
    json_begin_array(&w);
    json_bytes(&w, "\n", 1);
    json_uint(&w, 1);
    json_bytes(&w, "\n", 1);
    json_uint(&w, 2);
    json_end_array(&w);
    expect("[\n1\n,2]");
}

static void numbers_are_written_to_their_ends(void **state)
{
    (void)state;
    json_begin_array(&w);
    json_uint(&w, 0);
    json_uint(&w, UINT64_MAX);
    json_int(&w, INT64_MIN);
    json_int(&w, -1);
    json_int(&w, INT64_MAX);
    json_hex(&w, 0);
    json_hex(&w, 0xabcdef);
    json_hex(&w, UINT64_MAX);
    json_end_array(&w);
    expect("[0,18446744073709551615,-9223372036854775808,-1,9223372036854775807,\"0x0\",\"0xabcdef\","
           "\"0xffffffffffffffff\"]");
}

static void a_hex_number_has_the_digits_that_printf_gives(void **state)
{
    uint64_t value = UINT64_C(0x9e3779b97f4a7c15);
    char wanted[32];

    (void)state;
    for (unsigned i = 0; i < 6400; i++) {
        snprintf(wanted, sizeof(wanted), "\"0x%llx\"", (unsigned long long)(value >> i % 64));
        json_hex(&w, value >> i % 64);
        expect(wanted);
        value = value * UINT64_C(6364136223846793005) + 1;
    }
}

static void strings_are_escaped_no_more_than_needed(void **state)
{
    (void)state;
    json_string(&w, "a/\"\\\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\xf0\x9f\x98\x80");
    expect("\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9\xf0\x9f\x98\x80\"");
    json_string_n(&w, "a\0b", 3);
    expect("\"a\\u0000b\"");
    json_string(&w, "");
    expect("\"\"");
}

static void what_is_not_utf_8_is_replaced(void **state)
{
    (void)state;
    json_string(&w, "a\xff\xc3(\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80z\xe2\x82");
    expect("\"a\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\\ufffd\"");
}

/* RFC 4648, section 10. */
static void base64_has_the_test_vectors_of_its_rfc(void **state)
{
    static const char *const wanted[] = {"\"\"",         "\"Zg==\"",     "\"Zm8=\"",    "\"Zm9v\"",
                                         "\"Zm9vYg==\"", "\"Zm9vYmE=\"", "\"Zm9vYmFy\""};

    (void)state;
    for (size_t i = 0; i < 7; i++) {
        json_base64(&w, "foobar", i);
        expect(wanted[i]);
    }
    json_base64(&w, "\xff\xef\xbe", 3);
    expect("\"/+++\"");
}

static void after_a_reserve_nothing_moves(void **state)
{
    char *data;

    (void)state;
    assert_true(json_writer_reserve(&w, 100000));
    data = w.data;
    json_begin_array(&w);
    for (int i = 0; i < 10000; i++)
        json_uint(&w, 12345678);
    assert_ptr_equal(w.data, data);
    assert_int_equal(w.size, 90000);
}

static void a_size_that_overflows_fails_and_stays_failed(void **state)
{
    size_t size;

    (void)state;
    json_uint(&w, 1);
    size = w.size;
    assert_false(json_writer_reserve(&w, SIZE_MAX));
    assert_true(w.failed);
    json_uint(&w, 2);
    json_string(&w, "x");
    json_base64(&w, "x", 1);
    assert_int_equal(w.size, size);
    w.failed = false; /* as one does who has gone back to an earlier place */
    json_uint(&w, 3);
    assert_int_equal(w.data[0], '1');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commas_come_by_themselves, start, stop),
        cmocka_unit_test_setup_teardown(bytes_count_as_no_value, start, stop),
        cmocka_unit_test_setup_teardown(numbers_are_written_to_their_ends, start, stop),
        cmocka_unit_test_setup_teardown(a_hex_number_has_the_digits_that_printf_gives, start, stop),
        cmocka_unit_test_setup_teardown(strings_are_escaped_no_more_than_needed, start, stop),
        cmocka_unit_test_setup_teardown(what_is_not_utf_8_is_replaced, start, stop),
        cmocka_unit_test_setup_teardown(base64_has_the_test_vectors_of_its_rfc, start, stop),
        cmocka_unit_test_setup_teardown(after_a_reserve_nothing_moves, start, stop),
        cmocka_unit_test_setup_teardown(a_size_that_overflows_fails_and_stays_failed, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
