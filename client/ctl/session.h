/* One run of aspacectl: its options, its connection, and how its failures are told. */
#ifndef CTL_SESSION_H
#define CTL_SESSION_H

#include <stdbool.h>

#include "aspace/client.h"

/* Exit statuses (protocol.md 4). */
enum status {
    STATUS_DONE = 0,
    STATUS_REFUSED = 1,   /* by the daemon; or our own side failed, standard output for one */
    STATUS_USAGE = 2,     /* the command line, or a file that it names, cannot be used; nothing was sent */
    STATUS_NO_DAEMON = 3, /* none there, or the connection was lost */
    STATUS_TIMEOUT = 4,
};

#define SESSION_PATH_MAX 4096

struct session {
    const char *socket; /* --socket, or NULL */
    bool json;
    int timeout_ms;               /* ASPACE_FOREVER without --timeout */
    struct aspace_client *client; /* NULL until session_open */
    char path[SESSION_PATH_MAX];  /* of the socket, from session_open on */
};

/* One line on standard error, "aspacectl: …"; a newline is added. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* complain() and return STATUS_USAGE. */
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects, if that was not done already. STATUS_DONE, or the failure's status, told. */
int session_open(struct session *s);
void session_close(struct session *s);

/* Tells a negative error of the client library's and returns its status. */
int session_failure(const struct session *s, int error);

/* Calls and waits. STATUS_DONE with a reply that has a result, which the caller frees; else the status of the failure
 * or refusal, told, with no reply. */
int session_call(struct session *s, const char *method, const char *params, struct aspace_reply **ret);

/* The same, but a refusal is STATUS_DONE too, with a reply that has the error. */
int session_ask(struct session *s, const char *method, const char *params, struct aspace_reply **ret);

/* Tells a refusal: its name and message, the hint, what is in the way. Returns STATUS_REFUSED, or STATUS_TIMEOUT. */
int tell_refusal(const struct aspace_reply *reply);

/* Prints the result as it came, with a newline. */
void print_result(const struct aspace_reply *reply);

/* Flushes standard output. `status`, or STATUS_REFUSED, told, if what was printed did not get out. `asked`: the daemon was; then
 * it is told, too, whether it has done it. */
int finish_output(int status, bool asked);

#endif
