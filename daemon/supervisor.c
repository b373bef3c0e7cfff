/* systemd, by its library. */
#include "daemon/supervisor.h"

#ifdef ASPACE_SYSTEMD

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

int supervisor_socket(char *problem, size_t size)
{
    int count = sd_listen_fds(1);

    if (count == 0)
        return -1;
    if (count == 1)
        return SD_LISTEN_FDS_START;
    if (count < 0)
        snprintf(problem, size, "cannot take over the sockets of the service manager: %s", strerror(-count));
    else
        snprintf(problem, size, "the service manager gives %d sockets, and one is wanted: one ListenStream=", count);
    return -2;
}

void supervisor_ready(const char *path)
{
    sd_notifyf(0, "READY=1\nSTATUS=listens on %s\nMAINPID=%ld", path, (long)getpid());
}

void supervisor_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=finishes pending replies");
}

/* systemd.service(5), Type=notify-reload: the monotonic time goes with it, and READY=1 follows. */
void supervisor_reloading(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
               (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    sd_notify(0, "READY=1");
}

void supervisor_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

/* Twice as often as the service manager would wait, as sd_watchdog_enabled(3) has it. */
uint64_t supervisor_watchdog_ms(void)
{
    uint64_t usec = 0;

    if (sd_watchdog_enabled(0, &usec) <= 0 || !usec)
        return 0;
    return usec / 2000 ? usec / 2000 : 1;
}

#else

int supervisor_socket(char *problem, size_t size)
{
    (void)problem;
    (void)size;
    return -1;
}

void supervisor_ready(const char *path)
{
    (void)path;
}

void supervisor_stopping(void)
{
}

void supervisor_reloading(void)
{
}

void supervisor_alive(void)
{
}

uint64_t supervisor_watchdog_ms(void)
{
    return 0;
}

#endif
