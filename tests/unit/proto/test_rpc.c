/* The envelope: requests in, replies out, replies in. */
#include "cmocka_all.h"

#include "proto/rpc.h"

static struct json_doc doc;
static struct json_writer w;
static struct refusal why;
static struct rpc_request request;

static int stop(void **state)
{
    (void)state;
    json_free(&doc);
    json_writer_free(&w);
    return 0;
}

static enum aspace_error read_request(const char *json)
{
    assert_int_equal(json_read(&doc, json, strlen(json)), ASPACE_OK);
    return rpc_read_request(&doc, 0, &why, &request);
}

/* The reply's id, as text. */
static void assert_id(const char *wanted)
{
    char reply[200];

    w.size = 0;
    w.comma = false;
    rpc_begin_result(&w, &request);
    json_null(&w);
    rpc_end_result(&w);
    assert_false(w.failed);
    snprintf(reply, sizeof(reply), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":null}", wanted);
    assert_int_equal(w.size, strlen(reply));
    assert_memory_equal(w.data, reply, w.size);
}

static void refused(const char *json, const char *id)
{
    if (read_request(json) != ASPACE_INVALID_REQUEST)
        fail_msg("accepted: %s", json);
    assert_int_equal(why.code, ASPACE_INVALID_REQUEST);
    assert_true(why.message[0]);
    assert_id(id);
}

static void a_request_has_its_parts(void **state)
{
    (void)state;
    assert_int_equal(read_request("{\"params\":[1],\"id\":7,\"method\":\"m\",\"jsonrpc\":\"2.0\",\"more\":{\"id\":1}}"),
                     ASPACE_OK);
    assert_true(json_equals(&doc, request.method, "m"));
    assert_int_equal(doc.tokens[request.params].type, JSON_ARRAY);
    assert_id("7");
}

static void a_request_without_id_is_a_notification(void **state)
{
    (void)state;
    assert_int_equal(read_request("{\"jsonrpc\":\"2.0\",\"method\":\"m\"}"), ASPACE_OK);
    assert_int_equal(request.id, 0);
    assert_int_equal(request.params, 0);
    assert_int_equal(read_request("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":null}"), ASPACE_OK);
    assert_int_not_equal(request.id, 0);
}

static void an_id_comes_back_byte_for_byte(void **state)
{
    static const char *const ids[] = {
        "1.0", "1e2", "-0", "9007199254740993", "null", "\"a\\u0062\\/\"", "\"\"", "\"\\ud800\"", "\"\xc3\xa9\""};
    char json[200];

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(json, sizeof(json), "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\": %s }", ids[i]);
        assert_int_equal(read_request(json), ASPACE_OK);
        assert_id(ids[i]);
    }
}

static void what_is_no_request_is_refused_with_the_id_that_is_usable(void **state)
{
    (void)state;
    refused("1", "null");
    refused("[]", "null");
    refused("\"x\"", "null");
    refused("{}", "null");
    refused("{\"id\":5}", "5");
    refused("{\"method\":\"m\",\"id\":5}", "5");
    refused("{\"jsonrpc\":\"1.0\",\"method\":\"m\",\"id\":\"a\"}", "\"a\"");
    refused("{\"jsonrpc\":2.0,\"method\":\"m\",\"id\":5}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":5}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":{}}", "null");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":[1]}", "null");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":true}", "null");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5,\"params\":1}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5,\"params\":null}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"id\":5}", "5");
}

static void a_duplicate_member_is_refused(void **state)
{
    (void)state;
    refused("{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"m\\u0065thod\":\"m\",\"id\":5}", "5");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5,\"id\":6}", "null");
    refused("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5,\"x\":1,\"x\":1}", "5");
    assert_int_equal(read_request("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"x\":1,\"y\":1}"), ASPACE_OK);
}

