/* The rule that finds the daemon's socket. */
#include "base/socket_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int join(const char *folder, const char *file, char *buffer, size_t size)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    size_t length = strlen(folder) + strlen(file);

    if (length >= size || length >= room)
        return -ENAMETOOLONG;
    snprintf(buffer, size, "%s%s", folder, file);
    return 0;
}

int socket_path_resolve(const char *option, char *buffer, size_t size)
{
    const char *variable = getenv("ASPACED_SOCKET");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char folder[40];

    if (option)
        return *option && strcmp(option, "@") != 0 ? join(option, "", buffer, size) : -EINVAL;
    if (variable && *variable)
        return join(variable, "", buffer, size);
    if (runtime && *runtime == '/')
        return join(runtime, "/aspaced.sock", buffer, size);
    if (geteuid() == 0)
        return join("/run/aspaced", "/aspaced.sock", buffer, size);
    snprintf(folder, sizeof(folder), "/tmp/aspaced-%lu", (unsigned long)geteuid());
    return join(folder, "/aspaced.sock", buffer, size);
}

socklen_t socket_path_address(const char *path, struct sockaddr_un *ret)
{
    size_t size = strlen(path);

    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    memcpy(ret->sun_path, path, size);
    if (*path != '@')
        return sizeof(*ret);
    ret->sun_path[0] = '\0'; /* the length alone ends an abstract name */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}
