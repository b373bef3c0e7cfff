/* aspacectl: the options that all verbs share, then the verb. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aspace/version.h"
#include "base/descriptors.h"
#include "ctl/help.h"
#include "ctl/verbs.h"

#define TIMEOUT_MAX_S 1e6

/* The command line without the shared options, which may stand anywhere before `--`. */
struct command_line {
    char **words;
    int count;
    bool help;
    bool version;
};

static bool read_timeout(const char *text, int *ret_ms)
{
    char *end;
    double seconds;

    errno = 0;
    seconds = strtod(text, &end);
    if (errno || end == text || *end || !(seconds > 0 && seconds <= TIMEOUT_MAX_S))
        return false;
    *ret_ms = seconds < 0.001 ? 1 : (int)(seconds * 1000);
    return true;
}

static int set_socket(struct session *s, const char *value)
{
    s->socket = value;
    return *value ? STATUS_DONE : usage_error("--socket wants a path");
}

static int set_timeout(struct session *s, const char *value)
{
    if (read_timeout(value, &s->timeout_ms))
        return STATUS_DONE;
    return usage_error("--timeout wants seconds, such as 5 or 0.5, not \"%.40s\"", value);
}

/* --name VALUE or --name=VALUE: the value, or NULL if `word` is another option. *at is moved past a value that is a
 * word of its own. */
static const char *value_of(const char *name, int argc, char **argv, int *at, int *ret_status)
{
    size_t size = strlen(name);
    const char *word = argv[*at];

    if (strncmp(word, name, size) != 0 || (word[size] != '\0' && word[size] != '='))
        return NULL;
    if (word[size] == '=')
        return word + size + 1;
    if (*at + 1 < argc)
        return argv[++*at];
    *ret_status = usage_error("%s wants a value after it", name);
    return "";
}

/* Whether argv[*at] is a shared option; if so it is taken in. */
static bool take_shared(struct session *s, struct command_line *line, int argc, char **argv, int *at, int *ret_status)
{
    const char *word = argv[*at];
    const char *value;

    *ret_status = STATUS_DONE;
    if (strcmp(word, "--json") == 0)
        s->json = true;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        line->help = true;
    else if (strcmp(word, "--version") == 0)
        line->version = true;
    else if ((value = value_of("--socket", argc, argv, at, ret_status)))
        *ret_status = *ret_status ? *ret_status : set_socket(s, value);
    else if ((value = value_of("--timeout", argc, argv, at, ret_status)))
        *ret_status = *ret_status ? *ret_status : set_timeout(s, value);
    else
        return false;
    return true;
}

/* What follows `run` is for the daemon and the command, `--help` as the first word apart. */
static bool is_run(const struct command_line *line, const char *next)
{
    return line->count && strcmp(line->words[0], "run") == 0 && strcmp(next, "--help") != 0;
}

static int read_command_line(int argc, char **argv, struct session *s, struct command_line *line)
{
    int at = 1;

    for (; at < argc && strcmp(argv[at], "--") != 0 && !is_run(line, argv[at]); at++) {
        int status;

        if (take_shared(s, line, argc, argv, &at, &status)) {
            if (status)
                return status;
        } else if (line->count == 0 && argv[at][0] == '-') {
            return usage_error("there is no option %.80s before the verb; see: aspacectl help", argv[at]);
        } else {
            line->words[line->count++] = argv[at];
        }
    }
    while (at < argc)
        line->words[line->count++] = argv[at++];
    return STATUS_DONE;
}

static int run_verb(struct session *s, char **words, int count)
{
    const struct client_verb *own = client_verb_by_name(words[0]);
    const struct method *method = method_by_verb(words[0]);

    if (own)
        return own->run(s, words + 1, count - 1);
    if (method)
        return run_method(s, method, words + 1, count - 1);
    return unknown_verb(words[0]);
}

static int run_line(struct session *s, const struct command_line *line)
{
    if (line->version) {
        printf("aspacectl %s (protocol %d)\n", ASPACE_VERSION, ASPACE_PROTOCOL);
        return STATUS_DONE;
    }
    if (line->help)
        return run_help(s, line->words, line->count ? 1 : 0);
    if (line->count == 0) {
        help_overview(stderr);
        return STATUS_USAGE;
    }
    return run_verb(s, line->words, line->count);
}

int main(int argc, char **argv)
{
    struct session session = {.timeout_ms = ASPACE_FOREVER};
    struct command_line line = {0};
    bool asked;
    int status;

    if (!descriptors_fill_standard())
        return STATUS_REFUSED;
    signal(SIGPIPE, SIG_IGN);
    line.words = calloc((size_t)argc + 1, sizeof(*line.words));
    if (!line.words) {
        complain("out of memory");
        return STATUS_REFUSED;
    }
    status = read_command_line(argc, argv, &session, &line);
    if (!status)
        status = run_line(&session, &line);
    asked = session.client != NULL;
    session_close(&session);
    free(line.words);
    return finish_output(status, asked);
}
