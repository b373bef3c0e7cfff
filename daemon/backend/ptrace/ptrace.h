/* Spaces over a live Linux process: the backend that makes areas real in a target by way of its tracer, and tells what
 * the target's kernel says is there. On one thread at a time, and a held target's on the one that spawned it: see
 * tracer.h, and thread_bound in core/backend.h. */
#ifndef PTRACE_PTRACE_H
#define PTRACE_PTRACE_H

#include "core/backend.h"
#include "ptrace/tracer.h"

struct ptrace_options {
    struct tracer_options tracer;
    bool keep; /* a spawned target outlives its space; others always do */
};

/* Whether this build has a tracer for its processor. Without one ptrace_create() says Unsupported. */
bool ptrace_available(void);

/* The user half of the address space, in pages. The vsyscall page lies above it and is not shown. */
struct range ptrace_bounds(void);

/* The lowest page to place something at: above what the kernel gives to unprivileged processes (vm.mmap_min_addr), and
 * where tracers have their own pages, which every edit needs. */
uint64_t ptrace_lowest_page(void);

/* The machine's, as space.info tells it: "x86_64". */
const char *ptrace_arch(void);

/* Opens the target; see tracer_open. The backend is freed by its ops->destroy, which leaves no page of ours in the
 * target, and kills a spawned one unless `keep` was set. */
enum aspace_error ptrace_create(const struct ptrace_options *options, struct refusal *why, struct backend **ret);

/* Whether `backend` is one of these. */
bool ptrace_is(const struct backend *backend);

pid_t ptrace_pid(const struct backend *backend);

/* Lets a spawned target run that is held at its first instruction. Does nothing if it runs. */
enum aspace_error ptrace_resume(struct backend *backend, struct refusal *why);

/* Goes on with the new image of a target that executed another program; else nothing. */
enum aspace_error ptrace_follow(struct backend *backend, struct refusal *why);

/* Opens a file in the target, by the target's own rules, for the map that follows in this transaction; *ret is its path
 * as the kernel tells it. From here on the target is stopped until commit or rollback. NotFound, Denied, NoMemory … */
enum aspace_error ptrace_open_file(struct backend *backend, const char *path, uint16_t flags, struct refusal *why,
                                   uint16_t *ret);

#endif
