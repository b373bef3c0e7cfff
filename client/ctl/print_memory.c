/* Results about pages and accesses. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/session.h"
#include "ctl/size.h"
#include "ctl/table.h"

static const char *entry_state(const cJSON *level)
{
    if (!json_true(level, "present"))
        return "not present";
    return json_true(level, "leaf") ? "leaf" : "table";
}

int print_walk(const struct args *args, const cJSON *result)
{
    static const struct table_column columns[] = {{"LEVEL", true}, {"TABLE", true},  {"INDEX", true},
                                                  {"ENTRY", true}, {"FLAGS", false}, {"STATE", false}};
    const cJSON *level;
    char size[SIZE_TEXT_MAX];
    struct table t;

    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(level, cJSON_GetObjectItemCaseSensitive(result, "levels"))
    {
        table_cellf(&t, "%" PRIu64, json_number(level, "level"));
        table_cell(&t, json_text(level, "table"));
        table_cellf(&t, "%" PRIu64, json_number(level, "index"));
        table_cell(&t, json_text(level, "entry"));
        table_cell(&t, json_true(level, "present") ? json_text(level, "flags") : "");
        table_cell(&t, entry_state(level));
    }
    table_flush(&t);
    table_free(&t);
    if (json_has(result, "pa"))
        printf("%s is at physical address %s, in a page of %s\n", args->value[PARAM_ADDR], json_text(result, "pa"),
               size_format(json_number(result, "page_size"), size));
    else
        printf("%s has no physical address\n", args->value[PARAM_ADDR]);
    return STATUS_DONE;
}

static void print_fault(const cJSON *fault)
{
    const cJSON *area = cJSON_GetObjectItemCaseSensitive(fault, "area");
    char text[AREA_TEXT_MAX];

    printf("fault: %s at %s, code 0x%" PRIx64 " (%s)\n", json_text(fault, "reason"), json_text(fault, "addr"),
           json_number(fault, "code"), cJSON_IsObject(area) ? area_text(area, text) : "no area there");
}

int print_access(const struct args *args, const cJSON *result)
{
    const cJSON *fault = cJSON_GetObjectItemCaseSensitive(result, "fault");

    (void)args;
    if (cJSON_IsObject(fault))
        print_fault(fault);
    else if (json_has(result, "pa"))
        printf("%s, physical address %s\n", json_text(result, "outcome"), json_text(result, "pa"));
    else
        puts(json_text(result, "outcome"));
    return STATUS_DONE;
}
