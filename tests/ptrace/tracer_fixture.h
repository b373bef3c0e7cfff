/* What the tests of the tracer share: starting a victim, hearing it, and one plain edit of it. */
#ifndef TRACER_FIXTURE_H
#define TRACER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the above first. */
#include <cmocka.h>
#include <sys/types.h>

#include "ptrace/tracer.h"

struct victim {
    pid_t pid;
    int in;  /* its standard input */
    int out; /* its standard output */
};

/* Runs the victim program with these arguments, the 32-bit one for "32", and waits for its line "ready". */
struct victim victim_start(const char *what, const char *argument);
/* The next line that it prints, without the newline; "" at its end or after 20 s. Static storage. */
const char *victim_line(struct victim *v);
/* Fails unless the next line is `text`. */
void victim_expect(struct victim *v, const char *text);
/* Closes its input, and fails unless it then ends well. */
void victim_end(struct victim *v);
/* Kills it. */
void victim_kill(struct victim *v);

/* Fails with the refusal's text if there is one. */
#define must(call, why) must_succeed((call), (why), #call)
void must_succeed(enum aspace_error error, const struct refusal *why, const char *what);

struct tracer *open_tracer(pid_t pid);
/* tracer_open() of a command. */
enum aspace_error spawn(const char *const *command, struct refusal *why, struct tracer **ret);
/* One transaction in the target: maps a page, writes and reads it, unmaps it. */
void edit_once(struct tracer *t, enum tracer_scope scope);
int64_t call_in(struct tracer *t, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);

/* Waits for the state letter of proc(5). */
void wait_for_state(pid_t pid, char wanted);

/* How many times as long as usual the storms are to be: TEST_PTRACE_ROUNDS, 1 without it. */
int rounds(void);

uint64_t now_ms(void);
void sleep_ms(unsigned ms);
/* The whole of /proc/PID/NAME as a string to be freed. */
char *proc_text(pid_t pid, const char *name);

#endif
