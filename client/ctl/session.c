/* Connecting, calling, and telling people what went wrong. */
#include "ctl/session.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/clean.h"
#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/size.h"

static void complain_args(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

static void complain_args(const char *format, va_list args)
{
    fflush(stdout);
    fputs("aspacectl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain_args(format, args);
    va_end(args);
}

int usage_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain_args(format, args);
    va_end(args);
    return STATUS_USAGE;
}

/* ---- The connection ---- */

static void tell_how_to_start(const struct session *s)
{
    if (s->socket)
        fprintf(stderr, "start one with: aspaced --socket %s\n", s->socket);
    else
        fputs("start one with: aspaced\n", stderr);
    fputs("or give a command a daemon of its own: aspacectl run -- COMMAND\n", stderr);
}

static bool is_another_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
}

static int connect_failure(const struct session *s, int error)
{
    if (error == -ECONNREFUSED && is_another_file(s->path)) {
        complain("%s is no socket", s->path);
        return STATUS_NO_DAEMON;
    }
    if (error != -ENOENT && error != -ECONNREFUSED && error != -ENOTDIR)
        return session_failure(s, error);
    complain("no daemon at %s (%s)", s->path, strerror(-error));
    tell_how_to_start(s);
    return STATUS_NO_DAEMON;
}

int session_open(struct session *s)
{
    int error;

    if (s->client)
        return STATUS_DONE;
    error = aspace_socket_path(s->socket, s->path, sizeof(s->path));
    if (error == -ENAMETOOLONG)
        return usage_error("the socket's path is longer than the system allows (about 100 bytes); use --socket with a "
                           "shorter one");
    if (error)
        return usage_error("--socket wants a path");
    error = aspace_client_connect(s->path, s->timeout_ms, &s->client);
    return error ? connect_failure(s, error) : STATUS_DONE;
}

void session_close(struct session *s)
{
    aspace_client_close(s->client);
    s->client = NULL;
}

int session_failure(const struct session *s, int error)
{
    switch (error) {
    case -ETIMEDOUT:
        complain("no answer from %s within %g s", s->path, s->timeout_ms / 1000.0);
        return STATUS_TIMEOUT;
    case -ECONNRESET:
    case -EPIPE:
        complain("the connection to %s was lost", s->path);
        return STATUS_NO_DAEMON;
    case -EPROTO:
        complain("what answers at %s does not speak aspaced's protocol", s->path);
        return STATUS_NO_DAEMON;
    case -ENOMEM:
        complain("out of memory");
        return STATUS_REFUSED;
    case -EINVAL:
        return usage_error("an argument is not valid UTF-8, or not valid JSON");
    default:
        complain("cannot reach the daemon at %s: %s", s->path, strerror(-error));
        return STATUS_NO_DAEMON;
    }
}

/* ---- Calls ---- */

int session_ask(struct session *s, const char *method, const char *params, struct aspace_reply **ret)
{
    int status = session_open(s);
    int error;

    if (status)
        return status;
    error = aspace_client_call(s->client, method, params, s->timeout_ms, ret);
    return error ? session_failure(s, error) : STATUS_DONE;
}

int session_call(struct session *s, const char *method, const char *params, struct aspace_reply **ret)
{
    struct aspace_reply *reply;
    int status = session_ask(s, method, params, &reply);

    if (status)
        return status;
    if (!aspace_reply_error(reply)) {
        *ret = reply;
        return STATUS_DONE;
    }
    status = tell_refusal(reply);
    aspace_reply_free(reply);
    return status;
}

/* ---- Refusals ---- */

static void tell_line(const char *label, const char *text)
{
    char *clean = clean_text(text, strlen(text));

    fprintf(stderr, "%s: %s\n", label, clean ? clean : "");
    free(clean);
}

static void tell_data(const cJSON *data)
{
    const cJSON *conflict = cJSON_GetObjectItemCaseSensitive(data, "conflict");
    const cJSON *hole = cJSON_GetObjectItemCaseSensitive(data, "largest_hole");
    char size[SIZE_TEXT_MAX];
    char area[AREA_TEXT_MAX];

    if (json_has(data, "hint"))
        tell_line("hint", json_text(data, "hint"));
    if (cJSON_IsObject(conflict))
        tell_line("conflict", area_text(conflict, area));
    if (cJSON_IsObject(hole))
        fprintf(stderr, "largest hole: %s at %s\n", size_format(json_number(hole, "size"), size),
                json_text(hole, "start"));
}

int tell_refusal(const struct aspace_reply *reply)
{
    cJSON *error = cJSON_Parse(aspace_reply_error_object(reply));
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(error, "data");
    const char *name = aspace_error_name(aspace_reply_error(reply));
    char label[80];

    if (json_has(data, "name"))
        name = json_text(data, "name");
    snprintf(label, sizeof(label), "aspacectl: %s", name ? name : "Error");
    fflush(stdout);
    tell_line(label, json_text(error, "message"));
    tell_data(data);
    cJSON_Delete(error);
    return aspace_reply_error(reply) == ASPACE_TIMEOUT ? STATUS_TIMEOUT : STATUS_REFUSED;
}

/* ---- Output ---- */

void print_result(const struct aspace_reply *reply)
{
    puts(aspace_reply_result(reply));
}

int finish_output(int status, bool asked)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    complain("cannot write to standard output: %s%s", strerror(errno),
             status || !asked ? "" : "; but the daemon has done what it was asked");
    return status ? status : STATUS_REFUSED;
}
