/* The load generator. It does as little as it can for a reply: it looks for line feeds. */
#include "rpc_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PATIENCE_MS 10000
#define BUFFER      (1 << 20)
#define EVENTS      64

struct client {
    int fd;
    const struct script *script;
    unsigned at;      /* the next request of the script */
    unsigned awaited; /* replies of the batch that are still to come */
    uint64_t sent_at;
};

struct run {
    const struct load *load;
    struct client *clients;
    char *buffer;
    int epoll;
    unsigned busy; /* clients with a batch out */
    uint64_t until;
    struct load_result *result;
};

void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_rpc: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    exit(1);
}

uint64_t load_cpu_ns(int pid)
{
    struct timespec t;
    clockid_t clock;

    must(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0, "the server's CPU time");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int load_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0, "socket");
    must(strlen(path) < sizeof(address.sun_path), "the socket's path");
    strcpy(address.sun_path, path);
    must(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, path);
    return fd;
}

static void send_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

        must(n > 0, "send");
        text += n;
        size -= (size_t)n;
    }
}

void load_ask(int fd, const char *request, size_t size)
{
    char reply[65536];
    size_t have = 0;

    send_all(fd, request, size);
    do {
        ssize_t n = recv(fd, reply + have, sizeof(reply) - have, 0);

        must(n > 0, "a reply");
        have += (size_t)n;
    } while (reply[have - 1] != '\n' && have < sizeof(reply));
}

/* ---- Batches ---- */

static void send_batch(struct run *run, struct client *client, uint64_t now)
{
    const struct script *script = client->script;
    size_t from = client->at ? script->ends[client->at - 1] : 0;
    size_t end = script->ends[client->at + run->load->depth - 1];

    client->at = (client->at + run->load->depth) % script->count;
    client->awaited = run->load->depth;
    client->sent_at = now;
    run->busy++;
    send_all(client->fd, script->text + from, end - from);
}

static unsigned count_lines(const char *text, size_t size)
{
    const char *end = text + size;
    unsigned count = 0;

    while ((text = memchr(text, '\n', (size_t)(end - text))) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void on_replies(struct run *run, struct client *client)
{
    ssize_t n = recv(client->fd, run->buffer, BUFFER, MSG_DONTWAIT);
    uint64_t now = clock_ns();
    unsigned replies;

    if (n < 0 && errno == EAGAIN)
        return;
    must(n > 0, "a reply");
    replies = count_lines(run->buffer, (size_t)n);
    must(replies <= client->awaited, "the number of replies");
    client->awaited -= replies;
    for (unsigned i = 0; i < replies; i++)
        histogram_add(&run->result->latency, now - client->sent_at);
    run->result->measured += replies;
    if (client->awaited || !replies)
        return;
    run->busy--;
    if (now < run->until || client->at % run->load->group)
        send_batch(run, client, now);
}

/* The first batch of a connection, whose replies are looked at. */
static void check_replies(struct run *run, struct client *client)
{
    const char *expected = run->load->expected;
    size_t have = 0;
    char *line = run->buffer;

    send_batch(run, client, 0);
    while (client->awaited) {
        ssize_t n = recv(client->fd, run->buffer + have, BUFFER - have - 1, 0);
        char *end;

        must(n > 0, "a reply");
        have += (size_t)n;
        run->buffer[have] = '\0';
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            if (!strstr(line, expected)) {
                fprintf(stderr, "bench_rpc: the reply is not as expected (%s): %s\n", expected, line);
                exit(1);
            }
            client->awaited--;
        }
    }
    run->busy--;
    run->result->requests += run->load->depth;
}

/* ---- A run ---- */

static void open_clients(struct run *run)
{
    for (unsigned i = 0; i < run->load->connections; i++) {
        struct client *client = &run->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        client->fd = load_connect(run->load->path);
        client->script = &run->load->scripts[i];
        must(epoll_ctl(run->epoll, EPOLL_CTL_ADD, client->fd, &event) == 0, "epoll_ctl");
        check_replies(run, client);
    }
}

static void work(struct run *run)
{
    struct epoll_event events[EVENTS];
    uint64_t now = clock_ns();

    run->until = now + run->load->ns;
    for (unsigned i = 0; i < run->load->connections; i++)
        send_batch(run, &run->clients[i], clock_ns());
    while (run->busy) {
        int n = epoll_wait(run->epoll, events, EVENTS, PATIENCE_MS);

        must(n > 0, "replies in time");
        for (int i = 0; i < n; i++)
            on_replies(run, events[i].data.ptr);
    }
    run->result->ns = clock_ns() - now;
}

void load_run(const struct load *load, int pid, struct load_result *ret)
{
    struct run run = {.load = load, .result = ret};
    uint64_t cpu;

    *ret = (struct load_result){0};
    run.clients = calloc(load->connections, sizeof(*run.clients));
    run.buffer = malloc(BUFFER);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    must(run.clients && run.buffer && run.epoll >= 0, "the load generator");
    open_clients(&run);
    cpu = load_cpu_ns(pid);
    work(&run);
    ret->server_ns = load_cpu_ns(pid) - cpu;
    ret->requests += ret->measured;
    for (unsigned i = 0; i < load->connections; i++)
        close(run.clients[i].fd);
    close(run.epoll);
    free(run.buffer);
    free(run.clients);
}
