/* Finding and reaching the daemon's socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "aspace/client.h"
#include "base/socket_path.h"
#include "client/deadline.h"

int aspace_socket_path(const char *path, char *buffer, size_t size)
{
    return socket_path_resolve(path, buffer, size);
}

/* A full backlog makes a non-blocking connect to a Unix socket fail at once, with nothing to poll for (unix(7)); a
 * blocking one waits for room and keeps to the send timeout. */
static int limit_wait(int fd, const struct deadline *deadline)
{
    int64_t left = deadline_left(deadline);
    struct timeval timeout = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

    if (left < 0)
        return 0;
    if (left == 0)
        timeout.tv_usec = 1; /* zero would be no limit */
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ? -errno : 0;
}

static int connect_fd(int fd, const char *path, const struct deadline *deadline)
{
    struct sockaddr_un address;
    socklen_t size = socket_path_address(path, &address);
    int error;

    do {
        error = limit_wait(fd, deadline);
        if (error)
            return error;
        if (connect(fd, (const struct sockaddr *)&address, size) == 0)
            return 0;
        error = -errno;
    } while (error == -EINTR && !deadline_passed(deadline));
    return error == -EAGAIN || error == -EINTR ? -ETIMEDOUT : error;
}

int aspace_client_connect(const char *path, int timeout_ms, struct aspace_client **ret)
{
    char where[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct deadline deadline = deadline_in(timeout_ms);
    int error = socket_path_resolve(path, where, sizeof(where));
    int fd;

    if (error)
        return error;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    error = connect_fd(fd, where, &deadline);
    if (error) {
        close(fd);
        return error;
    }
    return aspace_client_from_fd(fd, ret);
}
