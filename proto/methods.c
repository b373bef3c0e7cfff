/* THE METHOD TABLE. Params stand in the order of positional params, required ones first. */
#include "proto/methods.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PARAMS(array)   .params = (array), .param_count = COUNT_OF(array)
#define FIELDS(array)   .fields = (array), .field_count = COUNT_OF(array)

/* Names of their own in the file, since METHOD_MAP is the place where they are spelled. */
#define X(id, text) static const char name_##id[] = text;
METHOD_MAP(X)
#undef X
#define METHOD(which) .id = METHOD_##which, .name = name_##which

/* ---- Params that many methods have ---- */

#define PARAM_OF_SPACE                                                                                                 \
    {                                                                                                                  \
        PARAM_SPACE, TYPE_NAME, true, CLI_POSITIONAL, 1, NULL, NULL, "the space's name", .word = "NAME"                \
    }
#define PARAM_GENERATION                                                                                               \
    {                                                                                                                  \
        PARAM_IF_GENERATION, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,                                             \
            "do nothing unless the space is at this generation"                                                        \
    }
#define PARAM_OF_START                                                                                                 \
    {                                                                                                                  \
        PARAM_START, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "where the range starts"                          \
    }
#define START_UNLESS_TAG                                                                                               \
    {                                                                                                                  \
        PARAM_START, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "where the range starts", PARAM_TAG               \
    }
#define SIZE_UNLESS_TAG                                                                                                \
    {                                                                                                                  \
        PARAM_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 3, NULL, NULL, "size of the range", PARAM_TAG                     \
    }
#define PARAM_OF_TAG                                                                                                   \
    {                                                                                                                  \
        PARAM_TAG, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "the areas that carry this tag, instead of a range"    \
    }
#define PARAM_OF_SIZE                                                                                                  \
    {                                                                                                                  \
        PARAM_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 3, NULL, NULL, "size of the range"                                \
    }
#define PARAM_OF_HOLES                                                                                                 \
    {                                                                                                                  \
        PARAM_HOLES, TYPE_CHOICE, false, CLI_OPTION, 0, holes_names, "skip",                                           \
            "pass over what is free in the range, or refuse it"                                                        \
    }
#define PARAM_OF_HINT                                                                                                  \
    {                                                                                                                  \
        PARAM_HINT, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "the lowest start wanted, without wrapping below it"  \
    }
#define PARAM_OF_WITHIN                                                                                                \
    {                                                                                                                  \
        PARAM_WITHIN, TYPE_RANGE, false, CLI_OPTION, 0, NULL, NULL, "place it inside this range"                       \
    }
#define PARAM_OF_ALIGN                                                                                                 \
    {                                                                                                                  \
        PARAM_ALIGN, TYPE_SIZE, false, CLI_OPTION, 0, NULL, "0x1000",                                                  \
            "the start is a multiple of this power of two of at least a page"                                          \
    }
#define PARAM_OF_POLICY                                                                                                \
    {                                                                                                                  \
        PARAM_POLICY, TYPE_CHOICE, false, CLI_OPTION, 0, policy_names, "first",                                        \
            "which free range: the lowest, the smallest that fits, or the highest"                                     \
    }

static const struct param_spec only_space[] = {PARAM_OF_SPACE};

#define FIELD_OF_GENERATION                                                                                            \
    {                                                                                                                  \
        "generation", FIELD_COUNT, false, "the space's generation after it"                                            \
    }

/* What a live process adds to any method on a space. */
#define LIVE_ERRORS ASPACE_DENIED, ASPACE_BUSY, ASPACE_TARGET_GONE, ASPACE_TIMEOUT

static const enum aspace_error no_errors[] = {0};
static const enum aspace_error space_errors[] = {ASPACE_NOT_FOUND, LIVE_ERRORS, 0};
static const enum aspace_error range_errors[] = {ASPACE_INVALID_PARAM, ASPACE_NOT_FOUND, LIVE_ERRORS, 0};
static const enum aspace_error edit_errors[] = {
    ASPACE_INVALID_PARAM, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, ASPACE_CONFLICT, LIVE_ERRORS, 0};
static const enum aspace_error page_errors[] = {
    ASPACE_INVALID_PARAM, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, ASPACE_UNSUPPORTED, LIVE_ERRORS, 0};
static const enum aspace_error write_errors[] = {
    ASPACE_INVALID_PARAM, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, ASPACE_UNSUPPORTED, LIVE_ERRORS, 0};

static const enum aspace_error map_errors[] = {ASPACE_INVALID_PARAM, ASPACE_ALREADY_EXISTS, ASPACE_BAD_STATE,
                                               ASPACE_NOT_FOUND,     ASPACE_NO_MEMORY,      ASPACE_UNSUPPORTED,
                                               ASPACE_CONFLICT,      LIVE_ERRORS,           0};

/* ---- daemon ---- */

static const struct field_spec info_fields[] = {
    {"name", FIELD_STRING, false, "always \"aspaced\""},
    {"version", FIELD_STRING, false, "the daemon's version"},
    {"protocol", FIELD_COUNT, false, "the protocol's version, 1"},
    {"pid", FIELD_COUNT, false, "the daemon's process"},
    {"uptime_ms", FIELD_COUNT, false, "time since its start"},
    {"backends", FIELD_STRINGS, false, "what space.create takes as backend"},
    {"limits", FIELD_OBJECT, false, "what a peer may use up, by the names of the daemon's options"},
};

