/* The table of calls under way: growth, order of arrival, giving up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "client/calls.h"

#define MANY 5000

static struct aspace_reply *make_reply(uint64_t id)
{
    struct aspace_reply *reply = calloc(1, sizeof(*reply) + 1);

    reply->id = id;
    return reply;
}

static void test_every_call_is_found_however_many_there_are(void **state)
{
    struct calls calls = {0};

    (void)state;
    assert_null(calls_find(&calls, 1));
    for (uint64_t id = 1; id <= MANY; id++)
        assert_int_equal(calls_add(&calls, id), 0);
    assert_int_equal(calls.count, MANY);
    for (uint64_t id = 1; id <= MANY; id++)
        assert_int_equal(calls_find(&calls, id)->id, id);
    assert_null(calls_find(&calls, MANY + 1));
    calls_free(&calls);
}

static void test_replies_stay_in_the_order_of_arrival_when_others_are_taken(void **state)
{
    static const uint64_t arrival[] = {4, 1, 5, 3, 2};
    struct calls calls = {0};

    (void)state;
    for (uint64_t id = 1; id <= 5; id++)
        calls_add(&calls, id);
    for (int i = 0; i < 5; i++)
        assert_true(calls_deliver(&calls, calls_find(&calls, arrival[i]), make_reply(arrival[i])));
    aspace_reply_free(calls_take(&calls, calls_find(&calls, 5)));
    aspace_reply_free(calls_take(&calls, calls_find(&calls, 2)));
    assert_int_equal(calls.ready->id, 4);
    aspace_reply_free(calls_take(&calls, calls.ready));
    assert_int_equal(calls.ready->id, 1);
    calls_add(&calls, 6);
    calls_deliver(&calls, calls_find(&calls, 6), make_reply(6));
    aspace_reply_free(calls_take(&calls, calls.ready));
    assert_int_equal(calls.ready->id, 3);
    aspace_reply_free(calls_take(&calls, calls.ready));
    assert_int_equal(calls.ready->id, 6);
    aspace_reply_free(calls_take(&calls, calls.ready));
    assert_null(calls.ready);
    assert_int_equal(calls.count, 0);
    assert_int_equal(calls.wanted, 0);
    calls_free(&calls);
}

static void test_a_call_that_was_given_up_goes_with_its_reply(void **state)
{
    struct calls calls = {0};

    (void)state;
    calls_add(&calls, 1);
    calls_add(&calls, 2);
    calls_give_up(&calls, calls_find(&calls, 1));
    calls_give_up(&calls, calls_find(&calls, 1));
    assert_int_equal(calls.wanted, 1);
    assert_int_equal(calls.count, 2);
    assert_true(calls_deliver(&calls, calls_find(&calls, 1), make_reply(1)));
    assert_null(calls_find(&calls, 1));
    assert_null(calls.ready);
    assert_true(calls_deliver(&calls, calls_find(&calls, 2), make_reply(2)));
    assert_false(calls_deliver(&calls, calls_find(&calls, 2), make_reply(2)));
    calls_give_up(&calls, calls_find(&calls, 2));
    assert_int_equal(calls.count, 0);
    calls_free(&calls);
}

static void test_the_only_waiting_call_is_known(void **state)
{
    struct calls calls = {0};

    (void)state;
    assert_null(calls_only_waiting(&calls));
    calls_add(&calls, 1);
    assert_int_equal(calls_only_waiting(&calls)->id, 1);
    calls_add(&calls, 2);
    assert_null(calls_only_waiting(&calls));
    calls_deliver(&calls, calls_find(&calls, 1), make_reply(1));
    assert_int_equal(calls_only_waiting(&calls)->id, 2);
    calls_free(&calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_is_found_however_many_there_are),
        cmocka_unit_test(test_replies_stay_in_the_order_of_arrival_when_others_are_taken),
        cmocka_unit_test(test_a_call_that_was_given_up_goes_with_its_reply),
        cmocka_unit_test(test_the_only_waiting_call_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
