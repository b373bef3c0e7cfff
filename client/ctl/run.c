/* `run`: a daemon of its own for one command, in a folder of its own, gone when the command ends. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/verbs.h"

/* How long the daemon may take to go after SIGTERM before it is killed. */
#define STOP_MS 10000
/* The socket's name, its lock's suffix and the folder's template must fit in a sun_path of 108 bytes. */
#define FOLDER_MAX          80
#define STATUS_NOT_RUNNABLE 126
#define STATUS_NOT_FOUND    127

struct run {
    char folder[FOLDER_MAX];
    char socket[FOLDER_MAX + 20];
    sigset_t old_mask;
    int signals; /* signalfd of what is passed on, and SIGCHLD */
    int ready;   /* where the daemon says that it listens */
    pid_t daemon;
    pid_t command;
    int daemon_status;
    int command_status;
};

/* ---- The folder ---- */

static int make_folder(struct run *run)
{
    static const char name[] = "/aspaced-XXXXXX";
    const char *base = getenv("TMPDIR");

    if (!base || *base != '/' || strlen(base) + sizeof(name) > sizeof(run->folder))
        base = "/tmp";
    snprintf(run->folder, sizeof(run->folder), "%s%s", base, name);
    if (!mkdtemp(run->folder)) {
        complain("cannot make a folder %s: %s", run->folder, strerror(errno));
        return STATUS_NO_DAEMON;
    }
    snprintf(run->socket, sizeof(run->socket), "%s/aspaced.sock", run->folder);
    return STATUS_DONE;
}

/* What a killed daemon leaves, its socket and lock, goes too. */
static void remove_folder(const struct run *run)
{
    DIR *folder = opendir(run->folder);
    const struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        unlinkat(dirfd(folder), entry->d_name, 0); /* refuses "." and ".." */
    if (folder)
        closedir(folder);
    if (rmdir(run->folder))
        complain("cannot remove %s: %s", run->folder, strerror(errno));
}

/* ---- Signals ---- */

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* From here on they are read from run->signals. One that was ignored when we began stays ignored. */
static int catch_signals(struct run *run)
{
    sigset_t set;

    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
        sigaddset(&set, passed_on[i]);
    sigprocmask(SIG_BLOCK, &set, &run->old_mask);
    run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (run->signals >= 0)
        return STATUS_DONE;
    complain("cannot watch signals: %s", strerror(errno));
    return STATUS_NO_DAEMON;
}

/* In a child, before exec: as we found things. */
static void restore_signals(const struct run *run)
{
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
}

/* ---- The daemon ---- */

static const char *beside_us(char *buffer, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", buffer, size - 1);
    char *slash;

    if (n <= 0)
        return NULL;
    buffer[n] = '\0';
    slash = strrchr(buffer, '/');
    if (!slash || (size_t)(slash - buffer) + sizeof("/aspaced") > size)
        return NULL;
    memcpy(slash, "/aspaced", sizeof("/aspaced"));
    return access(buffer, X_OK) == 0 ? buffer : NULL;
}

/* The user's options stand between ours: they may change the log level, not the socket. */
static void exec_daemon(const struct run *run, char **options, int count, int ready_fd)
{
    char beside[SESSION_PATH_MAX];
    const char *program = getenv("ASPACED");
    char number[16];
    const char *const first[] = {"aspaced", "--log-level", "warning"};
    const char *const last[] = {"--socket", run->socket, "--ready-fd", number};
    const char **arguments = calloc((size_t)count + 8, sizeof(*arguments));

    if (!arguments)
        return;
    if (!program || !*program)
        program = beside_us(beside, sizeof(beside));
    if (!program)
        program = "aspaced";
    snprintf(number, sizeof(number), "%d", ready_fd);
    memcpy(arguments, first, sizeof(first));
    memcpy(arguments + 3, options, (size_t)count * sizeof(*options));
    memcpy(arguments + 3 + count, last, sizeof(last));
    execvp(program, (char *const *)(uintptr_t)arguments);
    complain("cannot run %s: %s", program, strerror(errno));
}

/* In the child: out of the terminal's reach, so that ^C stops the command first, and tied to our life. */
static void become_daemon(const struct run *run, char **options, int count, int ready_fd, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(STATUS_NO_DAEMON);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    fcntl(ready_fd, F_SETFD, 0);
    restore_signals(run);
    exec_daemon(run, options, count, ready_fd);
    _exit(STATUS_NOT_FOUND);
}

static int start_daemon(struct run *run, char **options, int count)
{
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC)) {
        complain("cannot make a pipe: %s", strerror(errno));
        return STATUS_NO_DAEMON;
    }
    run->ready = ends[0];
    fflush(NULL);
    run->daemon = fork();
    if (run->daemon == 0)
        become_daemon(run, options, count, ends[1], parent);
    close(ends[1]);
    if (run->daemon > 0)
        return STATUS_DONE;
    complain("cannot start a process: %s", strerror(errno));
    return STATUS_NO_DAEMON;
}

static void tell_status(const char *what, int status)
{
    if (WIFSIGNALED(status))
        complain("%s: %s", what, strsignal(WTERMSIG(status)));
    else
        complain("%s with exit status %d", what, WEXITSTATUS(status));
}

