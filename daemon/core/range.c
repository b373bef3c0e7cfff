/* Ranges from byte addresses: the one place where alignment and overflow of a request are judged. */
#include "core/range.h"

#include <inttypes.h>

static enum aspace_error bad(struct refusal *why, const char *param)
{
    why->param = param;
    return why->code;
}

enum aspace_error range_from_bytes(uint64_t start, uint64_t size, struct refusal *why, struct range *ret)
{
    const uint64_t mask = ASPACE_PAGE_SIZE - 1;

    if (start & mask) {
        refuse(why, ASPACE_INVALID_PARAM, "start 0x%" PRIx64 " is not a multiple of the page size 0x%" PRIx64, start,
               ASPACE_PAGE_SIZE);
        return bad(why, "start");
    }
    if (size == 0) {
        refuse(why, ASPACE_INVALID_PARAM, "size 0 is an empty range");
        return bad(why, "size");
    }
    if (size & mask) {
        refuse(why, ASPACE_INVALID_PARAM, "size 0x%" PRIx64 " is not a multiple of the page size 0x%" PRIx64, size,
               ASPACE_PAGE_SIZE);
        return bad(why, "size");
    }
    if (page_of(size) > PAGE_LIMIT - page_of(start)) {
        refuse(why, ASPACE_INVALID_PARAM,
               "start 0x%" PRIx64 " plus size 0x%" PRIx64 " passes the end of the 64-bit address space", start, size);
        return bad(why, "size");
    }
    *ret = (struct range){page_of(start), page_of(start) + page_of(size)};
    return ASPACE_OK;
}
