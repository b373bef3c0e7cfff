/* The floors: a libuv loop with one buffer to read into for all peers, and one write for all replies to a read. */
#include "rpc_floor.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "rpc_load.h"

#define CHUNK     65536
#define BACKLOG   512
#define AREAS_MAX (2 * FLOOR_AREAS)

struct peer {
    uv_pipe_t pipe;
    char *rest; /* of a line whose end has not come */
    size_t rest_size;
};

static void (*serve)(struct peer *peer, const char *bytes, size_t size);

/* ---- A server ---- */

static void on_closed(uv_handle_t *handle)
{
    struct peer *peer = (struct peer *)handle;

    free(peer->rest);
    free(peer);
}

struct late {
    uv_write_t write; /* first: the bytes lie behind it */
    char bytes[];
};

static void on_late(uv_write_t *write, int status)
{
    (void)status;
    free(write);
}

/* What the kernel does not take at once waits as a copy. */
static void put(struct peer *peer, const char *bytes, size_t size)
{
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
    int n = uv_try_write((uv_stream_t *)&peer->pipe, &buffer, 1);
    struct late *late;

    if (n == (int)size || (n < 0 && n != UV_EAGAIN))
        return;
    n = n < 0 ? 0 : n;
    size -= (size_t)n;
    late = malloc(sizeof(*late) + size);
    must(late != NULL, "malloc");
    memcpy(late->bytes, bytes + n, size);
    buffer = uv_buf_init(late->bytes, (unsigned)size);
    must(uv_write(&late->write, (uv_stream_t *)&peer->pipe, &buffer, 1, on_late) == 0, "uv_write");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char chunk[CHUNK];

    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(chunk, sizeof(chunk));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    if (n < 0)
        uv_close((uv_handle_t *)stream, on_closed);
    else
        serve((struct peer *)stream, buffer->base, (size_t)n);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    must(status == 0 && peer, "a connection");
    uv_pipe_init(listener->loop, &peer->pipe, 0);
    must(uv_accept(listener, (uv_stream_t *)&peer->pipe) == 0 &&
             uv_read_start((uv_stream_t *)&peer->pipe, on_alloc, on_read) == 0,
         "a connection");
}

static void run(const char *path)
{
    uv_pipe_t listener;
    uv_loop_t loop;

    must(uv_loop_init(&loop) == 0 && uv_pipe_init(&loop, &listener, 0) == 0, "uv_loop_init");
    must(uv_pipe_bind(&listener, path) == 0, path);
    must(uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection) == 0, "uv_listen");
    uv_run(&loop, UV_RUN_DEFAULT);
}

void floor_echo(const char *path)
{
    serve = put;
    run(path);
}

/* ---- The areas ---- */

struct floor_area {
    uint64_t start;
    uint64_t end;
};

static struct floor_area areas[AREAS_MAX]; /* sorted */
static size_t area_count;
static uint64_t generation;

