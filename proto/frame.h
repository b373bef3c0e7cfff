/* Framing: bytes as they come from a stream in, whole messages out. The first non-blank byte of a connection chooses
 * newline framing ('{' or '[') or header framing ('C', the Language Server base protocol). No I/O here. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum frame_mode { FRAME_UNDECIDED, FRAME_LINES, FRAME_HEADERS };

enum frame_event {
    FRAME_MORE,     /* nothing whole left: feed more bytes */
    FRAME_MESSAGE,  /* ret_text and ret_size are one message, valid until the next call */
    FRAME_TOO_LONG, /* the message passes the limit; nothing comes after: answer, flush, close */
    FRAME_GARBAGE,  /* not a first byte or header that we know; nothing comes after: answer, flush, close */
};

/* One empty buffer that readers of the same thread pass on, so that a reader with nothing in it holds no memory. Start
 * from {0}. */
struct frame_pool {
    char *data;
    size_t capacity;
};

void frame_pool_free(struct frame_pool *pool);

/* Start from frame_init. The buffer grows to one message of the limit at most (plus a header block). */
struct frame_reader {
    enum frame_mode mode;
    bool dead; /* after TOO_LONG or GARBAGE: all further bytes are dropped */
    bool eof;
    size_t limit;
    struct frame_pool *pool; /* borrowed, outlives the reader; NULL: the buffer stays with it */
    char *data;
    size_t start; /* of the unread bytes */
    size_t size;  /* end of the unread bytes */
    size_t capacity;
    size_t scanned; /* bytes from start known to hold no LF */
    size_t header;  /* bytes of the header block read so far */
    size_t body;    /* Content-Length of the message at hand */
    bool has_body;  /* that header has come */
    bool in_body;   /* the blank line has come, too */
};

void frame_init(struct frame_reader *f, size_t limit, struct frame_pool *pool);
void frame_free(struct frame_reader *f);

/* Room for at least `size` bytes to read into: the place, or NULL if there is no memory. Then frame_fed says how many
 * of them were filled, perhaps none. */
char *frame_room(struct frame_reader *f, size_t size);
void frame_fed(struct frame_reader *f, size_t size);

/* No more bytes will come: a last line without its LF becomes a message. */
void frame_eof(struct frame_reader *f);

/* The next event; call until FRAME_MORE. */
enum frame_event frame_next(struct frame_reader *f, const char **ret_text, size_t *ret_size);

#endif