static void error_reply(const struct rpc_request *to, const char *wanted)
{
    w.size = 0;
    w.comma = false;
    rpc_begin_error(&w, to, &why);
    rpc_end_error(&w);
    assert_false(w.failed);
    json_bytes(&w, "", 1);
    assert_string_equal(w.data, wanted);
}

static void an_error_reply_has_its_names(void **state)
{
    (void)state;
    assert_int_equal(read_request("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5}"), ASPACE_OK);
    refuse(&why, ASPACE_ALREADY_EXISTS, "%s is \"taken\"", "s");
    error_reply(&request,
                "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":2,\"message\":\"s is \\\"taken\\\"\",\"data\":{"
                "\"name\":\"AlreadyExists\",\"errno\":\"EEXIST\"}}}");
    refuse(&why, ASPACE_INVALID_PARAMS, "no");
    why.param = "size";
    why.hint = "yes";
    error_reply(NULL,
                "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32602,\"message\":\"no\",\"data\":{\"name\":"
                "\"InvalidParams\",\"errno\":null,\"param\":\"size\",\"hint\":\"yes\"}}}");
}

static void every_error_with_an_errno_gives_its_name(void **state)
{
    (void)state;
#define X(code_, id, name, err, text)                                                                                  \
    refuse(&why, ASPACE_##id, "x");                                                                                    \
    w.size = 0;                                                                                                        \
    rpc_begin_error(&w, NULL, &why);                                                                                   \
    json_bytes(&w, "", 1);                                                                                             \
    assert_non_null(strstr(w.data, (err) ? "\"errno\":\"E" : "\"errno\":null"));
    ASPACE_ERROR_MAP(X)
#undef X
}

static void replies_are_one_json_text_each(void **state)
{
    struct json_doc reply = {0};

    (void)state;
    w.size = 0;
    w.comma = false;
    read_request("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":5}");
    json_begin_array(&w);
    rpc_begin_result(&w, &request);
    json_begin_object(&w);
    json_end_object(&w);
    rpc_end_result(&w);
    refuse(&why, ASPACE_BUSY, "later");
    rpc_begin_error(&w, &request, &why);
    json_name(&w, "more");
    json_uint(&w, 1);
    rpc_end_error(&w);
    json_end_array(&w);
    assert_int_equal(json_read(&reply, w.data, w.size), ASPACE_OK);
    assert_int_equal(reply.tokens[0].count, 2);
    json_free(&reply);
}

/* ---- The client's side ---- */

static bool read_reply(const char *json, struct rpc_reply *ret)
{
    assert_int_equal(json_read(&doc, json, strlen(json)), ASPACE_OK);
    return rpc_read_reply(&doc, 0, ret);
}

static void replies_and_notifications_are_told_apart(void **state)
{
    struct rpc_reply reply;

    (void)state;
    assert_true(read_reply("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}", &reply));
    assert_true(reply.id && reply.result && !reply.error && !reply.method);
    assert_true(read_reply("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1}}", &reply));
    assert_true(reply.id && !reply.result && reply.error && !reply.method);
    assert_true(read_reply("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}", &reply));
    assert_true(!reply.id && !reply.result && !reply.error && reply.method && reply.params);
}

static void what_is_neither_is_not_read(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"id\":1,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1}",
        "{\"jsonrpc\":\"2.0\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":[],\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":1}",
    };
    struct rpc_reply reply;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_reply(bad[i], &reply))
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_its_parts),
        cmocka_unit_test(a_request_without_id_is_a_notification),
        cmocka_unit_test(an_id_comes_back_byte_for_byte),
        cmocka_unit_test(what_is_no_request_is_refused_with_the_id_that_is_usable),
        cmocka_unit_test(a_duplicate_member_is_refused),
        cmocka_unit_test(an_error_reply_has_its_names),
        cmocka_unit_test(every_error_with_an_errno_gives_its_name),
        cmocka_unit_test(replies_are_one_json_text_each),
        cmocka_unit_test(replies_and_notifications_are_told_apart),
        cmocka_unit_test(what_is_neither_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, stop);
}
