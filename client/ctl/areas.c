/* `areas`: a space's areas as a table, however many there are. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/size.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

struct listing {
    struct session *session;
    const struct args *args;
    struct table table;
    uint64_t areas;
    uint64_t bytes;
    bool holes;
    bool paths;    /* it is a live process, whose areas have some */
    uint64_t next; /* with holes: where the last area ended, or the window begins */
    uint64_t end;  /* with holes: where the window ends */
};

static void add_row(struct listing *l, uint64_t start, uint64_t end, const char *flags, const char *backing,
                    const char *tag, const char *path)
{
    char size[SIZE_TEXT_MAX];

    table_cellf(&l->table, "0x%" PRIx64, start);
    table_cellf(&l->table, "0x%" PRIx64, end);
    table_cell(&l->table, size_format(end - start, size));
    table_cell(&l->table, flags);
    table_cell(&l->table, backing);
    table_cell(&l->table, tag);
    if (l->paths)
        table_cell(&l->table, path);
}

static void add_hole(struct listing *l, uint64_t until)
{
    if (l->holes && l->next < until)
        add_row(l, l->next, until, "", "(hole)", NULL, NULL);
}

static void add_area(void *arg, const cJSON *area)
{
    struct listing *l = arg;
    uint64_t start = json_number(area, "start");
    uint64_t end = json_number(area, "end");
    char backing[BACKING_TEXT_MAX];

    add_hole(l, start);
    add_row(l, start, end, json_text(area, "flags"), backing_text(area, backing), json_text(area, "tag"),
            json_text(area, "path"));
    l->next = end;
    l->areas++;
    l->bytes += end - start;
}

static uint64_t option_address(const struct args *args, enum param_id id, uint64_t otherwise)
{
    uint64_t value = otherwise;

    if (args->value[id])
        number_parse(args->value[id], strlen(args->value[id]), false, &value);
    return value;
}

/* Whether there are paths to show, and how far holes reach: to the ends of the window, or of the space. */
static int look_at_space(struct listing *l)
{
    struct json_writer params = {0};
    struct aspace_reply *reply;
    uint64_t low = 0;
    uint64_t high = 0;
    int status;

    json_begin_object(&params);
    json_name_string(&params, "space", l->args->value[PARAM_SPACE]);
    json_end_object(&params);
    json_bytes(&params, "", 1);
    status = session_call(l->session, methods[METHOD_SPACE_INFO].name, params.data, &reply);
    json_writer_free(&params);
    if (status)
        return status;
    l->paths = aspace_reply_u64(reply, "pid", &low) == 0;
    aspace_reply_u64(reply, "range.0", &low);
    aspace_reply_u64(reply, "range.1", &high);
    aspace_reply_free(reply);
    l->next = option_address(l->args, PARAM_START, low);
    l->end = option_address(l->args, PARAM_END, high);
    l->next = l->next > low ? l->next : low;
    l->end = l->end < high ? l->end : high;
    return STATUS_DONE;
}

static void print_total(const struct listing *l, const char *next)
{
    char size[SIZE_TEXT_MAX];

    printf("total: %" PRIu64 " area%s, %s", l->areas, l->areas == 1 ? "" : "s", size_format(l->bytes, size));
    if (*next)
        printf("; there are more from %s on", next);
    putchar('\n');
}

static int list_all(struct listing *l)
{
    struct args args = *l->args;
    char next[40];
    int status;

    if (!args.value[PARAM_LIMIT])
        args.value[PARAM_LIMIT] = LIST_TEXT(LIST_MAX);
    do {
        status = call_for_part(l->session, &args, "areas", add_area, l, next, sizeof(next));
        if (status)
            return status;
        args.value[PARAM_START] = next;
        if (!*next)
            add_hole(l, l->end);
        table_flush(&l->table);
    } while (*next && !l->args->value[PARAM_LIMIT]);
    print_total(l, next);
    return STATUS_DONE;
}

static int print_areas(struct session *s, const struct args *args)
{
    static const struct table_column columns[] = {{"START", true},    {"END", true},  {"SIZE", true}, {"FLAGS", false},
                                                  {"BACKING", false}, {"TAG", false}, {"PATH", false}};
    struct listing l = {.session = s, .args = args, .holes = args->extra[EXTRA_HOLES] != NULL};
    int status = look_at_space(&l);

    if (status)
        return status;
    table_init(&l.table, columns, sizeof(columns) / sizeof(columns[0]) - !l.paths);
    status = list_all(&l);
    table_free(&l.table);
    return status;
}

int run_areas(struct session *s, const struct args *args)
{
    struct aspace_reply *reply;
    int status;

    if (!s->json)
        return print_areas(s, args);
    status = call_with_args(s, args, &reply);
    if (status)
        return status;
    print_result(reply);
    aspace_reply_free(reply);
    return STATUS_DONE;
}
