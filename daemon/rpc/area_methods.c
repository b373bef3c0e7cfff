/* area.*: parameters to requests of the memory set, its answers to JSON. */
#include <inttypes.h>

#include "ptrace/ptrace.h"
#include "rpc/call.h"

/* ---- Placement: area.map and area.find_free ---- */

/* The size of a page; of auto, the smallest. */
static uint64_t bytes_of(enum aspace_page page)
{
    switch (page) {
    case ASPACE_PAGE_2M:
        return UINT64_C(1) << 21;
    case ASPACE_PAGE_1G:
        return UINT64_C(1) << 30;
    default:
        return ASPACE_PAGE_SIZE;
    }
}

/* The size of the pages that area.map asks for; find_free does not say. */
static uint64_t page_bytes(const struct call *call)
{
    return bytes_of(call_has(call, PARAM_PAGE) ? (enum aspace_page)call_number(call, PARAM_PAGE) : ASPACE_PAGE_4K);
}

static enum aspace_error read_align(struct call *call, struct placement *place)
{
    uint64_t align = call_has(call, PARAM_ALIGN) ? call_number(call, PARAM_ALIGN) : page_bytes(call);

    if (align < ASPACE_PAGE_SIZE || (align & (align - 1)))
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_ALIGN,
                                 "align 0x%" PRIx64 " is not a power of two of at least a page, 0x%" PRIx64, align,
                                 ASPACE_PAGE_SIZE);
    place->align = page_of(align < page_bytes(call) ? page_bytes(call) : align);
    return ASPACE_OK;
}

static enum aspace_error read_placement(struct call *call, struct placement *place)
{
    place->policy = (enum aspace_policy)call_number(call, PARAM_POLICY);
    place->has_hint = call_has(call, PARAM_HINT);
    place->has_within = call_has(call, PARAM_WITHIN);
    if (call_pages(call, PARAM_SIZE, &place->pages) || read_align(call, place))
        return call->why.code;
    if (place->has_hint && call_page(call, PARAM_HINT, &place->hint))
        return call->why.code;
    if (place->has_within && call_bounds(call, PARAM_WITHIN, &place->within))
        return call->why.code;
    return ASPACE_OK;
}

enum aspace_error area_find_free(struct call *call)
{
    struct placement place = {0};
    uint64_t page;

    if (read_placement(call, &place) || memory_set_find_free(&call->space->set, &place, &call->why, &page))
        return call->why.code;
    json_begin_object(call->out);
    json_name_hex(call->out, "start", page_addr(page));
    json_end_object(call->out);
    return ASPACE_OK;
}

/* ---- area.map ---- */

/* `start` stands alone: a place that is given cannot be looked for. */
static enum aspace_error read_start(struct call *call, struct map_request *request)
{
    enum param_id beside = call_has(call, PARAM_HINT) ? PARAM_HINT : PARAM_WITHIN;

    if (call_has(call, beside))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, beside,
                                 "%s cannot stand beside start: give the place or have it looked for",
                                 param_names[beside]);
    if (call_range(call, &request->range) || read_align(call, &request->place))
        return call->why.code;
    if (request->range.start & (request->place.align - 1))
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_START,
                                 "start 0x%" PRIx64 " is not a multiple of align 0x%" PRIx64,
                                 call_number(call, PARAM_START), call_number(call, PARAM_ALIGN));
    return ASPACE_OK;
}

/* What was asked for, or what the others say, or the backend's own. */
static enum aspace_error choose_backing(struct call *call, struct map_request *request)
{
    const struct backend_ops *ops = call->space->backend->ops;
    unsigned backing = ops->backing;

