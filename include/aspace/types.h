/* The words of the wire protocol as C values: flags and the choices that parameters offer.
 * Each list is an X-macro with the wire text beside the C name; texts and enums are made from it and nowhere else. */
#ifndef ASPACE_TYPES_H
#define ASPACE_TYPES_H

#include <stdint.h>

/* Pages are 4 KiB on every architecture here: sizes and starts are multiples of it. */
#define ASPACE_PAGE_BITS 12
#define ASPACE_PAGE_SIZE (UINT64_C(1) << ASPACE_PAGE_BITS)

/* A space's name: 1 to ASPACE_NAME_MAX bytes of A-Za-z0-9._- with no leading '.' or '-'. */
#define ASPACE_NAME_MAX 64
/* A tag: 1 to ASPACE_TAG_MAX bytes of UTF-8 without NUL. */
#define ASPACE_TAG_MAX 1023

/* What an area allows: X(NAME, bit, letter), in the order of the flags text "rwx". */
#define ASPACE_PERMISSION_MAP(X)                                                                                       \
    X(READ, 0, 'r')                                                                                                    \
    X(WRITE, 1, 'w')                                                                                                   \
    X(EXEC, 2, 'x')

/* What else an area is: X(NAME, bit, "text"), in the order of the flags text: "rw-,kernel,global". */
#define ASPACE_ATTRIBUTE_MAP(X)                                                                                        \
    X(KERNEL, 3, "kernel")     /* supervisor only */                                                                   \
    X(GLOBAL, 4, "global")     /* survives an address space switch in the TLB */                                       \
    X(DEVICE, 5, "device")     /* strongly uncacheable device memory */                                                \
    X(UNCACHED, 6, "uncached") /* uncached normal memory */                                                            \
    X(SHARED, 7, "shared")     /* changes are seen by others who map the same */

enum aspace_flags {
#define X(name, bit, text) ASPACE_##name = 1 << (bit),
    ASPACE_PERMISSION_MAP(X) ASPACE_ATTRIBUTE_MAP(X)
#undef X
};

/* What makes an area real. X(NAME, "text"), the first is the default. */
#define ASPACE_BACKING_MAP(X)                                                                                          \
    X(LAZY, "lazy")       /* sim: a zeroed frame at first access */                                                    \
    X(EAGER, "eager")     /* sim: zeroed frames at once */                                                             \
    X(LINEAR, "linear")   /* sim: virtual to physical address at a fixed offset */                                     \
    X(ANON, "anon")       /* ptrace: anonymous memory */                                                               \
    X(FILE, "file")       /* ptrace: a file, from an offset on */                                                      \
    X(HEAP, "heap")       /* ptrace: the brk heap, the kernel's */                                                     \
    X(STACK, "stack")     /* ptrace: the main thread's stack, the kernel's */                                          \
    X(SPECIAL, "special") /* ptrace: the kernel's own pages, such as the vdso, and the daemon's in the target */

/* Whose page tables a space of the backend sim has. */
#define ASPACE_ARCH_MAP(X)                                                                                             \
    X(X86_64, "x86_64")           /* four levels */                                                                    \
    X(X86_64_LA57, "x86_64-la57") /* five */                                                                           \
    X(AARCH64, "aarch64")         /* 4 KiB granule, 48 bits, the lower half */                                         \
    X(RISCV_SV39, "riscv-sv39")                                                                                        \
    X(RISCV_SV48, "riscv-sv48")                                                                                        \
    X(RISCV_SV57, "riscv-sv57")

/* The size of the pages that an area is made of: X(NAME, "text"). */
#define ASPACE_PAGE_MAP(X)                                                                                             \
    X(4K, "4K")                                                                                                        \
    X(2M, "2M")                                                                                                        \
    X(1G, "1G")                                                                                                        \
    X(AUTO, "auto") /* the largest that fit */

/* Which free range a placement takes. */
#define ASPACE_POLICY_MAP(X)                                                                                           \
    X(FIRST, "first") /* the lowest that fits */                                                                       \
    X(BEST, "best")   /* the smallest hole that fits, the lowest of equals */                                          \
    X(TOP, "top")     /* the highest that fits */

#define ASPACE_OVERLAP_MAP(X)                                                                                          \
    X(FAIL, "fail")       /* an overlap is AlreadyExists */                                                            \
    X(REPLACE, "replace") /* what lies in the way is unmapped in the same step */

#define ASPACE_HOLES_MAP(X)                                                                                            \
    X(SKIP, "skip")     /* holes in the range are passed over */                                                       \
    X(REFUSE, "refuse") /* a hole in the range is NotFound */

#define ASPACE_SIDE_MAP(X)                                                                                             \
    X(LEFT, "left")   /* raises the start */                                                                           \
    X(RIGHT, "right") /* lowers the end */

