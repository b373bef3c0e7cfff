/* What a typed value must look like, by the parameter's type. */
#include "ctl/arg_value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ctl/clean.h"

bool arg_is_choice(const struct param_spec *spec, const char *text)
{
    for (size_t i = 0; spec->choices[i]; i++) {
        if (strcmp(spec->choices[i], text) == 0)
            return true;
    }
    return false;
}

const char *arg_range_high(const char *text)
{
    const char *dash = strchr(text, '-');
    uint64_t number;

    if (!dash || !number_parse(text, (size_t)(dash - text), false, &number) ||
        !number_parse(dash + 1, strlen(dash + 1), false, &number))
        return NULL;
    return dash + 1;
}

static bool is_hex(const char *text)
{
    size_t size = strlen(text);

    return size % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == size;
}

const char *arg_wanted(const struct param_spec *spec, const char *text)
{
    size_t size = strlen(text);
    struct flags_change change;
    uint64_t number;

    switch (spec->type) {
    case TYPE_ADDR:
        return number_parse(text, size, false, &number) ? NULL : "an address such as 0x1000";
    case TYPE_SIZE:
        return number_parse(text, size, true, &number) ? NULL : "a size such as 0x1000, 4096 or 4K";
    case TYPE_COUNT:
        return isdigit((unsigned char)*text) && number_parse(text, size, false, &number) ? NULL : "a whole number";
    case TYPE_FLAGS:
        return flags_parse(text, size, false, &change) ? NULL : "flags such as r--, rw- or r-x,kernel";
    case TYPE_FLAGS_CHANGE:
        return flags_parse(text, size, true, &change) ? NULL
                                                      : "flags such as r-x, or a change of them such as +w or -x";
    case TYPE_RANGE:
        return arg_range_high(text) ? NULL : "two addresses, LO-HI";
    case TYPE_HEX:
        return is_hex(text) ? NULL : "pairs of hex digits";
    default:
        return NULL;
    }
}

void arg_list_choices(const struct param_spec *spec, char *buffer, size_t size)
{
    size_t used = 0;

    buffer[0] = '\0';
    for (size_t i = 0; spec->choices[i] && used < size; i++)
        used += (size_t)snprintf(buffer + used, size - used, "%s%s",
                                 i == 0                 ? ""
                                 : spec->choices[i + 1] ? ", "
                                                        : " or ",
                                 spec->choices[i]);
}

bool arg_is_utf8(const char *text)
{
    size_t size = strlen(text);

    while (size) {
        size_t length = utf8_length(text, size);

        if (!length)
            return false;
        text += length;
        size -= length;
    }
    return true;
}
