/* THE METHOD TABLE: every method with its parameters, result, errors and command-line verb, declared once. Parameter
 * checking, dispatch, rpc.discover, aspacectl's verbs and help, and docs/methods.md all come from it. */
#ifndef PROTO_METHODS_H
#define PROTO_METHODS_H

#include "aspace/types.h"
#include "base/refusal.h"
#include "proto/json.h"

/* X(IDENTIFIER, "wire.name"), in the order in which help and docs list them. */
#define METHOD_MAP(X)                                                                                                  \
    X(RPC_DISCOVER, "rpc.discover")                                                                                    \
    X(DAEMON_PING, "daemon.ping")                                                                                      \
    X(DAEMON_INFO, "daemon.info")                                                                                      \
    X(DAEMON_STATS, "daemon.stats")                                                                                    \
    X(DAEMON_WAIT, "daemon.wait")                                                                                      \
    X(DAEMON_SHUTDOWN, "daemon.shutdown")                                                                              \
    X(SPACE_CREATE, "space.create")                                                                                    \
    X(SPACE_CLONE, "space.clone")                                                                                      \
    X(SPACE_DESTROY, "space.destroy")                                                                                  \
    X(SPACE_CLEAR, "space.clear")                                                                                      \
    X(SPACE_LIST, "space.list")                                                                                        \
    X(SPACE_INFO, "space.info")                                                                                        \
    X(SPACE_APPLY, "space.apply")                                                                                      \
    X(SPACE_RESUME, "space.resume")                                                                                    \
    X(SPACE_SYNC, "space.sync")                                                                                        \
    X(SPACE_CHECK, "space.check")                                                                                      \
    X(SPACE_SNAPSHOT, "space.snapshot")                                                                                \
    X(SPACE_RESTORE, "space.restore")                                                                                  \
    X(SPACE_DROP, "space.drop")                                                                                        \
    X(SPACE_SNAPSHOTS, "space.snapshots")                                                                              \
    X(SPACE_DIFF, "space.diff")                                                                                        \
    X(AREA_MAP, "area.map")                                                                                            \
    X(AREA_UNMAP, "area.unmap")                                                                                        \
    X(AREA_PROTECT, "area.protect")                                                                                    \
    X(AREA_SHRINK, "area.shrink")                                                                                      \
    X(AREA_SPLIT, "area.split")                                                                                        \
    X(AREA_MERGE, "area.merge")                                                                                        \
    X(AREA_MOVE, "area.move")                                                                                          \
    X(AREA_FIND, "area.find")                                                                                          \
    X(AREA_FIND_FREE, "area.find_free")                                                                                \
    X(AREA_OVERLAPS, "area.overlaps")                                                                                  \
    X(AREA_LIST, "area.list")                                                                                          \
    X(PAGE_WALK, "page.walk")                                                                                          \
    X(PAGE_DUMP, "page.dump")                                                                                          \
    X(PAGE_EXPORT, "page.export")                                                                                      \
    X(MEMORY_ACCESS, "memory.access")                                                                                  \
    X(MEMORY_READ, "memory.read")                                                                                      \
    X(MEMORY_WRITE, "memory.write")                                                                                    \
    X(INJECT_SET, "inject.set")                                                                                        \
    X(INJECT_CLEAR, "inject.clear")                                                                                    \
    X(INJECT_LIST, "inject.list")                                                                                      \
    X(EVENTS_SUBSCRIBE, "events.subscribe")                                                                            \
    X(EVENTS_UNSUBSCRIBE, "events.unsubscribe")                                                                        \
    X(MONITOR_START, "monitor.start")                                                                                  \
    X(MONITOR_STOP, "monitor.stop")

#define X(id, name) METHOD_##id,
enum method_id { METHOD_MAP(X) METHOD_COUNT };
#undef X

/* The choices of `backend`, in order. */
enum backend_choice { BACKEND_SIM, BACKEND_PTRACE };
/* Those of `compare`. */
enum compare_choice { COMPARE_WRITTEN, COMPARE_BYTES };
/* Those of `seccomp`. */
enum seccomp_choice { SECCOMP_REFUSE, SECCOMP_SUSPEND };

