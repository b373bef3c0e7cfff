/* A file of lines written by a thread of its own. When the file cannot be written (a full disk) lines are lost; the log is
 * told so once, and the file itself as soon as it takes lines again. */
#include "daemon/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define FILE_MODE    0600
#define CLOSE_WAIT_S 5

/* ---- Queueing: any thread ---- */

static bool append(struct lines *lines, const char *text, size_t size)
{
    size_t capacity = lines->capacity ? lines->capacity : 4096;
    char *data;

    if (lines->size + size > LINE_FILE_QUEUE_MAX)
        return false;
    while (capacity < lines->size + size)
        capacity *= 2;
    if (capacity > lines->capacity) {
        data = realloc(lines->data, capacity);
        if (!data)
            return false;
        lines->data = data;
        lines->capacity = capacity;
    }
    memcpy(lines->data + lines->size, text, size);
    lines->size += size;
    return true;
}

static void queue_line(struct audit *audit, const char *text, size_t size)
{
    struct line_file *file = (struct line_file *)audit;

    pthread_mutex_lock(&file->lock);
    if (!text || !append(&file->queue, text, size)) {
        file->dropped++;
        atomic_fetch_add(&audit->lost, 1);
    }
    pthread_cond_signal(&file->more);
    pthread_mutex_unlock(&file->lock);
}

/* ---- Writing: the thread ---- */

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);

    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFL, O_APPEND); /* O_NONBLOCK was for a FIFO that nobody reads */
    return fd;
}

static void open_again(struct line_file *file)
{
    int fd = open_file(file->path);

    if (fd < 0) {
        log_line(LOG_ERROR, "cannot open the audit log %s again: %s; lines go where they went", file->path,
                 strerror(-fd));
        return;
    }
    close(file->fd);
    file->fd = fd;
    file->torn = false;
    log_line(LOG_INFO, "the audit log %s is open again", file->path);
}

static uint64_t count_lines(const char *text, size_t size)
{
    uint64_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

/* As much as the file takes; *ret_error is why it did not take all. */
static size_t write_some(int fd, const char *text, size_t size, int *ret_error)
{
    size_t done = 0;
    ssize_t n;

    *ret_error = 0;
    while (done < size) {
        n = write(fd, text + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *ret_error = n < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

/* Takes the last `size` bytes off the file again, the beginning of a line that has no end. */
static bool take_back(int fd, size_t size)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && ftruncate(fd, st.st_size - (off_t)size) == 0;
}

/* Writes whole lines; 0 if all are written. */
static int write_lines(struct line_file *file, const char *text, size_t size, size_t *ret_done)
{
    const char *last;
    size_t done;
    int error;

    *ret_done = 0;
    if (file->torn && write_some(file->fd, "\n", 1, &error) == 0)
        return error;
    file->torn = false;
    done = write_some(file->fd, text, size, &error);
    last = memrchr(text, '\n', done);
    *ret_done = last ? (size_t)(last - text) + 1 : 0;
    if (done > *ret_done)
        file->torn = !take_back(file->fd, done - *ret_done);
    return error;
}

/* What was lost is said in the file, where its readers would miss it. */
static int say_lost(struct line_file *file)
{
    char text[128];
    time_t now = time(NULL);
    struct tm utc;
    size_t size;
    size_t done;
    int error;

    if (!file->unsaid)
        return 0;
    size = strftime(text, sizeof(text), "{\"time\":\"%Y-%m-%dT%H:%M:%SZ\"", gmtime_r(&now, &utc));
    size += (size_t)snprintf(text + size, sizeof(text) - size, ",\"lost\":%" PRIu64 "}\n", file->unsaid);
    error = write_lines(file, text, size, &done);
    if (!error)
        file->unsaid = 0;
    return error;
}

static void tell(struct line_file *file, int error)
{
    if (error && !file->failing)
        log_line(LOG_ERROR, "cannot write the audit log %s: %s; lines are lost until it can be written", file->path,
                 strerror(error));
    if (!error && file->failing)
        log_line(LOG_WARNING, "the audit log %s is written again; %" PRIu64 " lines were lost", file->path,
                 file->missing);
    file->failing = error != 0;
    if (!error)
        file->missing = 0;
}

static void write_batch(struct line_file *file)
{
    size_t done = 0;
    int error = say_lost(file);

    if (!error)
        error = write_lines(file, file->batch.data, file->batch.size, &done);
    atomic_fetch_add(&file->audit.lines, count_lines(file->batch.data, done));
    if (error) {
        uint64_t more = count_lines(file->batch.data + done, file->batch.size - done);

        file->unsaid += more;
        file->missing += more;
        atomic_fetch_add(&file->audit.lost, more);
    }
    tell(file, error);
    file->batch.size = 0;
}

/* Waits for something to do and takes it; false at the end. */
static bool take_batch(struct line_file *file, bool *ret_reopen)
{
    struct lines empty = file->batch;
    uint64_t dropped;
    bool goes_on;

    pthread_mutex_lock(&file->lock);
    while (!file->queue.size && !file->reopen && !file->stop)
        pthread_cond_wait(&file->more, &file->lock);
    file->batch = file->queue;
    file->queue = empty;
    dropped = file->dropped;
    file->dropped = 0;
    *ret_reopen = file->reopen;
    file->reopen = false;
    goes_on = file->batch.size || *ret_reopen || !file->stop;
    pthread_mutex_unlock(&file->lock);
    if (dropped)
        log_line(LOG_WARNING, "the audit log %s is not written fast enough: %" PRIu64 " lines are lost", file->path,
                 dropped);
    file->unsaid += dropped;
    return goes_on;
}

static void *run(void *arg)
{
    struct line_file *file = arg;
    bool reopen;

    while (take_batch(file, &reopen)) {
        if (reopen)
            open_again(file);
        if (file->batch.size)
            write_batch(file);
    }
    return NULL;
}

/* ---- Beginning and end ---- */

int line_file_open(struct line_file *file, const char *path)
{
    int error;

    *file = (struct line_file){.audit.write = queue_line, .path = path};
    file->fd = open_file(path);
    if (file->fd < 0)
        return file->fd;
    pthread_mutex_init(&file->lock, NULL);
    pthread_cond_init(&file->more, NULL);
    error = pthread_create(&file->thread, NULL, run, file);
    if (error)
        close(file->fd);
    return -error;
}

void line_file_reopen(struct line_file *file)
{
    pthread_mutex_lock(&file->lock);
    file->reopen = true;
    pthread_cond_signal(&file->more);
    pthread_mutex_unlock(&file->lock);
}

void line_file_close(struct line_file *file)
{
    struct timespec until;

    pthread_mutex_lock(&file->lock);
    file->stop = true;
    pthread_cond_signal(&file->more);
    pthread_mutex_unlock(&file->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_WAIT_S;
    if (pthread_timedjoin_np(file->thread, NULL, &until)) {
        log_line(LOG_ERROR, "the audit log %s takes too long to write: its last lines are lost", file->path);
        pthread_detach(file->thread); /* it goes with the process; what it uses stays */
        return;
    }
    close(file->fd);
    free(file->queue.data);
    free(file->batch.data);
}