    if (call_has(call, PARAM_BACKING))
        backing = (unsigned)call_number(call, PARAM_BACKING);
    else if (call_has(call, PARAM_PATH))
        backing = ASPACE_BACKING_FILE;
    if (!(ops->backings >> backing & 1))
        return call_refuse_param(call, ASPACE_UNSUPPORTED, call_has(call, PARAM_BACKING) ? PARAM_BACKING : PARAM_PATH,
                                 "the %s backend has no backing %s", ops->name, backing_names[backing]);
    request->attr.backing = backing;
    return ASPACE_OK;
}

static enum aspace_error read_file(struct call *call, struct map_request *request)
{
    bool file = request->attr.backing == ASPACE_BACKING_FILE;

    if (file != call_has(call, PARAM_PATH))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_PATH,
                                 file ? "backing file needs path" : "path goes with backing file only");
    if (call_has(call, PARAM_OFFSET) && !file)
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_OFFSET, "offset goes with path only");
    return file && call_has(call, PARAM_OFFSET) ? call_page(call, PARAM_OFFSET, &request->pa_page) : ASPACE_OK;
}

static enum aspace_error read_backing(struct call *call, struct map_request *request)
{
    bool linear;

    if (choose_backing(call, request) || read_file(call, request))
        return call->why.code;
    linear = request->attr.backing == ASPACE_BACKING_LINEAR;
    if (linear && !call_has(call, PARAM_PA))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_PA,
                                 "backing linear needs pa, the physical address that the first page gets");
    if (!linear && call_has(call, PARAM_PA))
        return call_refuse_param(call, ASPACE_INVALID_PARAMS, PARAM_PA, "pa goes with backing linear only");
    return linear ? call_page(call, PARAM_PA, &request->pa_page) : ASPACE_OK;
}

/* What a page size other than the smallest asks of the other parameters. */
static enum aspace_error read_page(struct call *call, struct map_request *request)
{
    static const enum param_id multiples[] = {PARAM_START, PARAM_SIZE, PARAM_PA};
    const struct backend_ops *ops = call->space->backend->ops;
    uint64_t page = page_bytes(call);

    request->attr.page = (enum aspace_page)call_number(call, PARAM_PAGE) & 3;
    if (request->attr.page != ASPACE_PAGE_4K && !ops->large_pages)
        return call_refuse_param(call, ASPACE_UNSUPPORTED, PARAM_PAGE, "the %s backend has pages of 4K only",
                                 ops->name);
    for (size_t i = 0; i < sizeof(multiples) / sizeof(*multiples); i++) {
        uint64_t value = call_has(call, multiples[i]) ? call_number(call, multiples[i]) : 0;

        if (!(value & (page - 1)))
            continue;
        call_refuse_param(call, ASPACE_INVALID_PARAM, multiples[i],
                          "%s 0x%" PRIx64 " is not a multiple of the page size 0x%" PRIx64, param_names[multiples[i]],
                          value, page);
        if (page > ASPACE_PAGE_SIZE)
            call->why.hint = "page=auto takes large pages where they fit, and smaller ones at the ends";
        return call->why.code;
    }
    return ASPACE_OK;
}

/* auto: a large page can be had where its address is aligned to it, and its physical address, too. */
static void wish_for_large_pages(const struct call *call, struct map_request *request)
{
    static const enum aspace_page sizes[] = {ASPACE_PAGE_2M, ASPACE_PAGE_1G};

    if (request->attr.page != ASPACE_PAGE_AUTO || call_has(call, PARAM_ALIGN))
        return;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        uint64_t large = page_of(bytes_of(sizes[i]));

        if (request->place.pages >= large && !(request->pa_page & (large - 1)))
            request->place.wish = large;
    }
}

/* The target opens the file, if there is one, before the place is looked for: it stands still from then on. */
static enum aspace_error map_at(struct call *call, struct map_request *request, uint64_t *ret_page, struct area *ret)
{
    uint16_t path = 0;

    if (call_has(call, PARAM_PATH) &&
        ptrace_open_file(call->space->backend, call_text(call, PARAM_PATH), request->attr.flags, &call->why, &path))
        return call->why.code;
    request->attr.path = path;
    request->attr.made = call->space->pid != 0;
    return space_map(call->space, request, call_text(call, PARAM_TAG), &call->why, ret_page, ret);
}

