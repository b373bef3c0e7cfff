/* `call`: any method, its params as JSON; and reading whole inputs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/verbs.h"

#define FIRST_CAPACITY 65536
/* No input that makes sense is larger; an endless one is. */
#define INPUT_MAX ((size_t)256 << 20)

int read_all(int fd, char **ret, size_t *ret_size)
{
    size_t capacity = FIRST_CAPACITY;
    size_t size = 0;
    char *data = malloc(capacity);

    while (data) {
        ssize_t n = read(fd, data + size, capacity - size - 1);
        char *larger;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(data);
            return -errno;
        }
        if (n == 0) {
            data[size] = '\0';
            *ret = data;
            *ret_size = size;
            return 0;
        }
        size += (size_t)n;
        if (capacity - size > 1)
            continue;
        if (capacity >= INPUT_MAX) {
            free(data);
            return -EFBIG;
        }
        capacity *= 2;
        larger = realloc(data, capacity);
        if (!larger)
            free(data);
        data = larger;
    }
    return -ENOMEM;
}

int check_json(const char *text, size_t size)
{
    struct json_doc doc = {0};
    enum aspace_error error = json_read(&doc, text, size);
    int status = STATUS_DONE;

    if (error)
        status = usage_error("the params are not valid JSON: %s, at byte %zu", doc.error ? doc.error : "out of memory",
                             doc.error_at);
    else if (doc.tokens[0].type != JSON_OBJECT && doc.tokens[0].type != JSON_ARRAY)
        status = usage_error("the params must be a JSON object or array");
    json_free(&doc);
    return status;
}

static int call_and_print(struct session *s, const char *method, const char *params)
{
    struct aspace_reply *reply;
    int status = session_call(s, method, params, &reply);

    if (status)
        return status;
    print_result(reply);
    aspace_reply_free(reply);
    return STATUS_DONE;
}

static int call_with_input(struct session *s, const char *method)
{
    char *text;
    size_t size;
    int status;
    int error = read_all(STDIN_FILENO, &text, &size);

    if (error)
        return usage_error("cannot read standard input: %s", strerror(-error));
    status = check_json(text, size);
    if (!status)
        status = call_and_print(s, method, text);
    free(text);
    return status;
}

int run_call(struct session *s, char **words, int count)
{
    const char *params = count > 1 ? words[1] : NULL;
    int status;

    if (count < 1 || count > 2)
        return usage_error("call wants a method and its params: aspacectl call METHOD ['{...}'|-]");
    if (params && strcmp(params, "-") == 0)
        return call_with_input(s, words[0]);
    status = params ? check_json(params, strlen(params)) : STATUS_DONE;
    return status ? status : call_and_print(s, words[0], params);
}
