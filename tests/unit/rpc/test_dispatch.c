/* Messages in, replies out: the daemon without its network. What the protocol says of every method is tested through
 * the socket in tests/system; here is what needs the inside: lack of memory at every allocation, bounds on replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "rpc/dispatch.h"

#define MESSAGE_MAX 8192

static struct service service;
static struct peer peer = {.who = {.is_own = true}};
static struct json_writer out;

static int start(void **state)
{
    struct limits limits = limits_default();

    (void)state;
    limits.spaces = 4;
    limits.reply = 4096;
    service_init(&service, &limits);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    service_free(&service);
    json_writer_free(&out);
    out = (struct json_writer){0};
    return 0;
}

/* The reply as a string, valid until the next call; NULL if there is none. */
static const char *ask(const char *message)
{
    out.size = 0;
    out.failed = false;
    if (dispatch_message(&service, &peer, message, strlen(message), &out) != DISPATCHED_REPLY)
        return NULL;
    if (out.failed)
        return "";
    json_bytes(&out, "", 1);
    return out.failed ? "" : out.data;
}

static void expect(const char *message, const char *part)
{
    const char *reply = ask(message);

    assert_non_null(reply);
    if (!strstr(reply, part))
        fail_msg("%s\nanswered %s\nwithout  %s", message, reply, part);
}

#define REQUEST(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}"

static const char make_space[] = REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"64M\"}");
static const char list_areas[] = REQUEST("area.list", "{\"space\":\"s\"}");
static const char space_state[] = REQUEST("space.info", "{\"space\":\"s\"}");

static void a_notification_is_carried_out_and_not_answered(void **state)
{
    (void)state;
    assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"space.create\",\"params\":{\"name\":\"s\"}}"));
    expect(space_state, "\"name\":\"s\"");
    assert_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"space.create\",\"params\":{\"name\":\"s\"}}"));
}

static void every_method_of_the_table_has_a_handler(void **state)
{
    char message[200];

    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        snprintf(message, sizeof(message), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}", methods[i].name);
        expect(message, methods[i].param_count && methods[i].params[0].required ? "-32602" : "\"result\"");
        assert_int_equal(methods[i].id, i);
    }
}

static void a_refusal_names_the_space_and_the_area_in_the_way(void **state)
{
    (void)state;
    expect(make_space, "result");
    expect(REQUEST("area.map", "{\"space\":\"s\",\"start\":\"0x4000\",\"size\":\"8K\",\"flags\":\"rw-\"}"), "result");
    expect(REQUEST("area.map", "{\"space\":\"s\",\"start\":\"0x5000\",\"size\":\"4K\",\"flags\":\"rw-\"}"),
           "\"space\":\"s\",\"conflict\":{\"start\":\"0x4000\",\"end\":\"0x6000\"");
}

static void a_batch_past_the_reply_limit_has_its_rest_refused_unexecuted(void **state)
{
    char message[MESSAGE_MAX] = "[";
    size_t size = 1;
    const char *reply;

    (void)state;
    for (int i = 0; i < 60; i++)
        size += (size_t)snprintf(message + size, sizeof(message) - size,
                                 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"daemon.info\"},", i);
    snprintf(message + size, sizeof(message) - size,
             "{\"jsonrpc\":\"2.0\",\"id\":60,\"method\":\"space.create\",\"params\":{\"name\":\"late\"}}]");
    reply = ask(message);
    assert_non_null(reply);
    assert_non_null(strstr(reply, "\"id\":60,\"error\":{\"code\":7"));
    expect(REQUEST("space.list", "{}"), "{\"spaces\":[]}");
}

static void the_limit_of_spaces_is_busy(void **state)
{
    char message[200];

    (void)state;
    for (int i = 0; i < 4; i++) {
        snprintf(message, sizeof(message), REQUEST("space.create", "[\"s%d\"]"), i);
        expect(message, "result");
    }
    expect(REQUEST("space.create", "[\"one-more\"]"), "\"code\":7");
}

/* ---- Every allocation fails in turn ---- */

