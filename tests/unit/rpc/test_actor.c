/* Spaces as actors, with workers that run when the test says so: order, overtaking, relatives, peers that leave, threads
 * that cannot be had, memory that cannot be had. */
#include "rpc/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "rpc/dispatch.h"

#define ANSWERS_MAX 32
#define LONG_MAP                                                                                                       \
    "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"area.map\",\"params\":{\"space\":\"%s\",\"start\":\"0x10000000000\","
#define LONG_SIZE "\"size\":\"32M\",\"flags\":\"rw-\",\"backing\":\"eager\"}}"

static struct service service;
static struct workers workers;
static struct task *tasks[ANSWERS_MAX]; /* handed to the workers */
static unsigned task_count;
static struct peer peer;
static char *answers[ANSWERS_MAX]; /* given later, in order; NULL: there was no memory for it */
static unsigned answer_count;
static struct json_writer out;
static bool closed;

static void submit(struct workers *w, struct task *task)
{
    (void)w;
    assert_true(task_count < ANSWERS_MAX);
    tasks[task_count++] = task;
}

/* The i-th task in waiting runs and is done; `lost`: there is no thread for it. */
static void finish(unsigned i, bool lost)
{
    struct task *task = tasks[i];

    assert_true(i < task_count);
    memmove(&tasks[i], &tasks[i + 1], (--task_count - i) * sizeof(struct task *));
    task->lost = lost;
    if (!lost)
        task->run(task);
    task->done(task);
}

static void finish_all(void)
{
    while (task_count)
        finish(0, false);
}

static void on_answer(struct peer *p, const char *text, size_t size)
{
    assert_ptr_equal(p, &peer);
    assert_true(answer_count < ANSWERS_MAX);
    answers[answer_count] = NULL;
    if (text) {
        answers[answer_count] = strndup(text, size);
        assert_non_null(answers[answer_count]);
    }
    answer_count++;
}

static enum dispatched say(const char *message)
{
    out.size = 0;
    out.failed = false;
    return dispatch_message(&service, &peer, message, strlen(message), &out);
}

/* What is answered at once. */
static void expect_now(const char *message, const char *part)
{
    assert_int_equal(say(message), DISPATCHED_REPLY);
    json_bytes(&out, "", 1);
    if (!strstr(out.data, part))
        fail_msg("%s\nanswered %s\nwithout %s", message, out.data, part);
}

static void say_long(const char *id, const char *space)
{
    char message[300];

    snprintf(message, sizeof(message), LONG_MAP LONG_SIZE, id, space);
    assert_int_equal(say(message), DISPATCHED_LATER);
}

static void expect_answer(unsigned i, const char *part)
{
    assert_true(i < answer_count);
    assert_non_null(answers[i]);
    if (!strstr(answers[i], part))
        fail_msg("answer %u is %s\nwithout %s", i, answers[i], part);
}

static void create(const char *name)
{
    char message[200];

    snprintf(message, sizeof(message),
             "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"space.create\",\"params\":{\"name\":\"%s\",\"ram\":\"64M\"}}",
             name);
    expect_now(message, "\"result\"");
}

static int start(void **state)
{
    struct limits limits = limits_default();

    (void)state;
    workers = (struct workers){.submit = submit};
    service_init(&service, &limits);
    service.workers = &workers;
    peer = (struct peer){.answer = on_answer};
    task_count = answer_count = 0;
    create("a");
    create("b");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(task_count, 0);
    assert_int_equal(service.actors.count, 0);
    assert_int_equal(peer.in_flight, 0);
    assert_int_equal(peer.in_flight_bytes, 0);
    service_free(&service);
    json_writer_free(&out);
    out = (struct json_writer){0};
    for (unsigned i = 0; i < answer_count; i++)
        free(answers[i]);
    return 0;
}

#define FIND(id, space)                                                                                                \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"area.find\",\"params\":{\"space\":\"" space                       \
    "\",\"addr\":\"0x10000000000\"}"                                                                                   \
    "}"
#define PING "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"daemon.ping\"}"

static void what_follows_a_long_request_waits_and_others_do_not(void **state)
{
    (void)state;
    say_long("1", "a");
    assert_int_equal(say(FIND("2", "a")), DISPATCHED_LATER);
    expect_now(PING, "\"id\":9");
    expect_now(FIND("3", "b"), "\"id\":3");
    assert_int_equal(task_count, 1);
    assert_int_equal(answer_count, 0);
    finish(0, false);
    assert_int_equal(answer_count, 2);
    expect_answer(0, "\"id\":1");
    expect_answer(1, "\"id\":2,\"result\":{\"area\":{\"start\":\"0x10000000000\"");
    expect_now(FIND("4", "a"), "\"id\":4");
}

static void long_requests_to_two_spaces_run_side_by_side_and_end_in_any_order(void **state)
{
    (void)state;
    say_long("1", "a");
    say_long("2", "b");
    say_long("3", "a");
    assert_int_equal(task_count, 2);
    finish(1, false);
    expect_answer(0, "\"id\":2");
    finish(0, false);
    expect_answer(1, "\"id\":1");
    assert_int_equal(task_count, 1);
    finish(0, false);
    expect_answer(2, "AlreadyExists");
}

