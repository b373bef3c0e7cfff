/* What the command line of aspaced says. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/limits.h"
#include "base/log.h"
#include "net/admission.h"

#define CONFIG_PATH_MAX 4096

struct config {
    const char *socket; /* --socket, or NULL for the common rule; the command line's own */
    mode_t mode;        /* of the socket */
    bool has_mode;      /* it was given */
    struct admission admission;
    int listen_fd;     /* a listening socket to take over; -1 for none */
    const char *audit; /* the command line's own, as the next; NULL for none */
    const char *log_file;
    bool sandbox;
    int ready_fd; /* told when the socket listens; -1 for none */
    enum log_level log_level;
    struct limits limits;
};

enum config_result { CONFIG_RUN, CONFIG_DONE, CONFIG_USAGE };

/* Reads the command line. CONFIG_DONE after --help or --version (printed), CONFIG_USAGE after a mistake (said on
 * standard error). */
enum config_result config_read(int argc, char **argv, struct config *ret);

#endif
