/* Results of the methods on spaces and areas. */
#include "ctl/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/clean.h"
#include "ctl/json_text.h"
#include "ctl/session.h"
#include "ctl/size.h"
#include "ctl/table.h"

/* ---- Pieces ---- */

char *backing_text(const cJSON *area, char *buffer)
{
    const char *pa = json_text(area, "pa");

    snprintf(buffer, BACKING_TEXT_MAX, "%s%s%s", json_text(area, "backing"), *pa ? " at " : "", pa);
    return buffer;
}

char *area_text(const cJSON *area, char *buffer)
{
    const char *tag = json_text(area, "tag");
    const char *path = json_text(area, "path");
    char backing[BACKING_TEXT_MAX];
    char text[AREA_TEXT_MAX];
    char *clean;

    snprintf(text, sizeof(text), "%.20s-%.20s %.40s %s%s%.60s%s%.200s", json_text(area, "start"),
             json_text(area, "end"), json_text(area, "flags"), backing_text(area, backing), *tag ? " " : "", tag,
             *path ? " " : "", path);
    clean = clean_text(text, strlen(text));
    snprintf(buffer, AREA_TEXT_MAX, "%s", clean ? clean : "");
    free(clean);
    return buffer;
}

static const char *member_area(const cJSON *result, const char *name, char *buffer)
{
    return area_text(cJSON_GetObjectItemCaseSensitive(result, name), buffer);
}

void print_change(const cJSON *event)
{
    const char *between = "  ";
    char text[AREA_TEXT_MAX];

    if (json_has(event, "before")) {
        printf("%s%s", between, member_area(event, "before", text));
        between = " -> ";
    }
    if (json_has(event, "after"))
        printf("%s%s", between, member_area(event, "after", text));
    putchar('\n');
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- Members ---- */

static bool is_size(const char *name)
{
    static const char *const sizes[] = {"size", "page_size", "mapped", "resident", "unmapped", "written", "ram"};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (strcmp(sizes[i], name) == 0)
            return true;
    }
    return false;
}

void print_clean(const char *text)
{
    char *clean = clean_text(text, strlen(text));

    fputs(clean ? clean : "", stdout);
    free(clean);
}

static void print_scalar(const cJSON *value)
{
    char size[SIZE_TEXT_MAX];

    if (cJSON_IsNumber(value))
        printf("%.17g", value->valuedouble); /* whole numbers, up to 2^53 */
    else if (cJSON_IsBool(value))
        fputs(cJSON_IsTrue(value) ? "yes" : "no", stdout);
    else if (cJSON_IsString(value) && value->string && is_size(value->string))
        fputs(size_format(strtoull(value->valuestring, NULL, 16), size), stdout);
    else if (cJSON_IsString(value))
        print_clean(value->valuestring);
    else
        fputs("-", stdout);
}

static void print_array(const cJSON *array)
{
    const char *between = array->string && strcmp(array->string, "range") == 0 ? "-" : ", ";
    const cJSON *item;

    cJSON_ArrayForEach(item, array)
    {
        if (item->prev && item != array->child)
            fputs(between, stdout);
        print_scalar(item);
    }
}

void print_members(const cJSON *object, int indent)
{
    const cJSON *member;
    int width = 0;

    cJSON_ArrayForEach(member, object)
    {
        int length = (int)strlen(member->string);

        width = length > width ? length : width;
    }
    cJSON_ArrayForEach(member, object)
    {
        printf("%*s", indent, "");
        print_clean(member->string);
        if (cJSON_IsObject(member)) {
            putchar('\n');
            print_members(member, indent + 2);
            continue;
        }
        printf("%*s", width + 2 - (int)strlen(member->string), "");
        if (cJSON_IsArray(member))
            print_array(member);
        else
            print_scalar(member);
        putchar('\n');
    }
}

static int print_object(const struct args *args, const cJSON *result)
{
    (void)args;
    print_members(result, 0);
    return STATUS_DONE;
}

static int print_shutdown(const struct args *args, const cJSON *result)
{
    (void)args;
    (void)result;
    puts("the daemon is shutting down");
    return STATUS_DONE;
}