static const struct field_spec stats_fields[] = {
    {"uptime_ms", FIELD_COUNT, false, "time since the daemon's start"},
    {"connections", FIELD_OBJECT, false, "open, accepted and refused ones"},
    {"bytes", FIELD_OBJECT, false, "received from and sent to peers"},
    {"messages", FIELD_COUNT, false, "whole messages read"},
    {"requests", FIELD_COUNT, false, "requests served, batches taken apart"},
    {"errors", FIELD_COUNT, false, "requests that were refused"},
    {"methods", FIELD_OBJECT, false, "requests, errors and latency quantiles of each method that was called"},
    {"queues", FIELD_OBJECT, false,
     "beside the loop: requests that run or wait, the spaces that they are about, and how many of daemon.wait are "
     "waiting"},
    {"audit", FIELD_OBJECT, true, "of the audit log, if there is one: lines written, lines lost"},
    {"spaces", FIELD_COUNT, false, "spaces that exist"},
    {"areas", FIELD_COUNT, false, "areas in all of them"},
    {"frames", FIELD_OBJECT, false, "simulated frames: used, data, tables, shared, total"},
};

/* ---- space ---- */

static const char *const backend_names[] = {"sim", "ptrace", NULL};
static const char *const seccomp_names[] = {"refuse", "suspend", NULL};

static const struct param_spec create_params[] = {
    {PARAM_NAME, TYPE_NAME, true, CLI_POSITIONAL, 1, NULL, NULL, "the new space's name"},
    {PARAM_BACKEND, TYPE_CHOICE, false, CLI_OPTION, 0, backend_names, "sim",
     "what makes its areas real; ptrace goes without saying where pid or command is given"},
    {PARAM_MERGE, TYPE_CHOICE, false, CLI_OPTION, 0, merge_names, "off", "whether every edit joins neighbours alike"},
    {PARAM_TAG, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "a text of yours to keep with it"},
    {PARAM_ARCH, TYPE_CHOICE, false, CLI_OPTION, 0, arch_names, "x86_64", "sim: whose page tables it has"},
    {PARAM_RANGE, TYPE_RANGE, false, CLI_OPTION, 0, NULL, "the lower half",
     "sim: the addresses that it has, half-open; x86_64's lower half is [0x0, 0x800000000000]"},
    {PARAM_RAM, TYPE_SIZE, false, CLI_OPTION, 0, NULL, "1G", "sim: RAM for its frames and page tables"},
    {PARAM_PID, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL, "ptrace: the process whose address space it is"},
    {PARAM_COMMAND, TYPE_TEXTS, false, CLI_REST, 0, NULL, NULL,
     "ptrace: a program to start, with its arguments; it stands at its first instruction until space.resume. Without a "
     "slash it is searched in the daemon's PATH; a relative path is from the daemon's working directory, from "
     "aspacectl's "
     "own with aspacectl"},
    {PARAM_SECCOMP, TYPE_CHOICE, false, CLI_OPTION, 0, seccomp_names, "refuse",
     "ptrace: a process that filters its system calls is refused, or its filter sleeps while we are in it, for which "
     "the "
     "daemon needs CAP_SYS_ADMIN"},
    {PARAM_KEEP, TYPE_BOOL, false, CLI_OPTION, 0, NULL, "false", "ptrace: the started program outlives the space"},
    {PARAM_AGENT, TYPE_BOOL, false, CLI_OPTION, 0, NULL, "false",
     "ptrace: an edit of one range stops no thread of the process: a thread of ours is in it, which makes the call"},
    {PARAM_RAM_BASE, TYPE_ADDR, false, CLI_OPTION, 0, NULL, "0x0",
     "sim: the physical address that RAM begins at, a multiple of the page size"},
};

static const enum aspace_error create_errors[] = {ASPACE_INVALID_PARAM, ASPACE_ALREADY_EXISTS, ASPACE_NO_MEMORY,
                                                  ASPACE_UNSUPPORTED,   LIVE_ERRORS,           0};

static const struct param_spec clear_params[] = {PARAM_OF_SPACE, PARAM_GENERATION};
static const struct field_spec clear_fields[] = {
    {"removed", FIELD_COUNT, false, "areas that are gone"},
    FIELD_OF_GENERATION,
};

static const struct param_spec apply_params[] = {
    PARAM_OF_SPACE,
    {PARAM_OPS, TYPE_OPS, true, CLI_POSITIONAL, 2, NULL, NULL,
     "an array of {\"method\", \"params\"}, params without space; on the command line - reads it from standard input"},
    {PARAM_DRY_RUN, TYPE_BOOL, false, CLI_OPTION, 0, NULL, "false", "say what would happen, and change nothing"},
    PARAM_GENERATION,
};
static const struct field_spec apply_fields[] = {
    {"results", FIELD_RESULTS, false, "of the operations, in order; of a dry run up to the first refusal"},
    FIELD_OF_GENERATION,
    {"would", FIELD_OBJECT, true,
     "of a dry run: areas split, merged, removed; areas, frames and tables more (or less) than now; the first refusal"},
};

static const struct field_spec list_spaces_fields[] = {{"spaces", FIELD_SPACES, false, "every space"}};

static const struct field_spec check_fields[] = {
    {"problems", FIELD_STRINGS, false, "what does not agree, a sentence each"},
    {"ok", FIELD_BOOL, false, "whether there are none"},
};

/* ---- area: edits ---- */

