/* Command lines read by the method table: nothing here knows a verb but for the extras. */
#include "ctl/args.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/arg_value.h"

const struct extra_spec extras[] = {
    {EXTRA_OPENMETRICS, METHOD_DAEMON_STATS, "openmetrics", NULL, "as OpenMetrics text, for Prometheus and its like"},
    {EXTRA_HOLES, METHOD_AREA_LIST, "holes", NULL, "show the free ranges as rows too"},
    {EXTRA_RAW, METHOD_MEMORY_READ, "raw", NULL, "the bytes themselves to standard output"},
    {EXTRA_TEXT, METHOD_MEMORY_WRITE, NULL, "TEXT", "the bytes, as text"},
    {EXTRA_FILE, METHOD_MEMORY_WRITE, "file", "FILE", "the bytes of a file; - is standard input"},
};
const size_t extra_count = sizeof(extras) / sizeof(extras[0]);

/* ---- Names ---- */

const char *args_placeholder(const struct param_spec *spec, char *buffer)
{
    snprintf(buffer, PARAM_TEXT_MAX, "%s", spec->word ? spec->word : param_names[spec->id]);
    for (char *c = buffer; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return buffer;
}

const char *args_option_name(const struct param_spec *spec, char *buffer)
{
    snprintf(buffer, PARAM_TEXT_MAX, "%s", param_names[spec->id]);
    for (char *c = buffer; *c; c++)
        *c = *c == '_' ? '-' : *c;
    return buffer;
}

bool args_choice_is_flag(const struct param_spec *spec, size_t i)
{
    return spec->required || i > 0;
}

bool args_is_required(const struct param_spec *spec)
{
    return spec->required || spec->cli == CLI_PLACE;
}

static bool is_positional(const struct param_spec *spec)
{
    return spec->cli == CLI_POSITIONAL || spec->cli == CLI_PLACE || spec->cli == CLI_PATH;
}

size_t args_positionals(const struct method *method, const struct param_spec **ret)
{
    size_t count = 0;

    for (size_t i = 0; i < method->param_count; i++) {
        size_t at = count;

        if (!is_positional(&method->params[i]))
            continue;
        for (; at > 0 && ret[at - 1]->place > method->params[i].place; at--)
            ret[at] = ret[at - 1];
        ret[at] = &method->params[i];
        count++;
    }
    return count;
}

/* The positionals that the words given do not replace. */
static size_t expected(const struct args *args, const struct param_spec **ret)
{
    size_t count = args_positionals(args->method, ret);
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (!args->tagged || !ret[i]->unless)
            ret[kept++] = ret[i];
    }
    return kept;
}

/* ---- Values ---- */

static bool fail(struct args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct args *args, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(args->problem, sizeof(args->problem), format, list);
    va_end(list);
    return false;
}

static void add_problem(struct args *args, const char *more)
{
    size_t used = strlen(args->problem);

    snprintf(args->problem + used, sizeof(args->problem) - used, "%s", more);
}

static bool set_value(struct args *args, const struct param_spec *spec, const char *label, const char *text)
{
    const char *shape = spec->type == TYPE_CHOICE ? NULL : arg_wanted(spec, text);
    char choices[160];

    if (args->value[spec->id])
        return fail(args, "%s is given twice", label);
    if (!arg_is_utf8(text))
        return fail(args, "%s is not valid UTF-8", label);
    if (spec->type == TYPE_CHOICE && !arg_is_choice(spec, text)) {
        arg_list_choices(spec, choices, sizeof(choices));
        return fail(args, "%s is %s, not \"%.80s\"", label, choices, text);
    }
    if (shape)
        return fail(args, "%s wants %s, not \"%.80s\"", label, shape, text);
    args->value[spec->id] = text;
    return true;
}

/* ---- Words ---- */

struct words {
    char *const *word;
    int count;
    int at;
};

/* One option of a verb, found by its name. */
struct option {
    const struct param_spec *spec;
    const char *choice; /* of a choice flag */
    const struct extra_spec *extra;
};

static bool same(const char *name, const char *text, size_t size)
{
    return strlen(name) == size && memcmp(name, text, size) == 0;
}

static bool find_choice(const struct param_spec *spec, const char *name, size_t size, struct option *ret)
{
    for (size_t i = 0; spec->choices[i]; i++) {
        if (args_choice_is_flag(spec, i) && same(spec->choices[i], name, size)) {
            ret->spec = spec;
            ret->choice = spec->choices[i];
            return true;
        }
    }
    return false;
}

