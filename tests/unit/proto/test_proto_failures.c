/* The n-th allocation fails, n = 1, 2, 3, …, until all pass: NoMemory is said, nothing leaks (the sanitizer looks), and
 * the same objects work afterwards. */
#include "cmocka_all.h"

#include "failing_alloc.h"
#include "proto/frame.h"
#include "proto/methods.h"

#define ITEMS 5000

static char text[ITEMS * 16];

static size_t make_array(void)
{
    size_t size = 1;

    text[0] = '[';
    for (int i = 0; i < ITEMS; i++)
        size += (size_t)sprintf(text + size, "%s%d", i ? "," : "", i);
    text[size++] = ']';
    return size;
}

static void reading_without_memory_is_no_memory(void **state)
{
    struct json_doc doc = {0};
    size_t size = make_array();
    unsigned n = 1;

    (void)state;
    for (;; n++) {
        enum aspace_error error;

        failing_alloc_arm(n);
        error = json_read(&doc, text, size);
        if (!failing_alloc_disarm()) {
            assert_int_equal(error, ASPACE_OK);
            break;
        }
        assert_int_equal(error, ASPACE_NO_MEMORY);
        assert_non_null(doc.error);
        assert_int_equal(json_read(&doc, "[1]", 3), ASPACE_OK);
        json_free(&doc);
    }
    assert_true(n > 3);
    json_free(&doc);
}

static void duplicates_are_found_without_memory(void **state)
{
    struct json_doc doc = {0};
    size_t size = 1;

    (void)state;
    text[0] = '{';
    for (int i = 0; i < 40; i++)
        size += (size_t)sprintf(text + size, "\"%d\":0,", i);
    size += (size_t)sprintf(text + size, "\"7\":0}");
    assert_int_equal(json_read(&doc, text, size), ASPACE_OK);
    for (unsigned n = 0; n < 4; n++) {
        failing_alloc_arm(n);
        assert_int_equal(json_duplicate(&doc, 0), 81);
        failing_alloc_disarm();
    }
    json_free(&doc);
}

static void write_page(struct json_writer *w)
{
    methods_write_openrpc(w);
}

static void writing_without_memory_fails_and_stays_failed(void **state)
{
    struct json_writer w = {0};
    unsigned n = 1;

    (void)state;
    for (;; n++) {
        failing_alloc_arm(n);
        write_page(&w);
        if (!failing_alloc_disarm())
            break;
        assert_true(w.failed);
        json_uint(&w, 1);
        assert_true(w.failed);
        json_writer_free(&w);
        assert_false(w.failed);
    }
    assert_true(n > 3);
    assert_false(w.failed);
    json_writer_free(&w);
}

static void a_failed_writer_goes_back_to_an_earlier_place(void **state)
{
    struct json_writer w = {0};

    (void)state;
    json_begin_array(&w);
    failing_alloc_arm(1);
    write_page(&w);
    assert_true(failing_alloc_disarm());
    assert_true(w.failed);
    w.failed = false;
    w.size = 1;
    w.comma = false;
    json_end_array(&w);
    assert_int_equal(w.size, 2);
    assert_memory_equal(w.data, "[]", 2);
    json_writer_free(&w);
}

/* One long line in pieces; each refused piece is tried again, as the network does. */
static void framing_without_memory_loses_no_byte(void **state)
{
    size_t total = make_array();
    unsigned refusals = 0;

    (void)state;
    text[total++] = '\n';
    for (unsigned n = 1; n < 12; n++) {
        struct frame_reader f;
        const char *message;
        size_t size = 0;

        frame_init(&f, sizeof(text), NULL);
        failing_alloc_arm(n);
        for (size_t at = 0; at < total; at += 100) {
            size_t piece = total - at < 100 ? total - at : 100;
            char *room = frame_room(&f, piece);

            refusals += !room;
            room = room ? room : frame_room(&f, piece);
            assert_non_null(room);
            memcpy(room, text + at, piece);
            frame_fed(&f, piece);
            if (at + piece < total)
                assert_int_equal(frame_next(&f, &message, &size), FRAME_MORE);
        }
        failing_alloc_disarm();
        assert_int_equal(frame_next(&f, &message, &size), FRAME_MESSAGE);
        assert_int_equal(size, total - 1);
        assert_memory_equal(message, text, size);
        frame_free(&f);
    }
    assert_true(refusals > 3);
}

static void decoding_without_memory_is_no_memory(void **state)
{
    static const char request[] = "[[\"s\",0,\"Zm9v\"]]";
    struct json_doc doc = {0};
    struct refusal why;
    struct params params;
    uint8_t *bytes = NULL;
    size_t size;

    (void)state;
    assert_int_equal(json_read(&doc, request, sizeof(request) - 1), ASPACE_OK);
    failing_alloc_arm(1);
    assert_int_equal(method_bind(&methods[METHOD_MEMORY_WRITE], &doc, 1, &why, &params), ASPACE_OK);
    assert_int_equal(params_bytes(&params, PARAM_DATA, &why, &bytes, &size), ASPACE_NO_MEMORY);
    assert_true(failing_alloc_disarm());
    assert_int_equal(why.code, ASPACE_NO_MEMORY);
    assert_null(bytes);
    assert_int_equal(params_bytes(&params, PARAM_DATA, &why, &bytes, &size), ASPACE_OK);
    free(bytes);
    json_free(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_without_memory_is_no_memory),
        cmocka_unit_test(duplicates_are_found_without_memory),
        cmocka_unit_test(writing_without_memory_fails_and_stays_failed),
        cmocka_unit_test(a_failed_writer_goes_back_to_an_earlier_place),
        cmocka_unit_test(framing_without_memory_loses_no_byte),
        cmocka_unit_test(decoding_without_memory_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
