/* page.walk and memory.*: what the machine sees, and bytes. */
#include <inttypes.h>
#include <stdlib.h>

#include "rpc/call.h"

/* The members of a Level. */
static void write_level_members(struct json_writer *w, const struct walk_level *level)
{
    char flags[FLAGS_TEXT_MAX];

    json_name_uint(w, "level", level->level);
    json_name_hex(w, "table", level->table);
    json_name_uint(w, "index", level->index);
    json_name_hex(w, "entry", level->entry);
    json_name_string(w, "flags", flags_format(level->flags, flags));
    json_name_bool(w, "present", level->present);
    json_name_bool(w, "leaf", level->leaf);
}

static void write_level(struct json_writer *w, const struct walk_level *level)
{
    json_begin_object(w);
    write_level_members(w, level);
    json_end_object(w);
}

enum aspace_error page_walk(struct call *call)
{
    struct backend *backend = call->space->backend;
    struct json_writer *w = call->out;
    uint64_t addr = call_number(call, PARAM_ADDR);
    struct walk_level level;
    struct walk walk;

    if (!backend->ops->walk)
        return refuse(&call->why, ASPACE_UNSUPPORTED, "the %s backend has no page tables to walk", backend->ops->name);
    if (backend->ops->walk(backend, addr, &call->why, &walk))
        return call->why.code;
    json_begin_object(w);
    json_name(w, "levels");
    json_begin_array(w);
    for (unsigned i = 0; i < walk.count; i++) {
        backend->ops->walk_level(backend, addr, &walk, i, &level);
        write_level(w, &level);
    }
    json_end_array(w);
    json_name(w, "pa");
    if (walk.has_pa)
        json_hex(w, walk.pa);
    else
        json_null(w);
    json_name_hex(w, "page_size", walk.page_size);
    json_end_object(w);
    return ASPACE_OK;
}

static void write_dump_entry(struct json_writer *w, const struct dump_entry *entry)
{
    json_begin_object(w);
    json_name_hex(w, "start", entry->start);
    json_name_hex(w, "size", entry->size);
    json_name_string(w, "name", entry->name);
    write_level_members(w, &entry->at);
    json_name_uint(w, "count", entry->count);
    json_name_hex(w, "pa", entry->pa);
    json_name_string(w, "bits", entry->bits);
    json_end_object(w);
}

struct dump {
    struct json_writer *out;
    uint64_t start;
    uint64_t left; /* of the limit */
    bool more;
    uint64_t next;
};

/* The tables on the way to `start` come whatever the limit is: so each page is a tree, and the next one begins later. */
static bool dump_one(void *arg, const struct dump_entry *entry)
{
    struct dump *dump = arg;

    if (entry->at.leaf || entry->start > dump->start) {
        dump->more = dump->left == 0;
        dump->next = entry->start;
        if (dump->more)
            return false;
        dump->left--;
    }
    write_dump_entry(dump->out, entry);
    return true;
}

enum aspace_error page_dump(struct call *call)
{
    struct backend *backend = call->space->backend;
    struct dump dump = {.out = call->out, .start = call_has(call, PARAM_START) ? call_number(call, PARAM_START) : 0};

