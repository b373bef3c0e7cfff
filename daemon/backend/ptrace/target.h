/* The parts of the ptrace backend among themselves. */
#ifndef PTRACE_TARGET_H
#define PTRACE_TARGET_H

#include "core/tags.h"
#include "ptrace/maps.h"
#include "ptrace/ptrace.h"

enum step_kind { STEP_MAP, STEP_GROW, STEP_UNMAP, STEP_PROTECT, STEP_MOVE };

/* What a transaction asks for, noted until it is settled. */
struct step {
    enum step_kind kind;
    struct area area; /* MAP: the new one; else the piece as it is */
    uint16_t flags;   /* PROTECT: the new ones */
    uint64_t to;      /* MOVE: the first page of the new place */
    int fd;           /* MAP of a file: a descriptor of the target's; else -1 */
};

/* Bytes to put back. */
struct saved_bytes {
    uint64_t addr;
    size_t size;
    bool written;
    uint8_t *bytes; /* owned */
};

struct target {
    struct backend head;
    struct tracer *tracer;
    struct maps maps;
    int statm; /* /proc/PID/statm */
    bool spawned;
    bool keep;
    enum tracer_fate fate_told; /* the last that was noted */
    bool begun;                 /* the target is stopped for a transaction of ours */
    struct tags paths;          /* texts by path id */
    struct area_list found;     /* what sync gave */
    struct step *steps;
    size_t step_count;
    size_t step_capacity;
    struct saved_bytes *saved;
    size_t saved_count;
    int *fds; /* open in the target, to be closed when the transaction ends */
    size_t fd_count;
    int next_fd; /* for the next MAP of a file; -1 */
};

static inline struct target *target_of(struct backend *backend)
{
    return (struct target *)backend;
}

/* How it is with the process; its exit or exec is noted, once. mirror.c */
enum tracer_fate target_fate(struct target *t);

/* Stops the target unless a transaction of ours has. */
enum aspace_error target_begin(struct target *t, enum tracer_scope scope, struct refusal *why);
/* Lets it go. */
void target_end(struct target *t);

/* The backend's operations that have files of their own. */
enum aspace_error target_settle(struct backend *backend, struct refusal *why);
enum aspace_error target_sync(struct backend *backend, struct range window, bool hold, struct refusal *why,
                              const struct area_list **ret);
bool target_border(struct backend *backend, uint64_t page);
enum aspace_error target_access(struct backend *backend, const struct area *area, uint64_t addr,
                                enum aspace_access kind, enum aspace_mode mode, struct refusal *why,
                                struct access *ret);
void target_check(struct backend *backend, const struct area_map *map, backend_problem_fn *report, void *arg);

/* An id for the path; 0 for the empty one, or when there are too many. NoMemory. */
enum aspace_error target_path_id(struct target *t, const char *path, struct refusal *why, uint16_t *ret);

/* What the kernel's refusal of a call means for who asked: the code, a sentence and a hint. settle.c */
enum aspace_error target_refusal(struct target *t, const struct step *step, const char *call, int64_t result,
                                 struct refusal *why);

#endif
