/* Events and waits inside: the feed as a ring, lack of memory at every allocation, time that passes when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "rpc/dispatch.h"
#include "rpc/feed.h"

#define ANSWERS_MAX 16

static struct service service;
static struct peer peer;
static struct json_writer out;
static char *answers[ANSWERS_MAX];
static unsigned answer_count;
static unsigned wakes;
static uint64_t alarm_in; /* as the service asked last; UINT64_MAX: never */

static void on_answer(struct peer *p, const char *text, size_t size)
{
    assert_ptr_equal(p, &peer);
    assert_true(answer_count < ANSWERS_MAX);
    answers[answer_count++] = text ? strndup(text, size) : NULL;
}

static void on_wake(struct peer *p)
{
    (void)p;
    wakes++;
}

static void set_alarm(struct service *s, uint64_t ms)
{
    assert_ptr_equal(s, &service);
    alarm_in = ms;
}

static int start(void **state)
{
    struct limits limits = limits_default();

    (void)state;
    limits.events = 8;
    service_init(&service, &limits);
    service.set_alarm = set_alarm;
    peer = (struct peer){.answer = on_answer, .wake = on_wake};
    answer_count = wakes = 0;
    alarm_in = UINT64_MAX;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    peer_leave(&peer);
    service_end_waits(&service);
    service_free(&service);
    json_writer_free(&out);
    out = (struct json_writer){0};
    while (answer_count)
        free(answers[--answer_count]);
    return 0;
}

#define REQUEST(method, params) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\",\"params\":" params "}"
#define MAP(start)              REQUEST("area.map", "{\"space\":\"s\",\"start\":\"" start "\",\"size\":\"4K\",\"flags\":\"rw-\"}")

static enum dispatched say(const char *message)
{
    out.size = 0;
    out.failed = false;
    dispatch_begin(&service);
    return dispatch_message(&service, &peer, message, strlen(message), &out);
}

static void expect(const char *message, const char *part)
{
    assert_int_equal(say(message), DISPATCHED_REPLY);
    json_bytes(&out, "", 1);
    if (!strstr(out.data, part))
        fail_msg("%s\nanswered %s\nwithout %s", message, out.data, part);
}

static void expect_answer(unsigned i, const char *part)
{
    assert_true(i < answer_count);
    assert_non_null(answers[i]);
    if (!strstr(answers[i], part))
        fail_msg("answer %u is %s\nwithout %s", i, answers[i], part);
}

/* ---- The feed ---- */

static void publish(struct feed *feed, unsigned kind, const char *name)
{
    struct notice *notice = notice_new(kind, name, "\"x\":1", 5);

    assert_non_null(notice);
    feed_publish(feed, notice);
}

/* The next notification holds `part`; NULL: there is none. */
static void expect_next(struct peer *p, const char *part)
{
    out.size = 0;
    assert_int_equal(feed_next(p, &out), part != NULL);
    if (!part)
        return;
    json_bytes(&out, "", 1);
    if (!strstr(out.data, part))
        fail_msg("the next is %s\nwithout %s", out.data, part);
}

static char (*one_name(const char *name))[ASPACE_NAME_MAX + 1]
{
    char(*names)[ASPACE_NAME_MAX + 1] = calloc(1, sizeof(*names));

    assert_non_null(names);
    strcpy(names[0], name);
    return names;
}

static void a_follower_gets_what_it_wants_and_what_it_missed_is_counted(void **state)
{
    struct feed *feed = &service.events;
    struct follower *all = feed_follow(feed, &peer, 1, UINT32_MAX, NULL, 0);

    (void)state;
    assert_non_null(feed_follow(feed, &peer, 2, 1u << 3, one_name("a"), 1));
    publish(feed, 3, "a");
    publish(feed, 3, "ab");
    publish(feed, 2, "a");
    assert_int_equal(wakes, 4);
    expect_next(&peer, "\"subscription\":2,\"seq\":1,\"x\":1}}");
    expect_next(&peer, "\"subscription\":1,\"seq\":1,");
    expect_next(&peer, "\"subscription\":1,\"seq\":2,");
    expect_next(&peer, "\"subscription\":1,\"seq\":3,");
    expect_next(&peer, NULL);

    for (int i = 0; i < 20; i++)
        publish(feed, i % 4, "a"); /* every fourth is for the second */
    expect_next(&peer, "\"method\":\"events.lost\",\"params\":{\"subscription\":2,\"lost\":3}}");
    expect_next(&peer, "\"subscription\":2,\"seq\":19,");
    expect_next(&peer, "\"subscription\":2,\"seq\":23,");
    expect_next(&peer, "\"subscription\":1,\"lost\":12}}");
    for (int seq = 16; seq <= 23; seq++) {
        char part[40];

        snprintf(part, sizeof(part), "\"subscription\":1,\"seq\":%d,", seq);
        expect_next(&peer, part);
    }
    expect_next(&peer, NULL);
    assert_int_equal(feed_rewind(all, 10), 5);
    expect_next(&peer, "\"seq\":16,");
    assert_int_equal(feed_rewind(all, 23), 0);
    expect_next(&peer, NULL);
}

