/* The service manager: sockets that it made, and what it wants to be told. Does nothing where there is none, or without
 * libsystemd. */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>

/* The listening socket that systemd made (sd_listen_fds(3)); -1 if there is none, -2 if there is something that cannot be
 * used: then a sentence is in `problem`. */
int supervisor_socket(char *problem, size_t size);

/* sd_notify(3). */
void supervisor_ready(const char *path);
void supervisor_stopping(void);
void supervisor_reloading(void);
void supervisor_alive(void);

/* How often it wants to hear that we live, in ms; 0: never. */
uint64_t supervisor_watchdog_ms(void);

#endif
