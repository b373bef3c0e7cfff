/* Bytes of a space: a CPU's access, and a debugger's reads and writes, cut into pieces that lie inside one area. */
#include <inttypes.h>

#include "core/space.h"

#define ADDR "0x%" PRIx64

static enum aspace_error unsupported(struct space *space, const char *what, struct refusal *why)
{
    return refuse(why, ASPACE_UNSUPPORTED, "the %s backend cannot %s", space->backend->ops->name, what);
}

/* The span's last address is ret_last; it may be the top of the address space. */
static enum aspace_error check_span(uint64_t addr, uint64_t size, struct refusal *why, uint64_t *ret_last)
{
    if (size == 0) {
        refuse(why, ASPACE_INVALID_PARAM, "size 0 is empty");
    } else if (size - 1 > UINT64_MAX - addr) {
        refuse(why, ASPACE_INVALID_PARAM,
               "address " ADDR " plus size " ADDR " passes the end of the 64-bit address space", addr, size);
    } else {
        *ret_last = addr + (size - 1);
        return ASPACE_OK;
    }
    why->param = "size";
    return why->code;
}

static enum aspace_error access_page(struct space *space, uint64_t addr, enum aspace_access kind, enum aspace_mode mode,
                                     struct refusal *why, struct access *ret, struct area *ret_area, bool *ret_has_area)
{
    *ret_has_area = area_map_find(&space->set.map, page_of(addr), ret_area);
    return space->backend->ops->access(space->backend, *ret_has_area ? ret_area : NULL, addr, kind, mode, why, ret);
}

/* One access, done for real: on one page, or on two. */
static enum aspace_error access_bytes(struct space *space, uint64_t addr, uint64_t last, enum aspace_access kind,
                                      enum aspace_mode mode, struct refusal *why, struct access *ret,
                                      struct area *ret_area, bool *ret_has_area)
{
    const struct backend_ops *ops = space->backend->ops;
    struct access first;
    struct access second;
    struct area area = {{0, 0}, {0}};
    bool has_area;

    if (access_page(space, addr, kind, mode, why, &first, &area, &has_area))
        goto undo;
    if (first.outcome != ASPACE_OUTCOME_FAULT && page_of(last) != page_of(addr)) {
        if (access_page(space, last & ~(ASPACE_PAGE_SIZE - 1), kind, mode, why, &second, &area, &has_area))
            goto undo;
        if (second.outcome == ASPACE_OUTCOME_FAULT)
            first = second;
        else if (second.outcome > first.outcome)
            first.outcome = second.outcome;
    }
    ops->commit(space->backend);
    *ret = first;
    *ret_area = area;
    *ret_has_area = has_area;
    return ASPACE_OK;
undo:
    ops->rollback(space->backend);
    return why->code;
}

/* The lowest address of [addr, last] that no area which allows the access has; false if there is none. */
static bool first_refused(const struct space *space, uint64_t addr, uint64_t last, enum aspace_access kind,
                          enum aspace_mode mode, uint64_t *ret)
{
    struct backend *backend = space->backend;
    struct area_cursor cursor;
    struct area area;

    area_map_seek(&space->set.map, page_of(addr), &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor)) {
        if (area.range.start > page_of(addr) || !backend->ops->allows(backend, &area, kind, mode))
            break;
        if (range_last(area.range) >= last)
            return false;
        addr = range_last(area.range) + 1;
    }
    *ret = addr;
    return true;
}

enum aspace_error space_access(struct space *space, uint64_t addr, uint64_t size, enum aspace_access kind,
                               enum aspace_mode mode, struct refusal *why, struct access *ret, struct area *ret_area,
                               bool *ret_has_area)
{
    const struct backend_ops *ops = space->backend->ops;
    uint64_t last = addr;

    if (!ops->access)
        return unsupported(space, "say what a CPU would do", why);
    if (check_span(addr, size, why, &last))
        return why->code;
    if (size <= ASPACE_PAGE_SIZE)
        return access_bytes(space, addr, last, kind, mode, why, ret, ret_area, ret_has_area);
    if (!ops->allows)
        return unsupported(space, "say it of more than a page", why);
    if (first_refused(space, addr, last, kind, mode, &addr)) /* where the access itself only tells of its fault */
        return access_bytes(space, addr, addr, kind, mode, why, ret, ret_area, ret_has_area);
    *ret = (struct access){.outcome = ASPACE_OUTCOME_HIT};
    *ret_has_area = false;
    return ASPACE_OK;
}

