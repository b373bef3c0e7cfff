/* Reading /proc/PID/maps. */
#include "ptrace/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* include/uapi/linux/fs.h since 6.11; the headers of a build machine may be older. */
struct procmap_query {
    uint64_t size;
    uint64_t query_flags;
    uint64_t query_addr;
    uint64_t vma_start;
    uint64_t vma_end;
    uint64_t vma_flags;
    uint64_t vma_page_size;
    uint64_t vma_offset;
    uint64_t inode;
    uint32_t dev_major;
    uint32_t dev_minor;
    uint32_t vma_name_size;
    uint32_t build_id_size;
    uint64_t vma_name_addr;
    uint64_t build_id_addr;
};

#define QUERY_IOCTL                _IOWR('f', 17, struct procmap_query)
#define QUERY_VMA_READABLE         0x01
#define QUERY_VMA_WRITABLE         0x02
#define QUERY_VMA_EXECUTABLE       0x04
#define QUERY_VMA_SHARED           0x08
#define QUERY_COVERING_OR_NEXT_VMA 0x10

/* Read at once; the kernel gives at most about a page of text a read, whole lines. */
#define TEXT_CHUNK 65536

enum aspace_error maps_open(int fd, pid_t pid, struct refusal *why, struct maps *ret)
{
    if (fd < 0 && (errno == ENOENT || errno == ESRCH))
        return refuse(why, ASPACE_TARGET_GONE, "there is no process %d", (int)pid);
    if (fd < 0)
        return refuse(why, errno == EACCES || errno == EPERM ? ASPACE_DENIED : ASPACE_BAD_STATE,
                      "cannot open the list of mappings of process %d: %s", (int)pid, strerror(errno));
    *ret = (struct maps){.fd = fd};
    return ASPACE_OK;
}

void maps_close(struct maps *maps)
{
    if (maps->fd >= 0)
        close(maps->fd);
    maps->fd = -1;
}

/* ---- The text ---- */

static bool read_hex(const char **at, char end, uint64_t *ret)
{
    char *stop;

    *ret = strtoull(*at, &stop, 16);
    if (stop == *at || *stop != end)
        return false;
    *at = stop + 1;
    return true;
}

static bool read_flags(const char **at, struct mapping *ret)
{
    const char *f = *at;

    if (strlen(f) < 5 || (f[0] != 'r' && f[0] != '-') || (f[1] != 'w' && f[1] != '-') || (f[2] != 'x' && f[2] != '-') ||
        (f[3] != 's' && f[3] != 'p') || f[4] != ' ')
        return false;
    ret->read = f[0] == 'r';
    ret->write = f[1] == 'w';
    ret->exec = f[2] == 'x';
    ret->shared = f[3] == 's';
    *at += 5;
    return true;
}

/* "7f1c-7f1d r-xp 00001000 fe:00 1234    /usr/lib/libc.so.6" */
bool maps_parse(const char *line, struct mapping *ret)
{
    uint64_t major;
    uint64_t minor;
    char *stop;

    if (!read_hex(&line, '-', &ret->start) || !read_hex(&line, ' ', &ret->end) || !read_flags(&line, ret) ||
        !read_hex(&line, ' ', &ret->offset) || !read_hex(&line, ':', &major) || !read_hex(&line, ' ', &minor))
        return false;
    ret->page_size = 0;
    ret->inode = strtoull(line, &stop, 10);
    if (stop == line || (*stop && *stop != ' ') || ret->start >= ret->end)
        return false;
    ret->name = stop + strspn(stop, " ");
    return true;
}

struct text {
    char *data;
    size_t size;
};

/* Gives the whole lines in the buffer and moves the rest to its front. */
static enum aspace_error take_lines(struct text *text, maps_fn *each, void *arg, struct refusal *why, bool *stop)
{
    char *line = text->data;
    char *end = text->data + text->size;
    char *lf;

    while (!*stop && (lf = memchr(line, '\n', (size_t)(end - line)))) {
        struct mapping mapping;

        *lf = '\0';
        if (!maps_parse(line, &mapping))
            return refuse(why, ASPACE_BAD_STATE, "the kernel's list of mappings has a line that is none: %.80s", line);
        *stop = !each(arg, &mapping);
        line = lf + 1;
    }
    text->size = (size_t)(end - line);
    memmove(text->data, line, text->size);
    return ASPACE_OK;
}

enum aspace_error maps_read(struct maps *maps, maps_fn *each, void *arg, struct refusal *why)
{
    struct text text = {malloc(TEXT_CHUNK), 0};
    enum aspace_error error = ASPACE_OK;
    bool stop = false;
    bool any = false;
    off_t at = 0;
    ssize_t n = 1;

    if (!text.data)
        return refuse_no_memory(why);
    while (!error && !stop && n) {
        n = pread(maps->fd, text.data + text.size, TEXT_CHUNK - text.size, at);
        if (n < 0) {
            error = refuse(why, errno == ESRCH ? ASPACE_TARGET_GONE : ASPACE_BAD_STATE,
                           "cannot read the target's mappings: %s", strerror(errno));
            break;
        }
        any |= n > 0;
        at += n;
        text.size += (size_t)n;
        error = take_lines(&text, each, arg, why, &stop);
    }
    free(text.data);
    if (!error && !any)
        return refuse(why, ASPACE_TARGET_GONE, "the target has no memory any more: it has exited");
    return error;
}

/* ---- The query ---- */

void maps_escape(char name[MAPS_NAME_MAX])
{
    char *lf = name;

    while ((lf = strchr(lf, '\n'))) {
        size_t room = MAPS_NAME_MAX - (size_t)(lf - name);
        size_t tail = strlen(lf + 1);

        if (room < 5)
            break;
        if (tail > room - 5)
            tail = room - 5;
        memmove(lf + 4, lf + 1, tail);
        memcpy(lf, "\\012", 4);
        lf[4 + tail] = '\0';
    }
}

enum aspace_error maps_query(struct maps *maps, uint64_t addr, char *name, struct refusal *why, struct mapping *ret,
                             bool *ret_found)
{
    struct procmap_query query = {
        .size = sizeof(query),
        .query_flags = QUERY_COVERING_OR_NEXT_VMA,
        .query_addr = addr,
        .vma_name_size = MAPS_NAME_MAX,
        .vma_name_addr = (uintptr_t)name,
    };

    name[0] = '\0';
    if (ioctl(maps->fd, QUERY_IOCTL, &query) < 0) {
        *ret_found = false;
        if (errno == ENOENT)
            return ASPACE_OK;
        maps->no_query = errno == ENOTTY || errno == EINVAL;
        return refuse(why,
                      maps->no_query || errno == ENAMETOOLONG ? ASPACE_UNSUPPORTED
                      : errno == ESRCH                        ? ASPACE_TARGET_GONE
                                                              : ASPACE_BAD_STATE,
                      "cannot ask for the target's mapping at 0x%" PRIx64 ": %s", addr, strerror(errno));
    }
    maps_escape(name);
    *ret = (struct mapping){
        .start = query.vma_start,
        .end = query.vma_end,
        .offset = query.vma_offset,
        .inode = query.inode,
        .read = query.vma_flags & QUERY_VMA_READABLE,
        .write = query.vma_flags & QUERY_VMA_WRITABLE,
        .exec = query.vma_flags & QUERY_VMA_EXECUTABLE,
        .shared = query.vma_flags & QUERY_VMA_SHARED,
        .page_size = query.vma_page_size,
        .name = query.vma_name_size ? name : "",
    };
    *ret_found = true;
    return ASPACE_OK;
}
