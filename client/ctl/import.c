/* `import`: the areas of a process, or of a saved maps text, made in a sim space. All of them or none. */
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
    struct maps maps;
    uint64_t low; /* the space's range */
    uint64_t high;
    bool created;
    uint64_t *ids; /* of the calls, by row; 0 for a row that is skipped */
    bool *made;    /* rows whose area is there */
    size_t mapped;
    size_t skipped;
    uint64_t bytes;
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
        usage_error("cannot read %s: %s", source, strerror(errno));
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
    json_name(w, name);
    json_string(w, value);
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

/* ---- The areas ---- */

static void write_member(struct json_writer *w, enum param_id id, const char *text)
{
    json_name(w, param_names[id]);
    json_string(w, text);
}

static void write_range(struct json_writer *w, const struct import *import, const struct maps_row *row)
{
    write_member(w, PARAM_SPACE, import->space);
    json_name(w, param_names[PARAM_START]);
    json_hex(w, row->start);
    json_name(w, param_names[PARAM_SIZE]);
    json_hex(w, row->end - row->start);
}

static int send_row(struct import *import, enum method_id method, size_t i)
{
    const struct maps_row *row = &import->maps.rows[i];
    struct json_writer w = {0};
    int error;

    json_begin_object(&w);
    write_range(&w, import, row);
    if (method == METHOD_AREA_MAP) {
        write_member(&w, PARAM_FLAGS, row->flags);
        if (row->tag)
            write_member(&w, PARAM_TAG, row->tag);
    }
    json_end_object(&w);
    json_bytes(&w, "", 1);
    error = w.failed ? -ENOMEM
                     : aspace_client_send(import->session->client, methods[method].name, w.data,
                                          import->session->timeout_ms, &import->ids[i]);
    json_writer_free(&w);
    return error;
}

static bool is_outside(struct import *import, const struct maps_row *row)
{
    if (row->start >= import->low && row->end <= import->high)
        return false;
    fprintf(stderr, "skipped 0x%" PRIx64 "-0x%" PRIx64 "%s%s: outside the space's range\n", row->start, row->end,
            row->tag ? " " : "", row->tag ? row->tag : "");
    import->skipped++;
    return true;
}

static int send_rows(struct import *import)
{
    for (size_t i = 0; i < import->maps.count; i++) {
        int error;

        if (is_outside(import, &import->maps.rows[i]))
            continue;
        error = send_row(import, METHOD_AREA_MAP, i);
        if (error)
            return session_failure(import->session, error);
    }
    return STATUS_DONE;
}

static int tell_row(const struct import *import, size_t i, const struct aspace_reply *reply)
{
    const struct maps_row *row = &import->maps.rows[i];

    tell_refusal(reply);
    fprintf(stderr, "row: %s line %zu, 0x%" PRIx64 "-0x%" PRIx64 " %s%s%s\n", import->source, row->line, row->start,
            row->end, row->flags, row->tag ? " " : "", row->tag ? row->tag : "");
    return STATUS_REFUSED;
}

static void count_row(struct import *import, size_t i)
{
    import->made[i] = true;
    import->mapped++;
    import->bytes += import->maps.rows[i].end - import->maps.rows[i].start;
}

/* All replies are waited for, after a refusal too: what was made has to be known. The first refusal is told. */
static int receive_rows(struct import *import)
{
    int status = STATUS_DONE;

    for (size_t i = 0; i < import->maps.count; i++) {
        struct aspace_reply *reply;
        int error;

        if (!import->ids[i])
            continue;
        error = aspace_client_receive(import->session->client, import->ids[i], import->session->timeout_ms, &reply);
        if (error)
            return session_failure(import->session, error);
        if (!aspace_reply_error(reply))
            count_row(import, i);
        else if (!status)
            status = tell_row(import, i, reply);
        aspace_reply_free(reply);
    }
    return status;
}

/* ---- Undoing ---- */

static int undo_call(struct import *import, size_t i)
{
    struct aspace_reply *reply;
    int error = send_row(import, METHOD_AREA_UNMAP, i);

    if (!error)
        error = aspace_client_receive(import->session->client, import->ids[i], import->session->timeout_ms, &reply);
    if (error)
        return session_failure(import->session, error);
    if (aspace_reply_error(reply))
        error = tell_refusal(reply);
    aspace_reply_free(reply);
    return error;
}

static int undo_areas(struct import *import)
{
    for (size_t i = 0; i < import->maps.count; i++) {
        int status = import->made[i] ? undo_call(import, i) : STATUS_DONE;

        if (status)
            return status;
    }
    return STATUS_DONE;
}

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

    if (lost || (import->created ? undo_space(import) : undo_areas(import)))
        complain("some of its areas may be left in %s", import->space);
    else
        fprintf(stderr, "nothing was imported; %s is %s\n", import->space,
                import->created ? "gone again" : "as before");
    return status;
}

/* ---- The whole ---- */

static void print_json(const struct import *import)
{
    struct json_writer w = {0};

    json_begin_object(&w);
    json_name(&w, "space");
    json_string(&w, import->space);
    json_name(&w, "created");
    json_bool(&w, import->created);
    json_name(&w, "areas");
    json_uint(&w, import->mapped);
    json_name(&w, "size");
    json_hex(&w, import->bytes);
    json_name(&w, "skipped");
    json_uint(&w, import->skipped);
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
    printf("imported %zu area%s, %s", import->mapped, import->mapped == 1 ? "" : "s", size_format(import->bytes, size));
    if (import->skipped)
        printf("; skipped %zu", import->skipped);
    putchar('\n');
}

static int make_areas(struct import *import)
{
    int status;

    import->ids = calloc(import->maps.count + 1, sizeof(*import->ids));
    import->made = calloc(import->maps.count + 1, sizeof(*import->made));
    if (!import->ids || !import->made) {
        complain("out of memory");
        return undo(import, STATUS_REFUSED);
    }
    status = send_rows(import);
    if (!status)
        status = receive_rows(import);
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
        status = find_space(&import);
    if (!status)
        status = make_areas(&import);
    free(import.ids);
    free(import.made);
    maps_free(&import.maps);
    return status;
}
