/* Starting a victim, hearing it, and one plain edit of it. */
#include "tracer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

struct victim victim_start(const char *what, const char *argument)
{
    struct victim v;
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    v.pid = fork();
    assert_true(v.pid >= 0);
    if (v.pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        const char *program = strcmp(what, "32") == 0 ? VICTIM32 : VICTIM;
        execl(program, program, what, argument, NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    v.in = in[1];
    v.out = out[0];
    victim_expect(&v, "ready");
    return v;
}

const char *victim_line(struct victim *v)
{
    static char line[256];
    size_t size = 0;
    struct pollfd poll_fd = {.fd = v->out, .events = POLLIN};

    while (size < sizeof(line) - 1 && poll(&poll_fd, 1, PATIENCE_MS) > 0 && read(v->out, line + size, 1) == 1) {
        if (line[size] == '\n')
            break;
        size++;
    }
    line[size] = 0;
    return line;
}

void victim_expect(struct victim *v, const char *text)
{
    assert_string_equal(victim_line(v), text);
}

void victim_end(struct victim *v)
{
    int status = -1;
    pid_t pid = 0;

    if (v->in >= 0)
        close(v->in);
    for (uint64_t until = now_ms() + PATIENCE_MS; pid == 0 && now_ms() < until; sleep_ms(1))
        pid = waitpid(v->pid, &status, WNOHANG);
    if (pid != v->pid)
        fail_msg("the victim did not end: %s", pid < 0 ? strerror(errno) : "it lives");
    if (status != 0)
        fail_msg("the victim ended with status 0x%x: %s", (unsigned)status, victim_line(v));
    close(v->out);
}

void victim_kill(struct victim *v)
{
    kill(v->pid, SIGKILL);
    waitpid(v->pid, NULL, 0);
    if (v->in >= 0)
        close(v->in);
    close(v->out);
}

void must_succeed(enum aspace_error error, const struct refusal *why, const char *what)
{
    if (error)
        fail_msg("%s: %s: %s", what, aspace_error_name((int)error), why->message);
}

struct tracer *open_tracer(pid_t pid)
{
    struct tracer_options options = {.pid = pid};
    struct tracer *t;
    struct refusal why;

    must(tracer_open(&options, &why, &t), &why);
    return t;
}

enum aspace_error spawn(const char *const *command, struct refusal *why, struct tracer **ret)
{
    struct tracer_options options = {.command = (char *const *)(uintptr_t)command};

    return tracer_open(&options, why, ret);
}

int64_t call_in(struct tracer *t, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    uint64_t args[6] = {a, b, c, d, e, f};
    struct refusal why;
    int64_t result;

    must(tracer_call_one(t, number, args, &why, &result), &why);
    return result;
}

void edit_once(struct tracer *t, enum tracer_scope scope)
{
    struct refusal why;
    char text[6] = "";

    must(tracer_begin(t, scope, &why), &why);
    int64_t page = call_in(t, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);
    assert_true(page > 0);
    must(tracer_write(t, (uint64_t)page, "hello", 6, &why), &why);
    assert_int_equal(call_in(t, SYS_mprotect, (uint64_t)page, 4096, PROT_READ, 0, 0, 0), 0);
    must(tracer_read(t, (uint64_t)page, text, 6, &why), &why);
    assert_string_equal(text, "hello");
    assert_int_equal(call_in(t, SYS_munmap, (uint64_t)page, 4096, 0, 0, 0, 0), 0);
    tracer_end(t);
}

int rounds(void)
{
    const char *text = getenv("TEST_PTRACE_ROUNDS");

    return text ? atoi(text) : 1;
}

uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        ;
}

char *proc_text(pid_t pid, const char *name)
{
    char path[64];
    size_t size = 0, room = 1 << 20;
    char *text = malloc(room);
    ssize_t got;

    assert_non_null(text);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (size < room - 1 && (got = read(fd, text + size, room - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = 0;
    close(fd);
    return text;
}

void wait_for_state(pid_t pid, char wanted)
{
    for (uint64_t until = now_ms() + PATIENCE_MS; now_ms() < until; sleep_ms(1)) {
        char *text = proc_text(pid, "stat");
        char found = strrchr(text, ')')[2];
        free(text);
        if (found == wanted)
            return;
    }
    fail_msg("process %d never got into state %c", (int)pid, wanted);
}
