/* Victims blocked in every kind of call. Each call is to be woken, or to end, after a known time: what it returns and
 * when is checked. A helper process does the waking. */
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long the calls last, whole seconds: VICTIM_WAIT_MS in the environment. */
static unsigned wait_ms = 1000;

static struct timespec in_ms(unsigned ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* What each call works with. */
static int pipe_fds[2], pair[2], listener, file_fd, queue, sems, watch;
static int *word; /* shared with the helper */
static char folder[64];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static pid_t parent;
static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    (void)number;
    handled++;
}

/* ---- The calls: 0 if it went right ---- */

static int call_nanosleep(void)
{
    struct timespec time = in_ms(wait_ms);
    return nanosleep(&time, NULL);
}

static int call_nanosleep_absolute(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int call_futex_timed(void)
{
    struct timespec time = in_ms(wait_ms);
    int value = 0;
    return syscall(SYS_futex, &value, FUTEX_WAIT, 0, &time, NULL, 0) == -1 && errno == ETIMEDOUT ? 0 : -1;
}

static int call_futex(void)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void wake_futex(void)
{
    *word = 1;
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int call_poll_timed(void)
{
    struct pollfd poll_fd = {.fd = pipe_fds[0], .events = POLLIN};
    return poll(&poll_fd, 1, (int)wait_ms);
}

static int call_poll(void)
{
    struct pollfd poll_fd = {.fd = pipe_fds[0], .events = POLLIN};
    return poll(&poll_fd, 1, -1) == 1 ? 0 : -1;
}

static void wake_pipe(void)
{
    check(write(pipe_fds[1], "x", 1) == 1, "the helper's write");
}

static int call_select_timed(void)
{
    struct timeval time = {.tv_sec = wait_ms / 1000};
    return select(0, NULL, NULL, NULL, &time);
}

static int call_read(void)
{
    char byte;
    return read(pipe_fds[0], &byte, 1) == 1 && byte == 'x' ? 0 : -1;
}

static int call_recv(void)
{
    char byte;
    return recv(pair[0], &byte, 1, 0) == 1 ? 0 : -1;
}

static void wake_recv(void)
{
    check(send(pair[1], "x", 1, 0) == 1, "the helper's send");
}

static int call_recv_timed(void)
{
    struct timeval time = {.tv_sec = 5 * wait_ms / 1000};
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    return call_recv();
}

static int call_read_timed(void)
{
    struct timeval time = {.tv_sec = 5 * wait_ms / 1000};
    char byte;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    return read(pair[0], &byte, 1) == 1 ? 0 : -1;
}

static int call_accept(void)
{
    int fd = accept(listener, NULL, NULL);
    return fd >= 0 ? close(fd) : -1;
}

static void wake_accept(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    check(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "the helper's connect");
    close(fd);
}

static int call_flock(void)
{
    return flock(file_fd, LOCK_EX);
}

/* The helper holds the lock from before "ready" on. */
static void hold_lock(void)
{
    char path[96];
    strcpy(path, folder);
    strcat(path, "/file");
    int fd = open(path, O_RDWR);
    check(flock(fd, LOCK_EX) == 0, "the helper's flock");
}

static void wake_flock(void)
{
}

static int call_waitpid(void)
{
    return waitpid(-1, NULL, 0) > 0 ? 0 : -1;
}

static int call_msgrcv(void)
{
    struct {
        long type;
        char text[1];
    } message;
    return msgrcv(queue, &message, 1, 0, 0) == 1 ? 0 : -1;
}

static void wake_msgrcv(void)
{
    struct {
        long type;
        char text[1];
    } message = {1, {'x'}};
    check(msgsnd(queue, &message, 1, 0) == 0, "the helper's msgsnd");
}

static int call_inotify(void)
{
    char buffer[512];
    return read(watch, buffer, sizeof(buffer)) > 0 ? 0 : -1;
}

static void wake_inotify(void)
{
    char path[96];
    strcpy(path, folder);
    strcat(path, "/made");
    close(open(path, O_CREAT | O_RDWR, 0600));
}

static int call_sigsuspend(void)
{
    sigset_t none;
    sigemptyset(&none);
    return sigsuspend(&none) == -1 && errno == EINTR && handled == 1 ? 0 : -1;
}

static int call_pause(void)
{
    return pause() == -1 && errno == EINTR && handled == 1 ? 0 : -1;
}

static void wake_signal(void)
{
    kill(parent, SIGUSR1);
}

static int call_epoll(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd = epoll_create1(0);
    epoll_ctl(fd, EPOLL_CTL_ADD, pipe_fds[0], &event);
    return epoll_wait(fd, &event, 1, -1) == 1 ? 0 : -1;
}

static int call_sigwait(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return sigwaitinfo(&set, NULL) == SIGUSR2 ? 0 : -1;
}

static void wake_sigwait(void)
{
    kill(parent, SIGUSR2);
}

static int call_semop(void)
{
    struct sembuf take = {.sem_op = -1};
    return semop(sems, &take, 1);
}

static void wake_semop(void)
{
    struct sembuf give = {.sem_op = 1};
    check(semop(sems, &give, 1) == 0, "the helper's semop");
}

static const struct {
    const char *name;
    int (*call)(void);
    void (*wake)(void); /* by the helper, after wait_ms; NULL: it ends by itself */
} calls[] = {
    {"nanosleep", call_nanosleep, NULL},
    {"nanosleep_absolute", call_nanosleep_absolute, NULL},
    {"futex_timed", call_futex_timed, NULL},
    {"futex", call_futex, wake_futex},
    {"poll_timed", call_poll_timed, NULL},
    {"poll", call_poll, wake_pipe},
    {"select_timed", call_select_timed, NULL},
    {"read", call_read, wake_pipe},
    {"recv", call_recv, wake_recv},
    {"recv_timed", call_recv_timed, wake_recv},
    {"read_timed", call_read_timed, wake_recv},
    {"accept", call_accept, wake_accept},
    {"flock", call_flock, wake_flock},
    {"waitpid", call_waitpid, wake_flock},
    {"msgrcv", call_msgrcv, wake_msgrcv},
    {"inotify", call_inotify, wake_inotify},
    {"sigsuspend", call_sigsuspend, wake_signal},
    {"pause", call_pause, wake_signal},
    {"epoll_wait", call_epoll, wake_pipe},
    {"sigwaitinfo", call_sigwait, wake_sigwait},
    {"semop", call_semop, wake_semop},
};

static void prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t set;
    char path[96];

    parent = getpid();
    check(pipe(pipe_fds) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "pipes");
    strcpy(folder, "/tmp/victim-XXXXXX");
    check(mkdtemp(folder) != NULL, "a folder");
    strcpy(address.sun_path, folder);
    strcat(address.sun_path, "/socket");
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    check(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0, "bind");
    strcpy(path, folder);
    strcat(path, "/file");
    file_fd = open(path, O_CREAT | O_RDWR, 0600);
    watch = inotify_init();
    check(inotify_add_watch(watch, folder, IN_CREATE) >= 0, "inotify");
    queue = msgget(IPC_PRIVATE, 0600);
    sems = semget(IPC_PRIVATE, 1, 0600);
    check(queue >= 0 && sems >= 0, "System V queues");
    word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void clean(void)
{
    static const char *const names[] = {"/file", "/made", "/socket"};
    char path[96];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        strcpy(path, folder);
        strcat(path, names[i]);
        unlink(path);
    }
    rmdir(folder);
    msgctl(queue, IPC_RMID, NULL);
    semctl(sems, 0, IPC_RMID);
}

/* Blocks SIGUSR1 for sigsuspend alone, so that it comes in the call and not before. */
static void help(unsigned index)
{
    int ready[2];

    check(pipe(ready) == 0, "a pipe");
    if (fork() == 0) {
        struct timespec time = in_ms(wait_ms);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (calls[index].call == call_flock)
            hold_lock();
        check(write(ready[1], "x", 1) == 1, "a write");
        nanosleep(&time, NULL);
        calls[index].wake();
        _exit(0);
    }
    char byte;
    check(read(ready[0], &byte, 1) == 1, "the helper");
}

/* The argument names the call. */
int victim_blocked(const char *argument)
{
    unsigned index = 0;

    while (index < sizeof(calls) / sizeof(calls[0]) && strcmp(calls[index].name, argument) != 0)
        index++;
    check(index < sizeof(calls) / sizeof(calls[0]), "no such call");
    if (getenv("VICTIM_WAIT_MS"))
        wait_ms = (unsigned)atoi(getenv("VICTIM_WAIT_MS"));
    prepare();
    uint64_t began = victim_ms();
    if (calls[index].wake)
        help(index);
    say("ready");
    errno = 0;
    int result = calls[index].call();
    int error = errno;
    uint64_t took = victim_ms() - began;
    clean();
    if (result != 0)
        say("bad: %s: result %d, errno %d, after %d ms", argument, result, error, (int)took);
    else if (took < wait_ms || took > wait_ms + wait_ms / 2)
        say("bad: %s: took %d ms", argument, (int)took);
    else
        say("ok");
    return 0;
}
