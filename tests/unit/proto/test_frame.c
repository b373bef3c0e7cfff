/* Framing: the same bytes give the same messages however they are cut. */
#include "cmocka_all.h"

#include "proto/frame.h"

#define LIMIT   64
#define LOG_MAX 4096

/* What came out of a stream: "<message>" for each, then "L" for too long or "G" for garbage. */
static char events[LOG_MAX];

static void record(struct frame_reader *f)
{
    size_t used = strlen(events);
    const char *message;
    size_t size;

    for (;;) {
        switch (frame_next(f, &message, &size)) {
        case FRAME_MESSAGE:
            used += (size_t)snprintf(events + used, LOG_MAX - used, "<%.*s>", (int)size, message);
            break;
        case FRAME_TOO_LONG:
            used += (size_t)snprintf(events + used, LOG_MAX - used, "L");
            break;
        case FRAME_GARBAGE:
            used += (size_t)snprintf(events + used, LOG_MAX - used, "G");
            break;
        case FRAME_MORE:
            return;
        }
    }
}

static void feed(struct frame_reader *f, const char *bytes, size_t size)
{
    char *room = frame_room(f, size);

    assert_non_null(room);
    memcpy(room, bytes, size);
    frame_fed(f, size);
    record(f);
}

/* In pieces of `piece` bytes, the first one of `first`. */
static void run(const char *stream, size_t first, size_t piece)
{
    struct frame_reader f;
    size_t size = strlen(stream);

    events[0] = '\0';
    frame_init(&f, LIMIT, NULL);
    for (size_t at = 0; at < size;) {
        size_t now = at == 0 && first ? first : piece;

        now = now < size - at ? now : size - at;
        feed(&f, stream + at, now);
        at += now;
    }
    frame_eof(&f);
    record(&f);
    frame_free(&f);
}

/* Whole, byte at a time, and cut in two everywhere. */
static void expect(const char *stream, const char *wanted)
{
    size_t size = strlen(stream);

    run(stream, 0, size ? size : 1);
    if (strcmp(events, wanted) != 0)
        fail_msg("%s\ngave %s\nnot  %s", stream, events, wanted);
    run(stream, 0, 1);
    assert_string_equal(events, wanted);
    for (size_t cut = 1; cut < size; cut++) {
        run(stream, cut, size);
        assert_string_equal(events, wanted);
    }
}

#define X8  "xxxxxxxx"
#define X32 X8 X8 X8 X8
#define X63 X32 X8 X8 X8 "xxxxxxx"

/* ---- Lines ---- */

static void each_line_is_a_message(void **state)
{
    (void)state;
    expect("", "");
    expect("{}\n", "<{}>");
    expect("{1}\n{2}\r\n[3]\n", "<{1}><{2}><[3]>");
}

static void blank_lines_are_skipped(void **state)
{
    (void)state;
    expect("\n\r\n  \t{1}\n\n\r\n \t \n{2}\n \n", "<{1}><{2}>");
    expect("\n \r\n", "");
}

static void a_last_line_without_its_lf_is_a_message(void **state)
{
    (void)state;
    expect("{1}\n{2}", "<{1}><{2}>");
    expect("{1}\n{2}\r", "<{1}><{2}>");
    expect("{1}\n  ", "<{1}>");
}

static void only_the_first_byte_of_a_connection_chooses(void **state)
{
    (void)state;
    expect("{1}\nC\nhello\n", "<{1}><C><hello>");
}

static void a_lone_cr_ends_nothing(void **state)
{
    (void)state;
    expect("{1\r2}\n", "<{1\r2}>");
    expect("{1}\r\r\n", "<{1}\r>");
}

static void a_line_of_the_limit_is_a_message_and_a_longer_one_is_too_long(void **state)
{
    (void)state;
    expect("{" X63 "\n{2}\n", "<{" X63 "><{2}>");
    expect("{" X63 "\r\n", "<{" X63 ">");
    expect("{" X63 "x\n{2}\n", "L");
    expect("{1}\n{" X63 "x", "<{1}>L");
    expect("{" X63 "\rx\n", "L");
}