/* The kernel gives a process no say in the others. */
static enum aspace_error check_live_flags(struct call *call, uint16_t flags)
{
    const uint16_t known = ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC | ASPACE_SHARED;

    if (!call->space->pid || !(flags & ~known))
        return ASPACE_OK;
    return call_refuse_param(call, ASPACE_UNSUPPORTED, PARAM_FLAGS,
                             "a live process's memory is r, w, x and shared; the other attributes are the kernel's");
}

enum aspace_error area_map_method(struct call *call)
{
    struct map_request request = {
        .attr.flags = call->params->value[PARAM_FLAGS].change.set,
        .placed = !call_has(call, PARAM_START),
        .overlap = (enum aspace_overlap)call_number(call, PARAM_OVERLAP),
    };
    struct area area;
    uint64_t page;

    if (read_page(call, &request) ||
        (request.placed ? read_placement(call, &request.place) : read_start(call, &request)))
        return call->why.code;
    if (read_backing(call, &request) || check_live_flags(call, request.attr.flags))
        return call->why.code;
    wish_for_large_pages(call, &request);
    if (map_at(call, &request, &page, &area)) {
        if (!call->space->set.open && call_has(call, PARAM_PATH))
            call->space->backend->ops->rollback(call->space->backend); /* the target stands still for its file */
        return call->why.code;
    }
    json_begin_object(call->out);
    json_name_hex(call->out, "start", page_addr(page));
    write_area_member(call->out, "area", call->space, &area, true);
    write_generation_end(call);
    return ASPACE_OK;
}

/* ---- The other edits ---- */

/* The id of the parameter tag; UINT32_MAX, which no area carries, if the space does not know it. */
static uint32_t tag_id(const struct call *call)
{
    uint32_t id = tags_find(&call->space->tags, call_text(call, PARAM_TAG));

    return id ? id : UINT32_MAX;
}

static enum aspace_error unmap(struct call *call, uint64_t *pages, size_t *removed)
{
    struct memory_set *set = &call->space->set;
    struct range range;

    if (call_has(call, PARAM_TAG))
        return memory_set_unmap_tag(set, tag_id(call), &call->why, pages, removed);
    if (call_range(call, &range))
        return call->why.code;
    return memory_set_unmap(set, range, (enum aspace_holes)call_number(call, PARAM_HOLES), &call->why, pages, removed);
}

enum aspace_error area_unmap(struct call *call)
{
    uint64_t pages;
    size_t removed;

    if (unmap(call, &pages, &removed))
        return call->why.code;
    json_begin_object(call->out);
    json_name_hex(call->out, "unmapped", page_addr(pages));
    json_name_uint(call->out, "removed", removed);
    write_generation_end(call);
    return ASPACE_OK;
}

static enum aspace_error protect(struct call *call, size_t *changed)
{
    struct flags_change change = call->params->value[PARAM_FLAGS].change;
    struct memory_set *set = &call->space->set;
    struct range range;

    if (call_has(call, PARAM_TAG))
        return memory_set_protect_tag(set, tag_id(call), change.set, change.clear, &call->why, changed);
    if (call_range(call, &range))
        return call->why.code;
    return memory_set_protect(set, range, change.set, change.clear, (enum aspace_holes)call_number(call, PARAM_HOLES),
                              &call->why, changed);
}

enum aspace_error area_protect(struct call *call)
{
    size_t changed;