static void a_name_is_a_queue_over_the_end_of_its_space(void **state)
{
    (void)state;
    say_long("1", "a");
    assert_int_equal(say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"space.destroy\",\"params\":[\"a\"]}"),
                     DISPATCHED_LATER);
    assert_int_equal(say(FIND("3", "a")), DISPATCHED_LATER);
    assert_int_equal(say("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"space.create\",\"params\":[\"a\"]}"),
                     DISPATCHED_LATER);
    assert_int_equal(say(FIND("5", "a")), DISPATCHED_LATER);
    finish_all();
    assert_int_equal(answer_count, 5);
    expect_answer(1, "\"id\":2,\"result\":{}");
    expect_answer(2, "\"NotFound\"");
    expect_answer(3, "\"id\":4,\"result\"");
    expect_answer(4, "\"id\":5,\"result\":{\"area\":null");
}

static void relatives_run_one_at_a_time(void **state)
{
    struct space_family *family = calloc(1, sizeof(*family));

    (void)state;
    assert_non_null(family);
    family->members = 2;
    registry_find(&service.registry, "a")->family = family;
    registry_find(&service.registry, "b")->family = family;
    say_long("1", "a");
    say_long("2", "b");
    assert_int_equal(say(FIND("3", "b")), DISPATCHED_LATER);
    assert_int_equal(task_count, 1);
    finish(0, false);
    assert_int_equal(answer_count, 1);
    assert_int_equal(task_count, 1);
    finish(0, false);
    assert_int_equal(answer_count, 3);
    assert_int_equal(say("{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"space.destroy\",\"params\":[\"a\"]}"),
                     DISPATCHED_LATER); /* it is long, and frees its part of the family elsewhere */
    assert_int_equal(say(FIND("5", "b")), DISPATCHED_LATER);
    finish_all();
    expect_answer(4, "\"id\":5");
    assert_int_equal(family->members, 1);
}

static void a_peer_that_leaves_is_not_told_and_what_it_asked_for_happens(void **state)
{
    (void)state;
    say_long("1", "a");
    assert_int_equal(
        say("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"area.split\",\"params\":[\"a\",\"0x10000001000\"]}"),
        DISPATCHED_LATER);
    peer_leave(&peer);
    finish_all();
    assert_int_equal(answer_count, 0);
    assert_int_equal(registry_find(&service.registry, "a")->set.map.count, 2);
}

static void a_request_without_a_thread_is_refused_and_the_next_one_runs(void **state)
{
    (void)state;
    say_long("1", "a");
    say_long("2", "a");
    finish(0, true);
    expect_answer(0, "\"NoMemory\"");
    finish(0, false);
    expect_answer(1, "\"id\":2,\"result\"");
}

static void the_end_waits_for_what_runs(struct service *s)
{
    assert_ptr_equal(s, &service);
    closed = true;
}

static void closing_waits_for_what_runs_and_what_is_queued(void **state)
{
    (void)state;
    closed = false;
    say_long("1", "a");
    say_long("2", "a");
    peer_leave(&peer);
    service_close(&service, the_end_waits_for_what_runs);
    assert_false(closed);
    finish(0, false);
    assert_false(closed);
    finish(0, false);
    assert_true(closed);
}

/* Whatever allocation fails: each message gets its answer, if need be the one that ends the connection, and the space is
 * sound and free for the next. */
static void an_allocation_that_fails_loses_no_answer(void **state)
{
    char batch[600];
    unsigned reached = 0;

    (void)state;
    snprintf(batch, sizeof(batch), "[" PING "," LONG_MAP LONG_SIZE "," FIND("3", "a") "," PING ",{\"x\":1}]", "2", "a");
    for (unsigned nth = 1;; nth++) {
        unsigned before = answer_count;
        enum dispatched how;

        failing_alloc_arm(nth);
        how = say(batch);
        finish_all();
        if (!failing_alloc_disarm())
            break;
        reached++;
        assert_int_equal(answer_count - before, how == DISPATCHED_LATER);
        for (; answer_count > before; answer_count--)
            free(answers[answer_count - 1]);
        assert_int_equal(service.actors.count, 0);
        assert_false(registry_find(&service.registry, "a")->away);
        say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.clear\",\"params\":[\"a\"]}");
        finish_all();
        for (; answer_count > before; answer_count--)
            free(answers[answer_count - 1]);
        say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.check\",\"params\":[\"a\"]}");
        assert_int_equal(task_count, 0);
        json_bytes(&out, "", 1);
        assert_non_null(strstr(out.data, "\"ok\":true"));
    }
    assert_true(reached > 10);
    expect_answer(answer_count - 1, "\"id\":3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_follows_a_long_request_waits_and_others_do_not, start, stop),
        cmocka_unit_test_setup_teardown(long_requests_to_two_spaces_run_side_by_side_and_end_in_any_order, start, stop),
        cmocka_unit_test_setup_teardown(a_name_is_a_queue_over_the_end_of_its_space, start, stop),
        cmocka_unit_test_setup_teardown(relatives_run_one_at_a_time, start, stop),
        cmocka_unit_test_setup_teardown(a_peer_that_leaves_is_not_told_and_what_it_asked_for_happens, start, stop),
        cmocka_unit_test_setup_teardown(a_request_without_a_thread_is_refused_and_the_next_one_runs, start, stop),
        cmocka_unit_test_setup_teardown(closing_waits_for_what_runs_and_what_is_queued, start, stop),
        cmocka_unit_test_setup_teardown(an_allocation_that_fails_loses_no_answer, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
