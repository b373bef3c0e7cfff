/* A backend that does nothing: what is left over it is the core alone. */
#ifndef NOP_BACKEND_H
#define NOP_BACKEND_H

#include "core/backend.h"

static inline enum aspace_error nop_map(struct backend *b, const struct area *area, struct refusal *why)
{
    (void)b, (void)area, (void)why;
    return ASPACE_OK;
}

static inline enum aspace_error nop_protect(struct backend *b, const struct area *area, uint16_t flags,
                                            struct refusal *why)
{
    (void)b, (void)area, (void)flags, (void)why;
    return ASPACE_OK;
}

static inline void nop(struct backend *b)
{
    (void)b;
}

static const struct backend_ops nop_ops = {
    .name = "nop",
    .map = nop_map,
    .unmap = nop_map,
    .protect = nop_protect,
    .commit = nop,
    .rollback = nop,
    .destroy = nop,
};

static struct backend nop_backend = {.ops = &nop_ops};

#endif
