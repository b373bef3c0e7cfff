/* How many descriptors the daemon may have. */
#include "base/descriptors.h"

#include <stdbool.h>
#include <sys/resource.h>

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
