/* `watch` and `monitor`: what the daemon tells unasked, until Ctrl-C or the end of the connection. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/arg_value.h"
#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/verbs.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- Printing ---- */

static void print_event(const cJSON *event)
{
    printf("%6" PRIu64 "  %-12s  %-14s  %6" PRIu64, json_number(event, "seq"), json_text(event, "space"),
           json_text(event, "kind"), json_number(event, "generation"));
    print_change(event);
}

#define METHOD_WIDTH 16

/* The method is what the peer has called it, too. */
static void print_request(const cJSON *request)
{
    const char *method = json_text(request, "method");
    const cJSON *peer = cJSON_GetObjectItemCaseSensitive(request, "peer");
    char *params = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(request, "params"));

    printf("%3" PRIu64 " pid %-7" PRIu64 " %9.3f ms  %-14s  ", json_number(peer, "connection"),
           json_number(peer, "pid"), (double)json_number(request, "ns") / 1e6,
           json_true(request, "ok") ? "ok" : json_text(request, "error"));
    print_clean(method);
    printf("%*s ", strlen(method) < METHOD_WIDTH ? METHOD_WIDTH - (int)strlen(method) : 0, "");
    print_clean(params ? params : "");
    if (json_has(request, "params_size"))
        printf("(%" PRIu64 " bytes of params)", json_number(request, "params_size"));
    putchar('\n');
    cJSON_free(params);
}

static void print_for_people(const char *method, const cJSON *params)
{
    if (strcmp(method, notifications[NOTIFY_EVENT].name) == 0)
        print_event(params);
    else if (strcmp(method, notifications[NOTIFY_MONITOR].name) == 0)
        print_request(params);
    else if (json_has(params, "lost"))
        complain("%" PRIu64 " were lost here: this end was too slow", json_number(params, "lost"));
}

static void on_notification(void *arg, const char *method, const char *params)
{
    const struct session *s = arg;
    cJSON *tree;

    if (s->json) {
        printf("{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s}\n", method, params ? params : "{}");
        return;
    }
    tree = cJSON_Parse(params ? params : "{}");
    print_for_people(method, tree);
    cJSON_Delete(tree);
}

/* ---- Following ---- */

/* Waits for bytes, for a signal, or until nobody reads our output any more: false then. */
static bool wait_for_more(const struct session *s)
{
    struct pollfd ends[] = {{.fd = aspace_client_fd(s->client), .events = POLLIN}, {.fd = STDOUT_FILENO}};
    sigset_t both;
    sigset_t before;

    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before);
    if (!interrupted)
        ppoll(ends, 2, NULL, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !(ends[1].revents & POLLERR);
}

/* The second signal ends us wherever we are, writing to somebody who does not read for one. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int follow(struct session *s)
{
    while (!interrupted) {
        int error = aspace_client_wait_notification(s->client, 0);

        if (error == -ETIMEDOUT) {
            if (fflush(stdout) || !wait_for_more(s))
                return STATUS_REFUSED;
        } else if (error) {
            return session_failure(s, error);
        }
    }
    return STATUS_DONE;
}

static int begin_and_follow(struct session *s, const char *method, struct json_writer *params)
{
    struct aspace_reply *reply;
    int status = session_open(s);

    json_end_object(params);
    json_bytes(params, "", 1);
    if (!status && params->failed) {
        complain("out of memory");
        status = STATUS_REFUSED;
    }
    if (!status) {
        aspace_client_on_notification(s->client, on_notification, s);
        status = session_call(s, method, params->data, &reply);
    }
    if (!status) {
        uint64_t lost;

        if (!s->json && aspace_reply_u64(reply, "lost", &lost) == 0)
            complain("%" PRIu64 " events since then are not kept any more", lost);
        aspace_reply_free(reply);
        catch_signals();
        status = follow(s);
    }
    json_writer_free(params);
    return status;
}

/* ---- The verbs ---- */

struct watch_words {
    struct json_writer spaces;
    struct json_writer kinds;
    const char *since;
};

static int add_kind(struct watch_words *w, const char *kind)
{
    const struct param_spec spec = {.choices = event_names};
    char choices[240];

    if (arg_is_choice(&spec, kind)) {
        json_string(&w->kinds, kind);
        return STATUS_DONE;
    }
    arg_list_choices(&spec, choices, sizeof(choices));
    return usage_error("--kind is %s, not \"%.80s\"", choices, kind);
}

static int set_since(struct watch_words *w, const char *since)
{
    uint64_t number;

    if (!number_parse(since, strlen(since), false, &number) || strspn(since, "0123456789") != strlen(since))
        return usage_error("--since wants a whole number, not \"%.80s\"", since);
    w->since = since;
    return STATUS_DONE;
}

/* The value of `--name VALUE` or `--name=VALUE` at words[*at]; NULL if it is something else, or has none. */
static const char *option_value(const char *name, char **words, int count, int *at)
{
    size_t size = strlen(name);

    if (strncmp(words[*at], name, size) != 0)
        return NULL;
    if (words[*at][size] == '=')
        return words[*at] + size + 1;
    return words[*at][size] == '\0' && *at + 1 < count ? words[++*at] : NULL;
}

static int read_watch_words(struct watch_words *w, char **words, int count)
{
    int status = STATUS_DONE;

    for (int at = 0; at < count && !status; at++) {
        const char *word = words[at];
        const char *value;

        if ((value = option_value("--kind", words, count, &at)))
            status = add_kind(w, value);
        else if ((value = option_value("--since", words, count, &at)))
            status = set_since(w, value);
        else if (strcmp(word, "--kind") == 0 || strcmp(word, "--since") == 0)
            status = usage_error("%s wants a value after it", word);
        else if (word[0] == '-')
            status = usage_error("watch has no option %.80s", word);
        else if (!arg_is_utf8(word))
            status = usage_error("NAME is not valid UTF-8");
        else
            json_string(&w->spaces, word);
    }
    return status;
}

static void add_member(struct json_writer *params, const char *name, const struct json_writer *items)
{
    if (!items->size)
        return;
    json_name(params, name);
    json_begin_array(params);
    json_raw(params, items->data, items->size);
    json_end_array(params);
    params->failed |= items->failed;
}

int run_watch(struct session *s, char **words, int count)
{
    struct json_writer params = {0};
    struct watch_words w = {0};
    int status = read_watch_words(&w, words, count);

    if (!status) {
        json_begin_object(&params);
        add_member(&params, "spaces", &w.spaces);
        add_member(&params, "kinds", &w.kinds);
        if (w.since) {
            json_name(&params, "since");
            json_raw(&params, w.since, strlen(w.since));
        }
    }
    json_writer_free(&w.spaces);
    json_writer_free(&w.kinds);
    return status ? status : begin_and_follow(s, methods[METHOD_EVENTS_SUBSCRIBE].name, &params);
}

int run_monitor(struct session *s, char **words, int count)
{
    struct json_writer params = {0};

    if (count > 1 || (count && words[0][0] == '-'))
        return usage_error("monitor takes one word, how the methods' names begin: aspacectl monitor [FILTER]");
    if (count && !arg_is_utf8(words[0]))
        return usage_error("FILTER is not valid UTF-8");
    json_begin_object(&params);
    if (count)
        json_name_string(&params, "filter", words[0]);
    return begin_and_follow(s, methods[METHOD_MONITOR_START].name, &params);
}