/* ---- Spaces ---- */

static int print_spaces(const struct args *args, const cJSON *result)
{
    static const struct table_column columns[] = {{"NAME", false},  {"BACKEND", false},  {"ARCH, PID", false},
                                                  {"AREAS", true},  {"MAPPED", true},    {"RESIDENT", true},
                                                  {"MERGE", false}, {"GENERATION", true}};
    const cJSON *space;
    struct table t;
    char size[SIZE_TEXT_MAX];

    (void)args;
    table_init(&t, columns, sizeof(columns) / sizeof(columns[0]));
    cJSON_ArrayForEach(space, cJSON_GetObjectItemCaseSensitive(result, "spaces"))
    {
        table_cell(&t, json_text(space, "name"));
        table_cell(&t, json_text(space, "backend"));
        if (json_has(space, "pid"))
            table_cellf(&t, "%" PRIu64, json_number(space, "pid"));
        else
            table_cell(&t, json_text(space, "arch"));
        table_cellf(&t, "%" PRIu64, json_number(space, "areas"));
        table_cell(&t, size_format(json_number(space, "mapped"), size));
        table_cell(&t, size_format(json_number(space, "resident"), size));
        table_cell(&t, json_text(space, "merge"));
        table_cellf(&t, "%" PRIu64, json_number(space, "generation"));
    }
    table_flush(&t);
    table_free(&t);
    return STATUS_DONE;
}

static int print_destroyed(const struct args *args, const cJSON *result)
{
    (void)result;
    printf("destroyed %s\n", args->value[PARAM_SPACE]);
    return STATUS_DONE;
}

static int print_cleared(const struct args *args, const cJSON *result)
{
    uint64_t removed = json_number(result, "removed");

    (void)args;
    printf("removed %" PRIu64 " area%s\n", removed, plural(removed));
    return STATUS_DONE;
}

static int print_check(const struct args *args, const cJSON *result)
{
    const cJSON *problem;

    (void)args;
    if (json_true(result, "ok")) {
        puts("ok");
        return STATUS_DONE;
    }
    cJSON_ArrayForEach(problem, cJSON_GetObjectItemCaseSensitive(result, "problems"))
    {
        print_scalar(problem);
        putchar('\n');
    }
    return STATUS_REFUSED;
}

/* ---- Areas ---- */

static int print_map(const struct args *args, const cJSON *result)
{
    char area[AREA_TEXT_MAX];

    (void)args;
    printf("%s (area %s)\n", json_text(result, "start"), member_area(result, "area", area));
    return STATUS_DONE;
}

static int print_unmap(const struct args *args, const cJSON *result)
{
    uint64_t removed = json_number(result, "removed");
    char size[SIZE_TEXT_MAX];

    (void)args;
    printf("unmapped %s, %" PRIu64 " area%s gone whole\n", size_format(json_number(result, "unmapped"), size), removed,
           plural(removed));
    return STATUS_DONE;
}

static int print_protect(const struct args *args, const cJSON *result)
{
    uint64_t changed = json_number(result, "changed");

    (void)args;
    printf("changed %" PRIu64 " area%s\n", changed, plural(changed));
    return STATUS_DONE;
}

static int print_shrink(const struct args *args, const cJSON *result)
{
    char area[AREA_TEXT_MAX];

    (void)args;
    puts(member_area(result, "area", area));
    return STATUS_DONE;
}

static int print_split(const struct args *args, const cJSON *result)
{
    char left[AREA_TEXT_MAX];
    char right[AREA_TEXT_MAX];

    (void)args;
    printf("%s | %s\n", member_area(result, "left", left), member_area(result, "right", right));
    return STATUS_DONE;
}

static int print_merge(const struct args *args, const cJSON *result)
{
    uint64_t merged = json_number(result, "merged");

    (void)args;
    printf("%" PRIu64 " join%s made\n", merged, plural(merged));
    return STATUS_DONE;
}

