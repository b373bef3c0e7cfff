/* Running a verb. */
#include "ctl/verbs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/help.h"
#include "ctl/json_text.h"
#include "ctl/print.h"

const struct client_verb client_verbs[] = {
    {"import", "NAME FILE|PID", "Make the areas of a /proc/PID/maps text in a sim space",
     "FILE holds such a text (- is standard input); a number is a process, whose maps are read now. The space is made\n"
     "if there is none of that name. rw-s becomes rw-,shared; the pathname becomes the tag. Rows outside the space's\n"
     "range, [vsyscall] for one, are skipped and said so. If a row is refused, all that this import made is undone.\n",
     run_import},
    {"call", "METHOD [JSON|-]", "Call any method with params as JSON and print its result",
     "JSON is the params, an object or an array; - reads it from standard input.\n", run_call},
    {"batch", "[FILE]", "Send JSON-RPC requests, one a line, without waiting, and print the replies",
     "FILE or standard input has one request, or one array of them, a line; blank lines are skipped. Replies come out\n"
     "in the order of arrival: match them by id. Exit status 1 if a reply was an error, 3 if not all replies came.\n",
     run_batch},
    {"watch", "[NAME...] [--kind KIND]... [--since N]", "Print what happens to spaces, as it happens",
     "NAME is a space, which need not exist yet; without one, all of them. KIND is one of the kinds of "
     "docs/protocol.md, such as\n"
     "area.mapped. --since prints the events after that number first, as far as the daemon still keeps them. With "
     "--json\n"
     "each line is the notification as it came. Ctrl-C ends it, with status 0; status 3 if the connection was lost.\n",
     run_watch},
    {"monitor", "[FILTER]", "Print every request that the daemon serves",
     "FILTER is how the methods' names begin, such as area. With --json each line is the notification as it came. "
     "Ctrl-C\n"
     "ends it, with status 0; status 3 if the connection was lost.\n",
     run_monitor},
    {"run", "[DAEMON OPTIONS] -- COMMAND...", "Run a command with an aspaced of its own",
     "The daemon listens in a new folder that only you can enter; ASPACED_SOCKET tells COMMAND where. Both are gone "
     "when\n"
     "COMMAND ends, and its exit status is the result (128 + N after signal N, 127 if it was not found, 126 if it "
     "could\n"
     "not be run). The daemon is $ASPACED, else the aspaced beside aspacectl, else the one in $PATH. Its options are\n"
     "those of aspaced --help but for --socket and --ready-fd.\n",
     run_run},
    {"help", "[VERB]", "Show what there is, or all about one verb", "", run_help},
};
const size_t client_verb_count = sizeof(client_verbs) / sizeof(client_verbs[0]);

const struct client_verb *client_verb_by_name(const char *name)
{
    for (size_t i = 0; i < client_verb_count; i++) {
        if (strcmp(client_verbs[i].name, name) == 0)
            return &client_verbs[i];
    }
    return NULL;
}

/* ---- Calling and printing ---- */

int call_with_args(struct session *s, const struct args *args, struct aspace_reply **ret)
{
    struct json_writer params = {0};
    int status;

    args_write(args, &params);
    json_bytes(&params, "", 1);
    if (params.failed) {
        complain("out of memory");
        status = STATUS_REFUSED;
    } else {
        status = session_call(s, args->method->name, params.data, ret);
    }
    json_writer_free(&params);
    return status;
}

int call_for_part(struct session *s, const struct args *args, const char *list, list_fn *each, void *arg,
                  char *ret_next, size_t size)
{
    struct aspace_reply *reply;
    const cJSON *element;
    cJSON *result;
    int status = call_with_args(s, args, &reply);

    if (status)
        return status;
    result = cJSON_Parse(aspace_reply_result(reply));
    cJSON_ArrayForEach(element, cJSON_GetObjectItemCaseSensitive(result, list)) each(arg, element);
    snprintf(ret_next, size, "%s", json_text(result, "next"));
    cJSON_Delete(result);
    aspace_reply_free(reply);
    return STATUS_DONE;
}

static int print_reply(const struct session *s, const struct args *args, const struct aspace_reply *reply)
{
    print_fn *print = print_for(args->method->id);
    cJSON *result = print && !s->json ? cJSON_Parse(aspace_reply_result(reply)) : NULL;
    int status = STATUS_DONE;

    if (result)
        status = print(args, result);
    else
        print_result(reply);
    cJSON_Delete(result);
    return status;
}

