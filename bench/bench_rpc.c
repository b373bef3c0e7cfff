/* The daemon through its socket, beside floors of the same run: a libuv echo of the same lines, a plain libuv and
 * cJSON server, and redis where it is installed. Server and client have a processor each. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aspace/client.h"
#include "rpc_floor.h"
#include "rpc_load.h"

#define REPEATS     3 /* of each figure; the median counts */
#define SCRIPT      128
#define LIST_LIMIT  10
#define IDLE        10000u
#define TIMEOUT_MS  10000
#define SLOTS_START 0x200000000u
#define REQUEST_MAX 200

/* ---- What is measured ---- */

enum method { FIND, MAP_UNMAP, LIST, METHODS };
enum server { ASPACED, ECHO, CJSON, REDIS, SERVERS };

static const char *const method_names[METHODS] = {"area.find", "area.map+unmap", "area.list(10)"};
static const char *const server_names[SERVERS] = {"aspaced", "libuv echo", "libuv+cJSON", "redis SET"};

struct shape {
    unsigned connections;
    unsigned depth;
};

static const struct shape shapes[] = {{1, 1}, {1, 64}, {50, 16}};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct figure {
    double rate;      /* requests a second */
    double server_ns; /* CPU time of the server for a request */
    double p50, p99, p999;
};

struct idle {
    double connected;    /* resident bytes of the server for each connection that has sent nothing yet, */
    double served;       /* and for each that has had a reply */
    struct figure alone; /* area.find on one connection, depth 1 */
    struct figure among; /* the same among the idle ones */
};

struct bench {
    const char *aspaced;
    uint64_t ns; /* of one measurement */
    int processors[2];
    unsigned idle_connections;
    char folder[32];
    char path[SERVERS][48];
    pid_t pid[SERVERS]; /* 0: not there */
    struct aspace_client *client;
    struct figure figures[SHAPES][METHODS][SERVERS];
    struct idle idle[SERVERS];
};

static struct bench bench;

/* ---- The servers ---- */

/* The first and the last processor that we may use. */
static void find_processors(void)
{
    cpu_set_t set;

    must(sched_getaffinity(0, sizeof(set), &set) == 0, "sched_getaffinity");
    bench.processors[0] = -1;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &set))
            continue;
        if (bench.processors[0] < 0)
            bench.processors[0] = i;
        bench.processors[1] = i;
    }
    if (bench.processors[0] == bench.processors[1])
        fprintf(stderr, "bench_rpc: server and client share the one processor there is: the figures say little\n");
}

static void stay_on(int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

static void run_program(enum server server)
{
    const char *path = bench.path[server];
    int null = open("/dev/null", O_RDWR);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (server == REDIS)
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
               "--daemonize", "no", "--maxclients", "1000", "--dir", bench.folder, (char *)NULL);
    else
        execlp(bench.aspaced, bench.aspaced, "--socket", path, "--max-connections", "100000", "--log-level", "error",
               (char *)NULL);
    _exit(127);
}

/* Waits until it takes connections. False if it ended instead: then it is not there. */
static bool wait_ready(enum server server)
{
    struct timespec pause = {.tv_nsec = 10000000};
    int status;

    for (int i = 0; i < 1000 && access(bench.path[server], F_OK) != 0; i++) {
        if (waitpid(bench.pid[server], &status, WNOHANG) == bench.pid[server])
            return false;
        nanosleep(&pause, NULL);
    }
    nanosleep(&pause, NULL); /* bound, and now listening */
    close(load_connect(bench.path[server]));
    return true;
}

static void start(enum server server)
{
    pid_t parent = getpid();

    snprintf(bench.path[server], sizeof(bench.path[server]), "%s/%d", bench.folder, server);
    bench.pid[server] = fork();
    must(bench.pid[server] >= 0, "fork");
    if (bench.pid[server] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        stay_on(bench.processors[0]);
        if (server == ECHO)
            floor_echo(bench.path[server]);
        else if (server == CJSON)
            floor_cjson(bench.path[server]);
        else
            run_program(server);
        _exit(1);
    }
    if (!wait_ready(server))
        bench.pid[server] = 0;
}