/* Every parameter name of the protocol: X(IDENTIFIER, "wire_name"). One name may have another type in another method. */
#define PARAM_MAP(X)                                                                                                   \
    X(SPACE, "space")                                                                                                  \
    X(NAME, "name")                                                                                                    \
    X(BACKEND, "backend")                                                                                              \
    X(ARCH, "arch")                                                                                                    \
    X(RANGE, "range")                                                                                                  \
    X(RAM, "ram")                                                                                                      \
    X(RAM_BASE, "ram_base")                                                                                            \
    X(MERGE, "merge")                                                                                                  \
    X(START, "start")                                                                                                  \
    X(END, "end")                                                                                                      \
    X(SIZE, "size")                                                                                                    \
    X(NEW_START, "new_start")                                                                                          \
    X(NEW_SIZE, "new_size")                                                                                            \
    X(FLAGS, "flags")                                                                                                  \
    X(HINT, "hint")                                                                                                    \
    X(WITHIN, "within")                                                                                                \
    X(ALIGN, "align")                                                                                                  \
    X(OVERLAP, "overlap")                                                                                              \
    X(POLICY, "policy")                                                                                                \
    X(BACKING, "backing")                                                                                              \
    X(PAGE, "page")                                                                                                    \
    X(PA, "pa")                                                                                                        \
    X(TAG, "tag")                                                                                                      \
    X(HOLES, "holes")                                                                                                  \
    X(SIDE, "side")                                                                                                    \
    X(AT, "at")                                                                                                        \
    X(ADDR, "addr")                                                                                                    \
    X(LIMIT, "limit")                                                                                                  \
    X(KIND, "kind")                                                                                                    \
    X(MODE, "mode")                                                                                                    \
    X(DATA, "data")                                                                                                    \
    X(HEX, "hex")                                                                                                      \
    X(PID, "pid")                                                                                                      \
    X(COMMAND, "command")                                                                                              \
    X(SECCOMP, "seccomp")                                                                                              \
    X(KEEP, "keep")                                                                                                    \
    X(AGENT, "agent")                                                                                                  \
    X(PATH, "path")                                                                                                    \
    X(OFFSET, "offset")                                                                                                \
    X(OPS, "ops")                                                                                                      \
    X(DRY_RUN, "dry_run")                                                                                              \
    X(IF_GENERATION, "if_generation")                                                                                  \
    X(OP, "op")                                                                                                        \
    X(NTH, "nth")                                                                                                      \
    X(EVERY, "every")                                                                                                  \
    X(ERROR, "error")                                                                                                  \
    X(TIMES, "count")                                                                                                  \
    X(ID, "id")                                                                                                        \
    X(AT_GENERATION, "generation")                                                                                     \
    X(AREA, "area")                                                                                                    \
    X(GONE, "gone")                                                                                                    \
    X(TIMEOUT_MS, "timeout_ms")                                                                                        \
    X(SPACES, "spaces")                                                                                                \
    X(KINDS, "kinds")                                                                                                  \
    X(SINCE, "since")                                                                                                  \
    X(SUBSCRIPTION, "subscription")                                                                                    \
    X(FILTER, "filter")                                                                                                \
    X(OTHER, "other")                                                                                                  \
    X(COMPARE, "compare")

#define X(id, name) PARAM_##id,
enum param_id { PARAM_MAP(X) PARAM_COUNT };
#undef X

/* What a value must look like (the protocol's table of values). What params_* accessor gives it stands behind. */
enum param_type {
    TYPE_ADDR,         /* number: "0x…", decimal string, or integer up to 2^53 */
    TYPE_SIZE,         /* number: the same, suffix K M G T allowed in strings */
    TYPE_COUNT,        /* number: a JSON integer from 0 to 2^53 */
    TYPE_BOOL,         /* number: 0 or 1 */
    TYPE_NAME,         /* text: a space's name */
    TYPE_TEXT,         /* text: 1 to ASPACE_TAG_MAX bytes */
    TYPE_CHOICE,       /* number: the index in `choices` */
    TYPE_FLAGS,        /* change: set only */
    TYPE_FLAGS_CHANGE, /* change */
    TYPE_RANGE,        /* number (lo) and high (hi): array of two addresses */
    TYPE_BASE64,       /* token: a string, decoded by params_bytes */
    TYPE_HEX,          /* token: a string, decoded by params_bytes */
    TYPE_OPS,          /* token: an array of operations, read by op_bind */
    TYPE_NAMES,        /* token: an array of at least one space's name */
    TYPE_CHOICES,      /* number: a bit by index in `choices` for each that the array names */
    TYPE_TEXTS,        /* token: an array of texts, given by params_texts */
    TYPE_SPACE_AT, /* text: a space's name; number: where in it stands that of its snapshot, 0 if it is not about one */
};