/* Edits over an area map of several nodes; each is tried with the n-th allocation failing, n = 1, 2, 3, … until it
 * passes. */
static const char *const edits[] = {
    REQUEST("space.create", "{\"name\":\"other\",\"tag\":\"t\",\"ram\":\"1M\"}"),
    REQUEST("area.map", "{\"space\":\"s\",\"size\":\"16K\",\"flags\":\"rw-\",\"tag\":\"new tag\"}"),
    REQUEST("area.map", "{\"space\":\"s\",\"start\":\"0x100000\",\"size\":\"1M\",\"flags\":\"r--\",\"overlap\":"
                        "\"replace\",\"backing\":\"eager\"}"),
    REQUEST("area.protect", "{\"space\":\"s\",\"start\":\"0x101000\",\"size\":\"64K\",\"flags\":\"+w\"}"),
    REQUEST("area.split", "{\"space\":\"s\",\"at\":\"0x180000\"}"),
    REQUEST("memory.write", "{\"space\":\"s\",\"addr\":\"0x7000\",\"data\":\"aGVsbG8=\"}"),
    REQUEST("area.unmap", "{\"space\":\"s\",\"start\":\"0x40000\",\"size\":\"256K\"}"),
    REQUEST("area.shrink", "{\"space\":\"s\",\"start\":\"0x180000\",\"new_size\":\"4K\",\"side\":\"right\"}"),
    REQUEST("space.clear", "{\"space\":\"s\"}"),
    REQUEST("space.destroy", "{\"space\":\"other\"}"),
};

static void fill_space(void)
{
    char message[300];

    expect(make_space, "result");
    for (int i = 0; i < 300; i++) {
        snprintf(message, sizeof(message),
                 REQUEST("area.map", "{\"space\":\"s\",\"start\":\"0x%x\",\"size\":\"4K\",\"flags\":\"rw-\"}"),
                 (i * 2 + 1) * 0x1000);
        expect(message, "result");
    }
}

/* All of the daemon that a client can see, as one string that the caller frees. */
static char *everything(void)
{
    char *all = malloc(1 << 20);
    size_t size = 0;
    const char *questions[] = {space_state, list_areas, REQUEST("space.list", "{}"),
                               REQUEST("space.check", "{\"space\":\"s\"}"),
                               REQUEST("memory.read", "{\"space\":\"s\",\"addr\":\"0x7000\",\"size\":4096}")};

    assert_non_null(all);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        size += (size_t)snprintf(all + size, (1 << 20) - size, "%s\n", ask(questions[i]));
    return all;
}

/* Whether the edit passed although the n-th allocation failed, or because there were fewer; if it was refused, nothing
 * has changed. */
static bool passes_with_failure(const char *edit, unsigned nth)
{
    char *before = everything();
    char *after;
    const char *reply;
    bool reached;
    bool passed;

    json_writer_free(&out); /* so that the reply has to be allocated too */
    out = (struct json_writer){0};
    failing_alloc_arm(nth);
    reply = ask(edit);
    reached = failing_alloc_disarm();
    assert_non_null(reply);
    passed = strstr(reply, "\"result\"") != NULL;
    if (!passed) {
        if (!reached || (*reply && !strstr(reply, "\"code\":5")))
            fail_msg("%s\nwith allocation %u failing answered %s", edit, nth, reply);
        after = everything();
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    return passed;
}

static void any_allocation_may_fail_and_a_refused_edit_changes_nothing(void **state)
{
    unsigned refused = 0;

    (void)state;
    fill_space();
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++)
        for (unsigned nth = 1; !passes_with_failure(edits[i], nth); nth++)
            refused++;
    assert_true(refused > sizeof(edits) / sizeof(edits[0]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_notification_is_carried_out_and_not_answered),
        TEST(every_method_of_the_table_has_a_handler),
        TEST(a_refusal_names_the_space_and_the_area_in_the_way),
        TEST(a_batch_past_the_reply_limit_has_its_rest_refused_unexecuted),
        TEST(the_limit_of_spaces_is_busy),
        TEST(any_allocation_may_fail_and_a_refused_edit_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