static void stop(enum server server)
{
    if (!bench.pid[server])
        return;
    kill(bench.pid[server], server == ASPACED ? SIGTERM : SIGKILL);
    waitpid(bench.pid[server], NULL, 0);
    unlink(bench.path[server]);
}

/* ---- The daemon's space, as the cJSON server has it ---- */

static struct aspace_reply *call(const char *method, const char *params)
{
    struct aspace_reply *reply = NULL;

    must(aspace_client_call(bench.client, method, params, TIMEOUT_MS, &reply) == 0, method);
    if (aspace_reply_error(reply)) {
        fprintf(stderr, "bench_rpc: %s: %s\n", method, aspace_reply_error_object(reply));
        exit(1);
    }
    return reply;
}

static void fill_space(void)
{
    must(aspace_client_connect(bench.path[ASPACED], TIMEOUT_MS, &bench.client) == 0, "connecting to aspaced");
    aspace_reply_free(call("space.create", "{\"name\":\"bench\"}"));
    for (unsigned i = 0; i < FLOOR_AREAS; i++) {
        char params[REQUEST_MAX];

        snprintf(params, sizeof(params), "{\"space\":\"bench\",\"start\":\"0x%x%08x\",\"size\":4096,\"flags\":\"rw-\"}",
                 1, i * 2 * FLOOR_PAGE);
        aspace_reply_free(call("area.map", params));
    }
}

/* Of all methods: an error reply in a measurement would make it worthless. */
static uint64_t daemon_errors(void)
{
    struct aspace_reply *reply = call("daemon.stats", NULL);
    uint64_t errors;

    must(aspace_reply_u64(reply, "errors", &errors) == 0, "daemon.stats");
    aspace_reply_free(reply);
    return errors;
}

/* ---- Requests ---- */

