/* From notes of edits to notices, and who is told. */
#include "rpc/events.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/peer.h"

#define ALL_KINDS          ((UINT32_C(1) << ASPACE_EVENT_COUNT) - 1)
#define MONITOR_PARAMS_MAX 1024 /* bytes of a request's params that are told */
#define MONITOR_METHOD_MAX 80   /* the same of a method's name that is none of ours */

/* ---- Notices of a call ---- */

static void begin_event(struct json_writer *w, const char *space, enum aspace_event kind, uint64_t generation)
{
    w->size = 0;
    w->comma = false;
    json_name_string(w, "space", space);
    json_name_string(w, "kind", event_names[kind]);
    json_name_uint(w, "generation", generation);
}

static struct notice *make_notice(struct json_writer *w, const char *name, unsigned kind)
{
    return w->failed ? NULL : notice_new(kind, name, w->data, w->size);
}

static struct notice *event_of_note(struct json_writer *w, const struct space *space, const struct note *note)
{
    begin_event(w, space->name, note->kind, note->generation);
    if (note->has_before)
        write_area_member(w, "before", space, &note->before, true);
    if (note->has_after)
        write_area_member(w, "after", space, &note->after, true);
    return make_notice(w, space->name, note->kind);
}

void events_begin(struct call *call, struct watch *watch)
{
    *watch = (struct watch){.most = call->service->limits.events};
    if (!call->space)
        return;
    watch->generation = call->space->set.generation;
    call->space->backend->watch = watch;
}

void events_end(struct call *call, struct watch *watch)
{
    struct notice **last = &call->notices;
    struct json_writer w = {0};
    size_t made = 0;

    if (call->space) /* else it was the space's end */
        call->space->backend->watch = NULL;
    for (; call->space && made < watch->kept; made++, last = &(*last)->next) {
        *last = event_of_note(&w, call->space, &watch->notes[made]);
        if (!*last)
            break;
        (*last)->is_private = call->space->lane != NULL; /* a live process's: rpc/rights.c */
    }
    if (call->space)
        call->notices_lost = watch->kept - made + watch->kept_lost;
    json_writer_free(&w);
    watch_free(watch);
}

/* ---- Telling ---- */

static void publish_life(struct service *service, const char *name, enum aspace_event kind, uint64_t generation)
{
    struct json_writer w = {0};
    struct notice *notice;

    if (!service->events.slots)
        return;
    begin_event(&w, name, kind, generation);
    notice = make_notice(&w, name, kind);
    if (notice)
        feed_publish(&service->events, notice);
    else
        feed_lose(&service->events, name, 1);
    json_writer_free(&w);
}

void events_publish(struct call *call)
{
    struct feed *feed = &call->service->events;

    if (call->made)
        publish_life(call->service, call->made->name, ASPACE_EVENT_SPACE_CREATED, call->made->set.generation);
    while (call->notices) {
        struct notice *notice = call->notices;

        call->notices = notice->next;
        feed_publish(feed, notice);
    }
    if (call->notices_lost)
        feed_lose(feed, call->space->name, call->notices_lost);
    if (call->method && call->method->traits & METHOD_ENDS_SPACE && call->code == ASPACE_OK)
        publish_life(call->service, call_text(call, PARAM_SPACE), ASPACE_EVENT_SPACE_DESTROYED, call->generation);
}

/* ---- The monitor ---- */

/* Without the white space between tokens: a notification is one line. */
static void write_compact(struct json_writer *w, const char *text, size_t size)
{
    char compact[MONITOR_PARAMS_MAX];
    size_t n = 0;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        if (!quoted && strchr(" \t\r\n", text[i]))
            continue;
        compact[n++] = text[i];
        if (quoted && text[i] == '\\')
            compact[n++] = text[++i];
        else if (text[i] == '"')
            quoted = !quoted;
    }
    json_raw(w, compact, n);
}

static void write_params(struct json_writer *w, const struct rpc_request *request)
{
    const struct json_token *t = &request->doc->tokens[request->params];
    size_t size = request->params ? t->end - t->start : 0;

    if (size > MONITOR_PARAMS_MAX) {
        json_name_uint(w, "params_size", size);
    } else if (size) {
        json_name(w, "params");
        write_compact(w, request->doc->text + t->start, size);
    }
}

static void write_peer(struct json_writer *w, const struct call *call)
{
    json_name(w, "peer");
    json_begin_object(w);
    if (call->peer) /* else it has left */
        json_name_uint(w, "connection", call->peer->number);
    json_name_uint(w, "uid", call->who.uid);
    json_name(w, "pid");
    json_int(w, call->who.pid);
    json_end_object(w);
}

static void write_request(struct json_writer *w, const struct call *call, const char *method)
{
    write_peer(w, call);
    json_name_string(w, "method", method);
    write_params(w, &call->request);
    json_name_bool(w, "ok", call->code == ASPACE_OK);
    if (call->code)
        json_name_string(w, "error", aspace_error_name(call->code));
    json_name_uint(w, "ns", call->service->now - call->began);
}

void monitor_publish(struct call *call)
{
    struct feed *feed = &call->service->monitor;
    char name[MONITOR_METHOD_MAX] = "";
    const char *method = call->method ? call->method->name : name;
    struct json_writer w = {0};
    struct notice *notice;
    size_t size;

    if (!call->method)
        json_unescape(call->request.doc, call->request.method, name, sizeof(name), &size);
    write_request(&w, call, method);
    notice = make_notice(&w, method, 0);
    if (notice)
        feed_publish(feed, notice);
    else
        feed_lose(feed, method, 1);
    json_writer_free(&w);
}

/* ---- Methods ---- */

static enum aspace_error empty_result(struct call *call)
{
    json_begin_object(call->out);
    json_end_object(call->out);
    return ASPACE_OK;
}

