/* Params against the method table. */
#include "cmocka_all.h"

#include "proto/methods.h"

static struct json_doc doc;
static struct params params;
static struct refusal why;

static int stop(void **state)
{
    (void)state;
    json_free(&doc);
    return 0;
}

/* `json` is the params' text; NULL for none. It is read one array deep, since token 0 is never the params. */
static enum aspace_error try_bind(enum method_id id, const char *json)
{
    static char whole[1 << 16];

    snprintf(whole, sizeof(whole), "[%s]", json ? json : "");
    memset(&params, 0xa5, sizeof(params));
    memset(&why, 0xa5, sizeof(why));
    assert_int_equal(json_read(&doc, whole, strlen(whole)), ASPACE_OK);
    return method_bind(&methods[id], &doc, json ? 1 : 0, &why, &params);
}

static void taken(enum method_id id, const char *json)
{
    if (try_bind(id, json))
        fail_msg("refused %s: %s", json ? json : "no params", why.message);
}

/* With InvalidParams, `param` to blame (NULL: none) and `part` in the message. */
static void refused(enum method_id id, const char *json, const char *param, const char *part)
{
    if (try_bind(id, json) != ASPACE_INVALID_PARAMS)
        fail_msg("accepted %s", json ? json : "no params");
    assert_int_equal(why.code, ASPACE_INVALID_PARAMS);
    if (param)
        assert_string_equal(why.param, param);
    else
        assert_null(why.param);
    if (!strstr(why.message, part))
        fail_msg("%s is not in: %s", part, why.message);
    for (const char *c = why.message; *c; c++)
        assert_in_range(*c, ' ', '~');
}

static uint64_t number(enum param_id id)
{
    assert_true(params_has(&params, id));
    return params.value[id].number;
}

/* ---- Ways to give them ---- */

static void params_go_by_name_and_by_position(void **state)
{
    (void)state;
    taken(METHOD_AREA_UNMAP, "{\"size\":\"4K\",\"sp\\u0061ce\":\"s\",\"start\":\"0x1000\"}");
    assert_string_equal(params.value[PARAM_SPACE].text, "s");
    assert_int_equal(number(PARAM_START), 0x1000);
    assert_int_equal(number(PARAM_SIZE), 4096);
    taken(METHOD_AREA_UNMAP, "[\"s\",\"0x1000\",8192,\"refuse\"]");
    assert_int_equal(number(PARAM_SIZE), 8192);
    assert_int_equal(number(PARAM_HOLES), ASPACE_HOLES_REFUSE);
}

static void a_method_without_params_takes_none_empty_and_missing(void **state)
{
    (void)state;
    taken(METHOD_DAEMON_PING, NULL);
    taken(METHOD_DAEMON_PING, "[]");
    taken(METHOD_DAEMON_PING, "{}");
    refused(METHOD_DAEMON_PING, "[1]", NULL, "0 parameters");
    refused(METHOD_DAEMON_PING, "{\"a\":1}", NULL, "\"a\"");
}

static void absent_choices_have_their_default(void **state)
{
    (void)state;
    taken(METHOD_AREA_MAP, "[\"s\",4096,\"rw-\"]");
    assert_false(params_has(&params, PARAM_START));
    assert_false(params_has(&params, PARAM_POLICY));
    assert_int_equal(params.value[PARAM_POLICY].number, ASPACE_POLICY_FIRST);
    assert_int_equal(params.value[PARAM_BACKING].number, ASPACE_BACKING_LAZY);
    assert_int_equal(params.value[PARAM_ALIGN].number, 0);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refused(METHOD_AREA_MAP, "{\"space\":\"s\",\"flags\":\"rw-\"}", "size", "size");
    refused(METHOD_AREA_MAP, "[\"s\",4096]", "flags", "flags");
    refused(METHOD_SPACE_INFO, NULL, "space", "space");
}

static void unknown_duplicate_and_too_many_are_refused(void **state)
{
    (void)state;
    refused(METHOD_SPACE_INFO, "{\"space\":\"s\",\"sise\":1}", NULL, "\"sise\"");
    assert_string_equal(why.other_param, "sise");
    refused(METHOD_SPACE_INFO,
            "{\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3"
            "\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
            "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
            "\xc3\xa9\xc3\xa9\xc3\xa9\":1}",
            NULL, "no parameter");
    assert_int_equal(strlen(why.other_param), 62); /* of 64 bytes, and no half character */
    refused(METHOD_SPACE_INFO, "{\"space\":\"s\",\"space\":\"s\"}", "space", "twice");
    refused(METHOD_SPACE_INFO, "{\"space\":\"s\",\"sp\\u0061ce\":\"s\"}", "space", "twice");
    refused(METHOD_SPACE_INFO, "[\"s\",1]", NULL, "space.info has 1 parameters, not 2");
    assert_string_equal(why.other_param, "");
}

