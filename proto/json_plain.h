/* What the reader and the writer both look for in a string's bytes. Inside the proto layer only. */
#ifndef PROTO_JSON_PLAIN_H
#define PROTO_JSON_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many bytes at `p`, at most `left`, stand for themselves in a JSON string: ASCII but for control characters, the
 * quote and the backslash. Eight at a time: in a subtraction on all eight a borrow can make a plain byte look special,
 * but only one behind a special byte, and it is the first that counts. */
static inline size_t json_plain(const unsigned char *p, size_t left)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t at = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; left - at >= 8; at += 8) {
        uint64_t v;
        uint64_t special;

        memcpy(&v, p + at, sizeof(v));
        special = (v | (v - ones * 0x20) | ((v ^ ones * '"') - ones) | ((v ^ ones * '\\') - ones)) & ones * 0x80;
        if (special)
            return at + ((unsigned)__builtin_ctzll(special) >> 3);
    }
#endif
    while (at < left && json_is_plain(p[at]))
        at++;
    return at;
}

/* Size of the UTF-8 sequence (Unicode 15 table 3-7) of a code point past U+007F at `p`, of `left` > 0 bytes; 0 if it is
 * none. json_text.c */
size_t json_utf8_size(const unsigned char *p, size_t left);

#endif
