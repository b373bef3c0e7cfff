/* The running daemon: the loop, the service, the net, signals and the way down. */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/config.h"

/* Runs until SIGTERM, SIGINT or daemon.shutdown. The process's exit status: 0, or 1 if it could not start. */
int server_run(const struct config *config);

#endif
