/* `batch`: lines in, replies out, both at once. Bytes go through as they are; they are read only to know how many
 * replies to wait for and whether one was an error. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/verbs.h"
#include "proto/frame.h"
#include "proto/rpc.h"

#define CHUNK ((size_t)64 << 10)
/* Requests are not read past this many unsent bytes. */
#define UNSENT_MAX     ((size_t)1 << 20)
#define LINE_MAX_BYTES ((size_t)1 << 30)

struct batch {
    int input;
    int socket;
    bool input_ended;
    bool shut;  /* our side of the connection is closed for writing */
    bool deaf;  /* the daemon takes no more */
    bool ended; /* the daemon closed its side */
    bool any_error;
    struct frame_reader requests;
    struct frame_reader replies;
    struct json_writer out; /* from `sent` on not yet taken by the kernel */
    size_t sent;
    struct json_doc doc;
    uint64_t expected; /* replies */
    uint64_t received;
    bool begun; /* a request was passed on */
};

/* ---- Requests ---- */

/* Whether the request at `token` will be answered: all are but a sound one without an id. */
static bool is_answered(const struct json_doc *doc, uint32_t token)
{
    struct rpc_request request;
    struct refusal why;

    return rpc_read_request(doc, token, &why, &request) || request.id;
}

static bool is_any_answered(const struct json_doc *doc)
{
    if (doc->tokens[0].type != JSON_ARRAY || doc->tokens[0].count == 0)
        return is_answered(doc, 0);
    for (uint32_t token = 1; token < doc->tokens[0].next; token = doc->tokens[token].next) {
        if (is_answered(doc, token))
            return true;
    }
    return false;
}

/* The first byte of a connection chooses its framing (protocol.md 1): a line that begins otherwise must not be first,
 * so that it gets its error as it would later. A notification is never answered. */
static void add_opening(struct batch *b, const char *line)
{
    static const char opening[] = "{\"jsonrpc\":\"2.0\",\"method\":\"daemon.ping\"}\n";

    line += strspn(line, " \t\r");
    if (!b->begun && *line != '{' && *line != '[')
        json_bytes(&b->out, opening, sizeof(opening) - 1);
    b->begun = true;
}