/* A fixed sequence: the same requests in every run. */
static uint64_t random_below(uint64_t limit)
{
    static uint64_t seed = 0x9e3779b97f4a7c15u;

    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

static int write_params(enum method method, unsigned connection, unsigned i, char *text, size_t size)
{
    uint64_t area = FLOOR_START + random_below(FLOOR_AREAS - LIST_LIMIT) * 2 * FLOOR_PAGE;
    uint64_t slot = SLOTS_START + (uint64_t)(connection * SCRIPT + i) / 2 * 2 * FLOOR_PAGE;

    switch (method) {
    case FIND:
        return snprintf(text, size, "\"addr\":\"0x%" PRIx64 "\"", area + random_below(FLOOR_PAGE));
    case MAP_UNMAP:
        return snprintf(text, size, "\"start\":\"0x%" PRIx64 "\",\"size\":\"0x1000\"%s", slot,
                        i % 2 ? "" : ",\"flags\":\"rw-\"");
    default:
        return snprintf(text, size, "\"start\":\"0x%" PRIx64 "\",\"limit\":%d", area, LIST_LIMIT);
    }
}

static int write_request(enum server server, enum method method, unsigned connection, unsigned i, char *text,
                         size_t size)
{
    static const char *const names[METHODS][2] = {
        {"area.find", "area.find"}, {"area.map", "area.unmap"}, {"area.list", "area.list"}};
    char params[REQUEST_MAX];

    if (server == REDIS)
        return snprintf(text, size, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012u\r\n$3\r\nxxx\r\n",
                        (unsigned)random_below(FLOOR_AREAS));
    write_params(method, connection, i, params, sizeof(params));
    return snprintf(text, size,
                    "{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"%s\",\"params\":{\"space\":\"bench\",%s}}\n", 1000 + i,
                    names[method][i % 2], params);
}

static struct script make_script(enum server server, enum method method, unsigned connection)
{
    struct script script = {malloc(SCRIPT * REQUEST_MAX), calloc(SCRIPT, sizeof(size_t)), SCRIPT};
    size_t size = 0;

    must(script.text && script.ends, "malloc");
    for (unsigned i = 0; i < SCRIPT; i++) {
        size += (size_t)write_request(server, method, connection, i, script.text + size, REQUEST_MAX);
        script.ends[i] = size;
    }
    return script;
}

/* ---- A measurement ---- */

static const char *expected_reply(enum server server, enum method method)
{
    if (server == REDIS)
        return "+OK";
    if (server == ECHO)
        return "\"method\"";
    return method == FIND ? "\"area\":{\"start\":" : method == LIST ? "{\"areas\":[{\"start\":" : "\"generation\":";
}

static struct figure measure(enum server server, enum method method, struct shape shape)
{
    struct script *scripts = calloc(shape.connections, sizeof(*scripts));
    struct load load = {
        .path = bench.path[server],
        .connections = shape.connections,
        .depth = shape.depth,
        .scripts = scripts,
        .expected = expected_reply(server, method),
        .group = 2, /* what was mapped is unmapped */
        .ns = bench.ns,
    };
    uint64_t errors = server == ASPACED ? daemon_errors() : 0;
    struct load_result result;

    must(scripts != NULL, "malloc");
    for (unsigned i = 0; i < shape.connections; i++)
        scripts[i] = make_script(server, method, i);
    load_run(&load, bench.pid[server], &result);
    if (server == ASPACED)
        must(daemon_errors() == errors, "a measurement without an error reply");
    for (unsigned i = 0; i < shape.connections; i++) {
        free(scripts[i].text);
        free(scripts[i].ends);
    }
    free(scripts);
    return (struct figure){
        .rate = (double)result.measured * 1e9 / (double)result.ns,
        .server_ns = (double)result.server_ns / (double)result.measured,
        .p50 = (double)histogram_quantile(&result.latency, 0.5),
        .p99 = (double)histogram_quantile(&result.latency, 0.99),
        .p999 = (double)histogram_quantile(&result.latency, 0.999),
    };
}

static int by_rate(const void *a, const void *b)
{
    double left = ((const struct figure *)a)->rate;
    double right = ((const struct figure *)b)->rate;

    return (left > right) - (left < right);
}

/* Each server in turn, REPEATS times over, so that what slows the machine for a while slows all of them. */
static void measure_all(enum method method, size_t shape)
{
    struct figure all[SERVERS][REPEATS] = {{{0}}};

    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int server = 0; server < SERVERS; server++) {
            if (bench.pid[server] && (server != REDIS || method == FIND))
                all[server][repeat] = measure(server, method, shapes[shape]);
        }
    }
    for (int server = 0; server < SERVERS; server++) {
        qsort(all[server], REPEATS, sizeof(all[server][0]), by_rate);
        bench.figures[shape][method][server] = all[server][REPEATS / 2];
    }
}

/* ---- Idle connections ---- */

static double resident(pid_t pid)
{
    char path[40];
    char line[128];
    unsigned long kib = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "re");
    must(file != NULL, path);
    while (fgets(line, sizeof(line), file) && sscanf(line, "VmRSS: %lu", &kib) != 1)
        ;
    fclose(file);
    must(kib > 0, "VmRSS");
    return (double)kib * 1024;
}

/* As many as the limit on open files allows, for us and for the server, up to IDLE. */
static unsigned idle_count(void)
{
    struct rlimit limit;

    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    return limit.rlim_max > IDLE + 100 ? IDLE : (unsigned)limit.rlim_max - 100;
}

static void measure_idle(enum server server)
{
    const struct shape one = {1, 1};
    struct idle *idle = &bench.idle[server];
    struct script script = make_script(server, FIND, 0);
    unsigned count = bench.idle_connections;
    int *fds = calloc(count, sizeof(*fds));
    double before;

    must(fds != NULL, "malloc");
    idle->alone = measure(server, FIND, one);
    before = resident(bench.pid[server]);
    for (unsigned i = 0; i < count; i++)
        fds[i] = load_connect(bench.path[server]);
    load_ask(fds[count - 1], script.text, script.ends[0]); /* so they have all been accepted */
    idle->connected = (resident(bench.pid[server]) - before) / count;
    for (unsigned i = 0; i < count; i++)
        load_ask(fds[i], script.text, script.ends[0]);
    idle->served = (resident(bench.pid[server]) - before) / count;
    idle->among = measure(server, FIND, one);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    free(script.text);
    free(script.ends);
}

