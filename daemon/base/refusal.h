/* Why something was refused: what an error reply is made from. Filled where the reason is known, passed up untouched. */
#ifndef BASE_REFUSAL_H
#define BASE_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "aspace/error.h"

struct refusal {
    enum aspace_error code;
    const char *hint;  /* what to do about it; static text or NULL */
    const char *param; /* the parameter that is wrong, as the method table names it; static or NULL */
    bool has_conflict; /* `conflict` is an address inside the area that is in the way */
    uint64_t conflict;
    bool has_hole; /* the largest hole in the searched window, in bytes */
    uint64_t hole_start;
    uint64_t hole_size;
    bool has_operation; /* of a list, the one that was refused, from 0 */
    uint32_t operation;
    char message[320];    /* one plain sentence with the offending values in it; from here on nothing need be cleared */
    char other_param[64]; /* a parameter that the method table does not have, by its first bytes; else "" */
};

/* Sets *r afresh to `code` and the formatted message (cut at its array's size) and returns `code`, so that a caller
 * writes `return refuse(r, …)`. Hint, param and the rest are cleared: set them after. */
enum aspace_error refuse(struct refusal *r, enum aspace_error code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* refuse() for an allocation that failed. */
enum aspace_error refuse_no_memory(struct refusal *r);

#endif
