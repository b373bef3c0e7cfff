/* In the place of the backend, where there is no tracer for the processor: see ASPACE_LIVE. */
#include <stddef.h>

#include "ptrace/ptrace.h"

bool ptrace_available(void)
{
    return false;
}

enum aspace_error ptrace_create(const struct ptrace_options *options, struct refusal *why, struct backend **ret)
{
    (void)options;
    (void)ret;
    refuse(why, ASPACE_UNSUPPORTED, "this daemon was built without the backend for live processes");
    why->hint = "its tracer knows x86-64; simulated spaces (backend sim) are there on every machine";
    return why->code;
}

/* The rest is asked only of what ptrace_create() made. */

bool ptrace_is(const struct backend *backend)
{
    (void)backend;
    return false;
}

struct range ptrace_bounds(void)
{
    return (struct range){0, 0};
}

uint64_t ptrace_lowest_page(void)
{
    return 0;
}

const char *ptrace_arch(void)
{
    return "unknown";
}

pid_t ptrace_pid(const struct backend *backend)
{
    (void)backend;
    return 0;
}

enum aspace_error ptrace_resume(struct backend *backend, struct refusal *why)
{
    (void)backend;
    return refuse(why, ASPACE_UNSUPPORTED, "there are no live processes");
}

enum aspace_error ptrace_follow(struct backend *backend, struct refusal *why)
{
    return ptrace_resume(backend, why);
}

enum aspace_error ptrace_open_file(struct backend *backend, const char *path, uint16_t flags, struct refusal *why,
                                   uint16_t *ret)
{
    (void)path;
    (void)flags;
    (void)ret;
    return ptrace_resume(backend, why);
}
