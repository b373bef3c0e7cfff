/* docs/methods.md: the method table as a page for people. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/methods.h"

#define LINE_MAX_SIZE 512

static const char *const param_types[] = {
    [TYPE_ADDR] = "address",
    [TYPE_SIZE] = "size",
    [TYPE_COUNT] = "count",
    [TYPE_NAME] = "name",
    [TYPE_TEXT] = "text",
    [TYPE_FLAGS] = "flags",
    [TYPE_RANGE] = "range",
    [TYPE_FLAGS_CHANGE] = "flags or change",
    [TYPE_BASE64] = "base64",
    [TYPE_HEX] = "hex",
    [TYPE_BOOL] = "boolean",
    [TYPE_OPS] = "operations",
    [TYPE_TEXTS] = "texts",
    [TYPE_NAMES] = "array of names",
    [TYPE_SPACE_AT] = "space or space@snapshot",
};

static const char *const field_types[] = {
    [FIELD_ADDR] = "address",
    [FIELD_SIZE] = "size",
    [FIELD_COUNT] = "count",
    [FIELD_BOOL] = "boolean",
    [FIELD_STRING] = "string",
    [FIELD_FLAGS] = "flags",
    [FIELD_BASE64] = "base64",
    [FIELD_OBJECT] = "object",
    [FIELD_AREA] = "Area",
    [FIELD_AREA_OR_NULL] = "Area or null",
    [FIELD_ADDR_OR_NULL] = "address or null",
    [FIELD_AREAS] = "array of Area",
    [FIELD_SPACES] = "array of Space",
    [FIELD_STRINGS] = "array of strings",
    [FIELD_LEVELS] = "array of Level",
    [FIELD_TABLE_ENTRIES] = "array of TableEntry",
    [FIELD_FAULT] = "Fault",
    [FIELD_RESULTS] = "array of results",
    [FIELD_INJECTED_FAULTS] = "array of InjectedFault",
    [FIELD_SNAPSHOTS] = "array of Snapshot",
    [FIELD_DIFFERENCES] = "array of Difference",
    [FIELD_RANGES] = "array of ranges",
};

/* What stands for a value on the command line. */
static const char *const value_words[] = {
    [TYPE_ADDR] = "ADDR",
    [TYPE_SIZE] = "SIZE",
    [TYPE_COUNT] = "N",
    [TYPE_NAME] = "NAME",
    [TYPE_TEXT] = "TEXT",
    [TYPE_FLAGS] = "FLAGS",
    [TYPE_RANGE] = "LO-HI",
    [TYPE_FLAGS_CHANGE] = "FLAGS",
    [TYPE_BASE64] = "BASE64",
    [TYPE_HEX] = "HEX",
    [TYPE_SPACE_AT] = "NAME[@SNAPSHOT]",
};

static void print(struct json_writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct json_writer *w, const char *format, ...)
{
    char line[LINE_MAX_SIZE];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    json_bytes(w, line, size < (int)sizeof(line) ? (size_t)size : sizeof(line) - 1);
}

/* ---- Usage ---- */