    if (protect(call, &changed))
        return call->why.code;
    json_begin_object(call->out);
    json_name_uint(call->out, "changed", changed);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error area_shrink(struct call *call)
{
    uint64_t start;
    uint64_t pages;
    struct area area;

    if (call_page(call, PARAM_START, &start) || call_pages(call, PARAM_NEW_SIZE, &pages) ||
        memory_set_shrink(&call->space->set, start, pages, (enum aspace_side)call_number(call, PARAM_SIDE), &call->why,
                          &area))
        return call->why.code;
    json_begin_object(call->out);
    write_area_member(call->out, "area", call->space, &area, true);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error area_split(struct call *call)
{
    struct area left;
    struct area right;
    uint64_t at;

    if (call_page(call, PARAM_AT, &at) || memory_set_split(&call->space->set, at, &call->why, &left, &right))
        return call->why.code;
    json_begin_object(call->out);
    write_area_member(call->out, "left", call->space, &left, true);
    write_area_member(call->out, "right", call->space, &right, true);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error area_merge(struct call *call)
{
    struct range range;
    size_t merged;

    if (call_range(call, &range) || memory_set_merge(&call->space->set, range, &call->why, &merged))
        return call->why.code;
    json_begin_object(call->out);
    json_name_uint(call->out, "merged", merged);
    write_generation_end(call);
    return ASPACE_OK;
}

enum aspace_error area_move(struct call *call)
{
    struct move_request request = {
        .has_new_start = call_has(call, PARAM_NEW_START),
        .has_new_pages = call_has(call, PARAM_NEW_SIZE),
        .overlap = (enum aspace_overlap)call_number(call, PARAM_OVERLAP),
    };
    struct area area;

    if (call_page(call, PARAM_START, &request.start) ||
        (request.has_new_start && call_page(call, PARAM_NEW_START, &request.new_start)) ||
        (request.has_new_pages && call_pages(call, PARAM_NEW_SIZE, &request.new_pages)) ||
        memory_set_move(&call->space->set, &request, &call->why, &area))
        return call->why.code;
    json_begin_object(call->out);
    write_area_member(call->out, "area", call->space, &area, true);
    write_generation_end(call);
    return ASPACE_OK;
}

/* ---- Looking ---- */

enum aspace_error area_find(struct call *call)
{
    uint64_t page = page_of(call_number(call, PARAM_ADDR));
    struct area_cursor cursor;
    struct area area;
    bool any;
    bool here;

    area_map_seek(&call->space->set.map, page, &cursor);
    any = area_cursor_get(&cursor, &area);
    here = any && area.range.start <= page;
    json_begin_object(call->out);
    write_area_member(call->out, "area", call->space, &area, here);
    if (!here)
        write_area_member(call->out, "next", call->space, &area, any);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error area_overlaps(struct call *call)
{
    struct range range;
    struct area area;
    bool any;

    if (call_range(call, &range) || memory_set_check_range(&call->space->set, range, &call->why))
        return call->why.code;
    any = memory_set_first(&call->space->set, range, &area);
    json_begin_object(call->out);
    json_name_bool(call->out, "overlaps", any);
    write_area_member(call->out, "first", call->space, &area, any);
    json_end_object(call->out);
    return ASPACE_OK;
}

/* ---- area.list ---- */

enum aspace_error area_list(struct call *call)
{
    struct call_window w = {0, 0, 0};
    uint32_t tag = call_has(call, PARAM_TAG) ? tag_id(call) : 0;
    struct area_cursor cursor;
    struct area area;
    bool more;

    if (call_window(call, &w))
        return call->why.code;
    area_map_seek(&call->space->set.map, w.first_page, &cursor);
    json_begin_object(call->out);
    json_name(call->out, "areas");
    json_begin_array(call->out);
    for (; (more = area_cursor_get(&cursor, &area) && area.range.start < w.end_page); area_cursor_next(&cursor)) {
        if (tag && area.attr.tag != tag)
            continue;
        if (!w.limit--)
            break;
        write_area(call->out, call->space, &area);
    }
    json_end_array(call->out);
    json_name(call->out, "next");
    if (more)
        json_hex(call->out, page_addr(area.range.start));
    else
        json_null(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}
