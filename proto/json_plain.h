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

/* Sixteen bytes for one instruction, where the processor has such. */
typedef signed char json_bytes16 __attribute__((vector_size(16)));
typedef char json_chars16 __attribute__((vector_size(16)));

#ifdef __SSE2__ /* all x86-64 processors have it */
/* Of the sixteen bytes at `p` a bit for each that json_is_plain is not true for. The comparison is signed, so that bytes from
 * 0x80 on are below 0x20 too. */
static inline unsigned json_special(const unsigned char *p)
{
    json_bytes16 v;

    memcpy(&v, p, sizeof(v));
    return (unsigned)__builtin_ia32_pmovmskb128((json_chars16)((v < 0x20) | (v == '"') | (v == '\\')));
}
#endif

/* json_plain, from `at` on. json_text.c */
size_t json_plain_from(const unsigned char *p, size_t at, size_t left);

/* How many bytes at `p`, at most `left`, stand for themselves in a JSON string: ASCII but for control characters, the
 * quote and the backslash. */
static inline size_t json_plain(const unsigned char *p, size_t left)
{
#ifdef __SSE2__
    unsigned special = left >= 16 ? json_special(p) : 0;

    if (special)
        return (unsigned)__builtin_ctz(special);
#endif
    return json_plain_from(p, 0, left);
}

/* Size of the UTF-8 sequence (Unicode 15 table 3-7) of a code point past U+007F at `p`, of `left` > 0 bytes; 0 if it is
 * none. json_text.c */
size_t json_utf8_size(const unsigned char *p, size_t left);

#endif