/* A dry run's first refusal is bad news: the same edits in earnest would be refused. */
static int print_apply(const struct args *args, const cJSON *result)
{
    const cJSON *would = cJSON_GetObjectItemCaseSensitive(result, "would");
    int done = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "results"));

    (void)args;
    if (!would) {
        printf("%d edit%s made, generation %" PRIu64 "\n", done, plural((uint64_t)done),
               json_number(result, "generation"));
        return STATUS_DONE;
    }
    printf("%d edit%s would be made\n", done, plural((uint64_t)done));
    print_members(would, 0);
    return json_has(would, "refused") ? STATUS_REFUSED : STATUS_DONE;
}

static int print_find(const struct args *args, const cJSON *result)
{
    const char *name = json_has(result, "area") ? "area" : "next";
    char area[AREA_TEXT_MAX];

    if (strcmp(name, "area") == 0)
        puts(member_area(result, name, area));
    else if (json_has(result, name))
        printf("no area at %s; the next is %s\n", args->value[PARAM_ADDR], member_area(result, name, area));
    else
        printf("no area at %s, and none above it\n", args->value[PARAM_ADDR]);
    return STATUS_DONE;
}

static int print_free(const struct args *args, const cJSON *result)
{
    (void)args;
    puts(json_text(result, "start"));
    return STATUS_DONE;
}

static int print_overlaps(const struct args *args, const cJSON *result)
{
    char area[AREA_TEXT_MAX];

    (void)args;
    if (json_true(result, "overlaps"))
        printf("yes, the first is %s\n", member_area(result, "first", area));
    else
        puts("no");
    return STATUS_DONE;
}

/* ---- All ---- */

static int print_wait(const struct args *args, const cJSON *result)
{
    const char *space = args->value[PARAM_SPACE];

    if (args->value[PARAM_GONE] && !args->value[PARAM_AREA])
        printf("%s is gone\n", space);
    else
        printf("%s is at generation %" PRIu64 "\n", space, json_number(result, "generation"));
    return STATUS_DONE;
}

print_fn *print_for(enum method_id id)
{
    static print_fn *const printers[METHOD_COUNT] = {
        [METHOD_RPC_DISCOVER] = print_discover,
        [METHOD_DAEMON_INFO] = print_object,
        [METHOD_DAEMON_STATS] = print_stats,
        [METHOD_DAEMON_SHUTDOWN] = print_shutdown,
        [METHOD_SPACE_CREATE] = print_object,
        [METHOD_SPACE_DESTROY] = print_destroyed,
        [METHOD_SPACE_CLONE] = print_object,
        [METHOD_SPACE_RESUME] = print_object,
        [METHOD_SPACE_SYNC] = print_object,
        [METHOD_PAGE_EXPORT] = print_object,
        [METHOD_SPACE_CLEAR] = print_cleared,
        [METHOD_DAEMON_WAIT] = print_wait,
        [METHOD_SPACE_LIST] = print_spaces,
        [METHOD_SPACE_INFO] = print_object,
        [METHOD_SPACE_CHECK] = print_check,
        [METHOD_AREA_MAP] = print_map,
        [METHOD_AREA_UNMAP] = print_unmap,
        [METHOD_AREA_PROTECT] = print_protect,
        [METHOD_AREA_SHRINK] = print_shrink,
        [METHOD_AREA_SPLIT] = print_split,
        [METHOD_AREA_MERGE] = print_merge,
        [METHOD_AREA_MOVE] = print_shrink,
        [METHOD_SPACE_APPLY] = print_apply,
        [METHOD_AREA_FIND] = print_find,
        [METHOD_AREA_FIND_FREE] = print_free,
        [METHOD_AREA_OVERLAPS] = print_overlaps,
        [METHOD_PAGE_WALK] = print_walk,
        [METHOD_MEMORY_ACCESS] = print_access,
        [METHOD_INJECT_SET] = print_injected,
        [METHOD_INJECT_CLEAR] = print_uninjected,
        [METHOD_INJECT_LIST] = print_faults,
        [METHOD_SPACE_SNAPSHOT] = print_snapshot,
        [METHOD_SPACE_RESTORE] = print_restore,
        [METHOD_SPACE_DROP] = print_drop,
        [METHOD_SPACE_SNAPSHOTS] = print_snapshots,
        [METHOD_SPACE_DIFF] = print_diff,
    };

    return printers[id];
}
