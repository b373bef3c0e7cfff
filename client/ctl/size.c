/* Binary units. */
#include "ctl/size.h"

#include <inttypes.h>
#include <stdio.h>

char *size_format(uint64_t bytes, char *buffer)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t below;

    while (unit < 6 && bytes >> (10 * (unit + 1)))
        unit++;
    below = bytes & ((UINT64_C(1) << (10 * unit)) - 1);
    if (!below)
        snprintf(buffer, SIZE_TEXT_MAX, "%" PRIu64 " %s", bytes >> (10 * unit), units[unit]);
    else
        snprintf(buffer, SIZE_TEXT_MAX, "%" PRIu64 ".%u %s", bytes >> (10 * unit),
                 (unsigned)((below >> (10 * (unit - 1))) * 10 >> 10), units[unit]);
    return buffer;
}