#define ASPACE_MERGE_MAP(X)                                                                                            \
    X(OFF, "off")   /* neighbours stay apart until area.merge */                                                       \
    X(AUTO, "auto") /* neighbours alike are joined by every edit that touches them */

#define ASPACE_ACCESS_MAP(X)                                                                                           \
    X(READ, "read")                                                                                                    \
    X(WRITE, "write")                                                                                                  \
    X(EXEC, "exec")

#define ASPACE_MODE_MAP(X)                                                                                             \
    X(USER, "user")                                                                                                    \
    X(KERNEL, "kernel")

/* What came of a memory.access. */
#define ASPACE_OUTCOME_MAP(X)                                                                                          \
    X(HIT, "hit")       /* the entry was there and allows it */                                                        \
    X(FILLED, "filled") /* a frame was given to it first */                                                            \
    X(COPIED, "copied") /* a shared frame was copied first */                                                          \
    X(FAULT, "fault")

/* Which operations of a space's backend an injected fault counts. */
#define ASPACE_INJECT_OP_MAP(X)                                                                                        \
    X(MAP, "map")                                                                                                      \
    X(UNMAP, "unmap")                                                                                                  \
    X(PROTECT, "protect")                                                                                              \
    X(FRAME, "frame") /* sim: taking a frame, for data or for a page table */

/* What is told of spaces to those who subscribe. */
#define ASPACE_EVENT_MAP(X)                                                                                            \
    X(SPACE_CREATED, "space.created")                                                                                  \
    X(SPACE_DESTROYED, "space.destroyed")                                                                              \
    X(MAPPED, "area.mapped")                                                                                           \
    X(UNMAPPED, "area.unmapped")                                                                                       \
    X(PROTECTED, "area.protected")                                                                                     \
    X(MOVED, "area.moved")                                                                                             \
    X(SPLIT, "area.split")                                                                                             \
    X(MERGED, "area.merged")                                                                                           \
    X(DRIFT, "drift")             /* ptrace: the target was changed by others */                                       \
    X(TARGET_EXEC, "target.exec") /* ptrace: it runs another program */                                                \
    X(TARGET_EXIT, "target.exit") /* ptrace: it is gone */

/* What an injected fault answers: X(IDENTIFIER, "WireName") of aspace/error.h's errors above zero. */
#define ASPACE_INJECT_ERROR_MAP(X)                                                                                     \
    X(BAD_STATE, "BadState")                                                                                           \
    X(INVALID_PARAM, "InvalidParam")                                                                                   \
    X(ALREADY_EXISTS, "AlreadyExists")                                                                                 \
    X(NOT_FOUND, "NotFound")                                                                                           \
    X(NO_MEMORY, "NoMemory")                                                                                           \
    X(DENIED, "Denied")                                                                                                \
    X(BUSY, "Busy")                                                                                                    \
    X(UNSUPPORTED, "Unsupported")                                                                                      \
    X(TARGET_GONE, "TargetGone")                                                                                       \
    X(CONFLICT, "Conflict")                                                                                            \
    X(TIMEOUT, "Timeout")

#define X(name, text) ASPACE_BACKING_##name,
enum aspace_backing { ASPACE_BACKING_MAP(X) };
#undef X
#define X(name, text) ASPACE_ARCH_##name,
enum aspace_arch { ASPACE_ARCH_MAP(X) };
#undef X
#define X(name, text) ASPACE_PAGE_##name,
enum aspace_page { ASPACE_PAGE_MAP(X) };
#undef X
#define X(name, text) ASPACE_POLICY_##name,
enum aspace_policy { ASPACE_POLICY_MAP(X) };
#undef X
#define X(name, text) ASPACE_OVERLAP_##name,
enum aspace_overlap { ASPACE_OVERLAP_MAP(X) };
#undef X
#define X(name, text) ASPACE_HOLES_##name,
enum aspace_holes { ASPACE_HOLES_MAP(X) };
#undef X
#define X(name, text) ASPACE_SIDE_##name,
enum aspace_side { ASPACE_SIDE_MAP(X) };
#undef X
#define X(name, text) ASPACE_MERGE_##name,
enum aspace_merge { ASPACE_MERGE_MAP(X) };
#undef X
#define X(name, text) ASPACE_ACCESS_##name,
enum aspace_access { ASPACE_ACCESS_MAP(X) };
#undef X
#define X(name, text) ASPACE_MODE_##name,
enum aspace_mode { ASPACE_MODE_MAP(X) };
#undef X
#define X(name, text) ASPACE_OUTCOME_##name,
enum aspace_outcome { ASPACE_OUTCOME_MAP(X) };
#undef X
#define X(name, text) ASPACE_INJECT_##name,
enum aspace_inject_op { ASPACE_INJECT_OP_MAP(X) };
#undef X
#define X(name, text) ASPACE_EVENT_##name,
enum aspace_event { ASPACE_EVENT_MAP(X) ASPACE_EVENT_COUNT };
#undef X

#endif
