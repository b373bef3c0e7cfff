/* Escaping what should not reach a terminal. */
#include "ctl/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The least code point of each length: less is an overlong form (RFC 3629). */
static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

static size_t length_by_first(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >> 5 == 6)
        return 2;
    if (c >> 4 == 14)
        return 3;
    return c >> 3 == 30 ? 4 : 0;
}

size_t utf8_length(const char *text, size_t size)
{
    const unsigned char *byte = (const unsigned char *)text;
    size_t length = size ? length_by_first(byte[0]) : 0;
    uint32_t code;

    if (length == 0 || length > size)
        return 0;
    code = length == 1 ? byte[0] : byte[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (byte[i] >> 6 != 2)
            return 0;
        code = code << 6 | (byte[i] & 0x3F);
    }
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    return length;
}

/* The character of `length` bytes at `text` may be printed as it is. */
static bool is_clean(const char *text, size_t length)
{
    unsigned char first = (unsigned char)text[0];
    unsigned char second = length == 2 ? (unsigned char)text[1] : 0xFF;

    if (length == 1)
        return first >= 0x20 && first != 0x7F;
    return length != 0 && !(first == 0xC2 && second < 0xA0); /* U+0080 to U+009F */
}

static char *escape(char *out, unsigned char byte)
{
    *out++ = '\\';
    *out++ = (char)('0' + (byte >> 6));
    *out++ = (char)('0' + (byte >> 3 & 7));
    *out++ = (char)('0' + (byte & 7));
    return out;
}

char *clean_text(const char *text, size_t size)
{
    char *copy = malloc(CLEAN_ESCAPE_SIZE * size + 1);
    char *out = copy;
    size_t at = 0;

    if (!copy)
        return NULL;
    while (at < size) {
        size_t length = utf8_length(text + at, size - at);

        if (is_clean(text + at, length)) {
            memcpy(out, text + at, length);
            out += length;
            at += length;
        } else {
            out = escape(out, (unsigned char)text[at++]);
        }
    }
    *out = '\0';
    return copy;
}
