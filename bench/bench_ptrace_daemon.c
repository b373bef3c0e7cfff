/* Edits of a live process through the daemon: one request at a time, from a blocking client. */
#include "bench_ptrace_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define BATCH      256
#define PLACE      0x100000000000ull /* where the edits are made: nothing is there */
#define ANSWER_MAX 65536

struct served {
    char folder[32];
    char path[48];
    pid_t daemon;
    int fd;
};

static void start(struct served *s, const char *program, int processor)
{
    int ready[2];
    char line[32], byte;

    strcpy(s->folder, "/tmp/aspace-bench-XXXXXX");
    must(mkdtemp(s->folder) != NULL && pipe(ready) == 0, "a folder");
    snprintf(s->path, sizeof(s->path), "%s/s", s->folder);
    s->daemon = fork();
    must(s->daemon >= 0, "fork");
    if (s->daemon == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(0, processor);
        close(ready[0]);
        snprintf(line, sizeof(line), "%d", ready[1]);
        execl(program, program, "--socket", s->path, "--log-level", "error", "--ready-fd", line, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    must(read(ready[0], &byte, 1) == 1, program);
    close(ready[0]);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, s->path);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(s->fd >= 0 && connect(s->fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
}

static void stop(struct served *s)
{
    close(s->fd);
    kill(s->daemon, SIGTERM);
    waitpid(s->daemon, NULL, 0);
    unlink(s->path);
    rmdir(s->folder);
}

/* How long the request took; a refusal ends the program. */
static uint64_t ask(struct served *s, const char *request)
{
    static char answer[ANSWER_MAX + 1];
    size_t size = 0, length = strlen(request);
    uint64_t began = clock_ns();

    must(write(s->fd, request, length) == (ssize_t)length, "write");
    do {
        ssize_t got = read(s->fd, answer + size, ANSWER_MAX - size);
        must(got > 0, "the daemon's answer");
        size += (size_t)got;
    } while (answer[size - 1] != '\n');
    uint64_t took = clock_ns() - began;
    answer[size] = 0;
    if (strstr(answer, "\"error\"")) {
        fprintf(stderr, "bench_ptrace: %s", answer);
        exit(1);
    }
    return took;
}

/* The requests in turn, over and over; the median of one of them. */
static double measure(struct served *s, const char *const requests[2])
{
    uint64_t times[CYCLES];

    for (int i = 0; i < 8; i++)
        ask(s, requests[i % 2]);
    for (int i = 0; i < CYCLES; i++) {
        times[i] = ask(s, requests[i % 2]);
        usleep(200);
    }
    return median_us(times, CYCLES);
}

/* The least that a request can be. */
static double measure_served(pid_t target, const char *const requests[2])
{
    int ends[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    pid_t injector = start_injector(ends[1], target);
    must(injector > 0, "fork");
    double took = measure(&(struct served){.fd = ends[0]}, requests);
    kill(injector, SIGKILL);
    waitpid(injector, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return took;
}

static void create(struct served *s, const char *name, pid_t pid, bool agent)
{
    char text[200];

    snprintf(text, sizeof(text),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.create\",\"params\":{\"name\":\"%s\",\"pid\":%d,"
             "\"agent\":%s}}\n",
             name, (int)pid, agent ? "true" : "false");
    ask(s, text);
    snprintf(text, sizeof(text),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.map\",\"params\":{\"space\":\"%s\",\"start\":\"%#llx\","
             "\"size\":"
             "4096,\"flags\":\"rw-\",\"overlap\":\"replace\"}}\n",
             name, PLACE);
    ask(s, text);
}

static double measure_edit(struct served *s, const char *name)
{
    char texts[2][200];
    const char *const requests[2] = {texts[0], texts[1]};

    for (int i = 0; i < 2; i++)
        snprintf(texts[i], sizeof(texts[i]),
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.protect\",\"params\":{\"space\":\"%s\",\"start\":\"%#"
                 "llx\","
                 "\"size\":4096,\"flags\":\"%s\"}}\n",
                 name, PLACE, i ? "rw-" : "r--");
    return measure(s, requests);
}

/* 256 pages, each protected otherwise than its neighbours. */
static double measure_apply(struct served *s, const char *name)
{
    static char texts[2][BATCH * 160 + 200];
    const char *const requests[2] = {texts[0], texts[1]};
    char map[200];

    snprintf(map, sizeof(map),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.map\",\"params\":{\"space\":\"%s\",\"start\":\"%#llx\","
             "\"size\":"
             "%d,\"flags\":\"rw-\"}}\n",
             name, PLACE + 0x10000000, 2 * BATCH * 4096);
    ask(s, map);
    for (int i = 0; i < 2; i++) {
        char *at = texts[i];
        at += sprintf(at,
                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.apply\",\"params\":{\"space\":\"%s\",\"ops\":[",
                      name);
        for (int k = 0; k < BATCH; k++)
            at += sprintf(
                at, "%s{\"method\":\"area.protect\",\"params\":{\"start\":\"%#llx\",\"size\":4096,\"flags\":\"%s\"}}",
                k ? "," : "", PLACE + 0x10000000 + (unsigned)(2 * k * 4096), i ? "rw-" : "r--");
        strcpy(at, "]}}\n");
    }
    return measure(s, requests) / BATCH;
}

void measure_daemon(const char *program, int ours, int theirs, struct daemon_times *ret)
{
    static const char *const pings[2] = {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.ping\"}\n",
                                         "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.ping\"}\n"};
    static const char find[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.find\",\"params\":{\"space\":\"plain\",\"addr\":"
        "\"0x100000000000\"}}\n";
    static const char *const finds[2] = {find, find};
    pid_t pid = start_sleeper(theirs);
    struct served s;

    pin(0, ours);
    measure_floor(pid, &ret->floor);
    ret->served = measure_served(pid, finds);
    start(&s, program, ours);
    create(&s, "plain", pid, false);
    ret->ping = measure(&s, pings);
    ret->find = measure(&s, finds);
    ret->edit = measure_edit(&s, "plain");
    ret->apply = measure_apply(&s, "plain");
    create(&s, "agent", pid, true);
    ret->agent = measure_edit(&s, "agent");
    stop(&s);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}