/* ---- Types ---- */

/* Each text in turn between `before` and "}". */
static void each_refused(enum method_id id, const char *before, const char *param, const char *const *texts)
{
    char json[2000];

    for (; *texts; texts++) {
        snprintf(json, sizeof(json), "%s%s}", before, *texts);
        refused(id, json, param, param);
    }
}

static void addresses_are_strings_or_plain_integers(void **state)
{
    static const char *const bad[] = {"-1",
                                      "-0",
                                      "1.0",
                                      "4096.0",
                                      "1e3",
                                      "9007199254740993",
                                      "18446744073709551616",
                                      "true",
                                      "null",
                                      "[]",
                                      "{}",
                                      "\"\"",
                                      "\" 1\"",
                                      "\"0x\"",
                                      "\"-1\"",
                                      "\"+1\"",
                                      "\"0xg\"",
                                      "\"0x10000000000000000\"",
                                      "\"18446744073709551616\"",
                                      "\"4K\"",
                                      "\"0x4K\"",
                                      "\"0x1000\\u0000\"",
                                      "\"\\ud800\"",
                                      NULL};

    (void)state;
    each_refused(METHOD_AREA_FIND, "{\"space\":\"s\",\"addr\":", "addr", bad);
    taken(METHOD_AREA_FIND, "[\"s\",9007199254740992]");
    assert_int_equal(number(PARAM_ADDR), UINT64_C(1) << 53);
    taken(METHOD_AREA_FIND, "[\"s\",\"18446744073709551615\"]");
    assert_int_equal(number(PARAM_ADDR), UINT64_MAX);
    taken(METHOD_AREA_FIND, "[\"s\",\"0\\u0078ff\"]");
    assert_int_equal(number(PARAM_ADDR), 255);
    refused(METHOD_AREA_FIND, "[\"s\",\"0xzz\"]", "addr", "addr \"0xzz\" is not an address");
}

static void sizes_take_suffixes_in_strings(void **state)
{
    static const char *const bad[] = {"\"4KB\"", "\"K\"", "\"-4K\"", "\"16777216T\"", "1.5", "null", NULL};

    (void)state;
    each_refused(METHOD_AREA_FIND_FREE, "{\"space\":\"s\",\"size\":", "size", bad);
    taken(METHOD_AREA_FIND_FREE, "[\"s\",\"2g\"]");
    assert_int_equal(number(PARAM_SIZE), UINT64_C(2) << 30);
}

static void counts_are_integers_and_nothing_else(void **state)
{
    static const char *const bad[] = {"\"10\"", "1.5", "-1", "1.0", "1e1", "true", "null", "9007199254740993", NULL};

    (void)state;
    each_refused(METHOD_AREA_LIST, "{\"space\":\"s\",\"limit\":", "limit", bad);
    taken(METHOD_AREA_LIST, "{\"space\":\"s\",\"limit\":0}");
    assert_int_equal(number(PARAM_LIMIT), 0);
}

static void names_keep_their_rule(void **state)
{
    static const char *const bad[] = {
        "\"\"",    "\".a\"",       "\"-a\"",   "\"a b\"",
        "\"a/b\"", "\"\xc3\xa9\"", "\"a\\n\"", "\"a\\u0000\"",
        "5",       "null",         "[\"a\"]",  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        NULL};

    (void)state;
    each_refused(METHOD_SPACE_INFO, "{\"space\":", "space", bad);
    taken(METHOD_SPACE_INFO, "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]");
    taken(METHOD_SPACE_INFO, "[\"A.b-c_9\"]");
    taken(METHOD_SPACE_INFO, "[\"\\u0041\"]");
    assert_string_equal(params.value[PARAM_SPACE].text, "A");
}

static void texts_have_1_to_1023_bytes(void **state)
{
    char json[2000] = "{\"name\":\"n\",\"tag\":\"";
    size_t size = strlen(json);

    (void)state;
    memset(json + size, 'x', 1023);
    strcpy(json + size + 1023, "\"}");
    taken(METHOD_SPACE_CREATE, json);
    assert_int_equal(strlen(params.value[PARAM_TAG].text), 1023);
    assert_string_equal(params.value[PARAM_NAME].text, "n");
    strcpy(json + size + 1023, "x\"}");
    refused(METHOD_SPACE_CREATE, json, "tag", "tag \"xxx");
    refused(METHOD_SPACE_CREATE, "{\"name\":\"n\",\"tag\":\"\"}", "tag", "tag");
    refused(METHOD_SPACE_CREATE, "{\"name\":\"n\",\"tag\":\"a\\u0000b\"}", "tag", "tag");
    refused(METHOD_SPACE_CREATE, "{\"name\":\"n\",\"tag\":5}", "tag", "tag 5");
    taken(METHOD_SPACE_CREATE, "{\"name\":\"n\",\"tag\":\"\\u00e9\\n\"}");
    assert_string_equal(params.value[PARAM_TAG].text, "\xc3\xa9\n");
}

