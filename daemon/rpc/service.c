/* The life of the service. */
#include "rpc/service.h"

#include <string.h>

#include "base/clock.h"

void service_init(struct service *service, const struct limits *limits)
{
    memset(service, 0, sizeof(*service));
    service->limits = *limits;
    service->started_ns = clock_ns();
    registry_init(&service->registry, limits->spaces);
}

void service_free(struct service *service)
{
    registry_free(&service->registry);
    json_free(&service->doc);
}
