/* Victims that count signals, pin registers, or watch a child stop. */
#include "victim.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pin_registers(uint64_t rounds); /* victim_registers.S */

int victim_registers(const char *argument)
{
    (void)argument;
    say("ready");
    while (!is_over()) {
        int bad = pin_registers(2000);
        if (bad)
            say("bad: check %d of pin_registers", bad);
        check(!bad, "a register was changed");
    }
    return 0;
}

/* ---- A storm of real-time signals: all must come, in order ---- */

static _Atomic int expected; /* one handler may come in the midst of another */
static volatile sig_atomic_t out_of_order;

static void on_storm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_value.sival_int != expected)
        out_of_order = 1;
    expected++;
}

static void on_count(int number)
{
    (void)number;
    expected++;
}

static void handle(int number, int flags)
{
    struct sigaction action = {.sa_flags = flags};

    if (flags & SA_SIGINFO)
        action.sa_sigaction = on_storm;
    else
        action.sa_handler = on_count;
    sigaction(number, &action, NULL);
}

/* The argument says what it does meanwhile: busy, read or sleep. At the end it prints how many came. */
int victim_storm(const char *argument)
{
    struct timespec time = {.tv_nsec = 1000000};
    char byte;

    handle(SIGRTMIN, SA_SIGINFO | SA_RESTART);
    say("ready");
    if (strcmp(argument, "read") == 0)
        check(read(STDIN_FILENO, &byte, 1) == 0, "read was interrupted");
    while (!is_over())
        if (strcmp(argument, "sleep") == 0)
            nanosleep(&time, NULL);
    check(!out_of_order, "signals out of order");
    say("%d", (int)expected);
    return 0;
}

/* Blocked in read(): EINTR after a handler and only then. The argument: plain or restart. */
int victim_interrupted(const char *argument)
{
    int restart = strcmp(argument, "restart") == 0;
    int seen = 0;
    char byte;
    ssize_t got;

    handle(SIGRTMIN, restart ? SA_RESTART : 0);
    say("ready");
    while ((got = read(STDIN_FILENO, &byte, 1)) < 0) {
        check(errno == EINTR, "read failed");
        check(!restart, "EINTR in spite of SA_RESTART");
        check(expected > seen, "EINTR without a handler");
        seen = expected;
    }
    check(got == 0, "read");
    say("%d", (int)expected);
    return 0;
}

/* SIGTRAP ignored, blocked or handled: what comes is printed at the end. */
int victim_traps(const char *argument)
{
    sigset_t set, pending;
    char byte;

    sigemptyset(&set);
    sigaddset(&set, SIGTRAP);
    if (strcmp(argument, "ignored") == 0)
        signal(SIGTRAP, SIG_IGN);
    else if (strcmp(argument, "blocked") == 0)
        sigprocmask(SIG_BLOCK, &set, NULL);
    else
        handle(SIGTRAP, SA_RESTART);
    handle(SIGURG, SA_RESTART);
    say("ready");
    check(read(STDIN_FILENO, &byte, 1) == 0, "read was interrupted");
    sigpending(&pending);
    say("%d%s", (int)expected, sigismember(&pending, SIGTRAP) ? " pending" : "");
    return 0;
}

/* Handlers that block every signal, as those of managed runtimes do; it says how many ran. The argument: busy, or it reads. */
int victim_masked(const char *argument)
{
    static const int numbers[] = {SIGUSR1, SIGURG, SIGWINCH};
    struct sigaction action = {.sa_handler = on_count, .sa_flags = SA_RESTART};
    char byte;

    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
    say("ready");
    if (strcmp(argument, "busy") != 0)
        check(read(STDIN_FILENO, &byte, 1) == 0, "read was interrupted");
    while (!is_over())
        pin_registers(100);
    say("%d", (int)expected);
    return 0;
}

static void *pin(void *argument)
{
    (void)argument;
    while (!is_over())
        check(pin_registers(100) == 0, "a register was changed");
    return NULL;
}

/* Its first thread never rests from telling the kernel to ignore the signals that end a batch, which discards those that are
 * pending. */
int victim_discards(const char *argument)
{
    pthread_t thread;

    (void)argument;
    check(pthread_create(&thread, NULL, pin, NULL) == 0, "pthread_create");
    say("ready");
    while (!is_over())
        for (int i = 0; i < 100; i++)
            signal(SIGWINCH, i % 2 ? SIG_IGN : SIG_DFL), signal(SIGURG, SIG_DFL);
    pthread_join(thread, NULL);
    return 0;
}

/* Every signal is blocked, so that no signal can end a batch. */
int victim_deaf(const char *argument)
{
    sigset_t all;
    char byte;

    (void)argument;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    say("ready");
    check(read(STDIN_FILENO, &byte, 1) == 0, "read");
    sigpending(&all);
    for (int number = 1; number <= SIGRTMAX; number++)
        check(!sigismember(&all, number), "a signal was left pending");
    return 0;
}

/* A parent that counts what it is told of its child, which sleeps; prints the child's id first. */
int victim_parent(const char *argument)
{
    int stops = 0, continues = 0, status, go[2];
    char byte;

    (void)argument;
    check(pipe(go) == 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 9);
    }
    say("ready");
    say("%d", (int)child);
    while (!is_over()) {
        struct timespec time = {.tv_nsec = 500000};
        if (waitpid(child, &status, WUNTRACED | WCONTINUED | WNOHANG) == child) {
            stops += WIFSTOPPED(status);
            continues += WIFCONTINUED(status);
        }
        nanosleep(&time, NULL);
    }
    close(go[1]);
    check(waitpid(child, &status, 0) == child && status == 0, "the child's end");
    say("%d stops, %d continues", stops, continues);
    return 0;
}

/* Its stack holds numbers that look like addresses in the pages of ours, behind their code. */
int victim_numbers(const char *argument)
{
    volatile uint64_t numbers[64];
    char byte;

    (void)argument;
    for (size_t i = 0; i < 64; i++)
        numbers[i] = i * 0x10000 + 0x900;
    say("ready");
    check(read(STDIN_FILENO, &byte, 1) == 0, "read");
    return numbers[1] != 0x10900;
}
