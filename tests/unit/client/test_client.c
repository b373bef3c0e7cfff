/* The client against a peer that does what a daemon may do, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_MS 20000
#define MANY        100000

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Calls ---- */

static void answer_one(struct peer *peer)
{
    const char *line = peer_line(peer);

    if (strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.find\",\"params\":{\"a\": 1}}") == 0)
        peer_reply(peer, 1, "{\"start\":\"0xffffffffffff0000\",\"n\":[1,{\"deep\":true}],\"s\":\"a\\n\\u00e9\"}");
    peer_listen(peer);
}

static void test_a_call_gets_its_result_as_it_was_sent(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, answer_one);
    struct aspace_reply *reply;
    char text[8];
    uint64_t number;
    bool yes = false;

    (void)state;
    assert_int_equal(aspace_client_call(client, "area.find", "{\"a\":\n1}", PATIENCE_MS, &reply), 0);
    aspace_client_close(client);
    assert_int_equal(aspace_reply_id(reply), 1);
    assert_int_equal(aspace_reply_error(reply), ASPACE_OK);
    assert_string_equal(aspace_reply_result(reply),
                        "{\"start\":\"0xffffffffffff0000\",\"n\":[1,{\"deep\":true}],\"s\":\"a\\n\\u00e9\"}");
    assert_null(aspace_reply_error_object(reply));
    assert_int_equal(aspace_reply_u64(reply, "start", &number), 0);
    assert_true(number == UINT64_C(0xffffffffffff0000));
    assert_int_equal(aspace_reply_u64(reply, "n.0", &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(aspace_reply_bool(reply, "n.1.deep", &yes), 0);
    assert_true(yes);
    assert_int_equal(aspace_reply_string(reply, "s", text, sizeof(text)), 0);
    assert_string_equal(text, "a\n\xc3\xa9");
    assert_int_equal(aspace_reply_string(reply, "s", text, 3), -ENOBUFS);
    assert_int_equal(aspace_reply_string(reply, "n", text, sizeof(text)), -EINVAL);
    assert_int_equal(aspace_reply_u64(reply, "n.2", &number), -ENOENT);
    assert_int_equal(aspace_reply_u64(reply, "n.x", &number), -ENOENT);
    assert_int_equal(aspace_reply_u64(reply, "s.x", &number), -ENOENT);
    assert_int_equal(aspace_reply_u64(reply, "n..deep", &number), -ENOENT);
    assert_int_equal(aspace_reply_u64(reply, "s", &number), -EINVAL);
    assert_int_equal(aspace_reply_bool(reply, "start", &yes), -EINVAL);
    aspace_reply_free(reply);
    peer_join(&peer);
}

static void refuse_one(struct peer *peer)
{
    peer_line(peer);
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":2,\"message\":\"taken\",\"data\":"
                   "{\"name\":\"AlreadyExists\",\"conflict\":{\"start\":\"0x1000\"}}}}\n");
    peer_line(peer);
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n");
    peer_listen(peer);
}

static void test_a_refusal_is_a_reply_with_an_error(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, refuse_one);
    struct aspace_reply *reply;
    char text[20];
    uint64_t number;

    (void)state;
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_error(reply), ASPACE_ALREADY_EXISTS);
    assert_null(aspace_reply_result(reply));
    assert_int_equal(strncmp(aspace_reply_error_object(reply), "{\"code\":2,", 10), 0);
    assert_int_equal(aspace_reply_string(reply, "data.name", text, sizeof(text)), 0);
    assert_string_equal(text, "AlreadyExists");
    assert_int_equal(aspace_reply_u64(reply, "data.conflict.start", &number), 0);
    assert_int_equal(number, 0x1000);
    aspace_reply_free(reply);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_error(reply), ASPACE_METHOD_NOT_FOUND);
    aspace_reply_free(reply);
    aspace_client_close(client);
    peer_join(&peer);
}

static void test_params_that_are_no_json_object_or_array_are_not_sent(void **state)
{
    static const char *const bad[] = {"", "1", "\"x\"", "{", "{}{}", "{\"a\":1,}", "{\"\xff\":1}", "[\"a\nb\"]"};
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, peer_listen);
    struct aspace_reply *reply;
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(aspace_client_call(client, "m", bad[i], 0, &reply), -EINVAL);
    assert_int_equal(aspace_client_send(client, NULL, NULL, 0, &id), -EINVAL);
    assert_int_equal(aspace_client_receive(client, 0, 0, &reply), -EINVAL);
    assert_int_equal(aspace_client_receive(client, 1, 0, &reply), -EINVAL);
    aspace_client_close(client);
    peer_join(&peer);
}

