/* The writer: compact JSON into one growing buffer. What it writes is valid UTF-8 whatever it is given. */
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/json_plain.h"

#define FIRST_CAPACITY 512

/* ---- Bytes ---- */

bool json_writer_reserve(struct json_writer *w, size_t size)
{
    size_t capacity = w->capacity ? w->capacity : FIRST_CAPACITY;
    char *data;

    if (w->failed)
        return false;
    if (w->data && w->capacity - w->size >= size)
        return true;
    while (capacity - w->size < size) {
        if (capacity > SIZE_MAX / 2) {
            w->failed = true;
            return false;
        }
        capacity *= 2;
    }
    data = realloc(w->data, capacity);
    if (!data) {
        w->failed = true;
        return false;
    }
    w->data = data;
    w->capacity = capacity;
    return true;
}

void json_writer_free(struct json_writer *w)
{
    free(w->data);
    *w = (struct json_writer){0};
}

/* Where `size` more bytes go; NULL if there is no room. advance() then says where they ended. */
static inline char *room(struct json_writer *w, size_t size)
{
    bool fits = w->capacity - w->size >= size && !w->failed;

    return fits || json_writer_reserve(w, size) ? w->data + w->size : NULL;
}

static inline void advance(struct json_writer *w, char *end)
{
    w->size = (size_t)(end - w->data);
}

/* The same for a name or value, with the comma before it. */
static inline char *item(struct json_writer *w, size_t size)
{
    char *p = room(w, size + 1);

    if (p && w->comma)
        *p++ = ',';
    w->comma = true;
    return p;
}

static inline char *copy(char *p, const char *text, size_t size)
{
    memcpy(p, text, size);
    return p + size;
}

void json_bytes(struct json_writer *w, const char *text, size_t size)
{
    char *p = size ? room(w, size) : NULL;

    if (p)
        advance(w, copy(p, text, size));
}

void json_raw(struct json_writer *w, const char *text, size_t size)
{
    char *p = item(w, size);

    if (p)
        advance(w, copy(p, text, size));
}

/* ---- Containers and words ---- */

static void open_with(struct json_writer *w, char c)
{
    char *p = item(w, 1);

    if (!p)
        return;
    *p++ = c;
    advance(w, p);
    w->comma = false;
}

static void close_with(struct json_writer *w, char c)
{
    char *p = room(w, 1);

    if (!p)
        return;
    *p++ = c;
    advance(w, p);
    w->comma = true;
}

void json_begin_object(struct json_writer *w)
{
    open_with(w, '{');
}

void json_end_object(struct json_writer *w)
{
    close_with(w, '}');
}

void json_begin_array(struct json_writer *w)
{
    open_with(w, '[');
}

void json_end_array(struct json_writer *w)
{
    close_with(w, ']');
}

void json_bool(struct json_writer *w, bool value)
{
    json_raw(w, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json_writer *w)
{
    json_raw(w, "null", 4);
}

/* ---- Strings ---- */

/* Bytes at `p` that need no escape. */
static size_t unescaped_size(const unsigned char *p, size_t left)
{
    size_t size = json_plain(p, left);

    while (size < left) {
        size_t more = p[size] < 0x80 ? json_plain(p + size, left - size) : json_utf8_size(p + size, left - size);

        if (!more)
            break;
        size += more;
    }
    return size;
}

static void put_escape(struct json_writer *w, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\"\\bfnrt";
    static const char values[] = "\"\\\b\f\n\r\t";
    const char *value = c ? strchr(values, c) : NULL;
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c >= 0x80) {
        json_bytes(w, "\\ufffd", 6); /* not UTF-8: the replacement character, so that the reply stays JSON */
    } else if (value) {
        text[1] = letters[value - values];
        json_bytes(w, text, 2);
    } else {
        json_bytes(w, text, 6);
    }
}

static void put_with_escapes(struct json_writer *w, const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;

    json_raw(w, "\"", 1);
    for (size_t at = 0; at < size; at++) {
        size_t plain = unescaped_size(bytes + at, size - at);

        json_bytes(w, text + at, plain);
        at += plain;
        if (at < size)
            put_escape(w, bytes[at]);
    }
    json_bytes(w, "\"", 1);
}

/* Nothing in it needs an escape. */
static inline void put_plain(struct json_writer *w, const char *text, size_t size)
{
    char *p = item(w, size + 2);

    if (!p)
        return;
    *p++ = '"';
    p = copy(p, text, size);
    *p++ = '"';
    advance(w, p);
}

void json_plain_string(struct json_writer *w, const char *text)
{
    put_plain(w, text, strlen(text));
}

void json_string_n(struct json_writer *w, const char *text, size_t size)
{
    if (json_plain((const unsigned char *)text, size) < size)
        put_with_escapes(w, text, size);
    else
        put_plain(w, text, size);
}

void json_string(struct json_writer *w, const char *text)
{
    json_string_n(w, text, strlen(text));
}

/* ---- Numbers ---- */

#define DIGITS_MAX 24

/* Writes `value` so that it ends at `end`; returns where it starts. */
static char *digits(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return end;
}

void json_uint(struct json_writer *w, uint64_t value)
{
    char text[DIGITS_MAX];
    char *start = digits(text + sizeof(text), value);

    json_raw(w, start, (size_t)(text + sizeof(text) - start));
}

void json_int(struct json_writer *w, int64_t value)
{
    char text[DIGITS_MAX];
    char *start = digits(text + sizeof(text), value < 0 ? 0 - (uint64_t)value : (uint64_t)value);

    if (value < 0)
        *--start = '-';
    json_raw(w, start, (size_t)(text + sizeof(text) - start));
}

typedef uint64_t words2 __attribute__((vector_size(16)));

/* The sixteen hex digits of `value`, all at once. */
static inline void put_hex(char *p, uint64_t value)
{
    json_bytes16 high;
    json_bytes16 low;
    json_bytes16 digits;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    high = (json_bytes16)(words2){value, 0};
    low = high & 15;
    high = high >> 4 & 15;
    digits = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    digits += '0' + ((json_bytes16)(digits > 9) & ('a' - '0' - 10));
    memcpy(p, &digits, sizeof(digits));
}

void json_hex(struct json_writer *w, uint64_t value)
{
    unsigned count = value ? (67 - (unsigned)__builtin_clzll(value)) / 4 : 1;
    char *p = item(w, sizeof("\"0x0123456789abcdef\"") - 1);

    if (!p)
        return;
    p = copy(p, "\"0x", 3);
    put_hex(p, value << (64 - 4 * count)); /* the first `count` digits count */
    p[count] = '"';
    advance(w, p + count + 1);
}

void json_base64(struct json_writer *w, const void *bytes, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char *out = item(w, size <= SIZE_MAX / 2 ? (size + 2) / 3 * 4 + 2 : SIZE_MAX - 1);

    if (!out)
        return;
    *out++ = '"';
    for (; size >= 3; p += 3, size -= 3) {
        *out++ = letters[p[0] >> 2];
        *out++ = letters[(p[0] & 3) << 4 | p[1] >> 4];
        *out++ = letters[(p[1] & 15) << 2 | p[2] >> 6];
        *out++ = letters[p[2] & 63];
    }
    if (size) {
        unsigned second = size == 2 ? p[1] : 0;

        *out++ = letters[p[0] >> 2];
        *out++ = letters[(p[0] & 3) << 4 | second >> 4];
        *out++ = size == 2 ? letters[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out++ = '"';
    advance(w, out);
}
