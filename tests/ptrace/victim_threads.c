/* Victims of many threads, and one that shares its memory with another process. Each thread counts in memory: while
 * all stand still no count moves. */
#define COUNTS 1024
#include "victim.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t counts[COUNTS];

static void *run_briefly(void *argument)
{
    counts[(uintptr_t)argument]++;
    return NULL;
}

/* Makes a thread and waits for its end, again and again. */
static void *churn(void *argument)
{
    pthread_t thread;

    while (!is_over())
        if (pthread_create(&thread, NULL, run_briefly, argument) == 0)
            pthread_join(thread, NULL);
    return NULL;
}

static void *count(void *argument)
{
    while (!is_over())
        counts[(uintptr_t)argument]++;
    return NULL;
}

static void *idle(void *argument)
{
    struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};

    (void)argument;
    poll(&poll_fd, 1, -1);
    return NULL;
}

/* The argument: how many threads, and what they do. Prints where the counts are. */
int victim_threads(const char *argument)
{
    char *what;
    unsigned long n = strtoul(argument, &what, 10);
    pthread_t threads[COUNTS];
    pthread_attr_t attr;

    check(n <= COUNTS, "too many threads");
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    for (uintptr_t i = 0; i < n; i++)
        check(pthread_create(&threads[i], &attr,
                             strcmp(what, "churn") == 0   ? churn
                             : strcmp(what, "count") == 0 ? count
                                                          : idle,
                             (void *)i) == 0,
              "pthread_create");
    say("ready");
    say("%p", (void *)(uintptr_t)counts);
    for (unsigned long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void spin(long us)
{
    struct timespec from, now;

    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < us);
}

/* Its first thread ends after as many microseconds as the argument says; the others live on. */
int victim_leaderless(const char *argument)
{
    pthread_t thread;

    check(pthread_create(&thread, NULL, count, NULL) == 0 && pthread_create(&thread, NULL, idle, NULL) == 0, "threads");
    say("ready");
    say("%p", (void *)(uintptr_t)counts);
    pthread_detach(thread);
    spin(strtol(argument, NULL, 10));
    pthread_exit(NULL);
}

static int share(void *argument)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    count(argument);
    return 0;
}

/* A process of its own in the same memory. */
int victim_sharer(const char *argument)
{
    static char stack[65536] __attribute__((aligned(16)));
    int status;

    (void)argument;
    pid_t child = clone(share, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)1);
    check(child > 0, "clone");
    say("ready");
    say("%p", (void *)(uintptr_t)counts);
    count((void *)2);
    check(waitpid(child, &status, 0) == child && status == 0, "the sharer's end");
    return 0;
}

/* Blocks in vfork() until its child, which sleeps for as many milliseconds as the argument says, execs. */
int victim_vfork(const char *argument)
{
    struct timespec time = {.tv_sec = atoi(argument) / 1000, .tv_nsec = atoi(argument) % 1000 * 1000000L};
    int status;

    say("ready");
    pid_t child = vfork();
    if (child == 0) {
        nanosleep(&time, NULL);
        execl("/bin/true", "true", NULL);
        _exit(1);
    }
    check(waitpid(child, &status, 0) == child && status == 0, "the child's end");
    say("ok");
    return 0;
}

/* Starts itself anew all the time, from a thread that is not the first. */
static void *run_anew(void *argument)
{
    usleep(3000);
    execl("/proc/self/exe", "victim", "exec", argument, NULL);
    check(0, "exec");
    return NULL;
}

/* The argument: how many threads are there besides. */
int victim_exec(const char *argument)
{
    static char again[] = "0 again";
    pthread_t thread;
    struct epoll_event event;

    if (!strstr(argument, "again"))
        say("ready");
    if (is_over())
        return 0;
    again[0] = argument[0];
    for (int i = 0; i < argument[0] - '0'; i++)
        pthread_create(&thread, NULL, idle, NULL); /* the exec waits until they are dead and their tracer knows */
    pthread_create(&thread, NULL, run_anew, again);
    epoll_wait(epoll_create1(EPOLL_CLOEXEC), &event, 1, -1); /* its EINTR is to be hidden */
    return 1;
}