static bool find_option(const struct method *method, const char *name, size_t size, struct option *ret)
{
    char text[PARAM_TEXT_MAX];

    *ret = (struct option){0};
    for (size_t i = 0; i < extra_count; i++) {
        if (extras[i].method == method->id && extras[i].name && same(extras[i].name, name, size)) {
            ret->extra = &extras[i];
            return true;
        }
    }
    for (size_t i = 0; i < method->param_count; i++) {
        const struct param_spec *spec = &method->params[i];

        if (spec->cli == CLI_CHOICE_FLAG && find_choice(spec, name, size, ret))
            return true;
        if (spec->cli == CLI_OPTION && same(args_option_name(spec, text), name, size)) {
            ret->spec = spec;
            return true;
        }
    }
    return false;
}

static bool set_option(struct args *args, const struct option *option, const char *label, const char *value)
{
    if (option->choice && args->value[option->spec->id])
        return fail(args, "%s: there is --%s already", label, args->value[option->spec->id]);
    if (option->spec)
        return set_value(args, option->spec, label, option->choice ? option->choice : value ? value : "true");
    if (args->extra[option->extra->id])
        return fail(args, "%s is given twice", label);
    args->extra[option->extra->id] = value ? value : "";
    return true;
}

/* --name, --name VALUE or --name=VALUE. */
static bool read_option(struct args *args, struct words *words)
{
    const char *word = words->word[words->at++];
    const char *equals = strchr(word, '=');
    size_t size = equals ? (size_t)(equals - word) : strlen(word);
    const char *value = equals ? equals + 1 : NULL;
    struct option option;
    char label[80];
    bool takes_value;

    if (!find_option(args->method, word + 2, size - 2, &option))
        return fail(args, "%s has no option %.*s", args->method->verb, (int)size, word);
    snprintf(label, sizeof(label), "%.*s", (int)size, word);
    takes_value = option.spec ? !option.choice && option.spec->type != TYPE_BOOL : option.extra->value != NULL;
    if (value && !takes_value)
        return fail(args, "%s takes no value", label);
    if (takes_value && !value) {
        if (words->at == words->count)
            return fail(args, "%s wants a value after it", label);
        value = words->word[words->at++];
    }
    return set_option(args, &option, label, value);
}

static const struct extra_spec *positional_extra(const struct method *method)
{
    for (size_t i = 0; i < extra_count; i++) {
        if (extras[i].method == method->id && !extras[i].name)
            return &extras[i];
    }
    return NULL;
}

static bool is_flags(const struct param_spec *spec)
{
    return spec->type == TYPE_FLAGS || spec->type == TYPE_FLAGS_CHANGE;
}

/* "---" and "--x" are flags where flags stand. */
static bool is_option_word(const struct args *args, size_t at, const char *word)
{
    const struct param_spec *all[PARAM_COUNT];
    size_t count = expected(args, all);

    if (strncmp(word, "--", 2) != 0)
        return false;
    return at >= count || !is_flags(all[at]) || arg_wanted(all[at], word);
}

/* A word such as -z, where nothing may begin like that. */
static bool is_stray_option(const struct param_spec *spec, const char *word)
{
    return word[0] == '-' && word[1] && !is_flags(spec) && spec->type != TYPE_TEXT;
}

static bool set_positional(struct args *args, size_t at, const char *word, bool plain)
{
    const struct param_spec *all[PARAM_COUNT];
    size_t count = expected(args, all);
    const struct extra_spec *extra = positional_extra(args->method);
    char label[PARAM_TEXT_MAX];

    if (at == count && extra) {
        args->extra[extra->id] = word;
        return true;
    }
    if (at >= count)
        return fail(args, "what is \"%.80s\"? %s takes no more words", word, args->method->verb);
    if (!plain && is_stray_option(all[at], word))
        return fail(args, "%s has no option %.80s", args->method->verb, word);
    if (all[at]->cli == CLI_PLACE && strcmp(word, "any") == 0)
        return true;
    if (set_value(args, all[at], args_placeholder(all[at], label), word))
        return true;
    if (count < args_positionals(args->method, all))
        add_problem(args, "; with --tag there is no START and SIZE");
    return false;
}

/* ---- The whole ---- */

static bool check_positionals(struct args *args, size_t given)
{
    const struct param_spec *all[PARAM_COUNT];
    size_t count = expected(args, all);
    char label[PARAM_TEXT_MAX];

    if (given >= count || !args_is_required(all[given]))
        return true;
    return fail(args, "%s wants %s%s", args->method->verb, args_placeholder(all[given], label),
                all[given]->cli == CLI_PLACE ? " (an address, or any)" : "");
}