static enum aspace_error read_names(struct call *call, char (**ret)[ASPACE_NAME_MAX + 1], size_t *ret_count)
{
    const struct json_doc *doc = call->params->doc;
    uint32_t at = call->params->value[PARAM_SPACES].token;
    char(*names)[ASPACE_NAME_MAX + 1] = NULL;
    size_t count = call_has(call, PARAM_SPACES) ? doc->tokens[at].count : 0;
    size_t size;

    if (count > call->service->limits.spaces)
        return call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_SPACES, "%zu spaces are more than there can be",
                                 count);
    if (count) {
        names = calloc(count, sizeof(*names)); /* what stands after a name is 0, as wants_name expects */
        if (!names)
            return refuse_no_memory(&call->why);
    }
    at++;
    for (size_t i = 0; i < count; i++, at = doc->tokens[at].next)
        json_unescape(doc, at, names[i], sizeof(names[i]), &size);
    *ret = names;
    *ret_count = count;
    return ASPACE_OK;
}

static enum aspace_error check_subscription(struct call *call)
{
    const struct feed *feed = &call->service->events;
    uint64_t count = 0;

    if (!call->peer)
        return refuse(&call->why, ASPACE_NOT_FOUND, "the peer that subscribes has left");
    for (const struct follower *f = call->peer->followers; f; f = f->next_of_peer)
        count += f->feed == feed;
    if (count >= call->service->limits.subscriptions) {
        refuse(&call->why, ASPACE_BUSY, "the connection has %zu subscriptions, and no more are allowed", (size_t)count);
        call->why.hint = "end some with events.unsubscribe, or start the daemon with a larger --max-subscriptions";
        return call->why.code;
    }
    if (!call_has(call, PARAM_SINCE) || call_number(call, PARAM_SINCE) <= feed->last)
        return ASPACE_OK;
    call_refuse_param(call, ASPACE_INVALID_PARAM, PARAM_SINCE, "since lies ahead of the last event, %zu",
                      (size_t)feed->last);
    call->why.hint = "the daemon was started anew since: read the spaces again and subscribe without since";
    return call->why.code;
}

enum aspace_error events_subscribe(struct call *call)
{
    struct feed *feed = &call->service->events;
    uint32_t kinds = call_has(call, PARAM_KINDS) ? (uint32_t)call_number(call, PARAM_KINDS) : ALL_KINDS;
    char(*names)[ASPACE_NAME_MAX + 1] = NULL;
    struct follower *f;
    uint64_t lost = 0;
    size_t count = 0;

    if (check_subscription(call) || read_names(call, &names, &count))
        return call->why.code;
    f = feed_follow(feed, call->peer, call->service->subscriptions + 1, kinds, names, count);
    if (!f) {
        free(names);
        return refuse_no_memory(&call->why);
    }
    call->service->subscriptions++;
    if (call_has(call, PARAM_SINCE))
        lost = feed_rewind(f, call_number(call, PARAM_SINCE));
    json_begin_object(call->out);
    json_name_uint(call->out, "subscription", f->id);
    json_name_uint(call->out, "seq", feed->last);
    if (lost)
        json_name_uint(call->out, "lost", lost);
    json_end_object(call->out);
    return ASPACE_OK;
}

/* Ends the peer's followers of the feed, or the one with that id. */
static uint64_t leave(struct peer *peer, const struct feed *feed, const uint64_t *id)
{
    uint64_t count = 0;

    for (struct follower *f = peer ? peer->followers : NULL, *next; f; f = next) {
        next = f->next_of_peer;
        if (f->feed != feed || (id && f->id != *id))
            continue;
        feed_leave(f);
        count++;
    }
    return count;
}

enum aspace_error events_unsubscribe(struct call *call)
{
    uint64_t id = call_number(call, PARAM_SUBSCRIPTION);
    bool one = call_has(call, PARAM_SUBSCRIPTION);
    uint64_t ended = leave(call->peer, &call->service->events, one ? &id : NULL);

    if (one && !ended)
        return call_refuse_param(call, ASPACE_NOT_FOUND, PARAM_SUBSCRIPTION, "this connection has no subscription %zu",
                                 (size_t)id);
    json_begin_object(call->out);
    json_name_uint(call->out, "ended", ended);
    json_end_object(call->out);
    return ASPACE_OK;
}

enum aspace_error monitor_start(struct call *call)
{
    struct feed *feed = &call->service->monitor;
    char(*names)[ASPACE_NAME_MAX + 1] = NULL;
    struct follower *f;

    if (!call->peer)
        return empty_result(call);
    if (call->who.is_guest)
        return refuse(&call->why, ASPACE_DENIED, "what others ask for is for the daemon's own user and root");
    if (call_has(call, PARAM_FILTER)) {
        names = calloc(1, sizeof(*names));
        if (!names)
            return refuse_no_memory(&call->why);
        memcpy(names[0], call_text(call, PARAM_FILTER), strnlen(call_text(call, PARAM_FILTER), ASPACE_NAME_MAX));
    }
    f = feed_follow(feed, call->peer, call->service->subscriptions + 1, 1, names, names != NULL);
    if (!f) {
        free(names);
        return refuse_no_memory(&call->why);
    }
    call->service->subscriptions++;
    for (struct follower *old = f->next_of_peer, *next; old; old = next) { /* its filter was another */
        next = old->next_of_peer;
        if (old->feed == feed)
            feed_leave(old);
    }
    return empty_result(call);
}

enum aspace_error monitor_stop(struct call *call)
{
    struct feed *feed = &call->service->monitor;

    leave(call->peer, feed, NULL);
    if (!feed->followers)
        feed_free(feed);
    return empty_result(call);
}
