/* The log: one write per line, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static enum log_level threshold = LOG_INFO;

#define X(id, name) name,
static const char *const names[] = {LOG_LEVEL_MAP(X)};
#undef X

void log_set_level(enum log_level level)
{
    threshold = level;
}

int log_level_by_name(const char *name)
{
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int size;
    int more;

    if (level > threshold)
        return;
    size = snprintf(line, sizeof(line), "aspaced: %s%s", level == LOG_INFO ? "" : names[level],
                    level == LOG_INFO ? "" : ": ");
    va_start(args, format);
    more = vsnprintf(line + size, sizeof(line) - (size_t)size, format, args);
    va_end(args);
    size = more < 0 ? size : size + more;
    if (size > LINE_MAX_BYTES - 2)
        size = LINE_MAX_BYTES - 2;
    line[size++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nobody is left to be told */
}
