/* The reader: one pass over the text with an explicit stack, so depth costs no C stack. Grammar of RFC 8259. What the
 * strings say is json_text.c's matter. A function that reads gets where it begins and gives where it ended, or NULL
 * after wrong(). */
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/json_plain.h"

#define FIRST_TOKENS 64

struct reader {
    struct json_doc *doc;
    const unsigned char *text;
    const unsigned char *end;
    struct json_token *tokens; /* the doc's */
    uint32_t count;
    uint32_t capacity;
    enum aspace_error code; /* after NULL */
    bool object;            /* the innermost container is one */
    unsigned depth;
    uint32_t open[JSON_DEPTH_MAX]; /* token indexes of the containers that we are in */
};

static const unsigned char *wrong(struct reader *r, const unsigned char *at, const char *error)
{
    r->code = ASPACE_PARSE_ERROR;
    r->doc->error = error;
    r->doc->error_at = (size_t)(at - r->text);
    return NULL;
}

/* ---- Tokens ---- */

__attribute__((noinline)) static bool grow(struct reader *r, const unsigned char *at)
{
    size_t capacity = r->capacity ? 2 * (size_t)r->capacity : FIRST_TOKENS;
    struct json_token *tokens = capacity <= UINT32_MAX ? realloc(r->tokens, capacity * sizeof(*tokens)) : NULL;

    if (!tokens) {
        wrong(r, at, "out of memory");
        r->code = ASPACE_NO_MEMORY;
        return false;
    }
    r->tokens = r->doc->tokens = tokens;
    r->capacity = (uint32_t)capacity;
    r->doc->capacity = capacity;
    return true;
}

/* Room for a member: a name, and a value or the opening of one. */
static inline bool has_room(struct reader *r, const unsigned char *at)
{
    return r->capacity - r->count >= 2 || grow(r, at);
}

/* A token from `start` to `end`, for which there is room. A container's end, count and next are set when it closes. */
static inline void add_token(struct reader *r, enum json_type type, const unsigned char *start,
                             const unsigned char *end, bool escaped)
{
    r->tokens[r->count] = (struct json_token){
        .start = (uint32_t)(start - r->text),
        .end = (uint32_t)(end - r->text),
        .next = r->count + 1,
        .type = (uint8_t)type,
        .escaped = escaped,
    };
    r->count++;
}

/* ---- Strings ---- */

static bool is_hex_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Size of the escape at the backslash `p`; 0 if it is none. */
static size_t escape_size(const unsigned char *p, size_t left)
{
    if (left < 2 || p[1] == '\0' || !strchr("\"\\/bfnrtu", p[1]))
        return 0;
    if (p[1] != 'u')
        return 2;
    return left >= 6 && is_hex_digit(p[2]) && is_hex_digit(p[3]) && is_hex_digit(p[4]) && is_hex_digit(p[5]) ? 6 : 0;
}

/* What is not plain in a string and not its end. */
static const unsigned char *read_special(struct reader *r, const unsigned char *p, bool *escaped)
{
    size_t left = (size_t)(r->end - p);
    size_t size;

    if (!left)
        return wrong(r, p, "a string does not end");
    if (*p < 0x20)
        return wrong(r, p, "a string holds an unescaped control character");
    size = *p == '\\' ? escape_size(p, left) : json_utf8_size(p, left);
    if (!size)
        return wrong(r, p, *p == '\\' ? "a string holds an escape that is none" : "a string is not UTF-8");
    *escaped |= *p == '\\';
    return p + size;
}

/* A string from `start`, of which all is plain up to `p`. */
__attribute__((noinline)) static const unsigned char *read_long_string(struct reader *r, const unsigned char *start,
                                                                       const unsigned char *p)
{
    bool escaped = false;

    for (;;) {
        p = read_special(r, p, &escaped);
        if (!p)
            return NULL;
        p += json_plain(p, (size_t)(r->end - p));
        if (p < r->end && *p == '"')
            break;
    }
    add_token(r, JSON_STRING, start, p, escaped);
    return p + 1;
}

/* How many plain bytes are at `p`. Near the end sixteen bytes are looked at that end there. */
static inline size_t count_plain(const struct reader *r, const unsigned char *p)
{
    size_t left = (size_t)(r->end - p);

#ifdef __SSE2__
    if (left < 16 && r->end - r->text >= 16) {
        unsigned special = json_special(r->end - 16) >> (16 - left);

        return special ? (unsigned)__builtin_ctz(special) : left;
    }
#endif
    return json_plain(p, left);
}

/* From the opening quote. */
static inline const unsigned char *read_string(struct reader *r, const unsigned char *p)
{
    const unsigned char *start = ++p;

    p += count_plain(r, p);
    if (p == r->end || *p != '"')
        return read_long_string(r, start, p);
    add_token(r, JSON_STRING, start, p, false);
    return p + 1;
}

/* ---- Numbers and words ---- */