static int run_ping(struct session *s, const struct args *args)
{
    struct timespec before;
    struct timespec after;
    struct aspace_reply *reply;
    int status = session_open(s);

    clock_gettime(CLOCK_MONOTONIC, &before);
    if (!status)
        status = call_with_args(s, args, &reply);
    if (status)
        return status;
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (s->json)
        print_result(reply);
    else
        printf("a reply from %s in %.3f ms\n", s->path,
               (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6);
    aspace_reply_free(reply);
    return STATUS_DONE;
}

/* A failed check is bad news with --json too. */
static int check_status(const struct args *args, const struct aspace_reply *reply)
{
    bool ok;

    if (args->method->id != METHOD_SPACE_CHECK || aspace_reply_bool(reply, "ok", &ok))
        return STATUS_DONE;
    return ok ? STATUS_DONE : STATUS_REFUSED;
}

int run_plain(struct session *s, const struct args *args)
{
    struct aspace_reply *reply;
    int status = call_with_args(s, args, &reply);

    if (status)
        return status;
    status = print_reply(s, args, reply);
    if (!status)
        status = check_status(args, reply);
    aspace_reply_free(reply);
    return status;
}

int run_method(struct session *s, const struct method *method, char **words, int count)
{
    struct args args;

    if (!args_read(method, words, count, &args)) {
        complain("%s", args.problem);
        help_usage(method, "usage: ", stderr);
        return STATUS_USAGE;
    }
    if (s->json && args.extra[EXTRA_OPENMETRICS])
        return usage_error("--json and --openmetrics are two forms: choose one");
    switch (method->id) {
    case METHOD_DAEMON_PING:
        return run_ping(s, &args);
    case METHOD_AREA_LIST:
        return run_areas(s, &args);
    case METHOD_PAGE_DUMP:
        return run_tables(s, &args);
    case METHOD_SPACE_APPLY:
        return run_apply(s, &args);
    case METHOD_MEMORY_READ:
        return run_read(s, &args);
    case METHOD_MEMORY_WRITE:
        return run_write(s, &args);
    default:
        return run_plain(s, &args);
    }
}

/* ---- A verb that there is not ---- */

#define VERB_LENGTH_MAX 32

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Letters to change, add or leave out to make one word of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t row[VERB_LENGTH_MAX + 1];
    size_t width = strlen(b);

    if (width > VERB_LENGTH_MAX)
        return width;
    for (size_t i = 0; i <= width; i++)
        row[i] = i;
    for (; *a; a++) {
        size_t diagonal = row[0]++;

        for (size_t i = 0; i < width; i++) {
            size_t change = diagonal + (*a != b[i]);

            diagonal = row[i + 1];
            row[i + 1] = least(change, least(diagonal, row[i]) + 1);
        }
    }
    return row[width];
}

static void consider(const char *verb, const char *candidate, size_t *best, const char **ret)
{
    size_t far = distance(verb, candidate);

    if (strlen(verb) > 2 && strncmp(verb, candidate, strlen(verb)) == 0)
        far = 1;
    if (far < *best) {
        *best = far;
        *ret = candidate;
    }
}

static const char *nearest(const char *verb)
{
    const char *found = NULL;
    size_t best = strlen(verb) > 3 ? 3 : 2;

    for (int i = 0; i < METHOD_COUNT; i++) {
        if (methods[i].verb)
            consider(verb, methods[i].verb, &best, &found);
    }
    for (size_t i = 0; i < client_verb_count; i++)
        consider(verb, client_verbs[i].name, &best, &found);
    return found;
}

int unknown_verb(const char *verb)
{
    const struct method *method = method_by_name(verb, strlen(verb));
    const char *near = nearest(verb);

    if (method && method->verb)
        return usage_error("%s is a method; its verb is %s: see aspacectl help %s", verb, method->verb, method->verb);
    if (method)
        return usage_error("%s is a method without a verb: aspacectl call %s '{...}'", verb, verb);
    if (near)
        return usage_error("there is no verb \"%.80s\"; did you mean %s? See: aspacectl help", verb, near);
    return usage_error("there is no verb \"%.80s\"; see: aspacectl help", verb);
}
