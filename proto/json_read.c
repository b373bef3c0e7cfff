/* The reader: one pass over the text with an explicit stack, so depth costs no C stack. Grammar of RFC 8259, UTF-8 as
 * in Unicode 15 table 3-7. What the strings say is json_text.c's matter. */
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

#define FIRST_TOKENS 64

/* What may come next. */
enum expect { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_NAME, EXPECT_NAME_OR_END, EXPECT_COMMA_OR_END };

struct reader {
    struct json_doc *doc;
    const unsigned char *text;
    size_t size;
    size_t at;
    unsigned depth;
    uint32_t open[JSON_DEPTH_MAX]; /* token indexes of the containers that we are in */
};

static enum aspace_error wrong(struct reader *r, const char *error)
{
    r->doc->error = error;
    r->doc->error_at = r->at;
    return ASPACE_PARSE_ERROR;
}

/* ---- Tokens ---- */

static bool grow(struct json_doc *doc)
{
    size_t capacity = doc->capacity ? 2 * doc->capacity : FIRST_TOKENS;
    struct json_token *tokens = realloc(doc->tokens, capacity * sizeof(*tokens));

    if (!tokens)
        return false;
    doc->tokens = tokens;
    doc->capacity = capacity;
    return true;
}

/* A token from `start` up to where the reader is; a container's end, count and next are set when it closes. */
static enum aspace_error add_token(struct reader *r, enum json_type type, size_t start, size_t end, bool escaped)
{
    struct json_doc *doc = r->doc;

    if (doc->count == doc->capacity && !grow(doc)) {
        doc->error = "out of memory";
        doc->error_at = r->at;
        return ASPACE_NO_MEMORY;
    }
    doc->tokens[doc->count] = (struct json_token){
        .start = (uint32_t)start,
        .end = (uint32_t)end,
        .next = (uint32_t)doc->count + 1,
        .type = (uint8_t)type,
        .escaped = escaped,
    };
    doc->count++;
    return ASPACE_OK;
}

/* ---- Strings ---- */

/* Size of the UTF-8 sequence of a code point past U+007F at `p`; 0 if it is none. */
static size_t utf8_size(const unsigned char *p, size_t left)
{
    unsigned low = 0x80;
    unsigned high = 0xbf;
    size_t size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (p[0] < 0xc2 || p[0] > 0xf4 || left < size)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0; /* overlong below */
    else if (p[0] == 0xed)
        high = 0x9f; /* surrogates above */
    else if (p[0] == 0xf0)
        low = 0x90; /* overlong below */
    else if (p[0] == 0xf4)
        high = 0x8f; /* past U+10FFFF above */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return size;
}

static bool is_hex_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* The reader is at a backslash. */
static bool skip_escape(struct reader *r)
{
    size_t left = r->size - r->at;
    const unsigned char *p = r->text + r->at;

    if (left < 2 || p[1] == '\0' || !strchr("\"\\/bfnrtu", p[1]))
        return false;
    if (p[1] != 'u') {
        r->at += 2;
        return true;
    }
    if (left < 6 || !is_hex_digit(p[2]) || !is_hex_digit(p[3]) || !is_hex_digit(p[4]) || !is_hex_digit(p[5]))
        return false;
    r->at += 6;
    return true;
}

/* Whether eight bytes are all plain ASCII string content. Borrows between the bytes can only make a plain byte look
 * special above one that is, so no special byte is missed. */
static bool eight_plain(const unsigned char *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return !((v | (v - ones * 0x20) | ((v ^ ones * '"') - ones) | ((v ^ ones * '\\') - ones)) & ones * 0x80);
}

static void skip_plain(struct reader *r)
{
    while (r->size - r->at >= 8 && eight_plain(r->text + r->at))
        r->at += 8;
    while (r->at < r->size && r->text[r->at] >= 0x20 && r->text[r->at] < 0x80 && r->text[r->at] != '"' &&
           r->text[r->at] != '\\')
        r->at++;
}

/* The reader is at the opening quote. */
static enum aspace_error read_string(struct reader *r)
{
    size_t start = ++r->at;
    bool escaped = false;

    for (;;) {
        size_t size = 1;

        skip_plain(r);
        if (r->at == r->size)
            return wrong(r, "a string does not end");
        if (r->text[r->at] == '"')
            break;
        if (r->text[r->at] == '\\') {
            if (!skip_escape(r))
                return wrong(r, "a string holds an escape that is none");
            escaped = true;
            continue;
        }
        if (r->text[r->at] < 0x20)
            return wrong(r, "a string holds an unescaped control character");
        size = utf8_size(r->text + r->at, r->size - r->at);
        if (!size)
            return wrong(r, "a string is not UTF-8");
        r->at += size;
    }
    r->at++;
    return add_token(r, JSON_STRING, start, r->at - 1, escaped);
}

/* ---- Numbers and words ---- */

/* Whether there was at least one digit. */
static bool skip_digits(struct reader *r)
{
    size_t start = r->at;

    while (r->at < r->size && r->text[r->at] >= '0' && r->text[r->at] <= '9')
        r->at++;
    return r->at > start;
}

static bool skip_one_of(struct reader *r, char a, char b)
{
    if (r->at == r->size || (r->text[r->at] != a && r->text[r->at] != b))
        return false;
    r->at++;
    return true;
}

static enum aspace_error read_number(struct reader *r)
{
    size_t start = r->at;