/* `limit` of the methods that list: how many unless it is given, and how many at most; as text, too. */
#define LIST_DEFAULT     1000
#define LIST_MAX         10000
#define LIST_TEXT(count) LIST_TEXT_(count)
#define LIST_TEXT_(text) #text

/* How aspacectl takes a parameter. */
enum cli_form {
    CLI_POSITIONAL,  /* by its place */
    CLI_PLACE,       /* positional, where the word `any` leaves the parameter out: START|any */
    CLI_PATH,        /* positional, a file's path that is meant from aspacectl's working directory */
    CLI_OPTION,      /* --new-size VALUE */
    CLI_REST,        /* all words after -- */
    CLI_CHOICE_FLAG, /* each choice but the default is a flag of its own: --replace; --left, --right */
};

struct param_spec {
    enum param_id id;
    enum param_type type;
    bool required;
    enum cli_form cli;
    unsigned place;             /* 1, 2, …: where it stands on the command line; 0 for options */
    const char *const *choices; /* TYPE_CHOICE: NULL-terminated, the first is the default of an optional one;
                                 * TYPE_CHOICES */
    const char *fallback;       /* the default as shown to people and in rpc.discover; NULL if there is none */
    const char *doc;            /* one line */
    enum param_id unless;       /* a required one may be missing when this one is there, and must be; 0 is none */
    const char *word;           /* what it is called on the command line; NULL: its name in capitals */
};

/* What a member of a result is. */
enum field_type {
    FIELD_ADDR,
    FIELD_SIZE,
    FIELD_COUNT,
    FIELD_BOOL,
    FIELD_STRING,
    FIELD_FLAGS,
    FIELD_BASE64,
    FIELD_OBJECT,
    FIELD_AREA,
    FIELD_AREA_OR_NULL,
    FIELD_ADDR_OR_NULL,
    FIELD_AREAS,
    FIELD_SPACES,
    FIELD_STRINGS,
    FIELD_LEVELS,
    FIELD_TABLE_ENTRIES,
    FIELD_FAULT,
    FIELD_RESULTS,
    FIELD_INJECTED_FAULTS,
    FIELD_SNAPSHOTS,
    FIELD_DIFFERENCES,
    FIELD_RANGES,
};

struct field_spec {
    const char *name;
    enum field_type type;
    bool optional;
    const char *doc; /* one line */
};

enum method_traits {
    METHOD_ON_SPACE = 1,      /* has `space` as its first parameter, resolved before the handler runs */
    METHOD_MUTATES = 2,       /* changes something */
    METHOD_RETURNS_SPACE = 4, /* the result is a Space; `fields` is empty */
    METHOD_IN_APPLY = 8,      /* may be an operation of space.apply */
    METHOD_MAKES_SPACE = 16,  /* makes a space called `name` */
    METHOD_ENDS_SPACE = 32,   /* ends the space it is on */
    /* What it may take long over, so that it then runs beside the loop: */
    METHOD_UNSYNCED = 1024, /* on a live space: does not look at its areas */
    METHOD_BY_RANGE = 64,   /* the pages of `size` or `new_size` */
    METHOD_BY_SPACE = 128,  /* all that is in the space */
    METHOD_MAPS = 256,      /* with METHOD_BY_RANGE: makes pages real that are not there yet */
    METHOD_MANY = 512,      /* its operations together */
    METHOD_WAITS = 2048,    /* is answered when something has happened, and holds up nobody meanwhile */
    METHOD_BY_OWNER = 4096, /* for the daemon's own user alone */
    METHOD_OTHER = 8192,    /* has `other`, a second space, resolved before the handler runs */
};

struct method {
    enum method_id id;
    const char *name;
    const char *summary; /* one line, no full stop */
    unsigned traits;
    const struct param_spec *params;
    size_t param_count;
    const struct field_spec *fields;
    size_t field_count;
    const enum aspace_error *errors; /* those of its own, ended by 0; -32602 and -32603 go without saying */
    const char *verb;                /* aspacectl's, NULL if there is none */
};

/* Indexed by enum method_id; METHOD_COUNT entries. */
extern const struct method methods[];

/* What the daemon tells without being asked, once a method has said that it shall. */
struct notification {
    const char *name;
    const char *summary; /* one line, no full stop */
    const struct field_spec *fields;
    size_t field_count;
};

enum notification_id { NOTIFY_EVENT, NOTIFY_EVENTS_LOST, NOTIFY_MONITOR, NOTIFY_MONITOR_LOST, NOTIFY_COUNT };

