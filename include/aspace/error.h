/* Every error that aspaced reports, written down once: code on the wire, C name, wire name, errno, plain text.
 * Codes below zero are JSON-RPC 2.0's own and have no errno (0). No other file spells a code. */
#ifndef ASPACE_ERROR_H
#define ASPACE_ERROR_H

#include <errno.h>
#include <stddef.h>

/* X(code, IDENTIFIER, "WireName", errno, "when it is given") */
#define ASPACE_ERROR_MAP(X)                                                                                            \
    X(-32700, PARSE_ERROR, "ParseError", 0, "the text is not strict JSON in UTF-8")                                    \
    X(-32600, INVALID_REQUEST, "InvalidRequest", 0, "the JSON is not a JSON-RPC 2.0 request, or is too large")         \
    X(-32601, METHOD_NOT_FOUND, "MethodNotFound", 0, "no such method")                                                 \
    X(-32602, INVALID_PARAMS, "InvalidParams", 0, "a parameter is missing, unknown or of the wrong type")              \
    X(-32603, INTERNAL_ERROR, "InternalError", 0, "the daemon could not do its own part")                              \
    X(1, INVALID_PARAM, "InvalidParam", EINVAL, "the type is right but the value is impossible here")                  \
    X(2, ALREADY_EXISTS, "AlreadyExists", EEXIST, "the range overlaps an area, or the name is taken")                  \
    X(3, BAD_STATE, "BadState", EIO, "the backend refused or failed; nothing was changed")                             \
    X(4, NOT_FOUND, "NotFound", ENOENT, "no such space or area, no free range fits, or there is a hole")               \
    X(5, NO_MEMORY, "NoMemory", ENOMEM, "frames, areas or a configured limit are used up")                             \
    X(6, DENIED, "Denied", EPERM, "this peer may not do that, or the kernel refused it")                               \
    X(7, BUSY, "Busy", EBUSY, "in use, or a limit on connections or spaces is reached")                                \
    X(8, UNSUPPORTED, "Unsupported", ENOTSUP, "this backend or architecture cannot do that")                           \
    X(9, TARGET_GONE, "TargetGone", ESRCH, "the traced process exited or replaced its image")                          \
    X(10, CONFLICT, "Conflict", EAGAIN, "if_generation does not match the space's generation")                         \
    X(11, TIMEOUT, "Timeout", ETIMEDOUT, "the given time passed")

enum aspace_error {
    ASPACE_OK = 0,
#define X(code, id, name, err, text) ASPACE_##id = (code),
    ASPACE_ERROR_MAP(X)
#undef X
};

/* The stable name of `code` ("AlreadyExists"), or NULL if it is no code of the list. Static storage; any thread. */
static inline const char *aspace_error_name(int code)
{
    switch (code) {
#define X(code_, id, name, err, text)                                                                                  \
    case code_:                                                                                                        \
        return name;
        ASPACE_ERROR_MAP(X)
#undef X
    default:
        return NULL;
    }
}

/* One plain phrase saying when `code` is given, or NULL if it is no code of the list. Static storage; any thread. */
static inline const char *aspace_error_text(int code)
{
    switch (code) {
#define X(code_, id, name, err, text)                                                                                  \
    case code_:                                                                                                        \
        return text;
        ASPACE_ERROR_MAP(X)
#undef X
    default:
        return NULL;
    }
}

/* The errno value that `code` stands for; 0 if it has none. Any thread. */
static inline int aspace_error_errno(int code)
{
    switch (code) {
#define X(code_, id, name, err, text)                                                                                  \
    case code_:                                                                                                        \
        return err;
        ASPACE_ERROR_MAP(X)
#undef X
    default:
        return 0;
    }
}

#endif
