/* Reading a message of the daemon's, and what people ask of a reply. */
#include "client/reply.h"

#include <stdlib.h>
#include <string.h>

#include "proto/methods.h"

#define PATH_NAME_MAX 128

/* ---- Reading ---- */

/* Decimal digits and nothing else. */
static bool digits(const char *text, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret = value;
    return size != 0;
}

static bool token_u64(const struct json_doc *doc, uint32_t token, uint64_t *ret)
{
    const struct json_token *t = &doc->tokens[token];

    return t->type == JSON_NUMBER && digits(doc->text + t->start, t->end - t->start, ret);
}

/* Ends the token's text with a NUL and returns its start. The byte that is lost lies outside every token's span. */
static const char *cut_out(struct aspace_reply *reply, uint32_t token)
{
    const struct json_token *t = &reply->doc.tokens[token];
    bool quoted = t->type == JSON_STRING;

    reply->text[t->end + quoted] = '\0';
    return reply->text + t->start - quoted;
}

static bool read_code(struct aspace_reply *reply)
{
    uint32_t code = json_member(&reply->doc, reply->parts.error, "code");
    const struct json_token *t = &reply->doc.tokens[code];
    bool negative = reply->text[t->start] == '-';
    uint64_t value;

    if (!code || t->type != JSON_NUMBER)
        return false;
    if (!digits(reply->text + t->start + negative, t->end - t->start - negative, &value) || !value || value > INT32_MAX)
        return false;
    reply->error = negative ? -(int)value : (int)value;
    return true;
}

static bool read_id(struct aspace_reply *reply)
{
    const struct rpc_reply *parts = &reply->parts;

    if (reply->doc.tokens[parts->id].type == JSON_NULL)
        return parts->error != 0;
    return token_u64(&reply->doc, parts->id, &reply->id) && reply->id != 0;
}

static bool read_parts(struct aspace_reply *reply)
{
    struct rpc_reply *parts = &reply->parts;

    if (!rpc_read_reply(&reply->doc, 0, parts))
        return false;
    if (parts->method) {
        reply->value = parts->params ? cut_out(reply, parts->params) : NULL;
        return true;
    }
    if (!read_id(reply) || (parts->error && !read_code(reply)))
        return false;
    reply->value = cut_out(reply, parts->error ? parts->error : parts->result);
    return true;
}

int reply_read(const char *text, size_t size, struct aspace_reply **ret)
{
    struct aspace_reply *reply = calloc(1, sizeof(*reply) + size + 1);
    enum aspace_error error;

    if (!reply)
        return -ENOMEM;
    memcpy(reply->text, text, size);
    error = json_read(&reply->doc, reply->text, size);
    if (error || !read_parts(reply)) {
        aspace_reply_free(reply);
        return error == ASPACE_NO_MEMORY ? -ENOMEM : -EPROTO;
    }
    *ret = reply;
    return 0;
}

const char *reply_notification(struct aspace_reply *reply)
{
    uint32_t method = reply->parts.method;
    char *name;

    if (!method)
        return NULL;
    name = reply->text + reply->doc.tokens[method].start;
    name[reply->doc.tokens[method].end - reply->doc.tokens[method].start] = '\0';
    return name;
}

/* ---- The public side ---- */

uint64_t aspace_reply_id(const struct aspace_reply *reply)
{
    return reply->id;
}

int aspace_reply_error(const struct aspace_reply *reply)
{
    return reply->error;
}

const char *aspace_reply_result(const struct aspace_reply *reply)
{
    return reply->error ? NULL : reply->value;
}

const char *aspace_reply_error_object(const struct aspace_reply *reply)
{
    return reply->error ? reply->value : NULL;
}

void aspace_reply_free(struct aspace_reply *reply)
{
    if (!reply)
        return;
    json_free(&reply->doc);
    free(reply);
}

/* ---- Members by path ---- */

static bool element(const struct json_doc *doc, uint32_t array, const char *name, uint32_t *ret)
{
    uint32_t token = array + 1;
    uint64_t index;

    if (!digits(name, strlen(name), &index) || index >= doc->tokens[array].count)
        return false;
    while (index--)
        token = doc->tokens[token].next;
    *ret = token;
    return true;
}

static bool step(const struct json_doc *doc, uint32_t from, const char *name, uint32_t *ret)
{
    switch (doc->tokens[from].type) {
    case JSON_OBJECT:
        *ret = json_member(doc, from, name);
        return *ret != 0;
    case JSON_ARRAY:
        return element(doc, from, name, ret);
    default:
        return false;
    }
}

/* The token that `path` leads to; 0 if there is none. */
static uint32_t walk(const struct aspace_reply *reply, const char *path)
{
    uint32_t token = reply->error ? reply->parts.error : reply->parts.result;
    char name[PATH_NAME_MAX];

    while (*path) {
        size_t size = strcspn(path, ".");

        if (size == 0 || size >= sizeof(name))
            return 0;
        memcpy(name, path, size);
        name[size] = '\0';
        if (!step(&reply->doc, token, name, &token))
            return 0;
        path += size + (path[size] == '.');
    }
    return token;
}

int aspace_reply_u64(const struct aspace_reply *reply, const char *path, uint64_t *ret)
{
    const struct json_doc *doc = &reply->doc;
    uint32_t token = walk(reply, path);
    const struct json_token *t = &doc->tokens[token];

    if (!token)
        return -ENOENT;
    if (t->type == JSON_STRING && !t->escaped && number_parse(doc->text + t->start, t->end - t->start, false, ret))
        return 0;
    return token_u64(doc, token, ret) ? 0 : -EINVAL;
}

int aspace_reply_string(const struct aspace_reply *reply, const char *path, char *buffer, size_t size)
{
    uint32_t token = walk(reply, path);
    const struct json_token *t = &reply->doc.tokens[token];
    size_t length;

    if (!token)
        return -ENOENT;
    if (t->type != JSON_STRING)
        return -EINVAL;
    if (json_unescape(&reply->doc, token, buffer, size, &length))
        return 0;
    return t->end - t->start < size ? -EINVAL : -ENOBUFS;
}

int aspace_reply_bool(const struct aspace_reply *reply, const char *path, bool *ret)
{
    uint32_t token = walk(reply, path);
    uint8_t type = reply->doc.tokens[token].type;

    if (!token)
        return -ENOENT;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return -EINVAL;
    *ret = type == JSON_TRUE;
    return 0;
}