static void a_line_too_long_is_seen_before_its_end(void **state)
{
    struct frame_reader f;

    (void)state;
    frame_init(&f, LIMIT, NULL);
    events[0] = '\0';
    feed(&f, "{" X63, 64);
    assert_string_equal(events, "");
    feed(&f, "x", 1);
    assert_string_equal(events, "L");
    feed(&f, "{}\n", 3);
    assert_string_equal(events, "L");
    frame_free(&f);
}

/* ---- Garbage ---- */

static void any_other_first_byte_is_garbage(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n\r\n{}\n", "G");
    expect(" \n x", "G");
    expect("content-length: 2\r\n\r\n{}", "G");
    expect("\xef\xbb\xbf{}\n", "G");
    expect("\x16\x03\x01", "G");
}

/* ---- Headers ---- */

static void the_body_is_as_long_as_its_header_says(void **state)
{
    (void)state;
    expect("Content-Length: 2\r\n\r\n{}", "<{}>");
    expect("Content-Length: 5\r\n\r\n{\n\r\n}Content-Length: 0\r\n\r\nContent-Length:1\r\n\r\n7", "<{\n\r\n}><><7>");
    expect("Content-Length: 2\n\n{}", "<{}>");
    expect("\r\n Content-Length: 2\r\n\r\n{}", "<{}>");
}

static void other_headers_are_ignored_and_case_too(void **state)
{
    (void)state;
    expect("Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncOnTeNt-LENGTH:  3 \r\nX: y\r\n\r\n[1]",
           "<[1]>");
    expect("Content-Length: 1\r\n\r\n1content-length: 1\r\n\r\n2", "<1><2>");
}

