/* A file of lines written by a thread of its own, so that a slow disk holds up nobody: the audit log. */
#ifndef DAEMON_LINE_FILE_H
#define DAEMON_LINE_FILE_H

#include <pthread.h>
#include <stdbool.h>

#include "rpc/audit.h"

/* Lines that wait to be written; as many bytes again are being written. Past that lines are lost, and counted. */
#define LINE_FILE_QUEUE_MAX (4u << 20)

struct lines {
    char *data;
    size_t size;
    size_t capacity;
};

struct line_file {
    struct audit audit;
    const char *path;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct lines queue; /* under the lock, with the next two */
    bool reopen;
    bool stop;
    uint64_t dropped; /* since a line last said so, for want of room in the queue; under the lock */
    /* The thread's own: */
    struct lines batch;
    uint64_t unsaid;  /* lost since a line last said so */
    uint64_t missing; /* lost since it failed first */
    bool failing;
    bool torn; /* what was written last ends amid a line */
    int fd;
};

/* Opens the file at `path` (borrowed) to add lines at its end, mode 0600 if it is new, and starts the thread. 0 or a
 * negative errno value. */
int line_file_open(struct line_file *file, const char *path);

/* The file was moved away: the next lines go to a new one. Does not wait. */
void line_file_reopen(struct line_file *file);

/* Writes what is queued, for at most a few seconds, and closes. */
void line_file_close(struct line_file *file);

#endif
