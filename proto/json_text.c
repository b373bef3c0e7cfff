/* What the strings of a read text say: unescaping, comparing, members by name, duplicates. */
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/json_plain.h"

/* Up to so many members are compared each with each. */
#define FEW_MEMBERS 16

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
};

static struct cursor cursor_of(const struct json_doc *doc, uint32_t token)
{
    const unsigned char *text = (const unsigned char *)doc->text;

    return (struct cursor){text + doc->tokens[token].start, text + doc->tokens[token].end};
}

static size_t span(const struct json_token *token)
{
    return token->end - token->start;
}

/* ---- UTF-8 ---- */

size_t json_utf8_size(const unsigned char *p, size_t left)
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

/* ---- Plain bytes ---- */

size_t json_plain_from(const unsigned char *p, size_t at, size_t left)
{
#ifdef __SSE2__
    for (; left - at >= 16; at += 16) {
        unsigned special = json_special(p + at);

        if (special)
            return at + (unsigned)__builtin_ctz(special);
    }
#endif
    while (at < left && json_is_plain(p[at]))
        at++;
    return at;
}

/* ---- Unescaping ---- */

static uint32_t hex_digit(unsigned char c)
{
    return c <= '9' ? c - 0u - '0' : (c | 0x20u) - 'a' + 10;
}

/* The four digits after \u. */
static uint32_t code_unit(const unsigned char *p)
{
    return hex_digit(p[2]) << 12 | hex_digit(p[3]) << 8 | hex_digit(p[4]) << 4 | hex_digit(p[5]);
}

static bool is_high_surrogate(uint32_t c)
{
    return c >= 0xd800 && c <= 0xdbff;
}

static bool is_low_surrogate(uint32_t c)
{
    return c >= 0xdc00 && c <= 0xdfff;
}

/* The code point of the \u escape at the cursor, which may be two of them; a lone surrogate comes as it is. */
static uint32_t unicode_escape(struct cursor *c)
{
    uint32_t first = code_unit(c->at);
    uint32_t second;

    c->at += 6;
    if (!is_high_surrogate(first) || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u')
        return first;
    second = code_unit(c->at);
    if (!is_low_surrogate(second))
        return first;
    c->at += 6;
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

static size_t put_utf8(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0 | c >> 6);
        out[1] = (unsigned char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 | c >> 12);
        out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | c >> 18);
    out[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (c & 0x3f));
    return 4;
}

/* The next one to four unescaped bytes; *ret_odd is set by U+0000 and by a lone surrogate (given in the three bytes
 * that UTF-8 would take, so that different names stay different). */
