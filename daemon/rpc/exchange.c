/* Messages that are answered later. */
#include "rpc/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/service.h"

struct exchange *exchange_new(struct service *service, struct peer *peer, const char *text, size_t size)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->text = malloc(size);
    if (x->text)
        memcpy(x->text, text, size);
    if (!x->text || json_read(&x->doc, x->text, size)) {
        json_free(&x->doc);
        free(x->text);
        free(x);
        return NULL;
    }
    x->service = service;
    x->size = size;
    x->waiting = 1;
    x->last = &x->first;
    x->peer = peer;
    x->next = peer->exchanges;
    x->link = &peer->exchanges;
    if (x->next)
        x->next->link = &x->next;
    peer->exchanges = x;
    peer->in_flight++;
    peer->in_flight_bytes += size;
    x->user = peer->user;
    if (x->user) {
        x->user->in_flight++;
        x->user->in_flight_bytes += size;
    }
    return x;
}

struct job *exchange_add(struct exchange *x)
{
    struct job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    job->exchange = x;
    job->call.service = x->service;
    job->call.peer = x->peer;
    job->call.out = &job->out;
    *x->last = job;
    x->last = &job->next;
    x->waiting++;
    return job;
}

/* ---- The end ---- */

static void leave_peer(struct exchange *x)
{
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    x->peer->in_flight--;
    x->peer->in_flight_bytes -= x->size;
}

/* What only waits ends with its peer. */
static void end_waits(struct exchange *x)
{
    x->waiting++; /* so that it outlives them all */
    for (struct job *job = x->first; job; job = job->next)
        if (job->wait.parked)
            wait_give_up(job);
    exchange_complete(x);
}

void peer_leave(struct peer *peer)
{
    struct exchange *exchanges = peer->exchanges;

    while (peer->followers)
        feed_leave(peer->followers);
    for (struct exchange *x = exchanges; x; x = x->next) {
        x->peer = NULL;
        for (struct job *job = x->first; job; job = job->next)
            job->call.peer = NULL;
    }
    for (struct exchange *x = exchanges, *next; x; x = next) {
        next = x->next;
        end_waits(x);
    }
    peer->exchanges = NULL;
    peer->in_flight = 0;
    peer->in_flight_bytes = 0;
}

/* The replies in the order of the requests, as one array. */
static void join(const struct exchange *x, struct json_writer *out)
{
    json_begin_array(out);
    if (x->before.size)
        json_raw(out, x->before.data, x->before.size);
    for (struct job *job = x->first; job; job = job->next) {
        if (job->out.size)
            json_raw(out, job->out.data, job->out.size);
        out->failed |= job->out.failed;
    }
    json_end_array(out);
    if (out->size == 2)
        out->size = 0; /* nothing but notifications */
}

static void answer(struct exchange *x)
{
    struct json_writer joined = {0};
    const struct json_writer *out = &joined;

    if (x->batch)
        join(x, &joined);
    else if (x->first)
        out = &x->first->out;
    if (x->failed || x->before.failed || out->failed)
        x->peer->answer(x->peer, NULL, 0);
    else
        x->peer->answer(x->peer, out->size ? out->data : "", out->size);
    json_writer_free(&joined);
}

static void leave_user(struct exchange *x)
{
    if (!x->user)
        return;
    x->user->in_flight--;
    x->user->in_flight_bytes -= x->size;
    x->user->less(x->user);
}

static void end(struct exchange *x)
{
    if (x->peer) {
        leave_peer(x);
        answer(x);
    }
    leave_user(x);
    for (struct job *job = x->first, *next; job; job = next) {
        next = job->next;
        json_writer_free(&job->out);
        free(job);
    }
    json_writer_free(&x->before);
    json_free(&x->doc);
    free(x->text);
    free(x);
}

void exchange_complete(struct exchange *x)
{
    if (--x->waiting == 0)
        end(x);
}

void exchange_job_done(struct job *job)
{
    job->exchange->bytes += job->out.size;
    exchange_complete(job->exchange);
}
