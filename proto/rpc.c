/* The JSON-RPC 2.0 envelope. */
#include "proto/rpc.h"

/* ---- Requests ---- */

#define MEMBER_MAP(X)                                                                                                  \
    X(JSONRPC, "jsonrpc") X(ID, "id") X(METHOD, "method") X(PARAMS, "params") X(RESULT, "result") X(ERROR, "error")

enum member {
#define X(id, name) MEMBER_##id,
    MEMBER_MAP(X)
#undef X
        MEMBER_COUNT
};

/* Token indexes of the members that we know; 0 for those that are not there. */
struct envelope {
    uint32_t member[MEMBER_COUNT];
    uint32_t duplicate; /* a name that was there before */
    uint32_t unknown;   /* how many others there are */
};

static enum member member_of(const struct json_doc *doc, uint32_t name)
{
    const struct json_token *t = &doc->tokens[name];
    const char *text = doc->text + t->start;
    size_t size = t->end - t->start;

#define X(id, member) json_equals_escaped(doc, name, member, sizeof(member) - 1) ? MEMBER_##id:
    if (t->escaped)
        return MEMBER_MAP(X) MEMBER_COUNT;
#undef X
#define X(id, member) size == sizeof(member) - 1 && memcmp(text, member, sizeof(member) - 1) == 0 ? MEMBER_##id:
    return MEMBER_MAP(X) MEMBER_COUNT;
#undef X
}

static void read_envelope(const struct json_doc *doc, uint32_t object, struct envelope *ret)
{
    uint32_t end = doc->tokens[object].next;

    *ret = (struct envelope){.duplicate = 0};
    for (uint32_t at = object + 1; at < end; at = doc->tokens[at + 1].next) {
        enum member m = member_of(doc, at);

        if (m == MEMBER_COUNT)
            ret->unknown++;
        else if (ret->member[m])
            ret->duplicate = at;
        else
            ret->member[m] = at + 1;
    }
    if (ret->unknown > 1 && !ret->duplicate)
        ret->duplicate = json_duplicate(doc, object);
}

static bool is_type(const struct json_doc *doc, uint32_t token, enum json_type type)
{
    return token && doc->tokens[token].type == type;
}

static bool is_id(const struct json_doc *doc, uint32_t token)
{
    return is_type(doc, token, JSON_STRING) || is_type(doc, token, JSON_NUMBER) || is_type(doc, token, JSON_NULL);
}

static bool is_version_2(const struct json_doc *doc, const struct envelope *e)
{
    uint32_t version = e->member[MEMBER_JSONRPC];

    return is_type(doc, version, JSON_STRING) && json_equals(doc, version, "2.0");
}

static bool is_id_name(const struct json_doc *doc, uint32_t name)
{
    return name && member_of(doc, name) == MEMBER_ID;
}

static enum aspace_error refuse_duplicate(const struct json_doc *doc, uint32_t name, struct refusal *why)
{
    const struct json_token *t = &doc->tokens[name];
    int size = t->end - t->start > 60 ? 60 : (int)(t->end - t->start);

    return refuse(why, ASPACE_INVALID_REQUEST, "the request has two members named \"%.*s\"", size,
                  doc->text + t->start);
}

static enum aspace_error check_request(const struct json_doc *doc, const struct envelope *e, struct refusal *why)
{
    uint32_t params = e->member[MEMBER_PARAMS];

    if (e->duplicate)
        return refuse_duplicate(doc, e->duplicate, why);
    if (!is_version_2(doc, e))
        return refuse(why, ASPACE_INVALID_REQUEST, "the request lacks \"jsonrpc\":\"2.0\"");
    if (e->member[MEMBER_ID] && !is_id(doc, e->member[MEMBER_ID]))
        return refuse(why, ASPACE_INVALID_REQUEST, "the request's id is no string, number or null");
    if (!is_type(doc, e->member[MEMBER_METHOD], JSON_STRING))
        return refuse(why, ASPACE_INVALID_REQUEST, "the request's method is missing or no string");
    if (params && !is_type(doc, params, JSON_OBJECT) && !is_type(doc, params, JSON_ARRAY))
        return refuse(why, ASPACE_INVALID_REQUEST, "the request's params are no object and no array");
    return ASPACE_OK;
}

