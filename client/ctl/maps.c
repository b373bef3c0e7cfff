/* A row: "55d0c8a3f000-55d0c8a41000 r--p 00000000 08:01 1048602    /usr/bin/sleep". */
#include "ctl/maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aspace/types.h"
#include "ctl/clean.h"

static const char no_memory[] = "out of memory";

/* What is left of a line. */
struct rest {
    const char *at;
    const char *end;
};

static bool take(struct rest *r, char wanted)
{
    if (r->at == r->end || *r->at != wanted)
        return false;
    r->at++;
    return true;
}

/* Lower-case digits of `base`, 10 or 16, at least one. */
static bool take_number(struct rest *r, unsigned base, uint64_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    const char *from = r->at;
    uint64_t value = 0;

    for (; r->at < r->end; r->at++) {
        const char *digit = memchr(digits, *r->at, base);

        if (!digit)
            break;
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digit - digits), &value))
            return false;
    }
    *ret = value;
    return r->at > from;
}

static const char *read_range(struct rest *r, struct maps_row *row)
{
    if (!take_number(r, 16, &row->start) || !take(r, '-') || !take_number(r, 16, &row->end) || !take(r, ' '))
        return "it does not begin with START-END, two hexadecimal numbers";
    if (row->start >= row->end)
        return "its end is not above its start";
    if ((row->start | row->end) & (ASPACE_PAGE_SIZE - 1))
        return "its range is not page-aligned";
    return NULL;
}

static const char *read_flags(struct rest *r, struct maps_row *row)
{
    static const char letters[] = "rwx";
    bool shared;

    for (size_t i = 0; i < 3; i++) {
        row->flags[i] = r->at < r->end ? *r->at : '\0';
        if (!take(r, letters[i]) && !take(r, '-'))
            return "its permissions are not like rw-p";
    }
    shared = take(r, 's');
    if (!shared && !take(r, 'p'))
        return "its permissions are not like rw-p";
    if (!take(r, ' '))
        return "no offset follows its permissions";
    memcpy(row->flags + 3, shared ? ",shared" : "", shared ? sizeof(",shared") : 1);
    return NULL;
}

static const char *read_file(struct rest *r)
{
    uint64_t number;

    if (!take_number(r, 16, &number) || !take(r, ' '))
        return "its offset is not a hexadecimal number";
    if (!take_number(r, 16, &number) || !take(r, ':') || !take_number(r, 16, &number) || !take(r, ' '))
        return "its device is not like 08:01";
    if (!take_number(r, 10, &number) || (r->at < r->end && *r->at != ' '))
        return "its inode is not a decimal number";
    return NULL;
}

/* The last ASPACE_TAG_MAX bytes, from a character's start on: a path's end says most. */
static bool cut_front(char *tag)
{
    size_t size = strlen(tag);
    char *from = tag;

    if (size <= ASPACE_TAG_MAX)
        return false;
    from += size - ASPACE_TAG_MAX;
    while (((unsigned char)*from & 0xC0) == 0x80)
        from++;
    memmove(tag, from, strlen(from) + 1);
    return true;
}

static const char *read_tag(struct rest *r, struct maps_row *row)
{
    while (take(r, ' '))
        ;
    row->tag = NULL;
    row->cut = false;
    if (r->at == r->end)
        return NULL;
    row->tag = clean_text(r->at, (size_t)(r->end - r->at));
    if (!row->tag)
        return no_memory;
    row->cut = cut_front(row->tag);
    return NULL;
}

/* NULL, or what is wrong; then nothing is to be freed. */
static const char *read_row(struct rest *r, struct maps_row *row)
{
    const char *problem = read_range(r, row);

    if (!problem)
        problem = read_flags(r, row);
    if (!problem)
        problem = read_file(r);
    return problem ? problem : read_tag(r, row);
}

static bool grow(struct maps *maps)
{
    size_t capacity = maps->capacity ? 2 * maps->capacity : 64;
    struct maps_row *rows = realloc(maps->rows, capacity * sizeof(*rows));

    if (!rows)
        return false;
    maps->rows = rows;
    maps->capacity = capacity;
    return true;
}

static const char *add_row(struct maps *maps, const char *text, size_t size, size_t line)
{
    struct rest rest = {text, text + size};
    const char *problem;

    if (maps->count == maps->capacity && !grow(maps))
        return no_memory;
    problem = read_row(&rest, &maps->rows[maps->count]);
    if (!problem)
        maps->rows[maps->count++].line = line;
    return problem;
}

bool maps_read(const char *text, size_t size, struct maps *ret, char *problem)
{
    const char *end = text + size;
    struct maps maps = {0};

    for (size_t line = 1; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        const char *wrong = add_row(&maps, text, (size_t)(line_end - text), line);

        if (wrong) {
            snprintf(problem, MAPS_PROBLEM_MAX, "line %zu%s: %s", line,
                     wrong == no_memory ? "" : " is not a row of a maps text", wrong);
            maps_free(&maps);
            return false;
        }
        text = newline ? newline + 1 : end;
    }
    *ret = maps;
    return true;
}

void maps_free(struct maps *maps)
{
    for (size_t i = 0; i < maps->count; i++)
        free(maps->rows[i].tag);
    free(maps->rows);
    *maps = (struct maps){0};
}