static const struct param_spec map_params[] = {
    PARAM_OF_SPACE,
    {PARAM_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 3, NULL, NULL, "size of the new area, a multiple of the page size"},
    {PARAM_FLAGS, TYPE_FLAGS, true, CLI_POSITIONAL, 4, NULL, NULL, "what it allows, such as \"rw-\" or \"r-x,kernel\""},
    {PARAM_START, TYPE_ADDR, false, CLI_PLACE, 2, NULL, NULL,
     "where; without it the daemon finds a place. Not beside hint or within"},
    PARAM_OF_HINT,
    PARAM_OF_WITHIN,
    PARAM_OF_ALIGN,
    {PARAM_OVERLAP, TYPE_CHOICE, false, CLI_CHOICE_FLAG, 0, overlap_names, "fail",
     "unmap in the same step what is in the way, instead of refusing"},
    PARAM_OF_POLICY,
    {PARAM_BACKING, TYPE_CHOICE, false, CLI_OPTION, 0, map_backing_names, "lazy",
     "sim: frames at first access, frames at once, or the physical addresses from pa on; ptrace: anonymous memory (the "
     "default there), or the file that path names"},
    {PARAM_PAGE, TYPE_CHOICE, false, CLI_OPTION, 0, page_names, "4K",
     "the size of its pages; start, size and pa are multiples of it. auto: the largest that fit"},
    {PARAM_PA, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL,
     "physical address of the first page; goes with backing linear"},
    {PARAM_PATH, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "ptrace: the file to map, opened by the target itself"},
    {PARAM_OFFSET, TYPE_SIZE, false, CLI_OPTION, 0, NULL, "0x0", "where in the file the area starts; goes with path"},
    {PARAM_TAG, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "a text of yours to keep with the area"},
    PARAM_GENERATION,
};
static const struct field_spec map_fields[] = {
    {"start", FIELD_ADDR, false, "where it was put"},
    {"area", FIELD_AREA, false, "the whole area that it now lies in"},
    FIELD_OF_GENERATION,
};
static const struct param_spec unmap_params[] = {
    PARAM_OF_SPACE, START_UNLESS_TAG, SIZE_UNLESS_TAG, PARAM_OF_HOLES, PARAM_OF_TAG, PARAM_GENERATION,
};
static const struct field_spec unmap_fields[] = {
    {"unmapped", FIELD_SIZE, false, "how much was unmapped"},
    {"removed", FIELD_COUNT, false, "areas that are gone whole"},
    FIELD_OF_GENERATION,
};

static const struct param_spec protect_params[] = {
    PARAM_OF_SPACE,
    START_UNLESS_TAG,
    SIZE_UNLESS_TAG,
    {PARAM_FLAGS, TYPE_FLAGS_CHANGE, true, CLI_POSITIONAL, 4, NULL, NULL,
     "new flags such as \"r--\" (attributes stay), or a change such as \"+w,-global\""},
    PARAM_OF_HOLES,
    PARAM_OF_TAG,
    PARAM_GENERATION,
};
static const struct field_spec protect_fields[] = {
    {"changed", FIELD_COUNT, false, "areas whose flags changed"},
    FIELD_OF_GENERATION,
};
static const enum aspace_error protect_errors[] = {
    ASPACE_INVALID_PARAM, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY,
    ASPACE_UNSUPPORTED,   ASPACE_CONFLICT,  LIVE_ERRORS,      0};

static const struct param_spec shrink_params[] = {
    PARAM_OF_SPACE,
    {PARAM_START, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "exact start of the area"},
    {PARAM_NEW_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 3, NULL, NULL, "its new size, smaller than the old one"},
    {PARAM_SIDE, TYPE_CHOICE, true, CLI_CHOICE_FLAG, 0, side_names, NULL,
     "left raises the start, right lowers the end"},
    PARAM_GENERATION,
};
static const struct field_spec shrink_fields[] = {
    {"area", FIELD_AREA, false, "the area as it is now"},
    FIELD_OF_GENERATION,
};

static const struct param_spec split_params[] = {
    PARAM_OF_SPACE,
    {PARAM_AT, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "where the right part starts, inside an area"},
    PARAM_GENERATION,
};
static const struct field_spec split_fields[] = {
    {"left", FIELD_AREA, false, "the part below"},
    {"right", FIELD_AREA, false, "the part above"},
    FIELD_OF_GENERATION,
};

static const struct param_spec move_params[] = {
    PARAM_OF_SPACE,
    {PARAM_START, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "exact start of the area"},
    {PARAM_NEW_START, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL,
     "where it goes; without it the area grows or shrinks in place"},
    {PARAM_NEW_SIZE, TYPE_SIZE, false, CLI_OPTION, 0, NULL, NULL, "its new size; without it the size stays"},
    {PARAM_OVERLAP, TYPE_CHOICE, false, CLI_CHOICE_FLAG, 0, overlap_names, "fail",
     "unmap in the same step what is in the way, instead of refusing"},
    PARAM_GENERATION,
};

static const struct param_spec merge_params[] = {PARAM_OF_SPACE, PARAM_OF_START, PARAM_OF_SIZE, PARAM_GENERATION};
static const struct field_spec merge_fields[] = {
    {"merged", FIELD_COUNT, false, "joins made"},
    FIELD_OF_GENERATION,
};

/* ---- area: looking ---- */

static const struct param_spec addr_params[] = {
    PARAM_OF_SPACE,
    {PARAM_ADDR, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "any address"},
};
static const struct field_spec find_fields[] = {
    {"area", FIELD_AREA_OR_NULL, false, "the area that holds the address"},
    {"next", FIELD_AREA_OR_NULL, true, "if none does: the first area above it"},
};

static const struct param_spec find_free_params[] = {
    PARAM_OF_SPACE,
    {PARAM_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 2, NULL, NULL, "size wanted, a multiple of the page size"},
    PARAM_OF_HINT,
    PARAM_OF_WITHIN,
    PARAM_OF_ALIGN,
    PARAM_OF_POLICY,
};
static const struct field_spec find_free_fields[] = {{"start", FIELD_ADDR, false, "where area.map would put it"}};

static const struct param_spec overlaps_params[] = {PARAM_OF_SPACE, PARAM_OF_START, PARAM_OF_SIZE};
static const struct field_spec overlaps_fields[] = {
    {"overlaps", FIELD_BOOL, false, "whether an area lies in the range"},
    {"first", FIELD_AREA_OR_NULL, false, "the lowest that does"},
};