/* The first area that ends above `addr`. */
static size_t seek(uint64_t addr)
{
    size_t low = 0;
    size_t high = area_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (areas[middle].end > addr)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void fill(void)
{
    for (area_count = 0; area_count < FLOOR_AREAS; area_count++) {
        uint64_t start = FLOOR_START + area_count * 2 * FLOOR_PAGE;

        areas[area_count] = (struct floor_area){start, start + FLOOR_PAGE};
    }
}

static void add_hex(cJSON *object, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    cJSON_AddStringToObject(object, name, text);
}

static cJSON *area_json(const struct floor_area *area)
{
    cJSON *json = cJSON_CreateObject();

    add_hex(json, "start", area->start);
    add_hex(json, "end", area->end);
    add_hex(json, "size", area->end - area->start);
    cJSON_AddStringToObject(json, "flags", "rw-");
    cJSON_AddStringToObject(json, "backing", "lazy");
    return json;
}

/* ---- The methods: NULL if something is wrong ---- */

static bool get_addr(const cJSON *params, const char *name, uint64_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(params, name);
    char *end;

    if (!cJSON_IsString(item))
        return false;
    *ret = strtoull(item->valuestring, &end, 0);
    return *end == '\0';
}

static cJSON *find(const cJSON *params)
{
    uint64_t addr;
    size_t at;
    bool here;
    cJSON *result;

    if (!get_addr(params, "addr", &addr))
        return NULL;
    at = seek(addr);
    here = at < area_count && areas[at].start <= addr;
    result = cJSON_CreateObject();
    cJSON_AddItemToObject(result, "area", here ? area_json(&areas[at]) : cJSON_CreateNull());
    if (!here)
        cJSON_AddItemToObject(result, "next", at < area_count ? area_json(&areas[at]) : cJSON_CreateNull());
    return result;
}

static cJSON *map(const cJSON *params)
{
    const cJSON *flags = cJSON_GetObjectItemCaseSensitive(params, "flags");
    uint64_t start;
    uint64_t size;
    size_t at;
    cJSON *result;

    if (!get_addr(params, "start", &start) || !get_addr(params, "size", &size) || !cJSON_IsString(flags))
        return NULL;
    at = seek(start);
    if (area_count == AREAS_MAX || (at < area_count && areas[at].start < start + size))
        return NULL;
    memmove(&areas[at + 1], &areas[at], (area_count++ - at) * sizeof(areas[0]));
    areas[at] = (struct floor_area){start, start + size};
    result = cJSON_CreateObject();
    add_hex(result, "start", start);
    cJSON_AddItemToObject(result, "area", area_json(&areas[at]));
    cJSON_AddNumberToObject(result, "generation", (double)++generation);
    return result;
}

/* Whole areas alone: the load asks for no more. */
static cJSON *unmap(const cJSON *params)
{
    uint64_t start;
    uint64_t size;
    size_t at;
    cJSON *result;

    if (!get_addr(params, "start", &start) || !get_addr(params, "size", &size))
        return NULL;
    at = seek(start);
    if (at == area_count || areas[at].start != start || areas[at].end != start + size)
        return NULL;
    memmove(&areas[at], &areas[at + 1], (--area_count - at) * sizeof(areas[0]));
    result = cJSON_CreateObject();
    add_hex(result, "unmapped", size);
    cJSON_AddNumberToObject(result, "removed", 1);
    cJSON_AddNumberToObject(result, "generation", (double)++generation);
    return result;
}

static cJSON *list(const cJSON *params)
{
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(params, "limit");
    uint64_t start;
    cJSON *result;
    cJSON *found;
    size_t at;

    if (!get_addr(params, "start", &start) || !cJSON_IsNumber(limit))
        return NULL;
    at = seek(start);
    result = cJSON_CreateObject();
    found = cJSON_AddArrayToObject(result, "areas");
    for (int i = 0; i < limit->valueint && at < area_count; i++)
        cJSON_AddItemToArray(found, area_json(&areas[at++]));
    if (at < area_count)
        add_hex(result, "next", areas[at].start);
    else
        cJSON_AddNullToObject(result, "next");
    return result;
}

static const struct {
    const char *name;
    cJSON *(*run)(const cJSON *params);
} floor_methods[] = {{"area.find", find}, {"area.map", map}, {"area.unmap", unmap}, {"area.list", list}};

static cJSON *run_method(const cJSON *method, const cJSON *params)
{
    const cJSON *space = cJSON_GetObjectItemCaseSensitive(params, "space");

    if (!cJSON_IsString(method) || !cJSON_IsString(space) || strcmp(space->valuestring, "bench") != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(floor_methods) / sizeof(floor_methods[0]); i++) {
        if (strcmp(method->valuestring, floor_methods[i].name) == 0)
            return floor_methods[i].run(params);
    }
    return NULL;
}

/* ---- Lines ---- */

static struct {
    char *data;
    size_t size;
    size_t capacity;
} replies;

static void append(const char *text, size_t size)
{
    if (replies.capacity - replies.size < size + 1) {
        replies.capacity = 2 * (replies.capacity + size + 1);
        replies.data = realloc(replies.data, replies.capacity);
        must(replies.data != NULL, "malloc");
    }
    memcpy(replies.data + replies.size, text, size);
    replies.size += size;
}

static void answer(const char *line, size_t size)
{
    cJSON *request = cJSON_ParseWithLength(line, size);
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(request, "id");
    cJSON *result = run_method(cJSON_GetObjectItemCaseSensitive(request, "method"),
                               cJSON_GetObjectItemCaseSensitive(request, "params"));
    cJSON *reply = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(reply, "jsonrpc", "2.0");
    cJSON_AddItemToObject(reply, "id", id ? cJSON_Duplicate(id, true) : cJSON_CreateNull());
    if (result)
        cJSON_AddItemToObject(reply, "result", result);
    else
        cJSON_AddStringToObject(reply, "error", "no");
    text = cJSON_PrintUnformatted(reply);
    must(text != NULL, "cJSON");
    append(text, strlen(text));
    append("\n", 1);
    cJSON_free(text);
    cJSON_Delete(reply);
    cJSON_Delete(request);
}

static void keep_rest(struct peer *peer, const char *bytes, size_t size)
{
    peer->rest = realloc(peer->rest, peer->rest_size + size + 1);
    must(peer->rest != NULL, "malloc");
    memcpy(peer->rest + peer->rest_size, bytes, size);
    peer->rest_size += size;
}

static void serve_lines(struct peer *peer, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    const char *lf;

    replies.size = 0;
    for (; (lf = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL; bytes = lf + 1) {
        if (peer->rest_size) {
            keep_rest(peer, bytes, (size_t)(lf - bytes));
            answer(peer->rest, peer->rest_size);
            peer->rest_size = 0;
        } else {
            answer(bytes, (size_t)(lf - bytes));
        }
    }
    if (bytes < end)
        keep_rest(peer, bytes, (size_t)(end - bytes));
    if (replies.size)
        put(peer, replies.data, replies.size);
}

void floor_cjson(const char *path)
{
    fill();
    serve = serve_lines;
    run(path);
}
