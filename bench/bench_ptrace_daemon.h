/* Edits of a live process through the daemon. */
#ifndef BENCH_PTRACE_DAEMON_H
#define BENCH_PTRACE_DAEMON_H

#include "injector.h"

struct daemon_times { /* us */
    struct floor_times floor;
    double served; /* the floor's cycle for a message through a bare socket, and the message back */
    double ping;   /* a request and its reply */
    double find;   /* the same, of the live space: by the thread that it lives on */
    double edit;   /* area.protect of one page */
    double agent;  /* the same with an agent */
    double apply;  /* one of 256 edits in a space.apply, request and reply included */
};

/* With ourselves and the daemon on one processor, and a target on another, or -1. `program` is the daemon. */
void measure_daemon(const char *program, int ours, int theirs, struct daemon_times *ret);

#endif
