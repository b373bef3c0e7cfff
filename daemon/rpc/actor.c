/* The queues of the spaces' names. */
#include "rpc/actor.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/exchange.h"
#include "rpc/service.h"

struct actor {
    struct job *head; /* runs, or will next */
    struct job *tail;
    struct actor *next_ready;
    bool ready; /* its head is to be looked at */
    char name[ASPACE_NAME_MAX + 1];
};

/* ---- The actors there are, by name ---- */

static size_t position(const struct actors *actors, const char *name)
{
    size_t low = 0;
    size_t high = actors->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(actors->list[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct actor *find(const struct actors *actors, const char *name)
{
    size_t i = position(actors, name);

    return i < actors->count && strcmp(actors->list[i]->name, name) == 0 ? actors->list[i] : NULL;
}

static struct actor *find_or_make(struct actors *actors, const char *name)
{
    struct actor *actor = find(actors, name);
    size_t i = position(actors, name);

    if (actor)
        return actor;
    if (actors->count == actors->capacity) {
        size_t capacity = actors->capacity ? actors->capacity * 2 : 16;
        struct actor **list = realloc(actors->list, capacity * sizeof(struct actor *));

        if (!list)
            return NULL;
        actors->list = list;
        actors->capacity = capacity;
    }
    actor = calloc(1, sizeof(*actor));
    if (!actor)
        return NULL;
    strcpy(actor->name, name);
    memmove(&actors->list[i + 1], &actors->list[i], (actors->count - i) * sizeof(struct actor *));
    actors->list[i] = actor;
    actors->count++;
    return actor;
}

static void drop_if_idle(struct actors *actors, struct actor *actor)
{
    size_t i;

    if (actor->head || actor->ready)
        return;
    i = position(actors, actor->name);
    actors->count--;
    memmove(&actors->list[i], &actors->list[i + 1], (actors->count - i) * sizeof(struct actor *));
    free(actor);
}

/* ---- Queues ---- */

static unsigned slot(const struct job *job, const struct actor *actor)
{
    return job->actors[0] == actor ? 0 : 1;
}

static void append(struct actor *actor, struct job *job)
{
    if (actor->head)
        actor->tail->behind[slot(actor->tail, actor)] = job;
    else
        actor->head = job;
    actor->tail = job;
}

static void set_ready(struct actors *actors, struct actor *actor)
{
    if (actor->ready)
        return;
    actor->ready = true;
    actor->next_ready = actors->ready;
    actors->ready = actor;
}

static bool is_first(const struct job *job)
{
    for (unsigned i = 0; i < job->actor_count; i++)
        if (job->actors[i]->head != job)
            return false;
    return true;
}

/* ---- Running ---- */

static void pump(struct service *service);

/* The space that a call works on, or made. */
static struct space *space_of(const struct call *call)
{
    return call->space ? call->space : call->made;
}

/* It is done with its spaces: the next may run. */
static void leave_queues(struct job *job)
{
    struct actors *actors = &job->call.service->actors;

    for (unsigned i = 0; i < job->actor_count; i++) {
        struct actor *actor = job->actors[i];

        actor->head = job->behind[i];
        set_ready(actors, actor);
    }
}

static void end_job(struct job *job)
{
    request_finish(&job->call);
    leave_queues(job);
    exchange_job_done(job);
}

static void set_all_ready(struct actors *actors)
{
    for (size_t i = 0; i < actors->count; i++)
        set_ready(actors, actors->list[i]);
}

static void lose(struct job *job)
{
    refuse(&job->call.why, ASPACE_NO_MEMORY, "no thread could be started for the request");
    job->call.why.hint = "the system's limit on threads or memory is reached; try again";
    request_refuse(&job->call);
}

/* On the loop's thread, after a job that ran on another. */
static void on_done(struct task *task)
{
    struct job *job = (struct job *)task;
    struct call *call = &job->call;
    struct service *service = call->service;
    struct space *space = space_of(call);

    if (task->lost)
        lose(job);
    if (space)
        space->away = false;
    if (call->other)
        call->other->away = false;
    for (unsigned i = 0; i < REQUEST_NAMES_MAX; i++) {
        if (!job->families[i])
            continue;
        job->families[i]->busy = false;
        space_family_leave(job->families[i]);
        set_all_ready(&service->actors); /* relatives may have waited for it */
    }
    if (call->made)
        call->made->lane = job->lane;
    else if (job->lane && !call->space)
        service->workers->lane_close(job->lane); /* the space was destroyed, or never made */
    end_job(job);
    pump(service);
    service_ended(service);
}

static void run_task(struct task *task)
{
    struct job *job = (struct job *)task;

    request_execute(&job->call);
    if (space_of(&job->call)) {
        struct backend *backend = space_of(&job->call)->backend;

        task->spent = backend->ops->thread_spent && backend->ops->thread_spent(backend);
    }
}

static void send_space(struct job *job, struct space *space, unsigned place)
{
    space->summary = space_count(space);
    space->away = true;
    job->families[place] = space->family;
    if (!space->family)
        return;
    space->family->members++; /* so that it outlives the space, if this is its end */
    space->family->busy = true;
}

/* It takes microseconds, and any thread may do it. */
static bool is_brief(const struct call *call)
{
    const struct space *space = call->space;
    const struct backend_ops *ops;

    if (!space || call->method->traits & METHOD_ENDS_SPACE || request_is_long(call))
        return false;
    ops = space->backend->ops;
    return !ops->thread_bound || !ops->thread_bound(space->backend);
}

/* Sends it to another thread; its spaces are that one's until on_done. */
static void send(struct job *job)
{
    struct workers *workers = job->call.service->workers;

    if (job->call.space)
        send_space(job, job->call.space, 0);
    if (job->call.other && job->call.other != job->call.space)
        send_space(job, job->call.other, 1);
    job->task = (struct task){.run = run_task, .done = on_done, .brief = is_brief(&job->call)};
    if (job->lane)
        workers->lane_submit(job->lane, &job->task);
    else
        workers->submit(workers, &job->task);
}

/* A thread for the space, if it wants one of its own. */
static enum aspace_error find_lane(struct job *job)
{
    struct call *call = &job->call;

    if (!request_needs_lane(call))
        return ASPACE_OK;
    job->lane = call->space ? call->space->lane : call->service->workers->lane_open(call->service->workers);
    if (job->lane)
        return ASPACE_OK;
    refuse(&call->why, ASPACE_NO_MEMORY, "no thread could be started for the space");
    call->why.hint = "the system's limit on threads or memory is reached";
    return call->why.code;
}

static bool is_family_busy(const struct space *space)
{
    return space && space->family && space->family->busy;
}

static bool relative_is_busy(const struct call *call)
{
    return is_family_busy(call->space) || is_family_busy(call->other);
}

/* Unless it must wait for a relative of one of its spaces. */
static void start(struct job *job)
{
    struct call *call = &job->call;

    request_find_space(call);
    if (call->method->traits & METHOD_WAITS) {
        leave_queues(job);
        wait_begin(job);
        return;
    }
    if (relative_is_busy(call))
        return;
    job->running = true;
    if (job->exchange->bytes > call->service->limits.reply) {
        request_leave_out(call);
        end_job(job);
    } else if (request_start(call) || find_lane(job)) {
        request_refuse(call);
        end_job(job);
    } else if (job->lane || request_is_long(call)) {
        send(job);
    } else {
        request_execute(call);
        end_job(job);
    }
}

/* Starts what can be started. Ending a job may make others ready, and jobs that are not long end at once: hence a
 * list, not a recursion. */
static void pump(struct service *service)
{
    struct actors *actors = &service->actors;

    if (actors->pumping)
        return;
    actors->pumping = true;
    while (actors->ready) {
        struct actor *actor = actors->ready;

        actors->ready = actor->next_ready;
        actor->ready = false;
        if (actor->head && !actor->head->running && is_first(actor->head))
            start(actor->head);
        drop_if_idle(actors, actor);
    }
    actors->pumping = false;
}

/* A job that is about two spaces stands in two queues, and counts in the first. */
size_t actors_depth(const struct actors *actors)
{
    size_t depth = 0;

    for (size_t i = 0; i < actors->count; i++) {
        const struct actor *actor = actors->list[i];

        for (const struct job *job = actor->head; job; job = job->behind[slot(job, actor)])
            depth += slot(job, actor) == 0;
    }
    return depth;
}

/* ---- In ---- */

bool actors_busy(struct service *service, const struct call *call)
{
    const char *names[REQUEST_NAMES_MAX];
    unsigned count;

    if (!service->actors.count)
        return false;
    count = request_names(call, names);
    for (unsigned i = 0; i < count; i++)
        if (find(&service->actors, names[i]))
            return true;
    return relative_is_busy(call);
}

enum aspace_error actors_add(struct service *service, struct job *job, struct refusal *why)
{
    const char *names[REQUEST_NAMES_MAX];
    unsigned count = request_names(&job->call, names);

    for (unsigned i = 0; i < count; i++) {
        job->actors[i] = find_or_make(&service->actors, names[i]);
        if (!job->actors[i]) {
            if (i)
                drop_if_idle(&service->actors, job->actors[0]);
            return refuse_no_memory(why);
        }
    }
    job->actor_count = count;
    if (count == 0)
        start(job);
    for (unsigned i = 0; i < count; i++) {
        append(job->actors[i], job);
        set_ready(&service->actors, job->actors[i]);
    }
    pump(service);
    return ASPACE_OK;
}
