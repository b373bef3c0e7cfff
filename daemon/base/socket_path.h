/* Where the daemon's socket is: one rule for the daemon and its clients. */
#ifndef BASE_SOCKET_PATH_H
#define BASE_SOCKET_PATH_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Writes the path to `buffer` of `size` bytes: `option` if not NULL, else $ASPACED_SOCKET, else
 * $XDG_RUNTIME_DIR/aspaced.sock, else /run/aspaced/aspaced.sock for root, else /tmp/aspaced-UID/aspaced.sock. A variable
 * that is set but empty counts as not set, and so does an $XDG_RUNTIME_DIR that is not absolute (its specification).
 * 0; -EINVAL if `option` is empty; -ENAMETOOLONG if the path fits neither `buffer` nor a sun_path: never cut, and
 * `buffer` is untouched. Looks at no file. A path that begins with @ is a name in the abstract namespace (unix(7)), where
 * there is no file; "@" alone is -EINVAL. */
int socket_path_resolve(const char *option, char *buffer, size_t size);

/* The address of a path that socket_path_resolve gave; returns its length for bind(2) and connect(2). */
socklen_t socket_path_address(const char *path, struct sockaddr_un *ret);

#endif
