/* Who may connect, by the rule alone; what the kernel says is tests/system/test_peers.py. And users' connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/admission.h"
#include "net/users.h"

#define OWN    1000
#define FRIEND 2000
#define OTHER  3000

static const uint32_t groups[] = {5, 6, 7};

static bool decide(const struct admission *admission, uint32_t uid, struct identity *who)
{
    *who = (struct identity){.uid = uid, .looks_only = true, .is_guest = true};
    return admission_decide(admission, OWN, groups, 3, who);
}

static void the_daemons_user_and_root_may_do_everything(void **state)
{
    struct admission none = {0};
    struct identity who;

    (void)state;
    assert_false(admission_is_open(&none));
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(decide(&none, i ? OWN : 0, &who));
        assert_false(who.looks_only || who.is_guest);
    }
    assert_false(decide(&none, OTHER, &who));
}

static void a_user_or_any_group_of_a_user_lets_in_as_a_guest(void **state)
{
    struct identity who;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct admission admission = {0};

        assert_true(i < 3 ? id_list_add(&admission.gids, groups[i]) : id_list_add(&admission.uids, FRIEND));
        assert_true(admission_is_open(&admission));
        assert_true(decide(&admission, FRIEND, &who));
        assert_true(who.is_guest && !who.looks_only);
    }
}

static void a_read_only_group_lets_look_unless_more_is_allowed(void **state)
{
    struct admission admission = {0};
    struct identity who;

    (void)state;
    id_list_add(&admission.read_only_gids, 7);
    assert_true(decide(&admission, FRIEND, &who));
    assert_true(who.looks_only);
    assert_true(decide(&admission, OWN, &who));
    assert_false(who.looks_only);
    id_list_add(&admission.gids, 5);
    assert_true(decide(&admission, FRIEND, &who));
    assert_false(who.looks_only);
}

static void a_list_takes_so_many_and_no_more(void **state)
{
    struct id_list list = {0};

    (void)state;
    for (uint32_t i = 0; i < ADMISSION_IDS_MAX; i++)
        assert_true(id_list_add(&list, i));
    assert_false(id_list_add(&list, 1));
    assert_int_equal(list.count, ADMISSION_IDS_MAX);
}

static void the_kernel_is_asked_about_the_other_end(void **state)
{
    struct admission none = {0};
    struct identity who;
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(admission_check(&none, pair[0], &who));
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(who.pid, getpid());
    close(pair[0]);
    close(pair[1]);
    assert_false(admission_check(&none, pair[0], &who));
}

static void each_user_has_a_count_of_its_own_that_ends_at_the_most(void **state)
{
    struct users users = {0};
    struct user *all[50];

    (void)state;
    for (uint32_t uid = 0; uid < 50; uid++) {
        all[uid] = users_enter(&users, uid, 2);
        assert_non_null(all[uid]);
        assert_ptr_equal(users_enter(&users, uid, 2), all[uid]);
        assert_null(users_enter(&users, uid, 2));
    }
    users_leave(all[7]);
    assert_ptr_equal(users_enter(&users, 7, 2), all[7]);
    assert_null(users_enter(&users, 8, 2));
    for (uint32_t uid = 0; uid < 50; uid++) {
        users_leave(all[uid]);
        users_leave(all[uid]);
    }
    assert_null(users.first);
}

static unsigned times_less;

static void on_less(struct user *user)
{
    assert_int_equal(user->uid, 7);
    times_less++;
}

static void a_user_is_known_until_what_is_in_flight_has_ended(void **state)
{
    struct users users = {.less = on_less};
    struct user *user = users_enter(&users, 7, 2);

    (void)state;
    assert_non_null(user);
    user->load.in_flight = 2;
    users_leave(user);
    assert_ptr_equal(users.first, user);
    assert_ptr_equal(users_enter(&users, 7, 2), user);
    users_leave(user);
    user->load.in_flight--;
    user->load.less(&user->load);
    assert_ptr_equal(users.first, user);
    user->load.in_flight--;
    user->load.less(&user->load);
    assert_null(users.first);
    assert_int_equal(times_less, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_daemons_user_and_root_may_do_everything),
        cmocka_unit_test(a_user_or_any_group_of_a_user_lets_in_as_a_guest),
        cmocka_unit_test(a_read_only_group_lets_look_unless_more_is_allowed),
        cmocka_unit_test(a_list_takes_so_many_and_no_more),
        cmocka_unit_test(the_kernel_is_asked_about_the_other_end),
        cmocka_unit_test(each_user_has_a_count_of_its_own_that_ends_at_the_most),
        cmocka_unit_test(a_user_is_known_until_what_is_in_flight_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