static void a_length_that_is_none_is_garbage(void **state)
{
    (void)state;
    expect("Content-Length: -5\r\n\r\n", "G");
    expect("Content-Length: +5\r\n\r\n", "G");
    expect("Content-Length: 0x5\r\n\r\n", "G");
    expect("Content-Length: 5 5\r\n\r\n", "G");
    expect("Content-Length:\r\n\r\n", "G");
    expect("Content-Length 5\r\n\r\n", "G");
    expect("Cabbage: 5\r\n\r\n12345", "G");
    expect("Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "G");
    expect("Content-Length: 2\r\n\r\n{}\r\n", "<{}>G");
    expect("C\r\n", "G");
    expect("Content-Length: 2\r\n: x\r\n\r\n{}", "G");
}

static void a_body_over_the_limit_is_too_long_once_its_header_is_read(void **state)
{
    (void)state;
    expect("Content-Length: 64\r\n\r\n{" X63, "<{" X63 ">");
    expect("Content-Length: 65\r\n", "L");
    expect("Content-Length: 99999999999999999999999999\r\n\r\n", "L");
    expect("Content-Length: 18446744073709551616\r\n\r\n", "L");
}

static void a_message_cut_short_is_none(void **state)
{
    (void)state;
    expect("Content-Length: 5\r\n\r\n1234", "");
    expect("Content-Length: 5\r\n", "");
    expect("Content-Len", "");
}

static void a_header_block_without_end_is_garbage(void **state)
{
    char stream[8192] = "C";

    (void)state;
    memset(stream + 1, 'x', 4200);
    run(stream, 0, 1);
    assert_string_equal(events, "G");
    for (size_t at = 0; at < 5000; at += 5)
        memcpy(stream + at, "C: x\n", 5);
    run(stream, 0, 1);
    assert_string_equal(events, "G");
    run(stream, 0, 5000);
    assert_string_equal(events, "G");
}

/* ---- The buffer ---- */

static void many_messages_come_out_of_one_read(void **state)
{
    struct frame_reader f;
    const char *message;
    size_t size;
    char *room;

    (void)state;
    frame_init(&f, LIMIT, NULL);
    room = frame_room(&f, 30000);
    assert_non_null(room);
    for (int i = 0; i < 10000; i++)
        memcpy(room + 3 * i, "{}\n", 3);
    frame_fed(&f, 30000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(frame_next(&f, &message, &size), FRAME_MESSAGE);
    assert_int_equal(frame_next(&f, &message, &size), FRAME_MORE);
    frame_free(&f);
}

/* A byte at a time, 4 MiB of one line: rescanning would take hours. The buffer stays near the message's size, and is
 * given back after it. */
static void one_long_line_byte_by_byte_takes_no_square_of_its_length(void **state)
{
    const size_t length = 4 << 20;
    struct frame_reader f;
    const char *message;
    size_t size;

    (void)state;
    frame_init(&f, length, NULL);
    for (size_t i = 0; i < length; i++) {
        *frame_room(&f, 1) = i ? 'x' : '{';
        frame_fed(&f, 1);
        assert_int_equal(frame_next(&f, &message, &size), FRAME_MORE);
    }
    assert_in_range(f.capacity, length, 2 * length);
    *frame_room(&f, 1) = '\n';
    frame_fed(&f, 1);
    assert_int_equal(frame_next(&f, &message, &size), FRAME_MESSAGE);
    assert_int_equal(size, length);
    assert_non_null(frame_room(&f, 4096));
    assert_in_range(f.capacity, 4096, 65536);
    frame_free(&f);
}

static void the_buffer_does_not_grow_with_the_number_of_messages(void **state)
{
    struct frame_reader f;

    (void)state;
    frame_init(&f, LIMIT, NULL);
    for (int i = 0; i < 100000; i++) {
        events[0] = '\0';
        feed(&f, "{1}\n{2", 6);
        feed(&f, "}\n", 2);
        assert_string_equal(events, "<{1}><{2}>");
    }
    assert_in_range(f.capacity, 1, 2048);
    frame_free(&f);
}

static void of_readers_that_share_a_pool_only_those_with_unread_bytes_hold_memory(void **state)
{
    struct frame_pool pool = {0};
    struct frame_reader first;
    struct frame_reader second;

    (void)state;
    frame_init(&first, LIMIT, &pool);
    frame_init(&second, LIMIT, &pool);
    events[0] = '\0';
    feed(&first, "{1}\n", 4);
    assert_null(first.data);
    assert_non_null(pool.data);
    feed(&first, "{2", 2); /* takes the buffer, and keeps it */
    assert_null(pool.data);
    feed(&second, "{3}\n{", 5);
    feed(&second, "4}\n", 3);
    assert_null(second.data);
    assert_non_null(pool.data);
    feed(&first, "}\n", 2); /* now there are two */
    assert_null(first.data);
    assert_string_equal(events, "<{1}><{3}><{4}><{2}>");
    assert_non_null(frame_room(&first, 100));
    frame_fed(&first, 0);
    assert_null(first.data);
    frame_free(&first);
    frame_free(&second);
    frame_pool_free(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_is_a_message),
        cmocka_unit_test(blank_lines_are_skipped),
        cmocka_unit_test(a_last_line_without_its_lf_is_a_message),
        cmocka_unit_test(only_the_first_byte_of_a_connection_chooses),
        cmocka_unit_test(a_lone_cr_ends_nothing),
        cmocka_unit_test(a_line_of_the_limit_is_a_message_and_a_longer_one_is_too_long),
        cmocka_unit_test(a_line_too_long_is_seen_before_its_end),
        cmocka_unit_test(any_other_first_byte_is_garbage),
        cmocka_unit_test(the_body_is_as_long_as_its_header_says),
        cmocka_unit_test(other_headers_are_ignored_and_case_too),
        cmocka_unit_test(a_length_that_is_none_is_garbage),
        cmocka_unit_test(a_body_over_the_limit_is_too_long_once_its_header_is_read),
        cmocka_unit_test(a_message_cut_short_is_none),
        cmocka_unit_test(a_header_block_without_end_is_garbage),
        cmocka_unit_test(many_messages_come_out_of_one_read),
        cmocka_unit_test(one_long_line_byte_by_byte_takes_no_square_of_its_length),
        cmocka_unit_test(the_buffer_does_not_grow_with_the_number_of_messages),
        cmocka_unit_test(of_readers_that_share_a_pool_only_those_with_unread_bytes_hold_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
