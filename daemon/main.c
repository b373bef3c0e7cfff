/* aspaced. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/descriptors.h"
#include "daemon/config.h"
#include "daemon/server.h"

#if defined(__SANITIZE_THREAD__)
/* libuv closes its descriptors by a bare system call, which ThreadSanitizer does not see (uv__close_nocancel, src/unix/core.c):
 * when another thread gets the number again and closes it, or it the number of one that we have closed, that looks like a
 * race with what was done with the old one. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^__interceptor_close$\nrace:accept4$\n";
}
#endif

/* --help and --version have done their work if it can be read. */
static int end_output(void)
{
    if (!ferror(stdout) && fflush(stdout) == 0)
        return 0;
    fprintf(stderr, "aspaced: cannot write to standard output: %s\n", strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    struct config config;

    if (!descriptors_fill_standard())
        return 1;
    switch (config_read(argc, argv, &config)) {
    case CONFIG_DONE:
        return end_output();
    case CONFIG_USAGE:
        return 2;
    case CONFIG_RUN:
        break;
    }
    return server_run(&config);
}
