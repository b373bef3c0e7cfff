/* Results about the daemon itself. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/session.h"
#include "ctl/table.h"

int print_discover(const struct args *args, const cJSON *result)
{
    static const struct table_column columns[] = {{"METHOD", false}, {"WHAT IT DOES", false}};
    const cJSON *method;
    struct table t;

    (void)args;
    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(method, cJSON_GetObjectItemCaseSensitive(result, "methods"))
    {
        table_cell(&t, json_text(method, "name"));
        table_cell(&t, json_text(method, "summary"));
    }
    table_flush(&t);
    table_free(&t);
    puts("\nThe whole OpenRPC document: aspacectl --json discover");
    return STATUS_DONE;
}

static void add_time(struct table *t, const cJSON *method, const char *name)
{
    table_cellf(t, "%.1f", (double)json_number(method, name) / 1000);
}

static void print_methods(const cJSON *by_method)
{
    static const struct table_column columns[] = {{"METHOD", false}, {"REQUESTS", true}, {"ERRORS", true},
                                                  {"P50 us", true},  {"P99 us", true},   {"P99.9 us", true},
                                                  {"MAX us", true}};
    const cJSON *method;
    struct table t;

    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(method, by_method)
    {
        table_cell(&t, method->string);
        table_cellf(&t, "%" PRIu64, json_number(method, "requests"));
        table_cellf(&t, "%" PRIu64, json_number(method, "errors"));
        add_time(&t, method, "p50_ns");
        add_time(&t, method, "p99_ns");
        add_time(&t, method, "p999_ns");
        add_time(&t, method, "max_ns");
    }
    table_flush(&t);
    table_free(&t);
}

/* The methods get a table of their own. */
int print_stats(const struct args *args, const cJSON *result)
{
    cJSON *rest;
    cJSON *by_method;

    if (args->extra[EXTRA_OPENMETRICS]) {
        print_openmetrics(result);
        return STATUS_DONE;
    }
    rest = cJSON_Duplicate(result, true);
    by_method = cJSON_DetachItemFromObjectCaseSensitive(rest, "methods");
    print_members(rest, 0);
    if (by_method && by_method->child) {
        putchar('\n');
        print_methods(by_method);
    }
    cJSON_Delete(by_method);
    cJSON_Delete(rest);
    return STATUS_DONE;
}