static const struct param_spec list_params[] = {
    PARAM_OF_SPACE,
    {PARAM_START, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "only areas that end above this address"},
    {PARAM_END, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "only areas that start below this address"},
    {PARAM_LIMIT, TYPE_COUNT, false, CLI_OPTION, 0, NULL, LIST_TEXT(LIST_DEFAULT),
     "how many at most, up to " LIST_TEXT(LIST_MAX)},
    {PARAM_TAG, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "only areas that carry this tag"},
};
static const struct field_spec list_fields[] = {
    {"areas", FIELD_AREAS, false, "by rising start"},
    {"next", FIELD_ADDR_OR_NULL, false, "the start to ask for next; null if these were all"},
};

/* ---- page, memory ---- */

static const struct field_spec walk_fields[] = {
    {"levels", FIELD_LEVELS, false, "root first, ending with the leaf or the first entry that is not present"},
    {"pa", FIELD_ADDR_OR_NULL, false, "the physical address"},
    {"page_size", FIELD_SIZE, false, "bytes that the leaf maps"},
};

static const struct param_spec dump_params[] = {
    PARAM_OF_SPACE,
    {PARAM_START, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "only entries for addresses from this one on"},
    {PARAM_LIMIT, TYPE_COUNT, false, CLI_OPTION, 0, NULL, LIST_TEXT(LIST_DEFAULT),
     "how many at most, up to " LIST_TEXT(LIST_MAX) ", beside those that lead to start"},
};
static const struct field_spec dump_fields[] = {
    {"entries", FIELD_TABLE_ENTRIES, false,
     "what is not empty, by rising address; an entry comes before those of the table that it leads to, and each reply "
     "has those that lead to start"},
    {"next", FIELD_ADDR_OR_NULL, false, "the start to ask for next; null if these were all"},
};

static const struct param_spec export_params[] = {
    PARAM_OF_SPACE,
    {PARAM_PATH, TYPE_TEXT, true, CLI_PATH, 2, NULL, NULL,
     "absolute path of the file to make, with aspacectl also a relative one; nothing may be there yet"},
};
static const struct field_spec export_fields[] = {
    {"arch", FIELD_STRING, false, "whose page tables they are"},
    {"root", FIELD_ADDR, false, "what CR3, TTBR0_EL1 or satp must hold"},
    {"ram", FIELD_SIZE, false, "bytes of RAM, and the file's size"},
    {"ram_base", FIELD_ADDR, false, "the physical address that RAM and the file begin at"},
    {"frames", FIELD_COUNT, false, "frames written; the rest is a hole of the file, zeros"},
};
static const enum aspace_error export_errors[] = {ASPACE_INVALID_PARAM,
                                                  ASPACE_ALREADY_EXISTS,
                                                  ASPACE_BAD_STATE,
                                                  ASPACE_NOT_FOUND,
                                                  ASPACE_UNSUPPORTED,
                                                  LIVE_ERRORS,
                                                  0};

static const struct param_spec access_params[] = {
    PARAM_OF_SPACE,
    {PARAM_ADDR, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "the first byte touched"},
    {PARAM_KIND, TYPE_CHOICE, true, CLI_POSITIONAL, 3, access_names, NULL, "what is done to it"},
    {PARAM_SIZE, TYPE_SIZE, false, CLI_OPTION, 0, NULL, "1",
     "bytes touched; more than a page only asks whether all of them could be, and fills nothing"},
    {PARAM_MODE, TYPE_CHOICE, false, CLI_OPTION, 0, mode_names, "user", "who does it"},
};
static const struct field_spec access_fields[] = {
    {"outcome", FIELD_STRING, false, "hit, filled (a frame was given first), copied (it was shared) or fault"},
    {"pa", FIELD_ADDR, true, "physical address of the first byte, unless it faults or is only asked"},
    {"fault", FIELD_FAULT, true, "why, where, and the code that the CPU reports"},
};

static const struct param_spec read_params[] = {
    PARAM_OF_SPACE,
    {PARAM_ADDR, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "the first byte"},
    {PARAM_SIZE, TYPE_SIZE, true, CLI_POSITIONAL, 3, NULL, NULL, "how many bytes"},
};
static const struct field_spec read_fields[] = {{"data", FIELD_BASE64, false, "the bytes"}};

static const struct param_spec write_params[] = {
    PARAM_OF_SPACE,
    {PARAM_ADDR, TYPE_ADDR, true, CLI_POSITIONAL, 2, NULL, NULL, "where the first byte goes"},
    {PARAM_DATA, TYPE_BASE64, false, CLI_OPTION, 0, NULL, NULL, "the bytes in base64; either this or hex"},
    {PARAM_HEX, TYPE_HEX, false, CLI_OPTION, 0, NULL, NULL, "the bytes as pairs of hex digits; either this or data"},
};
static const struct field_spec write_fields[] = {{"written", FIELD_SIZE, false, "how many bytes"}};

/* ---- inject ---- */

static const struct param_spec inject_set_params[] = {
    PARAM_OF_SPACE,
    {PARAM_OP, TYPE_CHOICE, true, CLI_POSITIONAL, 2, inject_op_names, NULL, "the backend operations that are counted"},
    {PARAM_NTH, TYPE_COUNT, false, CLI_OPTION, 0, NULL, "1",
     "the nth of them from now on fails, with count also those right after it. Not beside every"},
    {PARAM_EVERY, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,
     "each time so many of them have come, the last one fails"},
    {PARAM_WITHIN, TYPE_RANGE, false, CLI_OPTION, 0, NULL, NULL, "count only those that touch this range"},
    {PARAM_ERROR, TYPE_CHOICE, false, CLI_OPTION, 0, inject_error_names, "BadState", "what a failure answers"},
    {PARAM_TIMES, TYPE_COUNT, false, CLI_OPTION, 0, NULL, "1", "how many fail at most"},
};
static const struct field_spec inject_set_fields[] = {
    {"id", FIELD_COUNT, false, "the fault's number in its space, never used again"},
};
static const enum aspace_error inject_errors[] = {ASPACE_INVALID_PARAM, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, LIVE_ERRORS,
                                                  0};