static void test_a_bad_descriptor_is_refused(void **state)
{
    struct aspace_client *client;

    (void)state;
    assert_int_equal(aspace_client_from_fd(-1, &client), -EINVAL);
    aspace_client_close(NULL);
    aspace_reply_free(NULL);
}

/* ---- Order ---- */

static void answer_three_backwards(struct peer *peer)
{
    for (int i = 0; i < 3; i++)
        peer_line(peer);
    for (uint64_t id = 3; id >= 1; id--) {
        char result[20];

        snprintf(result, sizeof(result), "%" PRIu64, 100 + id);
        peer_reply(peer, id, result);
    }
    peer_listen(peer);
}

static void check_reply(struct aspace_client *client, uint64_t id, uint64_t wanted_id)
{
    struct aspace_reply *reply;
    char result[20];

    assert_int_equal(aspace_client_receive(client, id, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_id(reply), wanted_id);
    snprintf(result, sizeof(result), "%" PRIu64, 100 + wanted_id);
    assert_string_equal(aspace_reply_result(reply), result);
    aspace_reply_free(reply);
}

static void test_replies_out_of_order_find_their_calls(void **state)
{
    struct aspace_reply *reply;
    struct peer peer;
    uint64_t ids[3];
    struct aspace_client *client = peer_start_three(&peer, answer_three_backwards, ids);

    (void)state;
    for (int i = 0; i < 3; i++)
        check_reply(client, ids[i], ids[i]);
    assert_int_equal(aspace_client_receive(client, ids[0], 0, &reply), -EINVAL);
    aspace_client_close(client);
    peer_join(&peer);
}

static void test_any_reply_is_the_first_that_came(void **state)
{
    struct peer peer;
    uint64_t ids[3];
    struct aspace_client *client = peer_start_three(&peer, answer_three_backwards, ids);

    (void)state;
    check_reply(client, ids[1], ids[1]);
    check_reply(client, 0, ids[2]);
    check_reply(client, 0, ids[0]);
    aspace_client_close(client);
    peer_join(&peer);
}

static void say_in_bytes(struct peer *peer)
{
    static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"\xe2\x82\xac\"]}\r\n\n";
    char byte[2] = {0};

    peer_line(peer);
    for (const char *c = text; *c; c++) {
        byte[0] = *c;
        peer_say(peer, byte);
        if (*c == '2' || *c == (char)0xe2)
            poll(NULL, 0, 5);
    }
    peer_listen(peer);
}

static void test_a_reply_may_come_byte_by_byte(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, say_in_bytes);
    struct aspace_reply *reply;

    (void)state;
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_string_equal(aspace_reply_result(reply), "[\"\xe2\x82\xac\"]");
    aspace_reply_free(reply);
    aspace_client_close(client);
    peer_join(&peer);
}

/* ---- Time ---- */

static void answer_late(struct peer *peer)
{
    peer_line(peer);
    peer_line(peer);
    peer_reply(peer, 1, "\"late\"");
    peer_reply(peer, 2, "\"right\"");
    peer_listen(peer);
}

static void test_a_late_reply_is_dropped(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, answer_late);
    struct aspace_reply *reply;
    int64_t before = now_ms();

    (void)state;
    assert_int_equal(aspace_client_call(client, "m", NULL, 50, &reply), -ETIMEDOUT);
    assert_in_range(now_ms() - before, 49, PATIENCE_MS);
    assert_int_equal(aspace_client_receive(client, 1, 0, &reply), -EINVAL);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_string_equal(aspace_reply_result(reply), "\"right\"");
    aspace_reply_free(reply);
    assert_int_equal(aspace_client_receive(client, 0, 0, &reply), -EINVAL);
    aspace_client_close(client);
    peer_join(&peer);
}

static void test_after_a_timeout_a_sent_call_is_still_waited_for(void **state)
{
    struct peer peer;
    uint64_t ids[3];
    struct aspace_client *client = peer_start_three(&peer, peer_listen, ids);
    struct aspace_reply *reply;

    (void)state;
    assert_int_equal(aspace_client_receive(client, ids[0], 10, &reply), -ETIMEDOUT);
    assert_int_equal(aspace_client_receive(client, ids[0], 0, &reply), -ETIMEDOUT);
    assert_int_equal(aspace_client_receive(client, 0, 0, &reply), -ETIMEDOUT);
    aspace_client_close(client);
    peer_join(&peer);
}

static void read_nothing_for_a_while(struct peer *peer)
{
    const char *line;

    poll(NULL, 0, 300);
    while ((line = peer_line(peer)))
        if (peer_id(line))
            peer_reply(peer, peer_id(line), "true");
}

