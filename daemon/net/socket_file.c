/* The listening socket as a file. */
#include "net/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket_path.h"

struct problem {
    char *text;
    size_t size;
};

static bool fail(struct problem problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct problem problem, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(problem.text, problem.size, format, args);
    va_end(args);
    return false;
}

/* ---- The folder ---- */

static int make_folder(const char *folder, mode_t mode)
{
    mode_t before = umask(0);
    int failed = mkdir(folder, mode);

    umask(before);
    return failed;
}

static void folder_of(const char *path, char *folder, size_t size)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(folder, size, ".");
    else if (slash == path)
        snprintf(folder, size, "/");
    else
        snprintf(folder, size, "%.*s", (int)(slash - path), path);
}

/* A missing folder is made for its owner alone; if others may use the socket, they may go through it. */
static bool prepare_folder(const char *path, mode_t mode, struct problem problem)
{
    char folder[sizeof(((struct socket_file *)0)->path)];
    struct stat st;

    folder_of(path, folder, sizeof(folder));
    if (make_folder(folder, mode & 0077 ? 0711 : 0700) && errno != EEXIST)
        return fail(problem, "cannot make the folder %s: %s", folder, strerror(errno));
    if (stat(folder, &st))
        return fail(problem, "cannot look at the folder %s: %s", folder, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return fail(problem, "%s is no folder", folder);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return fail(problem, "the folder %s belongs to user %u, who could replace the socket", folder,
                    (unsigned)st.st_uid);
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return fail(problem, "anybody may write to the folder %s and replace the socket", folder);
    return true;
}

/* ---- The lock ---- */

static bool lock_path(const char *path, char *buffer, size_t size)
{
    return snprintf(buffer, size, "%s.lock", path) < (int)size;
}

static void read_pid(int fd, char *pid, size_t size)
{
    ssize_t n = pread(fd, pid, size - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
}

static bool write_pid(int fd)
{
    return ftruncate(fd, 0) == 0 && dprintf(fd, "%ld\n", (long)getpid()) > 0;
}

/* Whether `fd` is still the file of that name: its last holder may have removed it while we waited. */
static bool still_there(int fd, const char *name)
{
    struct stat open_file;
    struct stat named;

    return fstat(fd, &open_file) == 0 && stat(name, &named) == 0 && open_file.st_ino == named.st_ino &&
           open_file.st_dev == named.st_dev;
}

static bool take_lock(const char *path, int *ret, struct problem problem)
{
    char name[sizeof(((struct socket_file *)0)->path) + 8];
    char pid[24];
    int fd;

    if (!lock_path(path, name, sizeof(name)))
        return fail(problem, "the path is too long: %s", path);
    for (;;) {
        fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return fail(problem, "cannot open the lock file %s: %s", name, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB)) {
            read_pid(fd, pid, sizeof(pid));
            close(fd);
            return fail(problem, "another aspaced%s%s serves %s already", pid[0] ? " with pid " : "", pid, path);
        }
        if (still_there(fd, name))
            break;
        close(fd);
    }
    if (!write_pid(fd)) {
        fail(problem, "cannot write the lock file %s: %s", name, strerror(errno));
        unlink(name);
        close(fd);
        return false;
    }
    *ret = fd;
    return true;
}

static void drop_lock(const char *path, int fd)
{
    char name[sizeof(((struct socket_file *)0)->path) + 8];

    if (lock_path(path, name, sizeof(name)) && still_there(fd, name))
        unlink(name); /* while it is still held: who waits for it sees that it is gone */
    close(fd);
}

/* ---- The socket ---- */

/* Whether somebody answers at the socket file. */
static bool is_served(const char *path)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size;
    bool served;

    if (fd < 0)
        return true; /* cannot tell: leave it alone */
    size = socket_path_address(path, &address);
    served = connect(fd, (struct sockaddr *)&address, size) == 0 || errno != ECONNREFUSED;
    close(fd);
    return served;
}