static void choices_are_their_texts(void **state)
{
    (void)state;
    taken(METHOD_MEMORY_ACCESS, "[\"s\",0,\"exec\",1,\"kernel\"]");
    assert_int_equal(number(PARAM_KIND), ASPACE_ACCESS_EXEC);
    assert_int_equal(number(PARAM_MODE), ASPACE_MODE_KERNEL);
    assert_string_equal(params.value[PARAM_MODE].text, "kernel");
    refused(METHOD_MEMORY_ACCESS, "[\"s\",0,\"peek\"]", "kind", "kind \"peek\" is not one of read, write, exec");
    refused(METHOD_MEMORY_ACCESS, "[\"s\",0,\"READ\"]", "kind", "kind");
    refused(METHOD_MEMORY_ACCESS, "[\"s\",0,1]", "kind", "kind");
    refused(METHOD_SPACE_CREATE, "[\"s\",\"none\"]", "backend", "sim");
}

static void only_protect_takes_a_change_of_flags(void **state)
{
    (void)state;
    refused(METHOD_AREA_MAP, "[\"s\",4096,\"+w\"]", "flags", "\"+w\"");
    refused(METHOD_AREA_MAP, "[\"s\",4096,7]", "flags", "7");
    taken(METHOD_AREA_MAP, "[\"s\",4096,\"rw-,kernel\"]");
    assert_int_equal(params.value[PARAM_FLAGS].change.set, ASPACE_READ | ASPACE_WRITE | ASPACE_KERNEL);
    taken(METHOD_AREA_PROTECT, "[\"s\",0,4096,\"+w,-global\"]");
    assert_int_equal(params.value[PARAM_FLAGS].change.set, ASPACE_WRITE);
    assert_int_equal(params.value[PARAM_FLAGS].change.clear, ASPACE_GLOBAL);
    refused(METHOD_AREA_PROTECT, "[\"s\",0,4096,\"rw\"]", "flags", "\"rw\"");
}

static void ranges_are_two_addresses(void **state)
{
    static const char *const bad[] = {"[]",         "[0]",  "[0,1,2]",   "\"0-1\"", "{\"lo\":0}", "{\"lo\":0,\"hi\":1}",
                                      "5",          "null", "[0,\"x\"]", "[-1,5]",  "[0,null]",   "[[0,1],2]",
                                      "[0,\"4K\"]", NULL};

    (void)state;
    each_refused(METHOD_AREA_FIND_FREE, "{\"space\":\"s\",\"size\":4096,\"within\":", "within", bad);
    taken(METHOD_AREA_FIND_FREE, "{\"within\":[\"0x1000\",9],\"space\":\"s\",\"size\":4096}");
    assert_int_equal(params.value[PARAM_WITHIN].number, 0x1000);
    assert_int_equal(params.value[PARAM_WITHIN].high, 9);
    assert_int_equal(number(PARAM_SIZE), 4096);
}

static void offending_values_are_shown_short_and_printable(void **state)
{
    char json[3000] = "[\"s\",\"";

    (void)state;
    memset(json + 6, 'y', 2000);
    strcpy(json + 2006, "\"]");
    refused(METHOD_AREA_FIND, json, "addr", "yyy...\" is not an address");
    refused(METHOD_AREA_FIND, "[\"s\",\"\xe2\x80\xae\x7f\"]", "addr", "\"????\"");
    refused(METHOD_AREA_FIND, "[\"s\",[\n1]]", "addr", "[ 1]");
}

/* Comparing each of these names with all others would take minutes. */
static void an_object_of_very_many_names_ends_at_the_first_unknown_one(void **state)
{
    size_t size = 2;
    char *json = malloc(2000000);

    (void)state;
    assert_non_null(json);
    strcpy(json, "[{");
    for (int i = 0; i < 100000; i++)
        size += (size_t)sprintf(json + size, "%s\"n%d\":0", i ? "," : "", i);
    strcpy(json + size, "}]");
    assert_int_equal(json_read(&doc, json, size + 2), ASPACE_OK);
    assert_int_equal(method_bind(&methods[METHOD_SPACE_INFO], &doc, 1, &why, &params), ASPACE_INVALID_PARAMS);
    free(json);
}

/* ---- Bytes ---- */

static void decodes(enum param_id id, const char *text, const char *wanted, size_t wanted_size)
{
    char json[200];
    uint8_t *bytes;
    size_t size;

    snprintf(json, sizeof(json), "{\"space\":\"s\",\"addr\":0,\"%s\":\"%s\"}", param_names[id], text);
    taken(METHOD_MEMORY_WRITE, json);
    if (params_bytes(&params, id, &why, &bytes, &size))
        fail_msg("%s", why.message);
    assert_int_equal(size, wanted_size);
    assert_memory_equal(bytes, wanted, size);
    free(bytes);
}