enum aspace_error rpc_read_request(const struct json_doc *doc, uint32_t token, struct refusal *why,
                                   struct rpc_request *ret)
{
    struct envelope e;

    *ret = (struct rpc_request){.doc = doc};
    if (doc->tokens[token].type != JSON_OBJECT)
        return refuse(why, ASPACE_INVALID_REQUEST, "a request is a JSON object, and this is none");
    read_envelope(doc, token, &e);
    if (is_id(doc, e.member[MEMBER_ID]) && !is_id_name(doc, e.duplicate))
        ret->id = e.member[MEMBER_ID];
    ret->method = e.member[MEMBER_METHOD];
    ret->params = e.member[MEMBER_PARAMS];
    return check_request(doc, &e, why);
}

/* ---- Replies out ---- */

static const char *errno_name(int number)
{
    switch (number) {
#define NAME(e)                                                                                                        \
    case e:                                                                                                            \
        return #e
        NAME(EINVAL);
        NAME(EEXIST);
        NAME(EIO);
        NAME(ENOENT);
        NAME(ENOMEM);
        NAME(EPERM);
        NAME(EBUSY);
        NAME(ENOTSUP);
        NAME(ESRCH);
        NAME(EAGAIN);
        NAME(ETIMEDOUT);
#undef NAME
    default:
        return NULL;
    }
}

static void write_id(struct json_writer *w, const struct rpc_request *request)
{
    const struct json_token *t;
    bool quoted;

    json_name(w, "id");
    if (!request || !request->id) {
        json_null(w);
        return;
    }
    t = &request->doc->tokens[request->id];
    quoted = t->type == JSON_STRING;
    json_raw(w, request->doc->text + t->start - quoted, t->end - t->start + 2u * quoted);
}

static void begin_reply(struct json_writer *w, const struct rpc_request *request)
{
    json_raw(w, "{\"jsonrpc\":\"2.0\"", 16);
    write_id(w, request);
}

void rpc_begin_result(struct json_writer *w, const struct rpc_request *request)
{
    begin_reply(w, request);
    json_name(w, "result");
}

void rpc_end_result(struct json_writer *w)
{
    json_end_object(w);
}

static void write_text(struct json_writer *w, const char *name, const char *text)
{
    json_name(w, name);
    if (text)
        json_string(w, text);
    else
        json_null(w);
}

void rpc_begin_error(struct json_writer *w, const struct rpc_request *request, const struct refusal *why)
{
    begin_reply(w, request);
    json_name(w, "error");
    json_begin_object(w);
    json_name(w, "code");
    json_int(w, why->code);
    write_text(w, "message", why->message);
    json_name(w, "data");
    json_begin_object(w);
    write_text(w, "name", aspace_error_name(why->code));
    write_text(w, "errno", errno_name(aspace_error_errno(why->code)));
    if (why->param || why->other_param[0])
        write_text(w, "param", why->param ? why->param : why->other_param);
    if (why->hint)
        write_text(w, "hint", why->hint);
}

void rpc_end_error(struct json_writer *w)
{
    json_end_object(w);
    json_end_object(w);
    json_end_object(w);
}

/* ---- Replies in ---- */

bool rpc_read_reply(const struct json_doc *doc, uint32_t token, struct rpc_reply *ret)
{
    struct envelope e;
    const uint32_t *m = e.member;

    if (doc->tokens[token].type != JSON_OBJECT)
        return false;
    read_envelope(doc, token, &e);
    if (e.duplicate || !is_version_2(doc, &e))
        return false;
    *ret = (struct rpc_reply){doc, m[MEMBER_ID], m[MEMBER_RESULT], m[MEMBER_ERROR], m[MEMBER_METHOD], m[MEMBER_PARAMS]};
    if (ret->method)
        return is_type(doc, ret->method, JSON_STRING) && !ret->id && !ret->result && !ret->error;
    if (!is_id(doc, ret->id) || (ret->result != 0) == (ret->error != 0) || ret->params)
        return false;
    return !ret->error || is_type(doc, ret->error, JSON_OBJECT);
}