static void notices_that_could_not_be_made_leave_a_gap_that_is_told(void **state)
{
    struct feed *feed = &service.events;

    (void)state;
    assert_non_null(feed_follow(feed, &peer, 1, UINT32_MAX, one_name("a"), 1));
    publish(feed, 0, "a");
    feed_lose(feed, "a", 3);
    feed_lose(feed, "b", 5);
    publish(feed, 0, "a");
    expect_next(&peer, "\"lost\":4}}");
    expect_next(&peer, "\"seq\":10,");
    expect_next(&peer, NULL);
}

static void a_feed_holds_no_more_bytes_than_it_may(void **state)
{
    struct feed *feed = &service.events;
    char text[3000];

    (void)state;
    memset(text, ' ', sizeof(text));
    assert_non_null(feed_follow(feed, &peer, 1, UINT32_MAX, NULL, 0));
    for (int i = 0; i < 20; i++) {
        feed_publish(feed, notice_new(0, "a", text, sizeof(text)));
        assert_true(feed->bytes <= 8 * 1024);
    }
    assert_int_equal(feed->last - feed->first + 1, 2);
    expect_next(&peer, "\"lost\":18}}");
}

static void what_is_private_is_not_for_guests(void **state)
{
    struct notice *notice = notice_new(0, "a", "\"x\":1", 5);
    struct peer guest = {.who = {.is_guest = true}};

    (void)state;
    notice->is_private = true;
    assert_non_null(feed_follow(&service.events, &peer, 1, UINT32_MAX, NULL, 0));
    assert_non_null(feed_follow(&service.events, &guest, 2, UINT32_MAX, NULL, 0));
    feed_publish(&service.events, notice);
    expect_next(&guest, NULL);
    expect_next(&peer, "\"seq\":1,");
    peer_leave(&guest);
}

/* ---- Lack of memory ---- */

static unsigned count_told(void)
{
    unsigned count = 0;

    for (;;) {
        const char *lost;

        out.size = 0;
        if (!feed_next(&peer, &out))
            return count;
        json_bytes(&out, "", 1);
        lost = strstr(out.data, "\"lost\":");
        count += lost ? (unsigned)strtoul(lost + 7, NULL, 10) : 1;
    }
}

/* Four areas go: four events, told or counted as lost, or a refusal and none. */
static void an_edit_tells_or_counts_every_event_whatever_allocation_fails(void **state)
{
    bool reached = true;
    unsigned passed = 0;

    (void)state;
    expect(REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"1M\"}"), "result");
    expect(REQUEST("events.subscribe", "{}"), "\"subscription\":1");
    for (unsigned nth = 1; reached; nth++) {
        bool done;

        expect(MAP("0x1000"), "result");
        expect(MAP("0x3000"), "result");
        expect(MAP("0x5000"), "result");
        expect(MAP("0x7000"), "result");
        assert_int_equal(count_told(), 4);
        json_writer_free(&out);
        out = (struct json_writer){0};
        failing_alloc_arm(nth);
        say(REQUEST("space.clear", "{\"space\":\"s\"}"));
        reached = failing_alloc_disarm();
        json_bytes(&out, "", 1);
        done = !out.failed && strstr(out.data, "\"removed\":4");
        out.failed = false;
        assert_int_equal(count_told(), done ? 4 : 0);
        passed += done && reached;
        if (!done)
            expect(REQUEST("space.clear", "{\"space\":\"s\"}"), "\"removed\":4");
        count_told();
    }
    assert_true(passed >= 4); /* for want of a note, and of each notice */
}