static bool check_choices(struct args *args)
{
    char choices[160];
    char label[PARAM_TEXT_MAX];

    for (size_t i = 0; i < args->method->param_count; i++) {
        const struct param_spec *spec = &args->method->params[i];

        if (!spec->required || args->value[spec->id] || spec->unless)
            continue;
        if (spec->cli == CLI_OPTION)
            return fail(args, "%s wants --%s", args->method->verb, args_option_name(spec, label));
        arg_list_choices(spec, choices, sizeof(choices));
        return fail(args, "%s wants one of the options %s, each with -- before it", args->method->verb, choices);
    }
    return true;
}

/* Whether --tag stands among the words: it decides what the words before it mean. */
static bool has_tag(char *const *words, int count)
{
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
        if (strcmp(words[i], "--tag") == 0 || strncmp(words[i], "--tag=", 6) == 0)
            return true;
    }
    return false;
}

static const struct param_spec *rest_param(const struct method *method)
{
    for (size_t i = 0; i < method->param_count; i++) {
        if (method->params[i].cli == CLI_REST)
            return &method->params[i];
    }
    return NULL;
}

static bool read_rest(struct args *args, const struct words *left)
{
    args->rest = left->word + left->at;
    args->rest_count = left->count - left->at;
    if (args->rest_count == 0)
        return fail(args, "%s wants a command after --", args->method->verb);
    for (int i = 0; i < args->rest_count; i++) {
        if (!arg_is_utf8(args->rest[i]))
            return fail(args, "word %d after -- is not valid UTF-8", i + 1);
    }
    return true;
}

bool args_read(const struct method *method, char *const *words, int count, struct args *ret)
{
    struct words left = {words, count, 0};
    size_t positionals = 0;
    bool plain = false;

    *ret = (struct args){.method = method, .tagged = has_tag(words, count)};
    while (left.at < left.count) {
        const char *word = left.word[left.at];

        if (!plain && strcmp(word, "--") == 0) {
            plain = true;
            left.at++;
            if (rest_param(method)) {
                if (!read_rest(ret, &left))
                    return false;
                break;
            }
        } else if (!plain && is_option_word(ret, positionals, word)) {
            if (!read_option(ret, &left))
                return false;
        } else {
            if (!set_positional(ret, positionals++, word, plain))
                return false;
            left.at++;
        }
    }
    return check_positionals(ret, positionals) && check_choices(ret);
}

static void write_range(struct json_writer *w, const char *text)
{
    const char *high = arg_range_high(text);

    json_begin_array(w);
    json_string_n(w, text, (size_t)(high - 1 - text));
    json_string(w, high);
    json_end_array(w);
}

/* A relative path is meant from here; the daemon stands elsewhere. */
static void write_path(struct json_writer *w, const char *word)
{
    char here[PATH_MAX];
    char path[2 * PATH_MAX];

    if (!*word || word[0] == '/' || !getcwd(here, sizeof(here)) || !arg_is_utf8(here) ||
        (size_t)snprintf(path, sizeof(path), "%s/%s", here, word) >= sizeof(path))
        json_string(w, word);
    else
        json_string(w, path);
}

/* Without a slash it is searched by the daemon. */
static void write_program(struct json_writer *w, const char *word)
{
    if (strchr(word, '/'))
        write_path(w, word);
    else
        json_string(w, word);
}

static void write_value(struct json_writer *w, const struct param_spec *spec, const char *text)
{
    uint64_t number;

    if (spec->type == TYPE_COUNT && number_parse(text, strlen(text), false, &number))
        json_uint(w, number);
    else if (spec->type == TYPE_RANGE)
        write_range(w, text);
    else if (spec->cli == CLI_PATH)
        write_path(w, text);
    else if (spec->type == TYPE_OPS || spec->type == TYPE_BOOL)
        json_raw(w, text, strlen(text));
    else
        json_string(w, text);
}

static void write_rest(struct json_writer *w, const struct param_spec *spec, const struct args *args)
{
    json_name(w, param_names[spec->id]);
    json_begin_array(w);
    write_program(w, args->rest[0]);
    for (int i = 1; i < args->rest_count; i++)
        json_string(w, args->rest[i]);
    json_end_array(w);
}

void args_write(const struct args *args, struct json_writer *w)
{
    json_begin_object(w);
    for (size_t i = 0; i < args->method->param_count; i++) {
        const struct param_spec *spec = &args->method->params[i];

        if (spec->cli == CLI_REST && args->rest)
            write_rest(w, spec, args);
        if (!args->value[spec->id])
            continue;
        json_name(w, param_names[spec->id]);
        write_value(w, spec, args->value[spec->id]);
    }
    json_end_object(w);
}
