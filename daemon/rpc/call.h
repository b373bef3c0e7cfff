/* One request being carried out, as handlers see it, and the handlers. */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include "proto/rpc.h"
#include "rpc/peer.h"
#include "rpc/service.h"

struct job;
struct notice;

/* Handlers of METHOD_ON_SPACE methods may run on any thread, and touch their space and what they are given alone; the
 * others run on the loop's thread. */
struct call {
    struct service *service;
    struct peer *peer;   /* who asks, NULL when it has left; the loop's thread alone looks at it */
    struct identity who; /* the same, kept; set by request_bind */
    struct rpc_request request;
    const struct method *method;
    const struct params *params;
    struct space *space;     /* of a METHOD_ON_SPACE method; a handler that destroys it sets NULL */
    struct space *other;     /* of a METHOD_OTHER method: the second one, which may be the same */
    struct space *made;      /* by a METHOD_MAKES_SPACE method: the handler sets it, request_finish registers it */
    struct json_writer *out; /* a handler writes the result, one JSON value, here */
    enum aspace_error code;  /* how it ended */
    bool recording;          /* what its edits do is noted */
    struct notice *notices;  /* of that, in order */
    uint64_t notices_lost;   /* for want of memory */
    uint64_t generation;     /* of a space that it ended, or waited for */
    bool has_generation;     /* for METHOD_WAITS: there was one */
    struct job *waits;       /* jobs that waited for the space that it ended */
    uint64_t reserved_ram;   /* that its clone will count as its user's */
    bool reserved;           /* it has a place in the registry for what it makes */
    uint64_t began;          /* clock_ns() */
    struct refusal why;      /* last: its message is not cleared before there is one */
};

/* Writes the result and returns ASPACE_OK, or fills call->why and returns its code (what it wrote is then dropped).
 * Handlers of methods that mutate write nothing before they have succeeded, and little after. */
typedef enum aspace_error call_handler(struct call *call);

/* Runs the handler of call->method. request.c */
call_handler call_run;

/* Conflict unless the parameter if_generation is absent or matches. request.c */
enum aspace_error call_check_generation(struct call *call);

/* Writes the members of an error's data that need the space: conflict, largest hole. request.c */
void write_error_details(struct json_writer *out, const struct refusal *why, const struct space *space);

/* Room kept for the result of a mutating method, so that it cannot fail after the fact: two areas with the longest
 * tags, each byte escaped. */
#define CALL_RESULT_MAX (2 * (6 * ASPACE_TAG_MAX + 512) + 1024)

call_handler rpc_discover, daemon_ping, daemon_info, daemon_stats, daemon_wait, daemon_shutdown;
call_handler events_subscribe, events_unsubscribe, monitor_start, monitor_stop;
call_handler space_resume, space_sync_method;
call_handler space_create_method, space_clone_method, space_destroy_method, space_clear_method, space_list, space_info,
    space_check_method;
call_handler space_snapshot_method, space_restore_method, space_drop_method, space_snapshots, space_diff_method;
call_handler area_map_method, area_unmap, area_protect, area_shrink, area_split, area_merge, area_find, area_find_free,
    area_overlaps, area_list, area_move, space_apply;
call_handler inject_set, inject_clear, inject_list;
call_handler page_walk, page_dump, page_export, memory_access, memory_read, memory_write;

/* Whether a space.create is of a live process, and its part of the work: on the thread that the space will live on. */
bool create_is_live(const struct call *call);
enum aspace_error create_live(struct call *call, struct space_options *options, struct backend **ret);

/* ---- For handlers ---- */

static inline bool call_has(const struct call *call, enum param_id id)
{
    return params_has(call->params, id);
}

static inline uint64_t call_number(const struct call *call, enum param_id id)
{
    return call->params->value[id].number;
}

/* The text of a parameter, NULL if it is absent. */
static inline const char *call_text(const struct call *call, enum param_id id)
{
    return call_has(call, id) ? call->params->value[id].text : NULL;
}

/* Sets call->why with the parameter that is to blame. */
enum aspace_error call_refuse_param(struct call *call, enum aspace_error code, enum param_id id, const char *format,
                                    ...) __attribute__((format(printf, 4, 5)));

/* The page of an address parameter; InvalidParam if it is not aligned. */
enum aspace_error call_page(struct call *call, enum param_id id, uint64_t *ret);

/* A size parameter in pages; InvalidParam if it is 0 or not aligned. */
enum aspace_error call_pages(struct call *call, enum param_id id, uint64_t *ret);

/* The range of the parameters start and size. */
enum aspace_error call_range(struct call *call, struct range *ret);

/* The range of a parameter [lo, hi). */
enum aspace_error call_bounds(struct call *call, enum param_id id, struct range *ret);

/* The parameter limit of a method that lists: 1000 unless told, at most 10000. */
enum aspace_error call_limit(struct call *call, uint64_t *ret);

/* What a listing is asked for by start, end and limit. */
struct call_window {
    uint64_t first_page;
    uint64_t end_page; /* one past the last page that the window touches */
    uint64_t limit;
};

/* InvalidParam if it is empty. */
enum aspace_error call_window(struct call *call, struct call_window *ret);

/* ---- Core to JSON ---- */

void write_area(struct json_writer *w, const struct space *space, const struct area *area);
/* The Space as the summary has it; the rest of a space never changes. */
void write_space(struct json_writer *w, const struct space *space, const struct space_summary *summary);
/* A member `name` that is an Area, or null if `present` is false. */
void write_area_member(struct json_writer *w, const char *name, const struct space *space, const struct area *area,
                       bool present);
/* The member "generation", then the end of the result object. */
void write_generation_end(struct call *call);

#endif