/* One step over the pieces of a span: `piece` lies inside `area`. */
typedef enum aspace_error piece_fn(struct space *space, const struct area *area, uint64_t addr, uint64_t size,
                                   void *bytes, struct refusal *why);

static enum aspace_error each_piece(struct space *space, uint64_t addr, uint64_t last, void *bytes, piece_fn *step,
                                    struct refusal *why)
{
    struct area area;
    char *at = bytes;

    for (;;) {
        uint64_t end;
        uint64_t size;

        if (!area_map_find(&space->set.map, page_of(addr), &area))
            return refuse(why, ASPACE_NOT_FOUND, "no area lies at " ADDR, addr);
        end = range_last(area.range) < last ? range_last(area.range) : last;
        size = end - addr + 1;
        if (step && step(space, &area, addr, size, at, why))
            return why->code;
        if (end == last)
            return ASPACE_OK;
        addr = end + 1;
        at = at ? at + size : NULL;
    }
}

static enum aspace_error read_piece(struct space *space, const struct area *area, uint64_t addr, uint64_t size,
                                    void *bytes, struct refusal *why)
{
    return space->backend->ops->read(space->backend, area, addr, bytes, (size_t)size, why);
}

static enum aspace_error prepare_piece(struct space *space, const struct area *area, uint64_t addr, uint64_t size,
                                       void *bytes, struct refusal *why)
{
    (void)bytes;
    return space->backend->ops->prepare_write(space->backend, area, addr, size, why);
}

static enum aspace_error write_piece(struct space *space, const struct area *area, uint64_t addr, uint64_t size,
                                     void *bytes, struct refusal *why)
{
    return space->backend->ops->write(space->backend, area, addr, bytes, (size_t)size, why);
}

/* Bounds and holes, before anything is touched. */
static enum aspace_error check_bytes(struct space *space, uint64_t addr, uint64_t size, struct refusal *why,
                                     uint64_t *ret_last)
{
    if (check_span(addr, size, why, ret_last) ||
        memory_set_check_range(&space->set, (struct range){page_of(addr), page_of(*ret_last) + 1}, why))
        return why->code;
    return each_piece(space, addr, *ret_last, NULL, NULL, why);
}

enum aspace_error space_read(struct space *space, uint64_t addr, void *buffer, uint64_t size, struct refusal *why)
{
    uint64_t last;

    if (!space->backend->ops->read)
        return unsupported(space, "read memory", why);
    if (check_bytes(space, addr, size, why, &last))
        return why->code;
    return each_piece(space, addr, last, buffer, read_piece, why);
}

enum aspace_error space_write(struct space *space, uint64_t addr, const void *bytes, uint64_t size, struct refusal *why)
{
    const struct backend_ops *ops = space->backend->ops;
    union {
        const void *in;
        void *out;
    } unconst = {.in = bytes}; /* each_piece hands it on; write_piece only reads it */
    uint64_t last;

    if (!ops->write || !ops->prepare_write)
        return unsupported(space, "write memory", why);
    if (check_bytes(space, addr, size, why, &last))
        return why->code;
    /* prepared twice: what an earlier piece saw free, a later one may have taken for itself */
    if (each_piece(space, addr, last, NULL, prepare_piece, why) ||
        each_piece(space, addr, last, NULL, prepare_piece, why) ||
        each_piece(space, addr, last, unconst.out, write_piece, why)) {
        ops->rollback(space->backend);
        return why->code;
    }
    ops->commit(space->backend);
    return ASPACE_OK;
}