/* ---- What must be reached ---- */

struct target {
    const char *what;
    double value;
    double bound;
    bool at_most; /* else at least */
    bool known;
};

#define TARGETS 7

static double ratio(size_t shape, enum server server)
{
    return bench.figures[shape][FIND][ASPACED].rate / bench.figures[shape][FIND][server].rate;
}

static void find_targets(struct target targets[TARGETS])
{
    const struct idle *ours = &bench.idle[ASPACED];
    const struct idle *echo = &bench.idle[ECHO];
    bool redis = bench.pid[REDIS] != 0;
    bool idle = bench.idle_connections != 0;
    const struct target all[TARGETS] = {
        {"area.find, 1 x 1: of the echo's rate", ratio(0, ECHO), 0.9, false, true},
        {"area.find, 1 x 64: of redis SET's rate", redis ? ratio(1, REDIS) : 0, 1, false, redis},
        {"area.find, 50 x 16: of redis SET's rate", redis ? ratio(2, REDIS) : 0, 1, false, redis},
        {"area.find, 50 x 16: of the cJSON server's rate", ratio(2, CJSON), 3, false, true},
        {"idle connection, nothing sent: bytes beyond the echo's", ours->connected - echo->connected, 4096, true, idle},
        {"idle connection, served once: bytes beyond the echo's", ours->served - echo->served, 4096, true, idle},
        {"area.find, 1 x 1 among idle ones: server ns to those alone", ours->among.server_ns / ours->alone.server_ns,
         1.1, true, idle},
    };

    memcpy(targets, all, sizeof(all));
}

static bool is_met(const struct target *t)
{
    return t->at_most ? t->value <= t->bound : t->value >= t->bound;
}

/* ---- Output ---- */

static void print_figure(const struct figure *f)
{
    printf("%10.0f %10.0f %9.1f %9.1f %9.1f\n", f->rate, f->server_ns, f->p50 / 1e3, f->p99 / 1e3, f->p999 / 1e3);
}

static void print_idle_table(void)
{
    if (!bench.idle_connections)
        return;
    printf("\n%u idle connections: resident bytes of the server for each\n\n%-12s %16s %16s\n", bench.idle_connections,
           "server", "nothing sent", "served once");
    for (int server = ASPACED; server <= ECHO; server++)
        printf("%-12s %16.0f %16.0f\n", server_names[server], bench.idle[server].connected, bench.idle[server].served);
    printf("\naspaced, area.find, 1 x 1   requests/s  server ns    p50 us    p99 us   p999 us\n");
    printf("%-27s", "alone");
    print_figure(&bench.idle[ASPACED].alone);
    printf("%-27s", "among the idle ones");
    print_figure(&bench.idle[ASPACED].among);
}

static void print_targets(void)
{
    struct target targets[TARGETS];

    find_targets(targets);
    printf("\n%-60s %9s %13s\n", "target", "is", "wanted");
    for (int i = 0; i < TARGETS; i++) {
        const struct target *t = &targets[i];

        if (t->known)
            printf("%-60s %9.2f %s %7.1f  %s\n", t->what, t->value, t->at_most ? "<=" : ">=", t->bound,
                   is_met(t) ? "met" : "MISSED");
        else
            printf("%-60s not measured\n", t->what);
    }
}

static void print_table(void)
{
    printf("requests through a Unix socket, server and client on a processor each; the median of %d runs\n", REPEATS);
    if (!bench.pid[REDIS])
        printf("redis-server is not installed (Debian: redis-server), so it is not measured\n");
    printf("\n%-8s %-15s %-12s %10s %10s %9s %9s %9s\n", "shape", "method", "server", "requests/s", "server ns",
           "p50 us", "p99 us", "p999 us");
    for (size_t shape = 0; shape < SHAPES; shape++) {
        for (int method = 0; method < METHODS; method++) {
            for (int server = 0; server < SERVERS; server++) {
                const struct figure *f = &bench.figures[shape][method][server];

                if (f->rate == 0)
                    continue;
                printf("%2u x %-3u %-15s %-12s ", shapes[shape].connections, shapes[shape].depth,
                       server == REDIS ? "" : method_names[method], server_names[server]);
                print_figure(f);
            }
        }
    }
    print_idle_table();
    print_targets();
}