/* Indexed by enum notification_id. */
extern const struct notification notifications[];

/* The names of enum param_id, in order. */
extern const char *const param_names[];
extern const unsigned char param_name_sizes[]; /* their lengths */

/* The choices of `backing` on a map: the others of ASPACE_BACKING_MAP are the kernel's to make. */
#define MAP_BACKINGS (ASPACE_BACKING_FILE + 1)
extern const char *const map_backing_names[];

/* The texts of the choices in aspace/types.h, in enum order, each ended by NULL. */
extern const char *const backing_names[],
    *const policy_names[], *const overlap_names[], *const holes_names[], *const side_names[],
                                                                             *const merge_names[],
                                                                                 *const access_names[],
                                                                                     *const mode_names[],
                                                                                         *const outcome_names[];
extern const char *const arch_names[];
extern const char *const page_names[];
extern const char *const inject_op_names[];
extern const char *const event_names[];
extern const char *const inject_error_names[]; /* in the order of ASPACE_INJECT_ERROR_MAP */

/* By wire name (`size` bytes) or by verb; NULL if there is none. */
const struct method *method_by_name(const char *name, size_t size);
const struct method *method_by_verb(const char *verb);

/* new flags = (old & ~clear) | set */
struct flags_change {
    uint16_t set;
    uint16_t clear;
};

struct param_value {
    uint64_t number; /* see enum param_type */
    uint64_t high;
    struct flags_change change;
    const char *text; /* NUL-terminated, inside struct params or the table */
    uint32_t token;
};

/* A request's parameters after method_bind. */
struct params {
    const struct json_doc *doc;
    uint64_t present; /* bit by enum param_id */
    struct param_value value[PARAM_COUNT];
    size_t scratch_size;
    char scratch[2 * ASPACE_TAG_MAX + 2 * ASPACE_NAME_MAX];
};

static inline bool params_has(const struct params *p, enum param_id id)
{
    return p->present >> id & 1;
}

/* Checks token `token` of `doc` (0: no params were given) against the method: by name or by position, missing,
 * unknown, duplicate, too many, wrong type, out of range. InvalidParams with why->param set. Optional choices that are
 * absent get their default's index (0) in `number`; everything else absent is not present (its `number` is 0, too).
 * `doc` must outlive *ret. Values of params that the method does not have are left as they were. */
enum aspace_error method_bind(const struct method *method, const struct json_doc *doc, uint32_t token,
                              struct refusal *why, struct params *ret);

/* One operation of a TYPE_OPS parameter, at `token`: {method, params} of a METHOD_IN_APPLY method, whose params come
 * without space. Like method_bind; PARAM_SPACE is never present in *ret. */
enum aspace_error op_bind(const struct json_doc *doc, uint32_t token, struct refusal *why,
                          const struct method **ret_method, struct params *ret);

/* Decodes parameter `id` (TYPE_BASE64 or TYPE_HEX) into a new buffer that the caller frees. InvalidParams if it is not
 * that encoding, strictly (RFC 4648 with padding), NoMemory. An empty text gives a non-NULL buffer and size 0. */
enum aspace_error params_bytes(const struct params *p, enum param_id id, struct refusal *why, uint8_t **ret,
                               size_t *ret_size);

/* The texts of parameter `id` (TYPE_TEXTS) as an array that ends with NULL, in one allocation that the caller frees.
 * InvalidParams if a text is not one of 0 to 128 KiB without NUL, or there is none; NoMemory. */
enum aspace_error params_texts(const struct params *p, enum param_id id, struct refusal *why, char ***ret);

/* Writes the OpenRPC 1.3 document (the result of rpc.discover). */
void methods_write_openrpc(struct json_writer *w);

/* Flags as text, "rw-,kernel", into `buffer` of at least FLAGS_TEXT_MAX bytes; returns buffer. */
#define FLAGS_TEXT_MAX 48
char *flags_format(uint16_t flags, char *buffer);
/* Text to flags or to a change of flags; false if it is neither. `allow_change` takes "+w,-global" too. Flags clear the
 * permissions that they do not name; what can be read as flags ("-wx") is not a change. */
bool flags_parse(const char *text, size_t size, bool allow_change, struct flags_change *ret);
/* "0x1f", "31", with `suffix` also "64K" and "0x10k": false if it is no number, negative, or 2^64 and more. */
bool number_parse(const char *text, size_t size, bool suffix, uint64_t *ret);

#endif
