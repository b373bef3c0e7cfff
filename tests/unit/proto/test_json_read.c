/* The reader against the public suite (https://github.com/nst/JSONTestSuite) and what it does not cover. */
#include "cmocka_all.h"

#include <dirent.h>

#include "proto/json.h"

#define FILE_MAX (1 << 20)

static struct json_doc doc;
static char text[FILE_MAX];

static int stop(void **state)
{
    (void)state;
    json_free(&doc);
    return 0;
}

/* From a block of exactly its size, so that a byte read too far is seen by the sanitizer. */
static enum aspace_error read_exactly(const char *from, size_t size)
{
    char *copy = malloc(size ? size : 1);
    enum aspace_error error;

    assert_non_null(copy);
    memcpy(copy, from, size);
    error = json_read(&doc, copy, size);
    free(copy);
    return error;
}

static void assert_refused(const char *from, size_t size)
{
    if (read_exactly(from, size) != ASPACE_PARSE_ERROR)
        fail_msg("accepted: %.*s", (int)size, from);
    assert_non_null(doc.error);
    assert_in_range(doc.error_at, 0, size);
}

static void assert_taken(const char *json)
{
    if (json_read(&doc, json, strlen(json)))
        fail_msg("refused: %s: %s at %zu", json, doc.error, doc.error_at);
}

/* ---- The suite ---- */

static size_t load(const char *name)
{
    char path[1024];
    FILE *file;
    size_t size;

    snprintf(path, sizeof(path), TEST_DATA "/json-test-suite/%s", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(text, 1, sizeof(text), file);
    assert_true(feof(file));
    fclose(file);
    return size;
}

/* Implementation-defined files that we accept: what the grammar allows whatever its value. The others are no UTF-8, or
 * too deep. */
static const char *const accepted[] = {
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_object_key_lone_2nd_surrogate.json",
    "i_string_1st_surrogate_but_2nd_missing.json",
    "i_string_1st_valid_surrogate_2nd_invalid.json",
    "i_string_incomplete_surrogate_and_escape_valid.json",
    "i_string_incomplete_surrogate_pair.json",
    "i_string_incomplete_surrogates_escape_valid.json",
    "i_string_invalid_lonely_surrogate.json",
    "i_string_invalid_surrogate.json",
    "i_string_inverted_surrogates_U+1D11E.json",
    "i_string_lone_second_surrogate.json",
};

static bool is_accepted(const char *name)
{
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        if (strcmp(name, accepted[i]) == 0)
            return true;
    }
    return false;
}

static void check_file(const char *name)
{
    size_t size = load(name);
    enum aspace_error error = read_exactly(text, size);
    bool wanted = name[0] == 'y' || (name[0] == 'i' && is_accepted(name));

    if ((error == ASPACE_OK) != wanted)
        fail_msg("%s: %s", name, error ? doc.error : "accepted");
}

static void the_public_suite_is_read_as_it_says(void **state)
{
    DIR *folder = opendir(TEST_DATA "/json-test-suite");
    struct dirent *entry;
    int yes = 0;
    int no = 0;
    int either = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        if (!strstr(entry->d_name, ".json"))
            continue;
        check_file(entry->d_name);
        yes += entry->d_name[0] == 'y';
        no += entry->d_name[0] == 'n';
        either += entry->d_name[0] == 'i';
    }
    closedir(folder);
    assert_int_equal(yes, 95);
    assert_int_equal(no, 188);
    assert_int_equal(either, 35);
}

static void no_beginning_of_a_text_is_a_text(void **state)
{
    static const char whole[] = " {\"a\":[1.5e-3,\"\\u00e9\xc3\xa9\\n\",true,false,null,{}],\"b\":[]}";

    (void)state;
    for (size_t size = 0; size < sizeof(whole) - 1; size++)
        assert_refused(whole, size);
    assert_int_equal(read_exactly(whole, sizeof(whole) - 1), ASPACE_OK);
}

/* ---- Depth ---- */

static void nest(unsigned depth, const char *open, const char *close)
{
    size_t size = 0;

    for (unsigned i = 0; i < depth; i++)
        size += (size_t)sprintf(text + size, "%s", open);
    size += (size_t)sprintf(text + size, "0");
    for (unsigned i = 0; i < depth; i++)
        size += (size_t)sprintf(text + size, "%s", close);
}