/* Until the kernel takes no more, then on when the peer reads again: no message may be cut in half. */
static void test_a_send_that_times_out_leaves_the_stream_whole(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, read_nothing_for_a_while);
    char *params = malloc(40002);
    struct aspace_reply *reply;
    uint64_t id;
    int error;

    (void)state;
    memset(params, ' ', 40001);
    params[0] = '[';
    params[40000] = ']';
    params[40001] = '\0';
    do
        error = aspace_client_send(client, "m", params, 0, &id);
    while (!error);
    assert_int_equal(error, -ETIMEDOUT);
    assert_int_equal(aspace_client_notify(client, "n", params, 0), -ETIMEDOUT);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_string_equal(aspace_reply_result(reply), "true");
    aspace_reply_free(reply);
    free(params);
    aspace_client_close(client);
    peer_join(&peer);
}

/* ---- Pipelines ---- */

static void echo(struct peer *peer)
{
    const char *line;

    while ((line = peer_line(peer)))
        if (!peer_reply(peer, peer_id(line), "{\"padding\":\"0123456789012345678901234567890123456789\"}"))
            return;
}

static void test_a_hundred_thousand_calls_in_a_pipeline_do_not_block(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, echo);
    struct aspace_reply *reply;
    uint64_t id;

    (void)state;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(aspace_client_send(client, "m", "{\"space\":\"s\",\"x\":[1,2,3]}", PATIENCE_MS, &id), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(aspace_client_receive(client, i % 2 ? (uint64_t)i + 1 : 0, PATIENCE_MS, &reply), 0);
        assert_int_equal(aspace_reply_id(reply), i + 1);
        aspace_reply_free(reply);
    }
    aspace_client_close(client);
    peer_join(&peer);
}

static void reply_hugely(struct peer *peer)
{
    size_t size = (size_t)8 << 20;
    char *text = malloc(size + 60);

    peer_line(peer);
    memset(text, 'x', size);
    memcpy(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"", 34);
    strcpy(text + size, "\"}\n");
    peer_say(peer, text);
    free(text);
    peer_listen(peer);
}

static void test_a_reply_may_be_many_megabytes(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, reply_hugely);
    struct aspace_reply *reply;

    (void)state;
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_int_equal(strlen(aspace_reply_result(reply)), ((size_t)8 << 20) - 34 + 2);
    aspace_reply_free(reply);
    aspace_client_close(client);
    peer_join(&peer);
}

/* ---- Notifications ---- */

struct heard {
    int count;
    char method[40];
    char params[40];
};

static void hear(void *arg, const char *method, const char *params)
{
    struct heard *heard = arg;

    heard->count++;
    snprintf(heard->method, sizeof(heard->method), "%s", method);
    snprintf(heard->params, sizeof(heard->params), "%s", params ? params : "none");
}

static void notify_around_a_reply(struct peer *peer)
{
    peer_line(peer);
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":1}}\n");
    peer_reply(peer, 1, "1");
    peer_line(peer);
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"method\":\"monitor\"}\n");
    peer_listen(peer);
}

static void test_notifications_reach_the_callback_and_do_not_disturb_calls(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, notify_around_a_reply);
    struct heard heard = {0};
    struct aspace_reply *reply;

    (void)state;
    assert_int_equal(aspace_client_wait_notification(client, 0), -EINVAL);
    aspace_client_on_notification(client, hear, &heard);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    aspace_reply_free(reply);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.method, "event");
    assert_string_equal(heard.params, "{\"seq\":1}");
    assert_int_equal(aspace_client_wait_notification(client, 0), -ETIMEDOUT);
    assert_int_equal(aspace_client_notify(client, "go", NULL, PATIENCE_MS), 0);
    assert_int_equal(aspace_client_wait_notification(client, PATIENCE_MS), 0);
    assert_int_equal(heard.count, 2);
    assert_string_equal(heard.method, "monitor");
    assert_string_equal(heard.params, "none");
    aspace_client_close(client);
    peer_join(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_gets_its_result_as_it_was_sent),
        cmocka_unit_test(test_a_refusal_is_a_reply_with_an_error),
        cmocka_unit_test(test_params_that_are_no_json_object_or_array_are_not_sent),
        cmocka_unit_test(test_a_bad_descriptor_is_refused),
        cmocka_unit_test(test_replies_out_of_order_find_their_calls),
        cmocka_unit_test(test_any_reply_is_the_first_that_came),
        cmocka_unit_test(test_a_reply_may_come_byte_by_byte),
        cmocka_unit_test(test_a_late_reply_is_dropped),
        cmocka_unit_test(test_after_a_timeout_a_sent_call_is_still_waited_for),
        cmocka_unit_test(test_a_send_that_times_out_leaves_the_stream_whole),
        cmocka_unit_test(test_a_hundred_thousand_calls_in_a_pipeline_do_not_block),
        cmocka_unit_test(test_a_reply_may_be_many_megabytes),
        cmocka_unit_test(test_notifications_reach_the_callback_and_do_not_disturb_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
