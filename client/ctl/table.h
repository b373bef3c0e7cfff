/* Tables with aligned columns. Rows are kept until table_flush, so that widths are known; a long table is flushed in
 * pieces and its columns only grow. */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX 8

struct table_column {
    const char *title;
    bool right; /* aligned to the right */
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t column_count;
    size_t width[TABLE_COLUMNS_MAX];
    char **cells; /* owned, row after row */
    size_t count;
    size_t capacity;
    bool titled; /* the titles are out */
    bool failed; /* no memory: check once at the end */
};

void table_init(struct table *t, const struct table_column *columns, size_t column_count);
void table_free(struct table *t);

/* The next cell; its text is copied and cleaned. NULL is an empty cell. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the titles, the first time, and the rows to standard output, and forgets the rows. */
void table_flush(struct table *t);

#endif