static const struct param_spec inject_clear_params[] = {
    PARAM_OF_SPACE,
    {PARAM_ID, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL, "this one alone; without it, all of the space"},
};
static const struct field_spec inject_clear_fields[] = {{"cleared", FIELD_COUNT, false, "faults that are gone"}};

static const struct field_spec inject_list_fields[] = {
    {"faults", FIELD_INJECTED_FAULTS, false, "by rising id; spent ones stay until they are cleared"},
};

/* ---- daemon.wait, events, monitor ---- */

static const struct param_spec wait_params[] = {
    PARAM_OF_SPACE,
    {PARAM_AT_GENERATION, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,
     "until the space is at this generation or a later one"},
    {PARAM_AREA, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "until an area holds this address"},
    {PARAM_GONE, TYPE_BOOL, false, CLI_OPTION, 0, NULL, "false",
     "until the space is gone; with area, until no area holds that address"},
    {PARAM_TIMEOUT_MS, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,
     "for so many milliseconds at most; 0 only looks. Without it there is no end"},
};
static const struct field_spec wait_fields[] = {
    {"generation", FIELD_COUNT, true, "the space's when it happened; missing if there was no space to begin with"},
};
static const enum aspace_error wait_errors[] = {ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_DENIED, ASPACE_TIMEOUT, 0};

static const struct param_spec subscribe_params[] = {
    {PARAM_SPACES, TYPE_NAMES, false, CLI_OPTION, 0, NULL, NULL,
     "only events of these spaces, which need not exist yet"},
    {PARAM_KINDS, TYPE_CHOICES, false, CLI_OPTION, 0, event_names, NULL, "only events of these kinds"},
    {PARAM_SINCE, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,
     "first the events after this sequence number, as far as they are still kept"},
};
static const struct field_spec subscribe_fields[] = {
    {"subscription", FIELD_COUNT, false, "its number, which its notifications carry"},
    {"seq", FIELD_COUNT, false, "the sequence number of the last event there was"},
    {"lost", FIELD_COUNT, true,
     "events after since that are not kept any more, of any space and kind; missing if none"},
};
static const enum aspace_error subscribe_errors[] = {ASPACE_INVALID_PARAM, ASPACE_NO_MEMORY, ASPACE_BUSY, 0};

static const struct param_spec unsubscribe_params[] = {
    {PARAM_SUBSCRIPTION, TYPE_COUNT, false, CLI_OPTION, 0, NULL, NULL,
     "this one alone; without it, all of the connection"},
};
static const struct field_spec unsubscribe_fields[] = {{"ended", FIELD_COUNT, false, "subscriptions that are ended"}};

static const enum aspace_error unsubscribe_errors[] = {ASPACE_NOT_FOUND, 0};

static const struct param_spec monitor_params[] = {
    {PARAM_FILTER, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "only methods whose names begin like this"},
};
static const enum aspace_error monitor_errors[] = {ASPACE_NO_MEMORY, ASPACE_DENIED, 0};

static const struct field_spec event_fields[] = {
    {"subscription", FIELD_COUNT, false, "the subscription that it is for"},
    {"seq", FIELD_COUNT, false, "its sequence number, rising over all spaces"},
    {"space", FIELD_STRING, false, "the space's name"},
    {"kind", FIELD_STRING, false, "what happened"},
    {"generation", FIELD_COUNT, false, "the space's generation after it"},
    {"before", FIELD_AREA, true, "the piece as it was; missing where nothing was"},
    {"after", FIELD_AREA, true, "the piece as it is; missing where nothing is"},
};
static const struct field_spec events_lost_fields[] = {
    {"subscription", FIELD_COUNT, false, "the subscription that lost them"},
    {"lost", FIELD_COUNT, false, "how many since the last notification of this kind"},
};
static const struct field_spec monitor_fields[] = {
    {"peer", FIELD_OBJECT, false, "who asked: connection (a number; missing if it has left), uid, pid"},
    {"method", FIELD_STRING, false, "what was asked for"},
    {"params", FIELD_OBJECT, true, "with what; missing if there were none, or more than 1 KiB of them"},
    {"params_size", FIELD_COUNT, true, "how many bytes of params are left out"},
    {"ok", FIELD_BOOL, false, "whether it was done"},
    {"error", FIELD_STRING, true, "if not, the name of the error"},
    {"ns", FIELD_COUNT, false, "from reading the request to its end, waiting included"},
};
static const struct field_spec monitor_lost_fields[] = {
    {"lost", FIELD_COUNT, false, "how many requests since the last notification of this kind"},
};

const struct notification notifications[] = {
    [NOTIFY_EVENT] = {"event", "Something happened to a space", FIELDS(event_fields)},
    [NOTIFY_EVENTS_LOST] = {"events.lost", "A subscriber lost events: it did not read, or memory was short",
                            FIELDS(events_lost_fields)},
    [NOTIFY_MONITOR] = {"monitor", "A request was served", FIELDS(monitor_fields)},
    [NOTIFY_MONITOR_LOST] = {"monitor.lost", "A monitor that did not read lost requests", FIELDS(monitor_lost_fields)},
};

/* ---- clones ---- */

