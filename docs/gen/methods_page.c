/* Prints docs/methods.md: the method table as a page for people. */
#include <stdio.h>

#include "ctl/help.h"
#include "proto/methods.h"

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

/* ---- Tables ---- */

static void print_param_type(const struct param_spec *spec)
{
    if (!spec->choices) {
        printf("%s", param_types[spec->type]);
        return;
    }
    if (spec->type == TYPE_CHOICES)
        printf("array of ");
    for (size_t i = 0; spec->choices[i]; i++)
        printf("%s`\"%s\"`", i ? ", " : "", spec->choices[i]);
}

static void print_params(const struct method *method)
{
    if (!method->param_count)
        return;
    printf("\n| parameter | type | required | default | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < method->param_count; i++) {
        const struct param_spec *spec = &method->params[i];
        const char *quote = spec->fallback ? "`" : "";

        printf("| `%s` | ", param_names[spec->id]);
        print_param_type(spec);
        printf(" | %s%s | %s%s%s | %s |\n", spec->required ? "yes" : "", spec->unless ? ", unless there is a tag" : "",
               quote, spec->fallback ? spec->fallback : "", quote, spec->doc);
    }
}

static void print_result(const struct method *method)
{
    if (method->traits & METHOD_RETURNS_SPACE) {
        printf("\nResult: a Space.\n");
    } else if (method->id == METHOD_RPC_DISCOVER) {
        printf("\nResult: the OpenRPC document.\n");
    } else if (!method->field_count) {
        printf("\nResult: `{}`.\n");
    } else {
        printf("\n| result | type | meaning |\n|---|---|---|\n");
        for (size_t i = 0; i < method->field_count; i++)
            printf("| `%s`%s | %s | %s |\n", method->fields[i].name, method->fields[i].optional ? " (optional)" : "",
                   field_types[method->fields[i].type], method->fields[i].doc);
    }
}

static void print_errors(const struct method *method)
{
    if (!method->errors[0])
        return;
    printf("\nErrors: ");
    for (size_t i = 0; method->errors[i]; i++)
        printf("%s%s (%d)", i ? ", " : "", aspace_error_name(method->errors[i]), method->errors[i]);
    printf(".\n");
}

static void print_method(const struct method *method)
{
    printf("\n## %s\n\n%s.\n", method->name, method->summary);
    if (method->verb) {
        putchar('\n');
        help_usage(method, "    ", stdout);
    }
    print_params(method);
    print_result(method);
    print_errors(method);
}

static void print_notifications(void)
{
    printf("\n## Notifications\n\nWhat the daemon tells without being asked, as JSON-RPC notifications with these "
           "params.\n");
    for (int i = 0; i < NOTIFY_COUNT; i++) {
        const struct notification *n = &notifications[i];

        printf("\n`%s`: %s.\n\n| param | type | meaning |\n|---|---|---|\n", n->name, n->summary);
        for (size_t f = 0; f < n->field_count; f++)
            printf("| `%s`%s | %s | %s |\n", n->fields[f].name, n->fields[f].optional ? " (optional)" : "",
                   field_types[n->fields[f].type], n->fields[f].doc);
    }
}

/* ---- The page ---- */

static void print_index(void)
{
    printf("| method | `aspacectl` | |\n|---|---|---|\n");
    for (int i = 0; i < METHOD_COUNT; i++) {
        const char *quote = methods[i].verb ? "`" : "";

        printf("| `%s` | %s%s%s | %s |\n", methods[i].name, quote, methods[i].verb ? methods[i].verb : "", quote,
               methods[i].summary);
    }
}

static void print_error_codes(void)
{
    printf("\n## Errors\n\n");
    printf("Every method may also answer InvalidParams (-32602) or InternalError (-32603). `data.name` in an error\n"
           "reply is the name below, `data.param` the parameter to blame, `data.hint` what to do about it.\n\n");
    printf("| code | name | when |\n|---|---|---|\n");
#define X(code, id, name, err, text) printf("| %d | %s | %s |\n", code, name, text);
    ASPACE_ERROR_MAP(X)
#undef X
}

static void print_types(void)
{
    printf("\n## Values\n\n| type | written as |\n|---|---|\n");
    printf("| address | `\"0x1000\"`, a decimal string, or an integer up to 2^53; replies have `\"0x1000\"` |\n");
    printf("| size | as an address; strings also with `K`, `M`, `G` or `T` after it, powers of 1024 |\n");
    printf("| count | an integer |\n");
    printf("| name | 1 to 64 of `A-Z a-z 0-9 . _ -`, with no `.` or `-` first |\n");
    printf("| text | 1 to 1023 bytes of UTF-8 without NUL |\n");
    printf("| flags | `\"rw-\"`, then attributes: `\"rw-,kernel,global,device,uncached,shared\"` |\n");
    printf("| change | `\"+w\"`, `\"-x\"`, `\"+r-w\"`, `\"+w,-global\"`. What can be read as flags is flags: "
           "`\"-wx\"` allows w and x, and not r |\n");
    printf("| range | `[lo, hi]`: two addresses, half-open |\n");
    printf("| base64, hex | a string, RFC 4648 with padding; pairs of hex digits |\n");
    printf("| Area | `{start, end, size, flags, backing, tag?, pa?, path?, offset?}` |\n");
    printf(
        "| Space | `{name, backend, arch or pid, agent?, range, page_size, merge, generation, areas, mapped, resident, "
        "tag?, snapshots?}` |\n");
    printf("| Level | `{level, table, index, entry, flags, present, leaf}` |\n");
    printf(
        "| TableEntry | `{start, size, name, level, table, index, entry, flags, present, leaf, count, pa, bits}`: an "
        "entry that leads to a table (`count` is 1), or `count` leaves alike from `index` on, whose frames follow "
        "each other from `pa` on; `name` is that of the level, `bits` what the first entry has beside its address, "
        "both by the architecture's names |\n");
    printf("| Fault | `{reason, addr, code, area}` |\n");
    printf("| Snapshot | `{name, generation, areas, mapped, resident}`: the space as it was |\n");
    printf("| Difference | `{kind, before?, after?}`: an event without its space |\n");
    printf("| InjectedFault | `{id, op, nth or every, within?, error, count, seen, fired}`: `seen` operations since "
           "it was set, `fired` of which it failed |\n");
}

int main(void)
{
    printf("# Methods\n\n");
    printf("Made from the method table (proto/methods.c) by `methods_page`; do not edit it by hand. Params go by\n"
           "name, or by position in the order of the tables.\n\n");
    print_index();
    for (int i = 0; i < METHOD_COUNT; i++)
        print_method(&methods[i]);
    print_notifications();
    print_types();
    print_error_codes();
    return fflush(stdout) == 0 ? 0 : 1;
}
