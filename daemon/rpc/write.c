/* Core to JSON: the Area and the Space of the protocol. */
#include "rpc/call.h"

void write_area(struct json_writer *w, const struct space *space, const struct area *area)
{
    const char *tag = tags_text(&space->tags, area->attr.tag);
    char flags[FLAGS_TEXT_MAX];

    json_begin_object(w);
    json_name_hex(w, "start", page_addr(area->range.start));
    json_name_hex(w, "end", page_addr(area->range.end));
    json_name_hex(w, "size", range_bytes(area->range));
    json_name(w, "flags");
    json_plain_string(w, flags_format(area->attr.flags, flags));
    json_name(w, "backing");
    json_plain_string(w, backing_names[area->attr.backing]);
    if (tag)
        json_name_string(w, "tag", tag);
    if (area->attr.path)
        json_name_string(w, "path", space->backend->ops->path(space->backend, area->attr.path));
    if (area->attr.backing == ASPACE_BACKING_FILE)
        json_name_hex(w, "offset", page_addr(area->range.start + area->attr.delta));
    if (area->attr.backing == ASPACE_BACKING_LINEAR)
        json_name_hex(w, "pa", page_addr(area->range.start + area->attr.delta));
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
    json_name_string(w, "name", space->name);
    json_name_string(w, "backend", space->backend->ops->name);
    if (space->pid) {
        json_name_uint(w, "pid", space->pid);
    } else {
        json_name_string(w, "arch", space->arch);
    }
    if (space->agent)
        json_name_bool(w, "agent", true);
    json_name(w, "range");
    json_begin_array(w);
    json_hex(w, page_addr(set->map.bounds.start));
    json_hex(w, page_addr(set->map.bounds.end));
    json_end_array(w);
    json_name_hex(w, "page_size", ASPACE_PAGE_SIZE);
    json_name_string(w, "merge", merge_names[set->merge]);
    json_name_uint(w, "generation", summary->generation);
    json_name_uint(w, "areas", summary->areas);
    json_name_hex(w, "mapped", page_addr(summary->pages));
    json_name_hex(w, "resident", page_addr(summary->resident));
    if (space->tag)
        json_name_string(w, "tag", space->tag);
    if (summary->snapshots)
        json_name_uint(w, "snapshots", summary->snapshots);
    json_end_object(w);
}

void write_generation_end(struct call *call)
{
    json_name_uint(call->out, "generation", memory_set_generation(&call->space->set));
    json_end_object(call->out);
}