    if (!backend->ops->dump)
        return refuse(&call->why, ASPACE_UNSUPPORTED, "the %s backend has no page tables to dump", backend->ops->name);
    if (call_limit(call, &dump.left))
        return call->why.code;
    json_begin_object(call->out);
    json_name(call->out, "entries");
    json_begin_array(call->out);
    backend->ops->dump(backend, dump.start, dump_one, &dump);
    json_end_array(call->out);
    json_name(call->out, "next");
    if (dump.more)
        json_hex(call->out, dump.next);
    else
        json_null(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error page_export(struct call *call)
{
    struct backend *backend = call->space->backend;
    struct json_writer *w = call->out;
    struct export export;

    if (!backend->ops->export)
        return refuse(&call->why, ASPACE_UNSUPPORTED, "the %s backend has no RAM to export", backend->ops->name);
    if (backend->ops->export(backend, call_text(call, PARAM_PATH), &call->why, &export))
        return call->why.code;
    json_begin_object(w);
    json_name_string(w, "arch", call->space->arch);
    json_name_hex(w, "root", export.root);
    json_name_hex(w, "ram", export.ram);
    json_name_hex(w, "ram_base", export.ram_base);
    json_name_uint(w, "frames", export.frames);
    json_end_object(w);
    return ASPACE_OK;
}

static void write_fault(struct call *call, const struct access *access, const struct area *area, bool has_area)
{
    struct json_writer *w = call->out;

    json_name(w, "fault");
    json_begin_object(w);
    json_name_string(w, "reason", access->reason);
    json_name_hex(w, "addr", access->addr);
    json_name_uint(w, "code", access->code);
    write_area_member(w, "area", call->space, area, has_area);
    json_end_object(w);
}

enum aspace_error memory_access(struct call *call)
{
    struct json_writer *w = call->out;
    uint64_t size = call_has(call, PARAM_SIZE) ? call_number(call, PARAM_SIZE) : 1;
    struct access access;
    struct area area;
    bool has_area;

    if (space_access(call->space, call_number(call, PARAM_ADDR), size,
                     (enum aspace_access)call_number(call, PARAM_KIND), (enum aspace_mode)call_number(call, PARAM_MODE),
                     &call->why, &access, &area, &has_area))
        return call->why.code;
    json_begin_object(w);
    json_name_string(w, "outcome", outcome_names[access.outcome]);
    if (access.outcome == ASPACE_OUTCOME_FAULT) {
        write_fault(call, &access, &area, has_area);
    } else if (access.has_pa) {
        json_name_hex(w, "pa", access.pa);
    }
    json_end_object(w);
    return ASPACE_OK;
}

enum aspace_error memory_read(struct call *call)
{
    uint64_t size = call_number(call, PARAM_SIZE);
    void *buffer;

    if (size > call->service->limits.read) {
        call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_SIZE,
                          "size 0x%" PRIx64 " passes the limit of 0x%" PRIx64 " bytes a read", size,
                          call->service->limits.read);
        call->why.hint = "read in smaller pieces, or start the daemon with a larger --max-read";
        return call->why.code;
    }
    buffer = malloc(size ? size : 1);
    if (!buffer)
        return refuse_no_memory(&call->why);
    if (space_read(call->space, call_number(call, PARAM_ADDR), buffer, size, &call->why) == ASPACE_OK) {
        json_begin_object(call->out);
        json_name(call->out, "data");
        json_base64(call->out, buffer, size);
        json_end_object(call->out);
    }
    free(buffer);
    return call->why.code;
}

/* data or hex, exactly one. */
static enum aspace_error read_bytes(struct call *call, uint8_t **ret, size_t *ret_size)
{
    bool data = call_has(call, PARAM_DATA);
    bool hex = call_has(call, PARAM_HEX);

    if (data == hex)
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, data ? PARAM_HEX : PARAM_DATA,
                                 "give the bytes as either data (base64) or hex, %s",
                                 data ? "not both" : "one of them");
    return params_bytes(call->params, data ? PARAM_DATA : PARAM_HEX, &call->why, ret, ret_size);
}

enum aspace_error memory_write(struct call *call)
{
    uint8_t *bytes;
    size_t size;

    if (read_bytes(call, &bytes, &size))
        return call->why.code;
    if (size == 0) {
        free(bytes);
        return call_refuse_param(call, ASPACE_INVALID_PARAM, call_has(call, PARAM_DATA) ? PARAM_DATA : PARAM_HEX,
                                 "there are no bytes to write");
    }
    if (space_write(call->space, call_number(call, PARAM_ADDR), bytes, size, &call->why) == ASPACE_OK) {
        json_begin_object(call->out);
        json_name_hex(call->out, "written", size);
        json_end_object(call->out);
    }
    free(bytes);
    return call->why.code;
}