static void print_json_figure(const struct figure *f)
{
    printf("\"requests_per_s\":%.0f,\"server_ns\":%.1f,\"p50_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f}", f->rate,
           f->server_ns, f->p50, f->p99, f->p999);
}

static void print_json_idle(void)
{
    printf("],\"idle\":{\"connections\":%u", bench.idle_connections);
    for (int server = ASPACED; server <= ECHO && bench.idle_connections; server++) {
        printf(",\"%s\":{\"bytes_connected\":%.0f,\"bytes_served\":%.0f,\"alone\":{", server_names[server],
               bench.idle[server].connected, bench.idle[server].served);
        print_json_figure(&bench.idle[server].alone);
        printf(",\"among\":{");
        print_json_figure(&bench.idle[server].among);
        printf("}");
    }
    printf("}");
}

static void print_json(void)
{
    struct target targets[TARGETS];
    const char *comma = "";

    printf("{\"redis\":%s,\"rows\":[", bench.pid[REDIS] ? "true" : "false");
    for (size_t shape = 0; shape < SHAPES; shape++) {
        for (int method = 0; method < METHODS; method++) {
            for (int server = 0; server < SERVERS; server++) {
                const struct figure *f = &bench.figures[shape][method][server];

                if (f->rate == 0)
                    continue;
                printf("%s{\"connections\":%u,\"depth\":%u,\"method\":\"%s\",\"server\":\"%s\",", comma,
                       shapes[shape].connections, shapes[shape].depth, server == REDIS ? "SET" : method_names[method],
                       server_names[server]);
                print_json_figure(f);
                comma = ",";
            }
        }
    }
    print_json_idle();
    printf(",\"targets\":[");
    find_targets(targets);
    comma = "";
    for (int i = 0; i < TARGETS; i++) {
        if (!targets[i].known)
            continue;
        printf("%s{\"what\":\"%s\",\"value\":%.3f,\"bound\":%.1f,\"met\":%s}", comma, targets[i].what, targets[i].value,
               targets[i].bound, is_met(&targets[i]) ? "true" : "false");
        comma = ",";
    }
    printf("]}\n");
}

/* ---- The program ---- */

static void clean(void)
{
    for (int server = 0; server < SERVERS; server++)
        stop(server);
    rmdir(bench.folder);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_rpc [--json] [--aspaced PROGRAM] [--ms MILLISECONDS]\n"
            "--ms: how long each measurement takes, 300 unless told; there are %d of each\n",
            REPEATS);
    return 2;
}

int main(int argc, char **argv)
{
    bool json = false;
    int ms = 300;

    bench.aspaced = "aspaced";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--aspaced") == 0 && i + 1 < argc)
            bench.aspaced = argv[++i];
        else if (strcmp(argv[i], "--ms") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0)
            ms = atoi(argv[++i]);
        else
            return usage();
    }
    bench.ns = (uint64_t)ms * 1000000;
    find_processors();
    bench.idle_connections = idle_count();
    strcpy(bench.folder, "/tmp/aspace-bench-XXXXXX");
    must(mkdtemp(bench.folder) != NULL, "mkdtemp");
    for (int server = 0; server < SERVERS; server++)
        start(server);
    atexit(clean);
    stay_on(bench.processors[1]);
    if (!bench.pid[ASPACED]) {
        fprintf(stderr, "bench_rpc: %s cannot be started: use --aspaced PROGRAM\n", bench.aspaced);
        return 1;
    }
    fill_space();
    for (size_t shape = 0; shape < SHAPES; shape++) {
        for (int method = 0; method < METHODS; method++)
            measure_all(method, shape);
    }
    measure_idle(ECHO);
    measure_idle(ASPACED);
    if (json)
        print_json();
    else
        print_table();
    aspace_client_close(bench.client);
    return 0;
}
