/* The mappings of a process as the kernel tells them: /proc/PID/maps as a whole, or one by one with PROCMAP_QUERY
 * (Linux 6.11, fs/proc/task_mmu.c). Reads; knows nothing of spaces. */
#ifndef PTRACE_MAPS_H
#define PTRACE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/refusal.h"

#define MAPS_NAME_MAX 4096

/* One mapping, in bytes. */
struct mapping {
    uint64_t start;
    uint64_t end;
    uint64_t offset; /* in the file */
    uint64_t inode;  /* 0: no file */
    bool read;
    bool write;
    bool exec;
    bool shared;
    uint64_t page_size; /* of huge pages; 0: not told (the text does not say) */
    const char *name;   /* path, "[heap]", "[anon:...]" or ""; valid for the callback's time */
};

/* False stops the reading. */
typedef bool maps_fn(void *arg, const struct mapping *mapping);

/* An open /proc/PID/maps. */
struct maps {
    int fd;        /* owned */
    bool no_query; /* the kernel has no PROCMAP_QUERY */
};

/* Takes an open /proc/PID/maps over: of the memory that the process had when it was opened, even when it executes another
 * program (reads then give nothing). Of -1 errno says why: TargetGone if there is no such process, Denied. */
enum aspace_error maps_open(int fd, pid_t pid, struct refusal *why, struct maps *ret);
void maps_close(struct maps *maps);

/* All mappings in order. A process that runs can change them in the middle: stop it first. BadState if the text cannot
 * be read or understood, TargetGone if there is no memory any more. */
enum aspace_error maps_read(struct maps *maps, maps_fn *each, void *arg, struct refusal *why);

/* The mapping that holds `addr` or, if there is none, the next one above; `name` (of MAPS_NAME_MAX bytes) takes its name.
 * *ret_found false: there is none above. Each answer is right in itself. Unsupported on kernels before 6.11, and where
 * the name is longer than that: the text has it. */
enum aspace_error maps_query(struct maps *maps, uint64_t addr, char *name, struct refusal *why, struct mapping *ret,
                             bool *ret_found);

/* A path as the text shows it, whose lines it must not break: a LF as \012 (fs/proc/task_mmu.c). Of a path that becomes
 * too long so, what fits. */
void maps_escape(char name[MAPS_NAME_MAX]);

/* Reads one line of the text, without its LF; false if it is none. `name` points into it. */
bool maps_parse(const char *line, struct mapping *ret);

#endif
