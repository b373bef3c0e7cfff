/* The pages of `aspacectl help`. */
#include "ctl/help.h"

#include <stdarg.h>
#include <string.h>

#include "aspace/error.h"
#include "ctl/session.h"
#include "ctl/verbs.h"

#define LINE_WIDTH  100
#define LABEL_WIDTH 26

/* ---- The usage line ---- */

struct line {
    FILE *file;
    int indent;
    int used;
};

static void add_word(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A word after a space, on a new line if it would pass the width. */
static void add_word(struct line *line, const char *format, ...)
{
    char word[240];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(word, sizeof(word), format, args);
    va_end(args);
    if (line->used + 1 + size > LINE_WIDTH) {
        fprintf(line->file, "\n%*s", line->indent, "");
        line->used = line->indent;
    }
    fprintf(line->file, " %s", word);
    line->used += 1 + size;
}

static void join_choices(const struct param_spec *spec, const char *prefix, char *buffer, size_t size)
{
    size_t used = 0;

    buffer[0] = '\0';
    for (size_t i = 0; spec->choices[i] && used < size; i++) {
        if (*prefix && !args_choice_is_flag(spec, i))
            continue;
        used += (size_t)snprintf(buffer + used, size - used, "%s%s%s", used ? "|" : "", prefix, spec->choices[i]);
    }
}

/* What stands for an option's value. */
static const char *value_text(const struct param_spec *spec, char *buffer, size_t size)
{
    static const char *const names[] = {
        [TYPE_ADDR] = "ADDR",
        [TYPE_SIZE] = "SIZE",
        [TYPE_COUNT] = "N",
        [TYPE_NAME] = "NAME",
        [TYPE_TEXT] = "TEXT",
        [TYPE_FLAGS] = "FLAGS",
        [TYPE_FLAGS_CHANGE] = "FLAGS",
        [TYPE_RANGE] = "LO-HI",
        [TYPE_BASE64] = "BASE64",
        [TYPE_HEX] = "HEX",
        [TYPE_SPACE_AT] = "NAME[@SNAPSHOT]",
    };

    if (spec->type != TYPE_CHOICE)
        return names[spec->type];
    join_choices(spec, "", buffer, size);
    return buffer;
}

/* The parameter as one writes it: "START|any", "--ram SIZE", "--left|--right". */
static void param_usage(const struct param_spec *spec, char *buffer, size_t size)
{
    char name[PARAM_TEXT_MAX];
    char value[160];

    switch (spec->cli) {
    case CLI_POSITIONAL:
    case CLI_PATH:
        if (spec->type == TYPE_CHOICE)
            join_choices(spec, "", buffer, size);
        else
            snprintf(buffer, size, "%s", args_placeholder(spec, name));
        break;
    case CLI_PLACE:
        snprintf(buffer, size, "%s|any", args_placeholder(spec, name));
        break;
    case CLI_OPTION:
        snprintf(buffer, size, "--%s%s%s", args_option_name(spec, name), spec->type == TYPE_BOOL ? "" : " ",
                 spec->type == TYPE_BOOL ? "" : value_text(spec, value, sizeof(value)));
        break;
    case CLI_REST:
        snprintf(buffer, size, "-- %s...", args_placeholder(spec, name));
        break;
    case CLI_CHOICE_FLAG:
        join_choices(spec, "--", buffer, size);
        break;
    }
}

static void extra_usage(const struct extra_spec *extra, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s%s%s%s", extra->name ? "--" : "", extra->name ? extra->name : "",
             extra->name && extra->value ? " " : "", extra->value ? extra->value : "");
}

static void add_param(struct line *line, const struct param_spec *spec)
{
    char text[200];

    param_usage(spec, text, sizeof(text));
    if (args_is_required(spec))
        add_word(line, "%s", text);
    else
        add_word(line, "[%s]", text);
}

/* All that is no positional; what takes every word after -- stands last. */
static size_t options_of(const struct method *method, const struct param_spec **ret)
{
    const struct param_spec *rest = NULL;
    size_t count = 0;

    for (size_t i = 0; i < method->param_count; i++) {
        const struct param_spec *spec = &method->params[i];

        if (spec->cli == CLI_REST)
            rest = spec;
        else if (spec->cli == CLI_OPTION || spec->cli == CLI_CHOICE_FLAG)
            ret[count++] = spec;
    }
    if (rest)
        ret[count++] = rest;
    return count;
}

/* The option that stands in the place of some positionals: --tag instead of START SIZE. NULL: there is none. */
static const struct param_spec *alternative_of(const struct method *method)
{
    enum param_id unless = 0;

    for (size_t i = 0; i < method->param_count; i++)
        unless = method->params[i].unless ? method->params[i].unless : unless;
    for (size_t i = 0; unless && i < method->param_count; i++) {
        if (method->params[i].id == unless)
            return &method->params[i];
    }
    return NULL;
}

static void add_positionals(struct line *line, const struct method *method)
{
    const struct param_spec *all[PARAM_COUNT];
    size_t count = args_positionals(method, all);
    char text[200];

    for (size_t i = 0; i < count; i++) {
        if (all[i]->unless && !all[i - 1]->unless) /* the first is the space */
            add_word(line, "{");
        add_param(line, all[i]);
        if (all[i]->unless && (i + 1 == count || !all[i + 1]->unless)) {
            param_usage(alternative_of(method), text, sizeof(text));
            add_word(line, "| %s }", text);
        }
    }
}

