/* What a running daemon does for whoever keeps it: opens its logs again on SIGHUP, tells the service manager that it
 * lives, and says so when its socket has been removed. */
#ifndef DAEMON_UPKEEP_H
#define DAEMON_UPKEEP_H

#include <uv.h>

#include "daemon/line_file.h"
#include "net/socket_file.h"

struct upkeep {
    uv_signal_t hangup;
    uv_timer_t look;
    uv_timer_t alive;
    const struct socket_file *file;
    struct line_file *audit; /* NULL: there is none */
    bool missing;            /* the socket is, and that was said */
};

/* Starts it on the loop; what it borrows must outlive upkeep_stop. */
void upkeep_start(struct upkeep *upkeep, uv_loop_t *loop, const struct socket_file *file, struct line_file *audit);

/* Its handles close. */
void upkeep_stop(struct upkeep *upkeep);

#endif
