/* Requests that stand aside. */
#include "rpc/wait.h"

#include <inttypes.h>

#include "base/clock.h"
#include "rpc/exchange.h"
#include "rpc/rights.h"
#include "rpc/service.h"

static uint64_t now_ms(void)
{
    return clock_ns() / 1000000;
}

/* ---- What is waited for ---- */

static enum aspace_error check_params(struct call *call)
{
    bool generation = call_has(call, PARAM_AT_GENERATION);
    bool area = call_has(call, PARAM_AREA);
    bool gone = call_number(call, PARAM_GONE);

    if (generation ? !area && !gone : area || gone)
        return ASPACE_OK;
    call_refuse_param(call, ASPACE_INVALID_PARAMS, generation ? (area ? PARAM_AREA : PARAM_GONE) : PARAM_AT_GENERATION,
                      "give one thing to wait for: generation, area, gone, or area and gone");
    return call->why.code;
}

/* Whether it has happened; `space` NULL: the space is gone. */
static bool has_happened(const struct call *call, const struct space *space)
{
    uint64_t page = page_of(call_number(call, PARAM_AREA));
    bool gone = call_number(call, PARAM_GONE);
    struct area area;

    if (!space)
        return gone;
    if (call_has(call, PARAM_AT_GENERATION))
        return space->set.generation >= call_number(call, PARAM_AT_GENERATION);
    if (!call_has(call, PARAM_AREA))
        return false;
    return (range_has_page(space->set.map.bounds, page) && area_map_find(&space->set.map, page, &area)) != gone;
}

enum aspace_error daemon_wait(struct call *call)
{
    json_begin_object(call->out);
    if (call->has_generation)
        json_name_uint(call->out, "generation", call->generation);
    json_end_object(call->out);
    return ASPACE_OK;
}

/* ---- The end ---- */

static void unpark(struct job *job)
{
    struct wait *w = &job->wait;

    if (!w->parked)
        return;
    w->parked = false;
    *w->link = w->next;
    if (w->next)
        w->next->wait.link = w->link;
    *w->link_of_all = w->next_of_all;
    if (w->next_of_all)
        w->next_of_all->wait.link_of_all = w->link_of_all;
}

static void answer(struct job *job)
{
    struct call *call = &job->call;

    unpark(job);
    if (call->why.code)
        request_refuse(call);
    else
        request_execute(call);
    call->space = NULL;
    request_finish(call);
    exchange_job_done(job);
}

static void answer_now(struct job *job, const struct space *space)
{
    if (space) {
        job->call.generation = space->set.generation;
        job->call.has_generation = true;
    }
    answer(job);
}

static void answer_late(struct job *job)
{
    refuse(&job->call.why, ASPACE_TIMEOUT, "it has not happened within %" PRIu64 " ms",
           call_number(&job->call, PARAM_TIMEOUT_MS));
    answer(job);
}

static void answer_no_space(struct job *job)
{
    call_refuse_param(&job->call, ASPACE_NOT_FOUND, PARAM_SPACE, "there is no space named %s",
                      call_text(&job->call, PARAM_SPACE));
    answer(job);
}

static void answer_at_end(struct job *job)
{
    refuse(&job->call.why, ASPACE_BAD_STATE, "the daemon ends, and with it the wait");
    answer(job);
}

/* ---- The time ---- */

static void set_alarm(struct service *service, uint64_t deadline_ms)
{
    uint64_t now = now_ms();

    if (deadline_ms >= service->alarm_ms || !service->set_alarm)
        return;
    service->alarm_ms = deadline_ms;
    service->set_alarm(service, deadline_ms > now ? deadline_ms - now : 0);
}

void service_alarm(struct service *service)
{
    uint64_t now = now_ms();
    uint64_t first = UINT64_MAX;

    service->alarm_ms = UINT64_MAX;
    for (struct job *job = service->waits, *next; job; job = next) {
        next = job->wait.next_of_all;
        if (job->wait.deadline_ms <= now)
            answer_late(job);
        else if (job->wait.deadline_ms < first)
            first = job->wait.deadline_ms;
    }
    set_alarm(service, first);
}

/* ---- Begin ---- */

static void park(struct job *job, struct space *space)
{
    struct service *service = job->call.service;
    struct wait *w = &job->wait;

    w->parked = true;
    w->next = space->waits;
    w->link = &space->waits;
    if (w->next)
        w->next->wait.link = &w->next;
    space->waits = job;
    w->next_of_all = service->waits;
    w->link_of_all = &service->waits;
    if (w->next_of_all)
        w->next_of_all->wait.link_of_all = &w->next_of_all;
    service->waits = job;
    set_alarm(service, w->deadline_ms);
}

static uint64_t read_deadline(const struct call *call)
{
    return call_has(call, PARAM_TIMEOUT_MS) ? now_ms() + call_number(call, PARAM_TIMEOUT_MS) : UINT64_MAX;
}

void wait_begin(struct job *job)
{
    struct call *call = &job->call;
    struct space *space = call->space;

    job->wait.deadline_ms = read_deadline(call);
    if (check_params(call) || (space && rights_check_space(call)))
        answer(job);
    else if (has_happened(call, space))
        answer_now(job, space);
    else if (!space)
        answer_no_space(job);
    else if (call_has(call, PARAM_TIMEOUT_MS) && call_number(call, PARAM_TIMEOUT_MS) == 0)
        answer_late(job);
    else if (call->service->ending)
        answer_at_end(job);
    else if (!call->peer)
        wait_give_up(job);
    else
        park(job, space);
}

/* ---- What happens ---- */

void waits_look(struct service *service, struct space *space)
{
    (void)service;
    for (struct job *job = space->waits, *next; job; job = next) {
        next = job->wait.next;
        if (has_happened(&job->call, space))
            answer_now(job, space);
    }
}

void waits_detach(struct call *call)
{
    call->waits = call->space->waits;
    if (call->waits)
        call->waits->wait.link = &call->waits;
    call->space->waits = NULL;
    for (struct job *job = call->waits; job; job = job->wait.next) {
        job->call.space = NULL;
        job->call.generation = call->generation;
        job->call.has_generation = true;
    }
}

void waits_gone(struct call *call)
{
    for (struct job *job = call->waits, *next; job; job = next) {
        next = job->wait.next;
        if (has_happened(&job->call, NULL))
            answer(job);
        else
            answer_no_space(job);
    }
}

void wait_give_up(struct job *job)
{
    refuse(&job->call.why, ASPACE_TARGET_GONE, "the peer that waited has left");
    answer(job);
}

size_t waits_count(const struct service *service)
{
    size_t count = 0;

    for (const struct job *job = service->waits; job; job = job->wait.next_of_all)
        count++;
    return count;
}

void service_end_waits(struct service *service)
{
    service->ending = true;
    while (service->waits)
        answer_at_end(service->waits);
}
