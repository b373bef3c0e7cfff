/* `import`: the areas of a process, or of a saved maps text, made in a sim space by space.apply: all of them or none, and
 * in one step unless they pass the daemon's limit for a message. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/maps.h"
#include "ctl/size.h"
#include "ctl/verbs.h"

struct import {
    struct session *session;
    const char *space;
    char source[300]; /* as people read it: the file or the process */
    struct maps maps; /* after drop_outside the rows that are imported */
    uint64_t low;     /* the space's range */
    uint64_t high;
    uint64_t most; /* bytes of a message that the daemon takes */
    bool created;
    size_t mapped; /* rows whose areas are there: the first so many */
    size_t skipped;
};

/* ---- The text ---- */

static bool is_pid(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

static int open_source(struct import *import, const char *source)
{
    char path[300];
    int fd;

    if (strcmp(source, "-") == 0) {
        snprintf(import->source, sizeof(import->source), "standard input");
        return STDIN_FILENO;
    }
    snprintf(path, sizeof(path), is_pid(source) ? "/proc/%s/maps" : "%s", source);
    snprintf(import->source, sizeof(import->source), "%s", path);
    fd = open(is_pid(source) ? path : source, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (is_pid(source) && errno == ENOENT)
        usage_error("there is no process %s (for a file of that name: ./%s)", source, source);
    else
        usage_error("cannot read %s: %s", import->source, strerror(errno));
    return -1;
}

static int read_source(struct import *import, const char *source)
{
    int fd = open_source(import, source);
    char problem[MAPS_PROBLEM_MAX];
    int status = STATUS_DONE;
    char *text;
    size_t size;
    int error;

    if (fd < 0)
        return STATUS_USAGE;
    error = read_all(fd, &text, &size);
    if (fd > STDIN_FILENO)
        close(fd);
    if (error)
        return usage_error("cannot read %s: %s", import->source, strerror(-error));
    if (!maps_read(text, size, &import->maps, problem))
        status = usage_error("%s: %s", import->source, problem);
    free(text);
    return status;
}

/* ---- The space ---- */

/* {"space": …} or {"name": …}; the caller frees the writer. */
static const char *one_member(struct json_writer *w, const char *name, const char *value)
{
    json_begin_object(w);
    json_name_string(w, name, value);
    json_end_object(w);
    json_bytes(w, "", 1);
    return w->failed ? "{}" : w->data;
}

static int call_space(struct import *import, enum method_id method, struct aspace_reply **ret)
{
    const char *name = param_names[method == METHOD_SPACE_CREATE ? PARAM_NAME : PARAM_SPACE];
    struct json_writer w = {0};
    int status = session_ask(import->session, methods[method].name, one_member(&w, name, import->space), ret);

    json_writer_free(&w);
    return status;
}

static int ask_limit(struct import *import)
{
    struct aspace_reply *reply;
    int status = session_call(import->session, methods[METHOD_DAEMON_INFO].name, NULL, &reply);

    if (status)
        return status;
    aspace_reply_u64(reply, "limits.max_message", &import->most);
    aspace_reply_free(reply);
    return STATUS_DONE;
}

static int create_space(struct import *import, struct aspace_reply **ret)
{
    int status = call_space(import, METHOD_SPACE_CREATE, ret);

    if (status)
        return status;
    if (aspace_reply_error(*ret)) {
        status = tell_refusal(*ret);
        aspace_reply_free(*ret);
        return status;
    }
    import->created = true;
    return STATUS_DONE;
}

static int find_space(struct import *import)
{
    struct aspace_reply *reply;
    int status = call_space(import, METHOD_SPACE_INFO, &reply);

    if (status)
        return status;
    if (aspace_reply_error(reply)) {
        bool missing = aspace_reply_error(reply) == ASPACE_NOT_FOUND;

        status = missing ? STATUS_DONE : tell_refusal(reply);
        aspace_reply_free(reply);
        if (!status)
            status = create_space(import, &reply);
        if (status)
            return status;
    }
    aspace_reply_u64(reply, "range.0", &import->low);
    aspace_reply_u64(reply, "range.1", &import->high);
    aspace_reply_free(reply);
    return STATUS_DONE;
}

/* ---- The rows ---- */

static void tell_cut(const struct import *import, const struct maps_row *row)
{
    if (row->cut)
        fprintf(stderr, "%s line %zu: of a pathname of more than %d bytes the end became the tag\n", import->source,
                row->line, ASPACE_TAG_MAX);
}

static bool is_outside(const struct import *import, const struct maps_row *row)
{
    bool partly = row->start < import->high && row->end > import->low;

    if (row->start >= import->low && row->end <= import->high)
        return false;
    fprintf(stderr, "skipped 0x%" PRIx64 "-0x%" PRIx64 "%s%s: it lies %s the space, 0x%" PRIx64 "-0x%" PRIx64 "\n",
            row->start, row->end, row->tag ? " " : "", row->tag ? row->tag : "", partly ? "partly outside" : "outside",
            import->low, import->high);
    return true;
}

/* Leaves the rows that lie in the space. */
static void drop_outside(struct import *import)
{
    struct maps *maps = &import->maps;
    size_t kept = 0;

    for (size_t i = 0; i < maps->count; i++) {
        if (is_outside(import, &maps->rows[i])) {
            free(maps->rows[i].tag);
            continue;
        }
        tell_cut(import, &maps->rows[i]);
        maps->rows[kept++] = maps->rows[i];
    }
    import->skipped = maps->count - kept;
    maps->count = kept;
}

static void write_member(struct json_writer *w, enum param_id id, const char *text)
{
    json_name_string(w, param_names[id], text);
}

/* One operation of space.apply. */
static void write_row(struct json_writer *w, enum method_id method, const struct maps_row *row)
{
    json_begin_object(w);
    json_name_string(w, "method", methods[method].name);
    json_name(w, "params");
    json_begin_object(w);
    json_name_hex(w, param_names[PARAM_START], row->start);
    json_name_hex(w, param_names[PARAM_SIZE], row->end - row->start);
    if (method == METHOD_AREA_MAP) {
        write_member(w, PARAM_FLAGS, row->flags);
        if (row->tag)
            write_member(w, PARAM_TAG, row->tag);
    }
    json_end_object(w);
    json_end_object(w);
}

/* What a message has besides the operations, more than enough. */
#define ENVELOPE 256

/* The params of space.apply with rows from `from` on, as many as a message takes, but one. Returns the row after them. */
static size_t write_rows(struct json_writer *w, const struct import *import, enum method_id method, size_t from,
                         size_t end)
{
    size_t i = from;

    json_begin_object(w);
    write_member(w, PARAM_SPACE, import->space);
    json_name(w, param_names[PARAM_OPS]);
    json_begin_array(w);
    for (; i < end; i++) {
        size_t size = w->size;
        bool comma = w->comma;

        write_row(w, method, &import->maps.rows[i]);
        if (i > from && w->size + ENVELOPE > import->most) {
            w->size = size;
            w->comma = comma;
            break;
        }
    }
    json_end_array(w);
    json_end_object(w);
    json_bytes(w, "", 1);
    return i;
}

/* Tells a refusal, and the row that it is about. */
static int tell_row(const struct import *import, size_t first, const struct aspace_reply *reply)
{
    const struct maps_row *row;
    uint64_t at;

    tell_refusal(reply);
    if (aspace_reply_u64(reply, "data.operation", &at) || at >= import->maps.count - first)
        return STATUS_REFUSED;
    row = &import->maps.rows[first + at];
    fprintf(stderr, "row: %s line %zu, 0x%" PRIx64 "-0x%" PRIx64 " %s%s%s\n", import->source, row->line, row->start,
            row->end, row->flags, row->tag ? " " : "", row->tag ? row->tag : "");
    return STATUS_REFUSED;
}

/* One space.apply after the other, mostly one alone, for the rows up to `end`; *done is how many of them it was made for. */
static int apply_rows(struct import *import, enum method_id method, size_t end, size_t *done)
{
    int status = STATUS_DONE;

    for (*done = 0; *done < end && !status;) {
        struct json_writer w = {0};
        struct aspace_reply *reply;
        size_t next = write_rows(&w, import, method, *done, end);

        if (w.failed) {
            complain("out of memory");
            status = STATUS_REFUSED;
        } else {
            status = session_ask(import->session, methods[METHOD_SPACE_APPLY].name, w.data, &reply);
        }
        json_writer_free(&w);
        if (status)
            return status;
        status = aspace_reply_error(reply) ? tell_row(import, *done, reply) : STATUS_DONE;
        aspace_reply_free(reply);
        if (!status)
            *done = next;
    }
    return status;
}

/* ---- Undoing ---- */

static int undo_space(struct import *import)
{
    struct aspace_reply *reply;
    int status = call_space(import, METHOD_SPACE_DESTROY, &reply);

    if (status)
        return status;
    if (aspace_reply_error(reply))
        status = tell_refusal(reply);
    aspace_reply_free(reply);
    return status;
}

static int undo(struct import *import, int status)
{
    bool lost = status == STATUS_NO_DAEMON || status == STATUS_TIMEOUT;
    size_t undone;

    if (lost || (import->created ? undo_space(import) : apply_rows(import, METHOD_AREA_UNMAP, import->mapped, &undone)))
        complain("some of its areas may be left in %s", import->space);
    else
        fprintf(stderr, "nothing was imported; %s is %s\n", import->space,
                import->created ? "gone again" : "as before");
    return status;
}

static uint64_t total_bytes(const struct import *import)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < import->mapped; i++)
        bytes += import->maps.rows[i].end - import->maps.rows[i].start;
    return bytes;
}

