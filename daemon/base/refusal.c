/* Filling a refusal. */
#include "base/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum aspace_error refuse(struct refusal *r, enum aspace_error code, const char *format, ...)
{
    va_list args;

    memset(r, 0, sizeof(*r));
    r->code = code;
    va_start(args, format);
    vsnprintf(r->message, sizeof(r->message), format, args);
    va_end(args);
    return code;
}

enum aspace_error refuse_no_memory(struct refusal *r)
{
    return refuse(r, ASPACE_NO_MEMORY, "the daemon is out of memory; nothing was changed");
}
