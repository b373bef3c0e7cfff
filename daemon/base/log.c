/* The log: one write per line, so that lines of several processes do not mix. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define FILE_MODE      0640

static enum log_level threshold = LOG_INFO;
static bool to_journal;
static const char *file_path;
static int file = -1;

#define X(id, name, priority) name,
static const char *const names[] = {LOG_LEVEL_MAP(X)};
#undef X
#define X(id, name, priority) priority,
static const int priorities[] = {LOG_LEVEL_MAP(X)};
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

/* systemd.exec(5): $JOURNAL_STREAM is DEVICE:INODE of the stream, to be compared, since the variable is inherited. */
void log_look_for_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat st;

    to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
                 st.st_dev == device && st.st_ino == inode;
}

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);

    return fd < 0 ? -errno : fd;
}

int log_open(const char *path)
{
    int fd = open_file(path);

    if (fd < 0)
        return fd;
    file = fd;
    file_path = path;
    return 0;
}

/* The descriptor keeps its number, so that no other thread ever writes to one that is closed. */
int log_reopen(void)
{
    int error = 0;
    int fd;

    if (!file_path)
        return 0;
    fd = open_file(file_path);
    if (fd < 0)
        return fd;
    if (dup3(fd, file, O_CLOEXEC) < 0)
        error = -errno;
    close(fd);
    return error;
}

static int begin_line(char *line, size_t size, enum log_level level)
{
    const char *name = level == LOG_INFO ? "" : names[level];
    const char *colon = level == LOG_INFO ? "" : ": ";
    char when[32];
    struct timespec now;
    struct tm utc;

    if (file >= 0 && clock_gettime(CLOCK_REALTIME, &now) == 0 && gmtime_r(&now.tv_sec, &utc)) {
        strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
        return snprintf(line, size, "%s.%03ldZ aspaced[%ld]: %s%s", when, now.tv_nsec / 1000000, (long)getpid(), name,
                        colon);
    }
    if (to_journal)
        return snprintf(line, size, "<%d>", priorities[level]);
    return snprintf(line, size, "aspaced: %s%s", name, colon);
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int size;
    int more;

    if (level > threshold)
        return;
    size = begin_line(line, sizeof(line), level);
    va_start(args, format);
    more = vsnprintf(line + size, sizeof(line) - (size_t)size, format, args);
    va_end(args);
    size = more < 0 ? size : size + more;
    if (size > LINE_MAX_BYTES - 2)
        size = LINE_MAX_BYTES - 2;
    line[size++] = '\n';
    if (write(file >= 0 ? file : STDERR_FILENO, line, (size_t)size) < 0)
        return; /* nobody is left to be told */
}
