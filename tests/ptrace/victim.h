/* The victim program: each behaviour is a function; victim.c picks one by its name. */
#ifndef VICTIM_H
#define VICTIM_H

#include <stdint.h>

#define VICTIM_MAP(X)                                                                                                  \
    X(user)                                                                                                            \
    X(sleeper)                                                                                                         \
    X(spinner)                                                                                                         \
    X(blocked)                                                                                                         \
    X(registers)                                                                                                       \
    X(storm)                                                                                                           \
    X(interrupted)                                                                                                     \
    X(traps)                                                                                                           \
    X(masked)                                                                                                          \
    X(deaf)                                                                                                            \
    X(numbers)                                                                                                         \
    X(discards)                                                                                                        \
    X(parent)                                                                                                          \
    X(threads)                                                                                                         \
    X(leaderless)                                                                                                      \
    X(sharer)                                                                                                          \
    X(vfork)                                                                                                           \
    X(seccomp)                                                                                                         \
    X(dispatch)                                                                                                        \
    X(uring)                                                                                                           \
    X(rseq)                                                                                                            \
    X(mdwe)                                                                                                            \
    X(naps)                                                                                                            \
    X(exec)                                                                                                            \
    X(obeys)

#define X(name) int victim_##name(const char *argument);
VICTIM_MAP(X)
#undef X

/* Prints a line at once. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program as failed, with the reason printed. */
void check(int ok, const char *what);
uint64_t victim_ms(void);
/* The input has been closed. */
int is_over(void);

#endif
