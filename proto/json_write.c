/* The writer: compact JSON into one growing buffer. What it writes is valid UTF-8 whatever it is given. */
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

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

void json_bytes(struct json_writer *w, const char *text, size_t size)
{
    if (!json_writer_reserve(w, size) || !size)
        return;
    memcpy(w->data + w->size, text, size);
    w->size += size;
}

static void put(struct json_writer *w, char c)
{
    if (!json_writer_reserve(w, 1))
        return;
    w->data[w->size++] = c;
}

static void begin_item(struct json_writer *w)
{
    if (w->comma)
        put(w, ',');
    w->comma = true;
}

void json_raw(struct json_writer *w, const char *text, size_t size)
{
    begin_item(w);
    json_bytes(w, text, size);
}

/* ---- Containers and words ---- */

static void open_with(struct json_writer *w, char c)
{
    begin_item(w);
    put(w, c);
    w->comma = false;
}

static void close_with(struct json_writer *w, char c)
{
    put(w, c);
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

/* Size of the valid UTF-8 sequence at `p`, one that needs no escape; 0 if there is none. */
static size_t plain_size(const unsigned char *p, size_t left)
{
    uint32_t code;
    size_t size;

    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != '"' && p[0] != '\\';
    size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size)
        return 0;
    code = p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    if ((size == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) ||
        (size == 4 && (code < 0x10000 || code > 0x10ffff)))
        return 0;
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

static void put_string(struct json_writer *w, const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t done = 0;
    size_t at = 0;

    put(w, '"');
    while (at < size) {
        size_t plain = plain_size(bytes + at, size - at);

        at += plain;
        if (plain)
            continue;
        json_bytes(w, text + done, at - done);
        put_escape(w, bytes[at]);
        done = ++at;
    }
    json_bytes(w, text + done, size - done);
    put(w, '"');
}

void json_string_n(struct json_writer *w, const char *text, size_t size)
{
    begin_item(w);
    put_string(w, text, size);
}

void json_string(struct json_writer *w, const char *text)
{
    json_string_n(w, text, strlen(text));
}

void json_name(struct json_writer *w, const char *name)
{
    json_string(w, name);
    put(w, ':');
    w->comma = false;
}

/* ---- Numbers ---- */

#define DIGITS_MAX 24

/* Writes `value` so that it ends at `end`; returns where it starts. */
static char *digits(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    return end;
}

void json_uint(struct json_writer *w, uint64_t value)
{
    char text[DIGITS_MAX];
    char *start = digits(text + sizeof(text), value, 10);

    json_raw(w, start, (size_t)(text + sizeof(text) - start));
}

void json_int(struct json_writer *w, int64_t value)
{
    char text[DIGITS_MAX];
    char *start = digits(text + sizeof(text), value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);

    if (value < 0)
        *--start = '-';
    json_raw(w, start, (size_t)(text + sizeof(text) - start));
}

void json_hex(struct json_writer *w, uint64_t value)
{
    char text[DIGITS_MAX];
    char *start;

    text[sizeof(text) - 1] = '"';
    start = digits(text + sizeof(text) - 1, value, 16);
    start -= 3;
    memcpy(start, "\"0x", 3);
    json_raw(w, start, (size_t)(text + sizeof(text) - start));
}

void json_base64(struct json_writer *w, const void *bytes, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    char *out;

    begin_item(w);
    if (size > SIZE_MAX / 2 || !json_writer_reserve(w, (size + 2) / 3 * 4 + 2)) {
        w->failed = true;
        return;
    }
    out = w->data + w->size;
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
    w->size = (size_t)(out - w->data);
}
