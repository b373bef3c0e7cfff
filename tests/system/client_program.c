/* A program that knows nothing of the project but its public headers and libaspace-client: it makes a space, maps an
 * area where there is room, finds it again, and is told of it. Run under `aspacectl run`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <aspace/client.h>
#include <aspace/version.h>

#define TIMEOUT_MS 10000

/* Calls and returns the reply, or NULL after saying what went wrong. */
static struct aspace_reply *call(struct aspace_client *client, const char *method, const char *params)
{
    struct aspace_reply *reply;
    int error = aspace_client_call(client, method, params, TIMEOUT_MS, &reply);

    if (error) {
        fprintf(stderr, "%s: %s\n", method, strerror(-error));
        return NULL;
    }
    if (aspace_reply_error(reply) != ASPACE_OK) {
        fprintf(stderr, "%s: %s\n", method, aspace_reply_error_object(reply));
        aspace_reply_free(reply);
        return NULL;
    }
    return reply;
}

/* Counts the events of areas mapped. */
static void on_notification(void *arg, const char *method, const char *params)
{
    if (strcmp(method, "event") == 0 && strstr(params, "\"kind\":\"area.mapped\""))
        ++*(int *)arg;
}

/* Whether the one area mapped is told, once. */
static bool hear(struct aspace_client *client, const int *mapped)
{
    int error = 0;

    while (*mapped == 0 && !error)
        error = aspace_client_wait_notification(client, TIMEOUT_MS);
    return *mapped == 1 && aspace_client_wait_notification(client, 0) == -ETIMEDOUT;
}

static int work(struct aspace_client *client)
{
    int mapped = 0;
    char params[80];
    struct aspace_reply *reply = call(client, "space.create", "{\"name\":\"s\"}");
    uint64_t start = 0;
    uint64_t found = 0;

    aspace_reply_free(reply);
    aspace_client_on_notification(client, on_notification, &mapped);
    reply = call(client, "events.subscribe", "{\"spaces\":[\"s\"]}");
    if (!reply)
        return 1;
    aspace_reply_free(reply);
    reply = call(client, "area.map", "[\"s\", \"1M\", \"rw-\"]");
    if (!reply || aspace_reply_u64(reply, "start", &start))
        return 1;
    aspace_reply_free(reply);
    snprintf(params, sizeof(params), "{\"space\":\"s\",\"addr\":\"0x%" PRIx64 "\"}", start + 4096);
    reply = call(client, "area.find", params);
    if (!reply || aspace_reply_u64(reply, "area.start", &found))
        return 1;
    aspace_reply_free(reply);
    printf("%s: mapped at 0x%" PRIx64 " and found there\n", ASPACE_VERSION, found);
    return found == start && hear(client, &mapped) ? 0 : 1;
}

int main(void)
{
    struct aspace_client *client;
    int error = aspace_client_connect(NULL, TIMEOUT_MS, &client);
    int status;

    if (error) {
        fprintf(stderr, "no daemon: %s\n", strerror(-error));
        return 1;
    }
    status = work(client);
    aspace_client_close(client);
    return status;
}
