/* Text from elsewhere (tags, messages, pathnames) made safe to print: it cannot move the cursor or colour a terminal. */
#ifndef CTL_CLEAN_H
#define CTL_CLEAN_H

#include <stddef.h>

/* The length in bytes (1 to 4) of the UTF-8 character at `text`; 0 if the bytes there are not UTF-8. */
size_t utf8_length(const char *text, size_t size);

/* How clean_text writes one byte that is a control character or not UTF-8: "\ooo". */
#define CLEAN_ESCAPE_SIZE 4

/* A copy with every control character (C0, DEL, C1) and every byte that is not UTF-8 written as "\ooo", octal. The
 * caller frees it. NULL if there is no memory. */
char *clean_text(const char *text, size_t size);

#endif
