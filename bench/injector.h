/* A minimal hand-written injector, as the floor of what the tracer and the daemon do, and a target for it. */
#ifndef BENCH_INJECTOR_H
#define BENCH_INJECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CYCLES 400 /* of each measurement; the median counts */

struct floor_times {
    double call;  /* us: one call within a stop */
    double cycle; /* us: attach, one call, detach */
};

/* Ends the program, saying what failed and errno, unless `ok`. */
void must(bool ok, const char *what);

/* Where a process is to run; -1: where it likes. */
void pin(pid_t pid, int processor);

/* A process that sleeps until it is killed. */
pid_t start_sleeper(int processor);

/* An injector behind a socket and nothing else: for each message that comes from fd one call, then the message back. */
pid_t start_injector(int fd, pid_t target);

void measure_floor(pid_t pid, struct floor_times *ret);

/* Sorts them. */
double median_us(uint64_t *times, size_t count);

#endif