/* The next signal; 0 if there is none. */
static int next_signal(const struct run *run, bool *ret_from_terminal)
{
    struct signalfd_siginfo info;

    if (read(run->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    *ret_from_terminal = info.ssi_code == SI_KERNEL;
    return (int)info.ssi_signo;
}

/* A signal other than SIGCHLD that came before the command was there: its number. */
static int early_signal(const struct run *run)
{
    bool from_terminal;
    int number;

    while ((number = next_signal(run, &from_terminal)) == SIGCHLD)
        ;
    return number;
}

static bool said_ready(const struct run *run)
{
    char line[64];

    return read(run->ready, line, sizeof(line)) > 0;
}

static int wait_ready(struct run *run)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = run->ready, .events = POLLIN}, {.fd = run->signals, .events = POLLIN}};
        int number;

        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[0].revents)
            return said_ready(run) ? STATUS_DONE : STATUS_NO_DAEMON;
        number = early_signal(run);
        if (number)
            return 128 + number;
    }
}

static void reap_daemon(struct run *run, int flags)
{
    if (run->daemon > 0 && waitpid(run->daemon, &run->daemon_status, flags) == run->daemon)
        run->daemon = 0;
}

static void wait_daemon(struct run *run)
{
    struct pollfd fd = {.fd = run->signals, .events = POLLIN};
    bool from_terminal;

    for (int waited = 0; waited < STOP_MS; waited += 50) {
        reap_daemon(run, WNOHANG);
        if (!run->daemon)
            return;
        poll(&fd, 1, 50);
        while (next_signal(run, &from_terminal))
            ;
    }
    complain("the daemon does not stop: killing it");
    kill(run->daemon, SIGKILL);
    reap_daemon(run, 0);
}

static void stop_daemon(struct run *run)
{
    if (run->daemon <= 0)
        return;
    kill(run->daemon, SIGTERM);
    wait_daemon(run);
}

/* ---- The command ---- */

static void become_command(const struct run *run, char **command)
{
    restore_signals(run);
    execvp(command[0], command);
    complain("cannot run %s: %s", command[0], strerror(errno));
    _exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUNNABLE);
}

static int start_command(struct run *run, char **command)
{
    setenv("ASPACED_SOCKET", run->socket, 1);
    fflush(NULL);
    run->command = fork();
    if (run->command == 0)
        become_command(run, command);
    if (run->command > 0)
        return STATUS_DONE;
    complain("cannot start a process: %s", strerror(errno));
    return STATUS_NOT_RUNNABLE;
}

static void notice_children(struct run *run)
{
    pid_t daemon = run->daemon;

    if (waitpid(run->command, &run->command_status, WNOHANG) == run->command)
        run->command = 0;
    reap_daemon(run, WNOHANG);
    if (daemon && !run->daemon && run->command)
        tell_status("the daemon ended before the command,", run->daemon_status);
}

/* The terminal signals its whole foreground group, the command included; other senders mean us. */
static void wait_command(struct run *run)
{
    struct pollfd fd = {.fd = run->signals, .events = POLLIN};

    while (run->command) {
        bool from_terminal;
        int number;

        poll(&fd, 1, -1);
        while ((number = next_signal(run, &from_terminal))) {
            if (number == SIGCHLD)
                notice_children(run);
            else if (run->command && !from_terminal)
                kill(run->command, number);
        }
    }
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- The whole ---- */

static int run_both(struct run *run, char **options, int count, char **command)
{
    int status = start_daemon(run, options, count);

    if (!status)
        status = wait_ready(run);
    if (status == STATUS_NO_DAEMON && run->daemon > 0) {
        wait_daemon(run);
        tell_status("the daemon did not start: it ended", run->daemon_status);
    }
    if (!status)
        status = start_command(run, command);
    if (!status) {
        wait_command(run);
        status = exit_status(run->command_status);
    }
    stop_daemon(run);
    return status;
}

static int run_in_folder(char **options, int count, char **command)
{
    struct run run = {.signals = -1, .ready = -1};
    int status = make_folder(&run);

    if (status)
        return status;
    status = catch_signals(&run);
    if (!status)
        status = run_both(&run, options, count, command);
    remove_folder(&run);
    return status;
}

/* What the daemon is told by us cannot be told by others. */
static bool is_ours(const char *option)
{
    static const char *const ours[] = {"--socket", "--ready-fd"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        size_t size = strlen(ours[i]);

        if (strncmp(option, ours[i], size) == 0 && (option[size] == '\0' || option[size] == '='))
            return true;
    }
    return false;
}

int run_run(struct session *s, char **words, int count)
{
    int at = 0;

    (void)s;
    for (; at < count && strcmp(words[at], "--") != 0; at++) {
        if (is_ours(words[at]))
            return usage_error("run sets %s itself", words[at]);
    }
    if (at + 1 >= count)
        return usage_error("run wants a command after --: aspacectl run [DAEMON OPTIONS] -- COMMAND...");
    return run_in_folder(words, at, words + at + 1);
}
