/* The list of architectures, and entries as text. */
#include "sim/arch.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* In the order of ASPACE_ARCH_MAP. */
static const struct arch *const archs[] = {
    &arch_x86_64, &arch_x86_64_la57, &arch_aarch64, &arch_riscv_sv39, &arch_riscv_sv48, &arch_riscv_sv57,
};

const struct arch *arch_find(const char *name)
{
    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
        if (strcmp(archs[i]->name, name) == 0)
            return archs[i];
    return NULL;
}

static unsigned where_of(uint64_t entry, bool leaf)
{
    if (!(entry & ARCH_PRESENT))
        return ARCH_IN_ABSENT;
    return leaf ? ARCH_IN_LEAF : ARCH_IN_TABLE;
}

/* After a space, unless it is the first. */
static size_t add_word(char *buffer, size_t used, const char *word)
{
    int size = snprintf(buffer + used, ARCH_TEXT_MAX - used, "%s%s", used ? " " : "", word);

    return used + (size_t)size < ARCH_TEXT_MAX ? used + (size_t)size : ARCH_TEXT_MAX - 1;
}

char *arch_describe(const struct arch *arch, uint64_t entry, bool leaf, char *buffer)
{
    unsigned where = where_of(entry, leaf);
    uint64_t rest = entry & ~arch->address;
    size_t used = 0;
    char number[24];

    buffer[0] = '\0';
    for (const struct arch_name *n = arch->names; n->name; n++) {
        if (!(n->where & where) || (entry & n->mask) != n->value)
            continue;
        used = add_word(buffer, used, n->name);
        rest &= ~n->mask;
    }
    if (rest) {
        snprintf(number, sizeof(number), "0x%" PRIx64, rest);
        add_word(buffer, used, number);
    }
    return buffer;
}