static void decodes_not(enum param_id id, const char *text)
{
    char json[200];
    uint8_t *bytes = NULL;
    size_t size;

    snprintf(json, sizeof(json), "{\"space\":\"s\",\"addr\":0,\"%s\":\"%s\"}", param_names[id], text);
    taken(METHOD_MEMORY_WRITE, json);
    assert_int_equal(params_bytes(&params, id, &why, &bytes, &size), ASPACE_INVALID_PARAMS);
    assert_string_equal(why.param, param_names[id]);
    assert_null(bytes);
}

static void base64_is_decoded_strictly(void **state)
{
    static const char *const bad[] = {
        "a",       "aa",   "aaa",  "a===", "====", "aaaa====", "aa=a",       "!!!!",     "aGk",
        "aGk=\\n", "aG k", "aGl=", "aH==", "_-8=", "aGk=aGk=", "aGk\\u0000", "aa==aa==", "=aaa"};

    (void)state;
    decodes(PARAM_DATA, "", "", 0);
    decodes(PARAM_DATA, "Zg==", "f", 1);
    decodes(PARAM_DATA, "Zm8=", "fo", 2);
    decodes(PARAM_DATA, "Zm9v", "foo", 3);
    decodes(PARAM_DATA, "Zm9vYmFy", "foobar", 6);
    decodes(PARAM_DATA, "\\/+++", "\xff\xef\xbe", 3);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        decodes_not(PARAM_DATA, bad[i]);
}

static void hex_is_decoded_strictly(void **state)
{
    static const char *const bad[] = {"a", "0x12", "gg", "1 2", "123", "1\\n", "-1", "\\u0000a"};

    (void)state;
    decodes(PARAM_HEX, "", "", 0);
    decodes(PARAM_HEX, "00ffAb", "\0\xff\xab", 3);
    decodes(PARAM_HEX, "\\u0030a", "\n", 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        decodes_not(PARAM_HEX, bad[i]);
}

static void bytes_of_every_length_come_back(void **state)
{
    uint8_t in[64];
    struct json_writer w = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 37 + 200);
    for (size_t length = 0; length <= sizeof(in); length++) {
        uint8_t *bytes;
        size_t size;

        w.size = 0;
        w.comma = false;
        json_begin_array(&w);
        json_begin_array(&w);
        json_string(&w, "s");
        json_uint(&w, 0);
        json_base64(&w, in, length);
        json_end_array(&w);
        json_end_array(&w);
        assert_int_equal(json_read(&doc, w.data, w.size), ASPACE_OK);
        assert_int_equal(method_bind(&methods[METHOD_MEMORY_WRITE], &doc, 1, &why, &params), ASPACE_OK);
        assert_int_equal(params_bytes(&params, PARAM_DATA, &why, &bytes, &size), ASPACE_OK);
        assert_int_equal(size, length);
        assert_memory_equal(bytes, in, size);
        free(bytes);
    }
    json_writer_free(&w);
}

static void bytes_are_strings(void **state)
{
    (void)state;
    refused(METHOD_MEMORY_WRITE, "{\"space\":\"s\",\"addr\":0,\"data\":5}", "data", "data 5");
    refused(METHOD_MEMORY_WRITE, "{\"space\":\"s\",\"addr\":0,\"hex\":[\"00\"]}", "hex", "hex");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(params_go_by_name_and_by_position),
        cmocka_unit_test(a_method_without_params_takes_none_empty_and_missing),
        cmocka_unit_test(absent_choices_have_their_default),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(unknown_duplicate_and_too_many_are_refused),
        cmocka_unit_test(addresses_are_strings_or_plain_integers),
        cmocka_unit_test(sizes_take_suffixes_in_strings),
        cmocka_unit_test(counts_are_integers_and_nothing_else),
        cmocka_unit_test(names_keep_their_rule),
        cmocka_unit_test(texts_have_1_to_1023_bytes),
        cmocka_unit_test(choices_are_their_texts),
        cmocka_unit_test(only_protect_takes_a_change_of_flags),
        cmocka_unit_test(ranges_are_two_addresses),
        cmocka_unit_test(offending_values_are_shown_short_and_printable),
        cmocka_unit_test(an_object_of_very_many_names_ends_at_the_first_unknown_one),
        cmocka_unit_test(base64_is_decoded_strictly),
        cmocka_unit_test(hex_is_decoded_strictly),
        cmocka_unit_test(bytes_of_every_length_come_back),
        cmocka_unit_test(bytes_are_strings),
    };

    return cmocka_run_group_tests(tests, NULL, stop);
}