static void depth_64_is_read_and_65_is_not(void **state)
{
    (void)state;
    nest(64, "[", "]");
    assert_taken(text);
    nest(64, "{\"a\":", "}");
    assert_taken(text);
    nest(65, "[", "]");
    assert_refused(text, strlen(text));
    nest(65, "{\"a\":", "}");
    assert_refused(text, strlen(text));
    memset(text, '[', 100000);
    assert_refused(text, 100000);
}

/* ---- UTF-8 ---- */

static void refuse_in_string(const char *bytes)
{
    int size = snprintf(text, sizeof(text), "\"%s\"", bytes);

    assert_refused(text, (size_t)size);
}

static void only_well_formed_utf_8_is_read(void **state)
{
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc3",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x9f\x98",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xe2\x28\xa1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse_in_string(bad[i]);
    assert_taken(
        "\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
    assert_refused("\xef\xbb\xbf[]", 5);
}

static void a_nul_byte_is_nowhere_allowed(void **state)
{
    (void)state;
    assert_refused("\0", 1);
    assert_refused("[]\0", 3);
    assert_refused("\"a\0\"", 4);
    assert_refused("\"\\\0\"", 4);
    assert_refused("[1,\0 2]", 7);
}

/* "xx...x", with `byte` at `at`, after `before` and before `after` spaces. */
static bool takes(size_t before, size_t size, size_t after, size_t at, int byte)
{
    char *string = text + before;

    memset(text, ' ', before + size + 2 + after);
    memset(string, 'x', size + 2);
    string[0] = string[size + 1] = '"';
    string[1 + at] = (char)byte;
    return read_exactly(text, before + size + 2 + after) == ASPACE_OK;
}

/* Each byte at each place of strings that are looked at in one step, in several, or near the text's end. */
static void a_special_byte_is_seen_wherever_it_stands(void **state)
{
    static const size_t around[][2] = {{0, 0}, {0, 20}, {20, 0}, {9, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        for (size_t size = 1; size <= 36; size++) {
            for (size_t at = 0; at < size; at++) {
                for (int byte = 0; byte < 256; byte++) {
                    bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';

                    if (takes(around[i][0], size, around[i][1], at, byte) != plain)
                        fail_msg("byte %d at %zu of %zu between %zu and %zu", byte, at, size, around[i][0],
                                 around[i][1]);
                }
            }
        }
    }
}

/* ---- Tokens ---- */

static void tokens_span_their_values(void **state)
{
    const char *json = " {\"a\" : [1, \"x\\n\", {}] , \"b\":-0.5e+7}";
    const struct json_token *t;

    (void)state;
    assert_taken(json);
    t = doc.tokens;
    assert_int_equal(doc.count, 8);
    assert_int_equal(t[0].type, JSON_OBJECT);
    assert_int_equal(t[0].count, 2);
    assert_int_equal(t[0].next, 8);
    assert_int_equal(t[0].start, 1);
    assert_int_equal(t[0].end, strlen(json));
    assert_int_equal(t[2].type, JSON_ARRAY);
    assert_int_equal(t[2].count, 3);
    assert_int_equal(t[2].next, 6);
    assert_memory_equal(json + t[4].start, "x\\n", 3);
    assert_true(t[4].escaped);
    assert_false(t[1].escaped);
    assert_int_equal(t[5].next, 6);
    assert_int_equal(t[7].end - t[7].start, 7);
    assert_memory_equal(json + t[7].start, "-0.5e+7", 7);
}

static void integers_past_2_to_the_53_stay_text(void **state)
{
    (void)state;
    assert_taken("[9007199254740993,123456789012345678901234567890]");
    assert_memory_equal(doc.text + doc.tokens[1].start, "9007199254740993", 16);
    assert_int_equal(doc.tokens[2].end - doc.tokens[2].start, 30);
}

static void the_tokens_are_used_again(void **state)
{
    const struct json_token *tokens;

    (void)state;
    assert_taken("[1,2,3]");
    tokens = doc.tokens;
    assert_taken("{\"a\":1}");
    assert_ptr_equal(doc.tokens, tokens);
    assert_int_equal(doc.count, 3);
    assert_int_equal(doc.tokens[0].count, 1);
}

/* ---- Strings ---- */

static void expect_unescaped(const char *json, const char *wanted)
{
    char buffer[64];
    size_t size;

    assert_taken(json);
    assert_true(json_unescape(&doc, 0, buffer, sizeof(buffer), &size));
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(buffer, wanted);
    assert_true(json_equals(&doc, 0, wanted));
    assert_true(json_unescape(&doc, 0, buffer, size + 1, &size));
    assert_false(json_unescape(&doc, 0, buffer, size, &size));
}

static void escapes_become_what_they_stand_for(void **state)
{
    (void)state;
    expect_unescaped("\"\"", "");
    expect_unescaped("\"plain\"", "plain");
    expect_unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t");
    expect_unescaped("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    expect_unescaped("\"\xc3\xa9\\n\"", "\xc3\xa9\n");
}

static void nul_and_lone_surrogates_cannot_be_unescaped(void **state)
{
    static const char *const odd[] = {"\"a\\u0000\"",      "\"\\ud800\"",         "\"\\udc00\"",
                                      "\"\\ud800x\"",      "\"\\ud800\\n12345\"", "\"\\ud800\\ud800\\udc00\"",
                                      "\"\\udc00\\ud800\""};
    char buffer[64];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_taken(odd[i]);
        assert_false(json_unescape(&doc, 0, buffer, sizeof(buffer), &size));
        assert_false(json_equals(&doc, 0, ""));
    }
}

static void equals_compares_the_whole_string(void **state)
{
    (void)state;
    assert_taken("\"ab\"");
    assert_false(json_equals(&doc, 0, "a"));
    assert_false(json_equals(&doc, 0, "abc"));
    assert_taken("\"a\\u0062\"");
    assert_true(json_equals(&doc, 0, "ab"));
    assert_false(json_equals(&doc, 0, "a"));
    assert_false(json_equals(&doc, 0, "abc"));
    assert_false(json_equals(&doc, 0, "ax"));
}

/* ---- Members ---- */

static void members_are_found_by_their_unescaped_name(void **state)
{
    (void)state;
    assert_taken("{\"a\":{\"b\":1},\"b\":2,\"\\u0063\":3}");
    assert_int_equal(json_member(&doc, 0, "b"), 6);
    assert_int_equal(json_member(&doc, 0, "c"), 8);
    assert_int_equal(json_member(&doc, 2, "b"), 4);
    assert_int_equal(json_member(&doc, 0, "d"), 0);
    assert_taken("{}");
    assert_int_equal(json_member(&doc, 0, "a"), 0);
}

static void expect_duplicate(const char *json, uint32_t wanted)
{
    assert_taken(json);
    assert_int_equal(json_duplicate(&doc, 0), wanted);
}

static void duplicates_are_seen_through_escapes(void **state)
{
    (void)state;
    expect_duplicate("{}", 0);
    expect_duplicate("{\"a\":1,\"b\":{\"a\":1}}", 0);
    expect_duplicate("{\"a\":1,\"ab\":1,\"\":2}", 0);
    expect_duplicate("{\"a\":1,\"b\":2,\"a\":3}", 5);
    expect_duplicate("{\"a\":[1,2],\"\\u0061\":3}", 5);
    expect_duplicate("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":3}", 3);
    expect_duplicate("{\"\\ud800\":1,\"\\ud801\":3}", 0);
    expect_duplicate("{\"\\ud800\":1,\"\\uD800\":3}", 3);
    expect_duplicate("{\"\\u0000\":1,\"\":3}", 0);
}

/* Quadratic work over 60,000 members would take minutes. */
static void a_duplicate_among_very_many_is_found_at_once(void **state)
{
    size_t size = 1;

    (void)state;
    text[0] = '{';
    for (int i = 0; i < 60000; i++)
        size += (size_t)sprintf(text + size, "\"name-%d\":0,", i);
    sprintf(text + size, "\"last\":0}");
    expect_duplicate(text, 0);
    sprintf(text + size, "\"name-3000\\u0030\":0}");
    expect_duplicate(text, 120001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_public_suite_is_read_as_it_says),
        cmocka_unit_test(no_beginning_of_a_text_is_a_text),
        cmocka_unit_test(depth_64_is_read_and_65_is_not),
        cmocka_unit_test(only_well_formed_utf_8_is_read),
        cmocka_unit_test(a_nul_byte_is_nowhere_allowed),
        cmocka_unit_test(a_special_byte_is_seen_wherever_it_stands),
        cmocka_unit_test(tokens_span_their_values),
        cmocka_unit_test(integers_past_2_to_the_53_stay_text),
        cmocka_unit_test(the_tokens_are_used_again),
        cmocka_unit_test(escapes_become_what_they_stand_for),
        cmocka_unit_test(nul_and_lone_surrogates_cannot_be_unescaped),
        cmocka_unit_test(equals_compares_the_whole_string),
        cmocka_unit_test(members_are_found_by_their_unescaped_name),
        cmocka_unit_test(duplicates_are_seen_through_escapes),
        cmocka_unit_test(a_duplicate_among_very_many_is_found_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, stop);
}
