/* Dispatch: from a message to its requests, each answered at once or later. */
#include "rpc/dispatch.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/exchange.h"

/* A message while its requests are gone through. */
struct message {
    struct service *service;
    struct peer *peer;
    const char *text;
    size_t size;
    struct json_writer *out;
    size_t start;              /* of the reply in `out` */
    struct exchange *exchange; /* from the first request on that is answered later, with all that follow */
    bool batch;
};

/* ---- Replies that need no method ---- */

static void write_refusal(struct json_writer *out, const struct rpc_request *request, const struct refusal *why)
{
    rpc_begin_error(out, request, why);
    rpc_end_error(out);
}

void dispatch_refuse(struct json_writer *out, enum aspace_error code, const char *message, const char *hint)
{
    struct refusal why;

    refuse(&why, code, "%s", message);
    why.hint = hint;
    out->comma = false;
    write_refusal(out, NULL, &why);
}

/* Reads the request at `token` into the call. False if there is none: that is then answered. */
static bool read_request(struct call *call, const struct json_doc *doc, uint32_t token)
{
    if (rpc_read_request(doc, token, &call->why, &call->request) == ASPACE_OK)
        return true;
    call->service->unreadable++;
    write_refusal(call->out, &call->request, &call->why);
    return false;
}

/* ---- Later ---- */

/* What is answered already moves from the output to the exchange. */
static bool begin_exchange(struct message *m)
{
    struct json_writer *out = m->out;
    size_t begin = m->start + (m->batch ? 1 : 0); /* the bracket stays behind */

    m->exchange = exchange_new(m->service, m->peer, m->text, m->size);
    if (!m->exchange)
        return false;
    m->exchange->batch = m->batch;
    if (out->size > begin)
        json_raw(&m->exchange->before, out->data + begin, out->size - begin);
    m->exchange->bytes = m->exchange->before.size;
    out->size = m->start;
    return true;
}

/* The job's request, up to its place in the queue of its space; one that fails before, or is about no space, ends here. */
static void queue(struct job *job, uint32_t token)
{
    struct exchange *x = job->exchange;
    struct call *call = &job->call;

    call->began = clock_ns();
    if (!read_request(call, &x->doc, token)) {
        exchange_job_done(job);
        return;
    }
    if (request_bind(call, &job->params) == ASPACE_OK && actors_add(x->service, job, &call->why) == ASPACE_OK)
        return;
    request_refuse(call);
    request_finish(call);
    exchange_job_done(job);
}

static void answer_later(struct message *m, uint32_t token)
{
    struct job *job = exchange_add(m->exchange);

    if (job)
        queue(job, token);
    else
        m->exchange->failed = true;
}

/* ---- Now ---- */

/* Whether the bound call cannot be answered at once. */
static bool must_wait(const struct call *call)
{
    if (call->method->traits & METHOD_WAITS)
        return true;
    return call->service->workers &&
           (actors_busy(call->service, call) || request_needs_lane(call) || request_is_long(call));
}

static void answer_now(struct call *call)
{
    if (request_start(call))
        request_refuse(call);
    else
        request_execute(call);
    request_finish(call);
}

/* All is cleared but the refusal's message, which is large and seldom needed. */
static void begin_call(struct call *call, const struct message *m)
{
    memset(call, 0, offsetof(struct call, why.message));
    call->service = m->service;
    call->peer = m->peer;
    call->out = m->out;
    call->began = m->service->now;
}

/* One element of a message: whatever stands there. */
static void answer(struct message *m, uint32_t token)
{
    struct call call;

    begin_call(&call, m);
    if (m->exchange) {
        answer_later(m, token);
        return;
    }
    if (!read_request(&call, &m->service->doc, token))
        return;
    if (request_bind(&call, &m->service->params)) {
        request_refuse(&call);
        request_finish(&call);
        return;
    }
    request_find_space(&call);
    if (!must_wait(&call)) {
        answer_now(&call);
    } else if (begin_exchange(m)) {
        answer_later(m, token);
    } else {
        refuse_no_memory(&call.why);
        request_refuse(&call);
        request_finish(&call);
    }
}

/* Past the limit on replies the rest is refused, unexecuted. */
static void leave_out(struct message *m, uint32_t token)
{
    struct call call;

    begin_call(&call, m);
    if (read_request(&call, &m->service->doc, token))
        request_leave_out(&call);
}

/* As one: it may hold a million of the shortest values, with a reply to each. */
static void refuse_batch(struct message *m)
{
    struct refusal why;

    m->service->unreadable++;
    refuse(&why, ASPACE_INVALID_REQUEST, "the batch holds %" PRIu32 " requests, and the limit is %" PRIu64,
           m->service->doc.tokens[0].count, m->service->limits.batch);
    why.hint = "send several batches, or start the daemon with a larger --max-batch";
    write_refusal(m->out, NULL, &why);
}

static void answer_batch(struct message *m)
{
    const struct json_doc *doc = &m->service->doc;

    if (doc->tokens[0].count == 0) {
        m->service->unreadable++;
        dispatch_refuse(m->out, ASPACE_INVALID_REQUEST, "a batch holds at least one request", NULL);
        return;
    }
    if (doc->tokens[0].count > m->service->limits.batch) {
        refuse_batch(m);
        return;
    }
    m->batch = true;
    json_begin_array(m->out);
    for (uint32_t token = 1; token < doc->count && !m->out->failed; token = doc->tokens[token].next) {
        if (!m->exchange && m->out->size - m->start > m->service->limits.reply)
            leave_out(m, token);
        else
            answer(m, token);
    }
    if (m->exchange)
        return;
    json_end_array(m->out);
    if (!m->out->failed && m->out->size == m->start + 2)
        m->out->size = m->start; /* "[]": nothing but notifications */
}

static void refuse_text(struct message *m, enum aspace_error code)
{
    const struct json_doc *doc = &m->service->doc;
    struct refusal why;

    m->service->unreadable++;
    if (code == ASPACE_NO_MEMORY)
        refuse_no_memory(&why);
    else
        refuse(&why, code, "%s at byte %zu", doc->error, doc->error_at);
    write_refusal(m->out, NULL, &why);
}

void dispatch_begin(struct service *service)
{
    service->now = clock_ns();
}

enum dispatched dispatch_message(struct service *service, struct peer *peer, const char *text, size_t size,
                                 struct json_writer *out)
{
    struct message m = {service, peer, text, size, out, out->size, NULL, false};
    enum aspace_error code = json_read(&service->doc, text, size);

    out->comma = false;
    service->messages++;
    if (code)
        refuse_text(&m, code);
    else if (service->doc.tokens[0].type == JSON_ARRAY)
        answer_batch(&m);
    else
        answer(&m, 0);
    if (m.exchange) {
        exchange_complete(m.exchange);
        return DISPATCHED_LATER;
    }
    return out->failed || out->size > m.start ? DISPATCHED_REPLY : DISPATCHED_SILENT;
}
