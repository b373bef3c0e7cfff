/* Parameters as pages and ranges: what the handlers have in common. */
#include "rpc/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define PAGE_MASK (ASPACE_PAGE_SIZE - 1)

enum aspace_error call_refuse_param(struct call *call, enum aspace_error code, enum param_id id, const char *format,
                                    ...)
{
    char message[sizeof(call->why.message)];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    refuse(&call->why, code, "%s", message);
    call->why.param = param_names[id];
    return code;
}

static enum aspace_error refuse_unaligned(struct call *call, enum param_id id)
{
    return call_refuse_param(call, ASPACE_INVALID_PARAM, id,
                             "%s 0x%" PRIx64 " is not a multiple of the page size 0x%" PRIx64, param_names[id],
                             call_number(call, id), ASPACE_PAGE_SIZE);
}

enum aspace_error call_page(struct call *call, enum param_id id, uint64_t *ret)
{
    if (call_number(call, id) & PAGE_MASK)
        return refuse_unaligned(call, id);
    *ret = page_of(call_number(call, id));
    return ASPACE_OK;
}

enum aspace_error call_pages(struct call *call, enum param_id id, uint64_t *ret)
{
    if (call_number(call, id) == 0)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, id, "%s 0 is empty", param_names[id]);
    return call_page(call, id, ret);
}

enum aspace_error call_range(struct call *call, struct range *ret)
{
    return range_from_bytes(call_number(call, PARAM_START), call_number(call, PARAM_SIZE), &call->why, ret);
}

enum aspace_error call_bounds(struct call *call, enum param_id id, struct range *ret)
{
    uint64_t low = call->params->value[id].number;
    uint64_t high = call->params->value[id].high;

    if ((low | high) & PAGE_MASK)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, id,
                                 "%s [0x%" PRIx64 ", 0x%" PRIx64 ") does not lie on page boundaries of 0x%" PRIx64,
                                 param_names[id], low, high, ASPACE_PAGE_SIZE);
    if (low >= high)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, id, "%s [0x%" PRIx64 ", 0x%" PRIx64 ") is empty",
                                 param_names[id], low, high);
    *ret = (struct range){page_of(low), page_of(high)};
    return ASPACE_OK;
}

enum aspace_error call_limit(struct call *call, uint64_t *ret)
{
    uint64_t limit = call_has(call, PARAM_LIMIT) ? call_number(call, PARAM_LIMIT) : LIST_DEFAULT;

    if (limit < 1 || limit > LIST_MAX)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_LIMIT, "limit %" PRIu64 " is not from 1 to %d",
                                 limit, LIST_MAX);
    *ret = limit;
    return ASPACE_OK;
}

enum aspace_error call_window(struct call *call, struct call_window *ret)
{
    uint64_t start = call_has(call, PARAM_START) ? call_number(call, PARAM_START) : 0;
    uint64_t end = call_has(call, PARAM_END) ? call_number(call, PARAM_END) : UINT64_MAX;
    struct call_window w = {page_of(start), page_of(end - 1) + 1, 0};

    if (call_limit(call, &w.limit))
        return call->why.code;
    if (start >= end)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_END,
                                 "the window from 0x%" PRIx64 " to 0x%" PRIx64 " is empty", start, end);
    *ret = w;
    return ASPACE_OK;
}
