/* The load generator of bench_rpc: connections that each send a batch of requests, wait for all of its replies, and go
 * on with the next. A reply is what ends with a line feed. */
#ifndef BENCH_RPC_LOAD_H
#define BENCH_RPC_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

/* Requests of one connection, sent over and over. */
struct script {
    char *text;
    size_t *ends; /* of each request in the text */
    unsigned count;
};

struct load {
    const char *path;
    unsigned connections;
    unsigned depth;         /* requests in a batch; divides each script's count */
    struct script *scripts; /* one a connection */
    const char *expected;   /* what each reply of the first batch must hold */
    unsigned group;         /* a connection ends only after a multiple of so many requests */
    uint64_t ns;            /* how long new batches are begun */
};

struct load_result {
    uint64_t requests; /* with the first batches, which are not in the other figures */
    uint64_t measured;
    uint64_t ns;
    uint64_t server_ns;       /* CPU time of the server */
    struct histogram latency; /* ns, from the batch's sending to the reply */
};

/* Runs the load against the server process `pid`. Whatever goes wrong ends the program with a message. */
void load_run(const struct load *load, int pid, struct load_result *ret);

/* A connected blocking socket. */
int load_connect(const char *path);

/* One request, and its reply read up to the line feed. */
void load_ask(int fd, const char *request, size_t size);

/* CPU time that a process has used so far. */
uint64_t load_cpu_ns(int pid);

/* Ends the program, saying what failed and errno, unless `ok`. */
void must(int ok, const char *what);

#endif
