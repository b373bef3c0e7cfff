/* Core to JSON: the Area and the Space of the protocol. */
#include "rpc/call.h"

static inline void write_hex_member(struct json_writer *w, const char *name, uint64_t value)
{
    json_name(w, name);
    json_hex(w, value);
}

void write_area(struct json_writer *w, const struct space *space, const struct area *area)
{
    const char *tag = tags_text(&space->tags, area->attr.tag);
    char flags[FLAGS_TEXT_MAX];

    json_begin_object(w);
    write_hex_member(w, "start", page_addr(area->range.start));
    write_hex_member(w, "end", page_addr(area->range.end));
    write_hex_member(w, "size", range_bytes(area->range));
    json_name(w, "flags");
    json_plain_string(w, flags_format(area->attr.flags, flags));
    json_name(w, "backing");
    json_plain_string(w, backing_names[area->attr.backing]);
    if (tag) {
        json_name(w, "tag");
        json_string(w, tag);
    }
    if (area->attr.path) {
        json_name(w, "path");
        json_string(w, space->backend->ops->path(space->backend, area->attr.path));
    }
    if (area->attr.backing == ASPACE_BACKING_FILE)
        write_hex_member(w, "offset", page_addr(area->range.start + area->attr.delta));
    if (area->attr.backing == ASPACE_BACKING_LINEAR)
        write_hex_member(w, "pa", page_addr(area->range.start + area->attr.delta));
    json_end_object(w);
}

void write_area_member(struct json_writer *w, const char *name, const struct space *space, const struct area *area,
                       bool present)
{
    json_name(w, name);
    if (present)
        write_area(w, space, area);
    else
        json_null(w);
}

void write_space(struct json_writer *w, const struct space *space, const struct space_summary *summary)
{
    const struct memory_set *set = &space->set;

    json_begin_object(w);
    json_name(w, "name");
    json_string(w, space->name);
    json_name(w, "backend");
    json_string(w, space->backend->ops->name);
    if (space->pid) {
        json_name(w, "pid");
        json_uint(w, space->pid);
    } else {
        json_name(w, "arch");
        json_string(w, space->arch);
    }
    if (space->agent) {
        json_name(w, "agent");
        json_bool(w, true);
    }
    json_name(w, "range");
    json_begin_array(w);
    json_hex(w, page_addr(set->map.bounds.start));
    json_hex(w, page_addr(set->map.bounds.end));
    json_end_array(w);
    write_hex_member(w, "page_size", ASPACE_PAGE_SIZE);
    json_name(w, "merge");
    json_string(w, merge_names[set->merge]);
    json_name(w, "generation");
    json_uint(w, summary->generation);
    json_name(w, "areas");
    json_uint(w, summary->areas);
    write_hex_member(w, "mapped", page_addr(summary->pages));
    write_hex_member(w, "resident", page_addr(summary->resident));
    if (space->tag) {
        json_name(w, "tag");
        json_string(w, space->tag);
    }
    if (summary->snapshots) {
        json_name(w, "snapshots");
        json_uint(w, summary->snapshots);
    }
    json_end_object(w);
}

void write_generation_end(struct call *call)
{
    json_name(call->out, "generation");
    json_uint(call->out, memory_set_generation(&call->space->set));
    json_end_object(call->out);
}
