/* space.apply: a list of edits as one transaction, in earnest or as a dry run. */
#include <stdio.h>
#include <string.h>

#include "rpc/call.h"

struct apply {
    struct call *call;    /* of space.apply itself */
    struct params params; /* of the operation at hand */
    uint32_t index;       /* its place among the operations */
    bool dry_run;
    struct frame_counts before;
};

static enum aspace_error run_op(struct apply *a, uint32_t token)
{
    struct call *whole = a->call;
    /* Not a copy of it: its peer may be leaving. */
    struct call op = {.service = whole->service,
                      .who = whole->who,
                      .params = &a->params,
                      .space = whole->space,
                      .other = whole->other,
                      .out = whole->out};

    if (op_bind(whole->params->doc, token, &op.why, &op.method, &a->params) || call_check_generation(&op) ||
        call_run(&op)) {
        whole->why = op.why;
        return op.why.code;
    }
    return op.out->failed ? refuse_no_memory(&whole->why) : ASPACE_OK;
}

/* The operations in order, their results into the output, up to the first refusal (which drops what it wrote). */
static enum aspace_error run_ops(struct apply *a, uint32_t ops)
{
    const struct json_doc *doc = a->call->params->doc;
    struct json_writer *out = a->call->out;
    uint32_t end = doc->tokens[ops].next;

    for (uint32_t token = ops + 1; token < end; token = doc->tokens[token].next, a->index++) {
        size_t size = out->size;
        bool comma = out->comma;

        if (run_op(a, token)) {
            out->size = size;
            out->comma = comma;
            return a->call->why.code;
        }
    }
    return ASPACE_OK;
}

/* Says which operation it was, for people before the reason. */
static void name_op(struct apply *a)
{
    struct refusal *why = &a->call->why;
    char message[sizeof(why->message)];

    snprintf(message, sizeof(message), "operation %u: %.*s", (unsigned)a->index, (int)sizeof(message) - 32,
             why->message);
    memcpy(why->message, message, sizeof(message));
    why->has_operation = true;
    why->operation = a->index;
}

static void write_number(struct json_writer *w, const char *name, int64_t value)
{
    json_name(w, name);
    json_int(w, value);
}

static void write_refused(struct apply *a)
{
    struct json_writer *w = a->call->out;
    const struct refusal *why = &a->call->why;

    json_name(w, "refused");
    if (!why->code) {
        json_null(w);
        return;
    }
    json_begin_object(w);
    write_number(w, "code", why->code);
    json_name_string(w, "name", aspace_error_name(why->code));
    json_name_string(w, "message", why->message);
    write_error_details(w, why, NULL);
    json_end_object(w);
}

static struct frame_counts count_frames(const struct space *space)
{
    struct frame_counts frames = {0};

    if (space->backend->ops->count_frames)
        space->backend->ops->count_frames(space->backend, &frames);
    return frames;
}

/* What would have happened, before it is rolled back. What the edits let go is still held by the backend, so frames
 * are those that the edits need while they are made. */
static void write_would(struct apply *a, size_t areas_before)
{
    const struct memory_set *set = &a->call->space->set;
    struct frame_counts now = count_frames(a->call->space);
    struct json_writer *w = a->call->out;

    json_name(w, "would");
    json_begin_object(w);
    write_number(w, "split", (int64_t)set->sum.split);
    write_number(w, "merged", (int64_t)set->sum.merged);
    write_number(w, "removed", (int64_t)set->sum.removed);
    write_number(w, "areas", (int64_t)set->map.count - (int64_t)areas_before);
    write_number(w, "frames", (int64_t)now.data - (int64_t)a->before.data);
    write_number(w, "tables", (int64_t)now.tables - (int64_t)a->before.tables);
    write_refused(a);
    json_end_object(w);
}

/* The end of the result, while the transaction is open: it can still be given up for want of memory. */
static void write_end(struct apply *a, uint64_t generation, size_t areas_before)
{
    struct json_writer *w = a->call->out;

    json_end_array(w);
    json_name_uint(w, "generation", generation);
    if (a->dry_run)
        write_would(a, areas_before);
    json_end_object(w);
}

/* The reply is written after the rollback, so an area in the way is told only if no edit before had made or changed it:
 * what lies there again may be another. */
static void roll_back(struct call *call)
{
    const struct area_map *map = &call->space->set.map;
    struct refusal *why = &call->why;
    struct area seen;
    struct area now;
    bool told = why->has_conflict && area_map_find(map, page_of(why->conflict), &seen);

    memory_set_rollback(&call->space->set);
    why->has_conflict = told && area_map_find(map, page_of(why->conflict), &now) &&
                        range_equal(seen.range, now.range) && area_attr_equal(&seen.attr, &now.attr);
}

enum aspace_error space_apply(struct call *call)
{
    struct memory_set *set = &call->space->set;
    struct apply a = {.call = call, .dry_run = call_number(call, PARAM_DRY_RUN), .before = count_frames(call->space)};
    uint32_t ops = call->params->value[PARAM_OPS].token;
    size_t areas_before = set->map.count;
    enum aspace_error error;

    memory_set_begin(set);
    call->space->tags.keep = true;
    inject_keep(&call->space->inject);
    json_begin_object(call->out);
    json_name(call->out, "results");
    json_begin_array(call->out);
    error = run_ops(&a, ops);
    if (error)
        name_op(&a);
    if (!error || a.dry_run)
        write_end(&a, a.dry_run ? set->generation : memory_set_generation(set), areas_before);
    if (call->out->failed)
        error = refuse_no_memory(&call->why);
    if (!error && !a.dry_run)
        error = memory_set_settle(set, &call->why);
    if (error || a.dry_run)
        roll_back(call);
    else
        memory_set_commit(set);
    call->space->tags.keep = false;
    if (a.dry_run)
        inject_put_back(&call->space->inject);
    if (a.dry_run && !call->out->failed)
        call->why.code = ASPACE_OK;
    return call->why.code;
}
