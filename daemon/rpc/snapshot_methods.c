/* Snapshots of spaces, and how spaces differ. */
#include <inttypes.h>

#include "core/space_diff.h"
#include "rpc/call.h"

static enum aspace_error write_generation(struct call *call)
{
    json_begin_object(call->out);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error space_snapshot_method(struct call *call)
{
    if (space_snapshot(call->space, call_text(call, PARAM_NAME), call->service->limits.snapshots, &call->why))
        return call->why.code;
    return write_generation(call);
}

enum aspace_error space_restore_method(struct call *call)
{
    if (space_restore(call->space, call_text(call, PARAM_NAME), &call->why))
        return call->why.code;
    return write_generation(call);
}

enum aspace_error space_drop_method(struct call *call)
{
    if (space_drop(call->space, call_text(call, PARAM_NAME), &call->why))
        return call->why.code;
    json_begin_object(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

static void write_size(struct json_writer *w, const char *name, uint64_t pages)
{
    json_name_hex(w, name, page_addr(pages));
}

enum aspace_error space_snapshots(struct call *call)
{
    struct json_writer *w = call->out;

    json_begin_object(w);
    json_name(w, "snapshots");
    json_begin_array(w);
    for (size_t i = 0; i < call->space->snapshot_count; i++) {
        const struct space *snapshot = call->space->snapshots[i];
        struct space_summary summary = space_summarize(snapshot);

        json_begin_object(w);
        json_name_string(w, "name", snapshot->name);
        json_name_uint(w, "generation", summary.generation);
        json_name_uint(w, "areas", summary.areas);
        write_size(w, "mapped", summary.pages);
        write_size(w, "resident", summary.resident);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
    return ASPACE_OK;
}

/* ---- space.diff ---- */

/* The space, or that snapshot of it. */
static enum aspace_error find_other(struct call *call, struct space **ret)
{
    size_t at = (size_t)call_number(call, PARAM_OTHER);

    *ret = call->other;
    if (!at || space_find_snapshot(call->other, call_text(call, PARAM_OTHER) + at, &call->why, ret) == ASPACE_OK)
        return ASPACE_OK;
    call->why.param = param_names[PARAM_OTHER];
    return call->why.code;
}

static void write_difference(struct json_writer *w, const struct space *space, const struct space *other,
                             const struct note *note)
{
    bool edge = note->kind == ASPACE_EVENT_SPLIT || note->kind == ASPACE_EVENT_MERGED;

    json_begin_object(w);
    json_name_string(w, "kind", event_names[note->kind]);
    if (note->has_before)
        write_area_member(w, "before", edge ? space : other, &note->before, true);
    if (note->has_after)
        write_area_member(w, "after", space, &note->after, true);
    json_end_object(w);
}

static void write_diff(struct call *call, const struct space *other, const struct space_diff *diff, uint64_t end)
{
    struct json_writer *w = call->out;

    json_begin_object(w);
    json_name(w, "areas");
    json_begin_array(w);
    for (size_t i = 0; i < diff->count; i++)
        write_difference(w, call->space, other, &diff->notes[i]);
    json_end_array(w);
    json_name_uint(w, "pages_written", diff->written.pages);
    json_name(w, "written");
    json_begin_array(w);
    for (size_t i = 0; i < diff->written.count; i++) {
        json_begin_array(w);
        json_hex(w, page_addr(diff->written.runs[i].start));
        json_hex(w, page_addr(diff->written.runs[i].end));
        json_end_array(w);
    }
    json_end_array(w);
    json_name(w, "next");
    if (diff->next < end)
        json_hex(w, page_addr(diff->next));
    else
        json_null(w);
    json_end_object(w);
}

enum aspace_error space_diff_method(struct call *call)
{
    bool bytes = call_number(call, PARAM_COMPARE) == COMPARE_BYTES;
    struct call_window w;
    struct space_diff diff;
    struct space *other;

    if (call_window(call, &w) || find_other(call, &other) ||
        space_diff(call->space, other, (struct range){w.first_page, w.end_page}, w.limit, bytes, &call->why, &diff))
        return call->why.code;
    write_diff(call, other, &diff, w.end_page);
    space_diff_free(&diff);
    return ASPACE_OK;
}
