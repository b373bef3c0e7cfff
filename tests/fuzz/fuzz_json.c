/* A libFuzzer target: any bytes as a JSON text. What is taken is well formed as tokens, cJSON takes it as well, and its
 * strings come back from the writer as they were. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

#define CJSON_NUMBER_MAX 60 /* longer ones cJSON cuts */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* The tokens of a value lie in its span, one after the other, and are as many as it says. Gives the token after it. */
static uint32_t check_value(const struct json_doc *doc, uint32_t at)
{
    const struct json_token *t = &doc->tokens[at];
    uint32_t count = 0;
    uint32_t child = at + 1;
    uint32_t from = t->start;

    must(t->start <= t->end && t->next > at && t->next <= doc->count);
    while (child < t->next) {
        if (t->type == JSON_OBJECT)
            must(doc->tokens[child].type == JSON_STRING && check_value(doc, child) == child + 1);
        child += t->type == JSON_OBJECT;
        must(child < t->next && doc->tokens[child].start > from && doc->tokens[child].end < t->end);
        from = doc->tokens[child].end;
        child = check_value(doc, child);
        count++;
    }
    must(child == t->next && count == t->count);
    if (t->type == JSON_OBJECT)
        must(json_duplicate(doc, at) < t->next);
    return child;
}

static void check_string(const struct json_doc *doc, uint32_t at)
{
    size_t capacity = doc->tokens[at].end - doc->tokens[at].start + 1;
    struct json_writer w = {0};
    struct json_doc again = {0};
    char *text = malloc(capacity);
    char *back = malloc(capacity);
    size_t size;
    size_t back_size;

    must(text && back);
    if (json_unescape(doc, at, text, capacity, &size)) {
        must(json_equals_n(doc, at, text, size));
        json_string_n(&w, text, size);
        must(!w.failed && json_read(&again, w.data, w.size) == ASPACE_OK && again.tokens[0].type == JSON_STRING);
        must(json_unescape(&again, 0, back, capacity, &back_size) && back_size == size);
        must(memcmp(back, text, size) == 0);
    }
    json_free(&again);
    json_writer_free(&w);
    free(text);
    free(back);
}

/* cJSON is more lenient, but for \u escapes of what is no character, and long numbers. */
static bool cjson_may_refuse(const struct json_doc *doc)
{
    for (uint32_t i = 0; i < doc->count; i++) {
        const struct json_token *t = &doc->tokens[i];

        if (t->escaped || (t->type == JSON_NUMBER && t->end - t->start > CJSON_NUMBER_MAX))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct json_doc doc = {0};
    char *text = malloc(size ? size : 1); /* of its own, so that a read past its end is seen */

    must(text != NULL);
    memcpy(text, bytes, size);
    if (json_read(&doc, text, size) == ASPACE_OK) {
        must(doc.count > 0 && check_value(&doc, 0) == doc.count);
        for (uint32_t i = 0; i < doc.count; i++) {
            if (doc.tokens[i].type == JSON_STRING)
                check_string(&doc, i);
        }
        if (!cjson_may_refuse(&doc)) {
            cJSON *tree = cJSON_ParseWithLength(text, size);

            must(tree != NULL);
            cJSON_Delete(tree);
        }
    } else {
        must(doc.error && doc.error_at <= size);
    }
    json_free(&doc);
    free(text);
    return 0;
}
