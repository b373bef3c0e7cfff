/* `tables`: a space's page tables as a tree, in which what continues from one table to the next is one line. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/json_text.h"
#include "ctl/print.h"
#include "ctl/size.h"
#include "ctl/table.h"
#include "ctl/verbs.h"

#define LEVELS_MAX 5

/* Entries of one level that follow each other: those that lead to tables, or leaves. */
struct row {
    char name[16];
    char bits[128];
    uint64_t level;
    uint64_t table; /* of the first: the table that it is in, */
    uint64_t index; /* where in it, */
    uint64_t pa;    /* and what it leads to */
    uint64_t last;  /* the index of the last */
    uint64_t start;
    uint64_t size;
    uint64_t count;
    bool leaf;
};

/* Entries that lead to tables, each below the one before, and what is first in the lowest. */
struct branch {
    struct row rows[LEVELS_MAX];
    size_t depth;
};

struct dump {
    struct session *session;
    struct table table;
    uint64_t top;                /* the root's level, from the first entry on */
    struct row seen[LEVELS_MAX]; /* the last entry by level that led to a table: the next reply may repeat it */
    struct branch told;          /* what is to be printed, unless it goes on */
    struct branch now;           /* what is being read */
    uint64_t tables;
    uint64_t leaves;
    uint64_t bytes;
};

/* ---- Printing ---- */

static void add_row(struct dump *d, const struct row *row)
{
    char size[SIZE_TEXT_MAX];
    int indent = d->top > row->level ? (int)(2 * (d->top - row->level)) : 0;

    if (row->count > 1)
        table_cellf(&d->table, "%*s%s[%" PRIu64 "..%" PRIu64 "]", indent, "", row->name, row->index, row->last);
    else
        table_cellf(&d->table, "%*s%s[%" PRIu64 "]", indent, "", row->name, row->index);
    table_cellf(&d->table, "0x%" PRIx64, row->start);
    table_cellf(&d->table, row->start + row->size ? "0x%" PRIx64 : "0x10000000000000000", row->start + row->size);
    table_cell(&d->table, size_format(row->size, size));
    table_cellf(&d->table, "0x%" PRIx64, row->pa);
    if (row->leaf)
        table_cellf(&d->table, "%" PRIu64 " x %s", row->count, size_format(row->size / row->count, size));
    else
        table_cellf(&d->table, "%" PRIu64 " table%s", row->count, row->count == 1 ? "" : "s");
    table_cell(&d->table, row->bits);
}

static void add_branch(struct dump *d, struct branch *branch)
{
    for (size_t i = 0; i < branch->depth; i++)
        add_row(d, &branch->rows[i]);
    branch->depth = 0;
}

/* ---- Folding ---- */

static bool continues(const struct row *row, const struct row *next)
{
    return row->level == next->level && row->leaf == next->leaf && row->start + row->size == next->start &&
           strcmp(row->bits, next->bits) == 0 && (!row->leaf || row->pa + row->size == next->pa);
}

static void extend(struct row *row, const struct row *next)
{
    row->size += next->size;
    row->count += next->count;
    row->last = next->last;
}

/* Whether `next` is more of the same: each row of it continues the one of that level, leaves included. Then it is added. */
static bool join(struct branch *branch, const struct branch *next)
{
    size_t skip = branch->depth - next->depth;

    if (next->depth < 2 || next->depth > branch->depth)
        return false;
    for (size_t i = 0; i < next->depth; i++) {
        if (!continues(&branch->rows[skip + i], &next->rows[i]))
            return false;
    }
    for (size_t i = 0; i < next->depth; i++)
        extend(&branch->rows[skip + i], &next->rows[i]);
    return true;
}

static void flush(struct dump *d)
{
    add_branch(d, &d->told);
    add_branch(d, &d->now);
}

/* ---- Reading ---- */

static struct row read_row(const cJSON *entry)
{
    struct row row = {
        .level = json_number(entry, "level"),
        .table = json_number(entry, "table"),
        .index = json_number(entry, "index"),
        .pa = json_number(entry, "pa"),
        .start = json_number(entry, "start"),
        .size = json_number(entry, "size"),
        .count = json_number(entry, "count"),
        .leaf = json_true(entry, "leaf"),
    };

    row.count += row.count == 0;
    row.last = row.index + row.count - 1;
    snprintf(row.name, sizeof(row.name), "%s", json_text(entry, "name"));
    snprintf(row.bits, sizeof(row.bits), "%s", json_text(entry, "bits"));
    return row;
}

static void add_leaves(struct dump *d, const struct row *row)
{
    d->leaves += row->count;
    d->bytes += row->size;
    d->now.rows[d->now.depth++] = *row;
    if (join(&d->told, &d->now)) {
        d->now.depth = 0;
        return;
    }
    add_branch(d, &d->told);
    d->told = d->now;
    d->now.depth = 0;
}

static void add_table(struct dump *d, const struct row *row)
{
    struct row *seen = &d->seen[row->level - 1];

    if (seen->count && seen->table == row->table && seen->index == row->index)
        return;
    *seen = *row;
    d->tables++;
    if (d->now.depth && row->level >= d->now.rows[d->now.depth - 1].level)
        flush(d); /* the last table is empty, or leads nowhere */
    d->now.rows[d->now.depth++] = *row;
}

static void add_entry(void *arg, const cJSON *entry)
{
    struct dump *d = arg;
    struct row row = read_row(entry);

    if (row.level < 1 || row.level > LEVELS_MAX)
        return;
    if (!d->top)
        d->top = row.level;
    if (d->now.depth == LEVELS_MAX)
        flush(d);
    if (row.leaf)
        add_leaves(d, &row);
    else
        add_table(d, &row);
}

static void print_total(const struct dump *d, const char *next)
{
    char size[SIZE_TEXT_MAX];

    printf("total: %" PRIu64 " table%s below the root, %" PRIu64 " lea%s of %s", d->tables, d->tables == 1 ? "" : "s",
           d->leaves, d->leaves == 1 ? "f" : "ves", size_format(d->bytes, size));
    if (*next)
        printf("; there is more from %s on", next);
    putchar('\n');
}

static int dump_all(struct dump *d, const struct args *given)
{
    struct args args = *given;
    char next[40];
    int status;

    if (!args.value[PARAM_LIMIT])
        args.value[PARAM_LIMIT] = LIST_TEXT(LIST_MAX);
    do {
        status = call_for_part(d->session, &args, "entries", add_entry, d, next, sizeof(next));
        if (status)
            return status;
        args.value[PARAM_START] = next;
        if (!*next || given->value[PARAM_LIMIT])
            flush(d);
        if (d->table.count || !*next) /* titles without rows would not know how wide they are */
            table_flush(&d->table);
    } while (*next && !given->value[PARAM_LIMIT]);
    print_total(d, next);
    return STATUS_DONE;
}

int run_tables(struct session *s, const struct args *args)
{
    static const struct table_column columns[] = {{"ENTRY", false},   {"START", true}, {"END", true},  {"SIZE", true},
                                                  {"PHYSICAL", true}, {"COUNT", true}, {"BITS", false}};
    struct dump d = {.session = s};
    int status;

    if (s->json)
        return run_plain(s, args);
    table_init(&d.table, columns, sizeof(columns) / sizeof(columns[0]));
    status = dump_all(&d, args);
    table_free(&d.table);
    return status;
}
