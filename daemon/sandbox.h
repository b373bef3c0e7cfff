/* What the daemon gives up with --sandbox. */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this build can do it. */
bool sandbox_is_there(void);

/* From here on no thread of this process, nor what it might start, gains rights (PR_SET_NO_NEW_PRIVS), and every system
 * call that the daemon does not need fails with EPERM: starting programs, tracing and reading other processes, new
 * connections, and much of the kernel. Call it before there are threads. False with a sentence in `problem`. */
bool sandbox_enter(char *problem, size_t size);

#endif
