/* A space: a named memory set over a backend of its own, with its tags. The actor of the daemon: one thread at a time
 * touches it, and nothing here locks. */
#ifndef CORE_SPACE_H
#define CORE_SPACE_H

#include "core/memory_set.h"
#include "core/tags.h"

/* What all snapshots of a space have; a frame that two of them have counts twice. */
struct kept {
    uint64_t data; /* frames */
    uint64_t tables;
    uint64_t areas;
};

/* What a space tells of itself to those that do not own it. */
struct space_summary {
    uint64_t generation;
    size_t areas;
    uint64_t pages;             /* mapped */
    struct frame_counts frames; /* all 0 for a backend without frames */
    uint64_t resident;          /* pages in memory */
    size_t snapshots;
    struct kept kept;
};

/* Spaces that share something (frames of one RAM): one of them at a time is touched. Allocated by who makes the second
 * member, and freed with the last one. */
struct space_family {
    size_t members;   /* and whoever else keeps it */
    bool busy;        /* one of them is being touched by another thread */
    uint64_t counted; /* the last sum that had its RAM (core/registry.h) */
};

struct space {
    char name[ASPACE_NAME_MAX + 1];
    char *tag;        /* the space's own, or NULL */
    const char *arch; /* static text */
    uint64_t pid;     /* of a live process; 0: none */
    bool agent;       /* a thread of ours is in it */
    struct memory_set set;
    struct tags tags;
    struct inject inject;
    struct backend *backend;
    struct space_family *family;  /* NULL: it shares nothing */
    bool away;                    /* another thread has it: the loop's thread looks at `summary` alone */
    struct space_summary summary; /* as it was when it went away */
    uint32_t owner;               /* the user who made it */
    size_t promised;              /* areas that the request which runs on it may add to its owner's (rpc's) */
    void *lane;                   /* the thread that it lives on (rpc's); NULL: any */
    struct job *waits;            /* requests that wait for it to change (rpc's) */
    struct space **snapshots; /* its own, in the order in which they were taken; their generation is this one's then */
    size_t snapshot_count;
    struct kept kept;
};

struct space_options {
    const char *name; /* 1 to ASPACE_NAME_MAX bytes */
    const char *tag;  /* or NULL */
    const char *arch; /* static text */
    uint64_t pid;     /* of a live process; 0: none */
    bool agent;       /* a thread of ours is in it */
    struct range bounds;
    enum aspace_merge merge;
    size_t max_areas;
    uint64_t lowest; /* see struct memory_set; 0: as it is */
};

/* Makes a space that owns `backend` from here on, also on failure. NoMemory. Free with space_destroy. */
enum aspace_error space_create(const struct space_options *options, struct backend *backend, struct refusal *why,
                               struct space **ret);
void space_destroy(struct space *space);

/* A space of that name with the same areas, tags and contents, in a family with `space`; injected faults stay where they
 * are, and generations begin anew. Unsupported if the backend cannot, NoMemory, Busy. space_clone.c */
enum aspace_error space_clone(struct space *space, const char *name, const char *tag, struct refusal *why,
                              struct space **ret);

/* Keeps how the space is now as `name`, of `most` at once: areas, tags and contents, nothing of which is copied before it is
 * written to. The space itself does not change. AlreadyExists, NoMemory, Unsupported, Busy. space_snapshot.c */
enum aspace_error space_snapshot(struct space *space, const char *name, size_t most, struct refusal *why);
/* Makes the space what it was then; the snapshot stays. One generation more, and a watch is told how the areas changed.
 * NotFound, NoMemory, Unsupported. */
enum aspace_error space_restore(struct space *space, const char *name, struct refusal *why);
/* Forgets a snapshot. NotFound. */
enum aspace_error space_drop(struct space *space, const char *name, struct refusal *why);
/* NotFound. */
enum aspace_error space_find_snapshot(const struct space *space, const char *name, struct refusal *why,
                                      struct space **ret);

/* One member less; frees the family after the last one. NULL is allowed. */
void space_family_leave(struct space_family *family);

/* How it stands now. By its owner. */
struct space_summary space_summarize(const struct space *space);
/* The same, but for what the kernel would have to be asked: how much of a live process is in memory. By its owner. */
struct space_summary space_count(const struct space *space);
/* How it stands, or stood when it went away. By the loop's thread. */
struct space_summary space_seen(const struct space *space);

/* memory_set_map with a tag by its text (NULL: none). */
enum aspace_error space_map(struct space *space, struct map_request *request, const char *tag, struct refusal *why,
                            uint64_t *ret_page, struct area *ret_area);

/* What a CPU would do with [addr, addr + size). Up to a page's size it is one access (two, if it crosses a page) and
 * happens: the first page that faults decides, else copied, filled or hit, with the first byte's physical address. All or
 * nothing: what was filled for an earlier page goes when a later page cannot be filled for want of memory. A larger size
 * only asks whether each byte could be accessed: hit without a physical address, or the fault at the first that could
 * not; nothing is filled and no bit is set. ret_area is the area at a fault's address and *ret_has_area says whether
 * there is one. */
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

/* Brings the map to what is really there in `window` (memory_set_reconcile), for a backend that others change too; else
 * does nothing. `hold`: so it stays until the transaction that follows ends; the caller makes one. */
enum aspace_error space_sync(struct space *space, struct range window, bool hold, struct refusal *why);

/* Checks the map's invariants and the backend against it, its snapshots' too; each problem is reported. */
void space_check(struct space *space, backend_problem_fn *report, void *arg);

#endif
