/* A program to be edited while it runs. It prints "ready", does what its first argument names until its input is
 * closed, and fails if it noticed anything. */
#include "victim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void check(int ok, const char *what)
{
    if (ok)
        return;
    say("bad: %s", what);
    _exit(1);
}

uint64_t victim_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int is_over(void)
{
    struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0;
}

/* Reads its input, blocked. */
int victim_sleeper(const char *argument)
{
    char byte;

    (void)argument;
    say("ready");
    return read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1;
}

/* As nobody; dumpable if the argument says so. */
int victim_user(const char *argument)
{
    check(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
    prctl(PR_SET_DUMPABLE, strcmp(argument, "dumpable") == 0);
    return victim_sleeper("");
}

int victim_spinner(const char *argument)
{
    (void)argument;
    say("ready");
    for (uint64_t i = 0; i % 100000 != 0 || !is_over(); i++)
        __asm__ volatile("" ::: "memory");
    return 0;
}

/* Not before the test has let go of it: who traces its own child would reap it. */
static int leave(int status)
{
    struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};

    while (poll(&poll_fd, 1, -1) <= 0)
        ;
    return status;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *argument = argc > 2 ? argv[2] : "";

#define X(name)                                                                                                        \
    if (argc > 1 && strcmp(argv[1], #name) == 0)                                                                       \
        return leave(victim_##name(argument));
    VICTIM_MAP(X)
#undef X
    say("no such victim");
    return 2;
}