    skip_one_of(r, '-', '-');
    if (!skip_one_of(r, '0', '0') && !skip_digits(r))
        return wrong(r, "a number has no digits");
    if (skip_one_of(r, '.', '.') && !skip_digits(r))
        return wrong(r, "a number has no digits after its point");
    if (skip_one_of(r, 'e', 'E')) {
        skip_one_of(r, '+', '-');
        if (!skip_digits(r))
            return wrong(r, "a number has no digits in its exponent");
    }
    return add_token(r, JSON_NUMBER, start, r->at, false);
}

static enum aspace_error read_word(struct reader *r, const char *word, enum json_type type)
{
    size_t size = strlen(word);
    size_t start = r->at;

    if (r->size - r->at < size || memcmp(r->text + r->at, word, size) != 0)
        return wrong(r, "there is no JSON value here");
    r->at += size;
    return add_token(r, type, start, r->at, false);
}

/* ---- Containers ---- */

static void count_item(struct reader *r)
{
    if (r->depth)
        r->doc->tokens[r->open[r->depth - 1]].count++;
}

static enum aspace_error open_container(struct reader *r, enum json_type type)
{
    if (r->depth == JSON_DEPTH_MAX)
        return wrong(r, "the JSON is nested too deeply");
    r->open[r->depth++] = (uint32_t)r->doc->count;
    r->at++;
    return add_token(r, type, r->at - 1, r->at, false);
}

static void close_container(struct reader *r)
{
    struct json_token *token = &r->doc->tokens[r->open[--r->depth]];

    r->at++;
    token->end = (uint32_t)r->at;
    token->next = (uint32_t)r->doc->count;
}

static enum json_type container(const struct reader *r)
{
    return (enum json_type)r->doc->tokens[r->open[r->depth - 1]].type;
}

/* ---- The grammar ---- */

static void skip_space(struct reader *r)
{
    while (r->at < r->size) {
        unsigned char c = r->text[r->at];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
        r->at++;
    }
}

/* The reader is at the first byte of a value. */
static enum aspace_error read_value(struct reader *r, enum expect *next)
{
    unsigned char c = r->text[r->at];

    count_item(r);
    *next = EXPECT_COMMA_OR_END;
    switch (c) {
    case '{':
        *next = EXPECT_NAME_OR_END;
        return open_container(r, JSON_OBJECT);
    case '[':
        *next = EXPECT_VALUE_OR_END;
        return open_container(r, JSON_ARRAY);
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true", JSON_TRUE);
    case 'f':
        return read_word(r, "false", JSON_FALSE);
    case 'n':
        return read_word(r, "null", JSON_NULL);
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return read_number(r);
        return wrong(r, "there is no JSON value here");
    }
}

static enum aspace_error read_name(struct reader *r)
{
    enum aspace_error error;

    if (r->text[r->at] != '"')
        return wrong(r, "an object's member needs a name in quotes");
    error = read_string(r);
    if (error)
        return error;
    skip_space(r);
    if (r->at == r->size || r->text[r->at] != ':')
        return wrong(r, "a name needs a colon after it");
    r->at++;
    return ASPACE_OK;
}

static enum aspace_error read_separator(struct reader *r, enum expect *next)
{
    unsigned char c = r->text[r->at];
    bool object = container(r) == JSON_OBJECT;

    if (c == (object ? '}' : ']')) {
        close_container(r);
        *next = EXPECT_COMMA_OR_END;
        return ASPACE_OK;
    }
    if (c != ',')
        return wrong(r, object ? "a comma or } is missing" : "a comma or ] is missing");
    r->at++;
    *next = object ? EXPECT_NAME : EXPECT_VALUE;
    return ASPACE_OK;
}

static enum aspace_error read_member(struct reader *r, enum expect *next)
{
    *next = EXPECT_VALUE;
    return read_name(r);
}

/* One piece of the text: a value or its opening, a name with its colon, a comma, an end. */
static enum aspace_error read_piece(struct reader *r, enum expect *next)
{
    unsigned char c = r->text[r->at];

    switch (*next) {
    case EXPECT_COMMA_OR_END:
        return read_separator(r, next);
    case EXPECT_NAME_OR_END:
        return c == '}' ? read_separator(r, next) : read_member(r, next);
    case EXPECT_NAME:
        return read_member(r, next);
    case EXPECT_VALUE_OR_END:
        return c == ']' ? read_separator(r, next) : read_value(r, next);
    default:
        return read_value(r, next);
    }
}

static enum aspace_error read_text(struct reader *r)
{
    enum expect next = EXPECT_VALUE;
    enum aspace_error error;

    do {
        skip_space(r);
        if (r->at == r->size)
            return wrong(r, r->doc->count ? "the text ends too early" : "there is nothing");
        error = read_piece(r, &next);
        if (error)
            return error;
    } while (r->depth || next != EXPECT_COMMA_OR_END);
    skip_space(r);
    return r->at == r->size ? ASPACE_OK : wrong(r, "there is more after the value");
}

enum aspace_error json_read(struct json_doc *doc, const char *text, size_t size)
{
    struct reader r;

    r.doc = doc;
    r.text = (const unsigned char *)text;
    r.size = size;
    r.at = 0;
    r.depth = 0;
    doc->text = text;
    doc->count = 0;
    doc->error = NULL;
    doc->error_at = 0;
    if (size > UINT32_MAX)
        return wrong(&r, "the text is longer than 4 GiB");
    return read_text(&r);
}

void json_free(struct json_doc *doc)
{
    free(doc->tokens);
    *doc = (struct json_doc){0};
}
