/* Framing. Every byte is looked at once, however small the pieces it comes in; whole messages are given out where they
 * lie in the buffer. */
#include "proto/frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX    4096
#define BUFFER_KEEP   (256 * 1024) /* an empty buffer larger than this is given back */
#define FIRST_BUFFER  1024
#define LENGTH_HEADER "content-length"

void frame_init(struct frame_reader *f, size_t limit, struct frame_pool *pool)
{
    *f = (struct frame_reader){.limit = limit, .pool = pool};
}

void frame_pool_free(struct frame_pool *pool)
{
    free(pool->data);
    *pool = (struct frame_pool){0};
}

void frame_free(struct frame_reader *f)
{
    free(f->data);
    f->data = NULL;
    f->start = f->size = f->capacity = f->scanned = 0;
}

/* ---- Bytes in ---- */

static size_t unread(const struct frame_reader *f)
{
    return f->size - f->start;
}

/* Moves the unread bytes to the front: at most once for each message that was not whole at the end of a read. */
static void compact(struct frame_reader *f)
{
    if (f->start && unread(f))
        memmove(f->data, f->data + f->start, unread(f));
    f->size -= f->start;
    f->start = 0;
}

/* The least power of two times FIRST_BUFFER that holds `size`; 0 if there is none. */
static size_t fitting(size_t size)
{
    size_t capacity = FIRST_BUFFER;

    while (capacity < size) {
        if (capacity > SIZE_MAX / 2)
            return 0;
        capacity *= 2;
    }
    return capacity;
}

static bool set_capacity(struct frame_reader *f, size_t capacity)
{
    char *data = capacity ? realloc(f->data, capacity) : NULL;

    if (!data)
        return false;
    f->data = data;
    f->capacity = capacity;
    return true;
}

static void borrow(struct frame_reader *f)
{
    if (f->data || !f->pool)
        return;
    f->data = f->pool->data;
    f->capacity = f->pool->capacity;
    *f->pool = (struct frame_pool){0};
}

/* With nothing unread. */
static void give_back(struct frame_reader *f)
{
    struct frame_pool mine = {f->data, f->capacity};

    if (!f->pool || !f->data)
        return;
    if (f->pool->data || f->capacity > BUFFER_KEEP)
        frame_pool_free(&mine);
    else
        *f->pool = mine;
    f->data = NULL;
    f->start = f->size = f->capacity = f->scanned = 0;
}

char *frame_room(struct frame_reader *f, size_t size)
{
    borrow(f);
    if (f->dead || unread(f) == 0)
        f->start = f->size = f->scanned = 0;
    if (f->size == 0 && f->capacity > BUFFER_KEEP && f->capacity / 2 >= size) {
        free(f->data);
        f->data = NULL;
        f->capacity = 0;
    }
    if (f->capacity - f->size < size)
        compact(f);
    if (size > SIZE_MAX - f->size)
        return NULL;
    if ((!f->data || f->capacity - f->size < size) && !set_capacity(f, fitting(f->size + size)))
        return NULL;
    return f->data + f->size;
}

void frame_fed(struct frame_reader *f, size_t size)
{
    if (!f->dead)
        f->size += size;
    if (!unread(f))
        give_back(f);
}

void frame_eof(struct frame_reader *f)
{
    f->eof = true;
}

/* ---- Bytes out ---- */

static void take(struct frame_reader *f, size_t size)
{
    f->start += size;
    f->scanned = 0;
}

static enum frame_event die(struct frame_reader *f, enum frame_event event)
{
    f->dead = true;
    return event;
}

/* A line that starts at f->start: its size without the LF, if the LF is there. */
static bool find_line(struct frame_reader *f, size_t *ret_size)
{
    const char *from = f->data + f->start;
    const char *lf = memchr(from + f->scanned, '\n', unread(f) - f->scanned);

    f->scanned = unread(f);
    if (lf)
        *ret_size = (size_t)(lf - from);
    return lf != NULL;
}

