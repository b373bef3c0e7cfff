/* Whether one client's long work holds up another: how long a ping takes while 64 GiB are mapped eagerly, and unmapped,
 * for somebody else, beside how long it takes when nobody else is there.
 *
 *     bench_stall --aspaced PATH [--json] */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aspace/client.h"
#include "base/clock.h"
#include "base/histogram.h"

#define LONG_TIMEOUT_MS 600000
#define ALONE_NS        UINT64_C(1000000000)
#define TARGET_P99_NS   UINT64_C(20000000)

struct figure {
    struct histogram pings;
    uint64_t ns; /* how long it was looked at */
};

static char folder[] = "/tmp/aspace-bench-XXXXXX";
static char path[sizeof(folder) + 8];
static pid_t daemon_pid;
static atomic_bool working;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static struct aspace_client *client_open(void)
{
    struct aspace_client *client = NULL;

    must(aspace_client_connect(path, 5000, &client) == 0, "connecting to aspaced");
    return client;
}

static void call(struct aspace_client *client, const char *method, const char *params)
{
    struct aspace_reply *reply = NULL;

    must(aspace_client_call(client, method, params, LONG_TIMEOUT_MS, &reply) == 0, method);
    if (aspace_reply_error(reply)) {
        fprintf(stderr, "bench_stall: %s: %s\n", method, aspace_reply_error_object(reply));
        exit(1);
    }
    aspace_reply_free(reply);
}

static void start_daemon(const char *program)
{
    pid_t parent = getpid();
    int line[2];
    char ready[20];
    char byte;

    must(mkdtemp(folder) != NULL, "a folder");
    snprintf(path, sizeof(path), "%s/s", folder);
    must(pipe(line) == 0, "pipe");
    daemon_pid = fork();
    must(daemon_pid >= 0, "fork");
    if (daemon_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        snprintf(ready, sizeof(ready), "%d", line[1]);
        execlp(program, program, "--socket", path, "--ready-fd", ready, "--log-level", "error", (char *)NULL);
        perror(program);
        _exit(127);
    }
    close(line[1]);
    must(read(line[0], &byte, 1) == 1, "the daemon's start");
    close(line[0]);
}

static void stop_daemon(void)
{
    kill(daemon_pid, SIGTERM);
    waitpid(daemon_pid, NULL, 0);
    rmdir(folder);
}

/* The other client: what it asks for takes seconds. */
static void *work(void *arg)
{
    struct aspace_client *client = client_open();

    (void)arg;
    call(client, "space.create", "{\"name\":\"long\",\"ram\":\"65G\"}");
    call(client, "area.map",
         "{\"space\":\"long\",\"start\":\"0x10000000000\",\"size\":\"64G\",\"flags\":\"rw-\","
         "\"backing\":\"eager\"}");
    call(client, "area.protect", "{\"space\":\"long\",\"start\":\"0x10000000000\",\"size\":\"64G\",\"flags\":\"r--\"}");
    call(client, "area.unmap", "{\"space\":\"long\",\"start\":\"0x10000000000\",\"size\":\"64G\"}");
    call(client, "space.destroy", "{\"space\":\"long\"}");
    aspace_client_close(client);
    atomic_store(&working, false);
    return NULL;
}

/* Pings, one every 200 us, while somebody works, or for a second. */
static void ping(struct aspace_client *client, bool alone, struct figure *ret)
{
    uint64_t began = clock_ns();

    memset(ret, 0, sizeof(*ret));
    while (alone ? clock_ns() - began < ALONE_NS : atomic_load(&working)) {
        uint64_t sent = clock_ns();

        call(client, "daemon.ping", NULL);
        histogram_add(&ret->pings, clock_ns() - sent);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    ret->ns = clock_ns() - began;
}

static void print_row(const char *name, const struct figure *f)
{
    printf("%-28s %8" PRIu64 " %9.1f %9.1f %9.1f %9.2f\n", name, f->pings.count,
           (double)histogram_quantile(&f->pings, 0.5) / 1e3, (double)histogram_quantile(&f->pings, 0.99) / 1e3,
           (double)f->pings.max / 1e3, (double)f->ns / 1e9);
}

static void print_json(const char *name, const struct figure *f, const char *end)
{
    printf("\"%s\":{\"pings\":%" PRIu64 ",\"p50_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64
           ",\"seconds\":%.3f}%s",
           name, f->pings.count, histogram_quantile(&f->pings, 0.5), histogram_quantile(&f->pings, 0.99), f->pings.max,
           (double)f->ns / 1e9, end);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"aspaced", 1, NULL, 'a'}, {"json", 0, NULL, 'j'}, {0}};
    static struct figure alone;
    static struct figure beside;
    const char *program = "aspaced";
    struct aspace_client *client;
    bool json = false;
    pthread_t thread;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?') {
            fputs("usage: bench_stall [--aspaced PATH] [--json]\n", stderr);
            return 2;
        }
        json |= o == 'j';
        program = o == 'a' ? optarg : program;
    }
    start_daemon(program);
    client = client_open();
    ping(client, true, &alone);
    atomic_store(&working, true);
    must(pthread_create(&thread, NULL, work, NULL) == 0, "a thread");
    ping(client, false, &beside);
    pthread_join(thread, NULL);
    aspace_client_close(client);
    stop_daemon();
    if (json) {
        putchar('{');
        print_json("alone", &alone, ",");
        print_json("beside_64_gib", &beside, "}\n");
        return 0;
    }
    printf("a ping, us                      pings       p50       p99       max   seconds\n");
    print_row("alone", &alone);
    print_row("while 64 GiB come and go", &beside);
    printf("target: p99 under %u ms: %s\n", (unsigned)(TARGET_P99_NS / 1000000),
           histogram_quantile(&beside.pings, 0.99) < TARGET_P99_NS ? "met" : "missed");
    return 0;
}
