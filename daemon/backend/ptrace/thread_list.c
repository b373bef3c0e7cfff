/* Reading the threads of a process, or all processes, out of /proc: with getdents64 and no allocation, as it happens
 * while threads are stopped. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "ptrace/internal.h"

static bool open_folder(struct thread_list *list, int at, const char *path)
{
    list->at = 0;
    list->size = 0;
    list->fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return list->fd >= 0;
}

bool thread_list_open(struct thread_list *list, int proc)
{
    return open_folder(list, proc, "task");
}

bool thread_list_open_processes(struct thread_list *list)
{
    return open_folder(list, AT_FDCWD, "/proc");
}

bool thread_list_next(struct thread_list *list, pid_t *ret)
{
    for (;;) {
        if (list->at >= list->size) {
            ssize_t got = getdents64(list->fd, list->buffer, sizeof(list->buffer));
            if (got <= 0)
                return false;
            list->at = 0;
            list->size = (size_t)got;
        }
        const struct dirent64 *entry = (const void *)(list->buffer + list->at);
        list->at += entry->d_reclen;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        *ret = (pid_t)strtol(entry->d_name, NULL, 10);
        return true;
    }
}

void thread_list_rewind(struct thread_list *list)
{
    lseek(list->fd, 0, SEEK_SET);
    list->at = 0;
    list->size = 0;
}

void thread_list_close(struct thread_list *list)
{
    close(list->fd);
}
