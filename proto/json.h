/* JSON, strictly: RFC 8259 and UTF-8 or nothing. A text is read in one pass into a flat list of tokens that are spans
 * of it, so numbers stay text (no 2^53), ids can be given back byte for byte, and duplicates can be seen. cJSON is
 * used where a tree is wanted (the client's tables); it is too lenient to stand at the door. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "aspace/error.h"

#define JSON_DEPTH_MAX 64

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Tokens lie in text order: a container, then what is in it; in an object each name (a JSON_STRING) before its value. */
struct json_token {
    uint32_t start; /* offset of the first byte; a string's opening quote not included */
    uint32_t end;   /* one past the last byte; the closing quote not included */
    uint32_t next;  /* index of the token after this value and all that is in it */
    uint32_t count; /* items of an array, members of an object */
    uint8_t type;   /* enum json_type */
    bool escaped;   /* a string with a backslash in it */
};

/* The token list may be used again for the next text: start from {0} and call json_free at the end. */
struct json_doc {
    const char *text; /* borrowed from the caller of json_read */
    struct json_token *tokens;
    size_t count;
    size_t capacity;
    const char *error; /* after a failure: static text saying what is wrong, and where */
    size_t error_at;
};

/* Reads `size` bytes at `text`, which must outlive the use of `doc`, as exactly one JSON value. ParseError if it is
 * not strict JSON or deeper than JSON_DEPTH_MAX, NoMemory. Up to 4 GiB - 1. Token 0 is the value. */
enum aspace_error json_read(struct json_doc *doc, const char *text, size_t size);
void json_free(struct json_doc *doc);

/* The value of member `name` of object `object`: its token index, or 0 if there is none (0 is never a member). */
uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *name);

/* Whether string token `token`, unescaped, is exactly the `size` bytes at `text`. */
static inline bool json_equals_n(const struct json_doc *doc, uint32_t token, const char *text, size_t size);
/* The same for a NUL-terminated text. */
static inline bool json_equals(const struct json_doc *doc, uint32_t token, const char *text);

/* Unescapes string token `token` into `buffer` (of `capacity` bytes; the unescaped text is never longer than the
 * span) and NUL-terminates it. False if it does not fit, or holds U+0000 or a lone surrogate. */
bool json_unescape(const struct json_doc *doc, uint32_t token, char *buffer, size_t capacity, size_t *ret_size);

/* Two different members of `object` with the same unescaped name: the index of the second name, else 0. */
uint32_t json_duplicate(const struct json_doc *doc, uint32_t object);

/* Writes compact JSON into a growing buffer; commas come by themselves. After an allocation failure `failed` is set
 * and every call does nothing: check it once at the end. */
struct json_writer {
    char *data; /* not NUL-terminated; free()d by json_writer_free */
    size_t size;
    size_t capacity;
    bool comma; /* the next name or value needs one before it */
    bool failed;
};

void json_writer_free(struct json_writer *w);
/* Makes sure that `size` more bytes can be written without allocating. False if there is no memory. */
bool json_writer_reserve(struct json_writer *w, size_t size);
void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
/* A name stands as it is given: one of ours, of printable ASCII without quote and backslash. */
static inline void json_name(struct json_writer *w, const char *name);
void json_string(struct json_writer *w, const char *text);
void json_string_n(struct json_writer *w, const char *text, size_t size);
/* A string that stands as it is given, as a name does. */
void json_plain_string(struct json_writer *w, const char *text);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_uint(struct json_writer *w, uint64_t value);
void json_int(struct json_writer *w, int64_t value);
/* A lower-case hex string, "0x1000": addresses and sizes. */
void json_hex(struct json_writer *w, uint64_t value);
/* A string of base64. */
void json_base64(struct json_writer *w, const void *bytes, size_t size);
/* A name and its value. */
static inline void json_name_string(struct json_writer *w, const char *name, const char *text);
static inline void json_name_bool(struct json_writer *w, const char *name, bool value);
static inline void json_name_uint(struct json_writer *w, const char *name, uint64_t value);
static inline void json_name_hex(struct json_writer *w, const char *name, uint64_t value);
/* Bytes that are one JSON value already. */
void json_raw(struct json_writer *w, const char *text, size_t size);
/* Bytes as they are, with no comma before them and no value counted: a newline between messages. */
void json_bytes(struct json_writer *w, const char *text, size_t size);

/* ---- Inline, since every request goes through them several times ---- */

/* For a token with escapes in it. */
bool json_equals_escaped(const struct json_doc *doc, uint32_t token, const char *text, size_t size);

static inline bool json_same_word(const char *a, const char *b, size_t size)
{
    uint64_t left = 0;
    uint64_t right = 0;

    memcpy(&left, a, size);
    memcpy(&right, b, size);
    return left == right;
}

/* memcmp for names, which are short: two words of a size that the compiler knows, which may overlap. */
static inline bool json_same(const char *a, const char *b, size_t size)
{
    if (size >= 4 && size <= 8)
        return json_same_word(a, b, 4) && json_same_word(a + size - 4, b + size - 4, 4);
    if (size >= 8 && size <= 16)
        return json_same_word(a, b, 8) && json_same_word(a + size - 8, b + size - 8, 8);
    return memcmp(a, b, size) == 0;
}

static inline bool json_equals_n(const struct json_doc *doc, uint32_t token, const char *text, size_t size)
{
    const struct json_token *t = &doc->tokens[token];

    if (t->escaped)
        return json_equals_escaped(doc, token, text, size);
    return t->end - t->start == size && json_same(doc->text + t->start, text, size);
}

static inline bool json_equals(const struct json_doc *doc, uint32_t token, const char *text)
{
    return json_equals_n(doc, token, text, strlen(text));
}

static inline void json_name(struct json_writer *w, const char *name)
{
    size_t size = strlen(name);
    char *p;

    if ((w->failed || w->capacity - w->size < size + 4) && !json_writer_reserve(w, size + 4))
        return;
    p = w->data + w->size;
    *p = ',';
    p += w->comma;
    *p++ = '"';
    memcpy(p, name, size);
    p += size;
    *p++ = '"';
    *p++ = ':';
    w->size = (size_t)(p - w->data);
    w->comma = false;
}

static inline void json_name_string(struct json_writer *w, const char *name, const char *text)
{
    json_name(w, name);
    json_string(w, text);
}

static inline void json_name_bool(struct json_writer *w, const char *name, bool value)
{
    json_name(w, name);
    json_bool(w, value);
}

static inline void json_name_uint(struct json_writer *w, const char *name, uint64_t value)
{
    json_name(w, name);
    json_uint(w, value);
}

static inline void json_name_hex(struct json_writer *w, const char *name, uint64_t value)
{
    json_name(w, name);
    json_hex(w, value);
}

#endif
