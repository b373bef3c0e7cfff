/* The list of architectures. */
#include "sim/arch.h"

#include <stddef.h>
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
