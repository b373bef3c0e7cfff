/* The client against peers that go away, talk nonsense, or are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_MS 20000

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- Peers that go or talk nonsense ---- */

static void go_at_once(struct peer *peer)
{
    (void)peer;
}

static void test_a_peer_that_is_gone_is_a_lost_connection(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, go_at_once);
    struct aspace_reply *reply;

    (void)state;
    peer_join(&peer);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), -ECONNRESET);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), -ECONNRESET);
    assert_int_equal(aspace_client_notify(client, "m", NULL, PATIENCE_MS), -ECONNRESET);
    aspace_client_close(client);
}

/* All three calls are read first: going earlier would already fail the sending. */
static void answer_and_go(struct peer *peer)
{
    for (int i = 0; i < 3; i++)
        peer_line(peer);
    peer_reply(peer, 1, "1");
}

static void test_what_came_before_the_loss_is_still_given(void **state)
{
    struct peer peer;
    uint64_t ids[3];
    struct aspace_client *client = peer_start_three(&peer, answer_and_go, ids);
    struct aspace_reply *reply;

    (void)state;
    peer_join(&peer);
    assert_int_equal(aspace_client_receive(client, ids[1], PATIENCE_MS, &reply), -ECONNRESET);
    assert_int_equal(aspace_client_receive(client, 0, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_id(reply), ids[0]);
    aspace_reply_free(reply);
    assert_int_equal(aspace_client_receive(client, 0, PATIENCE_MS, &reply), -ECONNRESET);
    aspace_client_close(client);
}

static void refuse_the_connection(struct peer *peer)
{
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":7,\"message\":\"full\"}}\n");
}

static void test_an_error_without_id_answers_the_only_call(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, refuse_the_connection);
    struct aspace_reply *reply;

    (void)state;
    peer_join(&peer);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_error(reply), ASPACE_BUSY);
    assert_int_equal(aspace_reply_id(reply), 1);
    aspace_reply_free(reply);
    aspace_client_close(client);
}

static void refuse_after_the_first_bytes(struct peer *peer)
{
    char bytes[1000];

    if (read(peer->fd, bytes, sizeof(bytes)) > 0)
        refuse_the_connection(peer);
}

/* As the daemon does with a message that is too long. */
static void test_a_call_refused_while_it_is_sent_gets_its_refusal(void **state)
{
    size_t size = (size_t)4 << 20;
    char *params = malloc(size);
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, refuse_after_the_first_bytes);
    struct aspace_reply *reply;

    (void)state;
    memset(params, ' ', size);
    params[0] = '[';
    params[size - 2] = ']';
    params[size - 1] = '\0';
    assert_int_equal(aspace_client_call(client, "m", params, PATIENCE_MS, &reply), 0);
    assert_int_equal(aspace_reply_error(reply), ASPACE_BUSY);
    aspace_reply_free(reply);
    assert_int_equal(aspace_client_call(client, "m", params, PATIENCE_MS, &reply), -ECONNRESET);
    free(params);
    aspace_client_close(client);
    peer_join(&peer);
}

static const char *nonsense;

static void talk_nonsense(struct peer *peer)
{
    peer_line(peer);
    peer_say(peer, nonsense);
    peer_listen(peer);
}

static void test_nonsense_is_a_protocol_error_that_stays(void **state)
{
    static const char *const all[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "Content-Length: 2\r\n\r\n{}",
        "{\n",
        "{}\n",
        "[]\n",
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1.0,\"result\":1}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"message\":\"no code\"}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":0}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":99999999999}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":1}\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct peer peer;
        struct aspace_client *client;
        struct aspace_reply *reply;

        nonsense = all[i];
        client = peer_start(&peer, talk_nonsense);
        assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), -EPROTO);
        assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), -EPROTO);
        aspace_client_close(client);
        peer_join(&peer);
    }
}

static void answer_twice(struct peer *peer)
{
    peer_line(peer);
    peer_say(peer, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n");
    peer_listen(peer);
}

static void test_a_second_reply_to_a_call_is_a_protocol_error(void **state)
{
    struct peer peer;
    struct aspace_client *client = peer_start(&peer, answer_twice);
    struct aspace_reply *reply;
    uint64_t id;

    (void)state;
    assert_int_equal(aspace_client_send(client, "m", NULL, PATIENCE_MS, &id), 0);
    assert_int_equal(aspace_client_receive(client, id, PATIENCE_MS, &reply), 0);
    aspace_reply_free(reply);
    assert_int_equal(aspace_client_call(client, "m", NULL, PATIENCE_MS, &reply), -EPROTO);
    aspace_client_close(client);
    peer_join(&peer);
}

/* ---- Connecting ---- */

static char folder[] = "/tmp/aspace-client-XXXXXX";
static char socket_path[60];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(socket_path, sizeof(socket_path), "%s/s", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(socket_path);
    return rmdir(folder);
}

static int bind_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    unlink(socket_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void test_no_daemon_is_told_apart(void **state)
{
    struct aspace_client *client;
    char endless[200];

    (void)state;
    unlink(socket_path);
    assert_int_equal(aspace_client_connect(socket_path, PATIENCE_MS, &client), -ENOENT);
    close(bind_socket());
    assert_int_equal(aspace_client_connect(socket_path, PATIENCE_MS, &client), -ECONNREFUSED);
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_int_equal(aspace_client_connect(endless, PATIENCE_MS, &client), -ENAMETOOLONG);
    assert_int_equal(aspace_client_connect("", PATIENCE_MS, &client), -EINVAL);
}

static void test_connecting_to_a_full_backlog_times_out(void **state)
{
    struct aspace_client *waiting[8];
    int fd = bind_socket();
    int64_t before = now_ms();
    int error = 0;
    int count = 0;

    (void)state;
    assert_int_equal(listen(fd, 1), 0);
    while (count < 8 && !(error = aspace_client_connect(socket_path, 100, &waiting[count])))
        count++;
    assert_int_equal(error, -ETIMEDOUT);
    assert_in_range(now_ms() - before, 90, PATIENCE_MS);
    assert_int_equal(aspace_client_connect(socket_path, 0, &waiting[count]), -ETIMEDOUT);
    while (count--)
        aspace_client_close(waiting[count]);
    close(fd);
}

static void test_a_connection_is_not_inherited(void **state)
{
    struct aspace_client *client;
    int fd = bind_socket();

    (void)state;
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(aspace_client_connect(socket_path, PATIENCE_MS, &client), 0);
    assert_true(fcntl(aspace_client_fd(client), F_GETFD) & FD_CLOEXEC);
    aspace_client_close(client);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_that_is_gone_is_a_lost_connection),
        cmocka_unit_test(test_what_came_before_the_loss_is_still_given),
        cmocka_unit_test(test_an_error_without_id_answers_the_only_call),
        cmocka_unit_test(test_a_call_refused_while_it_is_sent_gets_its_refusal),
        cmocka_unit_test(test_nonsense_is_a_protocol_error_that_stays),
        cmocka_unit_test(test_a_second_reply_to_a_call_is_a_protocol_error),
        cmocka_unit_test(test_no_daemon_is_told_apart),
        cmocka_unit_test(test_connecting_to_a_full_backlog_times_out),
        cmocka_unit_test(test_a_connection_is_not_inherited),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
