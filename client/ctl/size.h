/* Sizes for people. */
#ifndef CTL_SIZE_H
#define CTL_SIZE_H

#include <stdint.h>

#define SIZE_TEXT_MAX 24

/* Bytes in the largest unit that leaves at least one: "132 KiB", "1 MiB" when that is exact, "1.5 MiB" to one decimal
 * (cut, not rounded up) when it is not. Writes at most SIZE_TEXT_MAX bytes; returns `buffer`. */
char *size_format(uint64_t bytes, char *buffer);

#endif
