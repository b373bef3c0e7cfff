/* A space: a named memory set over a backend of its own, with its tags. The actor of the daemon: one thread at a time
 * touches it, and nothing here locks. */
#ifndef CORE_SPACE_H
#define CORE_SPACE_H

#include "core/memory_set.h"
#include "core/tags.h"

struct space {
    char name[ASPACE_NAME_MAX + 1];
    char *tag;        /* the space's own, or NULL */
    const char *arch; /* static text */
    struct memory_set set;
    struct tags tags;
    struct inject inject;
    struct backend *backend;
};

struct space_options {
    const char *name; /* 1 to ASPACE_NAME_MAX bytes */
    const char *tag;  /* or NULL */
    const char *arch; /* static text */
    struct range bounds;
    enum aspace_merge merge;
    size_t max_areas;
};

/* Makes a space that owns `backend` from here on, also on failure. NoMemory. Free with space_destroy. */
enum aspace_error space_create(const struct space_options *options, struct backend *backend, struct refusal *why,
                               struct space **ret);
void space_destroy(struct space *space);

/* Bytes of data frames that the space holds; 0 for a backend without frames. */
uint64_t space_resident(const struct space *space);

/* memory_set_map with a tag by its text (NULL: none). */
enum aspace_error space_map(struct space *space, struct map_request *request, const char *tag, struct refusal *why,
                            uint64_t *ret_page, struct area *ret_area);

/* What a CPU would do with [addr, addr + size), at most a page's size: the first page that faults decides, else
 * copied, filled or hit, with the first byte's physical address. ret_area is the area at a fault's address and
 * *ret_has_area says whether there is one. All or nothing: what was filled for an earlier page goes when a later
 * page cannot be filled for want of memory. */
enum aspace_error space_access(struct space *space, uint64_t addr, uint64_t size, enum aspace_access kind,
                               enum aspace_mode mode, struct refusal *why, struct access *ret, struct area *ret_area,
                               bool *ret_has_area);

/* Debugger's access to bytes, across pages and areas; flags are not looked at. NotFound at a hole (nothing is then
 * read or written), InvalidParam outside the space. A write is all or nothing. */
enum aspace_error space_read(struct space *space, uint64_t addr, void *buffer, uint64_t size, struct refusal *why);
enum aspace_error space_write(struct space *space, uint64_t addr, const void *bytes, uint64_t size,
                              struct refusal *why);

/* Sets a fault in the space's backend: no more than `most` at once. InvalidParam if `within` reaches outside the space,
 * NoMemory. The space itself does not change, nor does its generation. */
enum aspace_error space_inject(struct space *space, const struct inject_fault *fault, size_t most, struct refusal *why,
                               uint64_t *ret_id);
/* Takes away fault `id` (NotFound if there is none), or all. */
enum aspace_error space_uninject(struct space *space, uint64_t id, struct refusal *why);
void space_uninject_all(struct space *space);

/* Checks the map's invariants and the backend against it; each problem is reported. */
void space_check(struct space *space, backend_problem_fn *report, void *arg);

#endif
