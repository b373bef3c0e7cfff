/* Texts to values and back: numbers and flags, as in the protocol's table of values. No locale, no strtoull. */
#include <string.h>

#include "proto/methods.h"

#define PERMISSIONS (ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC)

/* ---- Numbers ---- */

/* What each hex digit is worth, and 1 more, so that 0 is no digit. A table, since digits and letters come in no order that a
 * processor could foresee. */
static const unsigned char hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* All of the text, at least one digit. */
static bool read_hex(const char *text, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned digit = hex_values[(unsigned char)text[i]];

        if (!digit || value >> 60)
            return false;
        value = value << 4 | (digit - 1);
    }
    *ret = value;
    return size != 0;
}

static bool read_decimal(const char *text, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9 || value > UINT64_MAX / 10 || value * 10 > UINT64_MAX - digit)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return size != 0;
}

/* The power of two that a suffix stands for; 0 if the letter is none. */
static unsigned suffix_bits(char c)
{
    static const char letters[] = "KkMmGgTt";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? 10 * (unsigned)((at - letters) / 2 + 1) : 0;
}

bool number_parse(const char *text, size_t size, bool suffix, uint64_t *ret)
{
    unsigned bits = suffix && size ? suffix_bits(text[size - 1]) : 0;
    uint64_t value;
    bool read;

    size -= bits != 0;
    if (size > 2 && text[0] == '0' && text[1] == 'x')
        read = read_hex(text + 2, size - 2, &value);
    else
        read = read_decimal(text, size, &value);
    if (!read || value > UINT64_MAX >> bits)
        return false;
    *ret = value << bits;
    return true;
}

/* ---- Flags ---- */

struct flag_text {
    uint16_t flag;
    const char *text;
};

static const struct flag_text permissions[] = {
#define X(name, bit, letter) {ASPACE_##name, (const char[]){letter, '\0'}},
    ASPACE_PERMISSION_MAP(X)
#undef X
};

static const struct flag_text attributes[] = {
#define X(name, bit, text) {ASPACE_##name, text},
    ASPACE_ATTRIBUTE_MAP(X)
#undef X
};

#define PERMISSION_COUNT (sizeof(permissions) / sizeof(permissions[0]))
#define ATTRIBUTE_COUNT  (sizeof(attributes) / sizeof(attributes[0]))

char *flags_format(uint16_t flags, char *buffer)
{
    char *at = buffer;

    for (size_t i = 0; i < PERMISSION_COUNT; i++)
        *at++ = flags & permissions[i].flag ? permissions[i].text[0] : '-';
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        size_t size;

        if (!(flags & attributes[i].flag))
            continue;
        size = strlen(attributes[i].text);
        *at++ = ',';
        memcpy(at, attributes[i].text, size);
        at += size;
    }
    *at = '\0';
    return buffer;
}

/* The flag that the whole text names; 0 if none. */
static uint16_t find_attribute(const char *text, size_t size)
{
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (strlen(attributes[i].text) == size && memcmp(attributes[i].text, text, size) == 0)
            return attributes[i].flag;
    }
    return 0;
}

/* Up to the next comma. */
static size_t item_size(const char *text, size_t size)
{
    const char *comma = size ? memchr(text, ',', size) : NULL;

    return comma ? (size_t)(comma - text) : size;
}

/* "rw-", then attributes, each with a comma before it and no more than once. */
static bool parse_plain(const char *text, size_t size, struct flags_change *ret)
{
    uint16_t set = 0;

    if (size < PERMISSION_COUNT)
        return false;
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if (text[i] == permissions[i].text[0])
            set |= permissions[i].flag;
        else if (text[i] != '-')
            return false;
    }
    for (size_t at = PERMISSION_COUNT; at < size;) {
        size_t item = item_size(text + at + 1, size - at - 1);
        uint16_t flag = text[at] == ',' ? find_attribute(text + at + 1, item) : 0;

        if (!flag || set & flag)
            return false;
        set |= flag;
        at += 1 + item;
    }
    *ret = (struct flags_change){set, PERMISSIONS & (uint16_t)~set};
    return true;
}

/* Up to the next sign or comma. */
static size_t group_size(const char *text, size_t size)
{
    size_t i = 0;

    while (i < size && text[i] != '+' && text[i] != '-' && text[i] != ',')
        i++;
    return i;
}

/* "rw" or "kernel"; 0 if it is neither. */
static uint16_t parse_group(const char *text, size_t size)
{
    uint16_t flags = find_attribute(text, size);

    for (size_t i = 0; i < size && !find_attribute(text, size); i++) {
        uint16_t flag = 0;

        for (size_t p = 0; p < PERMISSION_COUNT; p++)
            flag |= text[i] == permissions[p].text[0] ? permissions[p].flag : 0;
        if (!flag || flags & flag)
            return 0;
        flags |= flag;
    }
    return flags;
}

/* "+r-w,-global": signs, each with letters or an attribute after it; a comma may part two of them. */
static bool parse_change(const char *text, size_t size, struct flags_change *ret)
{
    struct flags_change change = {0, 0};
    size_t at = 0;

    while (at < size) {
        uint16_t *side = text[at] == '+' ? &change.set : &change.clear;
        size_t group = group_size(text + at + 1, size - at - 1);
        uint16_t flags = text[at] == '+' || text[at] == '-' ? parse_group(text + at + 1, group) : 0;

        if (!flags || (change.set | change.clear) & flags)
            return false;
        *side |= flags;
        at += 1 + group;
        if (at < size && text[at] == ',' && ++at == size)
            return false;
    }
    *ret = change;
    return size != 0;
}

bool flags_parse(const char *text, size_t size, bool allow_change, struct flags_change *ret)
{
    return parse_plain(text, size, ret) || (allow_change && parse_change(text, size, ret));
}
