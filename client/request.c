/* Requests as text. */
#include "client/request.h"

#include <errno.h>
#include <string.h>

static bool is_params(const struct json_doc *doc)
{
    return doc->tokens[0].type == JSON_OBJECT || doc->tokens[0].type == JSON_ARRAY;
}

int request_check_params(const char *params)
{
    struct json_doc doc = {0};
    enum aspace_error error = json_read(&doc, params, strlen(params));
    int result = error ? error == ASPACE_NO_MEMORY ? -ENOMEM : -EINVAL : is_params(&doc) ? 0 : -EINVAL;

    json_free(&doc);
    return result;
}

/* A line feed would end the message; in valid JSON it can only stand between tokens. */
static void add_params(struct json_writer *w, const char *params)
{
    size_t from;

    json_name(w, "params");
    from = w->size;
    json_raw(w, params, strlen(params));
    for (size_t i = from; !w->failed && i < w->size; i++) {
        if (w->data[i] == '\n' || w->data[i] == '\r')
            w->data[i] = ' ';
    }
}

int request_write(struct json_writer *w, const char *method, const char *params, uint64_t id)
{
    size_t before = w->size;

    w->comma = false;
    json_begin_object(w);
    json_name_string(w, "jsonrpc", "2.0");
    if (id)
        json_name_uint(w, "id", id);
    json_name_string(w, "method", method);
    if (params)
        add_params(w, params);
    json_end_object(w);
    json_bytes(w, "\n", 1);
    if (!w->failed)
        return 0;
    w->failed = false;
    w->size = before;
    return -ENOMEM;
}