void help_usage(const struct method *method, const char *lead, FILE *file)
{
    const struct param_spec *options[PARAM_COUNT];
    size_t count = options_of(method, options);
    struct line line = {file, 0, 0};
    char text[80];

    line.used = fprintf(file, "%saspacectl %s", lead, method->verb);
    line.indent = line.used;
    add_positionals(&line, method);
    for (size_t i = 0; i < extra_count; i++) {
        if (extras[i].method != method->id)
            continue;
        extra_usage(&extras[i], text, sizeof(text));
        add_word(&line, "[%s]", text);
    }
    for (size_t i = 0; i < count; i++) {
        if (options[i] != alternative_of(method))
            add_param(&line, options[i]);
    }
    fputc('\n', file);
}

/* ---- One verb ---- */

/* On as many lines as it takes, each from `line`'s indent on. */
static void add_text(struct line *line, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, " ");

        add_word(line, "%.*s", (int)size, text);
        text += size + strspn(text + size, " ");
    }
    fputc('\n', line->file);
}

static void print_entry(const char *label, const char *text)
{
    struct line line = {stdout, LABEL_WIDTH + 3, LABEL_WIDTH + 3};

    if (strlen(label) > LABEL_WIDTH)
        printf("  %s\n%*s", label, line.indent, "");
    else
        printf("  %-*s ", LABEL_WIDTH, label);
    add_text(&line, text);
}

static void print_param(const struct param_spec *spec)
{
    const char *fallback = spec->cli == CLI_OPTION && spec->type != TYPE_BOOL ? spec->fallback : NULL;
    char label[200];
    char text[400];

    param_usage(spec, label, sizeof(label));
    snprintf(text, sizeof(text), "%s%s%s%s", spec->doc, fallback ? " (" : "", fallback ? fallback : "",
             fallback ? ")" : "");
    print_entry(label, text);
}

static void print_params(const struct method *method)
{
    const struct param_spec *all[PARAM_COUNT];
    size_t count = args_positionals(method, all);
    char label[80];

    for (size_t i = 0; i < count; i++)
        print_param(all[i]);
    for (size_t i = 0; i < extra_count; i++) {
        if (extras[i].method != method->id)
            continue;
        extra_usage(&extras[i], label, sizeof(label));
        print_entry(label, extras[i].doc);
    }
    count = options_of(method, all);
    for (size_t i = 0; i < count; i++)
        print_param(all[i]);
}

static void print_method(const struct method *method)
{
    printf("%s\n\n", method->summary);
    help_usage(method, "usage: ", stdout);
    if (method->param_count) {
        putchar('\n');
        print_params(method);
    }
    if (method->id == METHOD_AREA_LIST)
        puts("\nThe table holds all areas, however many replies that takes; --limit and --json ask for one reply.");
    printf("\nThe method is %s.", method->name);
    for (size_t i = 0; method->errors && method->errors[i]; i++)
        printf("%s %s", i ? "," : " Refused with:", aspace_error_name(method->errors[i]));
    printf("%s\n", method->errors && method->errors[0] ? "." : "");
}

static void print_client_verb(const struct client_verb *verb)
{
    printf("%s\n\nusage: aspacectl %s %s\n", verb->summary, verb->name, verb->usage);
    if (*verb->text)
        printf("\n%s", verb->text);
}

/* False if there is none of that name. */
static bool help_verb(const char *verb)
{
    const struct client_verb *own = client_verb_by_name(verb);
    const struct method *method = method_by_verb(verb);

    if (own)
        print_client_verb(own);
    else if (method)
        print_method(method);
    return own || method;
}

/* ---- All verbs ---- */

static const char options_text[] =
    "Options, before the verb or after it:\n"
    "  --socket PATH   the daemon's socket; else $ASPACED_SOCKET, else $XDG_RUNTIME_DIR/aspaced.sock,\n"
    "                  else /run/aspaced/aspaced.sock for root, else /tmp/aspaced-UID/aspaced.sock\n"
    "  --json          print exactly the result object that the daemon sent\n"
    "  --timeout S     give up when an answer takes longer than S seconds\n"
    "  --help, --version\n";

static const char values_text[] =
    "Addresses are 0x1000 or decimal; sizes too, and 4K, 2M, 1G, 1T. Flags are rw- and the like, then attributes "
    "after\n"
    "commas: rw-,kernel. A word after -- is never an option.\n"
    "\n"
    "Exit status: 0 done, 1 refused, 2 usage, 3 no daemon or connection lost, 4 timeout.\n";

void help_overview(FILE *file)
{
    fputs("aspacectl: looks at and changes the address spaces that aspaced keeps\n"
          "\n"
          "usage: aspacectl [--socket PATH] [--json] [--timeout S] VERB ...\n"
          "\n"
          "Verbs (aspacectl help VERB says all about one):\n",
          file);
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (methods[i].verb)
            fprintf(file, "  %-10s  %s\n", methods[i].verb, methods[i].summary);
    }
    for (size_t i = 0; i < client_verb_count; i++)
        fprintf(file, "  %-10s  %s\n", client_verbs[i].name, client_verbs[i].summary);
    fprintf(file, "\n%s\n%s", options_text, values_text);
}

int run_help(struct session *s, char **words, int count)
{
    (void)s;
    if (count > 1)
        return usage_error("help takes one verb: aspacectl help %s", words[0]);
    if (count == 0)
        help_overview(stdout);
    else if (!help_verb(words[0]))
        return unknown_verb(words[0]);
    return STATUS_DONE;
}
