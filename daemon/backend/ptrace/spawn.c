/* Starting a target ourselves, on the tracer's own thread, held at its first instruction. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "ptrace/internal.h"

extern char **environ;

/* The child, between fork and exec: nothing but async-signal-safe calls. */
static _Noreturn void run_child(const struct tracer_options *options, int go, int failed)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    char byte;
    int error, null = open("/dev/null", O_RDONLY);

    for (int signal = 1; signal <= SIGRTMAX; signal++)
        sigaction(signal, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    descriptors_restore();
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (read(go, &byte, 1) != 1)
        _exit(127); /* nobody is there to trace us */
    execvpe(options->command[0], options->command, options->environ ? options->environ : environ);
    error = errno;
    if (write(failed, &error, sizeof(error)) < 0)
        _exit(126);
    _exit(127);
}

static enum aspace_error refuse_command(const char *name, int error, struct refusal *why)
{
    refuse(why, ASPACE_INVALID_PARAM, "%s cannot be run: %s", name, strerror(error));
    why->param = "command";
    why->hint = "give a program that is there and may be executed, and its arguments";
    return why->code;
}

/* Lets the child go as far as its new image's first instruction. */
static enum aspace_error lead_to_image(struct tracer *t, const char *name, int go, int failed, struct refusal *why)
{
    struct tracee *tracee = threads_add(t, t->pid, t->pid);
    int error = 0;

    if (!tracee)
        return refuse_no_memory(why);
    if (ptrace(PTRACE_SEIZE, t->pid, NULL, tracer_options_of(t) | PTRACE_O_TRACEEXEC) != 0)
        return process_explain(t, t->pid, errno, why);
    if (write(go, "", 1) != 1)
        return refuse(why, ASPACE_INTERNAL_ERROR, "a pipe to a new process broke: %s", strerror(errno));
    struct stop stop = thread_drive(t, tracee);
    if (stop.kind == STOP_EVENT) {
        t->held = true;
        return ASPACE_OK;
    }
    if (stop.kind == STOP_GONE && read(failed, &error, sizeof(error)) == sizeof(error))
        return refuse_command(name, error, why);
    if (stop.kind == STOP_GONE)
        return process_refuse_gone(t, why);
    return refuse(why, ASPACE_TIMEOUT, "%s did not start in time", name);
}

static enum aspace_error trace_child(struct tracer *t, const char *name, int go, int failed, struct refusal *why)
{
    enum aspace_error error;

    if (process_bind(t, why))
        return why->code;
    timer_start(t, t->deadline_ms);
    error = lead_to_image(t, name, go, failed, why);
    timer_stop();
    return error;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL); /* our child, not reaped yet: the pid is its own */
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

enum aspace_error spawn_target(struct tracer *t, const struct tracer_options *options, struct refusal *why)
{
    int go[2] = {-1, -1}, failed[2] = {-1, -1};
    enum aspace_error error;

    if (!options->command[0])
        return refuse_command("an empty command", ENOENT, why);
    if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC) || (t->pid = fork()) < 0) {
        error = refuse(why, ASPACE_NO_MEMORY, "no new process can be started: %s", strerror(errno));
    } else {
        if (t->pid == 0)
            run_child(options, go[0], failed[1]);
        t->spawned = true;
        close(failed[1]);
        failed[1] = -1;
        error = trace_child(t, options->command[0], go[1], failed[0], why);
        if (error)
            end_child(t->pid);
    }
    int fds[] = {go[0], go[1], failed[0], failed[1]};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return error;
}

/* Waits for the end of a child that nobody else waits for any more; by its pidfd, so that no stop of it is taken from a
 * thread that traces it then. */
static void *await_end(void *argument)
{
    int pidfd = (int)(intptr_t)argument;
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    siginfo_t info;

    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
        ;
    close(pidfd);
    return NULL;
}

void spawn_leave(struct tracer *t)
{
    int pidfd = fcntl(t->pidfd, F_DUPFD_CLOEXEC, 0);
    pthread_t thread;

    if (pidfd >= 0 && pthread_create(&thread, NULL, await_end, (void *)(intptr_t)pidfd) == 0)
        pthread_detach(thread);
    else if (pidfd >= 0)
        close(pidfd); /* it stays a zombie until the daemon ends */
}
