/* A victim that does what it is told, a letter a time, and says so: what a process may do to itself while a thread of
 * ours is in it. */
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOWEST  0x10000UL /* where tracers have their pages */
#define HIGHEST 0x400000UL

static int count_threads(void)
{
    char line[256];
    int threads = 0;
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof(line), file))
        sscanf(line, "Threads: %d", &threads);
    if (file)
        fclose(file);
    return threads;
}

/* How many mappings lie below where programs do. */
static int count_low(void)
{
    char line[512];
    unsigned long start;
    int count = 0;
    FILE *file = fopen("/proc/self/maps", "re");

    while (file && fgets(line, sizeof(line), file))
        count += sscanf(line, "%lx-", &start) == 1 && start < HIGHEST;
    if (file)
        fclose(file);
    return count;
}

static void have_child(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        say("child: %d threads, %d pages of others", count_threads(), count_low());
        _exit(0);
    }
    check(waitpid(pid, &status, 0) == pid && status == 0, "a child");
}

static void filter_all_threads(void)
{
    struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, allow};

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "seccomp");
}

int victim_obeys(const char *argument)
{
    char order;
    int next = open("/dev/null", O_RDONLY); /* the descriptor that it would get again */

    (void)argument;
    close(next);
    say("ready");
    while (read(STDIN_FILENO, &order, 1) == 1) {
        if (order == 'c')
            have_child();
        else if (order == 'x')
            execl("/proc/self/exe", "victim", "obeys", NULL);
        else if (order == 'u')
            check(setgid(65534) == 0 && setuid(65534) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0, "setuid");
        else if (order == 'm')
            check(munmap((void *)LOWEST, HIGHEST - LOWEST) == 0, "munmap");
        else if (order == 'f')
            filter_all_threads();
        else if (order == 'e')
            syscall(SYS_exit, 0); /* of its only thread, not of the process */
        else if (order == 'o')
            check(open("/dev/null", O_RDONLY) == next, "a descriptor of somebody else's");
        say("done %c, %d threads", order, count_threads());
    }
    return 0;
}