static bool clear_stale(const char *path, struct problem problem)
{
    struct stat st;

    if (lstat(path, &st))
        return errno == ENOENT || fail(problem, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return fail(problem, "%s is there and is no socket; it is left alone", path);
    if (is_served(path))
        return fail(problem, "another program serves %s already", path);
    if (unlink(path) && errno != ENOENT)
        return fail(problem, "cannot remove the stale socket %s: %s", path, strerror(errno));
    return true;
}

static bool bind_socket(const char *path, mode_t mode, struct socket_file *file, struct problem problem)
{
    struct sockaddr_un address;
    struct stat st = {0};
    socklen_t size;
    mode_t before;
    int failed;

    file->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file->fd < 0)
        return fail(problem, "cannot make a socket: %s", strerror(errno));
    size = socket_path_address(path, &address);
    before = umask(0777 & ~mode);
    failed = bind(file->fd, (struct sockaddr *)&address, size);
    umask(before);
    if (failed || (*path != '@' && lstat(path, &st))) {
        fail(problem, "cannot bind %s: %s", path, strerror(errno));
        close(file->fd);
        return false;
    }
    file->device = st.st_dev;
    file->inode = st.st_ino;
    return true;
}

/* Nothing to make and nothing to remove: the kernel keeps the name for one socket, and forgets it with it. */
static bool open_abstract(const char *path, struct socket_file *ret, struct problem problem)
{
    if (!bind_socket(path, 0, ret, problem))
        return false;
    ret->lock_fd = -1;
    snprintf(ret->path, sizeof(ret->path), "%s", path);
    return true;
}

bool socket_file_adopt(int fd, struct socket_file *ret, char *problem_text, size_t size)
{
    struct problem problem = {problem_text, size};
    struct sockaddr_un address = {0};
    socklen_t length = sizeof(address);
    int type = 0;
    int listens = 0;

    if (getsockname(fd, (struct sockaddr *)&address, &length))
        return fail(problem, "descriptor %d is no socket: %s", fd, strerror(errno));
    length = sizeof(int);
    if (address.sun_family != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM)
        return fail(problem, "descriptor %d is no Unix stream socket", fd);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) || !listens)
        return fail(problem, "descriptor %d is a socket that does not listen", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))
        return fail(problem, "descriptor %d: %s", fd, strerror(errno));
    *ret = (struct socket_file){.fd = fd, .lock_fd = -1, .adopted = true};
    snprintf(ret->path, sizeof(ret->path), "%s", address.sun_path[0] ? address.sun_path : "@");
    if (!address.sun_path[0])
        snprintf(ret->path + 1, sizeof(ret->path) - 1, "%s", address.sun_path + 1);
    return true;
}

bool socket_file_is_there(const struct socket_file *file)
{
    struct stat st;

    if (file->adopted || file->path[0] == '@')
        return true;
    return lstat(file->path, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode;
}

bool socket_file_open(const char *path, mode_t mode, struct socket_file *ret, char *problem_text, size_t size)
{
    struct problem problem = {problem_text, size};

    if (strlen(path) >= sizeof(ret->path))
        return fail(problem, "the socket path is %zu bytes long and the system allows %zu: %s", strlen(path),
                    sizeof(ret->path) - 1, path);
    if (!*path)
        return fail(problem, "the socket path is empty");
    if (*path == '@')
        return open_abstract(path, ret, problem);
    if (!prepare_folder(path, mode, problem) || !take_lock(path, &ret->lock_fd, problem))
        return false;
    if (!clear_stale(path, problem) || !bind_socket(path, mode, ret, problem)) {
        drop_lock(path, ret->lock_fd);
        return false;
    }
    snprintf(ret->path, sizeof(ret->path), "%s", path);
    return true;
}

void socket_file_close(struct socket_file *file)
{
    if (file->lock_fd >= 0) {
        if (socket_file_is_there(file))
            unlink(file->path);
        drop_lock(file->path, file->lock_fd);
    }
    if (file->fd >= 0)
        close(file->fd);
}
