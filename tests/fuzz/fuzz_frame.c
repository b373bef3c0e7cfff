/* A libFuzzer target: a stream of bytes in either framing, first in one piece and then in the pieces that its first
 * bytes choose, gives the same messages; no message is longer than the limit, and the buffer is bounded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"

#define LIMIT      64
#define BUFFER_MAX 16384 /* a message, a block of headers and a read */
#define CUTS       4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What came out: events, sizes and bytes, one after the other. */
struct log {
    unsigned char *data;
    size_t size;
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void note(struct log *log, const void *data, size_t size)
{
    log->data = realloc(log->data, log->size + size + 1);
    must(log->data != NULL);
    if (size)
        memcpy(log->data + log->size, data, size);
    log->size += size;
}

static void drain(struct frame_reader *f, struct log *log)
{
    enum frame_event event;
    const char *text;
    size_t size;

    while ((event = frame_next(f, &text, &size)) != FRAME_MORE) {
        note(log, &event, sizeof(event));
        if (event != FRAME_MESSAGE)
            continue;
        must(size <= LIMIT);
        note(log, &size, sizeof(size));
        note(log, text, size);
    }
}

static void feed(struct frame_reader *f, const uint8_t *bytes, size_t size, struct log *log)
{
    char *room = frame_room(f, size + 1);

    must(room != NULL);
    if (size)
        memcpy(room, bytes, size);
    frame_fed(f, size);
    drain(f, log);
}

/* In pieces of cuts[0], cuts[1], ... bytes, over and over; all at once without cuts. */
static struct log run(const uint8_t *bytes, size_t size, const uint8_t *cuts)
{
    struct log log = {NULL, 0};
    struct frame_reader f;

    frame_init(&f, LIMIT, NULL);
    for (unsigned i = 0; size; i++) {
        size_t piece = cuts ? cuts[i % CUTS] % 32u + 1u : size;

        piece = piece < size ? piece : size;
        feed(&f, bytes, piece, &log);
        must(!cuts || f.capacity <= BUFFER_MAX);
        bytes += piece;
        size -= piece;
    }
    frame_eof(&f);
    drain(&f, &log);
    frame_free(&f);
    return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct log whole;
    struct log pieces;

    if (size < CUTS)
        return 0;
    whole = run(bytes + CUTS, size - CUTS, NULL);
    pieces = run(bytes + CUTS, size - CUTS, bytes);
    must(whole.size == pieces.size && (!whole.size || memcmp(whole.data, pieces.data, whole.size) == 0));
    free(whole.data);
    free(pieces.data);
    return 0;
}