static size_t next_bytes(struct cursor *c, unsigned char out[4], bool *ret_odd)
{
    static const char letters[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    const char *letter;
    uint32_t code;

    if (*c->at != '\\') {
        out[0] = *c->at++;
        return 1;
    }
    if (c->at[1] == 'u') {
        code = unicode_escape(c);
        *ret_odd |= code == 0 || is_high_surrogate(code) || is_low_surrogate(code);
        return put_utf8(code, out);
    }
    letter = strchr(letters, c->at[1]);
    out[0] = letter ? (unsigned char)values[letter - letters] : c->at[1];
    c->at += 2;
    return 1;
}

static bool unescape(struct cursor c, char *buffer, size_t capacity, size_t *ret_size)
{
    unsigned char bytes[4];
    size_t used = 0;
    bool odd = false;

    while (c.at < c.end) {
        size_t size = next_bytes(&c, bytes, &odd);

        if (odd || capacity - used <= size)
            return false;
        memcpy(buffer + used, bytes, size);
        used += size;
    }
    buffer[used] = '\0';
    *ret_size = used;
    return true;
}

bool json_unescape(const struct json_doc *doc, uint32_t token, char *buffer, size_t capacity, size_t *ret_size)
{
    const struct json_token *t = &doc->tokens[token];

    if (capacity == 0)
        return false;
    if (t->escaped)
        return unescape(cursor_of(doc, token), buffer, capacity, ret_size);
    if (span(t) >= capacity)
        return false;
    memcpy(buffer, doc->text + t->start, span(t));
    buffer[span(t)] = '\0';
    *ret_size = span(t);
    return true;
}

/* ---- Comparing ---- */

bool json_equals_escaped(const struct json_doc *doc, uint32_t token, const char *text, size_t size)
{
    struct cursor c = cursor_of(doc, token);
    unsigned char bytes[4];
    bool odd = false;

    while (c.at < c.end) {
        size_t n = next_bytes(&c, bytes, &odd);

        if (odd || n > size || memcmp(bytes, text, n) != 0)
            return false;
        text += n;
        size -= n;
    }
    return size == 0;
}

/* Any total order, by the unescaped bytes. */
static int compare_unescaped(struct cursor a, struct cursor b)
{
    unsigned char left[4] = {0};
    unsigned char right[4] = {0};
    size_t left_size = 0;
    size_t right_size = 0;
    size_t i = 0;
    size_t j = 0;
    bool odd = false;

    for (;;) {
        if (i == left_size) {
            i = 0;
            left_size = a.at < a.end ? next_bytes(&a, left, &odd) : 0;
        }
        if (j == right_size) {
            j = 0;
            right_size = b.at < b.end ? next_bytes(&b, right, &odd) : 0;
        }
        if (!left_size || !right_size)
            return (left_size > 0) - (right_size > 0);
        if (left[i] != right[j])
            return left[i] < right[j] ? -1 : 1;
        i++;
        j++;
    }
}

static int compare_names(const struct json_doc *doc, uint32_t a, uint32_t b)
{
    const struct json_token *left = &doc->tokens[a];
    const struct json_token *right = &doc->tokens[b];
    size_t least = span(left) < span(right) ? span(left) : span(right);
    int order;

    if (left->escaped || right->escaped)
        return compare_unescaped(cursor_of(doc, a), cursor_of(doc, b));
    order = memcmp(doc->text + left->start, doc->text + right->start, least);
    return order ? order : (span(left) > least) - (span(right) > least);
}

/* ---- Members ---- */

uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *name)
{
    uint32_t end = doc->tokens[object].next;

    for (uint32_t at = object + 1; at < end; at = doc->tokens[at + 1].next) {
        if (json_equals(doc, at, name))
            return at + 1;
    }
    return 0;
}

static uint32_t duplicate_of_few(const struct json_doc *doc, uint32_t object)
{
    uint32_t end = doc->tokens[object].next;

    for (uint32_t at = object + 1; at < end; at = doc->tokens[at + 1].next) {
        for (uint32_t before = object + 1; before < at; before = doc->tokens[before + 1].next) {
            if (compare_names(doc, before, at) == 0)
                return at;
        }
    }
    return 0;
}

/* qsort has no argument for its comparison, so each element brings the document along. */
struct member {
    const struct json_doc *doc;
    uint32_t name;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a;
    const struct member *right = b;
    int order = compare_names(left->doc, left->name, right->name);

    return order ? order : (left->name > right->name) - (left->name < right->name);
}

static uint32_t duplicate_of_many(const struct json_doc *doc, uint32_t object, struct member *members)
{
    uint32_t end = doc->tokens[object].next;
    size_t count = 0;

    for (uint32_t at = object + 1; at < end; at = doc->tokens[at + 1].next)
        members[count++] = (struct member){doc, at};
    qsort(members, count, sizeof(*members), compare_members);
    for (size_t i = 1; i < count; i++) {
        if (compare_names(doc, members[i - 1].name, members[i].name) == 0)
            return members[i].name;
    }
    return 0;
}

uint32_t json_duplicate(const struct json_doc *doc, uint32_t object)
{
    uint32_t count = doc->tokens[object].count;
    struct member *members;
    uint32_t found;

    if (count <= FEW_MEMBERS)
        return duplicate_of_few(doc, object);
    members = malloc(count * sizeof(*members));
    if (!members)
        return duplicate_of_few(doc, object); /* slower, but right */
    found = duplicate_of_many(doc, object, members);
    free(members);
    return found;
}