static void a_subscription_without_memory_is_none(void **state)
{
    static const char *const requests[] = {REQUEST("events.subscribe", "{\"spaces\":[\"a\",\"b\"]}"),
                                           REQUEST("monitor.start", "{\"filter\":\"area.\"}")};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct follower *before = peer.followers;
        bool done = false;

        for (unsigned nth = 1; !done; nth++) {
            failing_alloc_arm(nth);
            say(requests[i]);
            failing_alloc_disarm();
            json_bytes(&out, "", 1);
            done = strstr(out.data, "\"result\"") != NULL;
            if (!done)
                assert_non_null(strstr(out.data, "\"code\":5"));
            assert_int_equal(done, peer.followers != before);
        }
    }
}

/* ---- Waiting ---- */

#define WAIT(params) REQUEST("daemon.wait", "{\"space\":\"s\"," params "}")

static void pass_ms(long ms)
{
    struct timespec time = {0, ms * 1000000};

    nanosleep(&time, NULL);
}

static void the_alarm_is_that_of_the_first_deadline(void **state)
{
    (void)state;
    expect(REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"1M\"}"), "result");
    assert_int_equal(say(WAIT("\"generation\":1")), DISPATCHED_LATER);
    assert_int_equal(alarm_in, UINT64_MAX);
    say(WAIT("\"generation\":1,\"timeout_ms\":100000"));
    assert_in_range(alarm_in, 99000, 100000);
    say(WAIT("\"generation\":1,\"timeout_ms\":5"));
    assert_in_range(alarm_in, 0, 5);
    say(WAIT("\"generation\":1,\"timeout_ms\":9007199254740992"));
    assert_in_range(alarm_in, 0, 5);
    pass_ms(10);
    service_alarm(&service);
    assert_int_equal(answer_count, 1);
    expect_answer(0, "\"name\":\"Timeout\"");
    assert_in_range(alarm_in, 90000, 100000);
    expect(MAP("0x1000"), "result");
    assert_int_equal(answer_count, 4);
    for (unsigned i = 1; i < 4; i++)
        expect_answer(i, "{\"generation\":1}");
    assert_null(service.waits);
}

static void a_peer_that_leaves_takes_its_waits_along(void **state)
{
    (void)state;
    expect(REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"1M\"}"), "result");
    say("[" WAIT("\"gone\":true") "," WAIT("\"generation\":1") "," REQUEST("daemon.ping", "{}") "]");
    say(WAIT("\"gone\":true"));
    assert_non_null(service.waits);
    peer_leave(&peer);
    assert_null(service.waits);
    assert_int_equal(answer_count, 0);
    expect(MAP("0x1000"), "result");
    expect(REQUEST("space.destroy", "{\"space\":\"s\"}"), "result");
}

static void at_the_end_nothing_waits_and_nothing_begins_to(void **state)
{
    (void)state;
    expect(REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"1M\"}"), "result");
    say(WAIT("\"gone\":true"));
    service_end_waits(&service);
    expect_answer(0, "\"name\":\"BadState\"");
    say(WAIT("\"gone\":true"));
    expect_answer(1, "\"name\":\"BadState\"");
    say(WAIT("\"generation\":0"));
    expect_answer(2, "{\"generation\":0}");
}

static void a_wait_without_memory_is_refused_or_its_peer_told(void **state)
{
    bool reached = true;

    (void)state;
    expect(REQUEST("space.create", "{\"name\":\"s\",\"ram\":\"1M\"}"), "result");
    for (unsigned nth = 1; reached; nth++) {
        enum dispatched how;

        json_writer_free(&out);
        out = (struct json_writer){0};
        failing_alloc_arm(nth);
        how = say(WAIT("\"generation\":0"));
        reached = failing_alloc_disarm();
        if (how == DISPATCHED_LATER) { /* an answer, a refusal, or word that there was no memory for either */
            assert_int_equal(answer_count, 1);
            free(answers[--answer_count]);
        } else {
            assert_int_equal(how, DISPATCHED_REPLY);
        }
        assert_null(service.waits);
        assert_null(peer.exchanges);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_follower_gets_what_it_wants_and_what_it_missed_is_counted),
        TEST(notices_that_could_not_be_made_leave_a_gap_that_is_told),
        TEST(a_feed_holds_no_more_bytes_than_it_may),
        TEST(what_is_private_is_not_for_guests),
        TEST(an_edit_tells_or_counts_every_event_whatever_allocation_fails),
        TEST(a_subscription_without_memory_is_none),
        TEST(the_alarm_is_that_of_the_first_deadline),
        TEST(a_peer_that_leaves_takes_its_waits_along),
        TEST(at_the_end_nothing_waits_and_nothing_begins_to),
        TEST(a_wait_without_memory_is_refused_or_its_peer_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
