/* The listening socket as a file: made so that nobody else can get at it for a moment, held by a lock so that there is
 * one daemon a path, and removed at the end. */
#ifndef NET_SOCKET_FILE_H
#define NET_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

struct socket_file {
    int fd;       /* bound, not yet listening; the caller may hand it on (then sets it to -1) */
    int lock_fd;  /* -1: there is no lock, and no file of ours */
    bool adopted; /* somebody else made it, and removes it */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    dev_t device; /* of the socket file, to know it again */
    ino_t inode;
};

/* Makes the folder if it is missing (mode 0700, or 0711 if `mode` lets others in), takes the lock PATH.lock, replaces a stale socket and binds a new one
 * of permission bits `mode`. On failure returns false with a sentence in `problem`; nothing is left behind, and what
 * is not ours (a live socket, a file that is no socket) is left as it was. Changes the umask for a moment: call it
 * before there are threads. A path "@NAME" is an abstract name: then there is no file, no lock and no mode. */
bool socket_file_open(const char *path, mode_t mode, struct socket_file *ret, char *problem, size_t size);

/* Takes over a Unix stream socket that somebody else made and that listens already, such as a service manager's. On failure
 * returns false with a sentence in `problem`; the descriptor stays open. */
bool socket_file_adopt(int fd, struct socket_file *ret, char *problem, size_t size);

/* Whether peers can still find it: nobody has removed or replaced it. */
bool socket_file_is_there(const struct socket_file *file);

/* Removes the socket, if it is still the one that was made, and the lock; closes both. */
void socket_file_close(struct socket_file *file);

#endif
