/* The texts of the table's enums, and finding methods. */
#include <string.h>

#include "proto/methods.h"

#define X(id, name) name,
const char *const param_names[] = {PARAM_MAP(X)};
#undef X

#define X(id, name) sizeof(name) - 1,
const unsigned char param_name_sizes[] = {PARAM_MAP(X)};
#undef X

#define X(name, text) text,
const char *const backing_names[] = {ASPACE_BACKING_MAP(X) NULL};
const char *const arch_names[] = {ASPACE_ARCH_MAP(X) NULL};
const char *const page_names[] = {ASPACE_PAGE_MAP(X) NULL};
const char *const policy_names[] = {ASPACE_POLICY_MAP(X) NULL};
const char *const overlap_names[] = {ASPACE_OVERLAP_MAP(X) NULL};
const char *const holes_names[] = {ASPACE_HOLES_MAP(X) NULL};
const char *const side_names[] = {ASPACE_SIDE_MAP(X) NULL};
const char *const merge_names[] = {ASPACE_MERGE_MAP(X) NULL};
const char *const access_names[] = {ASPACE_ACCESS_MAP(X) NULL};
const char *const mode_names[] = {ASPACE_MODE_MAP(X) NULL};
const char *const outcome_names[] = {ASPACE_OUTCOME_MAP(X) NULL};
const char *const event_names[] = {ASPACE_EVENT_MAP(X) NULL};
const char *const inject_op_names[] = {ASPACE_INJECT_OP_MAP(X) NULL};
const char *const inject_error_names[] = {ASPACE_INJECT_ERROR_MAP(X) NULL};
#undef X

const struct method *method_by_name(const char *name, size_t size)
{
#define X(id, text)                                                                                                    \
    if (size == sizeof(text) - 1 && memcmp(name, text, sizeof(text) - 1) == 0)                                         \
        return &methods[METHOD_##id];
    METHOD_MAP(X)
#undef X
    return NULL;
}

const struct method *method_by_verb(const char *verb)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (methods[i].verb && strcmp(methods[i].verb, verb) == 0)
            return &methods[i];
    }
    return NULL;
}

#undef X
#define X(name, text) ASPACE_BACKING_##name < MAP_BACKINGS ? text : NULL,
const char *const map_backing_names[] = {ASPACE_BACKING_MAP(X) NULL};
#undef X