/* NEW_SIZE, new-size. */
static void print_word(struct json_writer *w, const struct param_spec *spec, bool placeholder)
{
    const char *name = placeholder && spec->id == PARAM_SPACE ? "name" : param_names[spec->id];

    for (; *name; name++) {
        char c = *name == '_' && !placeholder ? '-' : *name;

        print(w, "%c", placeholder && c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
}

static void print_choices(struct json_writer *w, const struct param_spec *spec, const char *prefix, size_t first)
{
    for (size_t i = first; spec->choices[i]; i++)
        print(w, "%s%s%s", i > first ? "|" : "", prefix, spec->choices[i]);
}

static void print_place(struct json_writer *w, const struct param_spec *spec)
{
    print(w, " ");
    if (spec->type == TYPE_CHOICE)
        print_choices(w, spec, "", 0);
    else
        print_word(w, spec, true);
    if (spec->cli == CLI_PLACE)
        print(w, "|any");
}

static void print_option(struct json_writer *w, const struct param_spec *spec)
{
    print(w, spec->required ? " " : " [");
    if (spec->cli == CLI_CHOICE_FLAG) {
        print_choices(w, spec, "--", !spec->required);
    } else if (spec->cli == CLI_REST) {
        print(w, "-- ");
        print_word(w, spec, true);
        print(w, "...");
    } else {
        print(w, "--");
        print_word(w, spec, false);
        print(w, spec->type == TYPE_BOOL ? "" : " ");
        if (spec->type == TYPE_CHOICE)
            print_choices(w, spec, "", 0);
        else if (spec->type != TYPE_BOOL)
            print(w, "%s", value_words[spec->type]);
    }
    print(w, spec->required ? "" : "]");
}

static void print_usage(struct json_writer *w, const struct method *method)
{
    if (!method->verb)
        return;
    print(w, "\n    aspacectl %s", method->verb);
    for (unsigned place = 1; place <= method->param_count; place++) {
        for (size_t i = 0; i < method->param_count; i++) {
            if (method->params[i].place == place)
                print_place(w, &method->params[i]);
        }
    }
    for (size_t i = 0; i < method->param_count; i++) {
        if (!method->params[i].place)
            print_option(w, &method->params[i]);
    }
    print(w, "\n");
}

/* ---- Tables ---- */

static void print_param_type(struct json_writer *w, const struct param_spec *spec)
{
    if (!spec->choices) {
        print(w, "%s", param_types[spec->type]);
        return;
    }
    if (spec->type == TYPE_CHOICES)
        print(w, "array of ");
    for (size_t i = 0; spec->choices[i]; i++)
        print(w, "%s`\"%s\"`", i ? ", " : "", spec->choices[i]);
}

static void print_params(struct json_writer *w, const struct method *method)
{
    if (!method->param_count)
        return;
    print(w, "\n| parameter | type | required | default | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < method->param_count; i++) {
        const struct param_spec *spec = &method->params[i];
        const char *quote = spec->fallback ? "`" : "";

        print(w, "| `%s` | ", param_names[spec->id]);
        print_param_type(w, spec);
        print(w, " | %s%s | %s%s%s | %s |\n", spec->required ? "yes" : "",
              spec->unless ? ", unless there is a tag" : "", quote, spec->fallback ? spec->fallback : "", quote,
              spec->doc);
    }
}

static void print_result(struct json_writer *w, const struct method *method)
{
    if (method->traits & METHOD_RETURNS_SPACE) {
        print(w, "\nResult: a Space.\n");
    } else if (method->id == METHOD_RPC_DISCOVER) {
        print(w, "\nResult: the OpenRPC document.\n");
    } else if (!method->field_count) {
        print(w, "\nResult: `{}`.\n");
    } else {
        print(w, "\n| result | type | meaning |\n|---|---|---|\n");
        for (size_t i = 0; i < method->field_count; i++)
            print(w, "| `%s`%s | %s | %s |\n", method->fields[i].name, method->fields[i].optional ? " (optional)" : "",
                  field_types[method->fields[i].type], method->fields[i].doc);
    }
}

static void print_errors(struct json_writer *w, const struct method *method)
{
    if (!method->errors[0])
        return;
    print(w, "\nErrors: ");
    for (size_t i = 0; method->errors[i]; i++)
        print(w, "%s%s (%d)", i ? ", " : "", aspace_error_name(method->errors[i]), method->errors[i]);
    print(w, ".\n");
}

static void print_method(struct json_writer *w, const struct method *method)
{
    print(w, "\n## %s\n\n%s.\n", method->name, method->summary);
    print_usage(w, method);
    print_params(w, method);
    print_result(w, method);
    print_errors(w, method);
}

static void print_notifications(struct json_writer *w)
{
    print(w, "\n## Notifications\n\nWhat the daemon tells without being asked, as JSON-RPC notifications with these "
             "params.\n");
    for (int i = 0; i < NOTIFY_COUNT; i++) {
        const struct notification *n = &notifications[i];

        print(w, "\n`%s`: %s.\n\n| param | type | meaning |\n|---|---|---|\n", n->name, n->summary);
        for (size_t f = 0; f < n->field_count; f++)
            print(w, "| `%s`%s | %s | %s |\n", n->fields[f].name, n->fields[f].optional ? " (optional)" : "",
                  field_types[n->fields[f].type], n->fields[f].doc);
    }
}

/* ---- The page ---- */

static void print_index(struct json_writer *w)
{
    print(w, "| method | `aspacectl` | |\n|---|---|---|\n");
    for (int i = 0; i < METHOD_COUNT; i++)
        print(w, "| `%s` | `%s` | %s |\n", methods[i].name, methods[i].verb ? methods[i].verb : "", methods[i].summary);
}

static void print_error_codes(struct json_writer *w)
{
    print(w, "\n## Errors\n\n");
    print(w, "Every method may also answer InvalidParams (-32602) or InternalError (-32603). `data.name` in an error\n"
             "reply is the name below, `data.param` the parameter to blame, `data.hint` what to do about it.\n\n");
    print(w, "| code | name | when |\n|---|---|---|\n");
#define X(code, id, name, err, text) print(w, "| %d | %s | %s |\n", code, name, text);
    ASPACE_ERROR_MAP(X)
#undef X
}

static void print_types(struct json_writer *w)
{
    print(w, "\n## Values\n\n| type | written as |\n|---|---|\n");
    print(w, "| address | `\"0x1000\"`, a decimal string, or an integer up to 2^53; replies have `\"0x1000\"` |\n");
    print(w, "| size | as an address; strings also with `K`, `M`, `G` or `T` after it, powers of 1024 |\n");
    print(w, "| count | an integer |\n");
    print(w, "| name | 1 to 64 of `A-Z a-z 0-9 . _ -`, with no `.` or `-` first |\n");
    print(w, "| text | 1 to 1023 bytes of UTF-8 without NUL |\n");
    print(w, "| flags | `\"rw-\"`, then attributes: `\"rw-,kernel,global,device,uncached,shared\"` |\n");
    print(w, "| change | `\"+w\"`, `\"-x\"`, `\"+r-w\"`, `\"+w,-global\"`. What can be read as flags is flags: "
             "`\"-wx\"` allows w and x, and not r |\n");
    print(w, "| range | `[lo, hi]`: two addresses, half-open |\n");
    print(w, "| base64, hex | a string, RFC 4648 with padding; pairs of hex digits |\n");
    print(w, "| Area | `{start, end, size, flags, backing, tag?, pa?, path?, offset?}` |\n");
    print(w, "| Space | `{name, backend, arch, range, page_size, merge, generation, areas, mapped, resident, tag?, "
             "snapshots?}` |\n");
    print(w, "| Level | `{level, table, index, entry, flags, present, leaf}` |\n");
    print(w,
          "| TableEntry | `{start, size, name, level, table, index, entry, flags, present, leaf, count, pa, bits}`: an "
          "entry that leads to a table (`count` is 1), or `count` leaves alike from `index` on, whose frames follow "
          "each other from `pa` on; `name` is that of the level, `bits` what the first entry has beside its address, "
          "both by the architecture's names |\n");
    print(w, "| Fault | `{reason, addr, code, area}` |\n");
    print(w, "| InjectedFault | `{id, op, nth or every, within?, error, count, seen, fired}`: `seen` operations since "
             "it was set, `fired` of which it failed |\n");
}

void methods_write_page(struct json_writer *w)
{
    print(w, "# Methods\n\n");
    print(w, "Made from the method table (proto/methods.c) by `methods_page`; do not edit it by hand. Params go by\n"
             "name, or by position in the order of the tables.\n\n");
    print_index(w);
    for (int i = 0; i < METHOD_COUNT; i++)
        print_method(w, &methods[i]);
    print_notifications(w);
    print_types(w);
    print_error_codes(w);
}