static const unsigned char *skip_digits(const struct reader *r, const unsigned char *p)
{
    while (p < r->end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* At least one digit. */
static const unsigned char *read_digits(struct reader *r, const unsigned char *p, const char *error)
{
    const unsigned char *end = skip_digits(r, p);

    return end > p ? end : wrong(r, p, error);
}

static bool is_at(const struct reader *r, const unsigned char *p, char a, char b)
{
    return p < r->end && (*p == a || *p == b);
}

static const unsigned char *read_number(struct reader *r, const unsigned char *start)
{
    const unsigned char *p = start + is_at(r, start, '-', '-');

    p = is_at(r, p, '0', '0') ? p + 1 : read_digits(r, p, "a number has no digits");
    if (p && is_at(r, p, '.', '.'))
        p = read_digits(r, p + 1, "a number has no digits after its point");
    if (p && is_at(r, p, 'e', 'E')) {
        p++;
        p = read_digits(r, p + is_at(r, p, '+', '-'), "a number has no digits in its exponent");
    }
    if (p)
        add_token(r, JSON_NUMBER, start, p, false);
    return p;
}

static const unsigned char *read_word(struct reader *r, const unsigned char *p, const char *word, enum json_type type)
{
    size_t size = strlen(word);

    if ((size_t)(r->end - p) < size || memcmp(p, word, size) != 0)
        return wrong(r, p, "there is no JSON value here");
    add_token(r, type, p, p + size, false);
    return p + size;
}

/* ---- The grammar ---- */

static inline const unsigned char *skip_space(const struct reader *r, const unsigned char *p)
{
    while (p < r->end && *p <= ' ' && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static const unsigned char *open_container(struct reader *r, const unsigned char *p, enum json_type type)
{
    if (r->depth == JSON_DEPTH_MAX)
        return wrong(r, p, "the JSON is nested too deeply");
    r->open[r->depth++] = r->count;
    r->object = type == JSON_OBJECT;
    add_token(r, type, p, p + 1, false);
    return p + 1;
}

/* From the bracket that closes it. */
static const unsigned char *close_container(struct reader *r, const unsigned char *p)
{
    struct json_token *token = &r->tokens[r->open[--r->depth]];

    token->end = (uint32_t)(p + 1 - r->text);
    token->next = r->count;
    r->object = r->depth && r->tokens[r->open[r->depth - 1]].type == JSON_OBJECT;
    return p + 1;
}

static bool closes(const struct reader *r, const unsigned char *p)
{
    return p < r->end && *p == (r->object ? '}' : ']');
}

/* A whole value, or the opening of a container. */
static const unsigned char *read_value(struct reader *r, const unsigned char *p)
{
    if (p == r->end)
        return wrong(r, p, r->count ? "the text ends too early" : "there is nothing");
    if (r->depth)
        r->tokens[r->open[r->depth - 1]].count++;
    switch (*p) {
    case '{':
        return open_container(r, p, JSON_OBJECT);
    case '[':
        return open_container(r, p, JSON_ARRAY);
    case '"':
        return read_string(r, p);
    case 't':
        return read_word(r, p, "true", JSON_TRUE);
    case 'f':
        return read_word(r, p, "false", JSON_FALSE);
    case 'n':
        return read_word(r, p, "null", JSON_NULL);
    default:
        if (*p == '-' || (*p >= '0' && *p <= '9'))
            return read_number(r, p);
        return wrong(r, p, "there is no JSON value here");
    }
}

/* A member's name with its colon, and the space after it. */
static const unsigned char *read_name(struct reader *r, const unsigned char *p)
{
    if (p == r->end)
        return wrong(r, p, "the text ends too early");
    if (*p != '"')
        return wrong(r, p, "an object's member needs a name in quotes");
    p = read_string(r, p);
    if (!p)
        return NULL;
    p = skip_space(r, p);
    if (p == r->end || *p != ':')
        return wrong(r, p, "a name needs a colon after it");
    return skip_space(r, p + 1);
}

/* After a value: the ends of the containers that end here, then a comma if there is one left that has not. */
static const unsigned char *read_ends(struct reader *r, const unsigned char *p)
{
    for (;;) {
        p = skip_space(r, p);
        if (!r->depth)
            return p;
        if (p == r->end)
            return wrong(r, p, "the text ends too early");
        if (*p == ',')
            return p + 1;
        if (!closes(r, p))
            return wrong(r, p, r->object ? "a comma or } is missing" : "a comma or ] is missing");
        p = close_container(r, p);
    }
}

static enum aspace_error read_text(struct reader *r)
{
    const unsigned char *p = r->text;

    do {
        unsigned depth = r->depth;

        p = skip_space(r, p);
        if (!has_room(r, p))
            return r->code;
        if (r->object)
            p = read_name(r, p);
        if (p)
            p = read_value(r, p);
        if (p && r->depth > depth && !closes(r, p = skip_space(r, p)))
            continue; /* into the container, which is not empty */
        if (p)
            p = read_ends(r, p);
    } while (p && r->depth);
    if (p && p < r->end)
        p = wrong(r, p, "there is more after the value");
    return p ? ASPACE_OK : r->code;
}

enum aspace_error json_read(struct json_doc *doc, const char *text, size_t size)
{
    struct reader r;
    enum aspace_error code;

    r.doc = doc;
    r.text = (const unsigned char *)text;
    r.end = r.text + size;
    r.tokens = doc->tokens;
    r.count = 0;
    r.capacity = (uint32_t)doc->capacity;
    r.object = false;
    r.depth = 0;
    doc->text = text;
    doc->count = 0;
    doc->error = NULL;
    doc->error_at = 0;
    if (size > UINT32_MAX) {
        wrong(&r, r.text, "the text is longer than 4 GiB");
        return r.code;
    }
    code = read_text(&r);
    doc->count = r.count;
    return code;
}

void json_free(struct json_doc *doc)
{
    free(doc->tokens);
    *doc = (struct json_doc){0};
}