static const struct param_spec clone_params[] = {
    PARAM_OF_SPACE,
    {PARAM_NAME, TYPE_NAME, true, CLI_POSITIONAL, 2, NULL, NULL, "the new space's name", .word = "NEW"},
    {PARAM_TAG, TYPE_TEXT, false, CLI_OPTION, 0, NULL, NULL, "a text of yours to keep with it"},
};
static const enum aspace_error clone_errors[] = {
    ASPACE_ALREADY_EXISTS, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, ASPACE_UNSUPPORTED, LIVE_ERRORS, 0};

/* ---- snapshots ---- */

static const struct param_spec snapshot_params[] = {
    PARAM_OF_SPACE,
    {PARAM_NAME, TYPE_NAME, true, CLI_POSITIONAL, 2, NULL, NULL, "the snapshot's name, one of its space's own",
     .word = "SNAPSHOT"},
    PARAM_GENERATION,
};
static const struct param_spec drop_params[] = {
    PARAM_OF_SPACE,
    {PARAM_NAME, TYPE_NAME, true, CLI_POSITIONAL, 2, NULL, NULL, "the snapshot's name", .word = "SNAPSHOT"},
};
static const struct field_spec snapshot_fields[] = {FIELD_OF_GENERATION};
static const enum aspace_error snapshot_errors[] = {
    ASPACE_ALREADY_EXISTS, ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY,
    ASPACE_UNSUPPORTED,    ASPACE_CONFLICT,  LIVE_ERRORS,      0};
static const enum aspace_error restore_errors[] = {
    ASPACE_BAD_STATE, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY, ASPACE_UNSUPPORTED, ASPACE_CONFLICT, LIVE_ERRORS, 0};

static const struct field_spec snapshots_fields[] = {
    {"snapshots", FIELD_SNAPSHOTS, false, "in the order in which they were taken"},
};

static const char *const compare_names[] = {"written", "bytes", NULL};

static const struct param_spec diff_params[] = {
    PARAM_OF_SPACE,
    {PARAM_OTHER, TYPE_SPACE_AT, true, CLI_POSITIONAL, 2, NULL, NULL,
     "what it is compared with, the state before: another space, or a snapshot, SPACE@SNAPSHOT"},
    {PARAM_COMPARE, TYPE_CHOICE, false, CLI_OPTION, 0, compare_names, "written",
     "the pages: those that were written to since the two parted, or of these only those whose bytes differ"},
    {PARAM_START, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "only what lies at this address or above it"},
    {PARAM_END, TYPE_ADDR, false, CLI_OPTION, 0, NULL, NULL, "only what lies below this address"},
    {PARAM_LIMIT, TYPE_COUNT, false, CLI_OPTION, 0, NULL, LIST_TEXT(LIST_DEFAULT),
     "how many differences, and how many ranges, at most, up to " LIST_TEXT(LIST_MAX)},
};
static const struct field_spec diff_fields[] = {
    {"areas", FIELD_DIFFERENCES, false, "by rising address, as the events that would make the areas of other these"},
    {"pages_written", FIELD_COUNT, false, "pages in written"},
    {"written", FIELD_RANGES, false, "pages of areas on both sides, as ranges by rising address"},
    {"next", FIELD_ADDR_OR_NULL, false, "the start to ask for next; null if that was all"},
};
static const enum aspace_error diff_errors[] = {ASPACE_INVALID_PARAM, ASPACE_NOT_FOUND, ASPACE_NO_MEMORY,
                                                ASPACE_UNSUPPORTED,   LIVE_ERRORS,      0};

/* ---- The table ---- */

/* An edit of areas: alone, or as an operation of space.apply. */
#define EDIT (METHOD_ON_SPACE | METHOD_MUTATES | METHOD_IN_APPLY)

