/* Collecting cells, then printing them under one another. */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/clean.h"

#define CELL_MAX 256

/* Characters, not bytes: what cleaned text takes on the screen, wide characters apart. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void table_init(struct table *t, const struct table_column *columns, size_t column_count)
{
    *t = (struct table){.columns = columns, .column_count = column_count};
    for (size_t i = 0; i < column_count; i++)
        t->width[i] = text_width(columns[i].title);
}

static void forget_cells(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    t->count = 0;
}

void table_free(struct table *t)
{
    forget_cells(t);
    free(t->cells);
}

static bool grow(struct table *t)
{
    size_t capacity = t->capacity ? 2 * t->capacity : 256;
    char **cells = realloc(t->cells, capacity * sizeof(*cells));

    if (!cells)
        return false;
    t->cells = cells;
    t->capacity = capacity;
    return true;
}

void table_cell(struct table *t, const char *text)
{
    char *cell = text ? clean_text(text, strlen(text)) : strdup("");
    size_t column = t->count % t->column_count;
    size_t width;

    if (!cell || (t->count == t->capacity && !grow(t))) {
        free(cell);
        t->failed = true;
        return;
    }
    t->cells[t->count++] = cell;
    width = text_width(cell);
    if (width > t->width[column])
        t->width[column] = width;
}

void table_cellf(struct table *t, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_cell(t, text);
}

static void print_spaces(size_t count)
{
    printf("%*s", (int)count, "");
}

/* Spaces are printed late, before text, so that no line ends with them. */
static size_t print_cell(const struct table *t, size_t column, const char *text, size_t owed)
{
    size_t padding = t->width[column] - text_width(text);
    bool right = t->columns[column].right;

    if (column)
        owed += 2;
    if (right)
        owed += padding;
    if (*text) {
        print_spaces(owed);
        fputs(text, stdout);
        owed = 0;
    }
    return right ? owed : owed + padding;
}

static void print_titles(struct table *t)
{
    size_t owed = 0;

    for (size_t i = 0; i < t->column_count; i++)
        owed = print_cell(t, i, t->columns[i].title, owed);
    putchar('\n');
    t->titled = true;
}

static void print_row(const struct table *t, char *const *cells)
{
    size_t owed = 0;

    for (size_t column = 0; column < t->column_count; column++)
        owed = print_cell(t, column, cells[column], owed);
    putchar('\n');
}

void table_flush(struct table *t)
{
    if (!t->titled)
        print_titles(t);
    for (size_t i = 0; i + t->column_count <= t->count; i += t->column_count)
        print_row(t, t->cells + i);
    forget_cells(t);
}
