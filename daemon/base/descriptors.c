/* How many descriptors the daemon may have; the first three. */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

bool descriptors_fill_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return false;
    }
    return true;
}

static struct rlimit before;
static bool raised;

void descriptors_raise(void)
{
    if (getrlimit(RLIMIT_NOFILE, &before) != 0)
        return;
    raised = setrlimit(RLIMIT_NOFILE, &(struct rlimit){before.rlim_max, before.rlim_max}) == 0;
}

void descriptors_restore(void)
{
    if (raised)
        setrlimit(RLIMIT_NOFILE, &before);
}

uint64_t descriptors_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}