const struct method methods[] = {
    [METHOD_RPC_DISCOVER] = {METHOD(RPC_DISCOVER), .summary = "Give the OpenRPC document of all this",
                             .errors = no_errors, .verb = "discover"},
    [METHOD_DAEMON_PING] = {METHOD(DAEMON_PING), .summary = "Answer, and nothing else", .errors = no_errors,
                            .verb = "ping"},
    [METHOD_DAEMON_INFO] = {METHOD(DAEMON_INFO), .summary = "Tell the daemon's version, backends and limits",
                            FIELDS(info_fields), .errors = no_errors, .verb = "daemon"},
    [METHOD_DAEMON_STATS] = {METHOD(DAEMON_STATS), .summary = "Give the daemon's counters", FIELDS(stats_fields),
                             .errors = no_errors, .verb = "stats"},
    [METHOD_DAEMON_WAIT] = {METHOD(DAEMON_WAIT), .summary = "Wait until something has happened to a space",
                            .traits = METHOD_ON_SPACE | METHOD_WAITS, PARAMS(wait_params), FIELDS(wait_fields),
                            .errors = wait_errors, .verb = "wait"},
    [METHOD_DAEMON_SHUTDOWN] = {METHOD(DAEMON_SHUTDOWN), .summary = "Finish pending replies and end the daemon",
                                .traits = METHOD_MUTATES, .errors = no_errors, .verb = "shutdown"},
    [METHOD_SPACE_CREATE] = {METHOD(SPACE_CREATE),
                             .summary = "Make a space, simulated and empty or over a live process",
                             .traits = METHOD_MUTATES | METHOD_RETURNS_SPACE | METHOD_MAKES_SPACE,
                             PARAMS(create_params), .errors = create_errors, .verb = "create"},
    [METHOD_SPACE_CLONE] = {METHOD(SPACE_CLONE),
                            .summary = "Make a space with the same areas and contents, copied when written to",
                            .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_RETURNS_SPACE | METHOD_MAKES_SPACE |
                                      METHOD_BY_SPACE,
                            PARAMS(clone_params), .errors = clone_errors, .verb = "clone"},
    [METHOD_SPACE_DESTROY] = {METHOD(SPACE_DESTROY), .summary = "End a space and all that is in it",
                              .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_ENDS_SPACE | METHOD_BY_SPACE |
                                        METHOD_UNSYNCED,
                              PARAMS(only_space), .errors = space_errors, .verb = "destroy"},
    [METHOD_SPACE_CLEAR] = {METHOD(SPACE_CLEAR),
                            .summary = "Unmap every area of a space; of a live process those that were made here",
                            .traits = EDIT | METHOD_BY_SPACE, PARAMS(clear_params), FIELDS(clear_fields),
                            .errors = edit_errors, .verb = "clear"},
    [METHOD_SPACE_APPLY] = {METHOD(SPACE_APPLY), .summary = "Make several edits as one: all of them or none",
                            .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_MANY, PARAMS(apply_params),
                            FIELDS(apply_fields), .errors = map_errors, .verb = "apply"},
    [METHOD_SPACE_LIST] = {METHOD(SPACE_LIST), .summary = "List the spaces", FIELDS(list_spaces_fields),
                           .errors = no_errors, .verb = "spaces"},
    [METHOD_SPACE_INFO] = {METHOD(SPACE_INFO), .summary = "Tell about one space",
                           .traits = METHOD_ON_SPACE | METHOD_RETURNS_SPACE, PARAMS(only_space), .errors = space_errors,
                           .verb = "info"},
    [METHOD_SPACE_RESUME] = {METHOD(SPACE_RESUME), .summary = "Let a started program run",
                             .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_RETURNS_SPACE | METHOD_UNSYNCED,
                             PARAMS(only_space), .errors = page_errors, .verb = "resume"},
    [METHOD_SPACE_SYNC] = {METHOD(SPACE_SYNC),
                           .summary = "Read a live process's areas again, also after it has "
                                      "executed another program",
                           .traits = METHOD_ON_SPACE | METHOD_RETURNS_SPACE | METHOD_UNSYNCED, PARAMS(only_space),
                           .errors = page_errors, .verb = "sync"},
    [METHOD_SPACE_CHECK] = {METHOD(SPACE_CHECK), .summary = "Check areas against page tables against frames",
                            .traits = METHOD_ON_SPACE | METHOD_BY_SPACE, PARAMS(only_space), FIELDS(check_fields),
                            .errors = space_errors, .verb = "check"},
    [METHOD_SPACE_SNAPSHOT] = {METHOD(SPACE_SNAPSHOT), .summary = "Keep a simulated space as it is now, to go back to",
                               .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_BY_SPACE | METHOD_UNSYNCED,
                               PARAMS(snapshot_params), FIELDS(snapshot_fields), .errors = snapshot_errors,
                               .verb = "snapshot"},
    [METHOD_SPACE_RESTORE] = {METHOD(SPACE_RESTORE), .summary = "Make a space what it was at a snapshot, which stays",
                              .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_BY_SPACE | METHOD_UNSYNCED,
                              PARAMS(snapshot_params), FIELDS(snapshot_fields), .errors = restore_errors,
                              .verb = "restore"},
    [METHOD_SPACE_DROP] = {METHOD(SPACE_DROP), .summary = "Forget a snapshot",
                           .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_BY_SPACE | METHOD_UNSYNCED,
                           PARAMS(drop_params), .errors = space_errors, .verb = "drop"},
    [METHOD_SPACE_SNAPSHOTS] = {METHOD(SPACE_SNAPSHOTS), .summary = "List a space's snapshots",
                                .traits = METHOD_ON_SPACE | METHOD_UNSYNCED, PARAMS(only_space),
                                FIELDS(snapshots_fields), .errors = space_errors, .verb = "snapshots"},
    [METHOD_SPACE_DIFF] = {METHOD(SPACE_DIFF),
                           .summary = "Tell how a space differs from another one or from a snapshot, areas and pages",
                           .traits = METHOD_ON_SPACE | METHOD_BY_SPACE | METHOD_OTHER | METHOD_UNSYNCED,
                           PARAMS(diff_params), FIELDS(diff_fields), .errors = diff_errors, .verb = "diff"},
    [METHOD_AREA_MAP] = {METHOD(AREA_MAP), .summary = "Make an area, at a given place or where it fits",
                         .traits = EDIT | METHOD_BY_RANGE | METHOD_MAPS, PARAMS(map_params), FIELDS(map_fields),
                         .errors = map_errors, .verb = "map"},
    [METHOD_AREA_UNMAP] = {METHOD(AREA_UNMAP), .summary = "Free a range, cutting the areas at its edges",
                           .traits = EDIT | METHOD_BY_RANGE, PARAMS(unmap_params), FIELDS(unmap_fields),
                           .errors = edit_errors, .verb = "unmap"},
    [METHOD_AREA_PROTECT] = {METHOD(AREA_PROTECT),
                             .summary = "Change the flags of a range, cutting the areas at its edges",
                             .traits = EDIT | METHOD_BY_RANGE, PARAMS(protect_params), FIELDS(protect_fields),
                             .errors = protect_errors, .verb = "protect"},
    [METHOD_AREA_SHRINK] = {METHOD(AREA_SHRINK), .summary = "Make an area smaller from one side",
                            .traits = EDIT | METHOD_BY_RANGE, PARAMS(shrink_params), FIELDS(shrink_fields),
                            .errors = edit_errors, .verb = "shrink"},
    [METHOD_AREA_SPLIT] = {METHOD(AREA_SPLIT), .summary = "Cut an area in two", .traits = EDIT, PARAMS(split_params),
                           FIELDS(split_fields), .errors = protect_errors, .verb = "split"},
    [METHOD_AREA_MERGE] = {METHOD(AREA_MERGE), .summary = "Join neighbours alike whose common edge lies inside a range",
                           .traits = EDIT, PARAMS(merge_params), FIELDS(merge_fields), .errors = edit_errors,
                           .verb = "merge"},
    [METHOD_AREA_MOVE] = {METHOD(AREA_MOVE), .summary = "Move an area, grow it or shrink it, as mremap does",
                          .traits = EDIT | METHOD_BY_RANGE, PARAMS(move_params), FIELDS(shrink_fields),
                          .errors = map_errors, .verb = "move"},
    [METHOD_AREA_FIND] = {METHOD(AREA_FIND), .summary = "Find the area that holds an address",
                          .traits = METHOD_ON_SPACE, PARAMS(addr_params), FIELDS(find_fields), .errors = range_errors,
                          .verb = "find"},
    [METHOD_AREA_FIND_FREE] = {METHOD(AREA_FIND_FREE), .summary = "Find a free range", .traits = METHOD_ON_SPACE,
                               PARAMS(find_free_params), FIELDS(find_free_fields), .errors = range_errors,
                               .verb = "free"},
    [METHOD_AREA_OVERLAPS] = {METHOD(AREA_OVERLAPS), .summary = "Tell whether a range touches an area",
                              .traits = METHOD_ON_SPACE, PARAMS(overlaps_params), FIELDS(overlaps_fields),
                              .errors = range_errors, .verb = "overlaps"},
    [METHOD_AREA_LIST] = {METHOD(AREA_LIST), .summary = "List the areas that touch a window", .traits = METHOD_ON_SPACE,
                          PARAMS(list_params), FIELDS(list_fields), .errors = range_errors, .verb = "areas"},
    [METHOD_PAGE_WALK] = {METHOD(PAGE_WALK), .summary = "Walk the page tables to an address as the MMU does",
                          .traits = METHOD_ON_SPACE | METHOD_UNSYNCED, PARAMS(addr_params), FIELDS(walk_fields),
                          .errors = page_errors, .verb = "walk"},
    [METHOD_PAGE_DUMP] = {METHOD(PAGE_DUMP), .summary = "List the page tables, runs of leaves alike as one",
                          .traits = METHOD_ON_SPACE | METHOD_UNSYNCED | METHOD_BY_SPACE, PARAMS(dump_params),
                          FIELDS(dump_fields), .errors = page_errors, .verb = "tables"},
    [METHOD_PAGE_EXPORT] = {METHOD(PAGE_EXPORT),
                            .summary = "Write the simulated RAM, page tables and all, to a new file",
                            .traits = METHOD_ON_SPACE | METHOD_UNSYNCED | METHOD_BY_SPACE | METHOD_BY_OWNER,
                            PARAMS(export_params), FIELDS(export_fields), .errors = export_errors, .verb = "export"},
    [METHOD_MEMORY_ACCESS] = {METHOD(MEMORY_ACCESS), .summary = "Touch memory as a CPU does, page faults included",
                              .traits = METHOD_ON_SPACE | METHOD_MUTATES, PARAMS(access_params), FIELDS(access_fields),
                              .errors = page_errors, .verb = "access"},
    [METHOD_MEMORY_READ] = {METHOD(MEMORY_READ), .summary = "Read bytes", .traits = METHOD_ON_SPACE,
                            PARAMS(read_params), FIELDS(read_fields), .errors = page_errors, .verb = "read"},
    [METHOD_MEMORY_WRITE] = {METHOD(MEMORY_WRITE), .summary = "Write bytes", .traits = METHOD_ON_SPACE | METHOD_MUTATES,
                             PARAMS(write_params), FIELDS(write_fields), .errors = write_errors, .verb = "write"},
    [METHOD_INJECT_SET] = {METHOD(INJECT_SET), .summary = "Make backend operations of a space fail, to try refusals",
                           .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_UNSYNCED, PARAMS(inject_set_params),
                           FIELDS(inject_set_fields), .errors = inject_errors, .verb = "inject"},
    [METHOD_INJECT_CLEAR] = {METHOD(INJECT_CLEAR), .summary = "Take injected faults away",
                             .traits = METHOD_ON_SPACE | METHOD_MUTATES | METHOD_UNSYNCED, PARAMS(inject_clear_params),
                             FIELDS(inject_clear_fields), .errors = space_errors, .verb = "uninject"},
    [METHOD_INJECT_LIST] = {METHOD(INJECT_LIST), .summary = "List injected faults, with how often each has fired",
                            .traits = METHOD_ON_SPACE | METHOD_UNSYNCED, PARAMS(only_space), FIELDS(inject_list_fields),
                            .errors = space_errors, .verb = "faults"},
    [METHOD_EVENTS_SUBSCRIBE] = {METHOD(EVENTS_SUBSCRIBE),
                                 .summary = "Be told what happens to spaces, by notifications `event`",
                                 PARAMS(subscribe_params), FIELDS(subscribe_fields), .errors = subscribe_errors},
    [METHOD_EVENTS_UNSUBSCRIBE] = {METHOD(EVENTS_UNSUBSCRIBE),
                                   .summary = "End a subscription, or all of the connection",
                                   PARAMS(unsubscribe_params), FIELDS(unsubscribe_fields),
                                   .errors = unsubscribe_errors},
    [METHOD_MONITOR_START] = {METHOD(MONITOR_START),
                              .summary = "Be told of every request served, by notifications `monitor`",
                              PARAMS(monitor_params), .errors = monitor_errors},
    [METHOD_MONITOR_STOP] = {METHOD(MONITOR_STOP), .summary = "Be told of no more requests", .errors = no_errors},
};
