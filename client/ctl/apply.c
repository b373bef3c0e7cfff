/* `apply`: the operations as JSON, typed or from standard input. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/verbs.h"

int run_apply(struct session *s, struct args *args)
{
    const char **ops = &args->value[PARAM_OPS];
    char *input = NULL;
    size_t size = strlen(*ops);
    int error = strcmp(*ops, "-") == 0 ? read_all(STDIN_FILENO, &input, &size) : 0;
    int status;

    if (error)
        return usage_error("cannot read standard input: %s", strerror(-error));
    if (input)
        *ops = input;
    status = check_json(*ops, size);
    if (!status)
        status = run_plain(s, args);
    free(input);
    return status;
}
