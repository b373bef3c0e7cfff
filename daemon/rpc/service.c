/* The life of the service. */
#include "rpc/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/task.h"

void service_init(struct service *service, const struct limits *limits)
{
    memset(service, 0, sizeof(*service));
    service->limits = *limits;
    service->started_ns = clock_ns();
    service->alarm_ms = UINT64_MAX;
    registry_init(&service->registry, limits->spaces);
    feed_init(&service->events, limits->events, NOTIFY_EVENT, NOTIFY_EVENTS_LOST);
    feed_init(&service->monitor, limits->events, NOTIFY_MONITOR, NOTIFY_MONITOR_LOST);
    service->events.numbered = true;
    service->monitor.by_prefix = true;
}

void service_free(struct service *service)
{
    registry_free(&service->registry);
    feed_free(&service->events);
    feed_free(&service->monitor);
    json_free(&service->doc);
    free(service->actors.list);
}

/* ---- The end ---- */

static void run_closing(struct task *task)
{
    space_destroy(((struct lane *)task)->space);
}

static void on_lane_closed(struct task *task)
{
    struct lane *lane = (struct lane *)task;
    struct service *service = lane->service;

    service->workers->lane_close(lane);
    service->closing--;
    service_ended(service);
}

/* A backend that is bound to a thread is freed on it. */
static void close_space(struct service *service, struct space *space)
{
    struct lane *lane = space->lane;

    registry_remove(&service->registry, space);
    lane->closing = (struct task){.run = run_closing, .done = on_lane_closed};
    lane->space = space;
    lane->service = service;
    service->closing++;
    service->workers->lane_submit(lane, &lane->closing);
}

void service_ended(struct service *service)
{
    struct registry *registry = &service->registry;

    if (!service->on_closed || service->actors.count)
        return;
    for (size_t i = registry->count; i-- > 0;)
        if (registry->spaces[i]->lane)
            close_space(service, registry->spaces[i]);
    if (service->closing == 0)
        service->on_closed(service);
}

void service_close(struct service *service, service_fn *on_closed)
{
    service->on_closed = on_closed;
    service_ended(service);
}
