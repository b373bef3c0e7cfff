/* A process for others to work on: it counts in a page of its own, ten times a second, and says so. When the page may
 * not be written any more, its SIGSEGV handler reports it and the write is tried again until it succeeds.
 *
 *     aspacectl create it --pid $(pgrep counter); aspacectl protect it ADDRESS 4K r--
 *
 * Prints "page ADDRESS", then a line whenever something changes. Ends after the number of seconds given (default 60). */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned *page;
static volatile sig_atomic_t refused;

/* Async-signal-safe: write() and no stdio. After it the faulting instruction runs again. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    static const char text[] = "SIGSEGV: my page may not be written; trying again\n";

    (void)number;
    (void)context;
    if ((uintptr_t)info->si_addr != (uintptr_t)page)
        _exit(1);
    if (!refused && write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    refused = 1;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

int main(int argc, char **argv)
{
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : 60;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || sigaction(SIGSEGV, &action, NULL)) {
        perror("counter");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("page 0x%" PRIxPTR "\n", (uintptr_t)page);
    for (long i = 0; i < seconds * 10; i++) {
        *page = (unsigned)i; /* here it may fault */
        if (refused) {
            printf("writing again: the count is %u\n", *page);
            refused = 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return 0;
}
