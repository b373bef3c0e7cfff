/* Results about snapshots and differences. */
#include <inttypes.h>
#include <stdio.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/session.h"
#include "ctl/size.h"
#include "ctl/table.h"

int print_snapshot(const struct args *args, const cJSON *result)
{
    printf("kept %s@%s, generation %" PRIu64 "\n", args->value[PARAM_SPACE], args->value[PARAM_NAME],
           json_number(result, "generation"));
    return STATUS_DONE;
}

int print_restore(const struct args *args, const cJSON *result)
{
    printf("%s is as %s again, generation %" PRIu64 "\n", args->value[PARAM_SPACE], args->value[PARAM_NAME],
           json_number(result, "generation"));
    return STATUS_DONE;
}

int print_drop(const struct args *args, const cJSON *result)
{
    (void)result;
    printf("dropped %s@%s\n", args->value[PARAM_SPACE], args->value[PARAM_NAME]);
    return STATUS_DONE;
}

int print_snapshots(const struct args *args, const cJSON *result)
{
    static const struct table_column columns[] = {
        {"NAME", false}, {"GENERATION", true}, {"AREAS", true}, {"MAPPED", true}, {"RESIDENT", true}};
    const cJSON *snapshot;
    char size[SIZE_TEXT_MAX];
    struct table t;

    (void)args;
    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(snapshot, cJSON_GetObjectItemCaseSensitive(result, "snapshots"))
    {
        table_cell(&t, json_text(snapshot, "name"));
        table_cellf(&t, "%" PRIu64, json_number(snapshot, "generation"));
        table_cellf(&t, "%" PRIu64, json_number(snapshot, "areas"));
        table_cell(&t, size_format(json_number(snapshot, "mapped"), size));
        table_cell(&t, size_format(json_number(snapshot, "resident"), size));
    }
    table_flush(&t);
    table_free(&t);
    return STATUS_DONE;
}

/* ---- diff ---- */

int print_diff(const struct args *args, const cJSON *result)
{
    const cJSON *areas = cJSON_GetObjectItemCaseSensitive(result, "areas");
    uint64_t pages = json_number(result, "pages_written");
    int count = cJSON_GetArraySize(areas);
    const cJSON *one;

    (void)args;
    cJSON_ArrayForEach(one, areas)
    {
        printf("%-14s", json_text(one, "kind"));
        print_change(one);
    }
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(result, "written"))
    {
        const cJSON *low = cJSON_GetArrayItem(one, 0);
        const cJSON *high = cJSON_GetArrayItem(one, 1);

        if (cJSON_IsString(low) && cJSON_IsString(high))
            printf("%-14s  %s-%s\n", "written", low->valuestring, high->valuestring);
    }
    printf("%d difference%s of areas, %" PRIu64 " page%s written\n", count, count == 1 ? "" : "s", pages,
           pages == 1 ? "" : "s");
    if (json_has(result, "next"))
        printf("there may be more: go on with --start %s\n", json_text(result, "next"));
    return STATUS_DONE;
}