static void add_request(struct batch *b, const char *line, size_t size)
{
    char first[8] = {0};

    memcpy(first, line, size < sizeof(first) - 1 ? size : sizeof(first) - 1);
    add_opening(b, first);
    if (json_read(&b->doc, line, size) || is_any_answered(&b->doc))
        b->expected++;
    json_bytes(&b->out, line, size);
    json_bytes(&b->out, "\n", 1);
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

static int add_requests(struct batch *b)
{
    const char *line;
    size_t size;
    enum frame_event event;

    while ((event = frame_next(&b->requests, &line, &size)) == FRAME_MESSAGE) {
        if (!is_blank(line, size))
            add_request(b, line, size);
    }
    if (event == FRAME_MORE && !b->out.failed)
        return STATUS_DONE;
    return usage_error(b->out.failed ? "out of memory" : "a line of the input is too long");
}

static int read_input(struct batch *b)
{
    char *room = frame_room(&b->requests, CHUNK);
    ssize_t n = room ? read(b->input, room, CHUNK) : -1;

    if (!room)
        return usage_error("out of memory");
    if (n < 0 && errno == EINTR)
        return STATUS_DONE;
    if (n < 0)
        return usage_error("cannot read the input: %s", strerror(errno));
    if (n > 0) {
        frame_fed(&b->requests, (size_t)n);
    } else {
        b->input_ended = true;
        frame_eof(&b->requests);
    }
    return add_requests(b);
}

static void send_requests(struct batch *b)
{
    while (b->sent < b->out.size && !b->deaf) {
        ssize_t n = send(b->socket, b->out.data + b->sent, b->out.size - b->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            b->sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            b->deaf = true;
    }
    b->out.size = 0;
    b->sent = 0;
    if (b->input_ended && !b->shut) {
        shutdown(b->socket, SHUT_WR);
        b->shut = true;
    }
}

/* ---- Replies ---- */

static bool is_error(const struct json_doc *doc, uint32_t token)
{
    struct rpc_reply reply;

    return rpc_read_reply(doc, token, &reply) && reply.error;
}

/* Notes errors; false for a notification. */
static bool is_reply(struct batch *b)
{
    const struct json_doc *doc = &b->doc;
    struct rpc_reply reply;

    if (doc->tokens[0].type != JSON_ARRAY) {
        b->any_error |= is_error(doc, 0);
        return rpc_read_reply(doc, 0, &reply) && reply.id;
    }
    for (uint32_t token = 1; token < doc->tokens[0].next; token = doc->tokens[token].next)
        b->any_error |= is_error(doc, token);
    return true;
}

static int take_replies(struct batch *b)
{
    const char *line;
    size_t size;
    enum frame_event event;

    while ((event = frame_next(&b->replies, &line, &size)) == FRAME_MESSAGE) {
        if (json_read(&b->doc, line, size)) {
            complain("the daemon sent a line that is not JSON");
            return STATUS_NO_DAEMON;
        }
        b->received += is_reply(b);
        fwrite(line, 1, size, stdout);
        putchar('\n');
    }
    if (event != FRAME_MORE) {
        complain("what answers does not speak aspaced's protocol");
        return STATUS_NO_DAEMON;
    }
    return STATUS_DONE;
}

static int read_replies(struct batch *b)
{
    char *room = frame_room(&b->replies, CHUNK);
    ssize_t n = room ? recv(b->socket, room, CHUNK, MSG_DONTWAIT) : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return STATUS_DONE;
    if (n > 0)
        frame_fed(&b->replies, (size_t)n);
    else
        b->ended = true;
    return take_replies(b);
}

/* ---- The pump ---- */

static int wait_any(struct batch *b, const struct session *s, struct pollfd *fds)
{
    bool hungry = !b->input_ended && !b->deaf && b->out.size - b->sent < UNSENT_MAX;
    int n;

    fds[0] = (struct pollfd){.fd = b->socket, .events = POLLIN};
    if (b->sent < b->out.size && !b->deaf)
        fds[0].events |= POLLOUT;
    fds[1] = (struct pollfd){.fd = hungry ? b->input : -1, .events = POLLIN};
    /* Without requests under way there is nothing to be late. */
    n = poll(fds, 2, b->received < b->expected || b->shut ? s->timeout_ms : -1);
    if (n == 0)
        return session_failure(s, -ETIMEDOUT);
    return n < 0 && errno != EINTR ? session_failure(s, -errno) : STATUS_DONE;
}

static int turn(struct batch *b, const struct session *s)
{
    struct pollfd fds[2];
    int status;

    fflush(stdout);
    status = wait_any(b, s, fds);
    if (!status && fds[0].revents & ~POLLOUT)
        status = read_replies(b);
    if (!status && fds[1].revents)
        status = read_input(b);
    if (!status)
        send_requests(b);
    return status;
}

static int pump(struct batch *b, const struct session *s)
{
    int status = STATUS_DONE;

    while (!status && !b->ended && !ferror(stdout))
        status = turn(b, s);
    if (status || ferror(stdout))
        return status ? status : STATUS_REFUSED;
    if (!b->input_ended || b->received < b->expected) {
        complain("the connection to %s was lost before all replies came", s->path);
        return STATUS_NO_DAEMON;
    }
    return b->any_error ? STATUS_REFUSED : STATUS_DONE;
}

static int run(struct session *s, int input)
{
    struct batch b = {.input = input};
    int status = session_open(s);

    if (status)
        return status;
    b.socket = aspace_client_fd(s->client);
    frame_init(&b.requests, LINE_MAX_BYTES, NULL);
    frame_init(&b.replies, LINE_MAX_BYTES, NULL);
    b.requests.mode = FRAME_LINES;
    b.replies.mode = FRAME_LINES;
    status = pump(&b, s);
    frame_free(&b.requests);
    frame_free(&b.replies);
    json_writer_free(&b.out);
    json_free(&b.doc);
    return status;
}

int run_batch(struct session *s, char **words, int count)
{
    bool standard = count == 0 || strcmp(words[0], "-") == 0;
    int input;
    int status;

    if (count > 1)
        return usage_error("batch takes one file: aspacectl batch [FILE]");
    setvbuf(stdout, NULL, _IOFBF, CHUNK);
    input = standard ? STDIN_FILENO : open(words[0], O_RDONLY | O_CLOEXEC);
    if (input < 0)
        return usage_error("cannot read %s: %s", words[0], strerror(errno));
    status = run(s, input);
    if (input != STDIN_FILENO)
        close(input);
    return status;
}