/* ---- The whole ---- */

static void print_json(const struct import *import)
{
    struct json_writer w = {0};

    json_begin_object(&w);
    json_name_string(&w, "space", import->space);
    json_name_bool(&w, "created", import->created);
    json_name_uint(&w, "areas", import->mapped);
    json_name_hex(&w, "size", total_bytes(import));
    json_name_uint(&w, "skipped", import->skipped);
    json_end_object(&w);
    json_bytes(&w, "\n", 1);
    if (!w.failed)
        fwrite(w.data, 1, w.size, stdout);
    json_writer_free(&w);
}

static void print_people(const struct import *import)
{
    char size[SIZE_TEXT_MAX];

    if (import->created)
        printf("created %s\n", import->space);
    printf("imported %zu area%s, %s", import->mapped, import->mapped == 1 ? "" : "s",
           size_format(total_bytes(import), size));
    if (import->skipped)
        printf("; skipped %zu", import->skipped);
    putchar('\n');
}

static int make_areas(struct import *import)
{
    int status;

    drop_outside(import);
    status = apply_rows(import, METHOD_AREA_MAP, import->maps.count, &import->mapped);
    if (status)
        return undo(import, status);
    if (import->session->json)
        print_json(import);
    else
        print_people(import);
    return STATUS_DONE;
}

int run_import(struct session *s, char **words, int count)
{
    struct import import = {.session = s};
    int status;

    if (count != 2)
        return usage_error("import wants a space and what to import: aspacectl import NAME FILE|PID");
    import.space = words[0];
    status = read_source(&import, words[1]);
    if (!status)
        status = ask_limit(&import);
    if (!status)
        status = find_space(&import);
    if (!status)
        status = make_areas(&import);
    maps_free(&import.maps);
    return status;
}