static size_t without_cr(const char *text, size_t size)
{
    return size && text[size - 1] == '\r' ? size - 1 : size;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool all_blank(const char *text, size_t size)
{
    while (size && is_blank(*text)) {
        text++;
        size--;
    }
    return size == 0;
}

/* ---- Lines ---- */

static enum frame_event next_line(struct frame_reader *f, const char **ret_text, size_t *ret_size)
{
    while (unread(f)) {
        const char *text = f->data + f->start;
        size_t size = unread(f);
        bool ended = find_line(f, &size);
        size_t message = without_cr(text, size);

        if (message > f->limit)
            return die(f, FRAME_TOO_LONG);
        if (!ended && !f->eof)
            return FRAME_MORE;
        take(f, size + ended);
        if (all_blank(text, message))
            continue;
        *ret_text = text;
        *ret_size = message;
        return FRAME_MESSAGE;
    }
    return FRAME_MORE;
}

/* ---- Headers ---- */

static bool is_length_header(const char *name, size_t size)
{
    if (size != sizeof(LENGTH_HEADER) - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];

        if (c != LENGTH_HEADER[i])
            return false;
    }
    return true;
}

/* Digits with blanks around them; what is past all sizes becomes SIZE_MAX. */
static bool read_length(const char *text, size_t size, size_t *ret)
{
    size_t value = 0;

    while (size && is_blank(text[size - 1]))
        size--;
    while (size && is_blank(*text)) {
        text++;
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value > SIZE_MAX / 10 - 1 ? SIZE_MAX : value * 10 + (size_t)(text[i] - '0');
    }
    *ret = value;
    return size != 0;
}

/* One header line; FRAME_MORE if it is well. */
static enum frame_event read_header(struct frame_reader *f, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);
    size_t name = colon ? (size_t)(colon - line) : 0;

    if (!name)
        return die(f, FRAME_GARBAGE);
    if (!is_length_header(line, name))
        return FRAME_MORE;
    if (f->has_body || !read_length(colon + 1, size - name - 1, &f->body))
        return die(f, FRAME_GARBAGE);
    f->has_body = true;
    return f->body > f->limit ? die(f, FRAME_TOO_LONG) : FRAME_MORE;
}

/* Header lines up to the blank one, each taken from the buffer once it is whole. */
static enum frame_event read_headers(struct frame_reader *f)
{
    while (!f->in_body) {
        const char *line = f->data + f->start;
        size_t size = unread(f);
        bool ended = size && find_line(f, &size);
        enum frame_event event = FRAME_MORE;

        if (f->header + size + ended > HEADER_MAX)
            return die(f, FRAME_GARBAGE);
        if (!ended)
            return FRAME_MORE;
        take(f, size + 1);
        f->header += size + 1;
        size = without_cr(line, size);
        if (size)
            event = read_header(f, line, size);
        else if (!f->has_body)
            event = die(f, FRAME_GARBAGE);
        else
            f->in_body = true;
        if (event != FRAME_MORE)
            return event;
    }
    return FRAME_MORE;
}

static enum frame_event next_body(struct frame_reader *f, const char **ret_text, size_t *ret_size)
{
    enum frame_event event = read_headers(f);

    if (event != FRAME_MORE)
        return event;
    if (!f->in_body || unread(f) < f->body)
        return FRAME_MORE;
    *ret_text = f->data + f->start;
    *ret_size = f->body;
    take(f, f->body);
    f->has_body = f->in_body = false;
    f->header = 0;
    return FRAME_MESSAGE;
}

/* ---- The choice ---- */

/* By the first byte that is not blank. */
static enum frame_event choose_mode(struct frame_reader *f)
{
    while (unread(f) && is_blank(f->data[f->start]))
        f->start++;
    if (!unread(f))
        return FRAME_MORE;
    switch (f->data[f->start]) {
    case '{':
    case '[':
        f->mode = FRAME_LINES;
        return FRAME_MORE;
    case 'C':
        f->mode = FRAME_HEADERS;
        return FRAME_MORE;
    default:
        return die(f, FRAME_GARBAGE);
    }
}

static enum frame_event next_event(struct frame_reader *f, const char **ret_text, size_t *ret_size)
{
    if (f->dead)
        return FRAME_MORE;
    if (f->mode == FRAME_UNDECIDED && choose_mode(f) == FRAME_GARBAGE)
        return FRAME_GARBAGE;
    switch (f->mode) {
    case FRAME_LINES:
        return next_line(f, ret_text, ret_size);
    case FRAME_HEADERS:
        return next_body(f, ret_text, ret_size);
    default:
        return FRAME_MORE;
    }
}

enum frame_event frame_next(struct frame_reader *f, const char **ret_text, size_t *ret_size)
{
    enum frame_event event = next_event(f, ret_text, ret_size);

    if (event == FRAME_MORE && !unread(f))
        give_back(f);
    return event;
}
