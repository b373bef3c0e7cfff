/* Results about injected faults. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/session.h"
#include "ctl/table.h"

int print_injected(const struct args *args, const cJSON *result)
{
    (void)args;
    printf("fault %" PRIu64 "\n", json_number(result, "id"));
    return STATUS_DONE;
}

int print_uninjected(const struct args *args, const cJSON *result)
{
    uint64_t cleared = json_number(result, "cleared");

    (void)args;
    printf("cleared %" PRIu64 " fault%s\n", cleared, cleared == 1 ? "" : "s");
    return STATUS_DONE;
}

/* "nth 3" or "every 2". */
static void add_when(struct table *t, const cJSON *fault)
{
    const char *name = json_has(fault, "every") ? "every" : "nth";

    table_cellf(t, "%s %" PRIu64, name, json_number(fault, name));
}

static void add_within(struct table *t, const cJSON *fault)
{
    const cJSON *within = cJSON_GetObjectItemCaseSensitive(fault, "within");
    const cJSON *low = cJSON_GetArrayItem(within, 0);
    const cJSON *high = cJSON_GetArrayItem(within, 1);

    if (cJSON_IsString(low) && cJSON_IsString(high))
        table_cellf(t, "%s-%s", low->valuestring, high->valuestring);
    else
        table_cell(t, "");
}

int print_faults(const struct args *args, const cJSON *result)
{
    static const struct table_column columns[] = {{"ID", true},     {"OP", false},   {"WHEN", false}, {"WITHIN", false},
                                                  {"ERROR", false}, {"COUNT", true}, {"SEEN", true},  {"FIRED", true}};
    const cJSON *fault;
    struct table t;

    (void)args;
    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(fault, cJSON_GetObjectItemCaseSensitive(result, "faults"))
    {
        table_cellf(&t, "%" PRIu64, json_number(fault, "id"));
        table_cell(&t, json_text(fault, "op"));
        add_when(&t, fault);
        add_within(&t, fault);
        table_cell(&t, json_text(fault, "error"));
        table_cellf(&t, "%" PRIu64, json_number(fault, "count"));
        table_cellf(&t, "%" PRIu64, json_number(fault, "seen"));
        table_cellf(&t, "%" PRIu64, json_number(fault, "fired"));
    }
    table_flush(&t);
    table_free(&t);
    return STATUS_DONE;
}
