/* A target that cannot be stopped for a while: for each line of its input it waits uninterruptibly (state D) for a vfork
 * child that sleeps as many milliseconds as the line says. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    char line[32];

    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        long ms = strtol(line, NULL, 10);
        struct timespec time = {ms / 1000, ms % 1000 * 1000000};
        pid_t pid = vfork();

        if (pid == 0) {
            nanosleep(&time, NULL);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        puts("back");
        fflush(stdout);
    }
    return 0;
}
